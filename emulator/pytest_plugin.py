"""The fixture `image_api`: for each test a session of its own, on one server for each process that runs tests.

Nothing of the emulator is loaded before a test asks for the fixture, and no run breaks because of what is shown here:
what cannot be read for a report is said in the report.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest

if TYPE_CHECKING:
    from emulator.client.api import ImageApi
    from emulator.session.journal import Entry


class _Host:
    """The server of this process, and what tests have of it.

    `usual` is what a test gets whose markers want nothing else, `folders` are for pictures, `names` counts how often
    each test has run. `run` is "" for a server of our own, else it keeps our sessions apart from those of other runs.
    """

    server: ImageApi

    def __init__(self, usual: Mapping[str, Any], folders: pytest.TempPathFactory, run: str = "") -> None:
        # No dataclass: to make one takes as long as to import all of this room.
        self.usual, self.folders, self.run = usual, folders, run
        self.names: Counter[str] = Counter()
        self.noticed: dict[str, Counter[str]] = {}

    def tell(self, entry: Entry) -> None:
        """Count a call's findings, in the thread of a server of our own: so no test has to ask for them at its end."""
        if entry.findings and (codes := self.noticed.get(entry.session)) is not None:
            codes.update({finding.code for finding in entry.findings})


class _Test:
    """What is known of a test that uses the fixture; `report` is what its next report has to show."""

    def __init__(self, host: _Host, session: ImageApi) -> None:
        self.host, self.session, self.failed = host, session, False
        self.report: str | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option and the settings of this plugin."""
    about = "run tests of the fixture image_api against the emulator that answers at this address"
    parser.getgroup("image_api").addoption("--image-api-url", metavar="URL", help=about)
    for name, text in _SETTINGS.items():
        kind: Literal["paths", "string"] = "paths" if name == "schema" else "string"
        parser.addini(f"image_api_{name}", text, kind, default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def _image_api_host(request: pytest.FixtureRequest) -> Iterator[_Host]:
    """One server of this process's own, or the one that --image-api-url names."""
    from emulator.client.connection import EmulatorError

    # Not as arguments: pytest would look them up again for every test.
    config, folders = request.config, request.getfixturevalue("tmp_path_factory")
    settings = {name: found for name in _SETTINGS if (found := config.getini(f"image_api_{name}"))}
    if "scenario" in settings:
        settings["scenario"] = _located(settings["scenario"], config.rootpath)
    try:
        url = config.getoption("image_api_url")
        if url is not None:
            run = f"{getattr(config, 'workerinput', {}).get('workerid', '')} {os.urandom(8).hex()}"
            host = _Host(_for_a_session(settings), folders, run)
            host.server = _remote(url, settings)
            yield host
            return
        from emulator.client.embedded import Emulator

        host = _Host({"strict": settings.pop("strict", False)}, folders)
        with Emulator(tell=host.tell, **settings) as host.server:
            yield host
        for codes in host.noticed.values():
            _count(config, codes)
    except EmulatorError as error:
        pytest.fail(f"image_api: {error}", pytrace=False)


@pytest.fixture
def image_api(request: pytest.FixtureRequest, _image_api_host: _Host) -> Iterator[ImageApi]:
    """An image API of the test's own: `image_api.url("ezmodel")` and `image_api.key` are for its client.

    `image_api.play(…)`, `.calls`, `.verify(…)`, `.clock` and the rest are those of `emulator.ImageApi`.
    """
    from emulator.client.connection import EmulatorError

    host, item = _image_api_host, request.node
    chosen = {**host.usual, **_marked(item)}
    demanded = _demanded(chosen.pop("strict", False))
    try:
        session = host.server.account(_session_name(item, host), chosen.pop("gateway", None))
        if (scenario := chosen.pop("scenario", None)) is not None:
            session.play(scenario)
        if chosen:
            session.settings(**chosen)
        host.noticed[session.session_name] = Counter()
        item.stash[_TEST] = test = _Test(host, session)
        yield session
        if host.run:
            _count(item.config, session.findings)
        complaints = [] if test.failed else [text for word in demanded for text in _DEMANDS[word](session)]
    except EmulatorError as error:
        pytest.fail(f"image_api: {error}", pytrace=False)
    if complaints:
        test.report = _report(test)
        pytest.fail("\n".join(complaints), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the report of a failed test show its journal."""
    report = yield
    if report.failed and (test := item.stash.get(_TEST, None)) is not None:
        test.failed = True
        if report.when != "teardown":  # the server may have ended by then: what there is to show was read before
            test.report = _report(test)
        if test.report is not None:
            report.sections.append(("image_api", test.report))
            test.report = None
    return report


@pytest.hookimpl(trylast=True)  # behind the fixtures' ends
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what a worker of pytest-xdist found to the process that prints the summary."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output[_OUTPUT] = session.config.stash.get(_TALLY, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a worker of pytest-xdist found."""
    for code, (calls, tests) in getattr(node, "workeroutput", {}).get(_OUTPUT, {}).items():
        _count(node.config, {code: calls}, tests)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line for each code of a finding."""
    tally = config.stash.get(_TALLY, {})
    if not tally:
        return
    terminalreporter.section("image_api findings")
    width = max(map(len, tally))
    for code, (calls, tests) in sorted(tally.items()):
        terminalreporter.write_line(f"{code:<{width}}  {_number(calls, 'call')} in {_number(tests, 'test')}")
    terminalreporter.write_line("image-api-emulator explain CODE tells more")


def _remote(url: str, settings: Mapping[str, str]) -> ImageApi:
    """A server that is up already; raises EmulatorError where it is not there, or another than is wanted."""
    from emulator.client.api import ImageApi
    from emulator.client.connection import EmulatorError

    server = ImageApi(url)
    for name in ("seed", "clock"):
        wanted, found = settings.get(name), server.health[name]
        if wanted is not None and wanted != str(found):
            raise EmulatorError(f"image_api_{name} is {wanted}, but the server at {url} has {found}")
    return server


def _for_a_session(settings: Mapping[str, str]) -> Mapping[str, Any]:
    """What can be wanted of a session where the server is not ours to start."""
    usual: dict[str, Any] = {name: settings[name] for name in _BY_MARKER if name in settings}
    if "report_only" in usual:
        usual["report_only"] = usual["report_only"].lower() in _TRUE
    return usual


def _marked(item: pytest.Item) -> Mapping[str, Any]:
    """What the markers of a test want, the nearest before the others."""
    chosen: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("image_api"))):
        for word in (*mark.args, *mark.kwargs):
            if word not in _BY_MARKER or word in mark.args:
                known = f"known are {', '.join(f'{name}=…' for name in _BY_MARKER)}"
                pytest.fail(f"pytest.mark.image_api: {word!r} is none of its keywords; {known}", pytrace=False)
        chosen.update(mark.kwargs)
    if isinstance(chosen.get("scenario"), str):
        chosen["scenario"] = _located(chosen["scenario"], item.path.parent, item.config.rootpath)
    return chosen


def _located(scenario: str, *folders: Path) -> str:
    """A scenario's file, looked for in `folders`; any other scenario as it is."""
    if scenario.endswith((".yaml", ".yml", ".json")):
        for folder in folders:
            if (path := folder / scenario).is_file():
                return str(path)
    return scenario


def _demanded(strict: Any) -> tuple[str, ...]:
    """What has to be so at a test's end: all of _DEMANDS, none, or those that are named."""
    if isinstance(strict, str):
        word = strict.lower()
        strict = word in _TRUE if word in (*_TRUE, *_FALSE) else strict.replace(",", " ").split()
    if isinstance(strict, bool | None):
        return tuple(_DEMANDS) if strict else ()
    for word in strict:
        if word not in _DEMANDS:
            known = f"true, false, or some of {', '.join(_DEMANDS)}"
            pytest.fail(f"image_api: strict says {word!r}; expected {known}", pytrace=False)
    return tuple(strict)


def _session_name(item: pytest.Item, host: _Host) -> str:
    """A name that no other test has; on a server of our own it is the same in each run, for chance goes by it."""
    from emulator.core import names

    host.names[item.nodeid] += 1
    return names.make_name(item.name, f"{item.nodeid} {host.names[item.nodeid]} {host.run}", _NAME_LENGTH)


def _count(config: pytest.Config, codes: Mapping[str, int], tests: int = 1) -> None:
    """Add to the calls and the tests of each code."""
    tally = config.stash.setdefault(_TALLY, {})
    for code, calls in codes.items():
        before = tally.get(code, (0, 0))
        tally[code] = before[0] + calls, before[1] + tests


def _report(test: _Test) -> str:
    """The journal of a test's session, with its pictures in files."""
    try:
        name = test.session.session_name
        return test.session.report(test.host.folders.getbasetemp() / f"image_api-{name}")
    except Exception as error:  # noqa: BLE001 - a test has failed already, and that is what has to be told
        return f"The journal cannot be shown: {error}"


def _refusals(session: ImageApi) -> list[str]:
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


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


_SETTINGS: Final = {
    "gateway": "the gateway of image_api.url()",
    "scenario": "what every test's session plays: a ready-made scenario's name, or a file",
    "behavior": "the behavior of the gateways: documented or observed",
    "report_only": "true: answer what the contract would refuse, and record the refusal as a finding",
    "strict": "what fails a test at its end: true for all, or some of refusals, unused_answers, findings",
    "seed": "decides pictures, ids and chance",
    "clock": "real, scale:0.01, or frozen:TIME as in frozen:2026-01-01T00:00:00Z",
    "schema": "OpenAPI files that describe further gateways",
}
_BY_MARKER: Final = ("scenario", "gateway", "behavior", "strict", "report_only")
_MARKER: Final = (
    f"image_api({', '.join(f'{name}=…' for name in _BY_MARKER)}): how the fixture image_api is for a test: "
    "what its session plays, the gateway of image_api.url(), and what fails the test at its end"
)
_DEMANDS: Final[Mapping[str, Callable[[ImageApi], list[str]]]] = {
    "refusals": _refusals,
    "unused_answers": _check_unused_answers,
    "findings": _check_findings,
}
_TRUE: Final = ("true", "1", "yes", "on")
_FALSE: Final = ("false", "0", "no", "off", "")
_NAME_LENGTH: Final = 48  # of the 64 characters; the rest is for a test's further accounts
_OUTPUT: Final = "image_api_findings"
_TEST: Final = pytest.StashKey[_Test]()
_TALLY: Final = pytest.StashKey[dict[str, tuple[int, int]]]()
