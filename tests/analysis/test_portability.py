"""Which gateways accept a call, which ignore a part of it, and why the others refuse it: in Python and as a command."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from emulator.analysis import portability
from emulator.analysis.portability import GatewayFit, PortabilityTarget, SampleRequest
from emulator.cli import portability as porting
from emulator.cli.main import main
from emulator.core import names, strict_json
from emulator.core.data_folders import find_schemas
from emulator.validation import registry
from emulator.validation.registry import GatewayRegistry
from emulator.validation.validator import RequestValidator
from tests.conftest import Served
from tests.uploads import data_url, draw_file


@pytest.fixture(autouse=True)
def wide_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables have a line for each row."""
    monkeypatch.setenv("COLUMNS", "1000")


FIVE: Final = ("aiai", "ezmodel", "geekai", "geeknow", "openai")
"""The gateways whose outcomes the tests list one by one; a further one changes none of them."""
GATEWAYS: Final = {name: registry.find_gateways(())[name] for name in FIVE}
TARGETS: Final = portability.build_targets(GATEWAYS.values())
SK: Final = "sk-abcdefghijklmnopqrstuvwxyz"


def held(*bodies: Any, targets: tuple[PortabilityTarget, ...] = TARGETS) -> portability.PortabilityReport:
    """What each side makes of `bodies`."""
    return portability.check_portability([SampleRequest(body) for body in bodies], targets)


def fits(body: Any) -> Mapping[str, GatewayFit]:
    """What each gateway makes of `body`, by its page."""
    return {one.gateway: one for one in held(body).calls[0].fits}


@pytest.mark.parametrize(
    ("body", "outcomes"),
    [
        ({"prompt": "A cat", "model": "dall-e-3"},
         dict.fromkeys(("aiai", "ezmodel", "geekai", "geeknow", "openai"), "accepted")),
        ({"prompt": "A cat", "model": "dall-e-3", "n": 2},
         {"aiai": "refused", "ezmodel": "refused", "geekai": "accepted (assumed)", "geeknow": "accepted (assumed)",
          "openai": "refused"}),
        ({"prompt": "A cat"},
         {"aiai": "accepted", "ezmodel": "accepted", "geekai": "refused", "geeknow": "refused", "openai": "accepted"}),
        ({"prompt": "A cat", "model": "dall-e-2", "style": "vivid"},
         {"aiai": "ignores", "ezmodel": "ignores", "geekai": "refused", "geeknow": "ignores", "openai": "ignores"}),
        ({"prompt": "A cat", "model": "dall-e-3", "mood": "calm"},
         {"aiai": "refused", "ezmodel": "ignores", "geekai": "ignores", "geeknow": "ignores", "openai": "refused"}),
        ({"prompt": "A cat", "model": "cogview-4"},
         {"aiai": "refused", "ezmodel": "refused", "geekai": "accepted", "geeknow": "accepted", "openai": "refused"}),
        ({"prompt": "A cat", "model": "my-own", "size": "16:9"},
         {"aiai": "refused", "ezmodel": "refused", "geekai": "refused", "geeknow": "ignores", "openai": "refused"}),
        ({}, dict.fromkeys(("aiai", "ezmodel", "geekai", "geeknow", "openai"), "refused")),
        ([], dict.fromkeys(("aiai", "ezmodel", "geekai", "geeknow", "openai"), "refused")),
        (None, dict.fromkeys(("aiai", "ezmodel", "geekai", "geeknow", "openai"), "refused")),
    ],
)  # fmt: skip
def test_who_takes_a_call(body: Any, outcomes: Mapping[str, str]) -> None:
    """Each gateway judges by its own page."""
    assert outcomes == {name: one.outcome for name, one in fits(body).items()}


@pytest.mark.parametrize(
    ("body", "ignored"),
    [
        ({"prompt": "A cat", "model": "dall-e-3", "mood": "calm", "user": "me"}, ["mood"]),
        ({"mood": "calm", "prompt": "A cat", "model": "dall-e-2", "style": "vivid", "tone": 1},
         ["mood", "tone", "style"]),
        ({"prompt": "A cat", "model": "dall-e-3"}, []),
    ],
)  # fmt: skip
def test_what_would_have_no_effect(body: Any, ignored: list[str]) -> None:
    """The parameters that a gateway lets by without heeding them, each once."""
    found = fits(body)["ezmodel"]
    assert (ignored, None) == (list(found.ignored), found.refused)


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        ({"prompt": "A cat", "model": "gpt-image-1"},
         ["'response_format' is not given: b64_json at aiai and openai, url at geeknow"]),
        ({"prompt": "A cat", "model": "dall-e-3"}, []),
        ({}, []),
    ],
)  # fmt: skip
def test_defaults_that_differ_are_told(body: Any, notes: list[str]) -> None:
    """Who leaves out response_format gets links at one gateway and Base64 at another, of those that accept the call."""
    found = [(one.code, one.message) for one in held(body).calls[0].findings if one.param == "response_format"]
    assert [("default_differs", note) for note in notes] == found


def test_what_nobody_promises_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What a page leaves open and the model's maker refuses is accepted by assumption alone, with the maker's words."""
    path = tmp_path / "body.json"
    path.write_text('{"model": "dall-e-3", "prompt": "A cat", "n": 2, "mood": "calm"}')
    _, out, _ = _main(capsys, str(path))
    (line,) = (line for line in _documented(out) if line.startswith("geekai, geeknow  documented  accepted (assumed)"))
    assert "'n' is 2, and the gateway lets it by; the contract of openai for 'dall-e-3' refuses that" in line
    assert line.endswith("without effect: mood")
    assert "geekai  documented  0  1  0  0" in _documented(out)


def test_a_gateway_tells_it_in_its_own_language() -> None:
    """A refusal is told as to a client that asks for no language."""
    gateway = GATEWAYS["ezmodel"]
    words = replace(
        gateway.error_catalog.kinds["unknown_model"], messages={"en": "No such model.", "de": "Unbekannt."}, variants=()
    )
    error_catalog = replace(gateway.error_catalog, kinds={**gateway.error_catalog.kinds, "unknown_model": words})
    german = portability.build_targets(
        [replace(gateway, read_error_catalog=lambda: error_catalog, languages=("de", "en"))]
    )
    found = held({"prompt": "A cat", "model": "x"}, targets=german).calls[0].fits[0]
    assert "Unbekannt." == (found.refused and found.refused.message)


def test_a_size_that_is_passed_on_is_told() -> None:
    """What is accepted as a size and drawn in another counts as without effect."""
    found = fits({"prompt": "A cat", "model": "my-own", "size": "16:9"})["geeknow"]
    assert ("ignores", ("size",)) == (found.outcome, found.ignored)


def test_a_refusal_is_told_as_the_journal_tells_it() -> None:
    """Kind, breach, parameter, the gateway's own words, the rule, and where the rule comes from."""
    found = asdict(fits({"prompt": "A cat", "model": "dall-e-3", "n": 2})["ezmodel"])
    assert {
        "gateway": "ezmodel", "behavior": "documented", "outcome": "refused", "ignored": (), "assumed": (),
        "refused": {
            "kind": "invalid_request", "breach": "above_maximum", "param": "n",
            "message": "Invalid 'n': integer above maximum value. Expected a value <= 1, but got 2 instead.",
            "rule": "maximum: 1", "source": "documented",
        },
    } == found  # fmt: skip


@pytest.mark.parametrize(
    ("body", "gateway"),
    [
        ({"prompt": "A cat", "model": SK}, "ezmodel"),
        ({"prompt": "A cat", "model": "dall-e-3", "size": SK}, "ezmodel"),
        ({"prompt": "A cat", "model": "dall-e-3", SK: 1}, "aiai"),
        ({"prompt": "A cat", "model": "dall-e-3", SK: 1}, "ezmodel"),
    ],
)
def test_no_key_is_told(body: Any, gateway: str) -> None:
    """A key that got into a body does not come out."""
    told = json.dumps(asdict(held(body)))
    assert SK not in told
    assert "***" in json.dumps(asdict(fits(body)[gateway]))


def test_the_key_is_not_what_is_judged() -> None:
    """A server that knows a few keys, and none by a mark, still tells who would take a call with a good one."""
    keys = frozenset({"sk-only"})
    strict = GatewayRegistry(
        registry.Gateways({}, GATEWAYS),
        "ezmodel",
        lambda one: RequestValidator(one, keys, reserved_keys=False),
        load_other=_none,
    )
    targets = portability.build_targets(portability.list_gateways(strict))
    assert {"accepted"} == {
        one.outcome for one in held({"prompt": "A cat", "model": "dall-e-3"}, targets=targets).calls[0].fits
    }


def _none(name: str, behavior: str) -> None:
    """No gateway has other behavior."""


def test_every_behavior_of_a_gateway_is_a_side() -> None:
    """A gateway that has observed behavior too is held twice, and one that has none once."""
    observed = replace(GATEWAYS["geeknow"], behavior="observed")
    both = GatewayRegistry(
        registry.Gateways({}, GATEWAYS),
        "ezmodel",
        RequestValidator,
        load_other=lambda name, behavior: observed if name == "geeknow" else None,
    )
    targets = portability.build_targets(portability.list_gateways(both))
    assert [
        ("aiai", "documented"), ("ezmodel", "documented"), ("geekai", "documented"), ("geeknow", "documented"),
        ("geeknow", "observed"), ("openai", "documented"),
    ] == [(one.gateway, one.behavior) for one in targets]  # fmt: skip
    found = held({"prompt": "A cat", "model": "dall-e-3"}, targets=targets)
    assert [(one.gateway, one.behavior) for one in targets] == [
        (one.gateway, one.behavior) for one in found.calls[0].fits
    ]
    assert [(one.gateway, one.behavior) for one in targets] == [(one.gateway, one.behavior) for one in found.gateways]


def test_each_gateway_is_counted() -> None:
    """At the end: how many calls each takes as they are, in part, and not."""
    good = {"prompt": "A cat", "model": "dall-e-3"}
    found = held(good, {**good, "n": 2}, {**good, "mood": "calm"}, good)
    assert [
        ("aiai", 2, 0, 0, 2), ("ezmodel", 2, 0, 1, 1), ("geekai", 2, 1, 1, 0), ("geeknow", 2, 1, 1, 0),
        ("openai", 2, 0, 0, 2),
    ] == [(one.gateway, one.accepted, one.assumed, one.ignores, one.refused) for one in found.gateways]  # fmt: skip
    assert [{"gateway": "aiai", "behavior": "documented", "accepted": 2, "assumed": 0, "ignores": 0, "refused": 2}] == [
        asdict(one) for one in found.gateways[:1]
    ]


ENTRY: Final = {"number": 3, "gateway": "aiai", "operation": "generate", "given": {"prompt": "x"}, "unreadable": None}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"prompt": "x"}, [SampleRequest({"prompt": "x"})]),
        ([{"prompt": "x"}, {"model": "y"}], [SampleRequest({"prompt": "x"}), SampleRequest({"model": "y"})]),
        ({}, [SampleRequest({})]),
        ([], []),
        ({"calls": []}, []),
        ({"calls": [{"body": {"prompt": "x"}}]}, [SampleRequest({"prompt": "x"})]),
        ([{"body": [1], "gateway": "aiai"}], [SampleRequest([1], None, "aiai")]),
        ({"session": "s", "calls": [ENTRY], "next": None}, [SampleRequest({"prompt": "x"}, 3, "aiai")]),
        (ENTRY, [SampleRequest({"prompt": "x"}, 3, "aiai")]),
        ([ENTRY, {"prompt": "y"}], [SampleRequest({"prompt": "x"}, 3, "aiai"), SampleRequest({"prompt": "y"})]),
        ([{**ENTRY, "operation": "models"}, {**ENTRY, "operation": None}], []),
        ([{**ENTRY, "given": None, "unreadable": {"why": "bad_json"}}], [SampleRequest(None, 3, "aiai", "bad_json")]),
        ([{**ENTRY, "given": None, "unreadable": {"why": "too_large"}}], [SampleRequest(None, 3, "aiai", "too_large")]),
        ([{**ENTRY, "given": None, "unreadable": {"why": "odd"}}], [SampleRequest(None, 3, "aiai", "bad_json")]),
        ([{**ENTRY, "given": None, "unreadable": "odd"}], [SampleRequest(None, 3, "aiai")]),
    ],
)
def test_calls_in_every_shape(said: Any, found: list[SampleRequest]) -> None:
    """A body, bodies, bodies with their gateway, a journal or a part of it; other operations are left out."""
    assert found == list(portability.parse_requests(said, GATEWAYS))


def test_the_calls_of_a_server_are_held_with_their_keys_blanked(serve: Callable[..., Served]) -> None:
    """In their order, with number and gateway; a key of any look comes out nowhere."""
    served = serve()
    key = "my-own-gateway-key-0815"
    served.generate("ezmodel", {"prompt": "A cat", "model": key}, key=key)
    served.generate("aiai", {"prompt": "A cat", "size": key, "n": 2}, key=key)
    httpx.get(f"{served.base('aiai')}/models", headers={"authorization": f"Bearer {key}"})
    assert 3 == len(served.calls())  # asked over HTTP, so that the last call has been written down
    entries = asyncio.run(served.app.sessions.list_calls(names.name_for_key(key)))
    assert entries is not None
    assert 3 == len(entries)
    asked = portability.read_journal(reversed(entries), GATEWAYS)
    assert [(1, "ezmodel", "***"), (2, "aiai", None)] == [
        (one.number, one.gateway, one.body.get("model")) for one in asked
    ]
    assert key not in json.dumps(asdict(portability.check_portability(asked, TARGETS)))


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (None, "call 1 is empty; expected a mapping: a body, or a journal's entry"),
        ("cat", "call 1 is 'cat'; expected a mapping"),
        ([{}, []], "call 2 is a list; expected a mapping"),
        ({"calls": [5]}, "call 1 is 5; expected a mapping"),
        (
            [{"body": {}, "model": "x"}],
            "call 1 has the unknown key 'model'; known are body, gateway, operation, uploads",
        ),
        ([{"body": {}, "operation": "vry"}], "call 1: operation is 'vry'; known are generate, edit"),
        ([{"body": {}, "uploads": 5}], "call 1: uploads is 5; expected a list of mappings"),
        ([{"body": [], "uploads": [{}]}], "call 1: body is a list; expected a mapping"),
        (
            [{"given": {}, "operation": "edit", "uploads": [5]}],
            "call 1: uploads is a list; expected a list of mappings",
        ),
        ([{"given": {}, "operation": "edit", "headers": 5}], "call 1: headers is 5; expected a mapping"),
        (
            [{"given": [], "operation": "edit", "headers": {"Content-Type": "multipart/form-data"}}],
            "call 1: given is a list; expected a mapping",
        ),
        ([{"body": {}, "uploads": [{"widht": 5}]}], "call 1: uploads have the unknown key 'widht'; known are name, "),
        ([{"body": {}, "gateway": 5}], "call 1: gateway is 5; expected a name"),
        ([{**ENTRY, "gateway": ["aiai"]}], "call 1: gateway is a list; expected a name"),
    ],
)
def test_what_is_no_call(said: Any, complaint: str) -> None:
    """One line with the place of the call, what came and what was expected."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        portability.parse_requests(said, GATEWAYS)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    ("trouble", "violation"), [("bad_json", "bad_json"), ("too_large", None), ("cut_body", "cut_body")]
)
def test_a_body_that_could_not_be_read_is_refused_everywhere(trouble: str, violation: str | None) -> None:
    """What was wrong with it is wrong at every gateway."""
    found = portability.check_portability([SampleRequest(None, trouble=trouble)], TARGETS).calls[0].fits
    assert {("refused", violation)} == {(one.outcome, one.refused.breach if one.refused else "none") for one in found}


def _main(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    try:
        code = main(["portability", *arguments])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def _documented(out: str) -> list[str]:
    """The lines of a table that are not about other behavior, which may make its columns wider."""
    return [re.sub(" {2,}", "  ", line) for line in out.split("\n") if " observed " not in line]


def test_a_table_for_people(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A table for each call, and one for all of them."""
    path = tmp_path / "calls.yaml"
    path.write_text(
        "- {model: dall-e-3, prompt: A cat, mood: calm}\n- {gateway: geekai, body: {prompt: A cat, 'n': 2}}\n"
    )
    code, out, err = _main(capsys, str(path), *(word for name in FIVE for word in ("--gateway", name)))
    assert (0, "") == (code, err)
    assert [
        "call 1: dall-e-3",
        "GATEWAY  BEHAVIOR  OUTCOME  WHY",
        "aiai  documented  refused  Unknown parameter: 'mood'. (assumed)",
        "ezmodel, geekai, geeknow  documented  ignores  without effect: mood",
        "openai  documented  refused  The model 'dall-e-3' does not exist. (documented)",
        "",
        "call 2: no model, sent to geekai",
        "GATEWAY  BEHAVIOR  OUTCOME  WHY",
        "aiai, ezmodel  documented  accepted",
        "geekai, geeknow  documented  refused  Missing required parameter: 'model'. (documented)",
        "openai  documented  refused  Missing required parameter: 'model'. (observed)",
        "",
        "2 calls in all",
        "GATEWAY  BEHAVIOR  ACCEPTED  ASSUMED  IGNORES  REFUSED",
        "aiai  documented  1  0  0  1",
        "ezmodel  documented  1  0  1  0",
        "geekai  documented  0  0  1  1",
        "geeknow  documented  0  0  1  1",
        "openai  documented  0  0  0  2",
        "",
    ] == _documented(out)
    table = out.split("\n\n")[0].split("\n")[1:]
    words = ("BEHAVIOR", "documented", "observed")
    assert 1 == len({max(line.find(f"  {word}  ") for word in words) for line in table})


def test_a_table_stays_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Line breaks and control characters of a body make no lines of their own."""
    path = tmp_path / "calls.json"
    path.write_text(json.dumps({"model": "a\nb\x1b", "prompt": "A cat", "x\ny": 1}))
    _, out, _ = _main(capsys, str(path))
    assert "call 1: a?b?" == out.split("\n")[0]
    assert "1 call in all" in out
    assert "\x1b" not in out
    assert any("without effect: x?y" in line for line in out.split("\n"))


def test_json_for_programs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One line, in the shape that a server answers in."""
    path = tmp_path / "body.json"
    path.write_text('{"model": "dall-e-3", "prompt": "\\ud83d\\ude00", "n": 2}')
    code, out, _ = _main(capsys, "--json", str(path))
    told = json.loads(out)
    assert (0, 1) == (code, out.count("\n"))
    assert {"calls", "gateways"} == set(told)
    assert (None, None, "dall-e-3") == tuple(told["calls"][0][key] for key in ("number", "gateway", "body_model"))
    assert {"gateway", "behavior", "outcome", "ignored", "assumed", "refused"} == set(told["calls"][0]["fits"][0])


@pytest.mark.parametrize(("body", "strict"), [({"model": "dall-e-3", "mood": 1}, 1), ({"model": "dall-e-3"}, 0)])
def test_strict_makes_a_refusal_an_error(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    body: dict[str, Any],
    strict: int,
) -> None:
    """Exit code 1 where a gateway refuses, if asked; 0 otherwise. The models that have ended are kept for this."""
    monkeypatch.setenv("EMULATOR_LEGACY", "true")
    path = tmp_path / "body.json"
    path.write_text(json.dumps({"prompt": "A cat", **body}))
    five = [word for name in FIVE for word in ("--gateway", name)]
    assert (0, strict) == (_main(capsys, str(path), *five)[0], _main(capsys, "--strict", str(path), *five)[0])


def test_a_gateway_of_ones_own_is_held_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """--schema adds a gateway; one whose schema does not compile is one line."""
    path, mine = tmp_path / "body.json", tmp_path / "mine.yaml"
    path.write_text('{"prompt": "A cat"}')
    text = _gateway("{type: object, required: [prompt], properties: {prompt: {type: string, maxLength: 3}}}")
    mine.write_text(text)
    code, out, _ = _main(capsys, "--schema", str(mine), str(path))
    assert 0 == code
    assert any(line.startswith("mine  documented  refused  Invalid 'prompt'") for line in _documented(out))
    mine.write_text(text.replace("maxLength: 3", "maxLength: three"))
    code, out, err = _main(capsys, "--schema", str(mine), str(path))
    assert (2, "", 1) == (code, out, err.count("\n"))
    assert f"{mine}: a schema does not compile" in err


def _gateway(schema: str) -> str:
    """A gateway's file in which this is the schema of a request."""
    return (
        "openapi: 3.1.0\ninfo: {title: Mine, version: '1'}\npaths:\n  /v1/images/generations:\n    post:\n"
        f"      requestBody: {{content: {{application/json: {{schema: {schema}}}}}}}\n      responses: {{}}\n"
    )


def test_a_parameter_without_effect_is_told_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A size that is neither known nor can be drawn has two findings, and one name."""
    path, mine = tmp_path / "body.json", tmp_path / "mine.yaml"
    path.write_text('{"prompt": "A cat", "size": "16:9"}')
    mine.write_text(_gateway("{type: object, required: [prompt], properties: {prompt: {type: string}}}"))
    _, out, _ = _main(capsys, "--schema", str(mine), str(path))
    assert "mine  documented  ignores  without effect: size" in _documented(out)


def test_models_that_a_gateway_has_besides(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting `channels` counts here as it counts for a server."""
    path, mine = tmp_path / "body.json", tmp_path / "mine.yaml"
    path.write_text('{"prompt": "A cat", "model": "special"}')
    schema = (
        "{discriminator: {propertyName: model, mapping: {usual: '#/components/schemas/Any'}}, "
        "x-emulator-models: {otherwise: '#/components/schemas/Any', channels: [usual]}}"
    )
    some = "{type: object, required: [prompt], properties: {prompt: {type: string}, model: {type: string}}}"
    mine.write_text(_gateway(schema) + f"components: {{schemas: {{Any: {some}}}}}\n")
    told = []
    for channels in ("other", "special"):
        monkeypatch.setenv("EMULATOR_CHANNELS", channels)
        _, out, _ = _main(capsys, "--json", "--schema", str(mine), str(path))
        told += [one["outcome"] for one in json.loads(out)["calls"][0]["fits"] if one["gateway"] == "mine"]
    assert ["refused", "accepted"] == told


@pytest.mark.parametrize(
    ("arguments", "text", "complaint"),
    [
        ([], None, "neither FILE nor --url is given; expected one of them"),
        (["{file}", "--url", "http://127.0.0.1:1"], "{}", "FILE and --url are both given; expected one of them"),
        (["{file}", "--session", "s"], "{}", "--session 's' is for --url; a FILE has its calls in itself"),
        (["absent.json"], None, "absent.json: No such file or directory"),
        (["{file}"], "{", "calls.json:1: "),
        (["{file}"], "5", "calls.json: call 1 is 5; expected a mapping"),
        (["{file}"], "[{}, 5]", "calls.json: call 2 is 5; expected a mapping"),
        (["{file}"], '{"calls": [{"body": {}, "bdy": 1}]}', "calls.json: call 1 has the unknown key 'bdy'"),
        (["."], None, ".: Is a directory"),
        (["{file}"], '{"calls": []}', "calls.json has no call to hold against other gateways"),
        (["{file}"], '[{"given": {}, "operation": "models"}]', "calls.json has no call to hold against other gateways"),
        (
            ["{file}", "--gateway", "geeknw"],
            "{}",
            "--gateway: no gateway 'geeknw'; did you mean 'geeknow'?",
        ),
        (["--url", "127.0.0.1:4010"], None, "--url '127.0.0.1:4010': "),
        (["--url", "http://127.0.0.1:4010/ezmodel/v1"], None, "--url 'http://127.0.0.1:4010/ezmodel/v1': "),
        (["--url", "http://127.0.0.1:1"], None, "--url 'http://127.0.0.1:1': no emulator answers"),
        (["--url", "http://127.0.0.1:port"], None, "--url 'http://127.0.0.1:port': "),
        (["{file}", "--schema", "absent.yaml"], "{}", "absent.yaml: No such file or directory"),
    ],
)
def test_errors_of_use_are_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    text: str | None,
    complaint: str,
) -> None:
    """Exit code 2, one line on stderr that quotes what was wrong, nothing on stdout."""
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("calls.json").write_text(text)
    code, out, err = _main(capsys, *(one.format(file="calls.json") for one in arguments))
    assert (2, "", 1) == (code, out, err.count("\n")), err
    assert err.startswith(f"image-api-emulator: {complaint}"), err


def test_the_journal_of_a_running_server(capsys: pytest.CaptureFixture[str], serve: Callable[..., Served]) -> None:
    """--url takes the calls of a session, the latest if none is named; with their numbers and gateways."""
    served = serve()
    served.generate("ezmodel", {"model": "dall-e-3", "prompt": "A cat"}, key="sk-one")
    served.generate("ezmodel", {"model": "dall-e-3", "prompt": "A cat", "n": 2}, key="sk-two")
    served.generate("geeknow", {"model": "dall-e-3", "prompt": "A cat", "n": 2}, key="sk-two")
    code, out, err = _main(capsys, "--url", served.url, "--json")
    told = json.loads(out)
    assert (0, "") == (code, err)
    assert [(1, "ezmodel"), (2, "geeknow")] == [(one["number"], one["gateway"]) for one in told["calls"]]
    code, out, _ = _main(capsys, "--url", served.url + "/", "--session", names.name_for_key("sk-one"))
    assert "call 1: dall-e-3, sent to ezmodel" == out.split("\n")[0]
    assert "1 call in all" in out


def test_every_page_of_a_journal_is_asked_for(
    capsys: pytest.CaptureFixture[str], serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal longer than a page comes whole."""
    monkeypatch.setattr(porting, "_PAGE", 2)
    served = serve()
    for number in range(5):
        served.generate("ezmodel", {"model": "dall-e-3", "prompt": f"Cat {number}"})
    _, out, _ = _main(capsys, "--url", served.url, "--json")
    assert [1, 2, 3, 4, 5] == [one["number"] for one in json.loads(out)["calls"]]


def test_pages_are_of_one_session(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Which session is the latest may change between two pages; the second is of the same one as the first."""
    asked = []

    class Answering:
        """Answers like a server whose latest session is another each time."""

        def __init__(self, *_: Any) -> None: ...

        def ask(self, _: str, path: str) -> Any:
            asked.append(path)
            return {"session": "first", "calls": [], "next": 7 if len(asked) == 1 else None}

    monkeypatch.setattr(porting, "Connection", Answering)
    _main(capsys, "--url", "http://127.0.0.1:4010")
    assert ["/sessions/latest/calls?limit=1000&after=0", "/sessions/first/calls?limit=1000&after=7"] == asked


def test_a_session_that_is_not_there(capsys: pytest.CaptureFixture[str], serve: Callable[..., Served]) -> None:
    """What the server says of it is the complaint."""
    served = serve()
    served.generate("ezmodel", {"prompt": "A cat"})
    code, out, err = _main(capsys, "--url", served.url, "--session", "nobody")
    assert (2, "", 1) == (code, out, err.count("\n"))
    assert f"image-api-emulator: --url '{served.url}': no session 'nobody'" in err


def test_the_token_of_a_server(capsys: pytest.CaptureFixture[str], serve: Callable[..., Served]) -> None:
    """--admin-token opens a server that asks for one; without it the server's refusal is the complaint."""
    served = serve(admin_token="open-sesame")
    served.generate("ezmodel", {"prompt": "A cat"})
    code, _, err = _main(capsys, "--url", served.url)
    assert (2, True) == (code, "a token is needed" in err)
    assert 0 == _main(capsys, "--url", served.url, "--admin-token", "open-sesame")[0]


def test_files_are_read_as_json_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A journal as curl writes it is a file: tabs, escaped slashes and paired surrogates are JSON's, not YAML's."""
    path = tmp_path / "journal.txt"
    entry = strict_json.format_json({**ENTRY, "given": {"prompt": "x", "model": "a/b"}})
    path.write_text('{\t"calls":\t[' + entry.replace("a/b", "a\\/b\\ud83d\\ude00") + "]}")
    _, out, _ = _main(capsys, str(path))
    assert "call 3: a/b😀, sent to aiai" == out.split("\n")[0]


FORM: Final = {
    "body": {"model": "gpt-image-1", "prompt": "A cat", "n": 2},
    "uploads": [{"name": "image[]"}, {"name": "mask", "alpha_share": 0.5}],
}


@pytest.mark.parametrize(
    ("call", "outcomes"),
    [
        (FORM, {"aiai": "accepted", "ezmodel": "refused", "geekai": "refused", "geeknow": "accepted",
                "openai": "accepted"}),
        ({**FORM, "uploads": [{"name": "image", "format": None}]}, {"geeknow": "refused", "openai": "refused"}),
        ({**FORM, "uploads": [{"name": "image", "media_type": "text/plain"}]}, {"openai": "refused"}),
        ({"operation": "edit", "body": {"model": "gpt-image-1", "prompt": "x", "images": [{"file_id": "file-1"}]}},
         {"aiai": "refused", "geeknow": "refused"}),
        ({"operation": "edit", "body": {"prompt": "x"}}, {"geekai": "refused", "aiai": "refused"}),
    ],
)  # fmt: skip
def test_edits_are_held_too(call: Any, outcomes: Mapping[str, str]) -> None:
    """A form is described by its texts and its files, whose bytes nobody needs; an edit may also be JSON."""
    samples = portability.parse_requests([call], GATEWAYS)
    found = portability.check_portability(samples, TARGETS).calls[0].fits
    assert outcomes == {one.gateway: one.outcome for one in found if one.gateway in outcomes}


def test_journalled_edits_are_held_as_they_came(
    capsys: pytest.CaptureFixture[str], serve: Callable[..., Served]
) -> None:
    """A form with its uploads, and JSON with its data: URLs; equal calls share a table, and no message has an id."""
    served = serve(legacy=True)
    url, headers = served.base("openai") + "/images/edits", {"authorization": "Bearer sk-edits"}
    form = {"model": "gpt-image-1", "prompt": "x", "n": "2"}
    for _ in range(2):
        files = {"image": ("a.png", draw_file(), "image/png")}
        assert 200 == httpx.post(url, data=form, files=files, headers=headers).status_code
    body = {"model": "gpt-image-1", "prompt": "x", "images": [{"image_url": data_url(draw_file())}]}
    assert 200 == httpx.post(url, json=body, headers=headers).status_code
    code, out, err = _main(capsys, "--url", served.url, "--gateway", "openai", "--gateway", "ezmodel")
    assert (0, "") == (code, err)
    assert ["calls 1, 2: gpt-image-1, sent to openai", "call 3: gpt-image-1, sent to openai", "3 calls in all"] == [
        block.split("\n")[0] for block in out.split("\n\n")
    ]
    assert "request id" not in out
    assert "aiai" not in out
    _, out, _ = _main(capsys, "--url", served.url, "--json")
    told = json.loads(out)
    fits = [{(one["gateway"], one["behavior"]): one["outcome"] for one in call["fits"]} for call in told["calls"]]
    assert [one["geeknow", "observed"] for one in fits][:2] == ["accepted"] * 2


def test_calls_that_are_no_pictures_are_no_calls(
    capsys: pytest.CaptureFixture[str], serve: Callable[..., Served]
) -> None:
    """A session that only listed models has nothing to hold: exit code 2, in one line."""
    served = serve()
    served.generate("ezmodel", {"prompt": "x"}, key="sk-other")
    headers = {"authorization": "Bearer sk-x", "x-emulator-session": "lister"}
    httpx.get(f"{served.base('openai')}/models", headers=headers)
    code, out, err = _main(capsys, "--url", served.url, "--session", "lister")
    assert (2, "", 1) == (code, out, err.count("\n"))
    assert "--session 'lister' has no call to hold against other gateways" in err


def test_no_message_has_a_request_id() -> None:
    """What the observed gateways answer ends with an id, and here there is no request."""
    observed = registry.load_behavior("geeknow", "observed")
    assert observed is not None
    (call,) = held({"model": "no-such-model", "prompt": "x"}, targets=portability.build_targets([observed])).calls
    refused = call.fits[0].refused
    assert refused is not None
    assert "No available channel for model no-such-model under group default (distributor)" == refused.message


DEPLOYMENT: Final = "/openai/deployments/dall-e-3/images/generations?api-version=2025-04-01-preview"


def test_a_model_in_the_path(capsys: pytest.CaptureFixture[str], serve: Callable[..., Served]) -> None:
    """A call to a deployment is a call for its model, whatever its body says; the gateway that took it still does."""
    served = serve()
    for body in ({"prompt": "A cat"}, {"prompt": "A cat", "model": "gpt-image-2"}):
        answer = httpx.post(f"{served.url}/s/paths/azure{DEPLOYMENT}", json=body, headers={"api-key": "sk-test"})
        assert 200 == answer.status_code
    code, out, _ = _main(capsys, "--url", served.url, "--session", "paths", "--gateway", "azure", "--strict", "--json")
    told = json.loads(out)
    assert 0 == code, out
    assert [("dall-e-3", "accepted")] * 2 == [(one["body_model"], one["fits"][0]["outcome"]) for one in told["calls"]]
    answer = httpx.post(f"{served.url}/_emulator/portability", json={"session": "paths"})
    assert told["calls"] == [
        {**one, "fits": [fit for fit in one["fits"] if fit["gateway"] == "azure"], "findings": []}
        for one in answer.json()["calls"]
    ]


def test_a_query_is_not_portable(
    capsys: pytest.CaptureFixture[str], serve: Callable[..., Served], tmp_path: Path
) -> None:
    """A gateway whose every path needs a query and names the model accepts what it took, and what others took."""
    text = (find_schemas() / "azure.yaml").read_text("utf-8")
    head, _, rest = text.partition("  /openai/v1/images/generations:\n")
    path = tmp_path / "mine.yaml"
    path.write_text(head + rest[rest.index("  /openai/deployments/") :], "utf-8")
    served = serve(schema=(str(path),))
    headers = {"api-key": "sk-test"}
    answer = httpx.post(f"{served.url}/s/mine/mine{DEPLOYMENT}", json={"prompt": "A cat"}, headers=headers)
    assert 200 == answer.status_code
    served.generate("openai", {"model": "dall-e-3", "prompt": "A cat"}, **{"x-emulator-session": "mine"})
    flags = ["--url", served.url, "--session", "mine", "--schema", str(path)]
    code, out, _ = _main(capsys, *flags, "--gateway", "mine", "--strict")
    assert 0 == code, out
    assert "call 1: dall-e-3, sent to mine" in out
