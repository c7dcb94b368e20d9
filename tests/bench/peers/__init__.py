"""Other servers that people test against, and the same calls sent to all of them in one run.

The contract of all is contract.json: the rules that ours has for the same model, as plain OpenAPI. Programs from npm
are installed into `.cache/bench`, in the versions below. Before anything is measured, each server is asked one valid
call and one with a wrong size: one that takes both does not judge, and its line says so.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.figures import CPU, PACE, Aim, Figure, Line, Pairs
from tests.bench.requests import REFUSED, UNIQUE
from tests.bench.rows import Row, Scale, take_turns
from tests.bench.servers import (
    CHECKOUT,
    CONNECTIONS,
    Failed,
    Server,
    Shot,
    find_free_port,
    load,
    send_once,
    serving,
    serving_foreign,
)  # fmt: skip

NPM: Final = {"@stoplight/prism-cli": "5.16.0", "wiremock": "3.13.2", "@copilotkit/aimock": "1.43.0"}
"""What is installed from npm."""
Found = dict[tuple[str, str, str], list[float]]
"""What was measured, round by round: for a server, a kind of call and a unit."""
_CACHE: Final = CHECKOUT / ".cache" / "bench"
_MODULES: Final = _CACHE / "node_modules"
_CONTRACT: Final = Path(__file__).with_name("contract.json")
_VALIDATING: Final = Path(__file__).with_name("validating.py")


@dataclass(frozen=True)
class Peer:
    """A server: `command` makes its command line from a port and a folder for its files.

    `needs` are programs and Python modules. `warm_up` are seconds of calls before it is measured: Java compiles while
    it runs.
    """

    name: str
    title: str
    command: Callable[[int, Path], Sequence[str]]
    needs: Sequence[str]
    warm_up: float = 1.0

    def find_missing(self) -> list[str]:
        """What the machine lacks for it."""
        return [name for name in self.needs if not shutil.which(name) and not importlib.util.find_spec(name)]


def install_programs() -> None:
    """Install from npm what is not there in its version. Raises Failed."""
    missing = [f"{name}@{version}" for name, version in NPM.items() if read_version(name) != version]
    if not missing or not shutil.which("npm"):
        return
    print(f"npm installs {' '.join(missing)} into {_CACHE}", file=sys.stderr, flush=True)
    _CACHE.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(_CACHE), *missing]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"npm could not install {' '.join(missing)}: {(done.stderr or done.stdout)[-300:]}")


def read_version(package: str) -> str | None:
    """The version of a package from npm that is installed here."""
    try:
        version: str = json.loads((_MODULES / package / "package.json").read_text())["version"]
    except OSError:
        return None
    return version


def list_versions() -> dict[str, str | None]:
    """The versions of what is measured, and of what runs it."""
    found = {name: read_version(name) for name in NPM}
    for program, flag in (("node", "--version"), ("java", "-version")):
        found[program] = None
        if shutil.which(program):
            told = subprocess.run([program, flag], capture_output=True, text=True, check=False)
            version = re.search(r"\d+(\.\d+)+", told.stdout or told.stderr)
            found[program] = version[0] if version else None
    return found


def _command_prism(port: int, _: Path) -> Sequence[str]:
    program = _MODULES / "@stoplight" / "prism-cli" / "dist" / "index.js"
    return ("node", str(program), "mock", "--port", str(port), "--verboseLevel", "silent", str(_CONTRACT))


def _command_aimock(port: int, folder: Path) -> Sequence[str]:
    picture = {"match": {"endpoint": "image"}, "response": {"image": {"url": "http://127.0.0.1/pictures/1.png"}}}
    (folder / "fixtures").mkdir()
    (folder / "fixtures" / "pictures.json").write_text(json.dumps({"fixtures": [picture]}))
    (folder / "aimock.json").write_text(json.dumps({"port": port, "llm": {"fixtures": str(folder / "fixtures")}}))
    program = _MODULES / "@copilotkit" / "aimock" / "dist" / "aimock-cli.js"
    return ("node", str(program), "--config", str(folder / "aimock.json"))


def _write_stubs(folder: Path) -> None:
    """WireMock's stubs: one for bodies that the contract's schema takes, and one for all others."""
    contract = json.loads(_CONTRACT.read_text())
    ((path, item),) = contract["paths"].items()
    stubs = []
    for priority, status in ((1, "200"), (2, "400")):
        example = item["post"]["responses"][status]["content"]["application/json"]["example"]
        answer = {"status": int(status), "jsonBody": example, "headers": {"Content-Type": "application/json"}}
        request: dict[str, Any] = {"method": "POST", "urlPath": path}
        if status == "200":
            request["bodyPatterns"] = [{"matchesJsonSchema": contract["components"]["schemas"]["DallE3"]}]
        stubs.append({"priority": priority, "request": request, "response": answer})
    (folder / "mappings").mkdir()
    (folder / "mappings" / "stubs.json").write_text(json.dumps({"mappings": stubs}))


def _command_wiremock(port: int, folder: Path) -> Sequence[str]:
    _write_stubs(folder)
    return ("java", *_find_jar(), "--port", str(port), "--root-dir", str(folder))


def _command_tuned_wiremock(port: int, folder: Path) -> Sequence[str]:
    _write_stubs(folder)
    return ("java", *_JAVA_FLAGS, *_find_jar(), "--port", str(port), "--root-dir", str(folder), *_WIREMOCK_FLAGS)


def _find_jar() -> tuple[str, str]:
    found = sorted((_MODULES / "wiremock" / "build").glob("*.jar"))
    return "-jar", str(found[-1]) if found else "wiremock.jar"


def _command_validating(library: str) -> Callable[[int, Path], Sequence[str]]:
    return lambda port, _: (sys.executable, str(_VALIDATING), str(port), library)


@contextmanager
def serving_peer(name: str) -> Iterator[Server]:
    """The server `name` for as long as the `with` lasts: a peer, one of ours, or the bare handler."""
    if name not in PEERS:
        with serving(name) as server:
            yield server
        return
    with tempfile.TemporaryDirectory() as folder:
        port = find_free_port()
        with serving_foreign(name, PEERS[name].command(port, Path(folder)), port) as server:
            yield server


def measure_peers(scale: Scale) -> list[Figure]:
    """The figures of all servers that can be had."""
    install_programs()
    notes = {name: ", ".join(peer.find_missing()) for name, peer in PEERS.items()}
    notes = {name: f"needs {missing}" for name, missing in notes.items() if missing}
    parties = ["ref", *scale.whos, *(name for name in PEERS if name not in notes)]
    found: Found = {}
    with ExitStack() as stack:
        servers = {}
        for name in parties:
            try:
                servers[name] = stack.enter_context(serving_peer(name))
                verdict = _check(servers[name])
            except Failed as error:
                verdict = str(error)
            if verdict:
                notes[name] = verdict
        for name, server in servers.items():
            if notes.get(name, _TAKES_ALL) == _TAKES_ALL:
                _load_one(server, notes, UNIQUE, seconds=PEERS[name].warm_up if name in PEERS else 1)
        for kind, shot, connections in _KINDS:
            for name, values in _load_all(servers, notes, shot, connections, scale).items():
                found[name, kind, PACE] = [pace for pace, _ in values]
                found[name, kind, CPU] = [cpu for _, cpu in values]
    good = [name for name in servers if notes.get(name, _TAKES_ALL) == _TAKES_ALL]
    for name, starts in _start_all(good, scale):
        found[name, START, "ms"] = starts
    return _make_figures(found, notes)


def _check(server: Server) -> str | None:
    """What is wrong with the answers to a valid call and to one with a wrong size; None where nothing is."""
    if server.who == "ref":
        return None
    _wait_until_good(server)
    refused = send_once(server, REFUSED)
    if refused == UNIQUE.status:
        return _TAKES_ALL
    if refused != REFUSED.status:
        return f"answers a wrong size with {refused}"
    return None


def _wait_until_good(server: Server) -> None:
    """Wait for the first good answer; some servers take connections before they have read their files."""
    end = time.perf_counter() + _PATIENCE
    while True:
        status = send_once(server, UNIQUE)
        if status == UNIQUE.status:
            return
        if time.perf_counter() > end:
            raise Failed(f"answers a valid call with {status}")
        time.sleep(_POLL)


def _load_all(
    servers: Mapping[str, Server], notes: dict[str, str], shot: Shot, connections: int, scale: Scale
) -> dict[str, list[tuple[float, float]]]:
    """For each server, a pace and microseconds of CPU for each round."""
    values: dict[str, list[tuple[float, float]]] = {}
    for name in servers:
        if name not in notes or (notes[name] == _TAKES_ALL and shot.status == UNIQUE.status):
            values[name] = []
    for number in range(-1, scale.rounds):
        for name in take_turns(list(values), number):
            sent = UNIQUE if name == "ref" else shot
            how = {"connections": connections, "seconds": scale.seconds, "first": (number + 1) * _ROUND}
            found = _load_one(servers[name], notes, sent, **how)
            if found is None:
                del values[name]
            elif number >= 0:  # the first round of each kind has warmed up
                values[name].append(found)
    return values


def _load_one(server: Server, notes: dict[str, str], shot: Shot, **how: Any) -> tuple[float, float] | None:
    """Calls a second and microseconds of CPU a call; None where a server of others fails, which is noted."""
    try:
        result, cpu = load(server, shot, **how)
    except Failed as error:
        if server.who not in PEERS:
            raise
        notes[server.who] = str(error)
        return None
    return result.calls / result.seconds, cpu


def _start_all(names: Sequence[str], scale: Scale) -> Iterator[tuple[str, list[float]]]:
    """For each server, milliseconds from its start to its first good answer."""
    values: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, scale.rounds):
        for name in take_turns(names, number):
            began = time.perf_counter()
            with serving_peer(name) as server:
                _wait_until_good(server)
                if number >= 0:
                    values[name].append(1000 * (time.perf_counter() - began))
    yield from values.items()


def _make_figures(found: Found, notes: Mapping[str, str]) -> list[Figure]:
    figures = []
    for line in LINES:
        name = _NAMES.get(line.server, "ours")
        reference = _NAMES.get(line.beside, line.beside)
        what = line.title, line.unit
        beside = found.get((reference, *what), [])
        fast = None
        if not line.server and ("fast", *what) in found:
            fast = Pairs(found["fast", *what], beside)
        figures.append(Figure(line, Pairs(found.get((name, *what), []), beside), fast, notes.get(name, "")))
    return figures


def _list_lines() -> Iterator[Line]:
    """Ours beside each server that judges; then each server beside the bare handler."""
    for kind, _, _ in _KINDS:
        for title, aim in ((_PRISM, Aim("≥", 1)), (_TUNED, None)):
            yield Line(kind, PACE, beside=title, aim=aim, fast_aim=Aim("≥", 1), on_page=True)
            yield Line(kind, CPU, beside=title)
    for title in _NAMES:
        for kind, shot, connections in _KINDS:
            yield Line(kind, PACE, on_page=True, server=title)
            shown = shot is UNIQUE and connections > 1
            yield Line(kind, CPU, on_page=shown, server=title)
        yield Line(START, "ms", on_page=True, server=title)


VALID: Final = "valid calls, 32 connections"
VALID_ALONE: Final = "valid calls, one connection"
WRONG: Final = "refused calls, 32 connections"
START: Final = "start"
_KINDS: Final = ((VALID, UNIQUE, CONNECTIONS), (VALID_ALONE, UNIQUE, 1), (WRONG, REFUSED, CONNECTIONS))
_PRISM: Final = "Prism"
_TUNED: Final = "WireMock, tuned"
_JAVA_FLAGS: Final = ("-XX:+UseParallelGC", "-Xms512m", "-Xmx512m", "-Xss512k")
_WIREMOCK_FLAGS: Final = (
    "--no-request-journal", "--disable-request-logging", "--disable-response-templating", "--disable-banner",
    "--disable-gzip", "--disable-http2-plain", "--use-chunked-encoding", "never",
    "--async-response-enabled", "false", "--container-threads", "32", "--jetty-acceptor-threads", "1",
)  # fmt: skip
PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer("prism", _PRISM, _command_prism, ("node", "npm")),
        Peer("wiremock", "WireMock", _command_wiremock, ("java", "npm"), warm_up=10),
        Peer("wiremock-tuned", _TUNED, _command_tuned_wiremock, ("java", "npm"), warm_up=10),
        Peer("jsonschema", "aiohttp + jsonschema", _command_validating("jsonschema"), ("jsonschema",)),
        Peer(
            "jsonschema-rs", "aiohttp + uvloop + jsonschema-rs", _command_validating("jsonschema-rs"),
            ("uvloop", "jsonschema_rs"),
        ),
        Peer("aimock", "aimock", _command_aimock, ("node", "npm")),
    )
}  # fmt: skip
_NAMES: Final = {
    "**the emulator**": "ours",
    "**the emulator with `[speed]`**": "fast",
    **{peer.title: name for name, peer in PEERS.items()},
}
"""The server of each title."""
LINES: Final = tuple(_list_lines())
_TAKES_ALL: Final = "takes it"
_ROUND: Final = 1_000_000
_PATIENCE: Final = 20  # seconds
_POLL: Final = 0.002  # seconds
ROW: Final = Row(
    "peers", "the same calls to other servers: Prism, WireMock, aimock, aiohttp with a schema", LINES, measure_peers
)
