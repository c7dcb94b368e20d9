"""Verification: which calls match, how many are expected, and the messages of failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from multidict import CIMultiDict

from emulator.gateway.gateway import Credential
from emulator.messages import Call, Canned, GatewayError, Request, Response
from emulator.response import recipes
from emulator.scenario import matching
from emulator.scenario.engine import UNSCRIPTED, Selection, select_answer
from emulator.scenario.matching import RequestPattern
from emulator.scenario.scenario import Answer, Rule, Scenario
from emulator.session import call_fields, verification
from emulator.session.call_fields import KnownWords
from emulator.session.call_record import CallRecord, SentResponse
from emulator.session.journal import JournalEntry
from emulator.session.store import InMemoryStore, StoreLimits
from emulator.session.verification import UnusedAnswers, Verdict
from emulator.validation import registry
from emulator.validation.draft import ValidationContext
from emulator.validation.validator import RequestValidator

CONTRACTS: Final = {one.name: RequestValidator(one) for one in registry.load_gateways(())}
KEY: Final = "sk-test"
LONG_KEY: Final = "my-own-gateway-key-0815"
SK: Final = "sk-abcdefghijklmnopqrstuvwxyz"
DALL_E_3: Final = {"model": "dall-e-3", "prompt": "A cat"}


def pending(
    number: int, body: Any, headers: Mapping[str, str] | None = None, gateway: str = "ezmodel", **known: Any
) -> CallRecord:
    """Call `number`, validated; `known` are more fields of it."""
    validator = CONTRACTS[gateway]
    operation = next(validator.gateway.iter_generating())
    usual = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    sent = CIMultiDict({**usual, **(headers or {})})
    request = Request("POST", operation.path, "", sent, b"{}", body, None, (), "", 0)
    key = validator.gateway.find_key(sent)
    made = CallRecord(
        number=number, session="s", request_id=f"req_{number}", request=request, key=key, began=0.0,
        gateway=validator.gateway, operation="generate", **known,
    )  # fmt: skip
    try:
        made.call = validator.validate(request, ValidationContext(operation, key))
        made.response = Response(200, (), ())
    except GatewayError as error:
        made.error, made.response = error, validator.gateway.render(error)
    return made


def finished(call: CallRecord) -> JournalEntry:
    """The journal's entry of a call that was sent."""
    assert call.response is not None
    sent = SentResponse(status=call.response.status, headers={}, body=None, events=None, complete=True, bytes=0)
    call.end("answered", sent, 0)
    return call.entry


def entry(number: int, body: Any, headers: Mapping[str, str] | None = None, **known: Any) -> JournalEntry:
    """Call `number`, validated and sent."""
    return finished(pending(number, body, headers, **known))


def drawn(number: int, body: Any) -> JournalEntry:
    """Call `number`, answered with all its pictures."""
    made = pending(number, body)
    assert isinstance(made.call, Call)
    assert made.response is not None
    pictures = tuple(recipes.build_recipe(made.call, "ezmodel", 0, index) for index in range(made.call.count))
    made.response = replace(made.response, pictures=pictures)
    return finished(made)


def listing(number: int) -> JournalEntry:
    """Call `number`, which asks for the models."""
    validator = CONTRACTS["ezmodel"]
    operation = validator.gateway.operations["/v1/models"]["GET"]
    request = Request("GET", operation.path, "", {}, b"", None, None, (), "", 0)
    made = CallRecord(
        number=number, session="s", request_id=f"req_{number}", request=request, key=KEY, began=0.0,
        gateway=validator.gateway, operation="models",
    )  # fmt: skip
    made.call, made.response = validator.validate(request, ValidationContext(operation, KEY)), Response(200, (), ())
    return finished(made)


def check(words: Any, entries: list[JournalEntry], **known: Any) -> Verdict:
    """The verdict on `entries`."""
    return verification.parse_verification(words).check(entries, **known)


CALLS: Final = [
    entry(1, {"prompt": "A dog", "style": "vivid"}),
    entry(2, {**DALL_E_3, "prompt": "A dog"}, {"X-Team": "blue"}, selection=UNSCRIPTED),
    entry(
        3, DALL_E_3, selection=Selection(Answer(), 7, "slow-ones", 1, latency=2.5)
    ),
    entry(4, {**DALL_E_3, "n": 2, "size": "1792x1024"}),
    entry(5, {"model": "dall-e-4", "prompt": "A cat"}, {"X-Team": "red"}),
    listing(6),
    entry(7, {"prompt": "A cat", "model": "cogview-4"}, gateway="geekai"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("when", "numbers"),
    [
        ({}, (1, 2, 3, 4, 5, 6, 7)),
        # as in a scenario
        ({"operation": "models"}, (6,)),
        ({"gateway": "geekai"}, (7,)),
        ({"gateway": ["geekai", "ezmodel"], "prompt": "A dog"}, (1, 2)),
        ({"model": "dall-e-2"}, (1,)),
        ({"model": "dall-e-3"}, (2, 3, 4)),
        ({"prompt": {"contains": "cat"}}, (3, 4, 5, 7)),
        ({"headers": {"X-TEAM": "blue"}}, (2,)),
        ({"headers": {"x-team": {"absent": False}}}, (2, 5)),
        ({"turn": 7}, (3,)),
        ({"turn": {"absent": False}}, (3,)),
        # defaults count where a call was accepted, the body as given where it was refused
        ({"n": 1, "gateway": "ezmodel"}, (1, 2, 3)),
        ({"n": 2}, (4,)),
        ({"size": "1792x1024"}, (4,)),
        ({"model": "dall-e-4"}, (5,)),
        # what came of it
        ({"status": 200}, (1, 2, 3, 6, 7)),
        ({"status": {"at_least": 400}}, (4, 5)),
        ({"rule": "slow-ones"}, (3,)),
        ({"rule": {"absent": True}, "model": "dall-e-3"}, (2, 4)),
        ({"latency": {"at_least": 2}}, (3,)),
        ({"request_id": "req_2"}, (2,)),
        ({"refused": "invalid_request"}, (4,)),
        ({"refused": "above_maximum"}, (4,)),
        ({"refused": "unknown_model"}, (5,)),
        ({"refused": ["above_maximum", "unknown_model"]}, (4, 5)),
        ({"refused": True}, (4, 5)),
        ({"refused": False}, (1, 2, 3, 6, 7)),
        ({"refused": {"absent": False}}, (4, 5)),
        ({"refused": {"not": "above_maximum"}}, (1, 2, 3, 5, 6, 7)),
        ({"refused": {"not": "invalid_request"}}, (1, 2, 3, 5, 6, 7)),
        ({"refused": {"matches": "^above"}}, (4,)),
        ({"refused": {"matches": ".", "not": "above_maximum"}}, (5,)),
        ({"findings": {"contains": "parameter_ignored"}}, (1,)),
        ({"findings": "parameter_ignored"}, (1,)),
        ({"findings": ["parameter_ignored", "duplicate_key"]}, (1,)),
        ({"findings": {"not": "parameter_ignored"}, "model": ["dall-e-2", "dall-e-3"]}, (2, 3, 4)),
        ({"findings": {"absent": True}}, (2, 3, 4, 5, 6, 7)),
    ],
)
def test_which_calls_match(when: Any, numbers: tuple[int, ...]) -> None:
    """`when` has the fields of a scenario's, and the outcome; the verdict has the numbers of all calls that match."""
    assert numbers == check({"when": when, "at_least": 0}, CALLS).matched


@pytest.mark.parametrize(
    ("words", "text", "good"),
    [
        ({}, "at least 1 call", (1, 2, 3)),
        ({"when": {}}, "at least 1 call", (1, 2, 3)),
        ({"when": {"model": "dall-e-3"}, "no_findings": True}, "at least 1 call", (1, 2, 3)),
        ({"times": 2}, "2 calls", (2,)),
        ({"times": 1}, "1 call", (1,)),
        ({"times": 0}, "no call", (0,)),
        ({"once": True}, "1 call", (1,)),
        ({"never": True}, "no call", (0,)),
        ({"at_least": 2}, "at least 2 calls", (2, 3)),
        ({"at_most": 1}, "at most 1 call", (0, 1)),
        ({"between": [1, 2]}, "1 to 2 calls", (1, 2)),
        ({"between": (0, 2)}, "at most 2 calls", (0, 1, 2)),
        ({"between": [2, 2]}, "2 calls", (2,)),
    ],
)
def test_how_many_calls(words: Any, text: str, good: tuple[int, ...]) -> None:
    """Each word for a count accepts its numbers and no others, and its message is in plain words."""
    verdicts = [check(words, [entry(number, DALL_E_3) for number in range(1, count + 1)]) for count in range(4)]
    assert good == tuple(count for count, verdict in enumerate(verdicts) if verdict.ok)
    assert all(f"expected {text}" in verdict.message for verdict in verdicts)


@pytest.mark.parametrize("words", [{"no_findings": True}, {"no_unused_answers": True}, {"max_cost": 0}])
def test_no_call_is_expected_where_none_is_asked_for(words: Any) -> None:
    """Without `when` and count the other parts hold for an empty session."""
    assert check(words, []).ok


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (None, "a verification is empty; expected a mapping of when, times, once, never, at_least, at_most, between, "
         "in_order, no_findings, no_unused_answers, max_cost, unknown_cost"),
        ([], "a verification is a list; expected a mapping of when, "),
        ({"model": "dall-e-3"}, "unknown key 'model'; known are when, times, "),
        ({"times": 1, "never": True}, "times and never stand together; expected one of times, once, never, at_least, "
         "at_most, between"),
        ({"at_least": 1, "at_most": 2}, "at_least and at_most stand together"),
        ({"times": -1}, "times is -1; expected a whole number from 0"),
        ({"times": 1.0}, "times is 1.0; expected a whole number from 0"),
        ({"times": True}, "times is True; expected a whole number from 0"),
        ({"times": "2"}, "times is '2'; expected a whole number from 0"),
        ({"at_most": None}, "at_most is empty; expected a whole number from 0"),
        ({"at_least": [1]}, "at_least is a list; expected a whole number from 0"),
        ({"once": 1}, "once is 1; expected true, or to be left out"),
        ({"never": False}, "never is False; expected true, or to be left out"),
        ({"no_findings": "yes"}, "no_findings is 'yes'; expected true, or to be left out"),
        ({"no_unused_answers": False}, "no_unused_answers is False; expected true"),
        ({"between": 3}, "between is 3; expected two whole numbers, as in [1, 3]"),
        ({"between": [1]}, "between is a list; expected two whole numbers"),
        ({"between": [3, 1]}, "between is [3, 1]; expected the lower number first"),
        ({"between": [0, -1]}, "between is -1; expected a whole number from 0"),
        ({"max_cost": -0.5}, "max_cost is -0.5; expected dollars, from 0"),
        ({"max_cost": True}, "max_cost is True; expected dollars"),
        ({"max_cost": 1, "unknown_cost": "ignroe"}, "unknown_cost is 'ignroe'; expected ignore, or to be left out"),
        ({"unknown_cost": "ignore"}, "unknown_cost says how max_cost counts, which is not there"),
        ({"max_cost": "1"}, "max_cost is '1'; expected dollars"),
        ({"max_cost": float("nan")}, "max_cost is nan; expected dollars"),
        ({"max_cost": float("inf")}, "max_cost is inf; expected dollars"),
        ({"in_order": [{}], "times": 1}, "in_order stands alone; here is times beside it"),
        ({"when": {}, "in_order": [{}], "no_findings": True}, "in_order stands alone; here is when and no_findings"),
        ({"in_order": []}, "in_order is a list; expected a list of mappings of fields"),
        ({"in_order": {"n": 1}}, "in_order is a mapping; expected a list of mappings of fields"),
        ({"in_order": [{}, {"when": {}}]}, "in_order 2 has a when; expected the fields themselves"),
        ({"in_order": [{"n": []}]}, "in_order 1: when n: an empty list matches nothing"),
        ({"when": "cat"}, "when is 'cat'; expected a mapping of fields"),
        ({"when": {"n": {"at_least": 1, "like": 2}}}, "when n: unknown matcher 'like'; known are contains, "),
        (
            {"when": {"prompt": {"containz": "x"}}},
            "when prompt: unknown matcher 'containz'; known are contains, matches, at_least, at_most, not, absent, "
            "schema; did you mean 'contains'?",
        ),
        ({"when": {"prompt": {"matches": "a{9999999999}"}}}, "when prompt: matches: the repetition number is too "),
        ({"when": {"operation": "generat"}}, "when operation: unknown 'generat'; known are generate, "),
        ({"when": {"refused": "weather"}}, "when refused: unknown 'weather'; did you mean 'other'"),
        ({"when": {"refused": ["quota", {"not": 5}]}}, "when refused: unknown 5; known are "),
        ({"when": {"findings": "odd"}}, "when findings: unknown 'odd'; known are unknown_parameter, "),
        ({"when": {"findings": {"contains": "odd"}}}, "when findings: contains: unknown 'odd'; known are "),
    ],
)  # fmt: skip
def test_bad_words_are_refused(words: Any, complaint: str) -> None:
    """Bad words are refused in one line, with what came and what is known."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        verification.parse_verification(words)
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)


def test_too_deep_to_match() -> None:
    """A pattern that is too deep for Python's stack is refused in one line."""
    value: Any = "x"
    for _ in range(100_000):
        value = {"not": value}
    with pytest.raises(ValueError, match="when is too much to match"):
        verification.parse_verification({"when": {"prompt": value}})


TOO_MANY: Final = (
    "call 4 was refused: Invalid 'n': integer above maximum value. Expected a value <= 1, but got 2 instead. "
    "(maximum: 1; documented)"
)
MESSAGES: Final = [
    # too few: what came, and the nearest of the others
    ({"when": {"model": "dall-e-3", "prompt": {"contains": "cat"}, "status": 200, "gateway": "ezmodel"}, "times": 2}, [
        'expected 2 calls with model "dall-e-3" and prompt containing "cat" and status 200 and gateway "ezmodel", '
        "came 1 (call 3)",
        "call 3, generate ezmodel dall-e-3 200, rule slow-ones",
        "nearest of the others: call 4, generate ezmodel dall-e-3 400, refused as invalid_request (above_maximum): "
        "status: expected 200, came 400",
        TOO_MANY,
    ]),
    # none: every field of the nearest is told, and the code of its finding
    ({"when": {"model": "dall-e-2", "style": "natural", "prompt": "A dog", "user": 5}}, [
        'expected at least 1 call with model "dall-e-2" and style "natural" and prompt "A dog" and user 5, came none',
        "nearest: call 1, generate ezmodel dall-e-2 200",
        '  style: expected "natural", came "vivid"',
        "  user: expected 5, came nothing",
        "read more: image-api-emulator explain parameter_ignored",
    ]),
    # the whole of the language
    ({"when": {"model": ["a", "b"], "user": {"absent": True}, "size": {"absent": False}}}, [
        'expected at least 1 call with model "a" or "b" and user absent and size present, came none',
        'nearest: call 7, generate geekai cogview-4 200: model: expected any of "a", "b", came "cogview-4"',
    ]),
    ({"when": {"prompt": {"matches": "^A", "not": {"contains": "cat"}}, "n": {"at_least": 1, "at_most": 9}},
      "at_most": 1}, [
        'expected at most 1 call with prompt matching "^A" and not containing "cat" and n at least 1 and at most 9, '
        "came 2 (calls 1 and 2)",
        "call 1, generate ezmodel dall-e-2 200",
        "call 2, generate ezmodel dall-e-3 200",
    ]),
    ({"when": {"refused": ["quota", "enum"], "model": "dall-e-3"}}, [
        'expected at least 1 call with refused "quota" or "enum" and model "dall-e-3", came none',
        "nearest: call 4, generate ezmodel dall-e-3 400, refused as invalid_request (above_maximum): "
        'refused: expected any of "quota", "enum", came "invalid_request (above_maximum)"',
        TOO_MANY,
    ]),
    # too many: each that came
    ({"when": {"gateway": ["geekai"]}, "never": True}, [
        'expected no call with gateway "geekai", came 1 (call 7)',
        "call 7, generate geekai cogview-4 200",
    ]),
    # findings, of the calls that are meant
    ({"when": {"gateway": "ezmodel"}, "no_findings": True}, [
        "expected no findings, came 1 on call 1",
        "call 1, generate ezmodel dall-e-2 200: parameter_ignored: 'style' has no effect with dall-e-2",
        "read more: image-api-emulator explain parameter_ignored",
    ]),
    # order
    ({"in_order": [{"model": "dall-e-3"}, {"model": "dall-e-3", "status": 400}, {"style": "vivid", "n": 1}, {}]}, [
        'expected 4 calls in order: model "dall-e-3", then model "dall-e-3" and status 400, then style "vivid" '
        "and n 1, then any; came 2 (calls 2 and 4)",
        "call 2, generate ezmodel dall-e-3 200",
        "call 4, generate ezmodel dall-e-3 400, refused as invalid_request (above_maximum)",
        'no call with style "vivid" and n 1 came after call 4',
        "calls 1 and 3 came too early for that",
        'nearest of the others: call 7, generate geekai cogview-4 200: style: expected "vivid", came nothing',
    ]),
    ({"in_order": [{"gateway": "geekai"}, {"status": 400}]}, [
        'expected 2 calls in order: gateway "geekai", then status 400; came 1 (call 7)',
        "call 7, generate geekai cogview-4 200",
        "no call with status 400 came after call 7",
        "calls 4 and 5 came too early for that",
    ]),
    ({"in_order": [{"model": "none"}]}, [
        'expected 1 call in order: model "none"; came none',
        'no call with model "none" came',
        'nearest: call 7, generate geekai cogview-4 200: model: expected "none", came "cogview-4"',
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("words", "lines"), MESSAGES)
def test_messages_of_failures(words: Any, lines: list[str]) -> None:
    """The exact words of failures."""
    verdict = check(words, CALLS)
    assert (False, lines) == (verdict.ok, verdict.message.split("\n"))


def test_messages_of_what_holds() -> None:
    """Each part that holds has one line; a verdict that fails has only the lines of what failed."""
    words = {"when": {"model": "dall-e-3"}, "times": 3, "no_findings": True, "no_unused_answers": True, "max_cost": 1}
    verdict = check(words, CALLS)
    assert [
        'expected 3 calls with model "dall-e-3", and came 3 (calls 2, 3 and 4)',
        "expected no findings, and came none",
        "expected no unused answers, and came none",
        "expected a cost of at most $1.00, and came $0.00",
    ] == verdict.message.split("\n")
    assert (True, (2, 3, 4), ()) == (verdict.ok, verdict.matched, verdict.notes)
    failed = check({**words, "times": 2}, CALLS)
    assert (False, False) == (failed.ok, "expected no findings" in failed.message)
    assert (
        "expected 3 calls in order, and came 3 (calls 1, 2 and 3)"
        == check({"in_order": [{"model": "dall-e-2"}, {}, {"rule": "slow-ones"}]}, CALLS).message
    )


def test_every_part_that_fails_has_its_lines() -> None:
    """One part that fails is enough, and each part that fails has its lines."""
    verdict = check({"when": {"model": "dall-e-2"}, "never": True, "no_findings": True, "max_cost": 1}, CALLS)
    starts = [line for line in verdict.message.split("\n") if line.startswith("expected")]
    assert [
        'expected no call with model "dall-e-2", came 1 (call 1)',
        "expected no findings, came 1 on call 1",
    ] == starts
    assert not verdict.ok


def test_messages_without_calls() -> None:
    """The message says that no call came, or that no other call came."""
    assert ["expected 1 call with n 1, came none", "the session has no call"] == check(
        {"when": {"n": 1}, "once": True}, []
    ).message.split("\n")
    assert "no other call came" == check({"times": 2}, CALLS[:1]).message.split("\n")[-1]


def test_many_calls_are_counted() -> None:
    """Ten calls are listed, more are counted; the order is by number, not by end."""
    calls = [entry(number, DALL_E_3) for number in range(25, 0, -1)]
    lines = check({"never": True}, calls).message.split("\n")
    assert "expected no call, came 25 (calls 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 15 more)" == lines[0]
    assert (12, "call 1, generate ezmodel dall-e-3 200", "and 15 more") == (len(lines), lines[1], lines[-1])


@pytest.mark.parametrize(
    ("steps", "matched", "ok"),
    [
        ([{"model": "dall-e-2"}, {"model": "dall-e-3"}], (1, 2), True),
        ([{"model": "dall-e-3"}, {"model": "dall-e-2"}], (2,), False),
        ([{"model": "dall-e-3"}] * 3, (2, 3, 4), True),
        ([{"model": "dall-e-3"}] * 4, (2, 3, 4), False),
        ([{}, {"status": 400}, {}], (1, 4, 5), True),
        ([{"prompt": {"contains": "cat"}}, {"operation": "models"}, {"gateway": "geekai"}], (3, 6, 7), True),
        ([{"gateway": "nobody"}], (), False),
    ],
)
def test_calls_in_order(steps: Any, matched: tuple[int, ...], ok: bool) -> None:
    """Others may come between; each step takes the first match after the step before."""
    verdict = check({"in_order": steps}, CALLS)
    assert (ok, matched) == (verdict.ok, verdict.matched)


@pytest.mark.parametrize(
    ("when", "calls"),
    [
        ({"headers": {"authorization": "Bearer nothing-like-that-9"}}, [entry(1, DALL_E_3)]),
        ({"headers": {"authorization": f"Bearer {LONG_KEY}"}}, []),
        ({"headers": {"cookie": "session=0123456789abc"}}, [
            entry(1, DALL_E_3, {"Cookie": "session=9876543210xyz"}),
        ]),
        ({"prompt": f"my key is {LONG_KEY}"}, [entry(1, DALL_E_3, {"Authorization": f"Bearer {LONG_KEY}"})]),
        ({"prompt": SK}, [entry(1, DALL_E_3)]),
        ({"prompt": "x"}, [entry(1, {**DALL_E_3, "prompt": SK})]),
        ({"prompt": "x"}, [entry(1, {**DALL_E_3, "prompt": LONG_KEY}, {"Authorization": f"Bearer {LONG_KEY}"})]),
        # cut in the middle of the key, which nobody could tell from other words
        ({"prompt": "x"}, [
            entry(1, {**DALL_E_3, "prompt": "x" * 85 + LONG_KEY}, {"Authorization": f"Bearer {LONG_KEY}"}),
        ]),
        ({"prompt": "x"}, [entry(1, {**DALL_E_3, "prompt": "x " * 40 + SK})]),
        ({"prompt": "x " * 42 + SK}, []),
        ({"prompt": "x"}, [entry(1, {"prompt": "A cat", "model": SK})]),
        ({"model": "x"}, [
            entry(1, {"prompt": "A cat", "model": "x" * 85 + LONG_KEY}, {"Authorization": f"Bearer {LONG_KEY}"}),
        ]),
        ({"token": "x"}, [entry(1, {**DALL_E_3, "token": "0123456789abc"})]),
        ({"request_id": SK}, [entry(1, DALL_E_3)]),
    ],
)  # fmt: skip
def test_no_key_is_shown(when: Any, calls: list[JournalEntry]) -> None:
    """No message shows any part of a key, wherever the key is."""
    message = check({"when": when}, calls).message
    secrets = ("nothing-like", "my-own", "0123456789", "9876543210", "sk-ab")
    assert ([], True) == ([secret for secret in secrets if secret in message], "***" in message), message


def test_no_key_is_shown_of_findings_rules_and_headers_of_a_gateways_own() -> None:
    """A finding, the name of a rule and a gateway's own header can hold a key, too."""
    strange = entry(1, {**DALL_E_3, "9876543210xyz": 1}, {"Cookie": "session=9876543210xyz"})
    assert "'***' is not on the gateway's page" in check({"no_findings": True}, [strange, entry(2, DALL_E_3)]).message
    assert "rule *** has 1 answer left" in check({"no_unused_answers": True}, [], unused=[UnusedAnswers(SK, 1)]).message
    call = pending(1, DALL_E_3, {"X-My-Key": "opensesame-1"})
    call.gateway = replace(call.gateway, credentials=(Credential("x-my-key", None, None),))
    other = finished(call)
    assert [
        "expected at least 1 call with headers.x-my-key ***, came none",
        "nearest: call 1, generate ezmodel dall-e-3 200: headers.x-my-key: expected ***, came ***",
    ] == check({"when": {"headers": {"x-my-key": "opensesame-2"}}}, [other]).message.split("\n")


def test_texts_stay_on_their_lines() -> None:
    """A client's line breaks and control characters do not make lines of their own; a lone surrogate can be shown."""
    message = check({"never": True}, [entry(1, {"prompt": "A cat", "model": "a\nb\x1b[2J"})]).message
    assert "call 1, generate ezmodel a?b?[2J 400, refused as unknown_model" == message.split("\n")[-1]
    for calls in (CALLS, []):
        assert check({"when": {"prompt": "\ud800"}}, calls).message.encode()


def _rule(name: str, *times: int, then: Any = "repeat", when: RequestPattern | None = None) -> Rule:
    return Rule(
        name, when or RequestPattern(), tuple(Answer(Canned(200, "text/plain", b""), times=one) for one in times), then
    )


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (_rule("one", 1), [1, 0, 0]),
        (_rule("two", 1, 1), [2, 1, 0, 0]),
        (_rule("several-times", 2, 1), [3, 2, 1, 0]),
        (_rule("a-last-one-that-repeats-is-enough-once", 1, 5), [2, 1, 0]),
        (_rule("cycle", 1, 2, then="cycle"), [3, 2, 1, 0, 0]),
        (_rule("next", 2, then="next"), [2, 1, 0, 0]),
        (_rule("refuse", 1, 1, then="refuse"), [2, 1, 0, 0]),
    ],
)
async def test_unused_answers(rule: Rule, left: list[int]) -> None:
    """After each call, how many answers of a rule no call has taken."""
    memory = InMemoryStore(StoreLimits(calls=1, bytes=1, sessions=10, age=60))
    script = Scenario("script", rules=(rule,))
    await memory.begin_call("s", 0)
    counted = []
    for _ in left:
        counted.append({one.rule: one.left for one in await verification.find_unused_answers(script, memory, "s")})
        await select_answer(script, {}, memory, "s", 0)
    assert [{rule.name: one} if one else {} for one in left] == counted


async def test_unused_answers_are_of_each_rule_and_session() -> None:
    """Answers are counted for each rule and session; a session that never began has used none, and does not begin."""
    memory = InMemoryStore(StoreLimits(calls=1, bytes=1, sessions=10, age=60))
    cats = matching.parse_pattern({"prompt": {"contains": "cat"}})
    script = Scenario("script", rules=(_rule("cats", 2, 1, when=cats), _rule("rest", 1)))
    await memory.begin_call("s", 0)
    await select_answer(script, {"prompt": "a cat"}, memory, "s", 0)
    assert (UnusedAnswers("cats", 2), UnusedAnswers("rest", 1)) == await verification.find_unused_answers(
        script, memory, "s"
    )
    assert (UnusedAnswers("cats", 3), UnusedAnswers("rest", 1)) == await verification.find_unused_answers(
        script, memory, "other"
    )
    assert ["s"] == [one.name for one in await memory.list_sessions()]


async def test_unused_answers_have_the_nearest_call() -> None:
    """The message has the answers that no call took, and how the nearest call missed the rule."""
    memory = InMemoryStore(StoreLimits(calls=1, bytes=1, sessions=10, age=60))
    picky = matching.parse_pattern({"prompt": {"contains": "weapon"}, "n": 1})
    script = Scenario("script", rules=(_rule("no-weapons", 2, when=picky), _rule("never-asked", 1, then="next")))
    calls = []
    for number, n in enumerate((2, 1), 1):
        call = pending(number, {"prompt": "A cat", "n": n})
        call.selection = await select_answer(script, {"prompt": "A cat", "n": n}, memory, "s", 0)
        calls.append(finished(call))
    verdict = check(
        {"no_unused_answers": True}, calls, unused=[UnusedAnswers("no-weapons", 1), UnusedAnswers("other", 2)]
    )
    assert [
        "expected no unused answers, came 3",
        "rule no-weapons has 1 answer left",
        "nearest to rule no-weapons: call 2, generate ezmodel dall-e-2 200, rule never-asked: "
        'prompt: expected something that contains "weapon", came "A cat"',
        "rule other has 2 answers left",
    ] == verdict.message.split("\n")
    assert not verdict.ok


def test_cost() -> None:
    """The cost is that of the pictures of the calls that match, by published prices."""
    hd = {**DALL_E_3, "quality": "hd", "size": "1792x1024"}
    calls = [
        drawn(1, {"prompt": "A cat", "n": 2}),
        drawn(2, DALL_E_3),
        drawn(3, hd),
        entry(4, {**DALL_E_3, "n": 2}),
        listing(5),
    ]
    assert [True, False, True, False] == [
        check(words, calls).ok
        for words in (
            {"max_cost": 0.2},
            {"max_cost": 0.1999},
            {"max_cost": 0.04, "when": {"model": "dall-e-2"}},
            {"max_cost": 0.03, "when": {"model": "dall-e-2"}},
        )
    ]
    assert [
        "expected a cost of at most $0.1999, came $0.20",
        "call 1, generate ezmodel dall-e-2 200: $0.04",
        "call 2, generate ezmodel dall-e-3 200: $0.04",
        "call 3, generate ezmodel dall-e-3 200: $0.12",
    ] == check({"max_cost": 0.1999}, calls).message.split("\n")


def test_cost_where_no_price_is_known() -> None:
    """A call whose price nobody knows breaks the ceiling, or is left out and noted; without pictures it is free."""
    calls = [drawn(1, DALL_E_3), drawn(2, DALL_E_3), drawn(3, DALL_E_3), entry(4, {**DALL_E_3, "n": 2}), listing(5)]
    prices = {1: 0.1, 2: None, 3: 0.2}
    verdict = check({"max_cost": 0.3}, calls, price_call=lambda one: prices[one.number])
    assert (False, ()) == (verdict.ok, verdict.notes)
    assert [
        "expected a cost of at most $0.30, which cannot be decided: no price is known of call 2",
        "call 2, generate ezmodel dall-e-3 200",
        'with unknown_cost: "ignore" such calls count as nothing',
    ] == verdict.message.split("\n")
    for most, ok in ((0.3, True), (0.29, False)):
        words = {"max_cost": most, "unknown_cost": "ignore"}
        verdict = check(words, calls, price_call=lambda one: prices[one.number])
        assert (ok, ("cost_unknown",)) == (verdict.ok, verdict.notes)
        last = "cost_unknown: no price is known of call 2, which counts as nothing"
        assert last == verdict.message.split("\n")[-1]


@pytest.mark.parametrize(
    ("words", "ok"),
    [
        ({"never": True, "when": {"model": "x"}}, False),
        ({"times": 1}, False),
        ({"at_most": 3}, False),
        ({"between": [1, 3]}, False),
        ({"no_findings": True}, False),
        ({"max_cost": 1}, False),
        ({"at_least": 1}, True),
        ({"in_order": [{}]}, True),
        ({"no_unused_answers": True}, True),
    ],
)
def test_calls_that_the_journal_dropped(words: Any, ok: bool) -> None:
    """If calls were dropped, a part that one more call could break fails; the others are still checked."""
    verdict = check(words, [entry(4, DALL_E_3)], forgotten=3)
    assert (ok, ("calls_unseen",)) == (verdict.ok, verdict.notes)
    assert "calls_unseen: calls before call 4 are not in the journal" == verdict.message.split("\n")[-1]
    cannot = "cannot be decided, because 3 calls came before those in the journal"
    assert (not ok) == (cannot in verdict.message)


def test_calls_that_are_under_way() -> None:
    """Missing numbers of calls that are under way are only noted."""
    verdict = check({"once": True}, [entry(2, DALL_E_3)])
    assert (True, ("calls_unseen",)) == (verdict.ok, verdict.notes)


def test_findings_of_refused_calls_count() -> None:
    """The findings of refused calls count like those of answered calls."""
    refused = entry(1, {"model": "dall-e-2", "prompt": "", "style": "vivid"})
    assert refused.refused is not None
    expected = {"code": "parameter_ignored", "message": "'style' has no effect with dall-e-2", "param": "style"}
    assert [expected] == list(refused.findings)
    assert not check({"no_findings": True}, [refused]).ok


@pytest.mark.parametrize("word", ["status", "turn", "uploads", "state", "gateway", "operation"])
def test_a_parameter_is_no_field_of_the_call(word: str) -> None:
    """What a client sends under the name of a field of calls makes no expectation about that field hold."""
    call = finished(pending(1, {**DALL_E_3, word: {"count": 7}}, gateway="geeknow"))
    assert {"count": 7} != call_fields.collect_fields(call).get(word)
    pattern = matching.parse_pattern({word: {"schema": {"type": "object", "required": ["count"]}}})
    assert not pattern.matches(call_fields.collect_fields(call))


def test_a_body_that_is_no_mapping_has_no_fields() -> None:
    """A call with a body that is no mapping is matched by its other fields."""
    calls = [entry(1, [1, 2]), entry(2, None)]
    assert (1, 2) == check({"when": {"refused": "not_an_object", "prompt": {"absent": True}}}, calls).matched


KNOWN: Final = KnownWords(gateways=("ezmodel", "geekai"), parameters=("prompt", "model", "n", "style", "user"))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ({"when": {"statuss": 200}}, "unknown field 'statuss'; did you mean 'status'?"),
        ({"when": {"findngs": "duplicate_key"}}, "unknown field 'findngs'; did you mean 'findings'?"),
        ({"in_order": [{"status": 200}, {"promt": "x"}]}, "in_order 2: unknown field 'promt'; did you mean 'prompt'?"),
        ({"when": {"gateway": "ezmodle"}}, "when gateway: unknown 'ezmodle'; known are ezmodel, geekai; did you mean "),
        ({"when": {"gateway": ["geekai", {"not": "x"}]}}, "when gateway: unknown 'x'; known are ezmodel, geekai"),
    ],
)
def test_words_that_no_gateway_knows_are_refused(words: Any, complaint: str) -> None:
    """Where a server's gateways are known, a misspelled field or gateway must not pass for a call that never came."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        verification.parse_verification({**words}, KNOWN)
    assert str(caught.value).startswith(complaint)


def test_a_field_that_only_a_client_knows() -> None:
    """A field like no known word may be a parameter that clients send; the verdict notes it where no call has it."""
    words = {"never": True, "when": {"sharpness": 3}}
    calls = [entry(1, {**DALL_E_3, "sharpness": 2})]
    assert () == verification.parse_verification(words, KNOWN).check(calls).notes
    verdict = verification.parse_verification(words, KNOWN).check(CALLS)
    assert (True, ("unknown_field",)) == (verdict.ok, verdict.notes)
    assert verdict.message.endswith(
        "unknown_field: no call has a field 'sharpness', and no known gateway has such a parameter"
    )
    assert () == verification.parse_verification({"when": {"style": "vivid", "turn": 1}}, KNOWN).check(CALLS).notes
