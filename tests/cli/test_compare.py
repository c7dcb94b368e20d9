"""The command `compare`: its table, JSON, JUnit XML and exit codes, and what it says of a bad recording."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest

from emulator.analysis.comparison import DIFFERENCE_KINDS
from emulator.cli import progress
from emulator.cli.main import main
from emulator.core.data_folders import find_docs
from emulator.session.recording import Recording
from emulator.session.recording_entry import AskedCall, GivenAnswer
from tests.session.test_recording import HOSTILE
from tests.uploads import draw_file

AT: Final = 1_764_374_400.0  # 2025-11-29
BY_HAND: Final = """\
scenario: first-run
recorded: {version: 1}
ignore: [user]
rules:
  - name: "0001"
    when: {operation: generate, gateway: openai, given: {model: gpt-image-1, prompt: A boat}}
    answers:
      - canned: {status: 429, content_type: application/json, json: {error: {message: Slow down, code: rate_limit}}}
        headers: {retry-after: "2"}
        recorded: {at: "2025-11-28T10:02:11Z", took: 0.2s, cost: 0, verdict: accepted}
      - canned: {status: 200, content_type: application/json, json: {created: 1, data: []}}
        recorded: {at: "2025-11-28T10:02:14Z", took: 41.9s, cost: 0.063, verdict: accepted}
  - name: loose
    when: {operation: generate, gateway: openai, given: {model: gpt-image-1, prompt: {matches: boat}}}
    answers: {canned: {status: 200, content_type: application/json, json: {}}}
...
"""
LAX: Final = """\
scenario: lax
recorded: {version: 1}
rules:
  - when: {operation: generate, gateway: openai, given: {model: gpt-image-1, prompt: A boat}}
    answers: {canned: {status: 400, json: {error: {message: All boats are sold out for the rest of this year.}}}}
  - when: {operation: generate, gateway: openai, given: {prompt: {matches: boat}}}
    answers: {canned: {status: 400, json: {}}}
...
"""


class _NoCounter:
    async def count(self, session: str, what: str, more: int = 1) -> int:
        return 0


def write_recording(
    folder: Path, calls: Sequence[tuple[Mapping[str, Any], GivenAnswer]], gateway: str = "openai"
) -> Path:
    """A recording of these calls and answers, as a server writes it."""

    async def write() -> None:
        recording = Recording(folder, "new_episodes")
        for given, answer in calls:
            asked = AskedCall("generate", gateway, given)
            assert await recording.add(asked, answer, session="it", counter=_NoCounter(), keys=()) is None
        recording.close()

    asyncio.run(write())
    return folder


def answer(status: int, body: Any, **headers: str) -> GivenAnswer:
    """An answer in JSON."""
    listed = [("Content-Type", "application/json"), *((name.replace("_", "-"), text) for name, text in headers.items())]
    return GivenAnswer(status, listed, json.dumps(body).encode(), at=AT, took=1.0)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A recording with a picture, and a list with a file of its own."""
    picture = {"created": 1, "data": [{"b64_json": _spell(draw_file(size=(1024, 1024)))}], "more": "x" * 2000}
    return write_recording(tmp_path / "it", [({"model": "gpt-image-1", "prompt": "A boat"}, answer(200, picture))])


def _spell(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def compare_as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """The exit code, and what is printed as JSON."""
    code = main(["compare", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_each_kind_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One call for each kind of difference, and one that has none."""
    base = {"model": "gpt-image-1", "prompt": "A boat", "size": "1024x1024", "quality": "low"}
    data = [{"b64_json": _spell(draw_file(size=(1024, 1024)))}]
    usage = {
        "input_tokens": 8,
        "input_tokens_details": {"text_tokens": 8, "image_tokens": 0},
        "output_tokens": 272,
        "total_tokens": 280,
    }
    good = {
        "created": 1, "background": "opaque", "data": data, "output_format": "png", "quality": "low",
        "size": "1024x1024", "usage": usage,
    }  # fmt: skip
    refusal = {"error": {"message": "No.", "type": "image_generation_user_error", "param": None, "code": "odd"}}
    small = [{"b64_json": _spell(draw_file(kind="WEBP", mode="RGBA", size=(64, 48)))}]
    calls = [
        ({**base, "prompt": "lax"}, answer(400, refusal)),
        ({**base, "prompt": "strict", "size": "1x1"}, answer(200, good)),
        ({**base, "prompt": "words", "size": "1x1"}, answer(400, refusal)),
        ({**base, "prompt": "fields"}, answer(200, {**good, "id": "x", "quality": 5})),
        ({**base, "prompt": "picture"}, answer(200, {**good, "data": small})),
        ({**base, "prompt": "usage"}, answer(200, {**good, "usage": {**usage, "output_tokens": 1}})),
        ({**base, "prompt": "headers"}, answer(200, good, x_request_id="req_1", x_ratelimit_limit="5")),
    ]
    folder = write_recording(tmp_path / "it", calls)
    code, found = compare_as_json(capsys, str(folder))
    assert 1 == code
    by_prompt = dict(zip(DIFFERENCE_KINDS, (0, 1, 2, 3, 4, 5, 6), strict=True))
    for kind, place in by_prompt.items():
        places = {one["where"] for one in found["calls"][place]["differences"] if one["kind"] == kind}
        assert places, (kind, found["calls"][place])
        assert EXPECTED[kind] <= places
    (strict,) = (one for one in found["calls"][1]["differences"] if one["kind"] == "too_strict")
    assert "(documented)" in strict["rule"]


EXPECTED: Final[Mapping[str, set[str]]] = {
    "too_lax": {"the answer"},
    "too_strict": {"the answer"},
    "other_words": {"code", "message"},
    "other_fields": {"id", "quality"},
    "other_picture": {"size", "format", "alpha"},
    "other_usage": {"usage.output_tokens"},
    "other_headers": {"x-ratelimit-limit"},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_recording_is_one_line(name: str, recorded: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing of it is compared: exit code 2 and one line that names the folder."""
    spoil, expected = HOSTILE[name]
    spoil(recorded)
    assert 2 == main(["compare", str(recorded)])
    told = capfd.readouterr()
    assert ("", 1) == (told.out, told.err.count("\n"))
    assert str(recorded) in told.err
    assert expected in told.err or "a folder without a recording" in told.err


def test_each_bad_folder_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several folders: a line for each that cannot be read, and nothing is compared."""
    (tmp_path / "empty").mkdir()
    assert 2 == main(["compare", str(tmp_path / "none"), str(tmp_path / "empty")])
    told = capsys.readouterr()
    assert ("", 2) == (told.out, told.err.count("\n"))
    assert "none: no such folder" in told.err
    assert "empty: a folder without a recording" in told.err


def test_a_recording_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the form of the page: a rate limit in other words, an empty list, and an entry that cannot be asked."""
    (tmp_path / "recording.yaml").write_text(BY_HAND)
    code, found = compare_as_json(capsys, str(tmp_path))
    assert 1 == code
    limited, empty, loose = found["calls"]
    assert {"message"} <= {one["where"] for one in limited["differences"] if one["kind"] == "other_words"}
    assert {"number"} == {one["where"] for one in empty["differences"] if one["kind"] == "other_picture"}
    assert ("not_compared", "its prompt is loosened by a matcher") == (loose["outcome"], loose["why"])


def test_junit(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A test for each call: with a failure whose text has the differences, skipped, or passed."""
    (tmp_path / "by-hand").mkdir()
    (tmp_path / "by-hand" / "recording.yaml").write_text(BY_HAND)
    path = tmp_path / "junit.xml"
    assert 1 == main(["compare", str(recorded), str(tmp_path / "by-hand"), "--junit", str(path)])
    capsys.readouterr()
    root = ElementTree.fromstring(path.read_bytes())
    assert ("testsuites", "4") == (root.tag, root.get("tests"))
    assert [str(recorded), str(tmp_path / "by-hand")] == [suite.get("name") for suite in root]
    cases = list(root.iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None]
    assert [len(failed), 1] == [int(root.get("failures", "")), int(root.get("skipped", ""))]
    (text,) = [one.text or "" for one in failed[1].iter("failure")]
    assert "other words: message: recorded Slow down; here " in text
    assert 2 == main(["compare", str(recorded), "--junit", str(tmp_path / "none" / "junit.xml")])
    assert "--junit" in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_table_fits_the_terminal(
    columns: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line is longer than the terminal; the worst kind comes first; the last line counts."""
    monkeypatch.setenv("COLUMNS", columns)
    (tmp_path / "recording.yaml").write_text(BY_HAND)
    assert 1 == main(["compare", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    assert lines[0] == "other words: refused in other words (1 call)"
    assert "2 calls compared with documented behavior: 0 the same, 2 different" == lines[-1]


def test_the_observed_behavior_can_be_compared(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--behavior says with what; an unknown word is refused with the nearest one."""
    _, found = compare_as_json(capsys, str(recorded), "--behavior", "observed")
    assert "observed" == found["behavior"]
    assert 2 == main(["compare", str(recorded), "--behavior", "observd"])
    assert "observed" in capsys.readouterr().err


def test_the_pages_example(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The example's recording gives the table that stands below it, and its JSON has the members that are shown."""
    page = (find_docs() / "recording.md").read_text("utf-8")
    example = re.search(r"```yaml\n# lighthouses.yaml\n(.*?)```", page, re.DOTALL)
    printed = re.search(r"<!-- printed by compare -->\n```text\n(.*?)```", page, re.DOTALL)
    described = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert example is not None
    assert printed is not None
    assert described is not None
    (tmp_path / "lighthouses.yaml").write_text(example[1])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    assert 1 == main(["compare", "lighthouses.yaml"])
    assert capsys.readouterr().out == printed[1]
    _, found = compare_as_json(capsys, "lighthouses.yaml")
    shown = json.loads(described[1])
    assert list(shown) == list(found)
    assert list(shown["kinds"]) == list(found["kinds"])
    assert list(shown["calls"][0]) == list(found["calls"][0])
    assert list(shown["calls"][0]["differences"][0]) == list(found["calls"][0]["differences"][0])


def test_progress_is_shown(recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where somebody waits for more than a second, a line tells how far it is, and is erased."""
    monkeypatch.setattr(progress, "_QUICK", 0.0)
    monkeypatch.setattr(progress, "is_terminal", lambda stream: True)
    main(["compare", str(recorded)])
    err = capsys.readouterr().err
    assert "1 of 1 done" in err
    assert err.endswith("\r\x1b[K")
