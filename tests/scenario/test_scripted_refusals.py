"""A refusal that a scenario asks for reads like the contract's own: on every gateway, through every door."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx
import pytest

from emulator.core.names import RESERVED_HEADER
from emulator.gateway.gateway import GENERATE_LIMIT, Gateway
from emulator.gateway.model_catalog import find_model
from emulator.messages import BEHAVIORS, CASES, KINDS, Kind
from emulator.validation import registry
from tests.conftest import Served
from tests.stable_ids import stable_id
from tests.uploads import data_url, draw_file

AT: Final = "frozen:2026-01-01T00:00:48Z"  # 12 seconds before the next minute, as a scripted rate limit says
DOORS: Final = ("file", "header", "key", "model", "prompt")
OPERATIONS: Final = ("generate", "edit", "models", "model", "task")
MODEL: Final = "dall-e-3"
BLANKS: Final = (r"''", r'""', r"``", r"\( ", r" \)", r"\(\)", r" \.", r"\bto  on\b", r"  ", r"\{", r"[ (:]$")
"""What is left of a message where a fact is missing."""


@pytest.fixture(scope="module")
def frozen() -> Iterator[httpx.Client]:
    """A client of a server on a clock that stands still."""
    served = Served(clock=AT)
    with httpx.Client(base_url=served.url, timeout=30) as client:
        yield client
    served.stop()


GATEWAYS: Final = [
    (gateway, behavior)
    for documented in registry.load_gateways([])
    for behavior in BEHAVIORS
    for gateway in (documented if behavior == "documented" else registry.load_behavior(documented.name, behavior),)
    if gateway is not None
]
"""Each gateway in each behavior that it has."""


class Caller:
    """Makes calls to one gateway in one session; `client` keeps its connection for all of them."""

    def __init__(self, client: httpx.Client, gateway: Gateway, session: str, key: str = "sk-mykeyisowned3456") -> None:
        self._client, self._gateway, self._session = client, gateway, session
        models = next(gateway.iter_generating()).models
        assert models is not None
        self.model = MODEL if models.find_rules(MODEL, ()) is not None else gateway.usual_model
        self._headers = {"authorization": f"Bearer {key}", "x-emulator-session": session}
        if gateway.behavior != "documented":  # as the server itself behaves
            settings = client.put(self._admin("/settings"), json={"behavior": gateway.behavior})
            assert settings.is_success, settings.text

    def _admin(self, path: str) -> str:
        return f"/_emulator/sessions/{self._session}{path}"

    def play(self, scenario: Any) -> None:
        """Play a scenario in the session."""
        response = self._client.put(self._admin("/scenario"), json=scenario)
        assert 200 == response.status_code, response.text

    def find(self, operation: str) -> tuple[str, str] | None:
        """Return method and path of an operation that answers, None where the gateway has none of that name."""
        for path, by_method in self._gateway.operations.items():
            for method, one in by_method.items():
                if one.name == operation and one.redirect is None and method != "DELETE":
                    return method, re.sub(r"\{[a-z_]+\}", self.model if operation == "model" else "task-1", path)
        return None

    def send(
        self, operation: str = "generate", *, model: str | None = None, prompt: str = "A lake", headers: Any = None
    ) -> httpx.Response:
        """Make a call without a mistake."""
        model = model or self.model
        found = self.find(operation)
        assert found is not None
        method, path = found
        body: Any = {}
        if operation == "generate":
            body = {"json": {"model": model, "prompt": prompt}}
        elif operation == "edit":
            fields = {"model": model, "prompt": prompt}
            body = {"data": fields, "files": {"image": ("i.png", draw_file(mode="RGBA", size=(64, 64)), "image/png")}}
            if self._gateway.operations[path][method].form is None:
                body = {"json": {**fields, "image": "https://a.example/i.png"}}
                if self._gateway.operations[path][method].picture_places is not None:
                    body["json"]["image"] = {"url": data_url(draw_file())}
        return self.request(method, path, headers, **body)

    def request(self, method: str, path: str, headers: Mapping[str, str] | None = None, **body: Any) -> httpx.Response:
        """Send any request to the gateway."""
        headers = {**self._headers, **(headers or {})}
        return self._client.request(method, f"/{self._gateway.name}{path}", headers=headers, **body)


def _read_texts(response: httpx.Response) -> Iterator[str]:
    """Yield each text in the body of a refusal but an empty slot that the gateway has by design."""
    parts = [response.json()] if response.content else []
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += part.values()
        elif isinstance(part, list):
            parts += part
        elif isinstance(part, str):
            yield part


def _assert_no_blanks(response: httpx.Response, gateway: Gateway) -> None:
    for text in _read_texts(response):
        for blank in BLANKS:
            assert not re.search(blank, text), text
        if not gateway.error_catalog.masked:  # a gateway that masks addresses does so with stars
            assert not re.search(r"(?<!\*)\*\*\*(?!\*)", text), text


def _open_door(caller: Caller, door: str, kind: str, operation: str) -> httpx.Response | None:
    """Return the answer to a call that `door` has refused as `kind`; None where an operation has no such door."""
    word = kind.replace("_", "-")
    match door:
        case "file":
            caller.play({"rules": [{"when": {"operation": operation}, "answers": {"refuse": kind}}]})
            return caller.send(operation)
        case "header":
            return caller.send(operation, headers={RESERVED_HEADER: f"refuse={kind}"})
        case "key" if operation != "task":
            return caller.send(operation, headers={"authorization": f"Bearer sk-emulator.{word}.case-7"})
        case "model" if operation in ("generate", "edit"):
            return caller.send(operation, model=f"{caller.model}:{word}")
        case "prompt" if operation in ("generate", "edit"):
            return caller.send(operation, prompt=f"A lake [[{word}]]")
        case _:
            return None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("gateway", "behavior"), GATEWAYS, ids=[f"{one.name}-{word}" for one, word in GATEWAYS])
def test_every_kind_through_every_door(frozen: httpx.Client, gateway: Gateway, behavior: str, kind: Kind) -> None:
    """The doors agree to the byte, and no text has a blank where a fact belongs."""
    for operation in OPERATIONS:
        bodies = set()
        for door in DOORS:
            caller = Caller(frozen, gateway, stable_id(f"{gateway.name}{behavior}{kind}{operation}{door}"))
            if caller.find(operation) is None:
                continue
            response = _open_door(caller, door, kind, operation)
            if response is None:
                continue
            _assert_no_blanks(response, gateway)
            assert response.headers.get("x-emulator-finding") != "bad_reserved_value"
            bodies.add((response.status_code, _generalize(response, {"sk-emula": "sk-mykey"})))
        assert len(bodies) <= 1, (operation, bodies)


def _generalize(response: httpx.Response, swaps: Mapping[str, str]) -> str:
    """Return the body without ids, keys in stars, and what `swaps` names."""
    text = response.text
    for one, other in swaps.items():
        text = text.replace(one, other)
    for name in ("x-request-id", "x-oneapi-request-id", "apim-request-id"):
        if name in response.headers:
            text = text.replace(response.headers[name], "ID")
    return re.sub(r"\*{4,}[\w.-]{4}|req_[0-9a-f]+", "*", text)


OWN: Final[Mapping[Kind, str]] = {
    "missing_key": "", "invalid_key": "sk-invalid-none-3456", "unknown_model": "no-such-model",
    "retired_model": "no-such-model", "not_found": "/nowhere", "wrong_method": "PUT", "too_large": "",
    "rate_limit": "images_per_minute", "quota": "images", "billing": "cost",
}  # fmt: skip
"""The kinds that the contract, or a limit, refuses by itself, and what provokes them."""


def _provoke(caller: Caller, kind: Kind) -> httpx.Response:
    """Return the contract's own refusal of `kind`."""
    found = caller.find("generate")
    assert found is not None
    method, path = found
    body = {"model": caller.model, "prompt": "A lake"}
    match kind:
        case "missing_key":
            return caller.request(method, path, {"authorization": ""}, json=body)
        case "invalid_key":
            return caller.request(method, path, {"authorization": f"Bearer {OWN[kind]}"}, json=body)
        case "unknown_model" | "retired_model":
            return caller.send(model=OWN[kind])
        case "not_found":
            return caller.request(method, path + OWN[kind], json=body)
        case "wrong_method":
            return caller.request(OWN[kind], path, json=body)
        case "too_large":
            return caller.request(method, path, content=b"x" * (GENERATE_LIMIT + 1))
        case _:
            most = {"images_per_minute": 5, "images": 1, "cost": 0}[OWN[kind]]
            caller.play({"limits": {OWN[kind]: most}})
            for _ in range(most):
                assert 200 == caller.send().status_code
            return caller.send()


NOT_ITS_OWN: Final = (
    "date",
    "x-request-id",
    "x-oneapi-request-id",
    "apim-request-id",
    "content-length",
    "x-emulator-finding",
    "connection",
)


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize(("gateway", "behavior"), GATEWAYS, ids=[f"{one.name}-{word}" for one, word in GATEWAYS])
def test_as_the_contract_says_it(frozen: httpx.Client, gateway: Gateway, behavior: str, kind: Kind) -> None:
    """Status, headers and body are those of the contract's own refusal, but for ids and what differs in the call."""
    own_caller = Caller(frozen, gateway, stable_id(f"own{gateway.name}{behavior}{kind}"))
    scripted_caller = Caller(frozen, gateway, stable_id(f"scripted{gateway.name}{behavior}{kind}"))
    if kind == "too_large" and next(gateway.iter_generating()).limit > GENERATE_LIMIT:
        return  # it takes pictures, as edits do, whose limit other tests reach
    if kind in ("missing_key", "invalid_key") and not gateway.needs_key:
        return  # it takes calls without a key
    own = _provoke(own_caller, kind)
    if 200 == own.status_code and kind in ("unknown_model", "retired_model"):
        return  # every name is a model of this gateway
    if 200 == own.status_code and kind == "billing" and find_model(own_caller.model) is None:
        return  # nobody knows its price, so no account runs out
    scripted = scripted_caller.send(headers={RESERVED_HEADER: f"refuse={kind}"})
    swaps = {"/nowhere": "", "PUT": "POST", "no-such-model": own_caller.model, "sk-inval": "sk-mykey"}
    assert own.status_code >= 400, own.text
    assert own.status_code == scripted.status_code
    assert _generalize(own, swaps) == _generalize(scripted, swaps)
    headers = [
        {name: value for name, value in one.headers.items() if name not in NOT_ITS_OWN} for one in (own, scripted)
    ]
    assert headers[0] == headers[1]


@pytest.mark.parametrize(("kind", "case"), [(kind, case) for kind, cases in CASES.items() for case in cases])
@pytest.mark.parametrize(("gateway", "behavior"), GATEWAYS, ids=[f"{one.name}-{word}" for one, word in GATEWAYS])
def test_every_case_is_worded(frozen: httpx.Client, gateway: Gateway, behavior: str, kind: Kind, case: str) -> None:
    """The finer cases of a kind have no blanks either."""
    caller = Caller(frozen, gateway, stable_id(f"{gateway.name}{behavior}{kind}{case}"))
    caller.play({"rules": [{"answers": {"refuse": {"kind": kind, "case": case}}}]})
    _assert_no_blanks(caller.send(), gateway)


@pytest.mark.parametrize("kind", ["server_error", "invalid_key", "unknown_model"])
@pytest.mark.parametrize(("gateway", "behavior"), GATEWAYS, ids=[f"{one.name}-{word}" for one, word in GATEWAYS])
def test_it_is_rendered_once(frozen: httpx.Client, gateway: Gateway, behavior: str, kind: Kind) -> None:
    """The refusals of equal calls differ in their ids alone, so they are one answer among those that are kept."""
    caller = Caller(frozen, gateway, stable_id(f"once{gateway.name}{behavior}{kind}"))
    rendered, sizes, messages = gateway.error_catalog._rendered, [], []
    for _ in range(3):
        response = caller.send(headers={RESERVED_HEADER: f"refuse={kind}"})
        request_id = next(
            response.headers[name] for name in NOT_ITS_OWN if "request-id" in name and name in response.headers
        )
        sizes.append(len(rendered))
        messages.append(response.text.replace(request_id, "ID"))
    assert 1 == len(set(sizes))
    assert 1 == len(set(messages))
