"""Opens pages in Chromium."""

from __future__ import annotations

import html
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest


class _Pages(http.server.BaseHTTPRequestHandler):
    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Say nothing."""


def find_browser() -> str:
    """The path of Chromium; without one the test is skipped, and with CI=true it fails."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        assert not os.environ.get("CI"), "CI needs Chromium"
        pytest.skip("needs chromium on the PATH")
    return browser


def run_page(page: str, folder: Path) -> Any:
    """What `page`, at another origin than the emulator's, writes into its element `heard`, as JSON."""
    browser = find_browser()
    _Pages.page = page.encode()
    pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    thread = threading.Thread(target=pages.serve_forever)
    thread.start()
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--disable-quic", f"--user-data-dir={folder}",
        "--virtual-time-budget=20000", "--dump-dom", f"http://localhost:{pages.server_address[1]}/",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    finally:
        pages.shutdown()
        thread.join()
        pages.server_close()
    shown = re.search(r'<pre id="heard">(.*?)</pre>', done.stdout, re.DOTALL)
    assert shown, done.stderr[-2000:]
    return json.loads(html.unescape(shown[1]))
