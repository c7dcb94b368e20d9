"""What calls have met of their gateways' contracts: counted exactly, added up, told with the line that is missing."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from emulator.analysis import coverage_page, coverage_text
from emulator.analysis.contract_items import SITUATIONS, Contract, Item
from emulator.analysis.coverage import Coverage, Tally, coverage_from_json, merge_coverage
from emulator.cli.main import main
from emulator.gateway.model_catalog import Calendar
from emulator.messages import BEHAVIORS, KINDS, Behavior
from emulator.validation import registry
from tests.browser import run_page
from tests.conftest import Served
from tests.uploads import draw_file, name_file

NOW: Final = Calendar("2026-11-20")
STREAM: Final = {"model": "gpt-image-2", "prompt": "A boat", "stream": True, "partial_images": 2}


@pytest.fixture(scope="module")
def counting() -> Iterator[Served]:
    """A server that counts, for tests that look at a session of their own; no answer takes its time."""
    served = Served(coverage="on", clock="frozen:2026-11-20T00:00:00Z")
    yield served
    served.stop()


def count(served: Served, session: str) -> Mapping[Item, int]:
    """What the calls of a session at one gateway have met."""
    while served.app.sessions.count_under_way(session):  # a client has its answer a little before the call has ended
        pass

    async def read() -> Tally:
        assert served.app.coverage is not None
        return served.app.coverage.count_session(session) or Tally()

    tally = asyncio.run_coroutine_threadsafe(read(), served._loop).result()
    return next(iter(tally.counts.values()), {})


def fetch(served: Served, session: str | None = None) -> Coverage:
    """The coverage that the server tells."""
    query = {} if session is None else {"session": session}
    response = httpx.get(f"{served.url}/_emulator/coverage", params=query)
    assert 200 == response.status_code
    return coverage_from_json(response.json())


def find_count(coverage: Coverage, item: Item) -> int:
    """How many calls met an item, at all gateways."""
    return sum(one.count for contract in coverage.contracts for one in contract.items if one.item == item)


def play(served: Served, session: str, *answers: Any) -> None:
    """Let a session give these answers to every operation, one after the other."""
    rules = [{"when": {"operation": ["generate", "edit", "models", "task"]}, "answers": list(answers)}]
    url = f"{served.url}/_emulator/sessions/{session}/scenario"
    assert 200 == httpx.put(url, json={"rules": rules}).status_code


def read_members(add: str) -> dict[str, Any] | None:
    """The members of a body that a line names; None for a line about something else. None as a value: left out."""
    of_length = re.fullmatch(r'"(\w+)" of (\d+) characters?', add)
    if of_length:
        return {of_length[1]: "x" * int(of_length[2])}
    if add.startswith('no "'):
        return {add[4:-1]: None}
    if add.startswith('"'):
        members: dict[str, Any] = json.loads("{" + add + "}")
        return members
    return None


@pytest.mark.parametrize(
    ("gateway", "behavior"),
    [
        *(pytest.param(name, "documented", id=name) for name in ("aiai", "ezmodel", "geekai", "geeknow", "openai")),
        pytest.param("ezmodel", "observed", id="ezmodel, observed"),
        pytest.param("geeknow", "observed", id="geeknow, observed"),
    ],
)
def test_each_line_meets_what_it_promises(counting: Served, gateway: str, behavior: Behavior) -> None:
    """The line to add to a generation meets its item, with one of the gateway's models."""
    contract = Contract(counting.app.registry.find_validator(gateway, behavior).gateway)
    items = contract.list_items(NOW)
    models = [item.name for item in items if item.kind == "model"]
    missed = []
    for number, (item, add) in enumerate(items.items()):
        if item.operation not in ("", "generate") or item.kind == "event":
            continue
        members = read_members(add)
        if members is None:
            continue
        session = f"{gateway}-{behavior}-line-{number}"
        for model in models:
            body = {"prompt": "A boat", "model": model, **members}
            sent = {name: value for name, value in body.items() if value is not None}
            headers = {"x-emulator-session": session, "x-emulator": f"behavior={behavior}"}
            counting.generate(gateway, sent, **headers)
            if item in count(counting, session):
                break
        else:
            missed.append((item, add))
    assert [] == missed


@pytest.mark.parametrize("kind", ["refusal", "fault"])
def test_each_reserved_key_meets_what_it_promises(counting: Served, kind: str) -> None:
    """So does the key that is named beside a refusal or a fault; the faults of streams need a stream."""
    items = Contract(counting.app.registry.validators["openai"].gateway).list_items(NOW)
    missed = []
    for item, add in items.items():
        if item.kind != kind:
            continue
        key = re.search(r"sk-emulator\.\S+", add)
        assert key is not None
        try:
            counting.generate("openai", STREAM, key=f"{key[0]}.key-{item.name}")
        except httpx.HTTPError:  # some faults leave no answer
            assert kind == "fault"
        if item not in count(counting, f"key-{item.name}"):
            missed.append(item)
    assert [] == missed


@pytest.mark.parametrize(
    ("name", "answers", "bodies"),
    [
        ("retry_after_429", [{"refuse": "rate_limit"}, "draw"], [{"prompt": "A"}, {"prompt": "A"}]),
        ("retry_after_5xx", [{"refuse": "overloaded"}, "draw"], [{"prompt": "A"}, {"prompt": "A"}]),
        ("slow_answer", [{"latency": "20s"}], [{"prompt": "A"}]),
        ("fewer_pictures", [{"draw": {"images": 0}}], [{"prompt": "A"}]),
        ("altered_picture", [{"draw": {"picture": {"truncated": "50%"}}}], [{"prompt": "A"}]),
    ],
)
def test_situations(counting: Served, name: str, answers: list[Any], bodies: list[Any]) -> None:
    """A situation is met by the calls that make it, and by no fewer."""
    session = f"situation-{name}"
    play(counting, session, *answers)
    for body in bodies:
        assert Item("situation", name=name) not in count(counting, session)
        counting.generate("ezmodel", body, **{"x-emulator-session": session})
    met = count(counting, session)
    assert [Item("situation", name=name)] == [item for item in met if item.kind == "situation"]


def test_another_call_is_no_retry(counting: Served) -> None:
    """What is sent after a 429 is a retry where it is the same, and answered."""
    play(counting, "no-retry", {"refuse": "rate_limit"}, "draw")
    for prompt in ("A", "B", "C"):
        counting.generate("ezmodel", {"prompt": prompt}, **{"x-emulator-session": "no-retry"})
    assert Item("situation", name="retry_after_429") not in count(counting, "no-retry")


def test_links(counting: Served) -> None:
    """A link that is followed counts, and so does one that has expired; HEAD follows none."""
    headers = {"x-emulator-session": "links"}
    url = counting.generate("ezmodel", {"prompt": "A"}, **headers).json()["data"][0]["url"]
    assert 200 == httpx.head(url).status_code
    assert not [item for item in count(counting, "links") if item.kind == "situation"]
    assert 200 == httpx.get(url).status_code
    assert 1 == count(counting, "links")[Item("situation", name="link_followed")]
    httpx.post(f"{counting.url}/_emulator/clock", json={"advance": "2h", "session": "links"})
    assert 403 == httpx.get(url).status_code
    assert 1 == count(counting, "links")[Item("situation", name="expired_link")]


def test_events_and_unfinished_pictures(counting: Served) -> None:
    """The events that were sent count; a stream that breaks off before its picture is a situation."""
    counting.generate("openai", STREAM, **{"x-emulator-session": "whole"})
    name = "image_generation"
    events = [Item("event", "generate", f"{name}.partial_image"), Item("event", "generate", f"{name}.completed")]
    assert events == sorted((item for item in count(counting, "whole") if item.kind == "event"), reverse=True)
    assert Item("situation", name="partial_picture") not in count(counting, "whole")
    play(counting, "broken", {"draw": {"error": "moderation"}})
    counting.generate("openai", STREAM, **{"x-emulator-session": "broken"})
    met = count(counting, "broken")
    assert {"error", f"{name}.partial_image"} == {item.name for item in met if item.kind == "event"}
    assert Item("situation", name="partial_picture") in met


def test_a_client_that_leaves(counting: Served) -> None:
    """A call whose client has gone counts."""
    body = json.dumps({"prompt": "A"})
    head = f"POST /s/gone/ezmodel/v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1:{counting.port}\r\n"
    head += f"Authorization: Bearer sk-x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", counting.port)) as client:
        client.sendall((head + body[:-1]).encode())
        while not counting.app.sessions.count_under_way("gone"):
            pass
    while counting.app.sessions.count_under_way("gone"):
        pass
    assert Item("situation", name="client_gone") in count(counting, "gone")


def test_forms_and_files(counting: Served) -> None:
    """An edit in a form meets its files, and its texts as the values that they mean."""
    play(counting, "form", {"canned": {"status": 200, "json": {}}})  # ten pictures take long
    image = name_file(draw_file(size=(1024, 1024)))
    files = [("image[]", image)] * 16
    form = {"model": "gpt-image-2", "prompt": "A boat", "n": "10", "quality": "low", "stream": "false"}
    response = httpx.post(
        f"{counting.base('openai')}/images/edits",
        data=form,
        files=files,
        headers={"authorization": "Bearer sk-x", "x-emulator-session": "form"},
    )
    assert 200 == response.status_code
    met = count(counting, "form")
    expected = {
        Item("operation", "edit"), Item("operation", "edit", "in a form"), Item("model", name="gpt-image-2"),
        Item("parameter", "edit", "image"), Item("parameter", "edit", "n"), Item("value", "edit", "quality", "low"),
        Item("value", "edit", "stream", "false"), Item("bound", "edit", "n", "maximum: 10, reached"),
        Item("bound", "edit", "image", "maxItems: 16, reached"),
    }  # fmt: skip
    assert set() == expected - met.keys()
    known = Contract(counting.app.registry.validators["openai"].gateway).list_items(NOW)
    assert set() == met.keys() - known.keys()


def test_observed_behavior_is_a_contract_of_its_own(serve: Callable[..., Served]) -> None:
    """A gateway counts once for each behavior that judged a call, and not for a call that reached no operation."""
    served = serve(coverage="on")
    served.generate("ezmodel", {"prompt": "A"})
    served.generate("ezmodel", {"prompt": "A", "model": "dall-e-3"}, **{"x-emulator": "behavior=observed"})
    httpx.get(f"{served.base('geekai')}/nothing")
    coverage = fetch(served)
    assert [("ezmodel", 1), ("ezmodel, observed", 1)] == [(one.name, one.calls) for one in coverage.contracts]


def test_models_that_are_not_there_do_not_count(serve: Callable[..., Served]) -> None:
    """What the calendar has taken away is nothing to meet, unless a call met it before."""
    served = serve(coverage="on", clock="frozen:2026-05-01T00:00:00Z")
    served.generate("openai", {"prompt": "A", "model": "dall-e-3", "style": "vivid"})
    style = Item("value", "generate", "style", "natural")
    (before,) = fetch(served).contracts
    assert style in {one.item for one in before.items}
    httpx.post(f"{served.url}/_emulator/clock", json={"advance": "90d"})
    (after,) = fetch(served).contracts
    assert style not in {one.item for one in after.items}
    assert 1 == find_count(Coverage((after,)), Item("model", name="dall-e-3"))
    assert 0 == find_count(Coverage((after,)), Item("model", name="dall-e-2"))


def test_clients_cannot_make_it_grow(serve: Callable[..., Served]) -> None:
    """Names that clients make up are counted nowhere: what is kept is bounded by the contracts."""
    served = serve(coverage="on")
    for number in range(20):
        body = {"prompt": "A", "model": f"made-up-{number}", f"made-up-{number}": number}
        served.generate("geeknow", body, **{"x-emulator-session": "made-up"})
    known = Contract(served.app.registry.validators["geeknow"].gateway).known_items
    assert set() == count(served, "made-up").keys() - known.keys()


def run_calls(served: Served, prompts: range) -> None:
    """Calls of many kinds, each in one of three sessions."""
    for number in prompts:
        body = {"prompt": "x" * (number + 1), "n": number % 3, "size": ("256x256", "1024x1024")[number % 2]}
        served.generate("ezmodel", body, **{"x-emulator-session": f"part-{number % 3}"})


def test_parts_add_up_to_the_whole(serve: Callable[..., Served]) -> None:
    """Several processes and runs together have met what one would have met, call by call."""
    whole, *parts = (serve(coverage="on", sessions=limit) for limit in (1000, 1000, 1, 2))
    run_calls(whole, range(30))
    for number, part in enumerate(parts):
        run_calls(part, range(number * 10, number * 10 + 10))
    merged = merge_coverage(map(fetch, parts))
    assert fetch(whole) == merged
    assert merged == coverage_from_json(json.loads(json.dumps(merged.to_json())))
    assert 30 == merged.contracts[0].calls


def test_dropped_calls_count(serve: Callable[..., Served]) -> None:
    """With --coverage each call counts, whatever the journal keeps; without, it is told how many were missed."""
    counting, plain = serve(coverage="on", journal_entries=2), serve(journal_entries=2)
    for served in (counting, plain):
        for size in ("256x256", "512x512", "1024x1024"):
            served.generate("ezmodel", {"prompt": "A", "model": "dall-e-2", "size": size}, key="sk-same")
    coverage = fetch(counting)
    assert (3, 0, True) == (coverage.contracts[0].calls, coverage.uncounted, coverage.links)
    missed = fetch(plain)
    assert (2, 1, False) == (missed.contracts[0].calls, missed.uncounted, missed.links)
    assert plain.app.coverage is None
    assert [] == plain.app.observers
    notes = "\n".join(coverage_text.format_coverage(missed))
    assert "1 call was dropped from the journal" in notes
    assert "Requests for pictures were not counted" in notes


def test_forgotten_and_reset_sessions_have_counted(serve: Callable[..., Served]) -> None:
    """What a session met stays met when it is reset or forgotten."""
    served = serve(coverage="on")
    for session in ("one", "two"):
        served.generate("ezmodel", {"prompt": "A"}, **{"x-emulator-session": session})
    httpx.post(f"{served.url}/_emulator/sessions/one/reset")
    httpx.delete(f"{served.url}/_emulator/sessions/two")
    assert 2 == fetch(served).contracts[0].calls
    assert 1 == fetch(served, "one").contracts[0].calls


def test_a_file_at_the_end(serve: Callable[..., Served], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--coverage FILE` writes what was met when the server ends, and the command adds files up."""
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file in files:
        served = Served(coverage=str(file))
        served.generate("ezmodel", {"prompt": "A"})
        served.stop()
    assert [] == [path for path in tmp_path.iterdir() if path not in files]
    assert 0 == main(["coverage", *map(str, files), "--json", "--html", str(tmp_path / "page.html")])
    printed = coverage_from_json(json.loads(capsys.readouterr().out))
    assert 2 == printed.contracts[0].calls
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!doctype html>")
    assert 0 == main(["coverage", str(files[0]), "--fail-under", "1"])
    assert 1 == main(["coverage", str(files[0]), "--fail-under", "60"])
    assert "is less than --fail-under 60" in capsys.readouterr().out


def test_a_running_server_is_asked(serve: Callable[..., Served], capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the worst first, and of what was never met the line to add."""
    served = serve(coverage="on")
    for kind in ("rate-limit", "moderation"):
        served.generate("ezmodel", {"prompt": "A", "quality": "standard"}, key=f"sk-emulator.{kind}.told")
    assert 0 == main(["coverage", "--url", served.url, "--session", "told"])
    lines = capsys.readouterr().out.splitlines()
    shares = [float(line.split()[-2]) for line in lines[1:9]]
    assert sorted(shares) == shares
    assert "No call met an expired link, a gateway's time-out, or a client that leaves." in lines
    assert any(line.split() == ["generate", "quality", '"quality":', '"hd"'] for line in lines)
    assert any("quota" in line and "answers: {refuse: quota}, or the key sk-emulator.quota" in line for line in lines)
    assert not any(line.strip().startswith("rate_limit") for line in lines)
    assert 0 == main(["coverage", "--url", served.url, "--session", "another"])
    assert "No call reached an operation of a gateway." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "neither FILE nor --url is given"),
        (["{file}", "--url", "http://127.0.0.1:1"], "FILE and --url are both given"),
        (["{file}", "--session", "x"], "--session 'x' is for --url"),
        (["{folder}/none.json"], "none.json: No such file"),
        (["{text}"], "not JSON"),
        (["{list}"], "is no coverage; expected what --image-api-coverage=json writes"),
        (["{later}"], "coverage is of version 9; this one reads 1"),
        (["{damaged}"], "stands where a count is expected"),
        (["{cut}"], "the coverage is damaged: KeyError 'gateways'"),
        (["{kind}"], "an item is of the kind 'mood'; known are operation"),
        (["{file}", "--fail-under", "101"], "--fail-under 101: expected 0 to 100"),
        (["{file}", "--html", "{folder}/none/x.html"], "--html"),
        (["--url", "http://127.0.0.1:1"], "--url 'http://127.0.0.1:1'"),
    ],
)
def test_what_is_no_coverage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    """One line and exit code 2."""
    item = {"kind": "model", "operation": "", "name": "m", "detail": "", "count": 1, "add": ""}
    gateway = {"gateway": "g", "behavior": "documented", "calls": 1, "items": [item]}
    contents: dict[str, Any] = {
        "file": {"coverage": 1, "gateways": [gateway]},
        "list": [1],
        "later": {"coverage": 9},
        "cut": {"coverage": 1},
        "damaged": {"coverage": 1, "gateways": [gateway | {"items": [item | {"count": -1}]}]},
        "kind": {"coverage": 1, "gateways": [gateway | {"items": [item | {"kind": "mood"}]}]},
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "text").write_text("{")
    names = {name: tmp_path / name for name in (*contents, "text")}
    assert 2 == main(["coverage", *(word.format(folder=tmp_path, **names) for word in arguments)])
    told = capsys.readouterr()
    assert complaint in told.err
    assert 1 == told.err.count("\n")


def test_the_file_needs_a_folder(tmp_path: Path) -> None:
    """A file that cannot be written stops the start, not the end."""
    from emulator.core.yaml_file import InvalidFile

    with pytest.raises(InvalidFile, match=r"--coverage .*: there is no folder"):
        Served(coverage=str(tmp_path / "none" / "x.json"))


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_what_a_contract_has(behavior: str) -> None:
    """Every gateway has each kind of refusal, and no item twice under another spelling; each has a line to add."""
    for one in registry.load_gateways(()):
        gateway = one if behavior == "documented" else registry.load_behavior(one.name, "observed")
        if gateway is None:
            continue
        items = Contract(gateway).list_items(NOW)
        assert set(KINDS) == {item.name for item in items if item.kind == "refusal"}
        assert {item.name for item in items if item.kind == "situation"} <= SITUATIONS.keys()
        assert len(items) == len({str(item) + item.kind for item in items})
        assert all(items.values())


def test_the_page(counting: Served, tmp_path: Path) -> None:
    """One file without a foreign request and without a script; what clients send is shown as text."""
    counting.generate("geeknow", {"prompt": "A", "model": "<script>alert(1)</script>"}, key="sk-page")
    page = coverage_page.format_page(fetch(counting))
    assert [] == re.findall(r"https?:|<script|\bsrc=|@import|url\(", page)
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    probe = (
        '<pre id="heard"></pre><script>const page=new DOMParser().parseFromString('
        + json.dumps(page).replace("</", "<\\/")
        + ',"text/html");document.getElementById("heard").textContent=JSON.stringify({'
        'cards:page.querySelectorAll("section.card").length,unmet:page.querySelectorAll(".chip.unmet").length,'
        'bad:page.querySelectorAll("script").length})</script>'
    )
    shown = run_page(probe, tmp_path)
    coverage = fetch(counting)
    unmet = [one for contract in coverage.contracts for one in contract.items if not one.count]
    assert {"cards": len(coverage.contracts), "unmet": len(unmet), "bad": 0} == shown
