"""A real browser, on a page of another origin: what CORS lets it send and read."""

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
from typing import Any, Final

import pytest

from tests.conftest import Served

PAGE: Final = """<!doctype html><meta charset="utf-8"><pre id="heard">waiting</pre><script type="module">
const heard = {};
const base = "BASE";
const ask = (path, key, body) => fetch(base + path, {
  method: "POST", body: JSON.stringify(body),
  headers: {"Authorization": "Bearer " + key, "Content-Type": "application/json", "X-Stainless-Lang": "js"},
});
const good = await ask("/v1/images/generations", "sk-page", {prompt: "A cat", size: "256x256"});
heard.status = good.status;
heard.id = (good.headers.get("x-request-id") ?? "").slice(0, 4);
const url = (await good.json()).data[0].url;
heard.bytes = (await (await fetch(url)).blob()).type;
heard.size = await new Promise((done) => {
  const image = new Image();
  image.onload = () => done([image.naturalWidth, image.naturalHeight]);
  image.onerror = () => done("broken");
  image.src = url;
});
const bad = await ask("/v1/images/generations", "sk-invalid", {prompt: "A cat"});
heard.refused = [bad.status, (await bad.json()).error.code];
heard.admin = await fetch(base.replace(/\\/[a-z]+$/, "") + "/_emulator/sessions").then(() => "read", () => "closed");
document.getElementById("heard").textContent = JSON.stringify(heard);
</script>"""


class _Pages(http.server.BaseHTTPRequestHandler):
    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Say nothing."""


def heard_on(page: str, folder: Path) -> Any:
    """What `page`, at another origin than the emulator's, writes into its element `heard`, as JSON."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        assert not os.environ.get("CI"), "CI needs Chromium"
        pytest.skip("needs chromium on the PATH")
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


def test_a_page_can_use_the_gateway_and_not_the_emulator(server: Served, tmp_path: Path) -> None:
    """A web page sends calls, reads refusals and shows pictures; the emulator's own paths stay closed to it."""
    assert {
        "status": 200,
        "id": "req_",
        "bytes": "image/png",
        "size": [256, 256],
        "refused": [401, "invalid_api_key"],
        "admin": "closed",
    } == heard_on(PAGE.replace("BASE", f"{server.url}/ezmodel"), tmp_path)
