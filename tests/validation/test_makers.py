"""What a gateway lets by and the model's own maker refuses: told, with the maker's words, and answered all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from emulator.core.data_folders import find_schemas
from emulator.core.yaml_file import InvalidFile
from emulator.gateway.gateway import Gateway, load_gateway
from emulator.messages import Call, Request
from emulator.validation.draft import ValidationContext
from emulator.validation.makers import MakerContracts
from emulator.validation.registry import load_behavior, load_gateways
from emulator.validation.validator import RequestValidator
from tests.conftest import Served
from tests.uploads import draw_file


def _load(name: str) -> Gateway:
    if name.endswith(" (observed)"):
        gateway = load_behavior(name.removesuffix(" (observed)"), "observed")
        assert gateway is not None
        return gateway
    return load_gateway(find_schemas() / f"{name}.yaml")


NAMES: Final = [
    "aiai", "ezmodel", "geekai", "geeknow", "openai",
    "aiai (observed)", "ezmodel (observed)", "geekai (observed)", "geeknow (observed)",
]  # fmt: skip
VALIDATORS: Final = {name: RequestValidator(_load(name)) for name in NAMES}


def _accept(name: str, body: Any, report_only: bool = False) -> Call:
    validator = VALIDATORS[name]
    request = Request(
        "POST", "/", "", {"Content-Type": "application/json"}, b"", body, None, (), "http://x", 0
    )  # fmt: skip
    operation = next(validator.gateway.iter_generating())
    return validator.validate(request, ValidationContext(operation, "sk-x", report_only=report_only))


def _assumed(name: str, body: Any) -> list[str | None]:
    """The parameters of which nobody promises that the gateway takes them."""
    return [finding.param for finding in _accept(name, body).findings if finding.code == "assumed_accepted"]


D3: Final = {"model": "dall-e-3", "prompt": "A cat"}
GPT: Final = {"model": "gpt-image-1", "prompt": "A cat"}


@pytest.mark.parametrize(
    ("gateway", "body", "params"),
    [
        ("geekai", {**D3, "n": 2}, ["n"]),
        ("geeknow", {**D3, "n": 2}, ["n"]),
        ("geeknow", {**D3, "prompt": "a" * 4001}, ["prompt"]),
        ("geeknow", {**D3, "prompt": "猫" * 4000}, []),
        ("geeknow", {**D3, "quality": "junk"}, ["quality"]),
        ("geeknow", {**D3, "model": "dall-e-2", "prompt": "a" * 1001, "quality": "hd"}, ["prompt", "quality"]),
        ("geeknow", {**GPT, "prompt": "a" * 32001, "size": "9x9", "n": 0}, ["prompt", "size"]),
        ("geeknow", {**GPT, "background": "transparent", "quality": "auto", "response_format": "base64"}, []),
        ("geeknow", {**D3, "style": {"name": "vivid"}, "watermark": False, "n": 0}, []),
        ("geeknow", {**GPT, "model": "gpt-image-2", "size": "800x800"}, ["size"]),
        ("geeknow", {**GPT, "model": "my-own", "size": "9x9", "quality": "junk"}, []),
        ("geeknow", {**D3, "mood": "calm"}, []),
        ("geekai", {**D3, "model": "cogview-4", "n": 2}, ["n"]),
        ("geekai", {**D3, "model": "cogview-4", "size": "720x1440", "quality": "hd", "retries": 3}, []),
        ("geekai (observed)", {**D3, "n": 2}, ["n"]),
        ("ezmodel", {**D3, "model": "dall-e-2", "quality": "hd", "style": "vivid"}, []),
        ("aiai", {"prompt": "A cat", "stream": "false"}, []),
        ("aiai", {**GPT, "n": 10, "background": "transparent"}, []),
        ("geeknow (observed)", {"model": "dall-e-3"}, ["prompt"]),
        ("geeknow (observed)", {"model": "dall-e-3", "prompt": ""}, ["prompt"]),
        ("geeknow (observed)", {**D3, "n": 2, "quality": "junk"}, ["n", "quality"]),
        ("geeknow (observed)", {**D3, "n": 0, "prompt": "x", "size": "", "mood": 1}, []),
        ("geeknow (observed)", {**D3, "background": "opaque"}, ["background"]),
        ("geeknow (observed)", {**GPT, "response_format": "url", "watermark": True}, []),
    ],
)  # fmt: skip
def test_what_nobody_promises(gateway: str, body: Any, params: list[str]) -> None:
    """A value that the page leaves open and the maker refuses; not what the page names, nor an unlisted model's."""
    assert params == _assumed(gateway, body)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("body", [{**D3, "n": 1, "quality": "hd", "size": "1792x1024"}, D3])
def test_what_the_maker_takes_is_no_finding(name: str, body: Any) -> None:
    """A call that the maker takes as well has no finding at any gateway."""
    assert () == _accept(name, body).findings


@pytest.mark.parametrize(
    ("gateway", "body"),
    [
        ("geekai", {"model": "dall-e-3", "prompt": "draw a cute cat", "size": "1024x1024", "n": 1, "quality": "hd",
                    "retries": 0}),
        ("geekai", {"model": "dall-e-3", "prompt": "Draw a cute kitten", "size": "1024x1024", "n": 1}),
        ("ezmodel", {"prompt": "A cute baby sea otter"}),
        ("ezmodel", {"model": "dall-e-3", "prompt": "A cute baby sea otter", "n": 1, "size": "1024x1024"}),
        ("geeknow", {"model": "gpt-image-1", "prompt": "插图", "n": 1, "size": "1024x1024", "quality": "auto",
                     "response_format": "url"}),
        ("geeknow", {"model": "gpt-image-1", "prompt": "生成一张简洁的产品海报"}),
        ("geeknow", {"model": "dall-e-3", "prompt": "插画", "size": "1792x1024", "quality": "hd",
                     "response_format": "url"}),
        ("geeknow", {"model": "gpt-image-1", "prompt": "海报", "response_format": "b64_json"}),
        ("aiai", {"prompt": "string"}),
    ],
)  # fmt: skip
def test_the_examples_of_the_pages_have_no_finding(gateway: str, body: Any) -> None:
    """What a gateway's own page shows is promised, so a strict test of it passes."""
    assert () == _accept(gateway, body).findings


def test_the_finding_quotes_the_maker() -> None:
    """The parameter, its value, and what the maker's contract says, in the maker's words; a long value is cut."""
    (finding,) = _accept("geeknow", {**D3, "n": 2}).findings
    assert finding.message == (
        "'n' is 2, and the gateway lets it by; the contract of openai for 'dall-e-3' refuses that: "
        "Invalid 'n': integer above maximum value. Expected a value <= 1, but got 2 instead."
    )
    (finding,) = _accept("geeknow (observed)", {"model": "dall-e-3"}).findings
    assert finding.message.startswith("'prompt' is not given, and the gateway lets it by; ")
    (finding,) = _accept("geeknow", {**D3, "prompt": "a" * 9000}).findings
    assert "maximum length 4000" in finding.message
    assert len(finding.message) < 400


def test_what_the_gateway_refuses_is_told_once() -> None:
    """With report-only, a parameter that the gateway itself refuses has one finding."""
    codes = [finding.code for finding in _accept("ezmodel", {**D3, "n": 2}, report_only=True).findings]
    assert ["would_be_refused"] == codes


def test_edits_are_compared_with_edits(server: Served, key: str) -> None:
    """A form at a gateway is compared with the maker's rules for forms."""
    files = {"image": ("image.png", draw_file(), "image/png")}
    for quality, codes in (("high", None), ("junk", "assumed_accepted")):
        response = httpx.post(
            server.base("geeknow") + "/images/edits",
            data={"model": "gpt-image-1", "prompt": "x", "quality": quality},
            files=files,
            headers={"authorization": f"Bearer {key}"},
        )
        assert (200, codes) == (response.status_code, response.headers.get("x-emulator-finding"))


def test_the_journal_has_the_finding(server: Served, key: str) -> None:
    """The call is answered, the header has the code, and the journal its text."""
    response = server.generate("geekai", {**D3, "n": 2}, key=key)
    assert (200, "assumed_accepted") == (response.status_code, response.headers["x-emulator-finding"])
    (finding,) = server.calls()[-1]["findings"]
    assert ("assumed_accepted", "n") == (finding["code"], finding["param"])


@pytest.mark.parametrize("name", ["openay", "../openai", "wordings/openai"])
def test_a_maker_that_there_is_not(tmp_path: Path, name: str) -> None:
    """One line with the place, and the nearest known name."""
    text = (find_schemas() / "geeknow.yaml").read_text("utf-8").replace("  wording: {$ref: wordings/openai.yaml}\n", "")
    (tmp_path / "own.yaml").write_text(text.replace("makers: [openai, zhipu]", f"makers: [{name}]"), "utf-8")
    with pytest.raises(InvalidFile) as caught:
        load_gateway(tmp_path / "own.yaml")
    assert f"'{name}' is no file with a contract; " in str(caught.value)
    assert "'openai'" in str(caught.value) or ", openai, " in str(caught.value)


def test_a_maker_of_ones_own(tmp_path: Path) -> None:
    """A file beside the gateway's own may be the contract."""
    schema = "{type: object, required: [prompt], properties: {prompt: {type: string, maxLength: %s}}}"
    model = "{discriminator: {propertyName: model, mapping: {m: '#/components/schemas/M'}}}"
    text = (
        "openapi: 3.1.0\ninfo: {title: T, version: '1'}\n%spaths:\n  /images/generations:\n    post:\n"
        "      requestBody: {content: {application/json: {schema: " + model + "}}}\n      responses: {}\n"
        "components: {schemas: {M: " + schema + "}}\n"
    )
    (tmp_path / "front.yaml").write_text(text % ("x-emulator-gateway: {makers: [strict]}\n", 9))
    (tmp_path / "strict.yaml").write_text(text % ("", 3))
    gateways = load_gateways([str(tmp_path / "front.yaml")])
    validator = RequestValidator(next(one for one in gateways if one.name == "front"))
    request = Request(
        "POST", "/", "", {"Content-Type": "application/json"}, b"", {"model": "m", "prompt": "four"}, None, (), "", 0
    )  # fmt: skip
    call = validator.validate(request, ValidationContext(next(validator.gateway.iter_generating()), "sk-x"))
    assert ["prompt"] == [finding.param for finding in call.findings if finding.code == "assumed_accepted"]


def test_a_maker_that_is_a_gateway_too_is_loaded_once() -> None:
    """OpenAI's file is a gateway's, and the contract of the makers of others; files that ship are loaded once."""
    first, second = load_gateways(()), load_gateways(())
    assert list(map(id, first)) == list(map(id, second))
    openai = next(one for one in first if one.name == "openai")
    makers = MakerContracts(next(one for one in first if one.name == "ezmodel"))
    contract = makers.find("generate", False, "dall-e-3")
    assert contract is not None
    assert openai is contract.maker
    assert makers.find("generate", False, "no-such-model") is makers.find("generate", False, None) is None
    assert contract in makers.find_all("generate", in_form=False)
    assert load_behavior("aiai", "observed") is load_behavior("aiai", "observed")
