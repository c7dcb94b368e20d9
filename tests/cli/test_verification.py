"""The command `verify`, against a running server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emulator.cli.main import main
from tests.conftest import Served

BODY = {"model": "gpt-image-2", "prompt": "A boat: red"}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server with three calls of the session `case`; another session was used after it, by a wrong path alone."""
    running = Served()
    for body in (BODY, {**BODY, "n": 0}, {"model": "gpt-image-2", "prompt": "A cat"}):
        running.generate("openai", body, **{"x-emulator-session": "case"})
    yield running
    running.stop()


@pytest.fixture
def verify(served: Served, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command: its exit code, what it prints, and its error."""

    def run(*arguments: str, url: str = served.url) -> tuple[int, str, str]:
        try:
            code = main(["verify", "--url", url, "--session", "case", *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("status=200 --times 2", 0),
        ("status=200 --times 3", 1),
        ("status=200", 0),
        ("status=500", 1),
        ("status=400 refused=above_maximum --once", 1),
        ("status=400 refused=true --once", 0),
        ("status=[200,400] --times 3", 0),
        ("prompt={contains:boat} --at-least 3", 1),
        ("model=gpt-image-2 --between 1 3", 0),
        ("model=gpt-image-2 --at-most 2", 1),
        ("state=client_gone --never", 0),
        ("--in-order status=200 status=400 {status:200,prompt:cat}", 1),
        ("--in-order status=200 status=400 status=200", 0),
        ("--no-findings", 0),
        ("--no-unused-answers", 0),
        ("--max-cost 5", 0),
        ("--max-cost 0", 1),
        ("--max-cost 5 --unknown-cost ignore", 0),
    ],
)
def test_the_exit_code_is_the_verdict(verify: Callable[..., Any], arguments: str, code: int) -> None:
    """The words are those of `verify`; the report names the session, what was expected and what came."""
    arguments = arguments.replace(":", ": ").replace(",", ", ")
    words = [word for word in _split(arguments) if word]
    found, printed, error = verify(*words)
    assert (code, "") == (found, error)
    assert printed.startswith(f"session case: {'not ' if code else ''}as expected\nexpected ")


def _split(arguments: str) -> list[str]:
    """The words of a command line; what stands in brackets is one."""
    words, inside = [""], False
    for letter in arguments:
        inside = letter in "[{" or (inside and letter not in "]}")
        if letter == " " and not inside:
            words.append("")
        else:
            words[-1] += letter
    return words


def test_a_value_with_a_colon_is_a_text(verify: Callable[..., Any]) -> None:
    """Only what begins with a bracket is YAML."""
    assert 0 == verify("prompt=A boat: red", "--times", "2")[0]


def test_json(verify: Callable[..., Any]) -> None:
    """One line, with the verdict as the server has it."""
    code, printed, _ = verify("status=500", "--json")
    assert (1, False, "case") == (code, json.loads(printed)["ok"], json.loads(printed)["session"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["statuss=200"], "unknown field 'statuss'; did you mean 'status'?"),
        (["status:200"], "'status:200' is no condition; expected FIELD=VALUE, such as status=200"),
        (["status=200", "status=400"], "status is given twice; several values of one field are a list"),
        (["--tmes", "2"], "unknown flag '--tmes'; did you mean '--times'?"),
        (["--once", "--never"], "once and never stand together"),
        (["--times", "two"], "invalid int value: 'two'"),
        (["prompt={contains"], "condition:1"),
        (["prompt={containz: x}"], "did you mean 'contains'?"),
        (["state=gone"], "unknown 'gone'; known are under_way, answered, client_gone"),
        (["--max-cost", "1", "--unknown-cost", "fail"], "expected"),
        (["--in-order", "status=200", "--once"], "in_order stands alone"),
        (["--session", "a b"], "that cannot name a session"),
    ],
)
def test_slips(verify: Callable[..., Any], words: list[str], message: str) -> None:
    """One line that says what is wrong, with the nearest word, and exit code 2."""
    code, printed, error = verify(*words)
    assert (2, "", 1) == (code, printed, error.count("\n"))
    assert message in error


def test_without_a_server(verify: Callable[..., Any]) -> None:
    """The exit code is 2: nothing was verified."""
    code, _, error = verify("status=200", url="http://127.0.0.1:1")
    assert 2 == code
    assert "no emulator answers at http://127.0.0.1:1" in error
