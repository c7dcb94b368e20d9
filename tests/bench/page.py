"""Rows on the page at /_emulator/: how soon a call is in a browser, and how long that is busy at a time."""

from __future__ import annotations

import http.client
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.bench.figures import Aim, Figure, Line, Pairs
from tests.bench.rows import Row, Scale
from tests.bench.servers import Failed, Server, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

APPEARS: Final = Line(
    "a call is in the page's list, after its answer", "ms", beside="", aim=Aim("≤", 250, absolute=True)
)
BUSY: Final = Line("longest task of the page while 1,000 calls come", "ms", beside="", aim=Aim("≤", 200, absolute=True))
LOAD: Final = Line(
    "longest task of the page that loads with 1,000 calls", "ms", beside="", aim=Aim("≤", 200, absolute=True)
)
_CALLS: Final = 1000
_PATIENCE: Final = 120_000  # milliseconds
_SINGLE: Final = 20  # calls that are waited for one by one
_WATCH: Final = """
window.tasks = [0];
new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((task) => task.duration)))
  .observe({ type: "longtask", buffered: true });
addEventListener("DOMContentLoaded", () => {
  new MutationObserver(() => { window.changed = Date.now(); })
    .observe(document.getElementById("rows"), { childList: true, subtree: true });
});
"""


def measure_page(scale: Scale) -> list[Figure]:
    """What a browser makes of calls that come one by one, of a thousand as fast as they come, and of all at once."""
    waits, busy, loads = list[float](), list[float](), list[float]()
    for _ in range(scale.rounds):
        with serving("ours") as server, _open_page(server) as page:
            client = http.client.HTTPConnection("127.0.0.1", server.port)
            for number in range(_SINGLE):
                answered = _make_call(client, number)
                _wait_for_calls(page, number + 1)
                waits.append(page.evaluate("changed") - answered)
            page.evaluate("tasks = [0]")
            for number in range(_SINGLE, _CALLS):
                _make_call(client, number)
            _wait_for_calls(page, _CALLS)
            busy.append(page.evaluate("Math.max(...tasks)"))
            page.reload()
            _wait_for_calls(page, _CALLS)
            loads.append(page.evaluate("Math.max(...tasks)"))
            client.close()
    note = "0: no task of 50 ms"
    return [
        Figure(APPEARS, Pairs(waits), note=f"the longest {max(waits, default=0):.0f} ms"),
        Figure(BUSY, Pairs(busy), note=note),
        Figure(LOAD, Pairs(loads), note=note),
    ]


@contextmanager
def _open_page(server: Server) -> Iterator[Page]:
    """The page in a browser, as soon as it is live."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise Failed("needs chromium on the PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Failed("needs playwright, of the extra [test]") from None
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = launched.new_page()
        page.add_init_script(_WATCH)
        page.goto(f"http://127.0.0.1:{server.port}/_emulator/")
        page.locator("#live.live").wait_for(timeout=_PATIENCE)
        yield page
        launched.close()


def _make_call(client: http.client.HTTPConnection, number: int) -> float:
    """Make a call; return when its answer had come, in milliseconds since 1970."""
    body = json.dumps({"model": "gpt-image-1", "prompt": f"Number {number}", "size": "1024x1024"})
    headers = {"Authorization": "Bearer sk-bench", "Content-Type": "application/json"}
    client.request("POST", "/geeknow/v1/images/generations", body, headers)
    client.getresponse().read()
    return time.time() * 1000


def _wait_for_calls(page: Page, number: int) -> None:
    noun = "call" if number == 1 else "calls"
    page.get_by_text(f"{number} {noun}", exact=True).wait_for(timeout=_PATIENCE)


ROWS: Final = (
    Row(
        "page", "how soon a call is on the page, and how busy a browser is with it", (APPEARS, BUSY, LOAD), measure_page
    ),
)
