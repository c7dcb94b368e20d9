"""The pytest plugin: a session for each test, markers, settings, reports of failures, strictness, and pytest-xdist."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from emulator import Emulator, ImageApi
from tests.conftest import Served

pytest_plugins = ["pytester"]

QUIET: Final = ("-p", "no:cacheprovider", "-p", "image_api")
"""With our plugin and no other: whatever else is installed here takes seconds to load."""

ASKING: Final = """
import http.client, json, pytest
from urllib.parse import urlsplit

def ask(url, key, **body):
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port)
    try:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        connection.request("POST", where.path + "/images/generations", json.dumps(body), headers)
        with connection.getresponse() as response:
            return response.status, json.loads(response.read())
    finally:
        connection.close()

def draw(image_api, gateway="ezmodel", **body):
    body = {"prompt": "A cute cat", "size": "256x256", **body}
    return ask(image_api.url(gateway), image_api.key, **body)[0]

"""
Run = Callable[..., pytest.RunResult]


Loaded = dict[str, ModuleType]


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loaded]:
    """Keep the modules that inner runs import: pytester would import half of a library twice."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    found: Loaded = {}
    yield found  # and behind this, pytester has taken away what it did not know before
    for name, module in found.items():
        sys.modules.setdefault(name, module)


@pytest.fixture
def here(loaded: Loaded, pytester: pytest.Pytester) -> Run:
    """Runs the tests of the folder in this process."""

    class Keeper:
        def pytest_unconfigure(self) -> None:
            own = str(pytester.path)
            loaded.update((k, v) for k, v in sys.modules.items() if not str(getattr(v, "__file__", "")).startswith(own))

    def inner(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess(*QUIET, *arguments, plugins=[Keeper()])

    return inner


@pytest.fixture
def run(pytester: pytest.Pytester, here: Run) -> Run:
    """Runs a file of tests in this process; `settings` are lines of its pytest.ini."""

    def inner(tests: str, *arguments: str, settings: str = "") -> pytest.RunResult:
        pytester.makeini(f"[pytest]\nfilterwarnings = error\n{settings}")
        pytester.makepyfile(test_inner=ASKING + tests)
        return here(*arguments)

    return inner


def lines(result: pytest.RunResult) -> str:
    """What a run printed."""
    return "\n".join(result.outlines)


def test_pytest_finds_it() -> None:
    """An installed package is all that it takes: pytest finds the plugin by its entry point, outside of `emulator`."""
    (found,) = entry_points(group="pytest11", name="image_api")
    assert "image_api_emulator_pytest" == found.value


def test_nothing_to_configure(run: Run) -> None:
    """Each test has its own key, URL and journal on one server, and its session has its name."""
    result = run(
        """
        seen = []

        @pytest.mark.parametrize("turn", [1, 2, 3])
        def test_a_poster(image_api, turn):
            assert 200 == draw(image_api)
            assert 200 == ask(image_api.server + "/ezmodel/v1", image_api.key, prompt="By key alone")[0]
            assert [1, 2] == [call.number for call in image_api.calls]
            assert image_api.session_name.startswith(f"test_a_poster-{turn}-")
            seen.append((image_api.server, image_api.key, image_api.url("ezmodel"), image_api.session_name))

        def test_apart():
            servers, *others = map(set, zip(*seen, strict=True))
            assert [1, 3, 3, 3] == [len(servers), *map(len, others)]
    """.replace("\n        ", "\n")
    )
    result.assert_outcomes(passed=4)
    assert "image_api findings" not in lines(result)


def test_names_repeat_with_the_run(run: Run) -> None:
    """On a server of this process a test's session has the same name in each run: chance and ids depend on it."""
    names = []
    for _ in range(2):
        result = run("def test_x(image_api): print(image_api.session_name)\n", "-s")
        names.append(re.findall(r"test_x-[0-9a-f]{8}", lines(result)))
    assert (names[0], 1) == (names[1], len(names[0]))


def test_a_test_that_runs_twice_has_two_sessions(run: Run, pytester: pytest.Pytester) -> None:
    """A test that is run again, as one that is flaky, begins with an empty journal."""
    pytester.makeconftest("""
        from _pytest.runner import runtestprotocol
        def pytest_runtest_protocol(item, nextitem):
            for _ in range(2):
                reports = runtestprotocol(item, nextitem=nextitem, log=False)
            for report in reports:
                item.ihook.pytest_runtest_logreport(report=report)
            return True
    """)
    result = run("""
names = set()
def test_x(image_api):
    draw(image_api)
    names.add(image_api.session_name)
    assert 1 == len(image_api.calls)
def test_both(): assert 2 == len(names)
""")
    result.assert_outcomes(passed=2)


def test_a_fixture_of_the_same_name_can_build_on_it(run: Run) -> None:
    """A project's own `image_api`, and one that asks for another fixture first; strictness holds at the end."""
    run("""
@pytest.fixture
def other(request): return request.node.name

@pytest.fixture
def image_api(other, image_api):
    image_api.test_name = other
    yield image_api
    assert image_api.calls.latest.status == 400

@pytest.mark.image_api(strict=True)
def test_x(image_api): assert ("test_x", 400) == (image_api.test_name, draw(image_api, n=99))
@pytest.mark.image_api(strict="refusals")
def test_y(image_api): assert ("test_y", 400) == (image_api.test_name, draw(image_api, n=99))
""").assert_outcomes(passed=2, errors=2)


MARKED: Final = """
def test_name(image_api): assert 429 == draw(image_api)
test_name = pytest.mark.image_api(scenario="rate-limited-then-ok")(test_name)

@pytest.mark.image_api(scenario="beside.yaml")
def test_file_beside_the_test(image_api): assert 503 == draw(image_api)

@pytest.mark.image_api(scenario={"rules": [{"answers": {"refuse": "upstream_error"}}]})
def test_dict(image_api): assert 502 == draw(image_api)

@pytest.mark.image_api(gateway="geekai")
def test_gateway(image_api):
    assert image_api.url().endswith("/geekai/api/v1")
    assert image_api.session().url().endswith("/geekai/api/v1")

@pytest.mark.image_api(report_only=True)
def test_report_only(image_api): assert 200 == draw(image_api, n=99)

def test_neither(image_api): assert 400 == draw(image_api, n=99)

@pytest.mark.image_api(behavior="observed")
def test_behavior(image_api): assert "observed" == image_api.settings()["behavior"]

@pytest.mark.image_api(scenario="moderated", gateway="aiai")
class TestNearest:
    def test_of_the_class(self, image_api):
        assert 400 == draw(image_api)
    @pytest.mark.image_api(scenario="happy")
    def test_of_its_own(self, image_api):
        assert 200 == draw(image_api)
        assert image_api.url().endswith("/aiai/v1")
"""


def test_markers(run: Run, pytester: pytest.Pytester) -> None:
    """The marker sets a test's scenario and settings; for each word the nearest marker counts."""
    pytester.makefile(".yaml", beside="rules: [{answers: {refuse: overloaded}}]")
    run(MARKED).assert_outcomes(passed=9)


def test_files_are_found_from_anywhere(here: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A marker's file is beside the test or in the root folder, a setting's file in the root folder."""
    folder = pytester.mkpydir("deeper")
    (folder / "beside.yaml").write_text("rules: [{answers: {refuse: overloaded}}]")
    (pytester.path / "above.yaml").write_text("rules: [{answers: {refuse: upstream_error}}]")
    (folder / "test_deeper.py").write_text(
        ASKING
        + """
@pytest.mark.image_api(scenario="beside.yaml")
def test_beside(image_api): assert 503 == draw(image_api)
@pytest.mark.image_api(scenario="above.yaml")
def test_above(image_api): assert 502 == draw(image_api)
def test_setting(image_api): assert 502 == draw(image_api)
"""
    )
    pytester.makeini("[pytest]\nimage_api_scenario = above.yaml")
    monkeypatch.chdir("/")
    result = here(str(folder), "-c", str(pytester.path / "tox.ini"))
    result.assert_outcomes(passed=3)


BAD_MARKERS: Final = [
    ("scenaro='happy'", "none of its keywords; known are scenario=…, recording=…, gateway=…, behavior=…, strict=…"),
    ("scenaro='happy'", "; did you mean 'scenario'?"),
    ("'happy'", "'happy' has no keyword; it takes keywords only, such as scenario='rate-limited-then-ok'"),
    ("'scenario'", "'scenario' has no keyword; it takes keywords only"),
    ("scenario='no-such'", "image_api: no ready-made scenario 'no-such'; those are "),
    ("scenario='hapy'", "; did you mean 'happy'?"),
    ("gateway='ezmodle'", "image_api: no gateway 'ezmodle'; did you mean 'ezmodel'?"),
    ("gateway='ezmodle'", "; did you mean 'ezmodel'?"),
    ("strict='refusal'", "; did you mean 'refusals'?"),
    ("scenario='no-such.yaml'", "image_api: no-such.yaml: No such file"),
    ("strict='refusal'", "strict says 'refusal'; expected true, false, or some of refusals, unused_answers, findings"),
    ("behavior='good'", "behavior"),
    ("behavior='observd'", "; did you mean 'observed'?"),
]


def read_reports(result: pytest.RunResult, when: str) -> dict[str, str]:
    """What a run printed of each test that had an error at its setup or its teardown, by the test's name."""
    _, *found = re.split(rf"^_+ ERROR at {when} of (\w+) _+$|^=+ .* =+$", lines(result), flags=re.MULTILINE)
    return {name: text for name, text in zip(found[::2], found[1::2], strict=True) if name}


def test_bad_markers_are_one_line(run: Run) -> None:
    """An error in a marker fails that test with one line, which names the known words."""
    tests = [
        f"@pytest.mark.image_api({words})\ndef test_{number}(image_api): ...\n"
        for number, (words, _) in enumerate(BAD_MARKERS)
    ]
    result = run("".join(tests) + "def test_good(image_api): ...\n")
    result.assert_outcomes(errors=len(BAD_MARKERS), passed=1)
    reports = read_reports(result, "setup")
    assert len(BAD_MARKERS) == len(reports)
    for number, (words, message) in enumerate(BAD_MARKERS):
        text = reports[f"test_{number}"]
        assert message in text, words
        check_one_line(text)


def check_one_line(text: str) -> None:
    """Fails unless `text` tells one error, in one line and without a traceback."""
    assert "Traceback" not in text
    assert "During handling" not in text
    told = [line for line in text.splitlines() if line.startswith(("image_api: ", "pytest.mark.", "E   "))]
    assert 1 == len(told), told


def test_settings_of_pytest(run: Run, pytester: pytest.Pytester) -> None:
    """pytest's configuration sets the server, and the defaults of each test."""
    pytester.makefile(".yaml", script="rules: [{answers: [{refuse: overloaded}, draw]}]")
    settings = """
image_api_gateway = aiai
image_api_scenario = script.yaml
image_api_seed = 7
image_api_clock = frozen:2026-01-01T00:00:00Z
image_api_strict = refusals
image_api_report_only = true
image_api_behavior = observed
image_api_picture_weight = realistic
"""
    result = run(
        """
def test_x(image_api):
    assert (7, "2026-01-01T00:00:00Z") == (image_api.server_settings["seed"], image_api.clock.now)
    assert (True, "observed", "realistic") == tuple(image_api.settings().values())
    assert image_api.url().endswith("/aiai/v1")
    assert [503, 200] == [draw(image_api), draw(image_api)]
def test_from_the_beginning(image_api): assert 503 == draw(image_api)
@pytest.mark.image_api(scenario="happy")
def test_otherwise(image_api): assert 200 == draw(image_api)
@pytest.mark.image_api(picture_weight="small")
def test_light(image_api): assert "small" == image_api.settings()["picture_weight"]
@pytest.mark.image_api(report_only=False, behavior="documented")
def test_refused(image_api): assert [503, 400] == [draw(image_api), draw(image_api, n=99)]
""",
        settings=settings,
    )
    result.assert_outcomes(passed=5, errors=1)
    assert "ERROR at teardown of test_refused" in lines(result)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("image_api_seed = many", "image_api: seed: 'many': expected a whole number"),
        ("image_api_gateway = nowhere", "image_api: gateway 'nowhere' is unknown; known are "),
        ("image_api_gateway = ezmodle", "; did you mean 'ezmodel'?"),
        ("image_api_scenario = hapy", "; did you mean 'happy'?"),
        ("image_api_behavior = observd", "; did you mean 'observed'?"),
        ("image_api_strict = refusal", "; did you mean 'refusals'?"),
        (
            "image_api_clock = frozn:2026-01-01",
            "image_api: clock: 'frozn:2026-01-01': expected real, scale:0.01",
        ),
        ("image_api_strict = most", "strict says 'most'; expected true, false, or some of "),
        ("image_api_schema = none.yaml", "none.yaml: No such file"),
    ],
)
def test_bad_settings_are_one_line(run: Run, setting: str, message: str) -> None:
    """A bad setting is reported in one line, and tests without the fixture run."""
    result = run("def test_x(image_api): ...\ndef test_y(): ...\n", settings=setting)
    result.assert_outcomes(errors=1, passed=1)
    assert message in lines(result)
    check_one_line(lines(result))


ON_ANY_SERVER: Final = """
@pytest.mark.image_api(scenario="rate-limited-then-ok")
def test_script(image_api):
    assert [429, 429, 200] == [draw(image_api) for _ in range(3)]
    image_api.verify(times=3)

def test_empty(image_api):
    image_api.verify(never=True)
    assert image_api.url().endswith("/geeknow/v1")
    print(image_api.server, image_api.session_name)
"""


def test_a_server_that_is_up_already(run: Run, server: Served) -> None:
    """The same tests run against a server elsewhere; two runs on it share nothing."""
    names = []
    for _ in range(2):
        result = run(ON_ANY_SERVER, "--image-api-url", server.url, "-s", settings="image_api_gateway = geeknow")
        result.assert_outcomes(passed=2)
        names += re.findall(rf"{server.url} (test_empty-[0-9a-f]+)", lines(result))
    assert 2 == len(set(names))


def test_settings_of_pytest_on_a_server_elsewhere(run: Run, server: Served, pytester: pytest.Pytester) -> None:
    """pytest's configuration sets the defaults of each test there, too."""
    pytester.makefile(".yaml", script="rules: [{answers: {refuse: overloaded}}]")
    result = run(
        """
def test_x(image_api):
    assert True is image_api.settings()["report_only"]
    assert 503 == draw(image_api, n=99)
@pytest.mark.image_api(scenario="happy", report_only=False)
def test_y(image_api): assert 400 == draw(image_api, n=99)
""",
        "--image-api-url",
        server.url,
        settings="image_api_scenario = script.yaml\nimage_api_report_only = true\nimage_api_strict = unused_answers",
    )
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("image_api_seed = 7", "image_api_seed is 7, but the server at http://127.0.0.1:[0-9]+ has 0"),
        ("image_api_clock = scale:0", "image_api_clock is scale:0, but the server at .* has real"),
    ],
)
def test_a_server_with_another_seed_or_clock(run: Run, server: Served, settings: str, message: str) -> None:
    """A server with another seed or clock than the configuration is refused."""
    result = run("def test_x(image_api): ...\n", "--image-api-url", server.url, settings=settings)
    result.assert_outcomes(errors=1)
    assert re.search(message, lines(result))


def test_no_server_there(run: Run) -> None:
    """An address without a server is reported in one line."""
    result = run("def test_x(image_api): ...\n", "--image-api-url", "http://127.0.0.1:1")
    result.assert_outcomes(errors=1)
    assert "no emulator answers at http://127.0.0.1:1" in lines(result)


FAILING: Final = """
@pytest.mark.image_api(scenario={"rules": [{"name": "dogs", "when": {"prompt": "A dog"}, "answers": "draw"}]})
def test_fails(image_api):
    draw(image_api, n=2)
    draw(image_api, n=99)
    assert 0

def test_passes(image_api): draw(image_api)

@pytest.fixture
def broken(image_api):
    draw(image_api)
    raise RuntimeError

def test_fails_before_it_begins(broken): ...
"""


def test_a_failed_test_shows_its_journal(run: Run) -> None:
    """The report has the journal as a table, with the pictures in files; a test that passes has none."""
    result = run(FAILING)
    result.assert_outcomes(failed=1, passed=1, errors=1)
    text = lines(result)
    assert 2 == len(re.findall("^-+ image_api -+$", text, re.MULTILINE))
    assert re.search(r"Session test_fails-[0-9a-f]{8} of http://127\.0\.0\.1:[0-9]+: 2 calls\n", text)
    for expected in (
        r"1 +ezmodel +generate +dall-e-2 +256x256 +200 +-\n +prompt: A cute cat\n",
        r"2 +ezmodel +generate +dall-e-2 +256x256 +400 +refused: above_maximum n",
        r"rule dogs did not answer: prompt: expected \"A dog\", came \"A cute cat\"",
        r"Invalid 'n': [^{]* \(maximum: 10; documented\)",
        r"Session test_fails_before_it_begins-[0-9a-f]{8} of .*: 1 call\n",
    ):
        assert re.search(expected, text), expected
    files = [Path(path) for path in re.findall(r"picture \d, 256x256 png: (.*)$", text, re.MULTILINE)]
    assert [b"\x89PNG"] * 3 == [path.read_bytes()[:4] for path in files]
    assert ["call-1-picture-0.png", "call-1-picture-1.png"] == [path.name for path in files[1:]]
    assert files[1].read_bytes() != files[2].read_bytes()
    assert "test_passes-" not in text


def test_a_failed_test_without_calls_hints_at_a_proxy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that obeys it sends its calls elsewhere. The proxy's address is not shown: it may have a password."""
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@proxy.test:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    text = lines(run("def test_x(image_api): assert 0\n"))
    assert "No call came, and HTTP_PROXY is set" in text
    assert "Set NO_PROXY=127.0.0.1" in text
    assert "secret" not in text
    called = lines(run("def test_x(image_api):\n    draw(image_api)\n    assert 0\n"))
    monkeypatch.setenv("no_proxy", "example.org, 127.0.0.1")
    excepted = lines(run("def test_x(image_api): assert 0\n"))
    assert "No call came" not in called + excepted


def test_a_report_that_cannot_be_made(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the journal cannot be shown, the report still shows the test's own failure."""

    def broken(self: ImageApi, folder: Path | None = None) -> str:
        raise RuntimeError("out of ink")

    monkeypatch.setattr(ImageApi, "report", broken)
    result = run("def test_x(image_api): assert 'this' == 'that'\n")
    result.assert_outcomes(failed=1)
    assert "The journal cannot be shown: out of ink" in lines(result)
    assert "AssertionError" in lines(result)


def test_a_failed_verification_has_no_traceback(run: Run) -> None:
    """A failed verification shows its message, without a traceback through this package."""
    result = run("def test_x(image_api):\n    image_api.verify(once=True, model='dall-e-3')\n")
    result.assert_outcomes(failed=1)
    text = lines(result)
    assert 'expected 1 call with model "dall-e-3", came none' in text
    assert "client.py" not in text


CALLS: Final = {
    "fine": "draw(image_api); draw(image_api)",
    "breach": "draw(image_api); draw(image_api, n=99)",
    "exhausted": "[draw(image_api) for _ in range(3)]",
    "too few": "draw(image_api)",
    "finding": "draw(image_api, style='vivid'); draw(image_api)",
}
STRICT: Final[list[tuple[str, str, str | None]]] = [
    ("fine", "True", None),
    ("breach", "False", None),
    ("breach", "True", "unexpected refusal: <call 2: ezmodel generate dall-e-2 400 refused: above_maximum n>: Invalid"),
    ("breach", "'refusals'", "unexpected refusal: <call 2"),
    ("breach", "['refusals', 'findings']", "unexpected refusal: <call 2"),
    ("breach", "'findings'", None),
    ("exhausted", "'refusals'", "scenario_exhausted"),
    ("too few", "True", "rule scripted has 1 answer left"),
    ("too few", "'unused_answers'", "rule scripted has 1 answer left"),
    ("too few", "['refusals', 'findings']", None),
    ("finding", "True", "parameter_ignored"),
    ("finding", "'findings, refusals'", "parameter_ignored"),
    ("finding", "'unused_answers'", None),
    ("finding", "None", None),
]


def test_strictness(run: Run) -> None:
    """`strict` fails a test at its end and shows the journal; a refusal that the scenario asks for is expected."""
    script = {"rules": [{"name": "scripted", "answers": [{"refuse": "overloaded"}, "draw"], "then": "refuse"}]}
    tests = [
        f"@pytest.mark.image_api(strict={strict}, scenario={script})\ndef test_{number}(image_api): {CALLS[calls]}\n"
        for number, (calls, strict, _) in enumerate(STRICT)
    ]
    expected = {f"test_{number}": message for number, (_, _, message) in enumerate(STRICT) if message is not None}
    result = run("".join(tests))
    result.assert_outcomes(passed=len(STRICT), errors=len(expected))
    reports = read_reports(result, "teardown")
    assert set(expected) == set(reports)
    for name, message in expected.items():
        assert message in reports[name], name
        assert re.search(f"Session {name}-.* calls?\n", reports[name])
    assert len(expected) == lines(result).count("Session test_")


def test_a_failed_test_is_not_blamed_twice(run: Run) -> None:
    """`strict` does not check a test that has failed already."""
    result = run(
        "def test_x(image_api):\n    draw(image_api, n=99)\n    assert 0\n", settings="image_api_strict = true"
    )
    result.assert_outcomes(failed=1)


def test_findings_are_counted(run: Run) -> None:
    """The summary has a line for each code, with the numbers of calls and tests that have it."""
    result = run("""
@pytest.mark.parametrize("turn", [1, 2])
def test_x(image_api, turn):
    for _ in range(turn): draw(image_api, style="vivid")
@pytest.mark.image_api(report_only=True)
def test_y(image_api): draw(image_api, n=99)
""")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "*= image_api findings =*",
            "parameter_ignored * 3 calls in 2 tests",
            "would_be_refused * 1 call in 1 test",
            "image-api-emulator explain CODE tells more",
        ]
    )


@pytest.mark.parametrize("elsewhere", [False, True])
def test_findings_are_counted_to_a_hasty_end(run: Run, server: Served, elsewhere: bool) -> None:
    """A run that stops at its first failure reports the findings until then, on any server."""
    arguments = ("--image-api-url", server.url) if elsewhere else ()
    result = run(
        """
def test_x(image_api): draw(image_api, style="vivid")
def test_y(image_api):
    draw(image_api, style="vivid")
    assert 0
def test_z(image_api): draw(image_api, style="vivid")
""",
        "-x",
        *arguments,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["parameter_ignored * 2 calls in 2 tests"])


ASYNCHRONOUS: Final = """
import asyncio, httpx

async def later(image_api):
    async with httpx.AsyncClient() as http:
        headers = {"authorization": f"Bearer {image_api.key}"}
        url = f"{image_api.url('ezmodel')}/images/generations"
        return (await http.post(url, json={"prompt": "A cat", "size": "256x256"}, headers=headers)).status_code

@pytest.mark.asyncio
async def test_asyncio(image_api):
    assert [200, 200] == await asyncio.gather(later(image_api), later(image_api))
    image_api.verify(times=2)

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_anyio(image_api, anyio_backend):
    assert 200 == await later(image_api)
    image_api.verify(once=True)

@pytest.mark.asyncio
async def test_aiohttp(aiohttp_client, image_api):
    from aiohttp import ClientSession, web

    async def handler(request):
        async with ClientSession() as http:
            headers = {"authorization": f"Bearer {image_api.key}"}
            url = image_api.url("ezmodel") + "/images/generations"
            async with http.post(url, json={"prompt": "A cat"}, headers=headers) as answer:
                return web.json_response(await answer.json())

    app = web.Application()
    app.router.add_get("/", handler)
    client = await aiohttp_client(app)
    reply = await (await client.get("/")).json()
    assert reply["data"][0]["url"].startswith(image_api.server)
    image_api.verify(once=True)
"""


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_asynchronous_styles(run: Run, mode: str) -> None:
    """pytest-asyncio, anyio and pytest-aiohttp suites use the fixture as it is."""
    plugins = ("-p", "pytest_asyncio.plugin", "-p", "anyio.pytest_plugin", "-p", "pytest_aiohttp.plugin")
    settings = "asyncio_default_fixture_loop_scope = function"
    run(ASYNCHRONOUS, *plugins, "--asyncio-mode", mode, settings=settings).assert_outcomes(passed=3)


def test_unittest_classes(run: Run) -> None:
    """A unittest class gets the fixture by an autouse fixture."""
    result = run("""
import unittest

class TestPictures(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _api(self, image_api): self.image_api = image_api
    def test_one(self): self.assertEqual(200, draw(self.image_api))
    def test_two(self): self.image_api.verify(never=True)
""")
    result.assert_outcomes(passed=2)


SHARED = """
pytestmark = pytest.mark.image_api(scenario="rate-limited-then-ok")

def test_one(image_api_module, image_api_session, image_api):
    assert 429 == draw(image_api_module)
    assert 200 == draw(image_api_session)
    assert 429 == draw(image_api)
    names = {one.session_name for one in (image_api_module, image_api_session, image_api)}
    assert 3 == len(names)

def test_two(image_api_module, image_api_session, image_api):
    assert 429 == draw(image_api_module)
    assert 200 == draw(image_api_module)
    assert 3 == len(image_api_module.calls)
    assert 1 == len(image_api_session.calls)
    assert 0 == len(image_api.calls)
"""


def test_wider_scopes(run: Run, pytester: pytest.Pytester) -> None:
    """Tests of a module share a session, which has the module's markers, and all tests share another one."""
    pytester.makepyfile(
        test_other=f"""{ASKING}
def test_three(image_api_module, image_api_session):
    assert 0 == len(image_api_module.calls)
    assert 200 == draw(image_api_module)
    assert 1 == len(image_api_session.calls)
    assert image_api_session.session_name.startswith("all-tests-")
    assert image_api_module.session_name.startswith("test_other.py-")
"""
    )
    run(SHARED, "test_inner.py", "test_other.py").assert_outcomes(passed=3)


def test_wider_scopes_on_a_server_that_is_up_already(run: Run, server: Served) -> None:
    """Each run has sessions of its own there."""
    for _ in range(2):
        run(SHARED, "--image-api-url", server.url).assert_outcomes(passed=2)


def test_strictness_of_a_module(run: Run) -> None:
    """It is checked behind the last test of the module, whose report has the journal; a failed test is enough."""
    tests = """
def test_x(image_api_module): assert 400 == draw(image_api_module, n=99)
def test_y(): ...
"""
    result = run(tests, settings="image_api_strict = refusals")
    result.assert_outcomes(passed=2, errors=1)
    assert "\nunexpected refusal: <call 1: " in lines(result)
    assert 1 == lines(result).count(" image_api_module -")
    result = run(tests + "def test_z(image_api_module): assert 0\n", settings="image_api_strict = refusals")
    result.assert_outcomes(passed=2, failed=1)


def test_a_failed_test_shows_the_journals_that_it_uses(run: Run) -> None:
    """Of three sessions, those of the fixtures that the test has."""
    result = run("""
def test_x(image_api_module, image_api_session):
    draw(image_api_module), draw(image_api_session)
def test_fails(image_api_session): assert 0
""")
    result.assert_outcomes(passed=1, failed=1)
    assert (1, 0) == (lines(result).count(" image_api_session -"), lines(result).count(" image_api_module -"))
    assert "Session all-tests-" in lines(result)


ANNOTATED = """
def test_x(image_api):
    draw(image_api, style="vivid")

def test_y(image_api):
    draw(image_api, style="vivid")
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2", "-p", "xdist")], ids=["one process", "workers"])
def test_annotations_of_github(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """A finding is shown at the first test that has it, by its path in the repository."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert "::warning" not in lines(run(ANNOTATED))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path.parent))
    printed = [line for line in run(ANNOTATED, *arguments).outlines if line.startswith("::")]
    (found,) = printed
    where, _, text = found.removeprefix("::warning ").partition("::")
    written = (pytester.path / "test_inner.py").read_text().splitlines()
    numbers = [1 + written.index(f"def test_{name}(image_api):") for name in "xy"]
    file = f"file={pytester.path.name}/test_inner.py"
    expected = [f"{file},line={number},title=image_api parameter_ignored" for number in numbers]
    assert where in expected[: 1 + len(arguments)]  # of two workers, either may end first
    assert text.startswith("2 calls in 2 tests. The parameter is allowed")


def test_annotations_of_a_module_and_of_all_tests(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no line, and those of all tests no file either."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    text = lines(run("def test_x(image_api_module): draw(image_api_module, style='vivid')\n"))
    assert "::warning file=test_inner.py,title=image_api parameter_ignored::" in text
    text = lines(run("def test_x(image_api_session): draw(image_api_session, style='vivid')\n"))
    assert "::warning title=image_api parameter_ignored::" in text


def test_a_run_without_the_fixture_loads_nothing(pytester: pytest.Pytester) -> None:
    """Only a test that asks for the fixture pays for it."""
    pytester.makepyfile("""
        import sys

        def test_x():
            heavy = {"aiohttp", "PIL", "jsonschema", "yaml", "asyncio", "http.client"}
            ours = {name for name in sys.modules if name.partition(".")[0] == "emulator"}
            assert (set(), set(), True) == (heavy & set(sys.modules), ours, "image_api_emulator_pytest" in sys.modules)
    """)
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(passed=1)


SPREAD: Final = (
    ASKING
    + """
@pytest.mark.parametrize("number", range(200))
def test_own_world(image_api, number):
    prompts = [f"{number} {turn}" for turn in range(1 + number % 3)]
    for prompt in prompts:
        assert 200 == ask(image_api.server + "/ezmodel/v1", image_api.key, prompt=prompt, style="vivid")[0]
    assert prompts == [call.given["prompt"] for call in image_api.calls]
"""
)


def test_four_workers_on_one_server(pytester: pytest.Pytester, serve: Callable[..., Served]) -> None:
    """200 tests in four processes share a server, and each finds its own calls and no other; findings are added up."""
    pytester.makepyfile(SPREAD)
    url = serve().url
    result = pytester.runpytest_subprocess(*QUIET, "-p", "xdist", "-n", "4", "-q", "--image-api-url", url)
    result.assert_outcomes(passed=200)
    calls = sum(1 + number % 3 for number in range(200))
    result.stdout.fnmatch_lines(["parameter_ignored * " + f"{calls} calls in 200 tests"])


def test_workers_with_servers_of_their_own(pytester: pytest.Pytester) -> None:
    """Without a shared server each worker has its own; a failed test's journal is in the report."""
    pytester.makepyfile(
        ASKING
        + """
@pytest.mark.parametrize("number", range(8))
def test_x(image_api, number):
    draw(image_api, style="vivid")
    image_api.verify(once=True)
    assert number
"""
    )
    result = pytester.runpytest_subprocess(*QUIET, "-p", "xdist", "-n", "2", "-q")
    result.assert_outcomes(passed=7, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*image_api*",
            "Session test_x-0-* of http://*: 1 call",
            "*picture 0, 256x256 png: *call-1-picture-0.png",
            "parameter_ignored * 8 calls in 8 tests",
        ]
    )


def test_a_worker_that_stops_early(pytester: pytest.Pytester) -> None:
    """A worker that ends before its last test reports the findings until then."""
    pytester.makepyfile(
        ASKING
        + """
def test_x(image_api, request):
    draw(image_api, style="vivid")
    request.session.shouldstop = "enough"
def test_y(): ...
def test_z(): ...
"""
    )
    result = pytester.runpytest_subprocess(*QUIET, "-p", "xdist", "-n", "1", "-q")
    result.stdout.fnmatch_lines(["parameter_ignored * 1 call in 1 test"])


def test_the_plugin_describes_itself(run: Run) -> None:
    """`--markers` has the marker, `--help` the option and every setting."""
    assert "@pytest.mark.image_api(scenario=…, recording=…, gateway=…" in lines(run("", "--markers"))
    told = lines(run("", "--help"))
    for name in (
        "gateway",
        "scenario",
        "behavior",
        "report_only",
        "picture_weight",
        "strict",
        "seed",
        "clock",
        "schema",
    ):
        assert f"image_api_{name}" in told
    assert "--image-api-url" in told
    assert "--image-api-record" in told


def test_a_fixture_of_ones_own_name(run: Run) -> None:
    """A suite that has a fixture called image_api already keeps it."""
    result = run("""
@pytest.fixture
def image_api(): return "mine"
def test_x(image_api): assert "mine" == image_api
""")
    result.assert_outcomes(passed=1)


def test_an_emulator_beside_the_fixture(run: Run) -> None:
    """Emulators that tests start themselves do not disturb the fixture's."""
    result = run("""
from emulator import Emulator
def test_x(image_api):
    with Emulator() as own:
        assert [200, 0] == [draw(own), len(image_api.calls)]
""")
    result.assert_outcomes(passed=1)
    assert issubclass(Emulator, ImageApi)


OFF: Final = "image_api: the fixture is off, because `emulator` here is another package, "
OTHER_PROJECT: Final = """
import emulator

def test_of_its_own(): assert "Z80" == emulator.CPU
"""


@pytest.fixture
def other_project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project that has a package of its own called `emulator`, and a test that uses it."""
    package = pytester.mkpydir("emulator")
    (package / "__init__.py").write_text("CPU = 'Z80'\n")
    pytester.makepyfile(test_cpu=OTHER_PROJECT)
    return pytester


@pytest.mark.parametrize("command", ["pytest", "python -m pytest", "importlib"])
def test_beside_another_projects_emulator(other_project: pytest.Pytester, command: str) -> None:
    """A project with a package called `emulator` runs its tests with it; one line says that the fixture is off."""
    result = _run_beside_another(other_project, command)
    assert 0 == result.ret
    result.assert_outcomes(passed=1)
    assert [f"{OFF}{other_project.path / 'emulator' / '__init__.py'}, and not the one of image-api-emulator"] == [
        line for line in result.outlines if "image_api" in line
    ]


def test_the_fixture_beside_another_projects_emulator(other_project: pytest.Pytester) -> None:
    """A test that asks for the fixture there fails with that line, without a traceback; the others run."""
    (other_project.path / "test_cpu.py").write_text(OTHER_PROJECT + "def test_x(image_api): ...\n")
    result = _run_beside_another(other_project, "pytest")
    result.assert_outcomes(passed=1, errors=1)
    text = lines(result)
    assert OFF in text
    assert "Traceback" not in text


def _run_beside_another(project: pytest.Pytester, command: str) -> pytest.RunResult:
    """Run the project's tests in a process of its own, as its users do: pytest finds our plugin by its entry point."""
    arguments = [*QUIET, "-p", "no:xdist"]
    if command == "pytest":
        return project.run(str(Path(sys.executable).with_name("pytest")), *arguments)
    if command == "importlib":  # the mode that adds no folder to sys.path by itself
        arguments += ["--import-mode", "importlib", "-o", "pythonpath=."]
    return project.run(sys.executable, "-m", "pytest", *arguments)


def test_a_folder_that_is_no_package_does_not_matter(pytester: pytest.Pytester) -> None:
    """A folder called `emulator` without __init__.py hides nothing: the fixture works."""
    (pytester.path / "emulator").mkdir()
    (pytester.path / "emulator" / "notes.txt").write_text("mine")
    pytester.makepyfile(test_x=ASKING + "def test_x(image_api): assert 200 == draw(image_api)\n")
    result = pytester.run(sys.executable, "-m", "pytest", *QUIET)
    result.assert_outcomes(passed=1)
    assert OFF not in lines(result)


def test_nothing_of_a_test_outlives_it(run: Run) -> None:
    """The fixture does not keep the request of the last test that used it, also where another one overrides it."""
    result = run(
        """
import gc, weakref
import image_api_emulator_pytest as plugin

kept = []

class TestOwn:
    @pytest.fixture
    def image_api(self, image_api):
        return image_api

    def test_override(self, image_api, request):
        kept.append(weakref.ref(request.node))
        assert not hasattr(plugin._Current, "request")
        assert draw(image_api) == 200

def test_plain(image_api, request):
    kept.append(weakref.ref(request.node))
    assert not hasattr(plugin._Current, "request")

def test_after(image_api):
    gc.collect()
    assert not hasattr(plugin._Current, "request")
"""
    )
    result.assert_outcomes(passed=3)
