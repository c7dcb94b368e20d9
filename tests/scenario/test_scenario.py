"""The engine's promise: which call gets which answer, in what order, with what chance, and at what time.

The first half asks the engine itself, without a socket; the second half asks a server.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import httpx
import openai
import pytest

from emulator.core.yaml_file import InvalidFile
from emulator.messages import Canned, Draw, Exhausted, Forward, GatewayError, Missed, Refuse
from emulator.scenario import loader
from emulator.scenario.engine import Selection, select_answer
from emulator.scenario.scenario import Answer, Scenario
from emulator.session.store import InMemoryStore, StoreLimits
from tests.conftest import Served
from tests.scenario.examples import EVENTFUL, SEQUENCES, list_canned

NOON: Final = 1_767_268_800
FROZEN: Final = "frozen:2026-01-01T12:00:00Z"
BODY: Final = {"model": "dall-e-3", "prompt": "A lighthouse"}


class Game:
    """One scenario that sessions play, without a server."""

    def __init__(self, text: str, seed: int = 0) -> None:
        self.scenario: Scenario = loader.parse_scenario(text, "game.yaml")
        self.seed = seed
        self.memory = InMemoryStore(StoreLimits(calls=10, bytes=10_000, sessions=100, age=1000))

    async def turn(self, session: str = "one", **fields: Any) -> Selection:
        """The choice for one more call."""
        await self.memory.begin_call(session, 0)
        return await select_answer(self.scenario, {"operation": "generate", **fields}, self.memory, session, self.seed)

    async def told(self, calls: int, session: str = "one", **fields: Any) -> str:
        """The answers to so many calls: canned texts, R for a refusal, D for a drawing, ! for exhaustion."""
        said = ""
        for _ in range(calls):
            try:
                said += _word((await self.turn(session, **fields)).answer)
            except GatewayError as error:
                said += "!" if error.violation == "scenario_exhausted" else f"<{error}>"
        return said


def _word(answer: Answer) -> str:
    match answer.plan:
        case Canned():
            return answer.plan.body.decode()
        case Refuse():
            return "R"
        case Draw():
            return "D"
        case Exhausted():
            return "!"
        case Forward() | Missed():
            return "F"


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in SEQUENCES], ids=[row[0] for row in SEQUENCES])
async def test_a_sequence_is_gone_through(text: str, expected: str) -> None:
    """Answers come in their order, each as often as `times` says, and end as `then` says."""
    assert expected == await Game(text).told(len(expected))


async def test_sessions_are_apart() -> None:
    """Each session goes through the sequence for itself."""
    game = Game(f"rules: [{{answers: {list_canned('a', 'b', 'c')}}}]")
    assert ["a", "a", "b", "bc", "c"] == [
        await game.told(1, "one"), await game.told(1, "two"), await game.told(1, "two"), await game.told(2, "one"),
        await game.told(1, "two"),
    ]  # fmt: skip


async def test_rules_are_tried_top_down() -> None:
    """The first that matches answers; those above it say how the call differs, those below are not asked."""
    game = Game("""
        rules:
          - {name: cats, when: {prompt: {contains: cat}}, answers: {refuse: moderation}}
          - {name: once, answers: {canned: {text: a}}, then: next}
          - {name: large, when: {n: {at_least: 3}, model: [x, y]}, answers: {canned: {text: b}}}
          - {name: rest, answers: {canned: {text: c}}}
        """)
    fields: dict[str, Any] = {"prompt": "A dog", "n": 1, "model": "z"}
    assert "ac" == await game.told(2, **fields)
    choice = await game.turn(**fields)
    assert ("rest", 3, 2) == (choice.rule, choice.turn, choice.step)
    assert [
        ("cats", ['prompt: expected something that contains "cat", came "A dog"']),
        ("once", ["answers: expected at most 1, came call 3"]),
        ("large", ["n: expected at least 3, came 1", 'model: expected any of "x", "y", came "z"']),
    ] == [(miss.rule, [str(one) for one in miss.why]) for miss in choice.misses]
    assert ("cats", ()) == ((first := await game.turn(prompt="A cat")).rule, first.misses)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
async def test_chance_is_the_share_that_is_asked_for(share: float) -> None:
    """Of many calls about that share meets the rule, in any session and with any seed."""
    for seed, session in ((0, "one"), (0, "two"), (7, "one")):
        told = await Game(f"rules: [{{chance: {share}, answers: {{refuse: quota}}}}]", seed).told(1000, session)
        assert share == pytest.approx(told.count("R") / 1000, abs=0.05)


async def test_chance_depends_on_seed_session_rule_and_turn_alone() -> None:
    """The same four meet the same fate; each of them changes it. What a call says has no part in it."""
    text = "rules: [{chance: 0.5, answers: {refuse: quota}}]"
    shifted = "rules: [{when: {model: none}, answers: draw}, {chance: 0.5, answers: {refuse: quota}}]"
    told = await Game(text, 1).told(64)
    assert told == await Game(text, 1).told(64, prompt="another", n=3)
    others = [
        await Game(text, 2).told(64), await Game(text, 1).told(64, "two"), await Game(shifted, 1).told(64), told[1:],
    ]  # fmt: skip
    assert 5 == len({told, *others})


async def test_a_rule_that_sits_out_keeps_its_answers() -> None:
    """A sequence behind a chance is gone through whole: calls that it sits out take nothing from it."""
    told = await Game(f"rules: [{{chance: 0.4, answers: {list_canned(*'abcdef')}, then: next}}]", 3).told(60)
    assert "abcdef" == told.replace("D", "")


async def test_a_thousand_at_once_take_each_answer_once() -> None:
    """However many calls are under way together, no answer is given twice and none is left out."""
    game = Game(f"rules: [{{answers: {list_canned(*(f'<{i}>' for i in range(900)))}, then: next}}]")
    choices = await asyncio.gather(*(game.turn() for _ in range(1000)))
    assert Counter([*(f"<{i}>" for i in range(900)), *["D"] * 100]) == Counter(_word(one.answer) for one in choices)
    assert set(range(1, 1001)) == {one.turn for one in choices}


# From here on there is a server.


class ScenarioEngine:
    """A user of one session of a server."""

    def __init__(self, served: Served, key: str = "sk-player-one", gateway: str = "ezmodel") -> None:
        self.served = served
        self.http = httpx.Client(verify=False, headers={"authorization": f"Bearer {key}"})
        self._to = served.base(gateway) + "/images/generations"
        self._admin = f"{served.url}/_emulator"
        self.session = ""

    def call(self, **params: Any) -> httpx.Response:
        """One call for a picture."""
        return self.http.post(self._to, json={**BODY, **params})

    def statuses(self, calls: int) -> list[int]:
        """What comes of so many calls."""
        return [self.call().status_code for _ in range(calls)]

    def named(self) -> str:
        """The session's name, which the emulator knows once there was a call."""
        if not self.session:
            self.call()
            self.session = self.http.get(f"{self._admin}/sessions").json()["sessions"][0]["name"]
        return self.session

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """What the emulator's own path answers about this session."""
        return self.http.request(method, f"{self._admin}/sessions/{self.named()}/{path}", **options).json()

    def put(self, text: str) -> Any:
        """Let the session play a script."""
        return self.ask("PUT", "scenario", content=text, headers={"content-type": "application/yaml"})

    def advance(self, by: str, **more: str) -> httpx.Response:
        """Move the clock on."""
        return self.http.post(f"{self._admin}/clock", json={"advance": by, **more})

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The session's journal."""
        calls: list[dict[str, Any]] = self.ask("GET", "calls")["calls"]
        return calls


@pytest.fixture
def player(serve: Callable[..., Served]) -> Iterator[Callable[..., ScenarioEngine]]:
    """Players, each on a server of its own unless told otherwise; all end with the test."""
    players: list[ScenarioEngine] = []

    def begin(
        served: Served | None = None, key: str = "sk-player-one", gateway: str = "ezmodel", **settings: Any
    ) -> ScenarioEngine:
        players.append(ScenarioEngine(served or serve(**settings), key, gateway))
        return players[-1]

    yield begin
    for one in players:
        one.http.close()


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], str]:
    """Writes a script into a file, for `--scenario`."""

    def write(text: str) -> str:
        path = tmp_path / "script.yaml"
        path.write_text(text, "utf-8")
        return str(path)

    return write


Write = Callable[[str], str]
Begin = Callable[..., ScenarioEngine]


@pytest.mark.parametrize("gateway", ["geekai", "ezmodel", "geeknow", "aiai"])
def test_an_exhausted_script_is_said_aloud(serve: Callable[..., Served], written: Write, gateway: str) -> None:
    """A call too many is a 400 of type emulator_error, which the SDK does not repeat, and says which rule."""
    served = serve(scenario=written("rules: [{name: only-one, answers: draw, then: refuse}]"))
    with openai.OpenAI(base_url=served.base(gateway), api_key="sk-x", max_retries=5) as client:
        client.images.generate(model="dall-e-3", prompt="A lighthouse")
        with pytest.raises(openai.BadRequestError, match="'only-one' has answered as often as it can") as caught:
            client.images.generate(model="dall-e-3", prompt="A lighthouse")
    assert ("emulator_error", "scenario_exhausted") == (caught.value.type, caught.value.code)
    assert [200, 400] == [call["status"] for call in served.calls()]


def describe_miss(rule: str, field: str, expected: str, came: str) -> dict[str, Any]:
    """Return a rule that did not answer, as the journal shows it, with its one difference."""
    differences = [{"field": field, "expected": expected, "came": came}]
    return {"rule": rule, "why": [f"{field}: expected {expected}, came {came}"], "differences": differences}


def test_the_journal_says_who_answered_and_who_did_not(player: Begin, written: Write) -> None:
    """Each entry names rule, step, turn and latency, and the nearest misses with what they expected."""
    rules = """
        rules:
          - {name: wide, when: {size: 1792x1024}, answers: {refuse: overloaded}}
          - {answers: {latency: 90s}, then: next}
          - {name: busy, when: {headers: {X-Team: red}}, answers: {refuse: rate_limit}}
        """
    one = player(scenario=written(rules), clock=FROZEN)
    assert [200, 200, 503] == [*one.statuses(2), one.call(size="1792x1024").status_code]
    keys = ("turn", "rule", "step", "latency", "misses")
    wide = describe_miss("wide", "size", '"1792x1024"', '"1024x1024"')
    missed = [
        wide,
        describe_miss("rule-2", "answers", "at most 1", "call 2"),
        describe_miss("busy", "headers.x-team", '"red"', "nothing"),
    ]
    assert [
        (1, "rule-2", 1, 90, [wide]), (2, None, None, None, missed), (3, "wide", 1, None, []),
    ] == [tuple(call[key] for key in keys) for call in one.calls[:3]]  # fmt: skip


def test_a_breach_takes_nothing_from_the_script(player: Begin, written: Write) -> None:
    """A call that breaks the contract is refused first, is no turn, and leaves every answer where it was."""
    one = player(scenario=written("rules: [{answers: [{refuse: rate_limit}, {refuse: overloaded}], then: next}]"))
    assert 400 == one.call(n=0).status_code
    assert [429, 400, 503, 400, 200] == [
        one.call(**params).status_code for params in ({}, {"size": "1x1"}, {}, {"n": "two"}, {})
    ]
    turns = [call["turn"] for call in one.calls if call["status"] != 400]
    assert [1, 2, 3, 4] == turns  # the last is how the test learns its session's name
    assert all(call["rule"] is None for call in one.calls if call["status"] == 400)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client for many calls at once."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as session:
        yield session


async def test_a_thousand_calls_at_once(
    serve: Callable[..., Served], written: Write, http: aiohttp.ClientSession
) -> None:
    """Over HTTP, too: each of the answers once, and what is above them is said to be too many."""
    answers = list_canned(*(f'"{number}"' for number in range(990)))
    served = serve(scenario=written(f"rules: [{{answers: {answers}, then: refuse}}]"))
    url, headers = served.base("ezmodel") + "/images/generations", {"authorization": "Bearer sk-many"}

    async def call() -> str:
        async with http.post(url, json=BODY, headers=headers) as answer:
            text = await answer.text()
            return text if answer.status == 200 else f"status {answer.status}"

    told = Counter(await asyncio.gather(*(call() for _ in range(1000))))
    assert Counter({**{str(number): 1 for number in range(990)}, "status 400": 10}) == told


def test_a_session_is_given_a_script_of_its_own(player: Begin) -> None:
    """PUT, GET and DELETE of a session's scenario: it begins anew, and no other session notices."""
    one = player()
    two = player(one.served, "sk-player-two")
    told = one.put("{scenario: mine, about: Mine., rules: [{answers: [{refuse: quota}, {refuse: overloaded}]}]}")
    assert "mine" == told["scenario"]
    assert [{"name": "rule-1", "answers": 2, "then": "repeat"}] == told["rules"]
    assert told == one.ask("GET", "scenario")
    assert ([429, 503, 503], [200]) == (one.statuses(3), two.statuses(1))
    one.put("rules: [{answers: {refuse: forbidden}, then: next}]")
    assert [403, 200] == one.statuses(2)
    assert "rate-limited-then-ok" == one.ask("PUT", "scenario", json={"scenario": "rate-limited-then-ok"})["scenario"]
    assert [429, 429, 200] == one.statuses(3)
    assert "happy" == one.ask("DELETE", "scenario")["scenario"]
    assert [200] == one.statuses(1)


def test_a_script_can_come_before_the_first_call(player: Begin) -> None:
    """A session that nobody has used yet is made by its script; a call finds it by header or path."""
    one = player()
    one.session = "early"
    one.put("rules: [{answers: {refuse: quota}}]")
    assert 429 == one.http.post(one._to, json=BODY, headers={"X-Emulator-Session": "early"}).status_code
    assert 200 == one.call().status_code


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rules: [{answers: {refuse: tired}}]", "scenario:1: refuse is 'tired'; expected one of missing_key"),
        ("rulez: []", "scenario:1: unknown key 'rulez' in the file; known are scenario, about"),
        ("rules: [", "scenario:1: "),
        ("", "scenario:1: the file is empty"),
    ],
)
def test_a_bad_script_changes_nothing(player: Begin, text: str, complaint: str) -> None:
    """It is refused with the loader's own line, and the session plays on where it was."""
    one = player()
    one.put(f"rules: [{{answers: {list_canned('a', 'b')}}}]")
    assert "a" == one.call().text
    error = one.put(text)["error"]
    assert error["message"].startswith(complaint)
    assert "emulator_error" == error["type"]
    assert "b" == one.call().text


def test_an_unknown_ready_made_one(player: Begin) -> None:
    """Over HTTP only names are taken, no files."""
    told = player().ask("PUT", "scenario", json={"scenario": "/etc/hostname"})
    assert told["error"]["message"].startswith("no ready-made scenario '/etc/hostname'; those are bad-key, ")


def test_reset_begins_anew(player: Begin) -> None:
    """The same script from its first answer, the same chances, an empty journal, numbers from one."""
    one = player()
    one.put(f"rules: [{{chance: 0.5, answers: {list_canned(*'abcdefgh')}, then: refuse}}]")
    first = [one.call().text[:1] for _ in range(12)]
    one.ask("POST", "reset")
    assert [] == one.calls
    assert first == [one.call().text[:1] for _ in range(12)]
    assert list(range(1, 13)) == [call["number"] for call in one.calls]


def test_the_clock_expires_a_link(player: Begin) -> None:
    """A picture's URL is good for an hour of the session's time, and only that session's."""
    one = player(clock=FROZEN)
    two = player(one.served, "sk-player-two")
    one.named()
    url, other = one.call().json()["data"][0]["url"], two.call().json()["data"][0]["url"]
    one.advance("59m")
    assert [200, 200] == [one.http.get(address).status_code for address in (url, other)]
    assert one.session == one.advance("2m", session=one.session).json()["session"]
    assert [403, 200] == [one.http.get(address).status_code for address in (url, other)]
    assert "2026-01-01T12:59:00Z" == one.advance("0s").json()["now"]
    one.advance("2m")
    assert 403 == one.http.get(other).status_code


@pytest.mark.parametrize("advance", [None, "soon", "-1s", "1000000d", {"h": 1}])
def test_a_clock_that_cannot_be_moved_so(player: Begin, advance: Any) -> None:
    """What is no duration is refused, and says what one looks like or how long it may be."""
    answer = player(clock=FROZEN).advance(advance)
    assert 400 == answer.status_code
    assert answer.json()["error"]["message"].startswith(("advance: ", "advance is "))


def test_latency_on_a_frozen_clock(player: Begin, written: Write) -> None:
    """90 seconds take no time, and move the time of their session on by 90, and no other's."""
    one = player(clock=FROZEN, scenario=written("rules: [{when: {prompt: slow}, answers: {latency: 90s}}]"))
    two = player(one.served, "sk-player-two")
    began = time.perf_counter()
    created = [client.call(prompt=prompt).json()["created"] - NOON for client, prompt in (
        (one, "slow"), (two, "quick"), (one, "quick"), (one, "slow"), (two, "slow"), (one, "quick"),
    )]  # fmt: skip
    assert [90, 0, 90, 180, 90, 180] == created
    assert time.perf_counter() - began < 5
    assert [(90, 90), (None, 0), (90, 90), (None, 0)] == [(call["latency"], call["duration"]) for call in one.calls[:4]]


@pytest.mark.parametrize(
    "latency", ["{uniform: [1s, 90s]}", "{normal: {mean: 40s, deviation: 10s}}", "{lognormal: {median: 8s, p95: 60s}}"]
)
def test_latency_is_drawn_by_seed_and_turn(player: Begin, written: Write, latency: str) -> None:
    """Each turn has a latency of its own; another run has the same ones, another seed others."""
    path = written(f"rules: [{{answers: {{latency: {latency}}}}}]")
    runs = []
    for seed in (1, 1, 2):
        one = player(clock=FROZEN, scenario=path, seed=seed)
        one.statuses(5)
        runs.append(tuple(call["latency"] for call in one.calls[:5]))
    assert runs[0] == runs[1]
    assert 10 == len({*runs[0], *runs[2]})


def _run(one: ScenarioEngine) -> tuple[list[Any], list[tuple[int, Any, bytes]]]:
    """The journal and all bytes of a run of calls, under a host name that is the same in each."""
    answers = []
    for number in range(24):
        prompt, way = ("A cat", "A dog")[number % 5 != 0], ("url", "b64_json")[number % 3 == 0]
        one.http.headers["host"] = "images.test"
        answer = one.call(prompt=f"{prompt} {number}", response_format=way)
        answers.append((answer.status_code, sorted(answer.headers.raw), answer.content))
        del one.http.headers["host"]
    one.session = "latest"
    return one.calls, answers


def test_a_run_repeats(player: Begin, written: Write) -> None:
    """Two runs with one seed have the same journal and the same bytes; another seed has others."""
    path = written(EVENTFUL)
    (calls, answers), again, (other_calls, other_answers) = (
        _run(player(clock=FROZEN, scenario=path, seed=seed)) for seed in (1, 1, 2)
    )
    assert 24 == len(calls)
    assert {"cats", "weather", "rule-3"} == {call["rule"] for call in calls}
    assert (calls, answers) == again
    assert [call["rule"] for call in calls] != [call["rule"] for call in other_calls]
    assert answers != other_answers


def test_what_a_drawing_can_be_told(player: Begin) -> None:
    """`draw` takes away and sets members of the reply, and takes no others."""
    one = player()
    one.put("""
        rules:
          - answers:
              - draw: {usage: {output_tokens: 4160}, metadata: {queue: [1, null]}, created: 7}
              - draw: {omit: [created, revised_prompt], set: {/data/0/url: null, /data/1/b64_json: "x", /a~1b/c: 1}}
              - draw: {images: 0}
              - draw: {images: 9, revised_prompt: "{prompt} by {model} at {size}: {prompt}"}
        """)
    first = one.call().json()
    assert (7, {"output_tokens": 4160}, {"queue": [1, None]}) == (first["created"], first["usage"], first["metadata"])
    assert {"data": [{"url": None}, {"b64_json": "x"}], "a/b": {"c": 1}} == one.call().json()
    assert [] == one.call().json()["data"]
    (picture,) = one.call(prompt="{size}").json()["data"]
    assert "{size} by dall-e-3 at 1024x1024: {size}" == picture["revised_prompt"]


@pytest.mark.parametrize("gateway", ["geekai", "geeknow", "aiai"])
def test_a_refusal_can_be_worded_otherwise(player: Begin, gateway: str) -> None:
    """A mapping behind `refuse` changes what it names and leaves the rest to the gateway."""
    one = player(gateway=gateway)
    one.put("""
        rules:
          - answers:
              - refuse: {kind: rate_limit, status: 420, message: "{calm} down", param: model}
                headers: {Retry-After: 3}
              - refuse: {kind: rate_limit, type: mine, code: null}
        """)
    first, second = one.call(), one.call()
    assert (420, "3") == (first.status_code, first.headers["retry-after"])
    assert {
        "message": "{calm} down",
        "type": "requests",
        "param": "model",
        "code": "rate_limit_exceeded",
    } == json.loads(first.text)["error"]
    assert (429, "mine", None) == (second.status_code, *(second.json()["error"][key] for key in ("type", "code")))


def test_a_scripted_header_takes_the_place_of_the_usual_one(player: Begin) -> None:
    """In whatever case it is written, a header is sent once; `duplicate_header` is for sending two."""
    one = player()
    one.put("rules: [{answers: {headers: {content-type: text/plain, x-request-id: mine}}}]")
    headers = one.call().headers
    assert [["text/plain"], ["mine"]] == [headers.get_list(name) for name in ("content-type", "x-request-id")]


def test_moving_the_clock_forgets_no_session(player: Begin) -> None:
    """A session's age is how long nobody used it, not how far a test has moved the clock."""
    one = player(clock=FROZEN)
    one.put("rules: [{answers: {refuse: quota}}]")
    one.advance("2h")
    assert 429 == one.call().status_code
    assert 2 == len(one.calls)


@pytest.mark.parametrize("session", ["no such/name", ""])
def test_the_clock_of_a_session_that_cannot_be(player: Begin, session: str) -> None:
    """A name that no session can have is refused."""
    assert 400 == player(clock=FROZEN).advance("1h", session=session).status_code


def test_the_clock_of_the_latest_session(player: Begin) -> None:
    """`latest` is the session used last, here as everywhere."""
    one = player(clock=FROZEN)
    assert one.named() == one.advance("1h", session="latest").json()["session"]


def test_a_scripted_created_expires_no_link(player: Begin) -> None:
    """`created` is a member of the reply; a picture's URL is good for an hour from the call."""
    one = player()
    one.put("rules: [{answers: {draw: {created: 7}}}]")
    assert 200 == one.http.get(one.call().json()["data"][0]["url"]).status_code


def test_the_journal_names_the_exhausted_rule(player: Begin) -> None:
    """A call that came too often has turn, rule, step and misses, as any other."""
    one = player()
    one.put("rules: [{when: {n: 9}, answers: draw}, {name: once, answers: draw, then: refuse}]")
    one.statuses(2)
    last = one.calls[-1]
    assert (2, "once", 2, ["rule-1"]) == (
        last["turn"], last["rule"], last["step"], [miss["rule"] for miss in last["misses"]],
    )  # fmt: skip


def test_the_journal_has_the_time_of_its_session(player: Begin) -> None:
    """A latency moves the time of the calls behind it."""
    one = player(clock=FROZEN)
    one.put("rules: [{answers: {latency: 90s}}]")
    one.statuses(2)
    assert ["2026-01-01T12:00:00Z", "2026-01-01T12:01:30Z"] == [call["time"] for call in one.calls[-2:]]


def test_words_that_no_gateway_knows_over_http(player: Begin) -> None:
    """A misspelled field and an unknown gateway are refused over HTTP too; a field like no other is a finding."""
    one = player()
    text = "rules:\n- {when: {WHEN}, answers: {refuse: quota}}"
    error = one.put(text.replace("WHEN", "promt: cat"))["error"]
    assert "scenario:2: unknown field 'promt'; did you mean 'prompt'?" == error["message"]
    error = one.put(text.replace("WHEN", "gateway: ezmodl"))["error"]
    assert error["message"].startswith('scenario:2: gateway is "ezmodl"; expected one of aiai, ark, azure, ')
    assert "; did you mean 'ezmodel'?; " in error["message"]
    assert 200 == one.call().status_code
    (finding,) = one.put(text.replace("WHEN", "sharpness: 3"))["findings"]
    assert "unknown_field" == finding["code"]
    assert "findings" not in one.put(text.replace("WHEN", "quality: hd"))


def test_a_server_does_not_start_with_a_word_that_no_gateway_knows(
    serve: Callable[..., Served], written: Write
) -> None:
    """The file of --scenario is held against the gateways of the server."""
    with pytest.raises(InvalidFile, match=r"script\.yaml:1: unknown field 'promt'; did you mean 'prompt'\?"):
        serve(scenario=written("rules: [{when: {promt: x}, answers: draw}]"))


@pytest.mark.parametrize(
    ("gateway", "model", "sent", "field", "counts"),
    [
        ("aiai", "gpt-image-1", {"size": "auto"}, "size", "1024x1024"),
        ("aiai", "gpt-image-1", {"quality": "auto"}, "quality", "high"),
        ("openai", "gpt-image-2", {"background": "auto"}, "background", "opaque"),
        ("geeknow", "gpt-image-1", {"n": 0}, "n", 1),
        ("geeknow", "gpt-image-1", {"response_format": "base64"}, "response_format", "b64_json"),
    ],
)
def test_what_was_sent_or_what_counts(
    server: Served, key: str, gateway: str, model: str, sent: dict[str, Any], field: str, counts: Any
) -> None:
    """A rule and a verification take either; `given` is what was sent."""
    session = key.replace("sk-", "sent-")
    admin = f"{server.url}/_emulator/sessions/{session}"
    rules = [
        {"when": {field: sent[field]}, "answers": "draw", "then": "next"},
        {"when": {field: counts, f"given.{field}": sent[field]}, "answers": "draw"},
    ]
    assert httpx.put(f"{admin}/scenario", json={"rules": rules}).is_success
    for _ in range(2):
        body = {"model": model, "prompt": "A lake", **sent}
        assert server.generate(gateway, body, **{"x-emulator-session": session}).is_success
    assert ["rule-1", "rule-2"] == [call["rule"] for call in server.calls(session)]
    for when in ({field: sent[field]}, {field: counts}, {"given": sent}):
        verdict = httpx.post(f"{admin}/verify", json={"when": when, "times": 2}).json()
        assert verdict["ok"], verdict


def test_what_is_left_out_counts_too(server: Served, key: str) -> None:
    """The model, n and size of a call that names none are those that its gateway takes."""
    session = key.replace("sk-", "left-")
    admin = f"{server.url}/_emulator/sessions/{session}"
    assert server.generate("ezmodel", {"prompt": "A lake"}, **{"x-emulator-session": session}).is_success
    counted = {"model": "dall-e-2", "n": 1, "size": "1024x1024", "given": {"model": {"absent": True}}}
    assert httpx.post(f"{admin}/verify", json={"when": counted, "once": True}).json()["ok"]
    assert httpx.post(f"{admin}/verify", json={"when": {"given.n": {"absent": False}}, "never": True}).json()["ok"]
