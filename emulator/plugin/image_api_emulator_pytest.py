"""The pytest fixture `image_api`: for each test a session of its own, on one server in each process that runs tests.

`image_api_module` and `image_api_session` are the same for all tests of a module, and for all tests.

This module is installed beside the package, not in it, because `emulator` is a name that other projects give to a
package of theirs, and pytest must start there too. So nothing of `emulator` is imported before a test asks for the
fixture, and where `emulator` is another project's package, the fixture is off and the summary says so.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest

if TYPE_CHECKING:
    from emulator import Emulator, ImageApi
    from emulator.client.run_log import RunLog, RunOptions
    from emulator.session.call_record import CallRecord

_SETTINGS: Final = {
    "gateway": "the gateway of image_api.url()",
    "scenario": "what every test's session plays: a ready-made scenario's name, or a file",
    "behavior": "the behavior of the gateways: documented or observed",
    "report_only": "true: answer what the contract would refuse, and record the refusal as a finding",
    "picture_weight": "how many bytes pictures have: small (as few as they come to) or realistic",
    "strict": "what fails a test at its end: true for all, or some of refusals, unused_answers, findings",
    "seed": "decides pictures, ids and chance",
    "clock": "real, scale:0.01, or frozen:TIME as in frozen:2026-01-01T00:00:00Z",
    "schema": "OpenAPI files that describe further gateways",
}
_MARKER_WORDS: Final = ("scenario", "recording", "gateway", "behavior", "strict", "report_only", "picture_weight")
_RECORD_MODES: Final = ("none", "once", "new_episodes", "all", "forward")
_MARKER: Final = (
    f"image_api({', '.join(f'{word}=…' for word in _MARKER_WORDS)}): how the fixture image_api is for a test: "
    "what its session plays, the gateway of image_api.url(), and what fails the test at its end"
)
_TRUE: Final = ("true", "1", "yes", "on")
_FALSE: Final = ("false", "0", "no", "off", "")
_NAME_LENGTH: Final = 48  # of the 64 characters of a session's name; the rest is for a test's further accounts
_FILE_LENGTH: Final = 120  # characters of the name of a test's recording
_WORKER_OUTPUT: Final = "image_api_findings"
_RUN_OUTPUT: Final = "image_api_run"
_PAGE: Final = "image-api-coverage.html"
_DATA: Final = "image-api-coverage.json"
_WORKER_VERDICTS: Final = "image_api_verdicts"

Place = tuple[str, int | None]
"""The path of a test's file, and the test's line in it, from 1."""
FindingCounts = dict[str, tuple[int, int, Place]]
"""For each code of a finding, the number of calls and the number of tests that have it, and the place of the first."""


class _TestServer:
    """The server of this process, and what its tests have in common.

    `defaults` are the settings of a test without markers, `folders` are for pictures, `runs` counts how often each test
    has run, `findings` has the codes of each session, `nodes` whose session it is. `run_id` is "" for a server of this
    process; on another server it keeps this run's sessions apart from those of other runs. `log` is there where a
    report or coverage is asked for, and `test` is the one to which sessions of further accounts belong.
    """

    api: ImageApi

    # No dataclass: making one takes as long as importing the rest of this module.
    def __init__(self, defaults: Mapping[str, Any], folders: pytest.TempPathFactory, run_id: str = "") -> None:
        self.defaults = defaults
        self.folders = folders
        self.run_id = run_id
        self.runs: dict[str, int] = {}
        self.findings: dict[str, Counter[str]] = {}
        self.nodes: dict[str, pytest.Item | pytest.Collector] = {}
        self.log: RunLog | None = None
        self.test = ""
        self.verdicts: Counter[str] = Counter()
        self.cost = 0.0

    def note_call(self, record: CallRecord) -> None:
        """Count the findings of a call, in the server's thread: so no test has to ask for them at its end."""
        if self.log is not None:
            node = self.nodes.get(record.session)
            self.log.note_record(record, self.test if node is None else node.nodeid)
        if record.verdict != "drawn":
            self.verdicts[record.verdict] += 1
            self.cost += record.cost or 0.0
        if not record.findings:
            return
        codes = self.findings.get(record.session)
        if codes is not None:
            codes.update({finding.code for finding in record.findings})


class _RunningTest:
    """What a fixture has handed out for a test, a module or all tests.

    `report` is the journal that the next report of a test shows.
    """

    def __init__(self, server: _TestServer, session: ImageApi, fixture: str) -> None:
        self.server = server
        self.session = session
        self.fixture = fixture
        self.failed = False
        self.report: str | None = None


class _Run:
    """What is asked of the whole run, and what its processes have noted.

    `parts` are those of the processes that have ended, `outcomes` those of the tests, `lost` counts workers that ended
    without telling what they had noted, and `lines` are for the console.
    """

    def __init__(self, coverage: str | None, fail_under: float | None, report: str | None) -> None:
        self.coverage = coverage
        self.fail_under = fail_under
        self.report = report
        self.parts: list[Mapping[str, Any]] = []
        self.outcomes: dict[str, str] = {}
        self.lost = 0
        self.lines: Sequence[str] = ()

    def make_options(self, folder: Path) -> RunOptions:
        """What the end of the run has to do; files without a folder are in `folder`."""
        from emulator.client.run_log import RunOptions

        named = {"html": _PAGE, "json": _DATA}.get(self.coverage or "", self.coverage)
        target = folder / named if named else None
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        return RunOptions(
            shows_coverage=self.coverage is not None or self.fail_under is not None,
            page=target if target is not None and target.suffix == ".html" else None,
            data=target if target is not None and target.suffix == ".json" else None,
            fail_under=self.fail_under,
            report=None if self.report is None else folder / self.report,
            summary=Path(summary) if summary else None,
        )


class _OutcomeNotes:
    """A plugin that notes the outcomes of the tests of a run, those of other processes too."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome of a test; a failure of its setup or its teardown counts too."""
        if report.failed:
            self._run.outcomes[report.nodeid] = "failed"
        elif report.when == "call":
            self._run.outcomes.setdefault(report.nodeid, report.outcome)


class _Current:
    """The request of the fixture that is set up now; pytest sets up one at a time. The fixture takes it away."""

    request: pytest.FixtureRequest


_RUNNING_TEST: Final = pytest.StashKey[_RunningTest]()
_SERVER: Final = pytest.StashKey["_TestServer | None"]()
_FINDING_COUNTS: Final = pytest.StashKey[FindingCounts]()
_RUN: Final = pytest.StashKey["_Run | None"]()
_VERDICT_COUNTS: Final = pytest.StashKey[dict[str, float]]()
"""The number of calls with each verdict but `drawn`, of tests with a recording, and the dollars of all calls (cost)."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the settings of this plugin."""
    about = "run tests of the fixture image_api against the emulator that answers at this address"
    group = parser.getgroup("image_api")
    group.addoption("--image-api-url", metavar="URL", help=about)
    about = "print what the tests have met of their gateways' contracts, and what they never met; html or json also "
    about += f"write {_PAGE} or {_DATA}, and a FILE of either kind is written instead"
    group.addoption("--image-api-coverage", nargs="?", const="", metavar="html|json|FILE", help=about)
    about = "fail where the tests have met less than this share of the contracts, in per cent"
    group.addoption("--image-api-fail-under", type=float, metavar="N", help=about)
    about = "write a report of all calls (pictures, findings, verdicts, money, coverage) to FILE, .html or .json"
    group.addoption("--image-api-report", metavar="FILE", help=about)
    about = "what happens to calls that the recording of a test's marker lacks (default: none, they are refused)"
    group.addoption(
        "--image-api-record", metavar="MODE", choices=_RECORD_MODES, help=f"{about}: {', '.join(_RECORD_MODES)}"
    )
    for name, text in _SETTINGS.items():
        kind: Literal["paths", "string"] = "paths" if name == "schema" else "string"
        parser.addini(f"image_api_{name}", text, kind, default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker, and read what is asked of the whole run."""
    config.addinivalue_line("markers", _MARKER)
    run = config.stash[_RUN] = _read_run(config)
    if run is not None and run.report is not None:
        config.pluginmanager.register(_OutcomeNotes(run))


@pytest.fixture(scope="session")
def _image_api_server(request: pytest.FixtureRequest) -> Iterator[_TestServer]:
    """A server in this process, or the one that --image-api-url names."""
    reason = _explain_being_off()
    if reason is not None:
        pytest.fail(reason, pytrace=False)
    from emulator import EmulatorError

    # Not as arguments of the fixture: pytest would look them up again for every test.
    config = request.config
    folders = request.getfixturevalue("tmp_path_factory")
    settings = _read_settings(config)
    try:
        url = config.getoption("image_api_url")
        if url is not None:
            worker = getattr(config, "workerinput", {}).get("workerid", "")
            server = _TestServer(_select_session_settings(settings), folders, f"{worker} {os.urandom(8).hex()}")
            server.api = _connect(url, settings)
            config.stash[_SERVER] = server
            with _keep_log(config, server):
                yield server
            return
        server = _TestServer({"strict": settings.pop("strict", False)}, folders)
        if config.stash[_RUN] is not None:
            settings["coverage"] = "on"
        with _make_emulator(server, settings) as server.api, _keep_log(config, server):
            config.stash[_SERVER] = server
            yield server
        for name, codes in server.findings.items():
            if codes:
                _count_findings(config, codes, _find_place(server.nodes[name]))
        _count_verdicts(config, server.verdicts, server.cost)
    except EmulatorError as error:
        raise pytest.fail.Exception(f"image_api: {error}", pytrace=False) from None  # else pytest shows both
    finally:
        config.stash[_SERVER] = None


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
    """Note the request of the fixture `image_api`, which pytest sets up next.

    As an argument of the fixture, the request would cost each test 20 µs, and the server as one 30 µs; the fixture
    takes 50 µs in all (measured).
    """
    if fixturedef.argname == "image_api" and fixturedef.func.__module__ == __name__:  # none that overrides it
        _Current.request = request


@pytest.fixture
def image_api() -> ImageApi:
    """An image API of the test's own: `image_api.url("ezmodel")` and `image_api.key` are for its client.

    `image_api.play(…)`, `.calls`, `.verify(…)`, `.clock` and the rest are those of `emulator.ImageApi`.
    """
    request = _Current.request
    del _Current.request  # it would keep the last test and all of its fixtures in memory
    server = request.node.config.stash.get(_SERVER, None)
    if server is None:
        server = request.getfixturevalue("_image_api_server")
    return _hand_out(request, server, "image_api")


@pytest.fixture(scope="module")
def image_api_module(request: pytest.FixtureRequest, _image_api_server: _TestServer) -> ImageApi:
    """What `image_api` is, for all tests of a module together: they share its calls, scenario and time.

    Markers count that the whole module has, as `pytestmark`.
    """
    return _hand_out(request, _image_api_server, "image_api_module")


@pytest.fixture(scope="session")
def image_api_session(request: pytest.FixtureRequest, _image_api_server: _TestServer) -> ImageApi:
    """What `image_api` is, for all tests of this process together; it has pytest's settings, and no markers."""
    return _hand_out(request, _image_api_server, "image_api_session")


def _hand_out(request: pytest.FixtureRequest, server: _TestServer, fixture: str) -> ImageApi:
    """Begin the session of a fixture, and arrange for what happens at its end."""
    node = request.node
    from emulator import EmulatorError

    settings = {**server.defaults, **_read_markers(node)}
    checks = _select_checks(settings.pop("strict", False))
    try:
        session = _begin_session(server, node, settings)
    except EmulatorError as error:
        raise pytest.fail.Exception(f"image_api: {error}", pytrace=False) from None  # else pytest shows both
    test = node.stash[_RUNNING_TEST] = _RunningTest(server, session, fixture)
    server.test = node.nodeid
    if "recording" in settings:
        request.addfinalizer(session.stop_recording)  # type: ignore[attr-defined]  # of a server of this process
    if checks or server.run_id:
        request.addfinalizer(partial(_end_test, test, node, checks))
    return session


def _end_test(
    test: _RunningTest,
    node: pytest.Item | pytest.Collector,
    checks: Sequence[Callable[[ImageApi], list[str]]],
) -> None:
    """Count the findings of a session on another server, and fail its test where one of `checks` complains."""
    from emulator import EmulatorError

    complaints: list[str] = []
    try:
        if test.server.run_id:
            _count_findings(node.config, test.session.findings, _find_place(node))
            if test.server.log is not None:
                test.server.log.note_session(test.session, node.nodeid)
        if not test.failed:
            for check in checks:
                complaints += check(test.session)
    except EmulatorError as error:
        raise pytest.fail.Exception(f"image_api: {error}", pytrace=False) from None  # else pytest shows both
    if complaints:
        test.report = _make_report(test)
        pytest.fail("\n".join(complaints), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the journal to the report of a failed test."""
    report = yield
    if not report.failed:
        return report
    for node in item.listchain():
        test = node.stash.get(_RUNNING_TEST, None)
        if test is None:
            continue
        is_used = node is item or test.fixture in getattr(item, "fixturenames", ())
        if is_used and report.when != "teardown":
            test.failed = True
            # Made here, because by the teardown's report the server may have ended.
            test.report = _make_report(test)
        if test.report is not None:
            report.sections.append((test.fixture, test.report))
            test.report = None
    return report


@pytest.hookimpl(trylast=True)  # after the teardown of the fixtures
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what a pytest-xdist worker knows to the process that prints the summary; there, end the run."""
    config = session.config
    run = config.stash.get(_RUN, None)
    output = getattr(config, "workeroutput", None)
    if output is not None:
        output[_WORKER_OUTPUT] = config.stash.get(_FINDING_COUNTS, {})
        output[_WORKER_VERDICTS] = config.stash.get(_VERDICT_COUNTS, {})
        output[_RUN_OUTPUT] = [] if run is None else run.parts
    elif run is not None and not config.getoption("collectonly") and _explain_being_off() is None:
        _finish_run(session, run)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a pytest-xdist worker knows."""
    output = getattr(node, "workeroutput", {})
    run = node.config.stash.get(_RUN, None)
    if run is not None:
        run.parts += output.get(_RUN_OUTPUT, ())
        run.lost += _RUN_OUTPUT not in output
    counts = output.get(_WORKER_OUTPUT, {})
    for code, (calls, tests, place) in counts.items():
        _count_findings(node.config, {code: calls}, place, tests)
    totals = node.config.stash.setdefault(_VERDICT_COUNTS, {})
    for name, amount in getattr(node, "workeroutput", {}).get(_WORKER_VERDICTS, {}).items():
        totals[name] = totals.get(name, 0) + amount


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print a line for each code of a finding, and a line if the fixture is off."""
    reason = _explain_being_off()
    if reason is not None:
        terminalreporter.write_line(reason)
    _report_verdicts(terminalreporter, config.stash.get(_VERDICT_COUNTS, {}))
    run = config.stash.get(_RUN, None)
    if run is not None and run.lines:
        terminalreporter.section("image_api coverage")
        for line in run.lines:
            terminalreporter.write_line(line)
    counts = config.stash.get(_FINDING_COUNTS, {})
    if not counts:
        return
    terminalreporter.section("image_api findings")
    width = max(map(len, counts))
    is_github = bool(os.environ.get("GITHUB_ACTIONS"))
    for code, (calls, tests, place) in sorted(counts.items()):
        how_often = f"{_format_count(calls, 'call')} in {_format_count(tests, 'test')}"
        terminalreporter.write_line(f"{code:<{width}}  {how_often}")
        if is_github:
            terminalreporter.write_line(_format_annotation(code, how_often, place))
    terminalreporter.write_line("image-api-emulator explain CODE tells more")


def _report_verdicts(terminalreporter: pytest.TerminalReporter, counts: dict[str, float]) -> None:
    """Print who has answered the calls, where it was not always the emulator itself."""
    if not counts:
        return
    from emulator.session.verdict_tally import VerdictTally

    tally = VerdictTally()
    for verdict, calls in counts.items():
        if verdict not in ("recordings", "cost"):
            tally.add(verdict, calls=int(calls))
    tally.cost = counts.get("cost", 0.0)
    terminalreporter.section("image_api recordings")
    terminalreporter.write_line(str(tally))
    if counts.get("recordings") and not tally.verdicts["replayed"]:
        tests = _format_count(int(counts["recordings"]), "test")
        terminalreporter.write_line(f"NOTHING WAS REPLAYED in {tests} with a recording", red=True, bold=True)


def _explain_being_off() -> str | None:
    """Why the fixture is off: the package `emulator` that Python finds is another project's. None if it is ours.

    The package is found, not imported: an import of ours would hide the other project's from its own tests.
    """
    from importlib.util import find_spec

    spec = find_spec("emulator")
    if spec is None:
        return "image_api: the fixture is off, because the package emulator is not found"
    folders = list(spec.submodule_search_locations or ())
    if any(Path(folder, "client", "embedded.py").is_file() for folder in folders):
        return None
    found = spec.origin or ", ".join(folders)
    why = f"`emulator` here is another package, {found}, and not the one of image-api-emulator"
    return f"image_api: the fixture is off, because {why}"


def _read_run(config: pytest.Config) -> _Run | None:
    """What the options ask of the whole run; None where they ask for nothing."""
    coverage, report = config.getoption("image_api_coverage"), config.getoption("image_api_report")
    fail_under = config.getoption("image_api_fail_under")
    if coverage is None and report is None and fail_under is None:
        return None
    if coverage not in (None, "", "html", "json"):
        expected = "html, json, or a file that ends in .html or .json (behind the tests' paths, or with =)"
        _check_file("--image-api-coverage", coverage, config.invocation_params.dir, expected)
    if report is not None:
        expected = "a file that ends in .html or .json"
        _check_file("--image-api-report", report, config.invocation_params.dir, expected)
    if fail_under is not None and not 0 <= fail_under <= 100:
        raise pytest.UsageError(f"--image-api-fail-under {fail_under:g}: expected 0 to 100")
    return _Run(coverage, fail_under, report)


def _check_file(option: str, value: str, folder: Path, expected: str) -> None:
    if not value.endswith((".html", ".json")):
        raise pytest.UsageError(f"{option} {value!r}: expected {expected}")
    if not (folder / value).parent.is_dir():
        raise pytest.UsageError(f"{option} {value!r}: there is no folder {str((folder / value).parent)!r}")


@contextmanager
def _keep_log(config: pytest.Config, server: _TestServer) -> Iterator[None]:
    """Keep a log of the calls of this process, where a report or coverage is asked for."""
    run = config.stash[_RUN]
    if run is None:
        yield
        return
    from emulator.client.run_log import RunLog

    report = run.report or ""
    server.log = RunLog(wants_calls=bool(report), wants_pictures=report.endswith(".html"))
    yield
    if not server.run_id:
        # Asked first: when it is answered, the last call has ended and is noted, which a client does not wait for.
        server.log.note_coverage(server.api.coverage(all_sessions=True))
    server.log.copy_pictures(server.api)
    run.parts.append(server.log.to_plain())


def _finish_run(session: pytest.Session, run: _Run) -> None:
    """Add up what was noted, write the files, and let the run fail where too little was met."""
    from emulator.client.run_log import finish_run

    outcome = finish_run(run.parts, run.outcomes, run.make_options(session.config.invocation_params.dir))
    lines = list(outcome.lines)
    if run.lost:
        lines.append(f"{_format_count(run.lost, 'worker')} crashed: what its tests have met is not counted")
    run.lines = lines
    if outcome.failed and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _read_settings(config: pytest.Config) -> dict[str, Any]:
    """The settings of pytest's configuration that are this plugin's."""
    settings = {}
    for name in _SETTINGS:
        value = config.getini(f"image_api_{name}")
        if value:
            settings[name] = value
    if "scenario" in settings:
        settings["scenario"] = _find_scenario(settings["scenario"], config.rootpath)
    return settings


def _make_emulator(server: _TestServer, settings: Mapping[str, Any]) -> Emulator:
    """An emulator in this process that counts the findings of its calls."""
    from emulator import Emulator

    class CountingEmulator(Emulator):
        def _observe_call(self, record: CallRecord) -> None:
            server.note_call(record)

    return CountingEmulator(**settings)


def _connect(url: str, settings: Mapping[str, str]) -> ImageApi:
    """The server at `url`; raises EmulatorError if it does not answer, or has another seed or clock than wanted."""
    from emulator import EmulatorError, ImageApi

    api = ImageApi(url)
    started: Mapping[str, Any] = api.server_settings
    for name in ("seed", "clock"):
        wanted = settings.get(name)
        if wanted is not None and wanted != str(started[name]):
            raise EmulatorError(f"image_api_{name} is {wanted}, but the server at {url} has {started[name]}")
    return api


def _select_session_settings(settings: Mapping[str, str]) -> Mapping[str, Any]:
    """The settings that a session can have; the others are the server's, which runs already."""
    selected: dict[str, Any] = {name: settings[name] for name in _MARKER_WORDS if name in settings}
    if "report_only" in selected:
        selected["report_only"] = selected["report_only"].lower() in _TRUE
    return selected


def _begin_session(server: _TestServer, node: pytest.Item | pytest.Collector, settings: dict[str, Any]) -> ImageApi:
    """The session of a test or of several, which plays their scenario and has their settings."""
    settings = dict(settings)
    gateway, recording = settings.pop("gateway", None), settings.pop("recording", None)
    session = server.api.account(_make_session_name(node, server), gateway)
    if gateway is not None:
        session.url()  # raises EmulatorError for an unknown one, before the test begins
    scenario = settings.pop("scenario", None)
    if scenario is not None:
        session.play(scenario)
    if recording is not None:
        _play_recording(session, node, server, recording)
    if settings:
        session.settings(**settings)
    server.nodes[session.session_name] = node
    server.findings[session.session_name] = Counter()
    return session


def _play_recording(session: ImageApi, node: pytest.Item | pytest.Collector, server: _TestServer, folder: str) -> None:
    """Let a test play a recording of its own: a file in `folder`, so that tests in several processes do not meet."""
    from emulator import EmulatorError
    from emulator.core.names import make_name

    if server.run_id:
        raise EmulatorError("a recording is played by the server of this process: leave --image-api-url out")
    mode = node.config.getoption("image_api_record") or "none"
    place = re.sub(r"\.py(?=::|$)", "", node.nodeid.rpartition("/")[2]).replace("::", ".")
    name = make_name(place, longest=_FILE_LENGTH)
    session.play_recording(folder, mode, f"{name}.yaml")  # type: ignore[attr-defined]
    counts = node.config.stash.setdefault(_VERDICT_COUNTS, {})
    counts["recordings"] = counts.get("recordings", 0) + 1


def _read_markers(node: pytest.Item | pytest.Collector) -> Mapping[str, Any]:
    """The words of the markers of a test or a module; a nearer marker's word replaces that of a farther one."""
    chosen: dict[str, Any] = {}
    for mark in reversed(list(node.iter_markers("image_api"))):
        if mark.args:
            line = f"{mark.args[0]!r} has no keyword; it takes keywords only, such as scenario='rate-limited-then-ok'"
            pytest.fail(f"pytest.mark.image_api: {line}", pytrace=False)
        for word in mark.kwargs:
            if word not in _MARKER_WORDS:
                from emulator.core.suggestions import nearest_word

                line = f"{word!r} is none of its keywords; known are {', '.join(f'{name}=…' for name in _MARKER_WORDS)}"
                nearest = nearest_word(word, _MARKER_WORDS)
                if nearest is not None:
                    line += f"; did you mean {nearest!r}?"
                pytest.fail(f"pytest.mark.image_api: {line}", pytrace=False)
        chosen.update(mark.kwargs)
    if "recording" in chosen:
        chosen["recording"] = str(node.path.parent / chosen["recording"])
    if isinstance(chosen.get("scenario"), str):
        chosen["scenario"] = _find_scenario(chosen["scenario"], node.path.parent, node.config.rootpath)
    return chosen


def _find_scenario(scenario: str, *folders: Path) -> str:
    """The path of a scenario's file, which is looked for in `folders`; any other scenario as it is."""
    if scenario.endswith((".yaml", ".yml", ".json")):
        for folder in folders:
            path = folder / scenario
            if path.is_file():
                return str(path)
    return scenario


def _select_checks(strict: Any) -> list[Callable[[ImageApi], list[str]]]:
    """The checks at a test's end: all for true, none for false, or those that `strict` names."""
    words = strict
    if isinstance(strict, str):
        text = strict.lower()
        if text in _TRUE:
            words = True
        elif text in _FALSE:
            words = False
        else:
            words = strict.replace(",", " ").split()
    if words is None or words is False:
        return []
    if words is True:
        return list(_CHECKS.values())
    for word in words:
        if word not in _CHECKS:
            from emulator.core.suggestions import nearest_word

            line = f"image_api: strict says {word!r}; expected true, false, or some of {', '.join(_CHECKS)}"
            nearest = nearest_word(str(word), ("true", "false", *_CHECKS))
            if nearest is not None:
                line += f"; did you mean {nearest!r}?"
            pytest.fail(line, pytrace=False)
    return [_CHECKS[word] for word in words]


def _check_refusals(session: ImageApi) -> list[str]:
    return [
        f"unexpected refusal: {call!r}: {call.refused.message}"
        for call in session.calls
        if call.unexpected and call.refused is not None
    ]


def _check_unused_answers(session: ImageApi) -> list[str]:
    try:
        session.verify(no_unused_answers=True)
    except AssertionError as error:
        return [str(error)]
    return []


def _check_findings(session: ImageApi) -> list[str]:
    try:
        session.verify(no_findings=True)
    except AssertionError as error:
        return [str(error)]
    return []


_CHECKS: Final[Mapping[str, Callable[[ImageApi], list[str]]]] = {
    "refusals": _check_refusals,
    "unused_answers": _check_unused_answers,
    "findings": _check_findings,
}
"""What `strict` can ask for; each check returns the text of its complaints."""


def _make_session_name(node: pytest.Item | pytest.Collector, server: _TestServer) -> str:
    """A name that no other session has.

    In a server of this process it is the same in each run, because chance depends on it.
    """
    from emulator.core.names import make_name

    test = node.nodeid
    run = server.runs[test] = server.runs.get(test, 0) + 1
    return make_name(node.name or "all-tests", f"{test} {run} {server.run_id}", _NAME_LENGTH)


def _count_findings(config: pytest.Config, codes: Mapping[str, int], place: Place, tests: int = 1) -> None:
    """Add the calls of each code, and `tests` tests, the first of which is at `place`."""
    counts = config.stash.setdefault(_FINDING_COUNTS, {})
    for code, calls in codes.items():
        calls_before, tests_before, first = counts.get(code, (0, 0, place))
        counts[code] = calls_before + calls, tests_before + tests, first


def _find_place(node: pytest.Item | pytest.Collector) -> Place:
    """The file of a test or a module; of a test its line, too."""
    line = None
    if isinstance(node, pytest.Item) and node.location[1] is not None:
        line = node.location[1] + 1
    return str(node.path), line


def _format_annotation(code: str, how_often: str, place: Place) -> str:
    """A command of GitHub's workflows that shows a finding at the first test that has it.

    Facts: https://docs.github.com/actions/reference/workflow-commands-for-github-actions, and escapeProperty in
    actions/toolkit's command.ts.
    """
    from emulator.findings import FINDINGS

    path, number = place
    if Path(path).is_dir():  # the session of all tests has no file
        where = ""
    else:
        where = f"file={_escape_property(os.path.relpath(path, os.environ.get('GITHUB_WORKSPACE')))},"
        if number is not None:
            where += f"line={number},"
    text = " ".join(f"{how_often}. {FINDINGS.get(code, '')}".split()).replace("%", "%25")
    return f"::warning {where}title={_escape_property('image_api ' + code)}::{text}"


def _escape_property(text: str) -> str:
    """A value of a workflow command's property, which ends at a comma or a colon."""
    for character in "%\r\n:,":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _count_verdicts(config: pytest.Config, verdicts: Mapping[str, int], cost: float) -> None:
    """Add the calls of each verdict, and what they cost."""
    if not verdicts:
        return
    counts = config.stash.setdefault(_VERDICT_COUNTS, {})
    for name, amount in (*verdicts.items(), ("cost", cost)):
        counts[name] = counts.get(name, 0) + amount


def _make_report(test: _RunningTest) -> str:
    """The journal of a test's session, with its pictures in files."""
    try:
        folder = test.server.folders.getbasetemp() / f"image_api-{test.session.session_name}"
        return test.session.report(folder)
    except Exception as error:  # noqa: BLE001 - the test has failed already, and its own failure is what has to be shown
        return f"The journal cannot be shown: {error}"


def _format_count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
