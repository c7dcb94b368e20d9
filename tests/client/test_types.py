"""What a type checker finds in a user's project: every misspelled name, and nothing in code that is right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import emulator
from emulator import CallFields, Expectation, Matchers
from emulator.client.embedded import EmulatorSettings
from emulator.scenario.matching import CALL_FIELDS, MATCHERS, OUTCOME_FIELDS
from emulator.session.verification import WORDS
from emulator.settings import FIELDS
from tests.paths import ROOT

RIGHT: Final = '''
"""A user's tests, with each type that the package hands out."""

from collections.abc import Iterator, Sequence

import pytest

from emulator import (
    CallFields, Calls, Emulator, EmulatorError, EmulatorSettings, Expectation, Fit, ImageApi, Inspection, Matchers,
    PictureOrigin, Portability, RecordedCall, RecordedFinding, RecordedPicture, RecordedRefusal, RecordedUpload,
    ScenarioSource, SessionClock, inspect,
)


@pytest.fixture
def own() -> Iterator[Emulator]:
    settings: EmulatorSettings = {"seed": 7, "behavior": "observed", "clock": "frozen:2026-01-01"}
    with Emulator("ezmodel", scenario={"rules": []}, **settings) as emulator:
        yield emulator


async def test_async() -> None:
    async with Emulator(report_only=True, schema=["gateway.yaml"]) as emulator:
        assert emulator.url("geekai")


def test_calls(image_api: ImageApi, monkeypatch: pytest.MonkeyPatch) -> None:
    image_api.environ(monkeypatch)
    calls: Calls = image_api.calls
    latest: RecordedCall = calls.latest
    status: int | None = latest.status
    refused: RecordedRefusal | None = latest.refused
    assert refused is None or refused.breach
    findings: Sequence[RecordedFinding] = latest.findings
    uploads: Sequence[RecordedUpload] = latest.uploads
    pictures: Sequence[RecordedPicture] = latest.pictures
    assert [status, findings, uploads, pictures[0].width * 2, calls[0].number + 1, calls[1:][0].model]
    clock: SessionClock = image_api.clock
    clock.advance("1h")


def test_verify(image_api: ImageApi) -> None:
    cat: Matchers = {"contains": "cat", "not": {"matches": "dog"}}
    expected: Expectation = {"once": True, "prompt": cat, "n": {"at_least": 1, "at_most": 2}}
    found: tuple[RecordedCall, ...] = image_api.verify(**expected)
    fields: CallFields = {"model": ["dall-e-2", "dall-e-3"], "headers": {"user-agent": {"contains": "curl"}}}
    image_api.verify(never=True, **fields)
    image_api.verify({"style.list.0": "x"}, times=2, model={"dall-e-2", "dall-e-3"}, refused=True)
    image_api.verify(when={"seed": 3}, between=(1, 3), max_cost=0.5, no_findings=True, no_unused_answers=True)
    image_api.verify(in_order=[{"status": 429}, {"status": 200}])
    assert found[0].gateway


def test_others(image_api: ImageApi) -> None:
    source: ScenarioSource = "rate-limited-then-ok"
    try:
        image_api.play(source)
    except EmulatorError as error:
        assert error.status
    table: Portability = image_api.portability()
    fit: Fit = table[0]
    assert [fit.outcome, fit.refused and fit.refused.message, table.gateways[0].accepted + 1]
    origin: PictureOrigin = image_api.picture_of(b"")
    inspection: Inspection = inspect(b"")
    assert [origin.call and origin.call.number, inspection.width, image_api.server_settings["seed"] + 1]
    assert image_api.settings(report_only=None)["report_only"] is False
'''.lstrip()

WRONG: Final = """
from emulator import Emulator, ImageApi, inspect

def test_wrong(image_api: ImageApi) -> None:
    call = image_api.calls.latest
    call.statsu  # E
    call.status = 3  # E
    call.findings[0].cod  # E
    call.pictures[0].hieght  # E
    assert call.refused is not None
    call.refused.breech  # E
    image_api.verify(never=True, statuss=200)  # E
    image_api.verify(times="two")  # E
    image_api.verify(prompt={"contians": "cat"})  # E
    image_api.verify(once=False)  # E
    image_api.verify(style_list_0="x")  # E
    image_api.portability()[0].outcom  # E
    image_api.portability().gateways[0].acepted  # E
    image_api.clock.advanse("1h")  # E
    image_api.settings(reportonly=True)  # E
    image_api.settings()["behaviour"]  # E
    image_api.server_settings["sead"]  # E
    image_api.picture_of(b"").calls[0].modle  # E
    inspect(b"").heigth  # E
    image_api.play(7)  # E
    Emulator(gatewy="ezmodel")  # E
    Emulator(behavior="good")  # E
    from emulator import Emulater  # E
""".lstrip()


def find_complaints(folder: Path) -> dict[str, list[int]]:
    """The lines of each file of a user's project about which `mypy --strict` complains."""
    known = ROOT / ".cache" / "mypy"  # from run to run: what mypy knows of the package takes it 8 s to find out
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(known), "--no-error-summary", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "" == done.stderr
    found: dict[str, list[int]] = {"test_right.py": [], "test_wrong.py": []}
    for line in done.stdout.splitlines():
        complaint = re.match(r"(\S+?):(\d+): error: ", line)
        if complaint is not None:
            found[complaint[1]].append(int(complaint[2]))
    return found


def test_a_users_project(tmp_path: Path) -> None:
    """Right code passes `mypy --strict`: every type can be imported from `emulator`, and has its ordinary use.

    Each misspelled attribute, word and setting, and each wrong value, fails it, and no other line does.
    """
    (tmp_path / "test_right.py").write_text(RIGHT)
    (tmp_path / "test_wrong.py").write_text(WRONG)
    complaints = find_complaints(tmp_path)
    assert [] == complaints["test_right.py"]
    slips = [number for number, line in enumerate(WRONG.splitlines(), 1) if line.endswith("# E")]
    assert slips == sorted(set(complaints["test_wrong.py"]))


def test_the_package_says_that_it_is_typed() -> None:
    """A type checker reads an installed package only if it has this file."""
    assert Path(emulator.__file__).with_name("py.typed").is_file()


def test_every_setting_is_a_typed_keyword() -> None:
    """`Emulator` has a typed keyword for each setting of `serve`."""
    assert set(FIELDS) == {"gateway", "scenario", *(name.rstrip("_") for name in EmulatorSettings.__annotations__)}


UNKNOWN_WORDS: Final = [
    ("statuss", "status"),
    ("atleast", "at_least"),
    ("promt", "prompt"),
    ("no_finding", "no_findings"),
]


@pytest.mark.parametrize(("word", "nearest"), UNKNOWN_WORDS)
def test_an_unknown_word_of_verify_is_refused(word: str, nearest: str) -> None:
    """Without a type checker the call itself refuses it, and names the nearest known word; nothing is asked."""
    nobody = emulator.ImageApi("http://127.0.0.1:1")
    with pytest.raises(emulator.EmulatorError, match=rf"unknown word '{word}'; .*did you mean '{nearest}'\?$"):
        nobody.verify(never=True, **{word: 200})  # type: ignore[arg-type]


def test_a_field_that_is_given_twice_is_refused() -> None:
    """A field that stands in `when` and as a keyword contradicts itself."""
    nobody = emulator.ImageApi("http://127.0.0.1:1")
    with pytest.raises(emulator.EmulatorError, match=r"^verify: model is given twice, as a keyword and in when$"):
        nobody.verify({"model": "dall-e-2"}, model="dall-e-3")


def test_words_of_verify_are_the_servers() -> None:
    """The words for counts, the matchers and the fields of a call are those that the server knows."""
    assert set(WORDS) == {"when", *Expectation.__annotations__} - set(CallFields.__annotations__)
    assert set(MATCHERS) == set(Matchers.__annotations__)
    assert {*OUTCOME_FIELDS, *CALL_FIELDS} <= set(CallFields.__annotations__)
