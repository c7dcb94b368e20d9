"""Reads one answer of a scenario: what is drawn, refused or canned, how long it takes, and what goes wrong.

Like *script*, it refuses when it is given what would bite later, in one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from emulator import dice, faults, files
from emulator.exchange import KINDS, Canned, Draw, Plan, Refuse
from emulator.files import Source
from emulator.scenario import Answer

Pointer = list[str | int]


@dataclass(frozen=True)
class Reader:
    """Reads the parts of a rule; what other rooms refuse becomes a complaint with its line."""

    source: Source

    def told(self, pointer: Pointer, read: Callable[[Any], Any], value: Any) -> Any:
        """What `read` makes of `value`."""
        try:
            return read(value)
        except (ValueError, TypeError) as error:
            raise self.source.fault(pointer, str(error)) from None


def read(reader: Reader, pointer: Pointer, value: Any) -> Answer:
    """The answer that `value` spells, which stands at `pointer`; raises BadFile."""
    source = reader.source
    if isinstance(value, str):
        value = {value: {}}
    value = source.known_keys(pointer, value, (*_PLANS, "forward", "latency", "faults", "headers", "times"))
    if "forward" in value:
        raise source.fault([*pointer, "forward"], "forward comes with recording, which is not there yet")
    plans = [word for word in _PLANS if word in value]
    if len(plans) > 1:
        raise source.fault(pointer, f"an answer is one of {', '.join(_PLANS)}; here are {' and '.join(plans)}")
    if not plans and not value.keys() & {"latency", "faults", "headers"}:
        raise source.fault(pointer, f"an answer without a plan; expected one of {', '.join(_PLANS)}")
    word = plans[0] if plans else "draw"
    times = value.get("times", 1)
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise source.fault([*pointer, "times"], f"times is {files.describe(times)}; expected a whole number from 1")
    entries = value.get("faults", [])
    if not isinstance(entries, list):
        raise source.fault([*pointer, "faults"], f"faults is {files.describe(entries)}; expected a list")
    return Answer(
        plan=_PLANS[word](reader, [*pointer, word], value.get(word)),
        latency=reader.told([*pointer, "latency"], dice.read, value["latency"]) if "latency" in value else None,
        faults=tuple(reader.told([*pointer, "faults", i], faults.read, one) for i, one in enumerate(entries)),
        headers=tuple(_headers(source, [*pointer, "headers"], value.get("headers", {}))),
        times=times,
    )


def _headers(source: Source, pointer: Pointer, value: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        raise source.fault(pointer, f"headers is {files.describe(value)}; expected a mapping of names to texts")
    for name, text in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise source.fault([*pointer, name], f"{name!r} cannot name a header")
        if name.lower() in _FRAMING:
            raise source.fault([*pointer, name], f"{name} says how the answer is framed; a fault can break that")
        if isinstance(text, bool) or not isinstance(text, str | int | float) or re.search(_CONTROL, str(text)):
            raise source.fault([*pointer, name], f"header {name} is {files.describe(text)}; expected one line of text")
        yield name, str(text)


def _draw(reader: Reader, pointer: Pointer, value: Any) -> Plan:
    source = reader.source
    known = ("revised_prompt", "usage", "images", "metadata", "created", "omit", "set")
    value = source.known_keys(pointer, {} if value in (None, True) else value, known)
    for key, kinds in _DRAW_KINDS.items():
        if key in value and (not isinstance(value[key], kinds) or isinstance(value[key], bool)):
            raise source.fault([*pointer, key], f"{key} is {files.describe(value[key])}; expected {_SAID[key]}")
    if value.get("images", 0) < 0:
        raise source.fault([*pointer, "images"], f"images is {value['images']}; expected 0 or more")
    for key in ("usage", "metadata", "set"):
        _speakable(source, [*pointer, key], value.get(key))
    for at in value.get("set", {}):
        if not isinstance(at, str) or not at.startswith("/"):
            raise source.fault([*pointer, "set"], f"{at!r} is no JSON pointer such as /data/0/url")
    for name in re.findall(r"\{([^{}]*)\}", value.get("revised_prompt", "")):
        if name not in TEMPLATE_NAMES:
            known_names = ", ".join(TEMPLATE_NAMES)
            raise source.fault([*pointer, "revised_prompt"], f"{{{name}}} is no name; known are {known_names}")
    return Draw(
        revised_prompt=value.get("revised_prompt"),
        usage=value.get("usage"),
        images=value.get("images"),
        metadata=value.get("metadata"),
        created=value.get("created"),
        omit=tuple(map(str, value.get("omit", ()))),
        changes=tuple(value.get("set", {}).items()),
    )


def _speakable(source: Source, pointer: Pointer, value: Any) -> None:
    """Refuse what JSON cannot say, such as bytes and .nan."""
    try:
        json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise source.fault(pointer, f"{pointer[-1]} cannot be said in JSON: {error}") from None


def _refuse(reader: Reader, pointer: Pointer, value: Any) -> Plan:
    source = reader.source
    words: Mapping[str, Any] = {}
    if isinstance(value, Mapping):
        words = source.known_keys(pointer, value, ("kind", "status", "type", "code", "param", "message"))
        value = words.get("kind")
    if value not in KINDS:
        raise source.fault(pointer, f"refuse is {files.describe(value)}; expected one of {', '.join(KINDS)}")
    status = words.get("status", 400)
    if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 599:
        raise source.fault([*pointer, "status"], f"status is {files.describe(status)}; expected 400 to 599")
    for key in ("type", "code", "param", "message"):
        if not isinstance(words.get(key), str if key == "message" and key in words else str | None):
            raise source.fault([*pointer, key], f"{key} is {files.describe(words[key])}; expected a text")
    return Refuse(value, {key: text for key, text in words.items() if key != "kind"})


def _canned(reader: Reader, pointer: Pointer, value: Any) -> Plan:
    source = reader.source
    value = source.known_keys(pointer, value, ("status", "content_type", "text", "json"))
    status = value.get("status", 200)
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise source.fault([*pointer, "status"], f"status is {files.describe(status)}; expected 200 to 599")
    if "text" in value and "json" in value:
        raise source.fault(pointer, "canned has both text and json; expected one of them")
    kind = value.get("content_type", "application/json" if "json" in value else "text/plain; charset=utf-8")
    if not isinstance(kind, str) or re.search(_CONTROL, kind):
        raise source.fault([*pointer, "content_type"], f"content_type is {files.describe(kind)}; expected a text")
    if "json" in value:
        _speakable(source, [*pointer, "json"], value["json"])
    body = json.dumps(value["json"], ensure_ascii=False) if "json" in value else value.get("text", "")
    if not isinstance(body, str):
        raise source.fault([*pointer, "text"], f"text is {files.describe(body)}; expected a text")
    return Canned(status, kind, body.encode("utf-8", "replace"))


_FRAMING: Final = ("connection", "content-length", "transfer-encoding")
_CONTROL: Final = r"[\x00-\x08\x0a-\x1f\x7f]"
TEMPLATE_NAMES: Final = ("prompt", "model", "size")
"""What a revised_prompt may name in braces."""

_PLANS: Final[Mapping[str, Callable[[Reader, Pointer, Any], Plan]]] = {
    "draw": _draw,
    "refuse": _refuse,
    "canned": _canned,
}
_DRAW_KINDS: Final[Mapping[str, Any]] = {
    "revised_prompt": str, "usage": Mapping, "images": int, "metadata": Mapping, "created": int, "omit": list,
    "set": Mapping,
}  # fmt: skip
_SAID: Final = {
    "revised_prompt": "a text", "usage": "a mapping", "images": "a whole number", "metadata": "a mapping",
    "created": "a whole number (Unix seconds)", "omit": "a list of names",
    "set": "a mapping of JSON pointers to values",
}  # fmt: skip
