"""One session in Python: what it is told, what its calls look like, what is verified, and every public example."""

from __future__ import annotations

import copy
import doctest
import hashlib
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from openai import OpenAI

import emulator
from emulator import Emulator, EmulatorError, ImageApi, ScenarioSource
from emulator.client import calls, connection, journal_table, proxies
from emulator.core import names
from emulator.core.tables import display_width
from emulator.messages import Request
from emulator.session import sessions
from tests.conftest import Served
from tests.paths import TESTS

MODULES: Final = (connection, names, journal_table, proxies)
"""Internal modules whose functions have examples, beside the public names."""
FROZEN: Final = "frozen:2026-01-01T00:00:00Z"
CAT: Final = "A cute cat walking in space"


def ask(url: str, key: str, **body: Any) -> Any:
    """What a gateway answers to a call for pictures."""
    return httpx.post(f"{url}/images/generations", json=body, headers={"authorization": f"Bearer {key}"}).json()


@pytest.fixture
def image_api(server: Served, key: str) -> ImageApi:
    """A session of the test's own on a server that is up already."""
    return ImageApi(server.url, names.make_name(key.removeprefix("sk-")), gateway="ezmodel")


@pytest.fixture
def asked(image_api: ImageApi) -> ImageApi:
    """A session in which one call was answered, with a finding, and one refused."""
    ask(image_api.url(), image_api.key, model="dall-e-2", prompt=CAT, style="vivid", size="256x256")
    ask(image_api.url(), image_api.key, model="dall-e-3", prompt=CAT, n=2)
    return image_api


def _examples() -> list[Any]:
    """Every example in the docstrings of the public names, and of MODULES."""
    finder = doctest.DocTestFinder()
    found = [test for module in MODULES for test in finder.find(module)]
    for name in emulator.__all__:
        found += finder.find(getattr(emulator, name), name, module=False)
    return [pytest.param(test, id=test.name) for test in found if test.examples]


@pytest.mark.parametrize("example", _examples())
def test_examples_run(example: doctest.DocTest) -> None:
    """Each example says what happens: `image_api` had one call that was answered and one that was refused."""
    with Emulator(clock=FROZEN) as image_api:
        with OpenAI(base_url=image_api.url("ezmodel"), api_key=image_api.key) as sdk:
            first = sdk.images.generate(model="dall-e-3", prompt=CAT, extra_body={"background": "opaque"})
            with pytest.raises(Exception, match="above maximum"):
                sdk.images.generate(model="dall-e-3", prompt=CAT, n=2)
        given = {"image_api": image_api, "first": first, "urllib": __import__("urllib.request")}
        example.globs.update(given, Emulator=Emulator, inspect=emulator.inspect)
        said: list[str] = []
        doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert "" == "".join(said)


WITHOUT_EXAMPLE: Final = ("Inspection", "Matchers", "ScenarioSource", "SupportsSetenv")
"""What `inspect` returns has its example there; the others are types of arguments."""


@pytest.mark.parametrize("name", emulator.__all__)
def test_public_names_are_documented(name: str) -> None:
    """Every public name has a docstring with an example, and lives in `emulator`; so do the classes it comes from."""
    thing = getattr(emulator, name)
    if name == "ScenarioSource":  # a union has no docstring of its own
        return
    assert "emulator" == thing.__module__
    texts = [thing.__doc__ or "", *(getattr(part, "__doc__", None) or "" for part in vars(thing).values())]
    assert any(">>>" in text for text in texts) or name in WITHOUT_EXAMPLE
    for part_name, part in vars(thing).items():
        if callable(part) and not part_name.startswith("_"):
            assert part.__doc__, part_name


def test_importing_loads_nothing_heavy() -> None:
    """A client costs the standard library, and the package nothing at all."""
    loaded = (
        "import sys, emulator; light = set(sys.modules); import emulator.client.api, image_api_emulator_pytest; "
        "heavy = {'aiohttp', 'PIL', 'jsonschema', 'yaml', 'referencing', 'asyncio', 'emulator.server.app'}; "
        "print(sorted(heavy & set(sys.modules)), sorted(name for name in light if name.startswith('emulator')))"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert "[] ['emulator']\n" == done.stdout


def test_the_package_names_its_classes() -> None:
    """The package hands out its classes when they are asked for, and nothing else."""
    assert {"Emulator", "EmulatorError", "ImageApi", "inspect"} <= set(dir(emulator))
    assert emulator.Emulator is Emulator
    with pytest.raises(AttributeError, match="module 'emulator' has no attribute 'Emulater'"):
        emulator.Emulater  # type: ignore[attr-defined]  # noqa: B018


def test_keys_and_names_are_the_servers() -> None:
    """The client and the server make the same names and keys."""
    assert f"{names.RESERVED_KEY}{names.NEUTRAL}." == names.KEY_PREFIX
    request = Request("GET", "/", "", {}, b"", None, None, (), "", 0)
    assert (names.name_for_key("sk-éñ"), None) == sessions.choose_session(request, None, "sk-éñ", reserved=True)
    assert ("case-7", None) == sessions.choose_session(request, None, names.make_key("case-7"), reserved=True)


NAMES: Final = (
    "plain", "latest", "Latest", "", "-", "...", "中文", "a" * 64, "a" * 65, "sk-" + "a" * 30, "rk-x", "test_x[a/b c]",
    "test[" + "é" * 300 + "]", "a::b", "\n", "key-3f9a2c10",
)  # fmt: skip


@pytest.mark.parametrize("text", NAMES)
def test_any_text_makes_a_name(text: str) -> None:
    """Any name of a test makes a name for its session; different names make different ones."""
    name = names.make_name(text, longest=64)
    assert sessions.can_name(name), name
    assert sessions.can_name(names.make_name(text, "somewhere::" + text))
    assert names.make_name(text + "!") != name
    assert names.make_name(text, "one") != names.make_name(text, "two")


def test_urls_and_keys_lead_to_the_session(server: Served, image_api: ImageApi) -> None:
    """Calls to the base URL with any key, and calls with the key to any URL, belong to this session, and no others."""
    body = {"prompt": CAT, "size": "256x256"}
    ask(image_api.url(), "sk-somebody", **body)
    ask(image_api.url("geekai"), "sk-invalid", model="cogview-4", prompt=CAT)
    ask(server.base("ezmodel"), image_api.key, **body)
    ask(image_api.account(image_api.session_name, "geeknow").url(), image_api.key, model="dall-e-3", prompt=CAT)
    ask(server.base("ezmodel"), "sk-somebody-else", **body)
    assert ["ezmodel", "geekai", "ezmodel", "geeknow"] == [call.gateway for call in image_api.calls]
    assert [200, 401, 200, 200] == [call.status for call in image_api.calls]
    assert {image_api.session_name} == {call.session for call in image_api.calls}
    assert f"{server.url}/s/{image_api.session_name}/v1" == ImageApi(server.url, image_api.session_name).url()


def test_the_default_gateway_answers_without_a_name(serve: Callable[..., Served]) -> None:
    """Without a name of a gateway, the server's default gateway answers."""
    image_api = ImageApi(serve(gateway="geekai").url)
    ask(image_api.url(), image_api.key, model="cogview-4", prompt=CAT)
    assert ("geekai", 200) == (image_api.calls.latest.gateway, image_api.calls.latest.status)


def test_an_unknown_gateway_is_refused(image_api: ImageApi) -> None:
    """An unknown gateway is refused with the known names."""
    with pytest.raises(EmulatorError, match=r"^no gateway 'nowhere'; known are .*ezmodel"):
        image_api.url("nowhere")


def test_keys_are_good_where_keys_are_listed(serve: Callable[..., Served], tmp_path: Path) -> None:
    """With --keys, the session's own key is accepted although it is not in the list."""
    (tmp_path / "keys").write_text("sk-listed\n")
    image_api = ImageApi(serve(keys=str(tmp_path / "keys")).url, "listed-or-not", gateway="ezmodel")
    ask(image_api.url(), image_api.key, prompt=CAT)
    ask(image_api.url(), "sk-not-listed", prompt=CAT)
    assert [200, 401] == [call.status for call in image_api.calls]


def test_without_reserved_values_the_key_is_an_ordinary_one(serve: Callable[..., Served]) -> None:
    """With --no-reserved-values the key's digest names the session; the URL leads there, too."""
    served = serve(no_reserved_values=True)
    image_api = ImageApi(served.url, "case-7")
    assert ("sk-case-7", names.name_for_key("sk-case-7")) == (image_api.key, image_api.session_name)
    ask(served.base("ezmodel"), image_api.key, prompt=CAT)
    ask(image_api.url("ezmodel"), "sk-other", prompt=CAT)
    assert [200, 200] == [call.status for call in image_api.calls]


def test_calls_are_a_sequence(asked: ImageApi) -> None:
    """Length, order, indexing and slices are those of a list; each look asks the server again."""
    found = asked.calls
    assert (2, [1, 2], 2) == (len(found), [call.number for call in found], found[-1].number)
    assert [1] == [call.number for call in found[:1]]
    assert found[0] in found
    assert (2, 400) == (found.latest.number, found.latest.status)
    ask(asked.url(), asked.key, prompt=CAT, size="256x256")
    assert (3, 3) == (len(found), found.latest.number)
    with pytest.raises(IndexError, match=f"^no call at 7: session {asked.session_name} has 3$"):
        found[7]
    assert f"<calls of {asked.session_name}: [<call 1: ezmodel generate dall-e-2 200" in repr(found)


def test_a_session_without_calls_is_empty(image_api: ImageApi) -> None:
    """A session that the server does not know has no calls."""
    assert (0, [], {}, ()) == (len(image_api.calls), list(image_api.calls), image_api.findings, image_api.calls[:])
    assert () == image_api.verify(never=True)
    with pytest.raises(IndexError, match="has no call yet"):
        _ = image_api.calls.latest
    image_api.play("happy")
    with pytest.raises(IndexError, match="has no call yet"):
        _ = image_api.calls.latest
    assert "0 calls" in image_api.report()


def test_long_journals_have_several_pages(image_api: ImageApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal of more than one page is read to its end, and numbers are found on any page."""
    for _ in range(5):
        ask(image_api.url(), image_api.key, prompt=CAT, size="256x256")
    monkeypatch.setattr(calls, "_PAGE_LENGTH", 2)
    assert [1, 2, 3, 4, 5] == [call.number for call in image_api.calls]
    assert [2, 5] == [call.number for call in image_api.calls.numbered((5, 2, 9))]


def test_a_call_has_attributes(asked: ImageApi) -> None:
    """What the journal reports are attributes; refusals, findings and pictures are objects."""
    first, second = asked.calls
    assert ("generate", "dall-e-2", CAT, "256x256") == (
        first.operation,
        first.model,
        first.given["prompt"],
        first.params["size"] if first.params else None,
    )
    assert (None, None, ("parameter_ignored",)) == (first.refused, first.rule, first.codes)
    assert ("style", True) == (first.findings[0].param, first.sent)
    assert [(0, "256x256", 256, "png")] == [(one.index, one.size, one.width, one.format) for one in first.pictures]
    refused = second.refused
    assert refused is not None
    assert ("invalid_request", "above_maximum", "n", 2) == (
        refused.kind,
        refused.breach,
        refused.param,
        refused.value,
    )
    assert (True, False) == (second.unexpected, first.unexpected)
    assert f"<call 2: ezmodel generate dall-e-3 400 {second.why}>" == repr(second)
    assert first.as_dict()["request_id"] == first.request_id


def test_records_are_read_only(asked: ImageApi) -> None:
    """A call is read-only; an unknown attribute is refused with the known ones and the nearest of them."""
    call = asked.calls[0]
    with pytest.raises(AttributeError, match="cannot assign to 'status'"):
        call.status = 500  # type: ignore[misc]
    expected = r"^unknown attribute of RecordedCall 'statuss'; did you mean 'status'\?$"
    with pytest.raises(AttributeError, match=expected):
        _ = call.statuss  # type: ignore[attr-defined]
    assert call == pickle.loads(pickle.dumps(call)) == copy.deepcopy(call)
    assert (call, hash(call)) == (asked.calls[0], hash(asked.calls[0]))
    assert call != asked.calls[1]
    assert {"status", "refused", "findings"} <= set(dir(call))


def test_refusals_that_a_script_wants_are_expected(image_api: ImageApi) -> None:
    """A refusal is unexpected if the call breaks the gateway's rules, or if the scenario has no answer left."""
    image_api.play({"limits": {"images": 3}, "rules": [{"when": {"prompt": "a"}, "answers": {"refuse": "quota"}},
                    {"when": {"prompt": "b"}, "answers": "draw", "then": "refuse"}]})  # fmt: skip
    for prompt in ("a", "b", "b", "c", None):
        ask(image_api.url(), image_api.key, prompt=prompt)
    kinds = [call.refused.breach or call.refused.kind if call.refused else None for call in image_api.calls]
    assert ["quota", None, "scenario_exhausted", "quota", "type"] == kinds
    assert [False, False, True, False, True] == [call.unexpected for call in image_api.calls]


VERIFIED: Final[list[tuple[dict[str, Any], list[int] | str]]] = [
    ({}, [1, 2]),
    ({"times": 2}, [1, 2]),
    ({"times": 3}, "expected 3 calls"),
    ({"once": True, "model": "dall-e-3"}, [2]),
    ({"never": True, "gateway": "geekai"}, []),
    ({"never": True, "status": 400}, "call 2"),
    ({"at_least": 1, "prompt": {"contains": "cat"}}, [1, 2]),
    ({"at_most": 1}, "at most 1"),
    ({"between": (1, 3)}, [1, 2]),
    ({"in_order": [{"model": "dall-e-2"}, {"status": 400}]}, [1, 2]),
    ({"in_order": [{"status": 400}, {"model": "dall-e-2"}]}, "dall-e-2"),
    ({"no_findings": True}, "parameter_ignored"),
    ({"no_findings": True, "model": "dall-e-3"}, [2]),
    ({"no_unused_answers": True}, [1, 2]),
    ({"refused": "above_maximum"}, [2]),
    ({"findings": {"contains": "parameter_ignored"}}, [1]),
    ({"model": "gpt-image-1"}, "nearest"),
]


@pytest.mark.parametrize(("words", "expected"), VERIFIED, ids=lambda value: str(value)[:50])
def test_verification(asked: ImageApi, words: dict[str, Any], expected: list[int] | str) -> None:
    """`verify` returns the calls that match, or raises an error that says what came."""
    if isinstance(expected, list):
        assert expected == [call.number for call in asked.verify(**words)]
    else:
        with pytest.raises(AssertionError, match=expected):
            asked.verify(**words)


def test_fields_with_other_names_go_into_when(asked: ImageApi) -> None:
    """Fields that are no Python names, or have the name of another word, go into the mapping `when`."""
    assert 2 == len(asked.verify({"headers": {"content-type": "application/json"}}, times=2))
    assert 2 == len(asked.verify(model={"dall-e-3", "dall-e-2"}, times=2))  # a set is a list: any of them
    with pytest.raises(AssertionError, match="times"):
        asked.verify({"times": 7})
    with pytest.raises(EmulatorError, match="once"):
        asked.verify(once=True, times=1)
    with pytest.raises(EmulatorError, match="cannot be sent: expected what JSON can say"):
        asked.verify(prompt=object())  # type: ignore[arg-type]


def test_what_no_json_can_say(asked: ImageApi) -> None:
    """A value that cannot be sent is an EmulatorError in one line, and so is a scenario of another type."""
    circle: dict[str, Any] = {}
    circle["rules"] = circle
    deep: Any = "x"
    for _ in range(5000):
        deep = {"not": deep}
    values: list[Any] = [circle, {"limits": {"images": 10**5000}}, {(1, 2): 3}]
    for value in values:
        with pytest.raises(EmulatorError, match=r"^the value cannot be sent: [^\n]+$"):
            asked.play(value)
    # How deep JSON can be written depends on Python's version; what is written, the server refuses.
    with pytest.raises(EmulatorError, match=r"^(the value cannot be sent|the body is no JSON): [^\n]+$"):
        asked.play({"rules": [{"when": {"prompt": deep}}]})
    others: list[Any] = [5, None, b"rules: []", []]
    for scenario in others:
        with pytest.raises(EmulatorError, match="is no scenario: expected a name, a path, YAML, or a mapping"):
            asked.play(scenario)
    assert asked.verify(model={"dall-e-3", 5}, times=1)  # type: ignore[arg-type]


SCRIPT: Final = """\
rules:
  - when: {prompt: {contains: weapon}}
    answers: {refuse: moderation}
"""


@pytest.mark.parametrize("form", ["text", "one line", "dict", "path", "path as text", "name"])
def test_scenarios_in_every_form(image_api: ImageApi, tmp_path: Path, form: str) -> None:
    """A scenario is a ready-made one's name, a file, YAML or a dict."""
    path = tmp_path / "my script.yaml"
    path.write_text(SCRIPT)
    forms: dict[str, ScenarioSource] = {
        "text": SCRIPT,
        "one line": "{rules: [{answers: {refuse: moderation}}]}",
        "dict": {"rules": [{"answers": {"refuse": "moderation"}}]},
        "path": path,
        "path as text": str(path),
        "name": "moderated",
    }
    image_api.play(forms[form])
    ask(image_api.url(), image_api.key, prompt="A weapon")
    refused = image_api.calls.latest.refused
    assert refused is not None
    assert ("moderation", False) == (refused.kind, image_api.calls.latest.unexpected)


BAD_SCRIPTS: Final[list[tuple[ScenarioSource, str]]] = [
    ("no-such", "^no ready-made scenario 'no-such'; those are .*happy"),
    ("rules: [{anwers: draw}]", "anwers"),
    ({"rules": [{"answers": {"refuse": "nothing"}}]}, "nothing"),
    (Path("not/there.yaml"), "^not/there.yaml: No such file"),
]


@pytest.mark.parametrize(("script", "message"), BAD_SCRIPTS, ids=str)
def test_bad_scenarios_are_refused_in_one_line(image_api: ImageApi, script: ScenarioSource, message: str) -> None:
    """A bad scenario is refused in one line, and the session plays on what it played before."""
    image_api.play("moderated")
    with pytest.raises(EmulatorError, match=message) as raised:
        image_api.play(script)
    assert "\n" not in str(raised.value)
    ask(image_api.url(), image_api.key, prompt=CAT)
    assert "moderation" == image_api.calls.latest.as_dict()["refused"]["kind"]


def test_an_error_in_a_file_has_its_line(image_api: ImageApi, tmp_path: Path) -> None:
    """An error in a file is reported with the name and the line of the file, although its text was sent."""
    path = tmp_path / "slip.yaml"
    path.write_text("rules:\n  - answers: {refuse: moderation}\n    them: cycle\n")
    with pytest.raises(EmulatorError, match=rf"^{path}:3: unknown key 'them'"):
        image_api.play(path)


def test_reset_begins_anew(image_api: ImageApi) -> None:
    """After a reset the journal is empty and the scenario plays from its beginning."""
    image_api.play({"rules": [{"answers": [{"refuse": "quota"}, "draw"]}]})
    statuses = []
    for _ in range(2):
        for _ in range(2):
            ask(image_api.url(), image_api.key, prompt=CAT)
        statuses.append([call.status for call in image_api.calls])
        image_api.reset()
        assert 0 == len(image_api.calls)
    assert [[429, 200], [429, 200]] == statuses


def test_the_clock_is_the_sessions_own(serve: Callable[..., Served]) -> None:
    """Time moves for one session: its links expire, another's do not."""
    served = serve(clock=FROZEN)
    mine, other = ImageApi(served.url, gateway="ezmodel"), ImageApi(served.url, gateway="ezmodel")
    links = [ask(one.url(), one.key, prompt=CAT, size="256x256")["data"][0]["url"] for one in (mine, other)]
    assert "2026-01-01T01:00:00Z" == mine.clock.advance("1h")
    assert "2026-01-01T01:00:30Z" == mine.clock.advance(30)
    assert ("2026-01-01T01:00:30Z", "2026-01-01T00:00:00Z") == (mine.clock.now, other.clock.now)
    assert [403, 200] == [httpx.get(link).status_code for link in links]
    with pytest.raises(EmulatorError, match="advance"):
        mine.clock.advance("soon")


def test_further_accounts_share_nothing(image_api: ImageApi) -> None:
    """A second account has a name below the first's, a key of its own, and calls of its own."""
    second, third, named = image_api.session(), image_api.session(), image_api.session("alice")
    assert 4 == len({one.session_name for one in (image_api, second, third, named)})
    assert f"{image_api.session_name}.alice" == named.session_name
    image_api.play("no-credit")
    for one in (image_api, second):
        ask(one.url(), one.key, prompt=CAT)
    assert [[429], [200], []] == [[call.status for call in one.calls] for one in (image_api, second, third)]
    assert image_api.session("a" * 80).session_name != image_api.session("a" * 81).session_name


def test_settings(image_api: ImageApi) -> None:
    """A session can have other settings than its server, and None takes a change back."""
    assert False is image_api.settings()["report_only"]
    assert True is image_api.settings(report_only=True)["report_only"]
    ask(image_api.url(), image_api.key, prompt=CAT, n=99)
    assert (200, ("would_be_refused",)) == (image_api.calls.latest.status, image_api.calls.latest.codes)
    assert False is image_api.settings(report_only=None)["report_only"]
    with pytest.raises(EmulatorError, match="reportonly"):
        image_api.settings(reportonly=True)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "127.0.0.1"),
        ({"NO_PROXY": "example.org", "no_proxy": "example.org, .test"}, "example.org,.test,127.0.0.1"),
        ({"no_proxy": "127.0.0.1"}, "127.0.0.1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_environ_excepts_the_server_from_proxies(
    image_api: ImageApi, monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], expected: str
) -> None:
    """The server's host stands beside what the user has, once, in both spellings; `*` excepts every host already."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    told = image_api.environ()
    assert (expected, expected) == (told["NO_PROXY"], told["no_proxy"])


def test_environ_points_sdks_here(image_api: ImageApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SDK without arguments finds the session by environment variables."""
    told = image_api.environ(monkeypatch, "aiai")
    assert {image_api.url("aiai"), image_api.key, told["NO_PROXY"]} == set(told.values())
    with OpenAI() as sdk:
        sdk.images.generate(model="dall-e-3", prompt=CAT)
    assert ("aiai", 200) == (image_api.calls.latest.gateway, image_api.calls.latest.status)


def test_environ_without_monkeypatch(image_api: ImageApi) -> None:
    """Whoever forgets it is told both ways to go on, and nothing is set."""
    with pytest.raises(EmulatorError) as raised:
        image_api.environ("ezmodel")  # type: ignore[arg-type]
    text = str(raised.value)
    assert "'ezmodel' cannot set variables; expected pytest's monkeypatch first" in text
    assert "environ(monkeypatch, 'ezmodel')" in text
    assert "environ(gateway='ezmodel')" in text


def test_findings_are_counted_by_call(asked: ImageApi) -> None:
    """Each code counts once a call."""
    ask(asked.url(), asked.key, prompt=CAT, model="dall-e-2", style="vivid", quality="hd")
    assert 2 == asked.findings["parameter_ignored"]
    assert 2 == len(asked.calls.latest.findings)


def test_pictures_are_traced(image_api: ImageApi) -> None:
    """The bytes of a picture lead to its call and its index, wherever they were kept."""
    ask(image_api.url(), image_api.key, prompt="Another")
    links = ask(image_api.url(), image_api.key, prompt=CAT, n=2, size="512x512")["data"]
    data = httpx.get(links[1]["url"]).content
    origin = image_api.picture_of(data)
    assert origin.call is not None
    assert (2, 1, "512x512", "png", True) == (
        origin.call.number, origin.index, origin.size, origin.format, origin.whole,
    )  # fmt: skip
    assert hashlib.sha256(CAT.encode()).hexdigest()[:16] == origin.prompt_hash
    assert ("ezmodel", "dall-e-2") == (origin.gateway, origin.model)
    ask(image_api.url(), image_api.key, prompt=CAT, n=2, size="512x512")
    assert [2, 3] == [call.number for call in image_api.picture_of(data).calls]
    assert not image_api.picture_of(data[:2000]).whole
    assert (None, ()) == (image_api.session().picture_of(data).call, image_api.session().picture_of(data).calls)


def test_pictures_of_others_have_no_call() -> None:
    """A picture that the emulator did not draw comes from no call; a file that is no picture is refused."""
    path = next((TESTS / "data").rglob("*.png"))
    with Emulator() as image_api:
        origin = image_api.picture_of(path.read_bytes())
        assert (None, None, None, None) == (origin.call, origin.index, origin.prompt_hash, origin.label)
        with pytest.raises(ValueError, match="not a PNG"):
            image_api.picture_of(b"GIF89a")


def test_portability_is_a_table(asked: ImageApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has each call at each gateway; as a text it has a line for each of them."""
    monkeypatch.setenv("COLUMNS", "300")
    table = asked.portability()
    own = [fit for fit in table if fit.gateway == "ezmodel" and fit.behavior == "documented"]
    assert [(1, "ignores", ["style"]), (2, "refused", [])] == [(fit.number, fit.outcome, fit.ignored) for fit in own]
    assert own[1].refused is not None
    assert "above_maximum" == own[1].refused.breach
    lines = str(table).splitlines()
    assert ["CALL", "GATEWAY", "BEHAVIOR", "OUTCOME", "WHY"] == lines[0].split()
    assert 1 + len(table) + len(table.gateways) == len(lines)
    assert any("no effect there: style" in line for line in lines)
    assert {len(table) // 2} == {sum(1 for fit in table if fit.number == number) for number in (1, 2)}
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(display_width, str(table).splitlines())) <= 80


def test_the_report_shows_the_journal(asked: ImageApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has a line for each call; below it are prompt, refusal, findings and the rules that missed."""
    monkeypatch.setenv("COLUMNS", "300")
    asked.play({"rules": [{"name": "dogs", "when": {"prompt": {"contains": "dog"}}, "answers": "draw"}]})
    ask(asked.url(), asked.key, prompt="x" * 61, size="256x256", response_format="b64_json")
    text = asked.report(tmp_path)
    assert f"Session {asked.session_name} of {asked.server}: 3 calls" == text.splitlines()[0]
    for expected in (
        "CALL  GATEWAY  OPERATION  MODEL     SIZE     STATUS  ANSWERED BY",
        "2     ezmodel  generate   dall-e-3  -        400     refused: above_maximum n",
        "(maximum: 1; documented)",
        "parameter_ignored: 'style' has no effect with dall-e-2",
        'rule dogs did not answer: prompt: expected something that contains "dog"',
        f"prompt: {'x' * 60}…",
        "response 200, ",
        "Content-Type: application/json",
        '"b64_json": {"digest": "',
    ):
        assert expected in text, expected
    assert asked.key not in text
    monkeypatch.setenv("COLUMNS", "80")
    narrow = [line for line in asked.report(tmp_path).splitlines() if "/" not in line]  # paths and links stay whole
    assert 80 >= max(map(display_width, narrow))


def test_no_server_is_one_line() -> None:
    """A server that does not answer is reported with its address; so is an address that cannot be one."""
    with pytest.raises(EmulatorError, match=r"^no emulator answers at http://127.0.0.1:1: Connection refused$"):
        ImageApi("http://127.0.0.1:1").url()
    for address in ("127.0.0.1:4010", "http://127.0.0.1:4010/ezmodel/v1", "ftp://x", "http://x:y", "http://", ""):
        with pytest.raises(EmulatorError, match="is no server's address"):
            ImageApi(address)


def test_another_server_is_no_emulator(server: Served) -> None:
    """A server that is no emulator is reported as such."""
    import http.server
    import threading

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()
            self.wfile.write(b"<h1>Not here</h1>")

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with pytest.raises(
            EmulatorError, match=r"^no emulator is there: GET http://.*/_emulator/settings was answered"
        ):
            _ = ImageApi(f"http://127.0.0.1:{other.server_port}").key
        other.shutdown()


def test_a_token_is_sent(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that asks for a token gets the one that was given, or the one of the environment."""
    served = serve(admin_token="a-long-token")
    with pytest.raises(EmulatorError, match="token") as raised:
        list(ImageApi(served.url).calls)
    assert 401 == raised.value.status
    assert 0 == len(ImageApi(served.url, token="a-long-token").calls)
    monkeypatch.setenv("EMULATOR_ADMIN_TOKEN", "a-long-token")
    assert 0 == len(ImageApi(served.url).calls)


def test_nothing_is_left_open(asked: ImageApi) -> None:
    """A client leaves no socket open."""
    code = (
        "import sys, gc, emulator; one = emulator.ImageApi(sys.argv[1], 'left-open'); "
        "one.play('happy'); one.reset(); print(len(one.calls), one.url('ezmodel')); del one; gc.collect()"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code, asked.server]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ("", f"0 {asked.server}/s/left-open/ezmodel/v1\n") == (done.stderr, done.stdout)


def test_repr_names_session_and_server(image_api: ImageApi) -> None:
    """A repr is short, and asks no server."""
    assert f"<image API: session {image_api._name} at {image_api.server}>" == repr(image_api)
    assert "<image API: session embedded at no server>" == repr(Emulator())
