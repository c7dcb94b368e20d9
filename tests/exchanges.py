"""Reads the golden exchanges of `tests/gateways/`, and compares a reply with the golden one.

An entry is one sentence (`name`), where the promise comes from (`source`, `where`), a `request`, and the whole `reply`.
`rule` is the source of the schema's line that a refused request breaks, as the journal tells it; a refusal that breaks
no line (a bad key, no JSON) has none. `findings` are the codes in X-Emulator-Finding, `params` what the journal shows
of the call as it was understood (`absent` lists what must not be there). `each` makes one entry many: a mapping of
lists (every combination) or a list of rows; `{variable}` takes the value. `{repeat: [text or list, times]}` is long.
A reply has a `body`, which is JSON in the gateway's own layout and may have an `end` behind it, or a `text`, which is
all there is. `settings` are those of the server that answers.

Texts in pointed brackets stand for what varies from run to run: see PLACEHOLDERS. <id> inside of a text is the
request's id, which the reply has in a header too.
"""

from __future__ import annotations

import base64
import binascii
import io
import itertools
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from PIL import Image

from emulator.messages import KINDS, VIOLATIONS
from tests.paths import TESTS
from tests.yaml_texts import load_yaml

GATEWAYS: Final = (
    "geekai",
    "ezmodel",
    "geeknow",
    "aiai",
    "openai",
    "azure",
    "xai",
    "ark",
    "together",
    "openrouter",
    "sd-cpp",
    "vllm-omni",
    "sglang",
    "localai",
)
FOLDER: Final = TESTS / "gateways"
SOURCES: Final = ("documented", "observed", "assumed")
SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {"openai": {"as_of": "2026-11-20"}}
"""Of the server that answers for a gateway: a calendar stands still in tests."""
PLACEHOLDERS: Final = re.compile(
    r"<created>|<int>|<rewritten prompt>"  # Unix seconds of now; any integer; holds the prompt, and is not the prompt
    r"|<uuid>"
    r"|<(?P<kind>url|signed url|base64)"  # a link, a signed one, or the picture; with a size it is looked at:
    r"(?: (?P<width>\d+)x(?P<height>\d+) (?P<format>png|jpeg|webp)(?P<alpha> alpha)?)?>"  # no alpha: it is opaque
)
_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\dZ"
_SIGNED: Final = (  # openai.md §6: the query of a link to Azure's storage
    rf"\?st={_TIME}&se={_TIME}&sp=r&sv=2021-08-06&sr=b&rscd=inline&rsct=image/(?:png|jpeg|webp)&skoid=[0-9a-f-]{{36}}"
    rf"&sktid=a48cca56-e6da-484e-a814-9c849652bcb3&skt={_TIME}&ske={_TIME}&sks=b&skv=2021-08-06&sig=[A-Za-z0-9%]+%3D"
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
        if "/images/generations" in path or path == "/images":
            return "Pictures"
        return "Models" if path == "/models" else "Model" if method == "GET" else "Deleted"


def expand_entry(gateway: str, entry: Any) -> Iterator[Exchange]:
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
        row = {variable: _fill(value, {}, set()) for variable, value in row.items()}
        used: set[str] = set()
        request = _fill(entry["request"], row, used)
        shown = ", ".join(_show(row[variable]) for variable in row if variable in used)
        reply, params, findings = (_fill(entry.get(key), row, used) for key in ("reply", "params", "findings"))
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


def _fill(node: Any, row: Mapping[str, Any], used: set[str]) -> Any:
    """`node` with variables and repetitions filled in; puts the variables that it meets into `used`."""
    if isinstance(node, Mapping):
        if set(node) == {"repeat"}:
            what, times = _fill(node["repeat"], row, used)
            return what * times
        return {_fill(key, row, used): _fill(value, row, used) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, row, used) for value in node]
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


def _show(value: Any) -> str:
    text = value if isinstance(value, str) and not _LIKE_JSON.fullmatch(value) else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def load_exchanges(gateway: str) -> list[Exchange]:
    """All golden exchanges of `gateway`."""
    entries = load_yaml((FOLDER / f"{gateway}.yaml").read_text("utf-8"))
    return [exchange for entry in entries for exchange in expand_entry(gateway, entry)]


_LIKE_JSON: Final = re.compile(r"|null|true|false|[0-9.]+|[{\[].*")
_VARIABLE: Final = re.compile(r"\{([a-z_]+)\}")


def list_findings(header: str | None, expected: tuple[str, ...]) -> list[str]:
    """The codes in X-Emulator-Finding without what a refusal says itself (breach, kind, path), unless expected."""
    codes = header.split(", ") if header else []
    said = {*KINDS, *VIOLATIONS, "unknown_path"}.difference(expected)
    return [code for code in codes if code not in said]


def compare_values(expected: Any, actual: Any, place: str) -> Iterator[str]:
    """One sentence if the two differ, be it in type or order of keys alone."""
    if json.dumps(expected) != json.dumps(actual):
        yield f"{place}: expected {_show(expected)}, came {_shorten(actual)}"


def _shorten(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:400]


@dataclass(frozen=True)
class BodyComparison:
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
            yield f"{place}: expected {json.dumps(expected, ensure_ascii=False)}, came {_shorten(actual)}"

    def _varies(self, expected: re.Match[str], actual: Any) -> Iterator[str]:
        if expected["kind"] is not None:
            yield from self._picture(expected, actual)
        elif expected[0] == "<rewritten prompt>":
            if not (isinstance(actual, str) and str(self.prompt).strip() in actual and actual != self.prompt):
                yield f"came {_shorten(actual)} for the prompt {_shorten(self.prompt)}"
        elif expected[0] == "<uuid>":
            if not (isinstance(actual, str) and re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", actual)):
                yield f"came {_shorten(actual)}"
        elif not isinstance(actual, int) or isinstance(actual, bool):
            yield f"came {_shorten(actual)}"
        elif expected[0] == "<created>" and abs(actual - time.time()) > 60:
            yield f"came {actual}, now is {int(time.time())}"

    def _picture(self, expected: re.Match[str], actual: Any) -> Iterator[str]:
        if not isinstance(actual, str):
            yield f"came {_shorten(actual)}"
            return
        if expected["kind"] == "base64":
            try:
                data = base64.b64decode(actual, validate=True)
            except binascii.Error as error:
                yield f"came no Base64: {error}"
                return
        else:
            ending = ENDINGS[expected["format"]] if expected["format"] else "(png|jpg|webp)"
            query = _SIGNED if expected["kind"] == "signed url" else ""
            if not re.fullmatch(re.escape(self.pictures) + rf"[A-Za-z0-9._~-]+\.{ending}{query}", actual):
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
