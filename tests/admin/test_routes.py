"""The emulator's own paths: what each shows and changes, and that whatever else is sent is refused in one line.

Every reply is held against admin.yaml by `Described`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import PIL
import pytest

from emulator.admin.routes import ROUTES, AdminRoute
from emulator.core.accelerators import Speed, choose_speed
from emulator.core.version import VERSION
from emulator.findings import FINDINGS
from emulator.image.inspect import inspect_image
from tests.conftest import SPEED, Served
from tests.described import Described

GREAT: Final = gzip.compress(b"0" * 2**21, mtime=0)

BODY: Final = {"prompt": "A cat"}
CLIENT: Final = httpx.Client(verify=False)  # one for all: to make one takes longer than an answer
Serve = Callable[..., Served]


@pytest.fixture
def served(serve: Serve) -> Served:
    """A server of the test's own."""
    return serve()


@pytest.fixture
def ask(served: Served) -> Described:
    """Asks that server."""
    return Described(served)


@pytest.fixture(scope="module")
def still() -> Iterator[Served]:
    """A server whose time stands still unless it is moved on."""
    served = Served(clock="frozen:2026-01-01T00:00:00Z")
    yield served
    served.stop()


def play(served: Served, *bodies: dict[str, Any], session: str = "case", gateway: str = "ezmodel") -> list[int]:
    """Send calls in a session; the statuses."""
    headers = {"x-emulator-session": session}
    return [served.generate(gateway, body, **headers).status_code for body in bodies]


# --- the server itself ---


def test_health_tells_nothing_of_the_user(ask: Described) -> None:
    """It says that the server answers, and what makes its answers; `encoder` names all that writes pictures."""
    health = ask.get("/health")
    assert ["status", "version", "encoder", "accelerators"] == list(health)
    assert ("ok", VERSION) == (health["status"], health["version"])
    libraries = [f"Pillow {PIL.__version__}", f"zlib {zlib.ZLIB_RUNTIME_VERSION}", health["accelerators"]["png"]]
    assert set(filter(None, libraries)) <= set(health["encoder"].split(", "))


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "image-api:4010"}, {"host": "api.openai.com"}, {"host": "["}, {"host": ""},
        {"origin": "https://evil.test"}, {"sec-fetch-site": "cross-site"},
    ],
    ids=str,
)  # fmt: skip
def test_health_answers_anybody(ask: Described, headers: dict[str, str]) -> None:
    """A health check asks by a compose file's name; no other path answers it, and no page can read the answer."""
    assert "ok" == ask("GET", "/health", headers=headers).json()["status"]
    assert 403 == ask("GET", "/settings", headers=headers).status_code


def test_settings_of_the_server(serve: Serve) -> None:
    """They say how the server was started."""
    served = serve(seed=7, clock="frozen:2026-01-01T00:00:00Z", no_reserved_values=True, report_only=True)
    assert {
        "seed": 7, "clock": "frozen:2026-01-01T00:00:00Z", "gateways": sorted(served.app.registry.validators),
        "reserved_values": False, "report_only": True, "behavior": "documented",
    } == Described(served).get("/settings")  # fmt: skip


@pytest.mark.parametrize("chosen", ["auto", "off"])
def test_health_names_the_accelerators(chosen: Speed, ask: Described) -> None:
    """Name and version of each library that is used in place of an ordinary one, else null."""
    choose_speed(chosen)
    try:
        told = ask.get("/health")["accelerators"]
    finally:
        choose_speed(SPEED)
    names: dict[str, str | None] = {"event_loop": "uvloop", "json_schema": "jsonschema-rs", "png": "isal"}
    if chosen == "off":
        names |= dict.fromkeys(("json_schema", "png"))
    if "off" in (chosen, SPEED):  # the loop was chosen when the server started
        names["event_loop"] = None
    assert names == {what: name and name.split()[0] for what, name in told.items()}


def test_gateways(ask: Described, served: Served) -> None:
    """A gateway's base URL is one that a client can use, with the host that it asked under."""
    told = {one["name"]: one for one in ask.get("/gateways")["gateways"]}
    assert set(served.app.registry.validators) == set(told)
    one = told["geekai"]
    assert ("/geekai/api/v1", f"{served.url}/geekai/api/v1", ["generate", "model", "models"]) == (
        one["base"], one["base_url"], one["operations"],
    )  # fmt: skip
    assert ("dall-e-2", ["dall-e-2", "dall-e-3"]) == (told["ezmodel"]["default_model"], told["ezmodel"]["models"])
    assert [None, None] == [told[name]["default_model"] for name in ("geekai", "geeknow")]
    headers = {"authorization": "Bearer k", "host": "localhost:1"}
    under = httpx.get(f"{served.url}/_emulator/gateways", headers=headers).json()["gateways"][0]["base_url"]
    assert under.startswith("http://localhost:1/")
    body = {"prompt": "x", "model": "dall-e-3"}
    assert 200 == httpx.post(f"{one['base_url']}/images/generations", json=body, headers=headers).status_code


def test_scenarios_and_findings(ask: Described) -> None:
    """Each scenario that is told can be played, each finding be asked for; another code is not there."""
    names = [one["name"] for one in ask.get("/scenarios")["scenarios"]]
    assert "rate-limited-then-ok" in names
    for name in names:
        assert name == ask("PUT", "/sessions/s/scenario", {"scenario": name}).json()["scenario"]
    told = ask.get("/findings")["findings"]
    assert FINDINGS == {one["code"]: one["text"] for one in told}
    assert told[0] == ask.get(f"/findings/{told[0]['code']}")
    status, param, message = ask.error("GET", "/findings/nonsense")
    assert (404, "code", True) == (status, param, "known are unknown_parameter, " in message)


def test_the_clock(serve: Serve) -> None:
    """It is shown and moved, for all or for one session."""
    ask = Described(serve(clock="frozen:2026-01-01T00:00:00Z"))
    frozen = "frozen:2026-01-01T00:00:00Z"
    assert {"now": "2026-01-01T00:00:00Z", "session": None, "clock": frozen} == ask.get("/clock")
    assert "2026-01-01T01:00:00Z" == ask("POST", "/clock", {"advance": "1h"}).json()["now"]
    moved = ask("POST", "/clock", {"advance": 90, "session": "one"}).json()
    assert {"now": "2026-01-01T01:01:30Z", "session": "one", "clock": frozen} == moved == ask.get("/clock?session=one")
    assert ["2026-01-01T01:00:00Z"] * 2 == [ask.get(f"/clock{query}")["now"] for query in ("", "?session=two")]
    ask("POST", "/clock", {"advance": 1, "session": None})
    assert "2026-01-01T01:00:01Z" == ask.get("/clock")["now"]
    assert 404 == ask("GET", "/clock?session=latest").status_code
    assert "2026-01-02T02:00:01Z" == ask("POST", "/clock", {"advance": "25h"}).json()["now"]
    assert "2027-01-02T02:00:01Z" == ask("POST", "/clock", {"advance": "365d"}).json()["now"]


def test_the_clock_ends(serve: Serve) -> None:
    """It cannot be moved to where dates break, neither for one session nor for all."""
    far = Described(serve(clock="frozen:2026-01-01T00:00:00Z"))
    assert 200 == far("POST", "/clock", {"advance": "300000d", "session": "one"}).status_code
    assert 400 == far("POST", "/clock", {"advance": "300000d"}).status_code
    ask = Described(serve(clock="frozen:2999-12-31T23:59:00Z"))
    assert (400, "advance", "advance: that would be beyond the year 2999") == ask.error(
        "POST", "/clock", {"advance": "1m"}
    )
    assert 200 == ask("POST", "/clock", {"advance": "59s"}).status_code


# --- sessions ---


def test_sessions_in_pages(ask: Described, served: Served) -> None:
    """The one used last comes first; `after` goes on behind a name."""
    for name in ("one", "two", "three", "one"):
        play(served, BODY, session=name)
    page = ask.get("/sessions?limit=2")
    assert (["one", "three"], "three") == ([one["name"] for one in page["sessions"]], page["next"])
    assert (2, 2) == (page["sessions"][0]["calls"], page["sessions"][0]["kept"])
    rest = ask.get(f"/sessions?limit=2&after={page['next']}")
    assert (["two"], None) == ([one["name"] for one in rest["sessions"]], rest["next"])
    assert (404, "after") == ask.error("GET", "/sessions?after=gone")[:2]


def test_one_session(ask: Described, served: Served) -> None:
    """It says what it plays and what holds; it is forgotten whole, and one that never began is forgotten already."""
    assert (404, "session", "no session 'case'; GET /_emulator/sessions lists them") == ask.error(
        "GET", "/sessions/case"
    )
    play(served, BODY, {"prompt": ""})
    ask("PUT", "/sessions/case/scenario", {"scenario": "overloaded"})
    ask("PUT", "/sessions/case/settings", {"report_only": True})
    ask("POST", "/clock", {"advance": "1h", "session": "case"})
    one = ask.get("/sessions/latest")
    assert ("case", 2, "overloaded", True) == (
        one["name"], one["calls"], one["scenario"], one["settings"]["report_only"],
    )  # fmt: skip
    for _ in range(2):
        assert {"session": "case"} == ask("DELETE", "/sessions/case").json()
    assert 404 == ask("GET", "/sessions/case").status_code
    assert ("happy", False) == (
        ask.get("/sessions/case/scenario")["scenario"], ask.get("/sessions/case/settings")["report_only"],
    )  # fmt: skip
    assert ask.get("/clock")["now"][:13] == ask.get("/clock?session=case")["now"][:13]
    play(served, BODY)
    assert [1] == [call["number"] for call in ask.get("/sessions/case/calls")["calls"]]


def test_the_latest_session(ask: Described, served: Served) -> None:
    """It is that of the last call that reached an operation, and every answer about `latest` says which that is."""
    served.generate("ezmodel", BODY, key="sk-first")
    first = ask.get("/sessions/latest")["name"]
    served.generate("ezmodel", {"prompt": 7}, **{"x-emulator-session": "case"})
    for method, path in (("GET", "/v1/nothing"), ("GET", "/v1/images/generations"), ("POST", "/nothing/v1/models")):
        httpx.request(method, served.url + path, headers={"authorization": "Bearer sk-by-accident"})
    assert "case" == ask.get("/sessions/latest")["name"]
    for path in ("/calls", "/settings", "/scenario", "/calls/1"):
        assert "case" == ask.get(f"/sessions/latest{path}")["session"]
    assert "case" == ask("POST", "/sessions/latest/verify").json()["session"]
    ask("DELETE", "/sessions/case")
    assert first == ask.get("/sessions/latest")["name"]


def test_a_session_that_begins_after_the_clock_was_moved(ask: Described, served: Served) -> None:
    """Its times are its own, also where all clocks were moved."""
    ask("POST", "/clock", {"advance": "1h"})
    play(served, BODY)
    one, call = ask.get("/sessions/case"), ask.get("/sessions/case/calls/1")
    assert call["time"] == one["began"] == one["used"]


def test_settings(serve: Serve) -> None:
    """What a session wants holds for it alone; null is what the server has."""
    served = serve(report_only=True)
    ask = Described(served)
    expected = {"session": "case", "report_only": True, "behavior": "documented", "picture_weight": "small"}
    assert expected == ask.get("/sessions/case/settings")
    assert False is ask("PUT", "/sessions/case/settings", {"report_only": False}).json()["report_only"]
    assert [400] == play(served, {"prompt": "x", "n": 99})
    assert [200] == play(served, {"prompt": "x", "n": 99}, session="other")
    assert True is ask("PUT", "/sessions/case/settings", {"report_only": None}).json()["report_only"]
    assert [200] == play(served, {"prompt": "x", "n": 99})


def test_a_scenario_and_what_is_left_of_it(ask: Described, served: Served) -> None:
    """The answers that no call has taken are told, until they are taken, or the script begins anew."""
    script = {
        "scenario": "mine",
        "rules": [
            {"name": "first", "answers": [{"refuse": "rate_limit", "times": 2}, "draw"], "then": "next"},
            {"name": "second", "when": {"n": 2}, "answers": {"refuse": "overloaded"}},
        ],
    }
    playing = ask("PUT", "/sessions/case/scenario", script).json()
    assert ("mine", [("first", 3, "next"), ("second", 1, "repeat")]) == (
        playing["scenario"], [(rule["name"], rule["answers"], rule["then"]) for rule in playing["rules"]],
    )  # fmt: skip
    assert [{"rule": "first", "left": 3}, {"rule": "second", "left": 1}] == playing["unused"]
    assert [429, 429] == play(served, BODY, BODY)
    assert [{"rule": "first", "left": 1}, {"rule": "second", "left": 1}] == ask.get("/sessions/case/scenario")["unused"]
    assert [200, 503] == play(served, BODY, {**BODY, "n": 2})
    assert [] == ask.get("/sessions/case/scenario")["unused"]
    assert {"session": "case", "calls": 0} == ask("POST", "/sessions/case/reset").json()
    assert 2 == len(ask.get("/sessions/case/scenario")["unused"])
    assert "happy" == ask("DELETE", "/sessions/case/scenario").json()["scenario"]


# --- calls ---


@pytest.fixture(scope="module")
def mixed() -> Iterator[Served]:
    """A server with a session of seven calls, of several kinds; its tests change nothing."""
    served = Served()
    rules = [{"name": "no-weapons", "when": {"prompt": {"contains": "gun"}}, "answers": {"refuse": "moderation"}}]
    httpx.put(f"{served.url}/_emulator/sessions/case/scenario", json={"rules": rules})
    assert [200, 400, 400] == play(served, BODY, {"prompt": "a gun"}, {"prompt": "x", "n": 99})
    assert [200] == play(served, {**BODY, "model": "dall-e-3", "unknown": 1})
    assert [400] == play(served, {}, gateway="aiai")
    headers = {"authorization": "Bearer k", "x-emulator-session": "case"}
    assert [200, 404] == [
        httpx.get(f"{served.base('ezmodel')}/{end}", headers=headers).status_code for end in ("models", "nothing")
    ]
    yield served
    served.stop()


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [1, 2, 3, 4, 5, 6, 7]),
        ("gateway=aiai", [5]),
        ("operation=models", [6]),
        ("operation=generate&gateway=ezmodel", [1, 2, 3, 4]),
        ("model=dall-e-3", [4]),
        ("status=400", [2, 3, 5]),
        ("status=418", []),
        ("rule=no-weapons", [2]),
        ("finding=unknown_parameter", [4]),
        ("refused=true", [2, 3, 5, 7]),
        ("refused=false", [1, 4, 6]),
        ("refused=moderation", [2]),
        ("refused=invalid_request", [3, 5]),
        ("refused=above_maximum", [3]),
        ("request_id=none", []),
        ("after=3", [4, 5, 6, 7]),
        ("after=3&refused=true", [5, 7]),
        ("after=9007199254740991", []),
    ],
)  # fmt: skip
def test_calls_are_picked(mixed: Served, query: str, numbers: list[int]) -> None:
    """Each name picks the calls of which it is true; several, those of which all are."""
    page = Described(mixed).get(f"/sessions/case/calls?{query}")
    assert (numbers, None) == ([call["number"] for call in page["calls"]], page["next"])


def test_calls_in_pages(mixed: Served) -> None:
    """`next` leads on, also where only some calls are picked, and is null on the last page."""
    ask = Described(mixed)
    for query, pages in (("limit=3", [[1, 2, 3], [4, 5, 6], [7]]), ("limit=2&refused=true", [[2, 3], [5, 7]])):
        found, after = [], 0
        while after is not None:
            page = ask.get(f"/sessions/latest/calls?{query}&after={after}")
            found.append([call["number"] for call in page["calls"]])
            after = page["next"]
        assert (query, pages) == (query, found)
    assert 7 == len(ask.get("/sessions/case/calls?limit=1000")["calls"])


def test_one_call(ask: Described, served: Served) -> None:
    """By its number, or the latest; its request id is the one in the answer's header."""
    play(served, BODY, BODY, BODY)
    assert [2, 3, 3] == [ask.get(f"/sessions/case/calls/{number}")["number"] for number in (2, 3, "latest")]
    for number in ("0", "4", "02", "-1", "1.0", "x", "%31%30", "9" * 5000):
        assert (404, "number") == ask.error("GET", f"/sessions/case/calls/{number}")[:2]
    answer = served.generate("ezmodel", BODY, **{"x-emulator-session": "case"})
    (found,) = ask.get(f"/sessions/case/calls?request_id={answer.headers['x-request-id']}")["calls"]
    assert ask.get("/sessions/case/calls/4") == found
    ask("POST", "/sessions/case/reset")
    assert (404, "number", "session 'case' has no call") == ask.error("GET", "/sessions/case/calls/latest")


def test_calls_stand_in_the_order_in_which_they_came(ask: Described, served: Served) -> None:
    """A slow call that ends after later ones stands before them, and is not the latest."""
    play(served, BODY, BODY, BODY)
    first, *_ = asyncio.run(served.app.sessions.list_calls("case")) or ()
    asyncio.run(served.app.store.add_call("case", first, first.weight))  # as if it ended only now
    assert [1, 1, 2, 3] == [call["number"] for call in ask.get("/sessions/case/calls")["calls"]]
    assert 3 == ask.get("/sessions/case/calls/latest")["number"]


def test_a_bug_of_ours_is_no_open_door(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a 500 in our envelope, closed to other origins like all else, and leaves its trace in the log."""

    async def fails(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(served.app.sessions, "list_sessions", fails)
    with caplog.at_level(logging.ERROR, "emulator"):
        response = CLIENT.get(f"{served.url}/_emulator/sessions")
    assert (500, "emulator_error") == (response.status_code, response.json()["error"]["type"])
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert "ZeroDivisionError: a bug" in caplog.text


def test_forgotten_calls_are_not_there(serve: Serve) -> None:
    """A journal that keeps two calls shows two, under their own numbers."""
    served = serve(journal_entries=2)
    ask = Described(served)
    play(served, BODY, BODY, BODY)
    assert [2, 3] == [call["number"] for call in ask.get("/sessions/case/calls")["calls"]]
    assert 404 == ask("GET", "/sessions/case/calls/1").status_code
    one = ask.get("/sessions/case")
    assert (3, 2) == (one["calls"], one["kept"])
    verdict = ask("POST", "/sessions/case/verify", {"never": True, "when": {"status": 418}}).json()
    assert (False, ["calls_unseen"]) == (verdict["ok"], verdict["notes"])


def test_verify(mixed: Served) -> None:
    """The status is that of the verdict, 200 or 406; what cannot be meant is an error."""
    ask = Described(mixed)
    path = "/sessions/case/verify"
    assert {"ok": True, "matched": [2, 3, 5]} == _verdict(ask("POST", path, {"when": {"status": 400}, "times": 3}))
    assert {"ok": False, "matched": [5]} == _verdict(ask("POST", path, {"when": {"gateway": "aiai"}, "times": 2}))
    assert {"ok": True, "matched": list(range(1, 8))} == _verdict(ask("POST", path))
    assert [200, 406] == [ask("POST", path, {"when": {"status": 400}, "times": times}).status_code for times in (3, 2)]
    assert "case" == ask("POST", path, {"never": True}).json()["session"]
    ordered = {"in_order": [{"refused": "moderation"}, {"operation": "models"}]}
    assert {"ok": True, "matched": [2, 6]} == _verdict(ask("POST", path, ordered))
    assert {"ok": False, "matched": []} == _verdict(ask("POST", "/sessions/nobody/verify", {}))
    assert {"ok": True, "matched": []} == _verdict(ask("POST", "/sessions/nobody/verify", {"never": True}))
    for body, known in (
        ({"times": 1, "once": True}, "expected one of times, once, never"),
        ({"when": {"prompt": {"like": "x"}}}, "known are"),
        ({"in_order": [{}], "times": 1}, "in_order stands alone"),
        ({"between": [3, 1]}, "between"),
        ({"never": True, "when": {"statuss": 200}}, "unknown field 'statuss'; did you mean 'status'?"),
        (
            {"never": True, "when": {"status": {"at_leats": 400}}},
            "unknown matcher 'at_leats'; did you mean 'at_least'?",
        ),
        ({"never": True, "when": {"gateway": "ezmodle"}}, "did you mean 'ezmodel'?"),
        ({"never": True, "when": {"refused": "above_maximun"}}, "did you mean 'above_maximum'?"),
        ({"in_order": [{}, {"promt": "A cat"}]}, "in_order 2: unknown field 'promt'; did you mean 'prompt'?"),
        ({"nevr": True}, "did you mean 'never'?"),
    ):
        status, _, message = ask.error("POST", path, body)
        assert (400, True) == (status, known in message), message


def test_portability(mixed: Served) -> None:
    """The calls of a session, or bodies that were sent, held against every gateway in its behavior."""
    ask = Described(mixed)
    told = ask("POST", "/portability", {"session": "latest"}).json()
    assert "case" == told["session"]
    assert [1, 2, 3, 4, 5] == [call["number"] for call in told["calls"]]
    by_gateway = {(one["gateway"], one["behavior"]): one for one in told["gateways"]}
    assert set(mixed.app.registry.validators) <= {name for name, _ in by_gateway}
    (third,) = (
        fit for fit in told["calls"][2]["fits"] if (fit["gateway"], fit["behavior"]) == ("ezmodel", "documented")
    )
    assert ("refused", "above_maximum", "n") == (
        third["outcome"], third["refused"]["breach"], third["refused"]["param"],
    )  # fmt: skip
    for (name, behavior), one in by_gateway.items():
        outcomes = [
            fit["outcome"] for call in told["calls"] for fit in call["fits"]
            if (fit["gateway"], fit["behavior"]) == (name, behavior)
        ]  # fmt: skip
        assert [one[word] for word in ("accepted", "ignores", "refused")] == [
            outcomes.count(word) for word in ("accepted", "ignores", "refused")
        ]
    bodies = {"calls": [{"body": {"model": "dall-e-3", "prompt": "x", "n": 1}}, {"gateway": "aiai", "body": {}}]}
    told = ask("POST", "/portability", bodies).json()
    assert [(None, None, "dall-e-3"), (None, "aiai", None)] == [
        (call["number"], call["gateway"], call["body_model"]) for call in told["calls"]
    ]
    assert (404, "session") == ask.error("POST", "/portability", {"session": "nobody"})[:2]
    assert 7 == ask.get("/sessions/case")["calls"]


def _verdict(response: httpx.Response) -> dict[str, Any]:
    verdict = {key: response.json()[key] for key in ("ok", "matched")}
    assert (200 if verdict["ok"] else 406) == response.status_code
    return verdict


# --- what cannot be meant ---


@pytest.mark.parametrize(
    ("method", "path", "body", "param", "message"),
    [
        ("GET", "/health?x=1", None, "x", "unknown query name 'x'; known are none"),
        ("GET", "/sessions?limt=1", None, "limt", "unknown query name 'limt'; known are limit, after"),
        ("GET", "/sessions?limit=0", None, "limit", "limit is 0; expected at least 1"),
        ("GET", "/sessions?limit=1001", None, "limit", "limit is 1001; expected at most 1000"),
        ("GET", "/sessions?limit=" + "9" * 90, None, "limit", "expected at most 1000"),
        ("GET", "/sessions?limit=" + "9" * 5000, None, "limit", "expected an integer"),
        ("GET", "/sessions?limit=1e2", None, "limit", "limit is '1e2'; expected an integer"),
        ("GET", "/sessions?limit=%D9%A1", None, "limit", "limit is '١'; expected an integer"),
        ("GET", "/sessions?limit=1.0", None, "limit", "limit is '1.0'; expected an integer"),
        ("GET", "/sessions?limit", None, "limit", "limit is ''; expected an integer"),
        ("GET", "/sessions?limit=1&limit=2", None, "limit", "'limit' is given twice in the query"),
        ("GET", "/sessions?" + "a&" * 60, None, None, "the query has more than 50 names"),
        ("GET", "/sessions/s/calls?after=-1", None, "after", "after is -1; expected at least 0"),
        ("GET", "/sessions/s/calls?gateway=nowhere", None, "gateway", "gateway is 'nowhere'; expected one of 'aiai', "),
        ("GET", "/sessions/s/calls?operation=draw", None, "operation", "expected one of 'generate'"),
        ("GET", "/sessions/s/calls?finding=x", None, "finding", "expected one of 'unknown_parameter', "),
        ("GET", "/sessions/s/calls?refused=maybe", None, "refused", "expected one of 'true', 'false', 'missing_key', "),
        ("GET", "/events?session=a%20b", None, "session", "session is 'a b'; expected one such as my-test, latest"),
        ("GET", "/events?sessions=a", None, "sessions", "unknown query name 'sessions'; known are session"),
        ("GET", "/clock?session=sk-" + "a" * 20, None, "session", "that cannot name a session; expected up to 64"),
        ("POST", "/clock", {}, "advance", "advance is missing"),
        ("POST", "/clock", {"advance": "soon"}, "advance", "'soon'; expected one such as 500ms, 2s, 1.5m, 1h"),
        (
            "POST",
            "/clock",
            {"advance": "366000d"},
            "advance",
            "advance: the duration '366000d' is outside 0s to 365000d",
        ),
        ("POST", "/clock", {"advance": True}, "advance", "advance is true; expected a string or a number"),
        ("POST", "/clock", {"advance": -1}, "advance", "advance is -1; expected at least 0"),
        ("POST", "/clock", {"advance": 1, "sesion": "a"}, "sesion", "unknown key 'sesion'; known are advance, session"),
        ("POST", "/clock", {"advance": 1, "session": "a b"}, "session", "session is 'a b'; expected one such as"),
        ("POST", "/clock?now=1", {"advance": 1}, "now", "unknown query name 'now'; known are none"),
        ("POST", "/clock", [1], None, "the body is [1]; expected a JSON object"),
        ("PUT", "/sessions/s/settings", {}, None, "the body is {}; expected at least 1 of report_only, behavior"),
        ("PUT", "/sessions/s/settings", {"report_only": 1}, "report_only", "report_only is 1; expected a boolean"),
        ("PUT", "/sessions/s/settings", {"behavior": "bad"}, "behavior", "expected one of 'documented'"),
        ("POST", "/sessions/s/reset", {"calls": 0}, None, "POST /_emulator/sessions/{id}/reset takes no body"),
        ("DELETE", "/sessions/s", [1], None, "DELETE /_emulator/sessions/{id} takes no body"),
        ("POST", "/sessions/s/verify", {"model": "x"}, "model", "unknown key 'model'; known are when, times, once"),
        ("POST", "/sessions/s/verify", {"times": 1.0}, "times", "times is 1.0; expected an integer"),
        ("POST", "/sessions/s/verify", {"once": False}, "once", "once is false; expected true"),
        ("POST", "/portability", {}, None, "the body is {}; expected at least 1 of session, calls"),
        ("POST", "/portability", {"session": "a", "calls": [{"body": {}}]}, None, "expected at most 1 of session, ca"),
        ("POST", "/portability", {"calls": []}, "calls", "calls is []; expected at least 1 item(s)"),
        ("POST", "/portability", {"calls": [{}]}, "calls[0].body", "calls[0].body is missing"),
        ("POST", "/portability", {"calls": [{"body": 1}]}, "calls[0].body", "calls[0].body is 1; expected an object"),
        ("POST", "/portability", {"calls": [{"body": {}, "x": 1}]}, "calls[0].x", "known are gateway, body"),
        ("POST", "/portability", {"calls": [{"body": {}}] * 1001}, "calls", "calls has 1001 items; expected at most"),
        ("PUT", "/sessions/s/scenario", {"scenario": "nonsense"}, "scenario", "no ready-made scenario 'nonsense'"),
        ("PUT", "/sessions/s/scenario", {"rules": 1}, None, "scenario:1: rules is 1; expected a list of rules"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_meant(
    server: Served, method: str, path: str, body: Any, param: str | None, message: str
) -> None:
    """400 and one line: what was read, what was expected, the known words; `param` names the place."""
    status, named, said = Described(server).error(method, path, body)
    assert (400, param, True) == (status, named, message in said), said
    assert len(said) < 1500


def test_names_that_no_session_has(ask: Described, served: Served) -> None:
    """404 for what cannot be a session, for reading and changing alike; nothing is begun, and no key is repeated."""
    for name in ("a b", "x" * 65, "sk-" + "a" * 20, "%00", "%FF", "a%2Fb", "latest", "%6Catest"):
        for method, end in (("GET", ""), ("GET", "/calls"), ("GET", "/scenario"), ("DELETE", ""), ("POST", "/reset")):
            status, param, said = ask.error(method, f"/sessions/{name}{end}")
            assert (name, 404, "session", False) == (name, status, param, "sk-a" in said)
    assert [] == ask.get("/sessions")["sessions"]
    play(served, BODY, session="my-test")
    assert "my-test" == ask.get("/sessions/my%2Dtest")["name"]


@pytest.mark.parametrize(
    ("headers", "content", "status", "message"),
    [
        ({"content-type": "text/plain"}, b'{"advance": 1}', 400, "Content-Type is 'text/plain'; expected applic"),
        ({"content-type": "text/plain;json"}, b'{"advance": 1}', 400, "Content-Type is 'text/plain;json'; expected"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x--", 400, "expected application/json"),
        ({}, b'{"advance": 1}', 400, "Content-Type is ''; expected application/json"),
        ({"content-type": "application/json"}, b'{"advance": 1', 400, "the body is no JSON: Expecting ',' delimiter"),
        ({"content-type": "application/json"}, b'{"advance": NaN}', 400, "the body is no JSON: NaN is not JSON"),
        ({"content-type": "application/json"}, b'\xff{"advance": 1}', 400, "the body is no JSON: "),
        ({"content-type": "application/json"}, b"[" * 5000, 400, "the body is no JSON: nested deeper than 64 levels"),
        ({"content-type": "application/json"}, b"null", 400, "the body is null; expected a JSON object"),
        ({"content-type": "application/json"}, b'{"advance":1,"advance":2}', 400, "'advance' is given twice in the"),
        ({"content-type": "application/json"}, b"{" + b" " * 2**21 + b"}", 413, "the body is larger than 1 MiB"),
        ({"content-type": "application/json", "content-encoding": "br"}, b"x", 400, "unknown Content-Encoding; expect"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, b"x", 400, "the body breaks off, or is not"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, GREAT, 413, "1 MiB"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("path", ["/clock", "/sessions/s/verify"])
def test_bodies_that_cannot_be_read(
    still: Served, path: str, headers: dict[str, str], content: bytes, status: int, message: str
) -> None:
    """Whatever comes as a body, the answer is in our envelope, and the time does not move."""
    ask = Described(still)
    answered, _, said = ask.error("POST", path, content=content, headers=headers)
    assert (status, True) == (answered, message in said), said
    assert "2026-01-01T00:00:00Z" == ask.get("/clock")["now"]


def test_many_wrong_names_hold_nobody_up(server: Served) -> None:
    """A mebibyte of unknown names, or of items in a list, is refused without a look at each of them."""
    ask = Described(server)
    many = {f"k{number}": number for number in range(60_000)}
    assert "unknown key 'k0'; known are advance, session" == ask.error("POST", "/clock", many)[2]
    assert (
        "in_order has 100000 items; expected at most 1000"
        == ask.error("POST", "/sessions/s/verify", {"in_order": [{}] * 100_000})[2]
    )


def test_a_compressed_body_is_taken(ask: Described) -> None:
    """gzip is good, as with the gateways."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    content = gzip.compress(json.dumps({"advance": 1}).encode(), mtime=0)
    assert 200 == ask("POST", "/clock", content=content, headers=headers).status_code


@pytest.mark.parametrize(
    ("method", "path", "body", "param", "ending"),
    [
        ("POST", "/clock", {"advnce": "1h"}, "advnce", "known are advance, session; did you mean 'advance'?"),
        ("PUT", "/sessions/s/settings", {"report-only": True}, "report-only", "did you mean 'report_only'?"),
        ("POST", "/portability", {"calls": [{"bdy": {}, "body": {}}]}, "calls[0].bdy", "did you mean 'body'?"),
        ("PUT", "/sessions/s/settings", {"behavior": "observd"}, "behavior", "did you mean 'observed'?"),
        ("PUT", "/sessions/s/scenario", {"scenario": "hapy"}, "scenario", "did you mean 'happy'?"),
        ("GET", "/sessions?limt=1", None, "limt", "known are limit, after; did you mean 'limit'?"),
        ("GET", "/findings/duplicate-key", None, "code", "did you mean 'duplicate_key'?"),
        ("POST", "/clock", {"nonsense": 1}, "nonsense", "known are advance, session"),
    ],
)
def test_a_misspelt_word_is_told_the_nearest(
    server: Served, method: str, path: str, body: Any, param: str, ending: str
) -> None:
    """An unknown name or word in path, query or body is refused with the known words, the nearest named."""
    response = CLIENT.request(method, f"{server.url}/_emulator{path}", json=body)
    error = response.json()["error"]
    assert (param, True) == (error["param"], error["message"].endswith(ending)), error


# --- methods, and requests that may not be answered ---


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_path_has_its_methods(server: Served, route: AdminRoute) -> None:
    """Another method is 405 with Allow, OPTIONS opens nothing, a HEAD is its GET without a body."""
    path = f"{server.url}/_emulator{route.path}".replace("{id}", "s").replace("{code}", "duplicate_key")
    path = path.replace("{number}", "1")
    possible = {one.method for one in ROUTES if one.path == route.path}
    allow = ", ".join(
        word for one in ROUTES if one.path == route.path
        for word in (("GET", "HEAD") if one.method == "GET" else (one.method,))
    )  # fmt: skip
    for method in ("PATCH", "OPTIONS", "TRACE", "PROPFIND", *({"PUT", "DELETE", "POST", "GET"} - possible)):
        response = CLIENT.request(method, path, headers={"access-control-request-method": "GET"})
        assert (method, 405, allow) == (method, response.status_code, response.headers["allow"])
        assert not [name for name in response.headers if name.startswith("access-control")]
    if route.method == "GET" and route.path != "/events":
        whole, head = CLIENT.get(path), CLIENT.head(path)
        assert (whole.status_code, b"") == (head.status_code, head.content)
        for name in ("content-type", "cache-control"):
            assert whole.headers[name] == head.headers[name]


STRANGERS: Final[list[dict[str, str]]] = [
    {"host": "rebound.evil.test"}, {"host": "rebound.evil.test:4010", "origin": "http://rebound.evil.test:4010"},
    {"origin": "https://evil.test"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]  # fmt: skip


@pytest.mark.parametrize("headers", STRANGERS, ids=lambda headers: str(headers))
def test_strangers_may_not(still: Served, headers: dict[str, str]) -> None:
    """A page of another origin, or one that rebinds a name, reads nothing and changes nothing; but for health."""
    play(still, BODY)
    calls = Described(still).get("/sessions/case")["calls"]
    for route in [route for route in ROUTES if route.path != "/health"]:
        path = route.path.replace("{id}", "case").replace("{number}", "1")
        body = {"json": {"advance": "1h"}} if route.path == "/clock" and route.method == "POST" else {}
        response = CLIENT.request(route.method, f"{still.url}/_emulator{path}", headers=headers, **body)  # type: ignore[arg-type]
        assert (route, 403) == (route, response.status_code)
        assert ["error"] == list(response.json())
        assert not [name for name in response.headers if name.startswith("access-control")]
    ask = Described(still)
    assert (calls, "2026-01-01T00:00:00Z") == (ask.get("/sessions/case")["calls"], ask.get("/clock")["now"])


def test_portability_shows_no_key(serve: Callable[..., Served]) -> None:
    """A caller's own key that got into a body is blanked, as the journal blanks it."""
    served = serve()
    key = "my-own-gateway-key-0815"
    served.generate("geeknow", {"model": key, "prompt": f"Draw {key}"}, key=key)
    answer = httpx.post(f"{served.url}/_emulator/portability", json={"session": "latest"})
    assert 200 == answer.status_code
    assert key not in answer.text


def test_a_calls_picture(serve: Callable[..., Served]) -> None:
    """The journal's pictures can be had again, whatever became of their links; what is not there is a 404."""
    served = serve()
    link = served.generate("ezmodel", {"prompt": "A cat", "size": "256x256"}).json()["data"][0]["url"]
    at = f"{served.url}/_emulator/sessions/latest/calls/1/pictures"
    again = httpx.get(f"{at}/0")
    assert ("image/png", httpx.get(link).content) == (again.headers["content-type"], again.content)
    assert [404, 404, 405] == [
        httpx.get(f"{at}/1").status_code,
        httpx.get(at.replace("/1/", "/2/") + "/0").status_code,
        httpx.post(f"{at}/0").status_code,
    ]


def test_small_pictures(serve: Callable[..., Served]) -> None:
    """A picture or an upload comes as a small PNG where the query has a width; what does not decode is a 404."""
    served = serve()
    url = f"{served.url}/_emulator/sessions/latest"
    served.generate("ezmodel", {"prompt": "A cat", "size": "1024x1792", "model": "dall-e-3"})
    small = httpx.get(f"{url}/calls/1/pictures/0?width=96")
    shown = inspect_image(small.content)
    assert ("image/png", "png", 96, True) == (small.headers["content-type"], shown.format, shown.height, shown.whole)
    assert len(small.content) < 4000
    for query in ("width=15", "width=1025", "width=x", "height=96"):
        assert 400 == httpx.get(f"{url}/calls/1/pictures/0?{query}").status_code
    damaged = b"\x89PNG\r\n\x1a\nnothing"
    files = {"image": ("a.png", small.content, "image/png"), "mask": ("b.png", damaged, "image/png")}
    headers = {"authorization": "Bearer sk-test"}
    data = {"prompt": "A cat", "model": "gpt-image-1"}
    httpx.post(f"{served.base('openai')}/images/edits", data=data, files=files, headers=headers)
    uploads = served.calls()[-1]["uploads"]
    answers = [httpx.get(f"{url}/uploads/{upload['sha256']}?width=16") for upload in uploads]
    assert [200, 404] == [answer.status_code for answer in answers]
    assert 16 == inspect_image(answers[0].content).height


def test_limits_are_counted(ask: Described, served: Served) -> None:
    """A session's scenario says what is left of its limits."""
    ask("PUT", "/sessions/case/scenario", {"limits": {"images_per_minute": 5, "images": 20, "cost": 1}})
    play(served, {**BODY, "n": 2}, BODY)
    limits = ask.get("/sessions/case/scenario")["limits"]
    assert [("images_per_minute", 5, 3), ("images", 20, 3), ("cost", 1)] == [
        *[(one["limit"], one["most"], one["used"]) for one in limits[:2]], (limits[2]["limit"], limits[2]["most"]),
    ]  # fmt: skip
    assert 0 < limits[2]["used"] < 1


def test_the_root_says_where_the_page_is(serve: Callable[..., Served]) -> None:
    """A line of text, a link for a browser, and at a gateway's real host what the gateway says."""
    served = serve()
    plain, browser = httpx.get(served.url), httpx.get(served.url, headers={"accept": "text/html,*/*;q=0.8"})
    assert ("text/plain; charset=utf-8", 1, True) == (
        plain.headers["content-type"], plain.text.count("\n"), "/_emulator/" in plain.text,
    )  # fmt: skip
    assert ("text/html; charset=utf-8", True) == (
        browser.headers["content-type"], 'href="/_emulator/"' in browser.text,
    )  # fmt: skip
    gateway = httpx.get(served.url, headers={"host": "api.openai.com"})
    assert (404, False) == (gateway.status_code, "_emulator" in gateway.text)
    assert 404 == httpx.post(served.url, json={}).status_code


def test_the_pages_address_has_a_slash(server: Served) -> None:
    """Its files have relative addresses; the policy lets nothing foreign in, and none of it is kept or framed."""
    bare = httpx.get(f"{server.url}/_emulator")
    assert (308, "/_emulator/") == (bare.status_code, bare.headers["location"])
    for name, media_type in (("", "text/html"), ("inspector.js", "text/javascript"), ("inspector.css", "text/css")):
        answer = httpx.get(f"{server.url}/_emulator/{name}")
        policy = answer.headers["content-security-policy"]
        assert (200, f"{media_type}; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert 403 == httpx.get(str(answer.url), headers={"host": "rebound.test"}).status_code
