"""The types of what a test writes: the words of `verify`, and the settings of a session and of a server.

They are TypedDicts, so that a type checker and an editor know each word, and the code has the same list at run time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Literal, TypedDict

Matchers = TypedDict(
    "Matchers",
    {
        "contains": object,
        "matches": str,
        "at_least": float,
        "at_most": float,
        "not": object,
        "absent": bool,
        "schema": Mapping[str, Any],
    },
    total=False,
)
"""What a field has to be like, in the words of a scenario's `when`, for example `{"contains": "cat"}`."""

Text = str | Sequence[str | None] | AbstractSet[str] | Matchers | None
"""Expects this text, one of several texts, or a text that the matchers accept; None is JSON's null."""

Number = float | Sequence[float | None] | AbstractSet[float] | Matchers | None
"""Expects this number, one of several numbers, or a number that the matchers accept; None is JSON's null."""

Switch = bool | Matchers | None
"""Expects true or false; None is JSON's null."""


class CallFields(TypedDict, total=False):
    """The fields of a call, each with what is expected of it: a value, several values to choose from, or Matchers.

    `given` has the parameters as they were sent, without defaults. The parameters are those of OpenAI's API; other
    gateways' parameters, and what lies inside of one, go into `when`. `state` is under_way, answered or client_gone;
    `refused` is a kind of refusal or a breach, True for any; `findings` is the code of a finding; `latency` is seconds;
    `verdict` is drawn, replayed, recorded, forwarded or missed.

    >>> from emulator import CallFields
    >>> fields: CallFields = {"model": "dall-e-3", "status": 200}
    >>> len(image_api.verify(**fields))
    1
    """

    operation: Text
    gateway: Text
    headers: Mapping[str, Text]
    given: Mapping[str, Any]
    uploads: Mapping[str, Any]
    turn: Number
    state: Text
    status: Number
    rule: Text
    refused: bool | Text
    findings: Text
    latency: Number
    request_id: Text
    verdict: Text
    task_id: Text

    model: Text
    prompt: Text
    n: Number
    size: Text
    quality: Text
    style: Text
    response_format: Text
    background: Text
    moderation: Text
    output_format: Text
    output_compression: Number
    input_fidelity: Text
    stream: Switch
    partial_images: Number
    user: Text


class Expectation(CallFields, total=False):
    """All words of `verify`: the fields of the calls that are meant, and what is expected of these calls.

    At most one of times, once, never, at_least, at_most and between; `in_order` stands alone. `max_cost` is dollars;
    a call whose price nobody knows breaks it, unless `unknown_cost` is "ignore". `live` is how many of the calls a real
    gateway has answered.

    >>> from emulator import Expectation
    >>> expected: Expectation = {"once": True, "model": "dall-e-3", "status": 200}
    >>> image_api.verify(**expected)
    (<call 1: ezmodel generate dall-e-3 200 unknown_parameter>,)
    """

    times: int
    once: Literal[True]
    never: Literal[True]
    at_least: int
    at_most: int
    between: Sequence[int]
    in_order: Sequence[Mapping[str, Any]]
    no_findings: Literal[True]
    no_unused_answers: Literal[True]
    max_cost: float
    unknown_cost: Literal["ignore"]
    live: int


class SettingsChanges(TypedDict, total=False):
    """The settings of a session that can be changed; None takes back what was changed before.

    >>> from emulator import SettingsChanges
    >>> changes: SettingsChanges = {"report_only": True}
    >>> image_api.settings(**changes)["report_only"]
    True
    """

    report_only: bool | None
    behavior: Literal["documented", "observed"] | None
    picture_weight: Literal["small", "realistic"] | None


class SessionSettings(TypedDict):
    """The settings of a session, its own or else the server's.

    >>> image_api.settings()["behavior"]
    'documented'
    """

    report_only: bool
    behavior: Literal["documented", "observed"]
    picture_weight: Literal["small", "realistic"]


class ServerHealth(TypedDict):
    """That a server answers: its version, the libraries that write its pictures, those of `[speed]` that it uses.

    >>> image_api.health["status"]
    'ok'
    """

    status: str
    version: str
    encoder: str | None
    accelerators: dict[str, str | None]


class ServerSettings(TypedDict):
    """How a server was started: `seed` decides pictures, ids and chance, `clock` is a setting such as real.

    >>> image_api.server_settings["seed"]
    0
    """

    seed: int
    clock: str
    gateways: list[str]
    reserved_values: bool
    report_only: bool
    behavior: str


for _type in (Matchers, CallFields, Expectation, SettingsChanges, SessionSettings, ServerHealth, ServerSettings):
    _type.__module__ = "emulator"  # a TypedDict's body cannot set it
