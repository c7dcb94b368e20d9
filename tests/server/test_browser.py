"""A real browser, on a page of another origin: what CORS lets it send and read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.browser import run_page
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


def test_a_page_can_use_the_gateway_and_not_the_emulator(server: Served, tmp_path: Path) -> None:
    """A web page sends calls, reads refusals and shows pictures; the emulator's own paths stay closed to it."""
    assert {
        "status": 200,
        "id": "req_",
        "bytes": "image/png",
        "size": [256, 256],
        "refused": [401, "invalid_api_key"],
        "admin": "closed",
    } == run_page(PAGE.replace("BASE", f"{server.url}/ezmodel"), tmp_path)
