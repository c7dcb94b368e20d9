"""The parts of a gateway's file that only observed behavior need: channels, redirects, spellings, absent values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator.core.data_folders import find_schemas
from emulator.core.header_lines import format_header_lines
from emulator.core.yaml_file import InvalidFile
from emulator.gateway.formats import ResponseHeaders
from emulator.gateway.gateway import Gateway, load_gateway
from emulator.messages import Call, Request, ResponseShape
from emulator.validation.draft import ValidationContext
from emulator.validation.validator import RequestValidator
from tests.yaml_texts import dump_yaml, load_yaml

Make = Callable[[Callable[[Any], None]], Gateway]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a gateway of GeekNow's observed file, changed by what a test does to it; worded as OpenAI words."""

    def made(change: Callable[[Any], None]) -> Gateway:
        document = load_yaml((find_schemas() / "observed/geeknow.yaml").read_text("utf-8"))
        del document["x-emulator-gateway"]["wording"]
        change(document)
        path = tmp_path / "own.yaml"
        path.write_text(dump_yaml(document))
        return load_gateway(path)

    return made


def accepted(gateway: Gateway, *, report_only: bool = False, **body: Any) -> Call:
    """`body` as a call of dall-e-2, understood."""
    operation = next(gateway.iter_generating())
    given = {"model": "dall-e-2", "prompt": "x", **body}
    request = Request("POST", operation.path, "", {"Content-Type": "application/json"}, b"", given, None, (), "", 0)
    return RequestValidator(gateway).validate(request, ValidationContext(operation, "sk-test", report_only))


def test_what_becomes_of_a_reply(make: Make) -> None:
    """A channel with fields has its own shape, one without leaves the model's; the usual one counts for no name."""

    def both(document: Any) -> None:
        document["x-emulator-channels"]["usual"] = "openai"

    gateway = make(both)
    call = accepted(gateway, model="dall-e-3")
    usual, indented = gateway.apply_channel(None, call)
    assert (call.response, 2) == (usual.response, indented.json_format.indent)
    converted, compact = gateway.apply_channel("converted", call)
    assert (("data", "created"), "rewritten", True) == (
        converted.response.fields,
        converted.response.revised_prompt,
        converted.response.blank,
    )
    assert (0, True) == (compact.json_format.indent, compact.json_format.escape)
    assert ResponseShape().delivery != gateway.apply_channel("zhipu", call)[0].response.delivery


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda own: own.pop("usual"), "usual is empty; described are openai, converted, zhipu"),
        (lambda own: own.update(usual="minimax"), "usual is 'minimax'; described are openai"),
        (lambda own: own.update(minimax={}), "unknown key 'minimax'"),
        (lambda own: own["openai"].update(colour=1), "unknown key 'colour'"),
        (lambda own: own["zhipu"].update(delivery="post"), "delivery is 'post'; expected one of url, b64_json"),
        (lambda own: own["zhipu"].update(fields=["usage"]), "fields.0 is 'usage'; expected one of created, data"),
    ],
)
def test_a_slip_in_the_channels_is_one_line(make: Make, change: Callable[[Any], Any], complaint: str) -> None:
    """What a channel cannot be stops the start, with file, line and the known words."""
    with pytest.raises(InvalidFile, match=complaint) as caught:
        make(lambda document: change(document["x-emulator-channels"]))
    assert "\n" not in str(caught.value)


def test_a_redirect_has_the_status_of_one(make: Make) -> None:
    """A status that redirects nobody is refused, and one that does needs no request schema."""

    def status(value: int) -> Callable[[Any], None]:
        return lambda document: document["paths"]["/images/generations/"]["post"].update({"x-emulator-redirect": value})

    with pytest.raises(InvalidFile, match="x-emulator-redirect is 200; expected one of 301, 302, 303, 307, 308"):
        make(status(200))
    operation = make(status(308)).operations["/v1/images/generations/"]["POST"]
    request = Request("POST", "/s/x/own/v1/images/generations/", "a=b", {}, b"", None, None, (), "", 0)
    response = operation.make_redirect(request)
    assert (308, (("Location", "/s/x/own/v1/images/generations?a=b"),), True) == (
        response.status,
        response.headers,
        response.bare,
    )


@pytest.mark.parametrize(
    ("spelled", "keys"),
    [
        (["Bearer"], ["k", None, None, "k"]),
        (["Bearer", "bearer"], ["k", "k", None, "k"]),
        (None, ["k", "k", "k", "k"]),
    ],
)
def test_how_a_scheme_is_spelled(make: Make, spelled: list[str] | None, keys: list[str | None]) -> None:
    """Only the spellings that a file names are understood; without any, every case is. The key alone always is here."""

    def change(document: Any) -> None:
        scheme = document["components"]["securitySchemes"]["bearer"]
        scheme.pop("x-emulator-spelled")
        if spelled is not None:
            scheme["x-emulator-spelled"] = spelled

    gateway = make(change)
    sent = ("Bearer k", "bearer k", "BEARER k", "k")
    assert keys == [gateway.find_key({"authorization": value}) for value in sent]


def test_values_that_count_as_not_given(make: Make) -> None:
    """They take the default and break no rule, while true is not 1 and 0.0 is not 0; the journal keeps what came."""
    gateway = make(lambda document: None)
    call = accepted(gateway, n=0, size="", quality=None)
    assert ({"n": 0, "size": "", "quality": None}, 1, "1024x1024") == (
        {name: call.given[name] for name in ("n", "size", "quality")},
        call.params["n"],
        call.params["size"],
    )
    assert "quality" not in call.params
    reported = accepted(gateway, report_only=True, n=0.0)
    assert ["would_be_refused"] == [finding.code for finding in reported.findings]


def test_how_many_pictures_a_file_may_allow(make: Make) -> None:
    """As many as it says, but never more than any gateway we know; where it says nothing, OpenAI's ten."""

    def most(value: int | None) -> Callable[[Any], None]:
        def change(document: Any) -> None:
            count = document["components"]["schemas"]["AnyModel"]["properties"]["n"]
            count.pop("maximum")
            if value is not None:
                count["maximum"] = value

        return change

    for limit, drawn in ((50, 50), (10_000, 128), (None, 10)):
        gateway = make(most(limit))
        assert drawn == accepted(gateway, n=drawn).count
        reported = accepted(gateway, report_only=True, n=drawn + 1)
        assert (1, ["would_be_refused"]) == (reported.count, [finding.code for finding in reported.findings])


@pytest.mark.parametrize(
    ("headers", "with_account", "without"),
    [
        (ResponseHeaders(), {"X-Request-Id": "id"}, {"X-Request-Id": "id"}),
        (
            ResponseHeaders(others=(("a", "1"), ("b", "2")), account=(("A", "3"),)),
            {"X-Request-Id": "id", "A": "3", "b": "2"},
            {"X-Request-Id": "id", "a": "1", "b": "2"},
        ),
        (ResponseHeaders(others=(("x-request-id", "own"),)), {"x-request-id": "own"}, {"x-request-id": "own"}),
        (ResponseHeaders(account=(("X-Request-Id", "own"),)), {"X-Request-Id": "own"}, {"X-Request-Id": "id"}),
        (
            ResponseHeaders(others=(("took", "?"),), duration="Took"),
            {"X-Request-Id": "id", "Took": "250"},
            {"X-Request-Id": "id", "Took": "250"},
        ),
    ],
    ids=["id", "others and account", "own id", "own id for accounts", "duration"],
)
def test_a_header_is_sent_once(headers: ResponseHeaders, with_account: dict[str, str], without: dict[str, str]) -> None:
    """Of two of the same name the later one counts, in whatever case; the lines say what the mapping says."""
    for has_good_key, expected in ((True, with_account), (False, without)):
        made = headers.make_headers("id", 0.25, has_good_key)
        assert expected == made
        assert format_header_lines(made.items()) == headers.format_lines("id", 0.25, has_good_key)
