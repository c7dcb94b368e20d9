"""Runs the golden exchanges of `tests/gateways/`: what each gateway's page promises, each rule kept and each broken.

An entry is one sentence (`name`), where the promise comes from (`source`, `where`), a `request`, and the whole `reply`.
`rule` is the source of the schema's line that a refused request breaks, as the journal tells it; a refusal that breaks
no line (a bad key, no JSON) has none. `findings` are the codes in X-Emulator-Finding, `params` what the journal shows
of the call as it was understood (`absent` lists what must not be there). `each` makes one entry many: a mapping of
lists (every combination) or a list of rows; `{variable}` takes the value. `{repeat: [text or list, times]}` is long.
A reply has a `body`, which is JSON in the gateway's own layout and may have an `end` behind it, or a `text`, which is
all there is. `settings` are those of the server that answers.

Texts in pointed brackets stand for what varies from run to run: see PLACEHOLDERS.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
import yaml
from jsonschema import Draft202012Validator
from PIL import Image
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from emulator.core import yaml_file
from emulator.gateway import gateway as dialect
from tests.conftest import Served
from tests.paths import TESTS

GATEWAYS: Final = ("geekai", "ezmodel", "geeknow", "aiai", "openai")
FOLDER: Final = TESTS / "gateways"
SOURCES: Final = ("documented", "observed", "assumed")
SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {"openai": {"as_of": "2026-11-20"}}
"""Of the server that answers for a gateway: a calendar stands still in tests."""
INDENTS: Final[Mapping[str, int]] = {"openai": 2}
"""The gateways whose replies are indented; the others' have no needless space."""
PLACEHOLDERS: Final = re.compile(
    r"<created>|<int>|<rewritten prompt>"  # Unix seconds of now; any integer; holds the prompt, and is not the prompt
    r"|<uuid>"
    r"|<(?P<kind>url|base64)"  # a picture's link, or the picture itself; with a size it is looked at:
    r"(?: (?P<width>\d+)x(?P<height>\d+) (?P<format>png|jpeg|webp)(?P<alpha> alpha)?)?>"  # no alpha: it is opaque
)
ENDINGS: Final = {"png": "png", "jpeg": "jpg", "webp": "webp"}


class BadEntry(ValueError):
    """A golden entry that would not test what its author meant."""


@dataclass(frozen=True)
class Exchange:
    """One request and the reply that it must get; `rule` and the rest are explained at the top of this file."""

    id: str
    gateway: str
    source: str
    rule: str | None
    request: Mapping[str, Any]
    response: Mapping[str, Any]
    findings: tuple[str, ...]
    params: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def schema(self) -> str:
        """Which of the gateway's own schemas the reply's body keeps."""
        path, method = self.request["path"], self.request.get("method", "POST")
        if self.response["status"] >= 400:
            return "Refusal"
        if "/images/generations" in path:
            return "Pictures"
        return "Models" if path == "/models" else "Model" if method == "GET" else "Deleted"


def expanded(gateway: str, entry: Any) -> Iterator[Exchange]:
    """The exchanges that `entry` stands for; raises BadEntry where a key, a source or a placeholder is not known."""
    allowed = ("rule", "each", "findings", "params", "settings")
    _only("an entry", entry, ("name", "source", "where", "request", "reply"), allowed)
    name = entry["name"]
    if entry["source"] not in SOURCES or entry.get("rule") not in (None, *SOURCES):
        raise BadEntry(f"{name}: source {entry['source']!r}, rule {entry.get('rule')!r}; known are {SOURCES}")
    rows = list(_rows(entry.get("each", {})))
    if not rows:
        raise BadEntry(f"{name}: `each` is empty, so nothing is tested")
    for row in rows:
        row = {variable: _filled(value, {}, set()) for variable, value in row.items()}
        used: set[str] = set()
        request = _filled(entry["request"], row, used)
        shown = ", ".join(_short(row[variable]) for variable in row if variable in used)
        reply, params, findings = (_filled(entry.get(key), row, used) for key in ("reply", "params", "findings"))
        if unused := set(row) - used:
            raise BadEntry(f"{name}: {', '.join(sorted(unused))} of `each` is never used")
        _only(f"{name}: request", request, ("path",), ("method", "headers", "body", "text"))
        _only(f"{name}: reply", reply, ("status", "text" if "text" in reply else "body"), ("headers", "end"))
        _known_placeholders(name, reply.get("body"))
        if reply["status"] >= 400 and (entry["source"] == "documented" or params):
            raise BadEntry(f"{name}: no page words a refusal, so it is observed or assumed; and it has no params")
        if reply["status"] < 400 and "rule" in entry:
            raise BadEntry(f"{name}: an accepted request breaks no rule")
        yield Exchange(
            id=f"{gateway}: {name}" + (f" [{shown}]" if shown else ""),
            gateway=gateway,
            source=entry["source"],
            rule=entry.get("rule"),
            request=request,
            response=reply,
            findings=tuple(findings or ()),
            params=params or {},
            settings={**SETTINGS.get(gateway, {}), **entry.get("settings", {})},
        )


def _only(what: str, mapping: Any, needed: tuple[str, ...], allowed: tuple[str, ...] = ()) -> None:
    if not isinstance(mapping, Mapping):
        raise BadEntry(f"{what} is no mapping: {mapping!r}")
    if unknown := [key for key in mapping if key not in needed + allowed]:
        raise BadEntry(f"{what} has unknown keys {unknown}; known are {', '.join(needed + allowed)}")
    if missing := [key for key in needed if key not in mapping]:
        raise BadEntry(f"{what} lacks {', '.join(missing)}")


def _rows(each: Any) -> Iterator[Mapping[str, Any]]:
    """The values that `{variables}` take: every combination of a mapping of lists, or row by row."""
    if isinstance(each, list):
        yield from each
        return
    for values in itertools.product(*each.values()):
        yield dict(zip(each, values, strict=True))


def _filled(node: Any, row: Mapping[str, Any], used: set[str]) -> Any:
    """`node` with variables and repetitions filled in; puts the variables that it meets into `used`."""
    if isinstance(node, Mapping):
        if set(node) == {"repeat"}:
            what, times = _filled(node["repeat"], row, used)
            return what * times
        return {_filled(key, row, used): _filled(value, row, used) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, row, used) for value in node]
    if not isinstance(node, str):
        return node
    names = _VARIABLE.findall(node)
    if unknown := [name for name in names if name not in row]:
        raise BadEntry(f"{node!r} names {unknown}, which `each` does not have")
    used.update(names)
    if names and node == f"{{{names[0]}}}":
        return row[names[0]]
    return _VARIABLE.sub(lambda found: str(row[found[1]]), node)


def _known_placeholders(name: str, node: Any) -> None:
    for text in _texts(node):
        if text.startswith("<") and not PLACEHOLDERS.fullmatch(text):
            raise BadEntry(f"{name}: unknown placeholder {text!r}")


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from _texts(value)
    elif isinstance(node, str):
        yield node


def _short(value: Any) -> str:
    text = value if isinstance(value, str) and not _LIKE_JSON.fullmatch(value) else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def load(gateway: str) -> list[Exchange]:
    """All golden exchanges of `gateway`."""
    entries = yaml.safe_load((FOLDER / f"{gateway}.yaml").read_text("utf-8"))
    return [exchange for entry in entries for exchange in expanded(gateway, entry)]


_LIKE_JSON: Final = re.compile(r"|null|true|false|[0-9.]+|[{\[].*")
_VARIABLE: Final = re.compile(r"\{([a-z_]+)\}")
EXCHANGES: Final = [exchange for gateway in GATEWAYS for exchange in load(gateway)]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """One client for all exchanges, so that they need few connections."""
    with httpx.Client(timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def answering(server: Served) -> Iterator[Callable[[Mapping[str, Any]], Served]]:
    """The server with these settings; it is started when it is first needed."""
    servers = {"{}": server}

    def find(settings: Mapping[str, Any]) -> Served:
        name = json.dumps(settings, sort_keys=True)
        if name not in servers:
            servers[name] = Served(**settings)
        return servers[name]

    yield find
    for one in servers.values():
        if one is not server:
            one.stop()


@pytest.mark.parametrize("exchange", [pytest.param(exchange, id=exchange.id) for exchange in EXCHANGES])
def test_a_gateway_answers_as_its_page_says(
    exchange: Exchange, answering: Callable[[Mapping[str, Any]], Served], client: httpx.Client
) -> None:
    """The reply is the golden one, order of keys included, and keeps the gateway's own schema; the journal agrees."""
    server = answering(exchange.settings)
    response, entry = _ask(exchange, server, client)
    given = exchange.request.get("body", entry.get("given"))
    prompt = given.get("prompt") if isinstance(given, Mapping) else None
    wrong = [
        *_compared(exchange.response["status"], response.status_code, "status"),
        *_headers(exchange, response),
        *_bodies(Looker(client, f"{server.url}/pictures/", prompt), exchange, response),
        *_journalled(exchange, entry),
    ]
    assert not wrong, "\n  ".join([f"{exchange.id}\n  answered {response.text[:1000]!r}", *wrong])


def _ask(exchange: Exchange, server: Served, client: httpx.Client) -> tuple[httpx.Response, Mapping[str, Any]]:
    """The reply to the exchange's request, and what the journal has of it (in a session of its own)."""
    request = exchange.request
    session = "golden-" + hashlib.sha256(exchange.id.encode()).hexdigest()[:16]
    usual = {"authorization": "Bearer sk-golden", "content-type": "application/json"}
    given = {name.lower(): value for name, value in request.get("headers", {}).items()}
    headers = {name: value for name, value in {**usual, **given}.items() if value is not None}
    content = request.get("text", "")
    if "body" in request:
        content = json.dumps(request["body"], ensure_ascii=False)
    elif "text" not in request:
        headers.pop("content-type", None)
    response = client.request(
        request.get("method", "POST"),
        server.base(exchange.gateway) + request["path"],
        headers={**headers, "x-emulator-session": session},
        content=content.encode() if isinstance(content, str) else content,
    )
    for _ in range(100):  # a call is written down just after its reply is sent
        entry = client.get(f"{server.url}/_emulator/sessions/{session}/calls/latest")
        if entry.status_code == 200:
            break
    found: dict[str, Any] = entry.json()
    return response, found


def _headers(exchange: Exchange, response: httpx.Response) -> Iterator[str]:
    """What is wrong with the headers; those that every reply has are checked too."""
    usual = {"content-type": "application/json", "access-control-allow-origin": "*"}
    for name, expected in {**usual, **exchange.response.get("headers", {})}.items():
        yield from _compared(expected, response.headers.get(name), f"header {name}")
    if not re.fullmatch(r"req_[0-9a-f]{32}", response.headers.get("x-request-id", "")):
        yield f"header x-request-id: {response.headers.get('x-request-id')!r}"
    said = response.headers.get("x-emulator-finding")
    codes = said.split(", ") if said is not None else []
    codes = [code for code in codes if code != "default_differs"]  # it is about the gateways around this one
    yield from _compared(sorted(exchange.findings), sorted(codes), "findings")


def _bodies(looker: Looker, exchange: Exchange, response: httpx.Response) -> Iterator[str]:
    """What is wrong with the body: against the golden one, its layout, and against the gateway's own schema."""
    if "text" in exchange.response:
        yield from _compared(exchange.response["text"], response.text, "text")
        return
    try:
        body = json.loads(response.content, object_pairs_hook=_no_key_twice)
    except ValueError as error:
        yield f"body: {error}"
        return
    yield from looker.compared(exchange.response["body"], body, "body")
    indent = INDENTS.get(exchange.gateway)
    layout = json.dumps(body, ensure_ascii=False, indent=indent, separators=None if indent else (",", ":"))
    if layout + exchange.response.get("end", "") != response.text:
        yield f"layout: came {response.text[:200]!r}"
    for violation in VALIDATORS[exchange.gateway, exchange.schema].iter_errors(body):
        yield f"body, by {exchange.gateway}.yaml: {violation.json_path}: {violation.message[:300]}"


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError(f"a key stands twice among {[key for key, _ in pairs]}")
    return mapping


def _journalled(exchange: Exchange, entry: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the call in the journal."""
    yield from _compared(exchange.gateway, entry.get("gateway"), "journal's gateway")
    refused = entry.get("refused") or {}
    if exchange.response["status"] >= 400:
        if exchange.rule is not None:
            yield from _compared(exchange.rule, refused.get("source", "not refused"), "source of the broken rule")
        return
    params = {"model": entry.get("model"), **(entry.get("params") or {})}  # a model that was not given is shown too
    for name, expected in exchange.params.items():
        if name == "absent":
            for name in expected:
                if name in params:
                    yield f"journal's params.{name}: expected to be absent, came {params[name]!r}"
        else:
            yield from _compared(expected, params.get(name, "(absent)"), f"journal's params.{name}")


def _compared(expected: Any, actual: Any, place: str) -> Iterator[str]:
    """One sentence if the two differ, be it in type or order of keys alone."""
    if json.dumps(expected) != json.dumps(actual):
        yield f"{place}: expected {_short(expected)}, came {_cut(actual)}"


def _cut(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:400]


@dataclass(frozen=True)
class Looker:
    """Compares a body with a golden one, and looks at pictures where a placeholder asks for it."""

    client: httpx.Client
    pictures: str
    prompt: Any

    def compared(self, expected: Any, actual: Any, place: str) -> Iterator[str]:
        """Where `actual` is not as `expected`, in sentences."""
        if isinstance(expected, Mapping) and isinstance(actual, Mapping):
            if list(expected) != list(actual):
                yield f"{place}: expected keys {list(expected)}, came {list(actual)}"
                return
            for key, value in expected.items():
                yield from self.compared(value, actual[key], f"{place}.{key}")
        elif isinstance(expected, list) and isinstance(actual, list):
            if len(expected) != len(actual):
                yield f"{place}: expected {len(expected)} items, came {len(actual)}"
                return
            for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
                yield from self.compared(one, other, f"{place}[{index}]")
            if len({json.dumps(one) for one in actual}) != len(actual):
                yield f"{place}: two of the {len(actual)} items are equal"
        elif isinstance(expected, str) and (found := PLACEHOLDERS.fullmatch(expected)):
            yield from (f"{place}: expected {expected}, {error}" for error in self._varies(found, actual))
        elif json.dumps(expected) != json.dumps(actual):
            yield f"{place}: expected {json.dumps(expected, ensure_ascii=False)}, came {_cut(actual)}"

    def _varies(self, expected: re.Match[str], actual: Any) -> Iterator[str]:
        if expected["kind"] is not None:
            yield from self._picture(expected, actual)
        elif expected[0] == "<rewritten prompt>":
            if not (isinstance(actual, str) and str(self.prompt).strip() in actual and actual != self.prompt):
                yield f"came {_cut(actual)} for the prompt {_cut(self.prompt)}"
        elif expected[0] == "<uuid>":
            if not (isinstance(actual, str) and re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", actual)):
                yield f"came {_cut(actual)}"
        elif not isinstance(actual, int) or isinstance(actual, bool):
            yield f"came {_cut(actual)}"
        elif expected[0] == "<created>" and abs(actual - time.time()) > 60:
            yield f"came {actual}, now is {int(time.time())}"

    def _picture(self, expected: re.Match[str], actual: Any) -> Iterator[str]:
        if not isinstance(actual, str):
            yield f"came {_cut(actual)}"
            return
        if expected["kind"] == "base64":
            try:
                data = base64.b64decode(actual, validate=True)
            except binascii.Error as error:
                yield f"came no Base64: {error}"
                return
        else:
            ending = ENDINGS[expected["format"]] if expected["format"] else "(png|jpg|webp)"
            if not re.fullmatch(re.escape(self.pictures) + rf"[A-Za-z0-9._~-]+\.{ending}", actual):
                yield f"came {actual[:200]!r}, which is no picture's address at this server"
                return
            if not expected["width"]:
                return
            response = self.client.get(actual)
            if (response.status_code, response.headers["content-type"]) != (200, f"image/{expected['format']}"):
                yield f"{actual[:200]} answers {response.status_code} {response.headers['content-type']}"
                return
            data = response.content
        if expected["width"]:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                clear = image.convert("RGBA").getchannel("A").getextrema()[0] != 255
                shown = f"{image.width}x{image.height} {str(image.format).lower()}{' alpha' if clear else ''}"
            if f"<{expected['kind']} {shown}>" != expected[0]:
                yield f"came a picture {shown}"


def _validators() -> Iterator[tuple[tuple[str, str], Draft202012Validator]]:
    """What each gateway's file says of its own replies: the schema of the 200, and the one of every refusal."""
    for gateway in GATEWAYS:
        document = yaml.safe_load((yaml_file.schemas() / f"{gateway}.yaml").read_text("utf-8"))
        registry: Registry[Any] = Registry().with_resource("urn:it", DRAFT202012.create_resource(document))
        slash = "~1" if gateway == "aiai" else ""
        media = "content/application~1json/schema"
        for name, pointer in (
            ("Pictures", f"paths/~1images~1generations{slash}/post/responses/200/{media}"),
            ("Models", f"paths/~1models/get/responses/200/{media}"),
            ("Model", f"paths/~1models~1%7Bmodel%7D/get/responses/200/{media}"),
            ("Deleted", f"paths/~1models~1%7Bmodel%7D/delete/responses/200/{media}"),
            ("Refusal", f"components/responses/Refusal/{media}"),
        ):
            yield (gateway, name), Draft202012Validator({"$ref": f"urn:it#/{pointer}"}, registry=registry)


VALIDATORS: Final = dict(_validators())


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_every_listed_model_draws_in_some_exchange(gateway: str) -> None:
    """No model can be listed in a schema, or in the answer to GET models, without an exchange that it answers."""
    operation = next(dialect.read(yaml_file.schemas() / f"{gateway}.yaml").generating())
    assert operation.models is not None
    drawn = {
        exchange.request["body"]["model"]
        for exchange in EXCHANGES
        if exchange.gateway == gateway
        and exchange.response["status"] == 200
        and "model" in exchange.request.get("body", {})
    }
    assert set(operation.models.listed) - drawn == set()


def test_no_two_exchanges_share_a_name() -> None:
    """A name is a test's id and a session's name: two alike would read each other's journal."""
    ids = [exchange.id for exchange in EXCHANGES]
    assert [] == [one for one in ids if ids.count(one) > 1]


def test_every_exchange_says_where_its_promise_comes_from() -> None:
    """Each source is one of the words, and a refusal, whose wording no page has, is never called documented."""
    assert {exchange.source for exchange in EXCHANGES} <= set(SOURCES)
    assert "documented" not in {exchange.source for exchange in EXCHANGES if exchange.response["status"] >= 400}


GOOD: Final[Mapping[str, Any]] = {
    "name": "x",
    "source": "assumed",
    "where": "nowhere",
    "request": {"path": "/images/generations", "body": {"prompt": "x"}},
    "reply": {"status": 200, "body": {"created": "<created>"}},
}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"parms": {}}, "unknown keys"),
        ({"request": {"path": "/models", "boby": {}}}, "unknown keys"),
        ({"request": {"body": {}}}, "lacks path"),
        ({"reply": {"status": 200, "body": {}, "header": {}}}, "unknown keys"),
        ({"reply": {"status": 200}}, "lacks body"),
        ({"reply": {"status": 200, "body": {}, "text": ""}}, "unknown keys"),
        ({"reply": {"status": 200, "body": {"created": "<createt>"}}}, "unknown placeholder"),
        ({"reply": {"status": 200, "body": {"url": "<url 1024 png>"}}}, "unknown placeholder"),
        ({"reply": {"status": 400, "body": {}}, "source": "documented"}, "no page words a refusal"),
        ({"reply": {"status": 400, "body": {}}, "params": {"n": 1}}, "has no params"),
        ({"rule": "documented"}, "breaks no rule"),
        ({"source": "guessed"}, "known are"),
        ({"source": None}, "known are"),
        ({"rule": "guessed"}, "known are"),
        ({"each": {"size": ["1024x1024"]}}, "never used"),
        ({"each": []}, "nothing is tested"),
        ({"each": {"size": []}}, "nothing is tested"),
        ({"request": {"path": "/models", "body": {"size": "{size}"}}}, "does not have"),
    ],
)
def test_a_slip_in_a_golden_file_is_refused(change: Mapping[str, Any], complaint: str) -> None:
    """A typo must not make a test that tests nothing."""
    assert 1 == len(list(expanded("x", GOOD)))
    with pytest.raises(BadEntry, match=complaint):
        list(expanded("x", {**GOOD, **change}))


def test_an_entry_can_stand_for_many() -> None:
    """`each` multiplies and keeps types, `repeat` makes texts and lists long."""
    entry = {
        **GOOD,
        "each": {"n": [1, 1.0], "word": ["猫"]},
        "request": {"path": "/x", "body": {"n": "{n}", "prompt": {"repeat": ["{word}", 3]}}},
        "reply": {"status": 200, "body": {"data": {"repeat": [[{"url": "<url>"}], 2]}}},
    }
    bodies = [exchange.request["body"] for exchange in expanded("x", entry)]
    assert json.dumps([{"n": 1, "prompt": "猫猫猫"}, {"n": 1.0, "prompt": "猫猫猫"}]) == json.dumps(bodies)
    assert [{"url": "<url>"}] * 2 == next(expanded("x", entry)).response["body"]["data"]
