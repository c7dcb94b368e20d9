"""The summary of a call: what a list of calls shows of it, without bodies and headers.

A summary weighs a few hundred bytes, where a call may weigh tens of thousands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

REPLAY_HEADER: Final = "X-Emulator-Replay"
"""The header of a call that was sent again; its value is the number of the first one."""


def summarize(call: Mapping[str, Any], own_prompt: Any = None) -> dict[str, Any]:
    """Return the summary of a call; `call` is what JournalEntry.to_json has returned, so no credential is in it.

    `own_prompt` is the prompt, redacted, where the gateway has another name for it.
    """
    given, refused = call["given"], call["refused"]
    if not isinstance(given, Mapping):
        given = {}
    params = call["params"] or given
    reason = None
    if refused is not None:
        reason = {"kind": refused["kind"], "breach": refused["breach"]}
    summary = {name: call[name] for name in _KEPT}
    summary["model"] = _shorten(call["model"])
    summary["rule"] = _shorten(call["rule"])
    summary["prompt"] = _shorten(given.get("prompt") if own_prompt is None else own_prompt)
    summary["params"] = _list_short_values(params)
    summary["refused"] = reason
    summary["findings"] = list(dict.fromkeys(finding["code"] for finding in call["findings"]))
    summary["misses"] = len(call["misses"])
    summary["uploads"] = len(call["uploads"])
    summary["pictures"] = [
        {name: picture[name] for name in ("recipe", "width", "height", "format")}
        for picture in call["pictures"][:_MOST_PICTURES]
    ]
    summary["replay_of"] = _read_replay_of(call["headers"])
    return summary


def _list_short_values(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that have one short value: the prompt is shown by itself."""
    short = {}
    for name, value in params.items():
        is_short = value is None or (isinstance(value, str | int | float) and len(str(value)) <= _LONGEST_VALUE)
        if is_short and name != "prompt" and len(name) <= _LONGEST_VALUE:
            short[name] = value
        if len(short) == _MOST_VALUES:
            break
    return short


def _read_replay_of(headers: Mapping[str, str]) -> int | None:
    value = next((text for name, text in headers.items() if name.lower() == REPLAY_HEADER.lower()), "")
    if value.isdecimal() and len(value) <= _LONGEST_NUMBER:
        return int(value)
    return None


def _shorten(text: Any) -> Any:
    """Return a text with its end cut off where it is long, and None for any other value."""
    if not isinstance(text, str):
        return None
    if len(text) > _LONGEST_TEXT:
        return text[: _LONGEST_TEXT - 1] + "…"
    return text


_KEPT: Final[Sequence[str]] = (
    "number", "time", "session", "gateway", "operation", "state", "status", "duration", "turn", "latency", "request_id",
    "reserved", "events",
)  # fmt: skip
"""The fields of a call that are taken as they are."""
_LONGEST_TEXT: Final = 200  # characters of a prompt: a line of a list shows fewer
_LONGEST_VALUE: Final = 100  # characters of a parameter or its name
_MOST_VALUES: Final = 30  # parameters
_MOST_PICTURES: Final = 10  # no gateway draws more at once
_LONGEST_NUMBER: Final = 15  # digits
