"""Files of wording: envelopes, languages, own words for models, parameters and cases, and what they build on."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from emulator.core import yaml_file
from emulator.core.data_folders import find_schemas
from emulator.gateway.errors import ErrorCatalog, ErrorCatalogLoader
from emulator.messages import FACTS, KINDS, VIOLATIONS, GatewayError
from tests.yaml_texts import dump_yaml

OPENAIS = find_schemas() / "wordings/openai.yaml"


@pytest.fixture
def error_catalog(tmp_path: Path) -> Any:
    """Makes a wording that builds on OpenAI's."""
    (tmp_path / "openai.yaml").write_text(OPENAIS.read_text())

    def make(**said: Any) -> ErrorCatalog:
        (tmp_path / "own.yaml").write_text(dump_yaml({"extends": "openai.yaml", **said}))
        return ErrorCatalogLoader().load(tmp_path / "own.yaml")

    return make


GO = {
    "envelopes": {
        "relay": {"error": {"message": "{message}", "type": "{type}", "param": "{param}", "code": "{code}"}},
        "abort": {"error": {"code": "{code}", "message": "{message}", "type": "{type}"}},
        "bare": None,
    },
    "spelling": {"content_type": "application/json; charset=utf-8", "escape": True},
}


def test_what_is_not_said_is_as_in_the_file_below(error_catalog: Any) -> None:
    """`extends` takes every line, the envelope and the spelling of another file but for its own."""
    own = error_catalog(kinds={"billing": {"status": 402, "message": "No coins"}})
    assert 402 == own.render(GatewayError("billing")).status
    assert ErrorCatalogLoader().load(OPENAIS).render(GatewayError("quota")) == own.render(GatewayError("quota"))


def test_a_line_without_a_status_changes_the_line_below(error_catalog: Any) -> None:
    """Status, type, code and envelope stay; the words count for every model and case that had others."""
    base = ErrorCatalogLoader().load(OPENAIS)
    own = error_catalog(
        kinds={"moderation": {"message": "Blocked"}, "rate_limit": {"code": "slow_down"}},
        breaches={"above_maximum": {"message": "{param} is over {limit}"}},
    )
    for model in ("dall-e-3", "gpt-image-1"):
        error = GatewayError("moderation", model=model)
        expected, found = base.choose_template(error), own.choose_template(error)
        assert replace(expected, messages={"": "Blocked"}, variants=()) == replace(found, variants=())
    for words in ({}, {"case": "requests"}, {"case": "images_above"}):
        error = GatewayError("rate_limit", words=words)
        expected, found = base.choose_template(error), own.choose_template(error)
        assert replace(expected, code="slow_down", variants=()) == replace(found, variants=())
    error = GatewayError("invalid_request", "n", "above_maximum", facts={"limit": "10"})
    assert ("n is over 10", base.render(error).status) == (own.format_message(error), own.render(error).status)
    assert base.find_code(error) == own.find_code(error)


def test_a_changed_line_has_variants_of_its_own(error_catalog: Any) -> None:
    """They come on top of those of the line below, part by part."""
    own = error_catalog(
        kinds={
            "moderation": {"message": "Blocked", "models": {"dall-e-*": {"message": "Old"}, "flux-*": {"code": "f"}}}
        }
    )
    found = {
        model: (own.format_message(error), own.find_code(error))
        for model in ("dall-e-3", "gpt-image-1", "flux-1")
        for error in [GatewayError("moderation", model=model)]
    }
    assert {
        "dall-e-3": ("Old", "content_policy_violation"),
        "gpt-image-1": ("Blocked", "moderation_blocked"),
        "flux-1": ("Blocked", "f"),
    } == found


def test_a_language_that_is_changed(tmp_path: Path) -> None:
    """The other languages stay."""
    (tmp_path / "own.yaml").write_text("extends: new-api.yaml\nkinds: {missing_key: {message: {en: No key}}}\n")
    own = ErrorCatalogLoader().load(tmp_path / "own.yaml")
    error = GatewayError("missing_key")
    assert ("No key", True) == (own.format_message(error, "en"), "无效的令牌" in own.format_message(error, "zh"))


@pytest.mark.parametrize("name", sorted(path.name for path in (find_schemas() / "wordings").glob("*.yaml")))
def test_a_catalog_that_ships_needs_no_copy(tmp_path: Path, name: str) -> None:
    """`extends` finds it by its name, also from a file of the same name; what is beside the file is found first."""
    (tmp_path / name).write_text(f"extends: {name}\nkinds: {{quota: {{status: 429, message: Mine}}}}\n")
    own, shipped = ErrorCatalogLoader(), ErrorCatalogLoader().load(find_schemas() / "wordings" / name)
    assert shipped.render(GatewayError("not_found")) == own.load(tmp_path / name).render(GatewayError("not_found"))
    (tmp_path / "further.yaml").write_text(f"extends: {name}\n")
    assert "Mine" == own.load(tmp_path / "further.yaml").format_message(GatewayError("quota"))


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    """Every kind and every breach, in their order, and how to do without them."""
    path = tmp_path / "own.yaml"
    path.write_text("envelopes: {usual: {message: '{message}'}}\nkinds: {quota: {status: 429, message: m}}\n")
    with pytest.raises(yaml_file.InvalidFile) as caught:
        ErrorCatalogLoader().load(path)
    kinds = ", ".join(kind for kind in KINDS if kind != "quota")
    assert f"own.yaml:1: kinds has no words for {kinds}; breaches has " in str(caught.value)
    assert f"; breaches has no words for {', '.join(VIOLATIONS)}; `extends: FILE` takes them" in str(caught.value)


def test_catalogs_that_extend_each_other(tmp_path: Path) -> None:
    """They are refused in one line."""
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(yaml_file.InvalidFile, match="leads back to this file"):
        ErrorCatalogLoader().load(tmp_path / "a.yaml")


def test_envelopes_by_name(error_catalog: Any) -> None:
    """A line names its envelope, the first is the usual one, and an empty one is no body at all."""
    own = error_catalog(
        **GO,
        kinds={
            "missing_key": {"status": 401, "type": "t", "code": "", "message": "No <key> & no ID", "envelope": "abort"},
            "rate_limit": {"status": 429, "message": "", "envelope": "bare"},
        },
    )
    response = own.render(GatewayError("missing_key"))
    assert b'{"error":{"code":"","message":"No \\u003ckey\\u003e \\u0026 no ID","type":"t"}}' == response.body[0]
    assert (("Content-Type", "application/json; charset=utf-8"),) == response.headers
    empty = own.render(GatewayError("rate_limit"))
    assert (429, (), (b"",)) == (empty.status, empty.headers, empty.body)
    assert ["message", "type", "param", "code"] == list(json.loads(own.render(GatewayError("quota")).body[0])["error"])


def test_headers_of_a_line(error_catalog: Any) -> None:
    """What a line says of headers goes with its reply, with a body or without, before the problem's own."""
    challenge = {"WWW-Authenticate": "Bearer"}
    own = error_catalog(
        **GO, kinds={"missing_key": {"status": 401, "message": "m", "envelope": "bare", "headers": challenge}}
    )
    response = own.render(GatewayError("missing_key", headers=(("Retry-After", "1"),)))
    assert (("WWW-Authenticate", "Bearer"), ("Retry-After", "1")) == response.headers


def test_facts_in_the_headers_of_a_line(error_catalog: Any) -> None:
    """A wait is in whole seconds; a header without its fact is left out; a line's own header is the only one."""
    headers = {"Retry-After": "{wait}", "X-Left": "{left} of {limit}", "X-Json": '{"a": 1}'}
    own = error_catalog(**GO, kinds={"rate_limit": {"status": 429, "message": "", "headers": headers}})
    for wait, seconds in (("12s", "12"), ("20ms", "1"), ("1.5s", "2")):
        error = GatewayError("rate_limit", facts={"wait": wait}, headers=(("retry-after", "99"), ("x-b", "1")))
        found = own.render(error).headers
        assert (("Retry-After", seconds), ("X-Json", '{"a": 1}'), ("x-b", "1")) == found[1:]
    found = own.render(GatewayError("rate_limit", facts={"left": "3", "limit": "5"})).headers
    assert (("X-Left", "3 of 5"), ("X-Json", '{"a": 1}')) == found[1:]
    with pytest.raises(yaml_file.InvalidFile, match=r"the header names \{waits\}; known are wait, limit, .* 'wait'"):
        error_catalog(**GO, kinds={"quota": {"status": 429, "message": "", "headers": {"Retry-After": "{waits}"}}})


def test_languages(error_catalog: Any) -> None:
    """A message may be in several languages; the caller's counts, else the first."""
    own = error_catalog(kinds={"invalid_key": {"status": 401, "message": {"en": "Invalid token", "zh": "无效的令牌"}}})
    assert ["Invalid token", "无效的令牌", "Invalid token"] == [
        own.format_message(GatewayError("invalid_key"), language=language) for language in ("en", "zh", "fr")
    ]


def test_rendering_changes_no_error() -> None:
    """The caller's language and the request's id go into the answer; the error stays as it was raised."""
    catalog = ErrorCatalogLoader().load(OPENAIS)
    error = GatewayError("moderation", facts={"model": "gpt-image-1"})
    body = catalog.render(error, language="en", request_id="req_7").body[0]
    assert b"request ID req_7." in body
    assert "request ID req_7." in catalog.format_message(error, request_id="req_7")
    assert GatewayError("moderation", facts={"model": "gpt-image-1"}) == error


@pytest.mark.parametrize("path", sorted((find_schemas() / "wordings").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_kept_answer_is_the_one_that_would_be_rendered(path: Path) -> None:
    """For every kind and breach, whatever the facts, the language and the request's id; each in a third of the ways."""
    catalog, random = ErrorCatalogLoader().load(path), Random(path.stem)
    errors = [GatewayError(kind) for kind in KINDS]
    errors += [GatewayError("invalid_request", violation=violation) for violation in VIOLATIONS]
    values = ("'a'", "", 'é <b> "', "www.example.com", "\x00", "(request id: \x00)", "x" * 3000, "{request_id}")
    ways = ("dall-e-3", "gpt-image-1", None), (None, "model", "prompt"), (True, False), ("", "zh"), ((), (("a", "b"),))
    ids = ("", "2026abc", "a.example.com", '"é<\x00')
    for error in errors:
        names = [name for name in random.sample(FACTS, 5) if name not in ("request_id", "model")]
        facts = {name: random.choice(values[:4]) for name in names}
        for model, param, upstream, language, headers in random.sample([*product(*ways)], 24):
            varied = replace(error, model=model, param=param, upstream=upstream, facts=facts, headers=headers)
            request_id = random.choice(ids)
            expected = catalog._render(varied, language, request_id)
            assert expected == catalog.render(varied, language, request_id), varied
        for name, text in product(facts, values):
            varied = replace(error, facts={**facts, "model": "gpt-image-1", name: text}, headers=(("allow", "GET"),))
            assert catalog._render(varied, "", "2026abc") == catalog.render(varied, "", "2026abc"), varied


def test_kept_answers_are_bounded() -> None:
    """However many clients name parameters of their own, some hundred answers are kept, and none with a long text."""
    catalog = ErrorCatalogLoader().load(OPENAIS)
    catalog.render(GatewayError("invalid_request", "p" * 10_000, "unknown_parameter"))
    catalog.render(GatewayError("invalid_request", "n", "type", model="m" * 10_000))
    assert not catalog._rendered
    for number in range(1000):
        catalog.render(GatewayError("invalid_request", f"p{number}", "unknown_parameter"))
    assert 100 < len(catalog._rendered) < 500
    assert len(repr(list(catalog._rendered.items()))) < 1000 * len(catalog._rendered)


def test_own_words_for_parameters_and_cases(error_catalog: Any) -> None:
    """`params` and `cases` differ from their line in what they say, and in nothing else."""
    own = error_catalog(
        breaches={"type": {"status": 500, "code": "c", "message": "usual", "params": {"n": {"message": "of {param}"}}}},
        kinds={"quota": {"status": 403, "code": "user", "message": "u", "cases": {"key": {"code": "key"}}}},
    )
    typed = [own.choose_template(GatewayError("invalid_request", param, "type")) for param in ("n", "size", None)]
    assert [(500, "c", "of {param}"), (500, "c", "usual"), (500, "c", "usual")] == [
        (one.status, one.code, one.messages[""]) for one in typed
    ]
    cases = [
        own.choose_template(GatewayError("quota", words=words))
        for words in ({}, {"case": "key"}, {"case": "key", "status": 9})
    ]
    assert [(403, "user"), (403, "key"), (9, "key")] == [(one.status, one.code) for one in cases]


def test_what_an_upstream_refuses(error_catalog: Any) -> None:
    """An upstream's words are passed on in the gateway's envelope, with an empty `param` in the place of null."""
    own = error_catalog(**GO, upstream={"$ref": "openai.yaml", "envelope": "relay"})
    response = own.render(
        GatewayError("invalid_request", "n", "above_maximum", {"limit": "1", "value": "2"}, upstream=True)
    )
    assert {
        "message": "Invalid 'n': integer above maximum value. Expected a value <= 1, but got 2 instead.",
        "type": "invalid_request_error",
        "param": "n",
        "code": "integer_above_max_value",
    } == json.loads(response.body[0])["error"]
    assert "" == json.loads(own.render(GatewayError("moderation", upstream=True)).body[0])["error"]["param"]


def test_a_line_can_leave_the_words_to_the_upstream(error_catalog: Any) -> None:
    """`upstream` in a line passes on what the upstream says of that kind, addresses masked where the file says so."""
    own = error_catalog(
        **GO,
        upstream={"$ref": "openai.yaml", "envelope": "relay", "masked": True},
        kinds={
            "moderation": {"upstream": "moderation"},
            "upstream_error": {"status": 500, "message": "m", "cases": {"error": {"upstream": "server_error"}}},
        },
    )
    refused = GatewayError("moderation", facts={"model": "gpt-image-1", "request_id": "req_1"})
    error = json.loads(own.render(refused).body[0])["error"]
    assert (400, "moderation_blocked", "") == (own.render(refused).status, error["code"], error["param"])
    assert "contact us at ***.***.com and include the request ID req_1" in error["message"]
    dalle = own.choose_template(GatewayError("moderation", facts={"model": "dall-e-3"}))
    assert ("content_policy_violation", True) == (dalle.code, dalle.relayed)
    error_case = own.choose_template(GatewayError("upstream_error", words={"case": "error"}))
    assert (500, "server_error") == (error_case.status, error_case.type)
    assert "m" == own.format_message(GatewayError("upstream_error"))


def test_a_bare_wording_sends_no_headers_but_its_own(error_catalog: Any) -> None:
    """Neither Allow nor Retry-After, wherever they come from; a line's own headers stay."""
    told = {"status": 429, "message": "m", "headers": {"X-Own": "1"}}
    waiting = GatewayError("rate_limit", headers=(("retry-after", "9"),))
    names = [
        [name for name, _ in error_catalog(kinds={"rate_limit": told}, **bare).render(waiting).headers]
        for bare in ({}, {"bare": True})
    ]
    assert [["Content-Type", "X-Own", "retry-after"], ["Content-Type", "X-Own"]] == names


def test_own_words_for_the_model_whose_rules_were_broken(error_catalog: Any) -> None:
    """A breach's words go by its problem's model, as a kind's go by the model that it names."""
    own = error_catalog(breaches={"enum": {"status": 500, "message": "m", "models": {"dall-e-2": {"message": "of 2"}}}})
    said = [
        own.format_message(GatewayError("invalid_request", "size", "enum", model=model))
        for model in ("dall-e-2", "dall-e-3")
    ]
    assert ["of 2", "m"] == said


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"kinds": {"quota": {"upstream": "nothing"}}}, "upstream is 'nothing'; expected one of missing_key"),
        ({"extends": "../openai.yaml"}, "is no file beside own.yaml"),
        ({"extends": "new-apy.yaml"}, "no error catalog that ships; (known are .*; )?did you mean 'new-api.yaml'"),
        (
            {"extends": "new-api.yaml", "kinds": {"moderation": {"message": "m"}}},
            "kinds.moderation has no status: what it changes is the answer of an upstream",
        ),
        (
            {"kinds": {"quota": {"status": 400, "message": "m", "envelope": "x"}}},
            "unknown envelope 'x'; known are usual",
        ),
        (
            {"envelopes": {"own": {"error": ["{mesage}"]}}},
            "{mesage} is none of the parts of a refusal; expected one of",
        ),
        ({"kinds": {"quota": {"status": 99, "message": "m"}}}, "status is 99; expected 200 to 599"),
        ({"kinds": {"quota": {"status": 400, "message": {"en": 5}}}}, "en is 5; expected a text"),
        ({"spelling": {"indent": "2"}}, "indent is '2'; expected a whole number from 0"),
        (
            {"kinds": {"quota": {"status": 400, "message": "m", "headers": {"A": 1}}}},
            "A is 1; expected one line of text",
        ),
        ({"breaches": {"type": {"message": "m", "params": {"n": {"colour": 1}}}}}, "unknown key 'colour'"),
    ],
)
def test_a_slip_is_one_line(error_catalog: Any, said: dict[str, Any], complaint: str) -> None:
    """What is wrong in a file of wording stops the start, with file and line."""
    with pytest.raises(yaml_file.InvalidFile, match=complaint) as caught:
        error_catalog(**said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("envelope", "body"),
    [
        ({"error": "{message}"}, {"error": "No coins"}),
        ({"error": {"code": "{status}", "message": "{message}"}}, {"error": {"code": 402, "message": "No coins"}}),
        (
            {"detail": [{"loc": ["body", "{param}"], "msg": "{message}"}]},
            {"detail": [{"loc": ["body", "n"], "msg": "No coins"}]},
        ),
        ([{"error": {"code": "{status}"}}], [{"error": {"code": 402}}]),
        ("{message}", "No coins"),
    ],
    ids=str,
)
def test_envelopes_of_any_shape(error_catalog: Any, envelope: Any, body: Any) -> None:
    """A flat one, a number as the code, lists at any place, and a text alone; each is kept as any other is."""
    own = error_catalog(envelopes={"own": envelope}, kinds={"billing": {"status": 402, "message": "No coins"}})
    for _ in range(2):
        assert body == json.loads(own.render(GatewayError("billing", param="n")).body[0])
