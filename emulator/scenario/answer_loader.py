"""Reads one answer of a scenario: what is drawn, refused or canned, how long it takes, and what goes wrong.

Like *script*, it refuses when it is given what would bite later, in one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from emulator import faults
from emulator.core.durations import parse_duration
from emulator.core.yaml_file import YamlFile, describe_value
from emulator.image.link import HostBehavior
from emulator.messages import CASES, CHANNELS, KINDS, Canned, ChannelName, Draw, Plan, Refuse
from emulator.scenario import picture_loader
from emulator.scenario.latency import parse_latency
from emulator.scenario.reader import Pointer, Reader
from emulator.scenario.scenario import Answer


def read(reader: Reader, pointer: Pointer, value: Any) -> Answer:
    """The answer that `value` spells, which stands at `pointer`; raises InvalidFile."""
    source = reader.source
    if isinstance(value, str):
        value = {value: {}}
    value = source.check_keys(pointer, value, (*_PLANS, "forward", "latency", "faults", "headers", "times"))
    if "forward" in value:
        raise source.error_at([*pointer, "forward"], "forward comes with recording, which is not there yet")
    plans = [word for word in _PLANS if word in value]
    if len(plans) > 1:
        raise source.error_at(pointer, f"an answer is one of {', '.join(_PLANS)}; here are {' and '.join(plans)}")
    if not plans and not value.keys() & {"latency", "faults", "headers"}:
        raise source.error_at(pointer, f"an answer without a plan; expected one of {', '.join(_PLANS)}")
    word = plans[0] if plans else "draw"
    times = value.get("times", 1)
    if isinstance(times, bool) or not isinstance(times, int) or times < 1:
        raise source.error_at([*pointer, "times"], f"times is {describe_value(times)}; expected a whole number from 1")
    entries = value.get("faults", [])
    if not isinstance(entries, list):
        raise source.error_at([*pointer, "faults"], f"faults is {describe_value(entries)}; expected a list")
    plan = _PLANS[word](reader, [*pointer, word], value.get(word))
    headers = tuple(_headers(source, [*pointer, "headers"], value.get("headers", {})))
    return Answer(
        plan=_told_to_wait(plan, headers),
        latency=reader.told([*pointer, "latency"], parse_latency, value["latency"]) if "latency" in value else None,
        faults=tuple(reader.told([*pointer, "faults", i], faults.parse_fault, one) for i, one in enumerate(entries)),
        headers=headers,
        times=times,
    )


def _headers(source: YamlFile, pointer: Pointer, value: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        raise source.error_at(pointer, f"headers is {describe_value(value)}; expected a mapping of names to texts")
    for name, text in value.items():
        if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise source.error_at([*pointer, name], f"{name!r} cannot name a header")
        if name.lower() in _FRAMING:
            raise source.error_at([*pointer, name], f"{name} says how the answer is framed; a fault can break that")
        if isinstance(text, bool) or not isinstance(text, str | int | float) or re.search(_CONTROL, str(text)):
            raise source.error_at(
                [*pointer, name], f"header {name} is {describe_value(text)}; expected one line of text"
            )
        yield name, str(text)


def _told_to_wait(plan: Plan, headers: tuple[tuple[str, str], ...]) -> Plan:
    """`plan`, where what it refuses with tells to wait as long as `headers` say."""
    match plan:
        case Refuse():
            return _waiting(plan, headers)
        case Draw(error=Refuse() as error):
            return replace(plan, error=_waiting(error, headers))
        case _:
            return plan


def _waiting(plan: Refuse, headers: tuple[tuple[str, str], ...]) -> Refuse:
    """`plan`, told to wait as long as `headers` say; as SDKs read them, milliseconds come first, and dates are none."""
    said = {name.lower(): text for name, text in headers}
    for name, unit in (("retry-after-ms", "ms"), ("retry-after", "s")):
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", said.get(name, "")):
            return replace(plan, wait=said[name] + unit)
    return plan


def _draw(reader: Reader, pointer: Pointer, value: Any) -> Plan:
    source = reader.source
    value = source.check_keys(pointer, {} if value in (None, True) else value, tuple(_DRAW_KINDS))
    for key, kinds in _DRAW_KINDS.items():
        if key in value and (not isinstance(value[key], kinds) or isinstance(value[key], bool)):
            raise source.error_at([*pointer, key], f"{key} is {describe_value(value[key])}; expected {_SAID[key]}")
    for key in ("images", "partials"):
        if value.get(key, 0) < 0:
            raise source.error_at([*pointer, key], f"{key} is {value[key]}; expected 0 or more")
    for key in ("usage", "metadata", "set"):
        _speakable(source, [*pointer, key], value.get(key))
    for at in value.get("set", {}):
        if not isinstance(at, str) or not at.startswith("/"):
            raise source.error_at([*pointer, "set"], f"{at!r} is no JSON pointer such as /data/0/url")
    for name in re.findall(r"\{([^{}]*)\}", value.get("revised_prompt", "")):
        if name not in TEMPLATE_NAMES:
            known = f"known are {', '.join(TEMPLATE_NAMES)}"
            raise source.error_at([*pointer, "revised_prompt"], f"{{{name}}} is no name; {known}")
    return Draw(
        revised_prompt=value.get("revised_prompt"),
        usage=value.get("usage"),
        images=value.get("images"),
        metadata=value.get("metadata"),
        created=value.get("created"),
        omit=tuple(map(str, value.get("omit", ()))),
        changes=tuple(value.get("set", {}).items()),
        picture=picture_loader.read(reader, [*pointer, "picture"], value["picture"]) if "picture" in value else None,
        expires_in=_told_seconds(reader, [*pointer, "expires_in"], value.get("expires_in")),
        host=_host(source, [*pointer, "host"], value["host"]) if "host" in value else None,
        partials=value.get("partials"),
        error=_refuse(reader, [*pointer, "error"], value["error"]) if "error" in value else None,
        channel=reader.told([*pointer, "channel"], _channel, value["channel"]) if "channel" in value else None,
    )


def _told_seconds(reader: Reader, pointer: Pointer, value: Any) -> int | None:
    return None if value is None else int(reader.told(pointer, parse_duration, value))


def _host(source: YamlFile, pointer: Pointer, value: Any) -> HostBehavior | None:
    value = source.check_keys(pointer, value, ("user_agent", "cors"))
    if not value:
        raise source.error_at(pointer, "host says nothing; expected some of user_agent, cors")
    behavior = HostBehavior(0)
    if "user_agent" in value:
        if (said := value["user_agent"]) != "browser":
            raise source.error_at([*pointer, "user_agent"], f"user_agent is {describe_value(said)}; expected browser")
        behavior |= HostBehavior.BROWSERS_ONLY
    if not isinstance(said := value.get("cors", True), bool):
        raise source.error_at([*pointer, "cors"], f"cors is {describe_value(said)}; expected true or false")
    return (behavior if said else behavior | HostBehavior.NO_CORS) or None


def _channel(name: str) -> ChannelName:
    for channel in CHANNELS:
        if channel == name:
            return channel
    raise ValueError(f"channel is {name!r}; expected {_SAID['channel']}")


def _speakable(source: YamlFile, pointer: Pointer, value: Any) -> None:
    """Refuse what JSON cannot say, such as bytes and .nan."""
    try:
        json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise source.error_at(pointer, f"{pointer[-1]} cannot be said in JSON: {error}") from None


def _refuse(reader: Reader, pointer: Pointer, value: Any) -> Refuse:
    source = reader.source
    words: Mapping[str, Any] = {}
    if isinstance(value, Mapping):
        words = source.check_keys(pointer, value, ("kind", "case", "status", *_TEXTS))
        value = words.get("kind")
    if value not in KINDS:
        raise source.error_at(pointer, f"{pointer[-1]} is {describe_value(value)}; expected one of {', '.join(KINDS)}")
    if "case" in words and words["case"] not in (cases := CASES.get(value, ())):
        expected = f"one of {', '.join(cases)}" if cases else f"none, as {value} has no cases"
        raise source.error_at([*pointer, "case"], f"case is {describe_value(words['case'])}; expected {expected}")
    status = words.get("status", 400)
    if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 599:
        raise source.error_at([*pointer, "status"], f"status is {describe_value(status)}; expected 400 to 599")
    for key in _TEXTS:
        if not isinstance(words.get(key), str if key in ("message", "envelope") and key in words else str | None):
            raise source.error_at([*pointer, key], f"{key} is {describe_value(words[key])}; expected a text")
    return Refuse(value, {key: text for key, text in words.items() if key != "kind"})


def _canned(reader: Reader, pointer: Pointer, value: Any) -> Plan:
    source = reader.source
    value = source.check_keys(pointer, value, ("status", "content_type", "text", "json"))
    status = value.get("status", 200)
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise source.error_at([*pointer, "status"], f"status is {describe_value(status)}; expected 200 to 599")
    if "text" in value and "json" in value:
        raise source.error_at(pointer, "canned has both text and json; expected one of them")
    kind = value.get("content_type", "application/json" if "json" in value else "text/plain; charset=utf-8")
    if not isinstance(kind, str) or re.search(_CONTROL, kind):
        raise source.error_at([*pointer, "content_type"], f"content_type is {describe_value(kind)}; expected a text")
    if "json" in value:
        _speakable(source, [*pointer, "json"], value["json"])
    body = json.dumps(value["json"], ensure_ascii=False) if "json" in value else value.get("text", "")
    if not isinstance(body, str):
        raise source.error_at([*pointer, "text"], f"text is {describe_value(body)}; expected a text")
    return Canned(status, kind, body.encode("utf-8", "replace"))


_TEXTS: Final = ("envelope", "type", "code", "param", "message")
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
    "set": Mapping, "picture": Mapping, "expires_in": (str, int, float), "host": Mapping, "partials": int,
    "error": (str, Mapping), "channel": str,
}  # fmt: skip
_SAID: Final = {
    "revised_prompt": "a text", "usage": "a mapping", "images": "a whole number", "metadata": "a mapping",
    "created": "a whole number (Unix seconds)", "omit": "a list of names",
    "set": "a mapping of JSON pointers to values", "picture": "a mapping of what is otherwise about each picture",
    "expires_in": "a duration such as 1h", "host": "a mapping of what the pictures' host does not do",
    "partials": "a whole number", "error": "a kind of refusal", "channel": f"one of {', '.join(CHANNELS)}",
}  # fmt: skip
