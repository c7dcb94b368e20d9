"""The command `docs`: pages, parts of pages, and words in them, as plain text that fits."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Final

import pytest

from emulator.cli.main import main
from emulator.core.pages import load_pages, search_pages
from emulator.core.tables import display_width

PAGES: Final = load_pages()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `docs` prints."""
    assert 0 == main(["docs", *arguments])
    return capsys.readouterr().out


def fail(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line with which `docs` fails."""
    assert 2 == main(["docs", *arguments])
    out, err = capsys.readouterr()
    assert ("", 1) == (out, err.count("\n"))
    return err


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a word it lists each page, and says how to go on."""
    out = run(capsys)
    assert all(f"\n  {name} " in out for name in PAGES)
    assert "docs WORD" in out


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, width: int
) -> None:
    """No line but those of code is wider than the terminal, and nothing colours what goes into a pipe."""
    monkeypatch.setenv("COLUMNS", str(width))
    out = run(capsys, name)
    assert out.startswith(f"# {PAGES[name].title}\n")
    assert "\033" not in out
    wide = [line for line in out.splitlines() if not line.startswith("    ") and display_width(line) > width]
    assert [] == [line for line in wide if " " in line.strip()]


def test_a_part_of_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    """The place that a search names can be read by itself, with what is below it."""
    out = run(capsys, "errors#kinds-of-refusal")
    assert out.startswith("## Kinds of refusal\n")
    assert "# Errors" not in out
    assert "did you mean 'kinds-of-refusal'?" in fail(capsys, "errors#kind-of-refusal")
    assert "did you mean 'errors'?" in fail(capsys, "error#findings")


def test_the_file_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """`--markdown` changes nothing."""
    assert PAGES["verify"].text == run(capsys, "--markdown", "verify")
    assert "did you mean 'verify'?" in fail(capsys, "--markdown", "verfy")


@pytest.mark.parametrize("words", ["rate_limit", "rate-limit", "RATE_LIMIT", "rate limit", "ratelimit", "rate limits"])
def test_words_are_found(capsys: pytest.CaptureFixture[str], words: str) -> None:
    """Case, dashes, spaces and a plural do not count; the row of a code is among the first places."""
    out = run(capsys, *words.split())
    assert "errors#kinds-of-refusal" in out
    assert "`rate_limit`: 429: `rate_limit_exceeded`: " in out


def test_headings_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    """The best place is one whose heading has the word; a word of `explain` is explained before."""
    assert run(capsys, "streams").startswith(("images#streams ", "scenarios#streams "))
    assert run(capsys, "hang-up").startswith("hang_up: Fault: ")


def test_all_places(capsys: pytest.CaptureFixture[str]) -> None:
    """A word with many places has the best of them, and with `--all` the others."""
    few, many = run(capsys, "call"), run(capsys, "call", "--all")
    assert "--all prints all of them" in few
    assert len(many) > len(few)


def test_a_word_that_is_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused with the nearest word that is somewhere; of several words, with that of the unknown one."""
    assert "did you mean 'portability'?" in fail(capsys, "portabilitty")
    assert "did you mean 'moderation'?" in fail(capsys, "refuse", "moderatoin")
    assert "did you mean" not in fail(capsys, "qqqqqq")
    assert "did you mean" not in fail(capsys, "--", "--")


@pytest.mark.parametrize(("pager", "paged"), [("cat -A", True), ("no-such-program", False), ("", False)])
def test_a_terminal_has_a_pager(pager: str, paged: bool) -> None:
    """On a terminal a long page goes through PAGER, with bold headings; where that is not there, it is printed."""
    command = [sys.executable, "-m", "emulator", "docs", "scenarios"]
    environ = {**os.environ, "PAGER": pager, "COLUMNS": "80", "LINES": "24"}
    parent, child = pty.openpty()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=child, env=environ) as process:
        os.close(child)
        parts = []
        try:
            while part := os.read(parent, 2**16):
                parts.append(part)
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(parent)
    out = b"".join(parts).decode("utf-8", "replace")
    assert 0 == process.returncode
    assert paged == ("^[[1m# Scenarios" in out)
    assert paged != ("\033[1m# Scenarios" in out)


FACTS: Final = {
    # a tester in Python
    "xdist": "pytest#the-fixture", "retry": "pytest#retries", "timeout": "pytest#time-outs-and-slow-answers",
    "proxy": "pytest#proxies", "django": "pytest#django", "strict": "pytest#the-marker-and-the-settings",
    "unittest": "pytest#unittest", "expired link": "coverage", "content policy": "errors",
    "frozen": "pytest#the-marker-and-the-settings", "max_cost": "verify",
    "freeze clock": "server#settings", "90 seconds": "pytest#time-outs-and-slow-answers", "covered": "coverage",
    "gpt-image-2 sizes": "gateways#sizes", "price": "images#tokens-and-prices", "allow finding": "errors#findings",
    # a developer in Node
    "typescript": "clients#javascript-and-typescript", "vitest": "clients#javascript-and-typescript",
    "base url": "clients#base-url-and-key", "cors": "clients#browsers", "stream": "images#streams",
    "b64_json": "images#streams", "port": "troubleshooting#the-port-is-in-use", "ready-json": "server#settings",
    "mask": "images#edits", "retry-after": "scenarios#refuse",
    "parallel": "clients#base-url-and-key", "isolate": "clients#base-url-and-key",
    # an engineer who runs it
    "kubernetes": "server#health-and-probes", "docker": "server#docker", "compose": "server#compose",
    "prometheus": "server#the-paths-under-_emulator", "github": "server#github-actions",
    "SIGTERM": "server#start-and-stop",
    "offline": "server#start-and-stop", "allow-host": "server", "json-log": "server#settings", "license": "server",
}  # fmt: skip


@pytest.mark.parametrize(("words", "place"), FACTS.items(), ids=str)
def test_facts_are_found(words: str, place: str) -> None:
    """What a tester, a developer and an operator look for is among the first places of a search for its word."""
    places = [hit.section.place for hit in search_pages(PAGES, words.split())[:5]]
    assert any(one == place or one.startswith(f"{place}#") for one in places), places
