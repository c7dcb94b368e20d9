"""Verdicts that are kept: a call that is known has the verdict that the steps of the validation would give it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from emulator.core.data_folders import find_schemas
from emulator.gateway.gateway import Operation, load_gateway
from emulator.gateway.model_catalog import Calendar
from emulator.gateway.rules import ModelRules
from emulator.messages import CHANNELS, Behavior, Call, ChannelName, GatewayError, Request
from emulator.validation.draft import ValidationContext
from emulator.validation.known_calls import MOST_KEPT
from emulator.validation.validator import RequestValidator

_FILES = [*sorted(find_schemas().glob("*.yaml")), *sorted(find_schemas().glob("observed/*.yaml"))]
_DAY = Calendar("2026-01-20")
_ODD: tuple[Any, ...] = (1, 1.0, True, "1", None, 0, 0.0, -0.0, "", "x" * 129, 2**70, -1, 99, [], {"a": 1}, "auto")
_TEXTS = ("prompt", "user", "safety_identifier", "style")
_LENGTHS = (1, 999, 1000, 1001, 3999, 4000, 4001, 32000, 32001)
_OTHER_TEXTS = ("", "cd", "é😀", "\ud800x", "Test_SENSitive", "teſt_sensıtive", "×", "a\nb")


def _name_file(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def _request(body: Any, content_type: str = "application/json", **fields: Any) -> Request:
    request = Request("POST", "/", "", {"Content-Type": content_type}, b"", body, None, (), "http://x", 0)
    return request._replace(**fields)


def _load(path: Path) -> tuple[RequestValidator, Operation]:
    behavior: Behavior = "observed" if path.parent.name == "observed" else "documented"
    validator = RequestValidator(load_gateway(path, behavior=behavior))
    return validator, next(validator.gateway.iter_generating())


def _judge(validate: Any, request: Request, context: ValidationContext) -> str:
    """Return all that a validation gives; its text tells 1, 1.0 and true apart, and the order of names."""
    try:
        return repr(validate(request, context))
    except GatewayError as error:
        return repr(error.__dict__)


def _vary_texts(body: Mapping[str, Any], random: Random) -> Iterator[dict[str, Any]]:
    """Yield `body`, and bodies that differ from it in texts."""
    yield dict(body)
    names = [name for name in _TEXTS if isinstance(body.get(name), str)]
    if not names:
        return
    for text in (*random.sample(_OTHER_TEXTS, 3), "x" * random.choice(_LENGTHS)):
        yield {**body, random.choice(names): text}
    yield {**body, **dict.fromkeys(names, "the same")}


def _make_bodies(model: str | None, rules: ModelRules, random: Random) -> Iterator[dict[str, Any]]:
    """Yield bodies with good and bad values, in any order."""
    for _ in range(3):
        body: dict[str, Any] = {"prompt": "ab"}
        if model is not None:
            body["model"] = model
        for name in random.sample(list(rules.parameters), min(4, len(rules.parameters))):
            line = rules.parameters[name]
            good = list(line["enum"].value) if "enum" in line else ["ab", 1, True]
            body.setdefault(name, random.choice(good if random.random() < 0.8 else _ODD))
        if random.random() < 0.2:
            body[random.choice(["zzz", "base64", "sizes"])] = random.choice(_ODD)
        names = list(body)
        random.shuffle(names)
        yield {name: body[name] for name in names}
    yield {"prompt": "ab"} if model is None else {"model": model, "prompt": "ab"}
    yield {"model": random.choice(_ODD), "prompt": "ab"}


@pytest.mark.parametrize("path", _FILES, ids=_name_file)
def test_a_known_call_has_the_verdict_of_the_steps(path: Path) -> None:
    """For every gateway, behavior and model, whatever differs: texts, values, their types and their order."""
    validator, operation = _load(path)
    models = operation.models
    assert models is not None
    random = Random(path.stem)
    named = [*models.listed.items(), ("no-such-model", models.otherwise), (None, models.otherwise)]
    for model, rules in named:
        known_rules = rules or next(iter(models.listed.values()))
        for body in _make_bodies(model, known_rules, random):
            report_only = random.random() < 0.3
            channels = frozenset(random.sample(["no-such-model", "other"], random.randint(0, 2)))
            today = random.choice([None, _DAY])
            context = ValidationContext(operation, "sk-x", report_only, channels, today=today)
            for varied in _vary_texts(body, random):
                request = _request(varied)
                found = [_judge(validator.validate, request, context) for _ in range(2)]
                assert [_judge(validator.run_steps, request, context)] * 2 == found, varied


@pytest.mark.parametrize("path", _FILES, ids=_name_file)
def test_equal_values_and_equal_bodies_are_told_apart(path: Path) -> None:
    """0, 0.0, -0.0 and false are equal, and so are bodies whose names stand in another order."""
    validator, operation = _load(path)
    context = ValidationContext(operation, "sk-x")
    for name, value in product(("n", "style", "zzz"), (1, 1.0, True, 0, 0.0, -0.0, False)):
        bad = {"model": "dall-e-3", "prompt": "ab", name: value, "user": 5, "quality": "odd", "yyy": False}
        good = {"model": "dall-e-3", "prompt": "ab", "user": "x", "size": "1024x1024"}
        for body in (bad, dict(reversed(bad.items())), good, dict(reversed(good.items()))):
            request = _request(body)
            assert _judge(validator.run_steps, request, context) == _judge(validator.validate, request, context)


@pytest.mark.parametrize("path", _FILES, ids=_name_file)
def test_a_refusal_with_a_text_is_not_kept(path: Path) -> None:
    """Where a model does not know a parameter that is a free text to another, the refusal has the text in it."""
    validator, operation = _load(path)
    models = operation.models
    assert models is not None
    names = {name for rules in models.listed.values() for name in rules.parameters}
    for model, name in product((*models.listed, None), sorted(names)):
        for text in ("ab", "cd"):
            body = {"model": model, "prompt": "A cat", name: text}
            request = _request({name: value for name, value in body.items() if value is not None})
            context = ValidationContext(operation, "sk-x", report_only=model == "dall-e-3")
            assert _judge(validator.run_steps, request, context) == _judge(validator.validate, request, context)


@pytest.mark.parametrize("path", _FILES, ids=_name_file)
def test_a_known_call_takes_no_step(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call with another prompt, and a refused one, are built from what was judged before."""
    validator, operation = _load(path)
    context = ValidationContext(operation, "sk-x", today=_DAY)
    models = operation.models
    assert models is not None
    model = "dall-e-3" if models.find_rules("dall-e-3", ()) is not None else next(iter(models.listed))
    body = {"model": model, "prompt": "A cat", "n": 1}
    call = validator.validate(_request(body), context)
    wrong = {**body, "n": "five", "response_format": 5}  # not every gateway looks at both
    refused = _judge(validator.validate, _request(wrong), context)

    def fail(*_: Any) -> None:
        raise AssertionError("a step was taken")

    monkeypatch.setattr(validator, "run_steps", fail)
    other = validator.validate(_request({**body, "prompt": "Another 😀"}), context)
    assert call == replace(other, given=body, params=call.params, effective=call.effective)
    for parts, expected in ((other.params, call.params), (other.effective, call.effective)):
        assert list({**expected, "prompt": "Another 😀"}.items()) == list(parts.items())
    assert refused == _judge(validator.validate, _request({**wrong, "prompt": "z"}), context)


def test_what_is_no_part_of_a_body_counts() -> None:
    """The key, the day, report-only, the channels, the content type, and keys that come twice."""
    validator, operation = _load(find_schemas() / "openai.yaml")
    body = {"model": "dall-e-3", "prompt": "A cat", "quality": "high"}
    types = ("application/json", "text/plain", "application/json; charset=latin-1")
    requests = [_request(body, one, duplicates=names) for one in types for names in ((), ("prompt",))]
    requests += [_request(body, trouble="cut_body"), _request(None), _request([body]), _request(body, query="n=1")]
    days = (None, _DAY, Calendar("2027-01-01"), Calendar("2027-01-01", legacy=True))
    ways = product((None, "sk-invalid", "sk-x"), (True, False), days)
    contexts = [ValidationContext(operation, key, report_only, today=today) for key, report_only, today in ways]
    for request, context in [*product(requests, contexts)] * 2:
        expected = _judge(validator.run_steps, request, context)
        assert expected == _judge(validator.validate, request, context)


def test_each_refusal_is_an_error_of_its_own() -> None:
    """Who raises an error writes into it, so a known one is never raised twice."""
    validator, operation = _load(find_schemas() / "ezmodel.yaml")
    found = []
    for _ in range(3):
        with pytest.raises(GatewayError) as caught:
            validator.validate(_request({"prompt": "x", "n": 99}), ValidationContext(operation, "sk-x"))
        found.append(caught.value)
    assert 3 == len({id(error) for error in found})
    assert found[0].__dict__ == found[2].__dict__


def test_kept_verdicts_are_bounded() -> None:
    """However many different calls come, no more than MOST_KEPT verdicts are kept, and none with a large key."""
    validator, operation = _load(find_schemas() / "ezmodel.yaml")
    context = ValidationContext(operation, "sk-x")
    kept = next(iter(validator._known_calls.values()))._kept
    for body in (
        {"prompt": "x", "size": "s" * 1000},
        {"prompt": "x", "n" * 1000: 1},
        {"prompt": "x", "n": 10**1000},
        {"prompt": "x" * 1001},
        {str(number): 1 for number in range(1000)},
        {"prompt": "x", "size": ["s"]},
        {"prompt": "x", **{f"{number:0100}": "v" * 100 for number in range(10)}},
    ):
        _judge(validator.validate, _request(body), context)
        _judge(validator.validate, _request({"prompt": "x"}, "a" * 1000), context)
    assert not kept
    for number in range(MOST_KEPT + 3):
        _judge(validator.validate, _request({"prompt": "x" * 900, "model": f"m{number}"}), context)
    assert 0 < len(kept) <= MOST_KEPT
    assert max(len(repr(one)) for one in kept.items()) < 1500


@pytest.mark.parametrize("path", [path for path in _FILES if path.parent.name == "observed"], ids=_name_file)
@pytest.mark.parametrize("channel", [None, *CHANNELS])
def test_what_an_upstream_takes_is_known_too(path: Path, channel: ChannelName | None) -> None:
    """An upstream that is judged apart has the same say about a call, whether it was judged before or not."""
    validator, operation = _load(path)
    fresh, random = RequestValidator(validator.gateway), Random(path.stem)
    models = operation.models
    assert models is not None
    for model in ("dall-e-3", "gpt-image-1"):
        for body in _make_bodies(model, models.listed.get(model) or next(iter(models.listed.values())), random):
            context = ValidationContext(operation, "sk-x", report_only=True, defers_upstream=True)
            for varied in _vary_texts({**body, "prompt": "ab"}, random):
                request = _request(varied)
                found = [_ask_upstream(one, request, context, channel) for one in (validator, validator, fresh)]
                assert [found[2]] * 3 == found, varied
                fresh._known_calls.clear()  # it takes the steps each time


def _ask_upstream(
    validator: RequestValidator, request: Request, context: ValidationContext, channel: ChannelName | None
) -> str:
    """Return all that is found of a call that its gateway has taken."""
    call = validator.validate(request, context)

    def ask(request: Request, context: ValidationContext) -> Call:
        return validator.check_upstream(call, request, context, channel)

    return _judge(ask, request, context._replace(report_only=False))
