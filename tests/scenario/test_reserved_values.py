"""Reserved values: four doors, one table, no script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import httpx
import openai
import pytest

from emulator.core.names import name_for_key
from emulator.messages import Request
from emulator.scenario import reserved_values
from tests.conftest import Served
from tests.stable_ids import stable_id

BODY = {"prompt": "A cat", "model": "dall-e-3"}
REQUEST: Final = Request(
    method="POST", path="/", query="", headers={}, body=b"", json=None, trouble=None, duplicates=(), origin="",
    received=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "key", "headers", "door", "value"),
    [
        ({}, "sk-plain", {"x-emulator": "refuse=rate_limit"}, "header", "refuse=rate_limit"),
        ({"prompt": "A cat [[rate-limit]]"}, "sk-plain", {}, "prompt", "rate-limit"),
        ({"model": "dall-e-3:rate_limit"}, "sk-plain", {}, "model", "rate_limit"),
        ({}, "sk-emulator.rate-limit", {}, "key", "rate-limit"),
    ],
)
def test_every_door(
    server: Served, change: dict[str, Any], key: str, headers: dict[str, str], door: str, value: str
) -> None:
    """Each door refuses alike; the contract and the journal see the call without its mark, and the journal the door."""
    response = server.generate("ezmodel", {**BODY, **change}, key=key, **headers)
    assert (429, "rate_limit_exceeded") == (response.status_code, response.json()["error"]["code"])
    call = server.calls()[-1]
    assert {"door": door, "value": value} == call["reserved"]
    assert BODY == call["given"]


def test_the_order_of_doors(server: Served) -> None:
    """Header beats prompt, prompt beats model, model beats key."""
    body = {"prompt": "A cat [[quota]]", "model": "dall-e-3:overloaded"}
    key = "sk-emulator.server-error"
    asked = [
        server.generate("ezmodel", body, key=key, **{"x-emulator": "refuse=moderation"}),
        server.generate("ezmodel", body, key=key),
        server.generate("ezmodel", {**body, "prompt": "A cat"}, key=key),
        server.generate("ezmodel", BODY, key=key),
    ]
    assert [400, 429, 503, 500] == [response.status_code for response in asked]


def test_a_reserved_key_names_its_session_and_is_always_good(serve: Callable[..., Served], tmp_path: Any) -> None:
    """The rest of the key is the session's name; --keys need not list it."""
    (tmp_path / "keys").write_text("sk-good\n")
    served = serve(keys=str(tmp_path / "keys"))
    assert 503 == served.generate("ezmodel", BODY, key="sk-emulator.overloaded.case-7").status_code
    assert 1 == len(served.calls("case-7"))


def test_a_breach_of_the_contract_comes_first(server: Served) -> None:
    """A mark hides nothing: what is wrong with the call is said first."""
    response = server.generate("ezmodel", {"prompt": "A cat [[rate-limit]]", "size": "1x1"})
    assert (400, "size") == (response.status_code, response.json()["error"]["param"])


@pytest.mark.parametrize(
    ("value", "statuses"), [("latency=1ms", [200, 200, 200]), ("behavior=documented", [200, 429, 429])]
)
def test_only_what_decides_the_answer_takes_the_scenarios_place(
    serve: Callable[..., Served], tmp_path: Any, value: str, statuses: list[int]
) -> None:
    """The limits of the session do not count a call whose own value says how it is answered."""
    (tmp_path / "limited.yaml").write_text("rules: []\nlimits: {requests_per_minute: 1}\n", "utf-8")
    served = serve(scenario=str(tmp_path / "limited.yaml"))
    answers = [served.generate("ezmodel", BODY, **{"x-emulator": value}) for _ in statuses]
    assert statuses == [answer.status_code for answer in answers]


def test_latency_faults_and_scenarios(serve: Callable[..., Served]) -> None:
    """The header's other words; a ready-made scenario goes on from call to call."""
    served = serve(clock="scale:0")
    assert 200 == served.generate("ezmodel", BODY, **{"x-emulator": "latency=2s"}).status_code
    assert 2.0 == served.calls()[-1]["latency"]
    realistic = {"x-emulator": "latency=realistic"}
    assert 200 == served.generate("geeknow", {**BODY, "model": "gpt-image-1"}, **realistic).status_code
    assert 10 < served.calls()[-1]["latency"] < 200
    with pytest.raises(httpx.RemoteProtocolError):
        served.generate("ezmodel", BODY, **{"x-emulator": "fault=truncate; latency=1m"})
    played = [served.generate("ezmodel", {**BODY, "prompt": "x [[rate-limited-then-ok]]"}) for _ in range(3)]
    assert [429, 429, 200] == [response.status_code for response in played]


@pytest.mark.parametrize(
    "header",
    [
        "refuse=boredom", "nonsense", "latency=soon", "latency=5", "fault=boredom", "scenario=nobody",
        "refus=quota", "behavior=odd", "report-only=maybe",
    ],
)  # fmt: skip
def test_a_header_that_means_nothing(server: Served, header: str) -> None:
    """It is refused as the emulator's own error rather than overlooked."""
    response = server.generate("ezmodel", BODY, **{"x-emulator": header})
    assert (400, "bad_reserved_value") == (response.status_code, response.json()["error"]["code"])


@pytest.mark.parametrize(
    ("header", "beginning"),
    [
        ("ratelimit", "unknown reserved value 'ratelimit'; did you mean 'rate-limit'? The header X-Emulator takes "),
        ("report-onyl", "unknown reserved value 'report-onyl'; did you mean 'report-only'? "),
        ("refuse=rate_limt", "unknown kind of refusal 'rate_limt'; did you mean 'rate_limit'? "),
        ("scenario=hapy", "unknown scenario 'hapy'; did you mean 'happy'? "),
        ("behavior=observd", "`behavior` is 'observd'; expected documented or observed; did you mean 'observed'? "),
        ("latency=5", "latency is '5'; expected a duration with its unit, such as 500ms, "),
        ("fault=boredom", "unknown fault 'boredom'. The header "),
    ],
)
def test_a_header_with_a_slip(server: Served, header: str, beginning: str) -> None:
    """The message says which word is wrong, and names the nearest known one."""
    response = server.generate("ezmodel", BODY, **{"x-emulator": header})
    assert response.json()["error"]["message"].startswith(beginning)


@pytest.mark.parametrize("prompt", ["[[nothing-of-ours]]", "a [[b", "[[]]", "x" * 50 + "[[" + "y" * 50 + "]]"])
def test_what_is_no_mark_stays(server: Served, prompt: str) -> None:
    """Brackets that say nothing to us belong to the prompt, as a colon does to a model's name."""
    assert 200 == server.generate("geeknow", {"prompt": prompt, "model": "a:b"}).status_code
    assert {"prompt": prompt, "model": "a:b"} == server.calls()[-1]["given"]


def test_they_can_be_switched_off(serve: Callable[..., Served], tmp_path: Any) -> None:
    """With --no-reserved-values a mark is an ordinary part of the call, and a key passes only if it is listed."""
    (tmp_path / "keys").write_text("sk-good\n")
    served = serve(no_reserved_values=True, keys=str(tmp_path / "keys"))
    assert 200 == served.generate("ezmodel", {"prompt": "A cat [[rate-limit]]"}, key="sk-good").status_code
    assert 401 == served.generate("ezmodel", BODY, key="sk-emulator.happy.case-7").status_code
    assert [name_for_key("sk-emulator.happy.case-7")] == [served.calls()[-1]["session"]]


def test_a_key_with_a_slip_is_no_good_key(server: Served) -> None:
    """A reserved key whose value nobody knows is refused rather than taken for an ordinary one."""
    response = server.generate("ezmodel", BODY, key="sk-emulator.rate-limt")
    assert (400, "bad_reserved_value") == (response.status_code, response.json()["error"]["code"])


def test_the_sdk_meets_them(server: Served) -> None:
    """Nothing but a key is needed for an exception of the right class."""
    for word, raised in (("quota", openai.RateLimitError), ("forbidden", openai.PermissionDeniedError)):
        key = f"sk-emulator.{word}"
        with openai.OpenAI(base_url=server.base("aiai"), api_key=key, max_retries=0) as client, pytest.raises(raised):
            client.images.generate(prompt="x", model="dall-e-2")


def test_a_gateway_that_retries_takes_failures_itself(serve: Callable[..., Served]) -> None:
    """GeekAI's `retries` takes further answers from the script while the upstream fails; the journal shows each try."""
    served = serve(clock="scale:0")
    script = {"rules": [{"name": "down", "then": "next", "answers": [
        {"refuse": "upstream_error", "latency": "1s"}, {"canned": {"status": 503}}, {"refuse": "rate_limit"},
    ]}]}  # fmt: skip
    url = f"{served.url}/_emulator/sessions/retrying/scenario"
    assert 200 == httpx.put(url, json=script).status_code
    headers = {"x-emulator-session": "retrying"}
    body = {"prompt": "A cat", "model": "cogview-4"}
    assert 429 == served.generate("geekai", {**body, "retries": 5}, **headers).status_code
    assert [1, 2] == [one["step"] for one in served.calls("retrying")[-1]["tries"]]
    httpx.post(f"{served.url}/_emulator/sessions/retrying/reset")
    assert 502 == served.generate("geekai", body, **headers).status_code
    assert 503 == served.generate("ezmodel", {"prompt": "x", "retries": 5}, **headers).status_code


def test_retries_come_to_an_end(serve: Callable[..., Served]) -> None:
    """A script that fails for ever is tried a bounded number of times, however many are asked for."""
    served = serve()
    body = {"prompt": "A cat [[server-error]]", "model": "cogview-4", "retries": 10**30}
    assert 500 == served.generate("geekai", body).status_code
    assert 20 == len(served.calls()[-1]["tries"])


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("rate-limit", 429), ("rate_limit", 429), ("RATE-LIMIT; latency=2s", 429), ("overloaded", 503),
        ("no-credit", 429),
        ("wrong-type; latency=2s", 200),
    ],
)  # fmt: skip
def test_a_bare_word_in_the_header(serve: Callable[..., Served], header: str, status: int) -> None:
    """A reserved value means the same in the header as in the other three places, and can have a latency beside it."""
    served = serve(clock="scale:0")
    response = served.generate("ezmodel", BODY, **{"x-emulator": header})
    assert status == response.status_code
    call = served.calls()[-1]
    assert {"door": "header", "value": header} == call["reserved"]
    assert (2.0 if "latency" in header else None) == call["latency"]


@pytest.mark.parametrize(
    ("prompt", "seen"),
    [
        ("a [[rate-limit]] cat", "a cat"), ("[[rate-limit]] a cat", "a cat"), ("a cat [[rate-limit]]", "a cat"),
        ("a [[rate-limit]] cat [[quota]] sat", "a cat sat"), ("a [[rate-limit]]\ncat", "a\ncat"),
        ("a[[quota]]cat", "acat"),
        ("a [[other]] cat [[quota]]", "a [[other]] cat"), ("a  cat [[quota]]  sat", "a  cat  sat"),
    ],
)  # fmt: skip
def test_the_contract_sees_the_prompt_without_the_mark(prompt: str, seen: str) -> None:
    """A mark goes with the blank before it, so that no double blank is left; the rest stays letter by letter."""
    request = REQUEST._replace(json={"prompt": prompt, "n": 1})
    taken, reserved_value = reserved_values.take_reserved_value(request, "sk-plain")
    assert reserved_value is not None
    assert {"prompt": seen, "n": 1} == taken.json
    assert {"prompt": prompt, "n": 1} == request.json


def test_a_prompt_without_a_reserved_value_keeps_its_blanks() -> None:
    """What is no mark is not touched at all."""
    request = REQUEST._replace(json={"prompt": " a [[b]]  cat "})
    taken, reserved_value = reserved_values.take_reserved_value(request, None)
    assert (None, {"prompt": " a [[b]]  cat "}) == (reserved_value, taken.json)


@pytest.mark.parametrize(
    ("body", "key", "read", "nearest"),
    [
        ({"prompt": "A cat [[rate-limt]]"}, "sk-x", "[[rate-limt]] is no reserved value", "'[[rate-limit]]'"),
        ({"prompt": "[[Rate Limit]] A cat"}, "sk-x", "[[Rate Limit]] is no reserved value", "'[[rate-limit]]'"),
        ({"model": "dall-e-3:quotta"}, "sk-x", "dall-e-3:quotta is no reserved value", "'dall-e-3:quota'"),
        ({"model": "a{b}:quotta"}, "sk-x", "a{b}:quotta is no reserved value", "'a{b}:quota'"),
        ({}, "sk-emulator.rate-limt", "unknown reserved value 'rate-limt'", "'rate-limit'"),
        ({}, "sk-emulater.rate-limit", "the API key is no reserved value", "'rate-limit' behind sk-emulator."),
        ({}, "sk-emulator-moderation", "the API key is no reserved value", "'moderation' behind sk-emulator."),
    ],
)
@pytest.mark.parametrize("gateway", ["ezmodel", "geeknow", "openai"])
def test_a_mark_that_is_nearly_one(
    server: Served, gateway: str, body: dict[str, Any], key: str, read: str, nearest: str
) -> None:
    """It is the finding `unknown_mark`, with the nearest word, whatever becomes of the call."""
    session = stable_id(f"{gateway}{body}{key}")
    sent = {"prompt": "A cat", "model": "dall-e-2", **body}
    response = server.generate(gateway, sent, key=key, **{"x-emulator-session": session})
    assert "unknown_mark" in response.headers["x-emulator-finding"].split(", ")
    (call,) = server.calls(session)
    assert [f"{read}; did you mean {nearest}?"] == [
        finding["message"] for finding in call["findings"] if finding["code"] == "unknown_mark"
    ]


@pytest.mark.parametrize(
    "prompt",
    ["A [[boat]]", "see [[Category:Cats]] and [[quote]]", "[[]] [[ ]] [[x]]", "[[a]" * 5, f"[[{'x' * 500}]]"],
)
def test_links_in_a_prompt_are_no_marks(server: Served, key: str, prompt: str) -> None:
    """Brackets that are like no reserved value are a part of the prompt, without a finding."""
    body = {"prompt": prompt, "model": "dall-e-2", "size": "1024x1024", "n": 1, "response_format": "url"}
    response = server.generate("ezmodel", body, key=key)
    assert (200, False) == (response.status_code, "unknown_mark" in response.headers.get("x-emulator-finding", ""))
    assert prompt == server.calls()[-1]["given"]["prompt"]


def test_only_the_first_marks_are_looked_at(server: Served, key: str) -> None:
    """Of 50,000 different ones, 20 are findings."""
    prompt = " ".join(f"[[rate-limt-{number}]]" for number in range(50_000))
    assert 400 == server.generate("ezmodel", {"prompt": prompt}, key=key).status_code
    assert 20 == len([one for one in server.calls()[-1]["findings"] if one["code"] == "unknown_mark"])
