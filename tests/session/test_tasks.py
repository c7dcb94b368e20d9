"""Tasks: calls that are answered later, and the calls that ask for them; on clocks that stand still or are moved."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

import emulator
from emulator.core.data_folders import find_schemas
from emulator.core.yaml_file import InvalidFile
from emulator.gateway.gateway import load_gateway
from tests.conftest import Served
from tests.stable_ids import stable_id

FROZEN: Final = "frozen:2026-01-01T00:00:00Z"
ASKED: Final = {"model": "cogview-4", "prompt": "A cat", "async": True}


GREEN: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGPkOiHHwMDAxMDAwMDAAAALVgD0I4hqmwAAAABJRU5ErkJggg=="
)
ZHIPU: Final = "系统检测到输入或生成内容可能包含不安全或敏感内容，请您避免输入易产生敏感内容的提示语，感谢您的配合。"


class Client:
    """One account at a gateway with tasks: begins them, asks for them, plays scripts, and reads its journal."""

    def __init__(self, served: Served, session: str, gateway: str = "geekai") -> None:
        self.served, self.session, self.gateway = served, session, gateway
        self.headers = {"authorization": "Bearer sk-tasks", "x-emulator-session": session}

    def begin(self, path: str = "/images/generations", asked: Mapping[str, Any] = ASKED, **headers: str) -> Any:
        """The answer to a call that gets a task."""
        url = self.served.base(self.gateway) + path
        return httpx.post(url, json=asked, headers={**self.headers, **headers})

    def poll(self, task: str, path: str = "/images", **headers: str) -> httpx.Response:
        """The answer to one who asks for `task`."""
        return httpx.get(f"{self.served.base(self.gateway)}{path}/{task}", headers={**self.headers, **headers})

    def states(self, task: str, times: int) -> list[str]:
        """The states that so many polls find."""
        return [self.poll(task).json()["task_status"] for _ in range(times)]

    def begun(self, **more: Any) -> str:
        """The id of a task that has begun just now."""
        response = self.begin(asked={**ASKED, **more})
        assert (200, "pending") == (response.status_code, response.json()["task_status"]), response.text
        return str(response.json()["task_id"])

    def play(self, *rules: Any, **more: Any) -> None:
        """Play these rules from now on."""
        url = f"{self.served.url}/_emulator/sessions/{self.session}/scenario"
        response = httpx.put(url, json={"rules": list(rules), **more})
        assert 200 == response.status_code, response.text

    def advance(self, length: str) -> None:
        """Let time pass for this account."""
        body = {"advance": length, "session": self.session}
        assert 200 == httpx.post(f"{self.served.url}/_emulator/clock", json=body).status_code

    def calls(self) -> list[dict[str, Any]]:
        """The journal."""
        return self.served.calls(self.session)


@pytest.fixture(scope="module")
def frozen() -> Iterator[Served]:
    """A server in observed behavior, whose clock stands still."""
    served = Served(behavior="observed", clock=FROZEN)
    yield served
    served.stop()


@pytest.fixture(scope="module")
def real() -> Iterator[Served]:
    """A server in observed behavior, whose clock is the real one."""
    served = Served(behavior="observed")
    yield served
    served.stop()


@pytest.fixture
def client(frozen: Served, request: pytest.FixtureRequest) -> Client:
    """An account of the test's own, where time stands still."""
    return Client(frozen, f"tasks-{stable_id(request.node.nodeid)}")


def test_a_task_moves_on_with_each_poll(client: Client) -> None:
    """Pending when it begins, running at the first poll, done at the second, and the same ever after."""
    task = client.begun()
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", task)
    running, done, again = (client.poll(task) for _ in range(3))
    assert {"model": "cogview-4", "task_id": task, "task_status": "running"} == running.json()
    assert ["model", "task_id", "task_status", "data"] == list(done.json())
    assert ("succeed", done.content) == (done.json()["task_status"], again.content)
    (picture,) = done.json()["data"]
    label = emulator.inspect(httpx.get(picture["url"]).content).label
    assert label is not None
    assert "cogview-4" == label["model"]


def test_a_task_draws_what_was_asked_for(client: Client) -> None:
    """Number, size, format and delivery are those of the call that began it."""
    task = client.begun(n=2, size="768x1344", output_format="webp", response_format="b64_json")
    assert ["running", "succeed"] == client.states(task, 2)
    data = client.poll(task).json()["data"]
    assert [["b64_json"], ["b64_json"]] == [list(one) for one in data]
    pictures = client.calls()[-1]["pictures"]
    assert [(0, 768, 1344, "webp"), (1, 768, 1344, "webp")] == [
        (one["index"], one["width"], one["height"], one["format"]) for one in pictures
    ]


def test_a_task_takes_its_time(real: Served) -> None:
    """The latency of the answer is the task's own: nobody waits when it begins, and it ends when the time is over."""
    client = Client(real, "takes-its-time")
    client.play({"answers": {"latency": "1h"}})
    task = client.begun()
    assert ["pending"] * 5 == client.states(task, 5)
    client.advance("16m")
    assert ["running"] * 5 == client.states(task, 5)
    client.advance("45m")
    assert ["succeed"] == client.states(task, 1)
    assert 3600 == client.calls()[0]["latency"]


def test_pictures_are_as_old_as_the_end_of_their_task(real: Served) -> None:
    """A link is good for an hour from then on, whenever it is asked for."""
    client = Client(real, "as-old", "geeknow")
    client.play({"answers": {"latency": "1h"}})
    begun = client.begin("/images/generations/async", {"model": "dall-e-3", "prompt": "A cat"})
    client.advance("90m")
    told = []
    for length in ("1s", "40m"):
        client.advance(length)
        told.append(client.poll(begun.json()["id"], "/images/generations/async").json())
    first, later = told
    assert (first["created"], first["data"]) == (later["created"], later["data"])
    assert 403 == httpx.get(later["data"][0]["url"]).status_code


def test_where_waits_are_skipped_polls_pass_the_time(client: Client) -> None:
    """A client that asks again does not wait for ever for a clock that stands still, and that moves on by the wait."""
    client.play({"answers": {"latency": "90s"}})
    task = client.begun()
    assert ["running", "succeed"] == client.states(task, 2)
    task = client.begun()
    times = [call["time"] for call in client.calls()]
    assert ("2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z") == (times[0], times[-1])
    client.advance("90s")
    assert ["succeed"] == client.states(task, 1)


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        ({"refuse": "moderation"}, "validation_error", ZHIPU),
        ({"refuse": "server_error"}, "invalid_request", "服务器错误"),
        ({"refuse": {"kind": "overloaded", "code": "busy", "message": "Later"}}, "busy", "Later"),
        ({"canned": {"status": 504, "text": "<h1>504</h1>"}}, None, "请求超时"),
        ({"canned": {"status": 520, "text": ""}}, "invalid_request", "服务器错误"),
    ],
)  # fmt: skip
def test_what_fails_at_work_fails_the_task(client: Client, answer: Any, code: str | None, message: str) -> None:
    """It begins as any other, and tells why it failed in the gateway's words; the poll itself is a 200."""
    client.play({"answers": answer})
    task = client.begun()
    assert ["running", "failed", "failed"] == client.states(task, 3)
    told = client.poll(task)
    error: dict[str, Any] = {"code": code, "message": message, "details": {}}
    assert {"model": "cogview-4", "task_id": task, "task_status": "failed", "error": error} == told.json()
    call = client.calls()[-1]
    assert ("failed", None, []) == (call["task"]["state"], call["refused"], call["pictures"])


@pytest.mark.parametrize(
    ("kind", "status"),
    [("invalid_key", 401), ("billing", 402), ("forbidden", 403), ("unknown_model", 404), ("rate_limit", 429)],
)
def test_what_is_known_before_the_work_is_said_at_once(client: Client, kind: str, status: int) -> None:
    """A bad key or an empty account begins no task."""
    client.play({"answers": {"refuse": kind}})
    assert status == client.begin().status_code
    assert client.calls()[-1]["task"] is None


def test_a_broken_contract_begins_no_task(client: Client) -> None:
    """The contract comes first: also for a task."""
    response = client.begin(asked={**ASKED, "size": "1x1"})
    assert (400, ["message"]) == (response.status_code, list(response.json()))


def test_a_canned_answer_that_is_no_failure_is_just_that(client: Client) -> None:
    """A script can have another status for the beginning, as 201."""
    client.play({"answers": {"canned": {"status": 201, "json": {"task_id": "x", "task_status": "pending"}}}})
    response = client.begin()
    assert (201, "x") == (response.status_code, response.json()["task_id"])


def test_retries_are_the_tasks_too(client: Client) -> None:
    """The gateway tries again by itself, and the time of every try is the task's."""
    client.play({"answers": [{"refuse": "overloaded", "latency": "10s", "times": 2}, {"draw": {}, "latency": "5s"}]})
    task = client.begun(retries=2)
    client.advance("20s")
    assert ["running"] == client.states(task, 1)
    client.advance("5s")
    assert ["succeed"] == client.states(task, 1)
    assert [10, 10] == [one["latency"] for one in client.calls()[0]["tries"]]


def test_a_rule_without_an_operation_is_not_about_polls(client: Client) -> None:
    """However often a client asks, the script's sequence goes on with the calls for pictures."""
    client.play({"answers": [{"draw": {"images": 0}}, {"refuse": "moderation"}, "draw"]})
    empty, failed, drawn = (client.begun() for _ in range(3))
    found = [
        (client.states(task, 4)[-1], len(client.poll(task).json().get("data", ()))) for task in (empty, failed, drawn)
    ]
    assert [("succeed", 0), ("failed", 0), ("succeed", 1)] == found
    assert [1, 2, 3] == [call["step"] for call in client.calls() if call["operation"] == "generate"]
    assert {(None, 0)} == {(call["rule"], call["turn"]) for call in client.calls() if call["operation"] == "task"}


def test_a_rule_can_be_about_polls(client: Client) -> None:
    """`when: {operation: task}` refuses them, sets members, or makes them break off; the task itself is untouched."""
    client.play(
        {
            "name": "asked",
            "when": {"operation": "task"},
            "answers": [
                {"refuse": "overloaded"},
                {"draw": {"set": {"/task_status": "queued"}, "omit": ["model"]}},
                {"draw": {"set": {"/data/0/url": "http://127.0.0.1/gone"}}},
                {"refuse": "not_found"},
            ],
        }
    )
    task = client.begun()
    replies = [client.poll(task) for _ in range(4)]
    assert [503, 200, 200, 404] == [response.status_code for response in replies]
    assert {"task_id": task, "task_status": "queued"} == replies[1].json()
    assert [{"url": "http://127.0.0.1/gone"}] == replies[2].json()["data"]
    assert ["asked"] * 4 == [call["rule"] for call in client.calls()[1:]]
    client.play({"when": {"operation": "task", "task_id": task}, "answers": {"refuse": "rate_limit"}})
    assert (429, 200) == (client.poll(task).status_code, client.poll(client.begun()).status_code)


def test_a_rule_about_polls_may_stand_anywhere(client: Client) -> None:
    """A rule for everything before it does not hide it, and one behind it does not take the polls that it leaves."""
    polls = {"when": {"operation": ["task"]}, "answers": {"refuse": "overloaded"}, "then": "next"}
    for rules in ([{"answers": {"refuse": "moderation"}}, polls], [polls, {"answers": {"refuse": "moderation"}}]):
        client.play(*rules)
        task = client.begun()
        assert 503 == client.poll(task).status_code
        assert ["running", "failed"] == client.states(task, 2)


def test_marks_without_a_script(client: Client) -> None:
    """A mark in the prompt is about the task; a header is about its own call, be it the one who asks."""
    task = client.begun(prompt="A cat [[moderation]]")
    assert 503 == client.poll(task, **{"x-emulator": "refuse=overloaded"}).status_code
    assert ["running", "failed"] == client.states(task, 2)


def test_a_task_is_its_sessions_own(client: Client) -> None:
    """Nobody else sees it; an id that is none is refused in the gateway's words, with the rule in the journal."""
    task = client.begun()
    other = Client(client.served, client.session + "-other")
    for asked, wanted in ((other, task), (client, "no-such-task"), (client, task.upper())):
        response = asked.poll(wanted)
        assert (404, {"message": "任务不存在"}) == (response.status_code, response.json())
    told = client.calls()[-1]["refused"]
    assert ("no_such_task", "task_id", "assumed") == (told["breach"], told["param"], told["source"])
    assert 401 == client.poll(task, authorization="").status_code


def test_the_journal_names_the_call_that_began_a_task(client: Client) -> None:
    """Who asks is an entry of its own, with the number of the call that it asks about and the task's state."""
    client.begin(asked={**ASKED, "async": False})
    task = client.begun()
    client.states(task, 2)
    assert [("generate", 1, "done"), ("generate", 2, "waiting"), ("task", 2, "running"), ("task", 2, "done")] == [
        (call["operation"], call["task"]["call"], call["task"]["state"]) for call in client.calls()
    ]
    assert [1, 0, 0, 1] == [len(call["pictures"]) for call in client.calls()]
    assert {"task_id": task} == client.calls()[-1]["params"]


def test_a_call_that_waits_has_a_task_too(client: Client) -> None:
    """Its id stands beside the pictures, and leads to the same ones."""
    response = client.begin(asked={"model": "dall-e-3", "prompt": "A cat"}).json()
    assert ["created", "data", "task_id", "task_status"] == list(response)
    told = client.poll(response["task_id"]).json()
    assert ("succeed", response["data"]) == (told["task_status"], told["data"])


def test_an_edit_has_a_task_too(client: Client) -> None:
    """It shows what was made of the picture that came with the call, whose bytes it does not keep."""
    url = client.served.base("geekai") + "/images/edits"
    edit = {"model": "gpt-image-1", "prompt": "A hat", "image": GREEN}
    response = httpx.post(url, json=edit, headers=client.headers).json()
    assert response["data"] == client.poll(response["task_id"]).json()["data"]


def test_reset_forgets_tasks_and_begins_the_ids_anew(client: Client) -> None:
    """As if the session had never had one; the same calls get the same ids then. A new script leaves them alone."""
    first, second = client.begun(), client.begun()
    client.play({"answers": "draw"})
    assert ["running", "running"] == [*client.states(first, 1), *client.states(second, 1)]
    assert 200 == httpx.post(f"{client.served.url}/_emulator/sessions/{client.session}/reset").status_code
    assert 404 == client.poll(second).status_code
    httpx.post(f"{client.served.url}/_emulator/sessions/{client.session}/reset")
    assert first != second
    assert [first, second] == [client.begun(), client.begun()]


def test_seed_session_and_number_make_the_id(serve: Callable[..., Served]) -> None:
    """The same on every server with the same seed, and another with another, or in another session."""
    ids = []
    for seed, session in (("0", "a"), ("0", "a"), ("1", "a"), ("0", "b")):
        ids.append(Client(serve(behavior="observed", clock=FROZEN, seed=int(seed)), session).begun())
    assert (ids[0], 3) == (ids[1], len(set(ids)))


def test_a_session_remembers_so_many_tasks(serve: Callable[..., Served]) -> None:
    """As many as calls; the oldest make room."""
    client = Client(serve(behavior="observed", clock=FROZEN, journal_entries=2), "few")
    begun = [client.begun() for _ in range(3)]
    assert [404, 200, 200] == [client.poll(task).status_code for task in begun]


def test_a_task_is_paid_once(serve: Callable[..., Served]) -> None:
    """By the call that began it, also before its pictures are there, and not by the calls that ask for it."""
    client = Client(serve(behavior="observed", clock=FROZEN), "paid")
    task = client.begun(model="dall-e-3")
    for _ in range(3):
        client.poll(task)
    verify = f"{client.served.url}/_emulator/sessions/paid/verify"
    assert [406, 200] == [httpx.post(verify, json={"max_cost": most}).status_code for most in (0.039, 0.04)]


def test_limits_count_when_a_task_begins(client: Client) -> None:
    """Pictures are spent by the call that asks for them; asking for the task is a request and no picture."""
    client.play(limits={"images": 2})
    task = client.begun(n=2)
    assert ["running", "succeed"] == client.states(task, 2)
    assert 402 == client.begin().status_code


def test_another_gateway_spells_its_tasks_otherwise(frozen: Served) -> None:
    """The same code for a path of its own: queued, processing with its progress, completed, failed; by its channel."""
    client = Client(frozen, "otherwise", "geeknow")
    path = "/images/generations/async"
    begun = client.begin(path, {"model": "dall-e-3", "prompt": "A cat", "stream": True}).json()
    assert re.fullmatch("task_[0-9a-f]{32}", begun["id"])
    assert {"id": begun["id"], "object": "image_generation.task", "status": "queued"} == begun
    assert {**begun, "status": "processing", "progress": 50} == client.poll(begun["id"], path).json()
    done = client.poll(begun["id"], path).json()
    assert ["id", "object", "status", "created", "data"] == list(done)
    assert ("completed", ["url", "b64_json", "revised_prompt"]) == (done["status"], list(done["data"][0]))
    client.play({"answers": {"refuse": "moderation"}})
    begun = client.begin(path, {"model": "dall-e-3", "prompt": "A cat"}).json()
    failed = [client.poll(begun["id"], path).json() for _ in range(2)][1]
    assert ("failed", "content_policy_violation") == (failed["status"], failed["error"]["code"])
    unknown = client.poll("task_x", path)
    assert (404, "task_not_exist") == (unknown.status_code, unknown.json()["error"]["code"])


def test_the_pages_know_no_tasks(server: Served, key: str) -> None:
    """In documented behavior `async` is a parameter that the page does not have, and its paths are unknown."""
    response = server.generate("geekai", ASKED, key)
    assert (200, ["created", "data"]) == (response.status_code, list(response.json()))
    assert "unknown_parameter" in response.headers["x-emulator-finding"]
    headers = {"authorization": f"Bearer {key}"}
    assert 404 == httpx.get(server.base("geekai") + "/images/some-task", headers=headers).status_code
    assert 404 == httpx.post(server.base("geeknow") + "/images/generations/async", json={}, headers=headers).status_code


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("  submitted: {", "  sumbitted: {", "unknown key 'sumbitted'"),
        ("  waiting: {", "  beside: {}\n  # {", "twice"),
        ("pending}\n  beside", '"{state}"}\n  beside', "task_status is '{state}'; expected one of {id}"),
        ("task_status: running}", 'data: "{data}"}', "data is '{data}'; expected one of {id}"),
        ("status: 200 ", "status: 404 ", "status is 404; expected 200 to 299"),
        ('id: "{uuid}"', 'id: "{number}"', "id is '{number}'; expected a pattern that names"),
        ("x-emulator-task: async", "x-emulator-task: true", "expected always or the name of a parameter"),
    ],
)  # fmt: skip
def test_a_slip_in_a_file_stops_the_start(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """What a gateway's file says of tasks is checked when it is read."""
    text = (find_schemas() / "observed/geekai.yaml").read_text("utf-8")
    assert old in text
    path = tmp_path / "slip.yaml"
    path.write_text(text.replace(old, new, 1).replace("../wordings", str(find_schemas() / "wordings")), "utf-8")
    with pytest.raises(InvalidFile) as caught:
        load_gateway(path)
    assert re.search(complaint.replace("{", r"\{").replace("}", r"\}"), str(caught.value)), str(caught.value)


def test_two_runs_are_equal_to_the_byte(serve: Callable[..., Served]) -> None:
    """Frozen time and one seed: every answer of a task's life is the same again, but for the server's port."""
    runs = []
    for _ in range(2):
        client = Client(serve(behavior="observed", clock=FROZEN), "twice")
        task = client.begun()
        runs.append([client.poll(task).text.replace(str(client.served.port), "PORT") for _ in range(3)])
    assert json.loads(runs[0][2])["data"]
    assert runs[0] == runs[1]
