"""The scripts of `completion`, in the shells themselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.cli.main import main

CASES = [
    ("se", "serve"),
    ("serve --beh", "--behavior"),
    ("serve --behavior obs", "observed"),
    ("serve --speed a", "auto"),
    ("serve --scenario fla", "flaky"),
    ("rules geek", "geekai geeknow"),
    ("rules openai --operation ed", "edit"),
    ("portability --gateway ez", "ezmodel"),
    ("explain would_be", "would_be_refused"),
    ("docs comm", "command-line"),
    ("completion f", "fish"),
    ("check scen", "scenario-of-mine.yaml"),
    ("serve --keys scen", "scenario-of-mine.yaml"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file."""
    (tmp_path / "scenario-of-mine.yaml").write_text("rules: []")
    return tmp_path


def _print_script(capsys: pytest.CaptureFixture[str], shell: str) -> str:
    assert 0 == main(["completion", shell])
    return capsys.readouterr().out


def _ask(shell: str, script: str, folder: Path) -> str:
    """What a shell prints that runs `script`; skips the test where the shell is not installed."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    flags = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    ran = subprocess.run([program, *flags, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert "" == ran.stderr
    return ran.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there is no bash")
def test_bash_completes(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Commands, flags, and the values of both; names of files where a file is meant."""
    script = _print_script(capsys, "bash") + "compopt() { :; }\n"  # bash has it while it completes alone
    for line, _ in CASES:
        script += f"COMP_WORDS=(image-api-emulator {line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n"
        script += '_image_api_emulator; echo "${COMPREPLY[*]}"\n'
    script += "COMP_WORDS=(image-api-emulator serve --behavior = obs); COMP_CWORD=4; _image_api_emulator\n"
    script += 'echo "${COMPREPLY[*]}"\n'
    assert [*(expected for _, expected in CASES), "observed"] == _ask("bash", script, folder).splitlines()


def test_fish_completes(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """The same in fish."""
    script = _print_script(capsys, "fish")
    for line, _ in CASES:
        script += f"echo (complete -C 'image-api-emulator {line}' | cut -f1)\n"
    assert [expected for _, expected in CASES] == _ask("fish", script, folder).splitlines()


def test_zsh_completes(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """The same in zsh, whose functions for completions stand aside here: they work in an interactive shell alone."""
    script = "compdef() { :; }\ncompset() { :; }\n"
    script += 'compadd() { shift; for word in "$@"; do [[ $word == $cur* ]] && found+=($word); done; }\n'
    script += "_files() { found+=($cur*(N)); }\n"
    script += _print_script(capsys, "zsh")
    for line, _ in CASES:
        script += f"found=(); words=(image-api-emulator {line}); CURRENT=${{#words}}; cur=${{words[-1]}}\n"
        script += "_image_api_emulator; print -r -- ${found[*]}\n"
    assert [expected for _, expected in CASES] == _ask("zsh", script, folder).splitlines()
