"""The page at /_emulator/ in a real browser: what it shows, each of its keys, and that nothing breaks out of its texts.

Playwright drives the Chromium of the machine. Each test ends with the check that the browser has reported no error, no
breach of the page's policy, and no request to any other server.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

from emulator.admin.page import FOLDER
from tests.browser import find_browser
from tests.conftest import Served
from tests.node import FOLDER as NPM
from tests.node import need_packages
from tests.paths import TESTS

try:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
except ImportError:
    assert not os.environ.get("CI"), "CI needs playwright"
    pytest.skip("needs playwright, of the extra [test]", allow_module_level=True)

SESSION: Final = {"x-emulator-session": "shop"}
BODY: Final = {"prompt": "A lighthouse at dusk", "model": "gpt-image-2", "size": "1536x1024"}
FILE: Final = (TESTS / "pictures" / "first.png").read_bytes()
TAG: Final = "<img src=x onerror=window.hit=1>"
HOSTILE: Final = (
    TAG, f'"{TAG}', f"'>{TAG}", "<script>window.hit=1</script>", "</title></style></textarea></script>" + TAG,
    "<svg onload=window.hit=1>", "javascript:window.hit=1", "${window.hit=1}", "{{constructor.constructor('hit=1')()}}",
    "&lt;img onerror&gt; &amp; &#60;", "%3Cimg%20onerror%3E", "<!--", "]]>", "<base href=//elsewhere.test/>",
    "<a href='javascript:window.hit=1'>x</a>", "<iframe srcdoc='<script>parent.hit=1</script>'>", "__proto__",
    "constructor", "'; DROP TABLE calls; --", "\u202egpj.exe\u202c", "\u2028line\u2029", "\ufeff", "\x7f\x1b[31m",
    "e\u0301\u0327" * 40, "👩‍👩‍👧‍👦🏴\U000e0067\U000e0062\U000e007f", "مرحبا بالعالم", "田中さん", "\ud83d", "a" * 3000,
    "\\\"'`", "#/s/x/1?in=all", "../../etc/passwd", "null", "undefined", "NaN", "0", "",
)  # fmt: skip
"""Texts that break pages: markup in all places, other directions and shapes of script, and words of programs."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    path = find_browser()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """A server of the test's own."""
    return serve()


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens the page of a server, at a place such as `/s/shop/1`; what goes wrong in it fails the test in the end."""
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    def open_it(served: Served, place: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) => console.error(event.violatedDirective))"
        )
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: _note_console(message, troubles))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: _note_foreign(request.url, served, troubles))
        page.goto(f"{served.url}/_emulator/{place and '#' + place}")
        return page

    yield open_it
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.hit") is None
        context.close()
    wanted = ("status of 40", "ERR_INCOMPLETE_CHUNKED_ENCODING")  # refusals, and a stream that a test breaks
    assert [] == [trouble for trouble in troubles if not any(one in trouble for one in wanted)]


def _note_console(message: ConsoleMessage, troubles: list[str]) -> None:
    if message.type == "error":
        troubles.append(message.text)


def _note_foreign(url: str, served: Served, troubles: list[str]) -> None:
    if urlsplit(url).scheme != "data" and not url.startswith(served.url):
        troubles.append(f"a request to {url}")


def generate(served: Served, count: int = 1, gateway: str = "openai", **changes: Any) -> None:
    """Let calls be answered."""
    for _ in range(count):
        served.generate(gateway, {**BODY, **changes}, **SESSION)


def play(served: Served, scenario: Any) -> None:
    """Let the session play a scenario."""
    answer = httpx.put(f"{served.url}/_emulator/sessions/shop/scenario", json=scenario)
    assert 200 == answer.status_code, answer.text


def rows(page: Page) -> Any:
    """The rows of the list that are shown."""
    return page.locator("#rows tbody tr:visible")


# --- the list


def test_a_call_appears_by_itself(served: Served, open_page: Open) -> None:
    """A page without calls says how to make one; a call is there when it ends, with its picture and its answer."""
    page = open_page(served)
    expect(page.get_by_role("heading", name="No calls yet")).to_be_visible()
    expect(page.locator("#example")).to_contain_text(f"curl {served.url}/v1/images/generations")
    generate(served, n=3)
    row = rows(page).first
    expect(row).to_contain_text("A lighthouse at dusk")
    expect(row).to_contain_text("generate · openai · gpt-image-2 · 1536x1024")
    expect(row.locator(".pill")).to_have_text("200 ok")
    expect(row.locator(".thumb")).to_contain_text("×3")
    expect(page.locator("#empty")).to_be_hidden()
    expect(page.locator("#rows img").first).to_have_js_property("naturalWidth", 96)
    generate(served, size="1x1")
    expect(rows(page).first.locator(".pill")).to_have_text("400 invalid request")
    expect(page.locator("#count")).to_have_text("2 calls")


def test_the_root_leads_to_it(served: Served, open_page: Open) -> None:
    """By a link; what a browser asks for by itself, such as an icon, is no call to a gateway."""
    page = open_page(served)
    page.goto(served.url)
    page.get_by_role("link", name="calls and their pictures").click()
    expect(page.locator("#live")).to_have_text("live")
    assert [] == httpx.get(f"{served.url}/_emulator/sessions").json()["sessions"]


def test_a_call_under_way_and_one_that_came_before(served: Served, open_page: Open) -> None:
    """What came before the page is there, and a call whose answer waits is shown as such until it has come."""
    generate(served)
    play(served, {"rules": [{"name": "slow", "answers": {"draw": {}, "latency": "1h"}}]})

    def wait() -> None:
        with suppress(httpx.HTTPError):
            generate(served)

    waiting = threading.Thread(target=wait)
    page = open_page(served, "/s/shop")
    expect(rows(page)).to_have_count(1)
    waiting.start()
    expect(rows(page).first.locator(".pill")).to_have_text("under way")
    httpx.post(f"{served.url}/_emulator/sessions/shop/reset")
    expect(rows(page)).to_have_count(0)


def test_a_thousand_calls(served: Served, open_page: Open) -> None:
    """All calls are there in the order in which they ended, and the page can be worked with meanwhile."""
    page = open_page(served)
    expect(page.locator("#live")).to_have_text("live")
    limits = httpx.Limits(max_connections=1)
    with httpx.Client(limits=limits, headers={"authorization": "Bearer sk-many", **SESSION}, verify=False) as client:
        for number in range(1000):
            client.post(
                f"{served.base('ezmodel')}/images/generations",
                json={"model": "dall-e-2", "size": "256x256", "prompt": f"Number {number}"},  # the page shows pictures
            )
    expect(page.locator("#count")).to_have_text("1000 calls", timeout=60_000)
    expect(page.locator("#rows tbody tr")).to_have_count(1000)  # also of a call that begins and ends in one frame
    expect(rows(page).first).to_contain_text("Number 999")
    page.keyboard.press("G")
    expect(page.locator("#rows tbody tr").last).to_contain_text("Number 0")
    expect(page.locator("#rows tbody tr").last).to_have_attribute("aria-current", "true")
    page.reload()
    expect(page.locator("#count")).to_have_text("1000 calls", timeout=60_000)
    assert ["999", "0"] == [
        str(page.locator("#rows tbody tr a").nth(place).text_content()).removeprefix("Number ") for place in (0, 999)
    ]


def test_new_calls_wait_while_somebody_reads(served: Served, open_page: Open) -> None:
    """With a call open, what comes is counted, and shown when it is asked for."""
    generate(served, 3)
    page = open_page(served, "/s/shop/2")
    expect(page.locator("#live")).to_have_text("live")
    expect(page.get_by_role("heading", name="Call 2")).to_be_visible()
    generate(served, 2)
    expect(page.locator("#fresh")).to_have_text("2 new")
    expect(rows(page)).to_have_count(3)
    page.locator("#fresh").click()
    expect(rows(page)).to_have_count(5)
    expect(page.locator("#fresh")).to_be_hidden()


def test_a_broken_connection_goes_on(served: Served, open_page: Open) -> None:
    """A stream that breaks is taken up again, and each call is in the list once."""
    generate(served, 2)
    page = open_page(served)
    expect(rows(page)).to_have_count(2)
    (listener,) = served.app.events._listeners
    assert listener.sender is not None
    listener.sender.get_loop().call_soon_threadsafe(listener.sender.cancel)
    expect(page.locator("#live")).to_have_text("reconnecting")
    generate(served, 2)
    expect(page.locator("#live")).to_have_text("live")
    expect(rows(page)).to_have_count(4)


# --- one call


def test_four_tabs(served: Served, open_page: Open) -> None:
    """What was asked, how it was judged, what was answered, and who else would accept it."""
    play(
        served,
        {
            "rules": [
                {"name": "weapons", "when": {"prompt": {"contains": "sword"}}, "answers": {"refuse": "moderation"}}
            ]
        },
    )
    generate(served, prompt="A boat", colour="red")
    generate(served, prompt="A boat")
    generate(served, prompt="A sword")
    page = open_page(served, "/s/shop/1")
    panel = page.get_by_role("tabpanel")
    expect(panel.locator("tr", has_text="colour")).to_contain_text("red")
    page.get_by_role("tab", name="Judged").click()
    expect(panel).to_contain_text("Contract refused: unknown parameter")
    expect(panel.locator("tr", has_text="source")).to_contain_text(re.compile("documented|observed|assumed"))
    page.get_by_role("tab", name="Answered").click()
    expect(panel).to_contain_text("Unknown parameter: 'colour'.")
    expect(panel.get_by_role("row", name="X-Emulator-Finding unknown_parameter")).to_contain_text("unknown_parameter")
    page.get_by_role("tab", name="Elsewhere").click()
    expect(panel.locator("tr", has_text="openai")).to_contain_text("refused")
    assert page.url.endswith("#/s/shop/1/elsewhere?in=all") or page.url.endswith("#/s/shop/1/elsewhere")
    page.goto(f"{served.url}/_emulator/#/s/shop/2/judged")
    miss = panel.locator("tr", has_text="prompt")
    expect(miss).to_contain_text("sword")
    expect(miss).to_contain_text("A boat")
    page.goto(f"{served.url}/_emulator/#/s/shop/2/answered")
    expect(panel.locator(".chip").or_(panel.locator(".j-string")).first).to_be_visible()
    page.goto(f"{served.url}/_emulator/#/s/shop/3/judged")
    expect(panel).to_contain_text("rule “weapons”, turn 2")


def test_a_stream_and_an_upload(served: Served, open_page: Open) -> None:
    """The events of a stream have their times; a file has its picture, size and name."""
    generate(served, stream=True, partial_images=2)
    headers = {"authorization": "Bearer sk-x", **SESSION}
    data = {"prompt": "At night", "model": "gpt-image-2"}
    files = {"image": ("harbour.png", FILE, "image/png")}
    httpx.post(f"{served.base('openai')}/images/edits", data=data, files=files, headers=headers)
    page = open_page(served, "/s/shop/1/answered")
    panel = page.get_by_role("tabpanel")
    expect(panel.locator(".timeline > li")).to_have_count(3)
    panel.locator("summary").first.click()
    expect(panel.locator(".chip").first).to_contain_text("PNG 1536×1024")
    page.goto(f"{served.url}/_emulator/#/s/shop/2")
    expect(panel.locator(".file")).to_contain_text("harbour.png")
    expect(panel.locator(".file")).to_contain_text("1024×1024")
    expect(page.locator(".file img")).to_have_js_property("naturalWidth", 192)


def test_copies(served: Served, open_page: Open) -> None:
    """Each button puts the text that the server writes on the clipboard."""
    generate(served)
    page = open_page(served, "/s/shop/1")
    for label, kind in (
        ("curl", "curl"),
        ("Python", "python"),
        ("Node", "node"),
        ("rule", "rule"),
        ("verify", "verify"),
    ):
        page.get_by_role("button", name=label, exact=True).click()
        expect(page.locator("#toast")).to_have_text(f"Copied as {label}")
        text = httpx.get(f"{served.url}/_emulator/sessions/shop/calls/1/code/{kind}").text
        assert text == page.evaluate("navigator.clipboard.readText()")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as where it is no loopback
    page.get_by_role("button", name="verify", exact=True).click()
    expect(page.get_by_role("tabpanel")).to_contain_text("image_api.verify(")


def test_replay(served: Served, open_page: Open) -> None:
    """A call is sent again where it was sent, and at another gateway, and says of which call it is a replay."""
    generate(served)
    page = open_page(served, "/s/shop/1")
    page.get_by_role("button", name="Replay").click()
    expect(rows(page).first).to_contain_text("replay of 1")
    page.get_by_label("Gateway").select_option("geeknow")
    page.get_by_role("button", name="Replay").click()
    expect(rows(page).first).to_contain_text("geeknow")
    first, second, third = served.calls("shop")
    assert first["params"] == second["params"]
    assert ("geeknow", "1") == (third["gateway"], third["headers"]["X-Emulator-Replay"])


# --- the session bar, the filter, the keyboard


def test_the_session_bar(serve: Callable[..., Served], open_page: Open) -> None:
    """A session is chosen, plays a scenario of either kind, counts its limits, is reset, and its clock moves."""
    served = serve(clock="frozen:2026-11-01T00:00:00Z")
    generate(served)
    served.generate("openai", BODY, **{"x-emulator-session": "other"})
    page = open_page(served)
    expect(rows(page)).to_have_count(2)
    page.locator("#session").select_option("shop")
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Scenario happy").click()
    page.get_by_label("or your own").fill("limits: {images: 3}\nrules:\n  - {when: {promt: x}, answers: {draw: {}}}")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("alert").first).to_contain_text("scenario:3")
    expect(page.get_by_role("alert").first).to_contain_text("prompt")
    page.get_by_label("or your own").fill("scenario: three\nlimits: {images: 3}\nrules: []")
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#toast")).to_have_text("Playing three")
    generate(served, n=2)
    expect(page.locator("#limits")).to_have_text("images 2/3")
    expect(page.get_by_role("button", name="Scenario three")).to_be_visible()
    page.get_by_role("button", name="Scenario three").click()
    page.get_by_label("Ready-made").select_option("rate-limited-then-ok")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Scenario rate-limited-then-ok")).to_be_visible()
    page.get_by_role("button", name="+1 h").click()
    page.get_by_role("button", name="+1 min").click()
    expect(page.locator("#now")).to_have_text("2026-11-01 01:01:00")
    page.get_by_role("button", name="Reset").click()
    expect(rows(page)).to_have_count(0)
    assert [] == served.calls("shop")
    page.locator("#session").select_option("other")
    expect(page.locator("#now")).to_have_text("2026-11-01 00:00:00")


FILTERS: Final[tuple[tuple[str, list[int]], ...]] = (
    ("status:4xx", [3, 2]), ("status:200,429", [4, 3, 1]), ("model:dall-e-3", [4]), ('prompt~"red boat"', [4]),
    ("-prompt~boat", [2]), ("finding:any", []), ("refused:rate_limit", [3]), ("refused:size_step", [2]),
    ("rule:limit", [3]), ("rule:none", [4, 2, 1]), ("size:1024x1024 gateway:openai", [3, 1]), ("number>=3", [4, 3]),
    ("turn<=1", [1]), ("boat", [4, 3, 1]), ("gateway:openai -status:200", [3, 2]), ("pictures>=1", [4, 1]),
)  # fmt: skip
"""What is written into the filter, and the numbers of the calls that it shows."""


def test_the_filter(served: Served, open_page: Open) -> None:
    """It has the words of `verify`, is in the address, and counts what it shows."""
    play(served, {"rules": [{"name": "limit", "when": {"turn": 2}, "answers": {"refuse": "rate_limit"}}]})
    square: dict[str, Any] = {"size": "1024x1024"}
    generate(served, prompt="A blue boat", **square)
    generate(served, prompt="A cat", size="100x100")
    generate(served, prompt="A boat", **square)
    generate(served, gateway="ezmodel", prompt="A red boat", model="dall-e-3", **square)
    page = open_page(served)
    expect(rows(page)).to_have_count(4)
    for text, numbers in FILTERS:
        page.locator("#filter").fill(text)
        expect(page.locator("#count")).to_have_text(f"{len(numbers)} of 4 calls")
        shown = page.locator("#rows tbody tr:visible .number b").all_inner_texts()
        assert (text, numbers) == (text, [int(one) for one in shown])
    page.reload()
    expect(page.locator("#filter")).to_have_value(text)
    expect(page.locator("#count")).to_have_text(f"{len(numbers)} of 4 calls")


def test_a_word_that_no_call_has(served: Served, open_page: Open) -> None:
    """It is told, with the words that there are."""
    generate(served)
    page = open_page(served)
    expect(rows(page)).to_have_count(1)
    page.locator("#filter").fill("promt:cat")
    expect(page.locator("#hint")).to_contain_text("No call has “promt”. Words: ")
    expect(page.locator("#hint")).to_contain_text("prompt")


def test_every_key(served: Served, open_page: Open) -> None:
    """Each key of the help does what the help says; with Ctrl it is the browser's."""
    generate(served, 4)
    page = open_page(served, "/s/shop")
    expect(rows(page)).to_have_count(4)

    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    def current() -> str:
        return page.locator("#rows tr[aria-current] .number b").inner_text()

    press("j", "j")
    assert "3" == current()
    press("k", "ArrowDown", "ArrowDown")
    assert "2" == current()
    press("ArrowUp", "G")
    assert "1" == current()
    press("g")
    assert "4" == current()
    press("Enter")
    expect(page.get_by_role("heading", name="Call 4")).to_be_visible()
    press("j")
    expect(page.get_by_role("heading", name="Call 3")).to_be_visible()
    for key, name in (("2", "Judged"), ("3", "Answered"), ("4", "Elsewhere"), ("1", "Asked")):
        press(key)
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Asked").focus()
    press("ArrowRight")
    expect(page.get_by_role("tab", name="Judged")).to_be_focused()
    press("c")
    expect(page.locator("#toast")).to_have_text("Copied as curl")
    press("r")
    expect(page.locator("#toast")).to_have_text("Call 3 is sent again")
    expect(rows(page).first).to_contain_text("replay of 3")
    press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    press("Control+j", "Meta+r", "Alt+c")
    assert "3" == current()
    press("/")
    expect(page.locator("#filter")).to_be_focused()
    page.keyboard.type("jkgr")
    expect(page.locator("#filter")).to_have_value("jkgr")
    press("Control+a", "Delete", "Enter", "s")
    expect(page.locator("#session")).to_be_focused()
    page.locator("#session").blur()
    press("?")
    expect(page.get_by_role("dialog", name="Keys and filter")).to_be_visible()
    press("Escape")
    expect(page.get_by_role("dialog", name="Keys and filter")).to_be_hidden()


# --- strangers' texts


def test_hostile_texts_leave_no_mark(served: Served, open_page: Open) -> None:
    """Whatever a client writes into a prompt, model, parameter, header or path is text: no code, no element."""
    with httpx.Client(headers={"authorization": "Bearer sk-x", **SESSION}, verify=False) as client:
        for place, text in enumerate(HOSTILE):
            header = "".join(one for one in text if " " <= one <= "~").strip()
            body = {"prompt": text, "model": text if place % 2 else "gpt-image-2", "user": text, text or "x": text}
            data = json.dumps(body).encode()
            headers = {"content-type": "application/json", "x-note": header, "user-agent": header}
            client.post(f"{served.base('openai')}/images/generations", content=data, headers=headers)
        client.post(f"{served.base('openai')}/images/{TAG}?q={TAG}", json={"prompt": TAG})
        client.post(f"{served.base('openai')}/images/generations", content=TAG, headers={"content-type": "text/html"})
    page = open_page(served, "/s/shop")
    expect(rows(page)).to_have_count(len(HOSTILE) + 2)
    assert 0 == page.locator("#rows :is(script, iframe, svg, base, [onerror], [onload])").count()
    for number in range(1, len(HOSTILE) + 3):
        page.keyboard.press("j" if number > 1 else "g")
        for tab in "1234" if number < 6 or number > len(HOSTILE) else "12":
            page.keyboard.press("Enter")
            page.keyboard.press(tab)
        expect(page.get_by_role("heading", name=f"Call {len(HOSTILE) + 3 - number}", exact=True)).to_be_visible()
    page.goto(f"{served.url}/_emulator/#/s/shop/1")
    expect(page.locator(".prompt")).to_have_text(TAG)
    expect(page.get_by_role("row", name="x-note")).to_contain_text(TAG)
    page.locator("#filter").fill(TAG)
    expect(rows(page).first).to_contain_text(TAG)


def test_hostile_files_rules_and_answers_leave_no_mark(served: Served, open_page: Open) -> None:
    """The same for the name and type of a file, a scenario's names, and an answer that is HTML or SVG."""
    play(served, {
        "scenario": TAG, "about": TAG,
        "rules": [
            {"name": TAG, "when": {"prompt": {"contains": "svg"}}, "answers": {
                "canned": {"status": 200, "content_type": "image/svg+xml", "text": "<svg onload=window.hit=1></svg>"}}},
            {"name": f"other {TAG}", "when": {"prompt": TAG}, "answers": {"draw": {"revised_prompt": TAG}}},
        ],
    })  # fmt: skip
    generate(served, prompt="svg")
    generate(served, prompt=TAG)
    generate(served, prompt=f"{TAG} {TAG}")
    headers = {"authorization": "Bearer sk-x", **SESSION}
    files = {
        "image": (f"{TAG}.png", FILE, f"image/png; x={TAG}"),
        TAG: (TAG, b"<svg onload=window.hit=1>", "image/svg+xml"),
    }
    data = {"prompt": TAG, TAG: TAG}
    httpx.post(f"{served.base('openai')}/images/edits", data=data, files=files, headers=headers)
    page = open_page(served, "/s/shop")
    expect(page.locator("#scenario")).to_contain_text(TAG)
    for number in (1, 2, 3, 4):
        for tab in ("asked", "judged", "answered", "elsewhere"):
            page.goto(f"{served.url}/_emulator/#/s/shop/{number}/{tab}")
            expect(page.get_by_role("heading", name=f"Call {number}")).to_be_visible()
            expect(page.get_by_role("tab", name=tab.title())).to_have_attribute("aria-selected", "true")
            page.wait_for_load_state("networkidle")
            assert 0 == page.locator("#panel :is(script, iframe, svg, [onerror], [onload])").count()
    page.locator("#scenario").click()
    expect(page.get_by_role("dialog")).to_contain_text(TAG)


def test_the_script_makes_no_markup() -> None:
    """Nothing in it turns a text into elements or code."""
    script = (FOLDER / "inspector.js").read_text(encoding="utf-8")
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser|createContextual"
    assert [] == re.findall(banned, script)
    texts = [(FOLDER / name).read_text(encoding="utf-8") for name in ("index.html", "inspector.js", "inspector.css")]
    assert [] == [
        url for text in texts for url in re.findall(r"(?:https?:)?//[a-z][a-z.]+/", text) if "w3.org" not in url
    ]


def test_the_page_is_small() -> None:
    """Its three files have 40 kB together."""
    files = list(FOLDER.iterdir())
    assert {"index.html", "inspector.js", "inspector.css"} == {file.name for file in files}
    assert sum(file.stat().st_size for file in files) <= 40_000


# --- the token


def test_a_server_with_a_token(serve: Callable[..., Served], open_page: Open) -> None:
    """The page asks for it, tells that it is wrong, and shows calls and pictures with the right one."""
    served = serve(admin_token="a-token=4711;x")
    generate(served)
    page = open_page(served)
    page.locator("#token").fill("wrong")
    page.get_by_role("button", name="Show the calls").click()
    expect(page.get_by_role("alert").last).to_contain_text("the token is not the one")
    page.locator("#token").fill("a-token=4711;x")
    page.get_by_role("button", name="Show the calls").click()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#rows img").first).to_have_js_property("naturalWidth", 96)
    assert "" == page.evaluate("document.cookie")
    generate(served)
    expect(rows(page)).to_have_count(2)


def test_a_token_in_the_address(serve: Callable[..., Served], open_page: Open) -> None:
    """The address that `serve` prints has it; it is gone from there when the calls are shown."""
    served = serve(admin_token="a-token-4711")
    generate(served)
    page = open_page(served, "token=a-token-4711")
    expect(rows(page)).to_have_count(1)
    assert "4711" not in page.url


# --- for everybody


@pytest.mark.parametrize("width", [1280, 360])
def test_everybody_can_use_it(served: Served, open_page: Open, width: int) -> None:
    """axe finds nothing serious in the list, a call's tabs and the dialogs; nothing is wider than the window.

    The dark scheme changes colours alone, so axe looks at nothing else there.
    """
    axe = NPM / "node_modules" / "axe-core" / "axe.min.js"
    need_packages("axe-core")
    play(
        served,
        {
            "limits": {"images": 9},
            "rules": [{"name": "weapons", "when": {"prompt": "A sword"}, "answers": {"refuse": "moderation"}}],
        },
    )
    generate(served, n=2)
    generate(served, prompt="A sword")
    generate(served, prompt="word" * 200, colour="x" * 300)
    page = open_page(served, "/s/shop", viewport={"width": width, "height": 780})
    expect(rows(page)).to_have_count(3)
    page.evaluate(axe.read_text(encoding="utf-8"))

    def list_violations(options: str) -> list[Any]:
        found = page.evaluate(
            f"axe.run({{ resultTypes: ['violations'], {options} }}).then((result) => result.violations)"
        )
        return [
            (one["id"], [node["target"] for node in one["nodes"]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def examine(what: str) -> None:
        page.emulate_media(color_scheme="light")
        assert (what, []) == (what, list_violations(""))
        page.emulate_media(color_scheme="dark")
        assert (f"{what}, dark", []) == (f"{what}, dark", list_violations("runOnly: ['color-contrast']"))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), what

    examine("list")
    page.keyboard.press("?")
    examine("help")
    page.keyboard.press("Escape")
    page.locator("#scenario").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    examine("scenario")
    page.keyboard.press("Escape")
    for number in (1, 2, 3):
        for tab in ("asked", "judged", "answered", "elsewhere"):
            page.goto(f"{served.url}/_emulator/#/s/shop/{number}/{tab}")
            expect(page.get_by_role("heading", name=f"Call {number}")).to_be_visible()
            page.wait_for_load_state("networkidle")
            examine(f"{number} {tab}")
