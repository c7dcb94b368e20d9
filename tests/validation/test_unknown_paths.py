"""A call whose address means nothing is told what to mend, whatever its gateway answers."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from emulator.cli.console import format_call
from tests.conftest import Served
from tests.stable_ids import stable_id

GENERATIONS = "images/generations"


@pytest.mark.parametrize(
    ("method", "path", "said", "base"),
    [
        ("POST", f"/ezmodle/v1/{GENERATIONS}", "no gateway is named 'ezmodle'", "/ezmodel/v1"),
        ("POST", f"/EZModel/v1/{GENERATIONS}", "no gateway is named 'EZModel'", "/ezmodel/v1"),
        ("POST", f"/geek-now/v1/{GENERATIONS}", "no gateway is named 'geek-now'", "/geeknow/v1"),
        ("POST", f"/v1/ezmodel/{GENERATIONS}", "no gateway is named 'v1'", "/ezmodel/v1"),
        ("POST", f"/s/case-7/ezmodle/v1/{GENERATIONS}", "no gateway is named 'ezmodle'", "/s/case-7/ezmodel/v1"),
        ("POST", f"/ezmodel/{GENERATIONS}", "/v1 is missing", "/ezmodel/v1"),
        ("POST", f"/openai/{GENERATIONS}", "/v1 is missing", "/openai/v1"),
        ("POST", f"/{GENERATIONS}", "/v1 is missing", "/openai/v1"),
        ("POST", f"/ezmodel/v1/v1/{GENERATIONS}", "/v1 is doubled", "/ezmodel/v1"),
        ("POST", f"/v1/v1/{GENERATIONS}", "/v1 is doubled", "/openai/v1"),
        ("POST", f"/geekai/v1/{GENERATIONS}", "begins with /v1, and should with /api/v1", "/geekai/api/v1"),
        ("POST", f"/geekai/{GENERATIONS}", "/api/v1 is missing", "/geekai/api/v1"),
        ("POST", f"/ezmodel/ezmodel/v1/{GENERATIONS}", "begins with /ezmodel/v1", "/ezmodel/v1"),
        ("POST", f"/ezmodel/v1//{GENERATIONS}", "begins with /v1/", "/ezmodel/v1"),
        ("POST", f"/openai/deployments/dall-e-3/{GENERATIONS}", "begins with /deployments/dall-e-3", "/openai/v1"),
        ("GET", "/ezmodel/models/dall-e-3", "/v1 is missing", "/ezmodel/v1"),
        ("POST", "/ezmodel/v1/image/generations", "did you mean /v1/images/generations?", "/ezmodel/v1"),
        ("POST", "/ezmodel/v1/images/generate", "did you mean /v1/images/generations?", "/ezmodel/v1"),
        ("POST", "/ezmodel/v1/images", "did you mean /v1/images/generations?", "/ezmodel/v1"),
        ("POST", "/ezmodel/v1/images/edit", "did you mean /v1/images/edits?", "/ezmodel/v1"),
        ("POST", f"/openai/v1/{GENERATIONS}/", "did you mean /v1/images/generations?", "/openai/v1"),
        ("POST", "/ezmodel/v1/Images/Generations", "did you mean /v1/images/generations?", "/ezmodel/v1"),
        ("GET", "/ezmodel/v1/model", "did you mean /v1/models?", "/ezmodel/v1"),
        ("POST", "/openai/v1/chat/completions", "openai has the paths /v1/images/generations, ", "/openai/v1"),
        ("POST", "/openai/v1/chat/completions", "chat/completions is another API, which is not answered", "/openai/v1"),
        ("POST", "/openrouter/api/v1/chat/completions", "has the paths /api/v1/images, ", "/openrouter/api/v1"),
        ("POST", "/azure/openai/deployments/x/chat/completions", "chat/completions is another API", "/azure/openai/v1"),
        ("POST", f"/openrouter/api/v1/{GENERATIONS}", "did you mean /api/v1/images?", "/openrouter/api/v1"),
        ("POST", "/azure/openai/v1/videos", "azure has the paths /openai/v1/images/gen", "/azure/openai/v1"),
        ("POST", "/azure/openai/v1/images/generate", "did you mean /openai/v1/images/generations?", "/azure/openai/v1"),
        ("GET", "/azure/openai/v1/model", "did you mean /openai/v1/models?", "/azure/openai/v1"),
        ("POST", f"/azure/openai/{GENERATIONS}", "with /openai, and should with /openai/v1", "/azure/openai/v1"),
        ("POST", f"/azure/openai/openai/deployments/x/{GENERATIONS}", "/openai is too much before", "/azure/openai/v1"),
        ("POST", "/openai/openai/v1/images/generations", "begins with /openai/v1", "/openai/v1"),
        ("POST", "/v1/responses", "openai has the paths /v1/images/generations, ", "/openai/v1"),
        ("POST", "/", "openai has the paths /v1/images/generations, ", "/openai/v1"),
        ("GET", "/ezmodel", "this is no operation; ezmodel has the paths ", "/ezmodel/v1"),
        ("GET", "/ezmodel/v1", "this is no operation; ezmodel has the paths ", "/ezmodel/v1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("behavior", ["documented", "observed"])
def test_what_to_mend(serve_once: Served, method: str, path: str, said: str, base: str, behavior: str) -> None:
    """The finding names method, path, what is wrong, and the base URL that works; the header has its code."""
    key = f"sk-{stable_id(f'{behavior} {method} {path}')}"
    headers = {"authorization": f"Bearer {key}", "x-emulator": f"behavior={behavior}"}
    response = httpx.request(method, serve_once.url + path, headers=headers)
    assert 404 == response.status_code
    assert "unknown_path" in response.headers["x-emulator-finding"]
    (finding,) = serve_once.calls()[-1]["findings"]
    assert "unknown_path" == finding["code"]
    assert finding["message"].startswith(f"{method} {path}: ")
    assert said in finding["message"]
    assert finding["message"].endswith(f"base URL is {serve_once.url}{base}")


def test_a_wrong_method(serve_once: Served) -> None:
    """The methods that the path takes are named, also where the gateway's answer is empty."""
    response = httpx.get(f"{serve_once.url}/ezmodel/v1/{GENERATIONS}", headers={"authorization": "Bearer sk-get"})
    assert (405, "unknown_path") == (response.status_code, response.headers["x-emulator-finding"])
    assert (
        f"GET /ezmodel/v1/{GENERATIONS}: the method is wrong; this path takes POST"
        == (serve_once.calls()[-1]["findings"][0]["message"])
    )


@pytest.fixture(scope="module")
def serve_once() -> object:
    """One server for all cases."""
    served = Served()
    yield served
    served.stop()


def test_the_console_says_what_to_mend(serve: Callable[..., Served]) -> None:
    """Method and path of a call whose address was not understood, and the mistake; no key that stands in the path."""
    served = serve()
    lines: list[str] = []
    served.app.observers.append(lambda record: lines.append(format_call(record)))
    httpx.post(f"{served.url}/ezmodle/v1/{GENERATIONS}", headers={"authorization": "Bearer sk-x"})
    httpx.get(f"{served.url}/ezmodel/v1/sk-0123456789abcdef0123", headers={"authorization": "Bearer sk-x"})
    served.generate("ezmodel", {"prompt": "x"})
    while len(lines) < 3:  # the line is written when the answer has been sent
        served.calls()
    meant = f"no gateway is named 'ezmodle'; ezmodel's base URL is {served.url}/ezmodel/v1"
    assert lines[0].endswith(f"404 not_found unknown_path POST /ezmodle/v1/{GENERATIONS}: {meant}")
    assert "404 not_found unknown_path GET /ezmodel/v1/***: ezmodel has the paths /v1/" in lines[1]
    assert "/ezmodel/v1" not in lines[2]
