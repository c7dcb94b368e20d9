"""The contract's finer points: what a verdict may be kept for, and in which order things are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.core.data_folders import find_schemas
from emulator.gateway import pricing
from emulator.gateway.gateway import load_gateway
from emulator.gateway.refusals import mask_key
from emulator.messages import Call, GatewayError, Request
from emulator.validation.draft import ValidationContext
from emulator.validation.validator import RequestValidator


@pytest.fixture(scope="module")
def validators() -> dict[str, RequestValidator]:
    """Every gateway that ships, compiled."""
    return {path.stem: RequestValidator(load_gateway(path)) for path in find_schemas().glob("*.yaml")}


def _request(body: Any) -> Request:
    headers = {"Content-Type": "application/json"}
    return Request("POST", "/", "", headers, b"", body, None, (), "http://x", 0)


def _accept(validator: RequestValidator, body: Any, key: str | None = "sk-x") -> Call:
    context = ValidationContext(next(validator.gateway.iter_generating()), key)
    return validator.validate(_request(body), context)


def _refused(validator: RequestValidator, body: Any, key: str | None = "sk-x") -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        _accept(validator, body, key)
    return caught.value


@pytest.mark.parametrize(
    ("gateway", "body", "key", "told"),
    [
        ("aiai", {"model": 5, "zzz": 1}, None, ("missing_key", None)),
        ("aiai", {"model": 5, "zzz": 1}, "sk-invalid", ("invalid_key", None)),
        ("aiai", {"model": 5, "zzz": 1}, "sk", ("type", "model")),
        ("aiai", {"model": "x", "zzz": 1}, "sk", ("unknown_model", "model")),
        ("aiai", {"n": 0, "zzz": 1, "size": "x"}, "sk", ("unknown_parameter", "zzz")),
        ("aiai", {"n": 0, "size": "x"}, "sk", ("missing", "prompt")),
        ("aiai", {"size": "x", "n": 0, "prompt": "x"}, "sk", ("below_minimum", "n")),
        ("geekai", {"prompt": "x"}, "sk", ("missing", "model")),
        ("geeknow", {"prompt": "x", "model": ""}, "sk", ("empty_string", "model")),
    ],
)
def test_the_order_of_checks(
    validators: dict[str, RequestValidator], gateway: str, body: Any, key: str | None, told: tuple[str, str | None]
) -> None:
    """Key, model, unknown parameters, then each parameter in the schema's order, whatever the body's."""
    error = _refused(validators[gateway], body, key)
    assert told == (error.violation or error.kind, error.param)


def test_a_kept_verdict_never_serves_another_body(validators: dict[str, RequestValidator]) -> None:
    """1, 1.0 and true are three values; a prompt counts by its length; asking twice changes nothing."""
    validator = validators["ezmodel"]
    for _ in range(2):
        assert 1 == _accept(validator, {"prompt": "x", "n": 1}).count
        assert "type" == _refused(validator, {"prompt": "x", "n": 1.0}).violation
        assert "type" == _refused(validator, {"prompt": "x", "n": True}).violation
        assert 1 == _accept(validator, {"prompt": "y" * 1000}).count
        assert "too_long" == _refused(validator, {"prompt": "y" * 1001}).violation
        assert "type" == _refused(validator, {"prompt": 1000}).violation
        assert "type" == _refused(validator, {"prompt": None}).violation


def test_no_prompt_is_told_to_another(validators: dict[str, RequestValidator]) -> None:
    """Two overlong prompts of one length: each refusal holds its own value."""
    values = [_refused(validators["ezmodel"], {"prompt": letter * 1001}).value for letter in "ab"]
    assert ["a" * 1001, "b" * 1001] == values


def test_defaults_and_aliases(validators: dict[str, RequestValidator]) -> None:
    """What is absent takes its default, an alias becomes what it means, what was given stays visible."""
    call = _accept(validators["geeknow"], {"model": "dall-e-3", "prompt": "x", "n": 0, "response_format": "base64"})
    assert (1, "b64_json", "standard", "1024x1024") == tuple(
        call.params[name] for name in ("n", "response_format", "quality", "size")
    )
    assert (0, "base64") == (call.given["n"], call.given["response_format"])
    assert "watermark" not in call.params
    auto = _accept(validators["aiai"], {"model": "gpt-image-1", "prompt": "x"})
    assert ("1024x1024", "high", "opaque") == tuple(auto.params[name] for name in ("size", "quality", "background"))


@pytest.mark.parametrize(
    ("size", "pixels", "told"),
    [
        ("16:9", (1024, 1024), True), ("4K", (1024, 1024), True), ("16384x1", (1024, 1024), True),
        ("4097x4096", (1024, 1024), True), ("5504x3040", (5504, 3040), False),
        ("0x5", (1024, 1024), True), ("1024×1024", (1024, 1024), True), ("64x64\n", (1024, 1024), True),
        ("٦٤x٦٤", (1024, 1024), True), ("auto", (1024, 1024), False), ("4096x1", (4096, 1), False),
        ("1920x1080", (1920, 1080), False),
    ],
)  # fmt: skip
def test_sizes_that_a_gateway_lets_by(
    validators: dict[str, RequestValidator], size: str, pixels: tuple[int, int], told: bool
) -> None:
    """What can be drawn is drawn; anything else is 1024x1024, and a finding says so."""
    call = _accept(validators["geeknow"], {"model": "some-model", "prompt": "x", "size": size})
    assert (pixels, told) == (call.pixels, "size_not_drawn" in [finding.code for finding in call.findings])


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("fake_key", "fake_key"), ("twelve-chars", "twelve-chars"),
        ("not-a-real-key-but-a-long-one-organized", "not-a-re***************************ized"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_masked(key: str, shown: str) -> None:
    """As OpenAI masks it: eight characters, stars, four characters; a short one is shown whole."""
    assert shown == mask_key(key)


@pytest.mark.parametrize(("prompt", "tokens"), [("a siamese cat", 10), ("", 6), ("猫", 7), ("a 猫", 8), ("é", 7)])
def test_text_tokens(prompt: str, tokens: int) -> None:
    """One for each CJK character, else four bytes for one, and six beside."""
    assert tokens == pricing.count_text_tokens(prompt)


@pytest.mark.parametrize(
    ("quality", "square", "portrait", "landscape"),
    [("low", 272, 408, 400), ("medium", 1056, 1584, 1568), ("high", 4160, 6240, 6208)],
)
def test_picture_tokens(quality: str, square: int, portrait: int, landscape: int) -> None:
    """The published table of gpt-image-1; n pictures cost n times as much, the prompt included."""
    for pixels, expected in (((1024, 1024), square), ((1024, 1536), portrait), ((1536, 1024), landscape)):
        spent = pricing.count_usage("gpt-image-1", "a siamese cat", quality, pixels, 3)
        assert (30, 3 * expected, 30 + 3 * expected) == (
            spent["input_tokens"], spent["output_tokens"], spent["total_tokens"],
        )  # fmt: skip


def test_findings_come_in_the_bodys_order(validators: dict[str, RequestValidator]) -> None:
    """Not in that of a set, which differs from process to process: a run repeats."""
    ignored = ["watermark", "background", "style"]
    for names in (ignored, ignored[::-1]):
        values = {name: False if name == "watermark" else "x" for name in names}
        call = _accept(validators["geeknow"], {"model": "dall-e-2", "prompt": "x", **values})
        assert names == [finding.param for finding in call.findings]


def test_a_multiple_of_any_size(tmp_path: Path) -> None:
    """`multipleOf` in somebody's file is exact, and an integer that no float can hold is judged like any other."""
    path = tmp_path / "own.yaml"
    path.write_text(_MULTIPLES, "utf-8")
    validator = RequestValidator(load_gateway(path))
    for good in (0.3, 10**400):
        assert good == _accept(validator, {"prompt": "x", "cfg": good}).params["cfg"]
    error = _refused(validator, {"prompt": "x", "cfg": 0.35})
    assert ("cfg", "multipleOf: 0.1") == (error.param, error.rule)


_MULTIPLES = """
openapi: 3.1.0
info: {title: own, version: "1"}
paths:
  /v1/images/generations:
    post:
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [prompt]
              properties: {prompt: {type: string}, cfg: {type: number, multipleOf: 0.1}}
      responses: {"200": {description: good}}
"""


@pytest.mark.parametrize("said", [False, "false", "False", "FALSE", "0"])
def test_a_switch_that_is_off_is_the_same_in_each_spelling(validators: dict[str, RequestValidator], said: Any) -> None:
    """aiai's page prints `stream` as a string; what says no asks for no other model, and means false."""
    call = _accept(validators["aiai"], {"prompt": "x", "stream": said})
    assert ("dall-e-2", False) == (call.model, call.params["stream"])


@pytest.mark.parametrize("said", [True, "true", "True", "TRUE", "1"])
def test_a_switch_that_is_on_is_the_same_in_each_spelling(validators: dict[str, RequestValidator], said: Any) -> None:
    """What says yes asks for the model that streams."""
    call = _accept(validators["aiai"], {"prompt": "x", "stream": said})
    assert ("gpt-image-1", True) == (call.model, call.streams)
