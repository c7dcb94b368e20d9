"""What a session may spend, by its own clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from tests.conftest import Served

AT = "frozen:2026-01-01T00:00:45Z"


@pytest.fixture
def limited(serve: Callable[..., Served]) -> Callable[..., Served]:
    """A server on a clock that stands still a quarter of a minute before the full one, with limits for session s."""

    def begin(rules: Sequence[Any] = (), /, **limits: Any) -> Served:
        served = serve(clock=AT)
        script = {"limits": limits, "rules": list(rules)}
        response = httpx.put(f"{served.url}/_emulator/sessions/s/scenario", json=script)
        assert 200 == response.status_code, response.text
        return served

    return begin


def _ask(served: Served, n: int = 1, session: str = "s") -> httpx.Response:
    return served.generate("ezmodel", {"prompt": "x", "n": n}, **{"x-emulator-session": session})


def _buy(served: Served, gateway: str, model: str, **more: Any) -> httpx.Response:
    return served.generate(gateway, {"model": model, "prompt": "A lake", **more}, **{"x-emulator-session": "s"})


def test_requests_a_minute(limited: Callable[..., Served]) -> None:
    """The third of two is refused with the wait that is left; when it has passed, the next is answered."""
    served = limited(requests_per_minute=2)
    replies = [_ask(served) for _ in range(3)]
    assert [200, 200, 429] == [response.status_code for response in replies]
    assert ("15", "15000") == (replies[2].headers["retry-after"], replies[2].headers["retry-after-ms"])
    assert "Please try again in 15s" in replies[2].json()["error"]["message"]
    assert 200 == _ask(served, session="another").status_code
    httpx.post(f"{served.url}/_emulator/clock", json={"advance": "15s", "session": "s"})
    assert 200 == _ask(served).status_code


def test_pictures_a_minute_and_in_all(limited: Callable[..., Served]) -> None:
    """Pictures count by n; a refused call spends none; in all, the quota's own words are used."""
    served = limited(images_per_minute=5, images=7)
    assert [200, 429, 200] == [_ask(served, n).status_code for n in (4, 2, 1)]
    httpx.post(f"{served.url}/_emulator/clock", json={"advance": "1m"})
    spent = _ask(served, 3)
    assert (429, "insufficient_quota") == (spent.status_code, spent.json()["error"]["code"])
    assert 200 == _ask(served, 2).status_code
    assert "limits: images 7" == served.calls("s")[-2]["refused"]["rule"]


@pytest.mark.parametrize(
    ("limit", "asked", "told", "wait"),
    [
        ({"images_per_minute": 5}, [6], "images per min: Limit 5, Used 0, Requested 6. Visit", None),
        ({"images_per_minute": 5}, [3, 3], "per min: Limit 5, Used 3, Requested 3. Please try again in 15s.", "15"),
        ({"images_per_minute": 0}, [1], "images per min: Limit 0, Used 0, Requested 1. Visit", None),
        ({"requests_per_minute": 1}, [4, 2], "(RPM): Limit 1, Used 1, Requested 1. Please try again in 15s.", "15"),
        ({"requests_per_minute": 0}, [4], "requests per min (RPM): Limit 0, Used 0, Requested 1. Visit", None),
    ],
)  # fmt: skip
def test_the_numbers_of_a_limit(
    limited: Callable[..., Served], limit: dict[str, int], asked: list[int], told: str, wait: str | None
) -> None:
    """Limit, used and requested are of this limit, in its own unit; no wait is told where none would help."""
    served = limited(**limit)
    refused = [_ask(served, n) for n in asked][-1]
    assert 429 == refused.status_code
    assert told in refused.json()["error"]["message"]
    assert (wait, wait and f"{wait}000") == (
        refused.headers.get("retry-after"),
        refused.headers.get("retry-after-ms"),
    )


def test_the_numbers_of_an_account(limited: Callable[..., Served]) -> None:
    """new-api names what is left and what was needed, and only 0 where nothing is left."""
    served = limited(cost=0.1)
    observed = {"x-emulator-session": "s", "x-emulator": "behavior=observed"}
    body = {"model": "dall-e-3", "prompt": "A lake"}  # 0.04
    replies = [served.generate("geeknow", body, **observed) for _ in range(3)]
    assert [200, 200, 403] == [one.status_code for one in replies]
    message = replies[2].json()["error"]["message"]
    assert message.startswith("预扣费额度失败, 用户剩余额度: ＄0.020000, 需要预扣费额度: ＄0.040000 (request id: ")


def test_a_list_of_models_above_the_limit(limited: Callable[..., Served]) -> None:
    """It has no model of its own, so the message names the gateway's usual one."""
    served = limited(requests_per_minute=0)
    headers = {"x-emulator-session": "s", "authorization": "Bearer sk-test"}
    refused = httpx.get(f"{served.base('ezmodel')}/models", headers=headers)
    assert refused.json()["error"]["message"].startswith("Rate limit reached for dall-e-2 on requests per min")


def test_a_date_is_a_wait(limited: Callable[..., Served]) -> None:
    """A scripted refusal whose header gives a date names the seconds until then, by the session's clock."""
    answer = {"refuse": "rate_limit", "headers": {"retry-after": "Thu, 01 Jan 2026 00:01:15 GMT"}}
    refused = _ask(limited([{"answers": answer}]))
    assert "Please try again in 30s." in refused.json()["error"]["message"]
    assert "retry-after-ms" not in refused.headers


def test_dollars(limited: Callable[..., Served]) -> None:
    """A call that costs more than what is left is refused as a used-up budget is; a cheaper one still goes."""
    served = limited(cost=0.1)
    asked = [
        _buy(served, "ezmodel", "dall-e-2", n=2),  # 0.04
        _buy(served, "ezmodel", "dall-e-3", size="1024x1792"),  # 0.08
        _buy(served, "ezmodel", "dall-e-3"),  # 0.04
        _buy(served, "ezmodel", "dall-e-2", size="512x512"),  # 0.018
        _buy(served, "ezmodel", "dall-e-2", size="256x256"),  # 0.016
        _buy(served, "ezmodel", "dall-e-3"),
    ]
    assert [200, 400, 200, 200, 400, 400] == [response.status_code for response in asked]
    assert "billing_hard_limit_reached" == asked[1].json()["error"]["code"]
    assert "retry-after" not in asked[1].headers
    assert "limits: cost 0.1" == served.calls("s")[-1]["refused"]["rule"]
    assert 200 == served.generate("ezmodel", {"prompt": "x", "n": 10}).status_code  # another session


def test_dollars_to_the_last(limited: Callable[..., Served]) -> None:
    """Many small amounts add up without an error of rounding: the ceiling itself can be spent, and nothing above."""
    served = limited(cost=0.3)
    statuses = [_buy(served, "ezmodel", "dall-e-2", n=5).status_code for _ in range(4)]
    assert [200, 200, 200, 400] == statuses


def test_dollars_for_tokens(limited: Callable[..., Served]) -> None:
    """A model that is paid by the token costs what its tokens do: 272 for a square of low quality, and the prompt's."""
    ask: dict[str, Any] = {"quality": "low", "size": "1024x1024"}
    each = (8 * 5 + 272 * 40) / 1e6
    served = limited(cost=2 * each)
    assert [200, 200, 400] == [_buy(served, "aiai", "gpt-image-1", **ask).status_code for _ in range(3)]


def test_no_money_at_all(limited: Callable[..., Served]) -> None:
    """At 0 dollars every picture with a price is refused, and a list of models is not."""
    served = limited(cost=0)
    assert 400 == _buy(served, "ezmodel", "dall-e-2").status_code
    headers = {"x-emulator-session": "s", "authorization": "Bearer sk-test"}
    listed = httpx.get(f"{served.base('ezmodel')}/models", headers=headers)
    assert (200, None) == (listed.status_code, listed.headers.get("x-emulator-finding"))


@pytest.mark.parametrize("rules", [[], [{"answers": "draw"}]], ids=["no rules", "a rule"])
def test_a_price_that_nobody_knows(limited: Callable[..., Served], rules: list[Any]) -> None:
    """The call passes, nothing is counted, and a finding says that the ceiling could not be applied."""
    served = limited(rules, cost=0.02)
    for gateway, model in (("geekai", "cogview-4"), ("geeknow", "flux-pro")):
        response = _buy(served, gateway, model)
        assert 200 == response.status_code
        assert "cost_unknown" in response.headers["x-emulator-finding"].split(", ")
        told = {finding["code"]: finding for finding in served.calls("s")[-1]["findings"]}["cost_unknown"]
        assert (f"nobody knows what {model!r} costs", "model") == (told["message"], told["param"])
    response = _buy(served, "ezmodel", "dall-e-2")
    assert (200, False) == (response.status_code, "cost_unknown" in response.headers.get("x-emulator-finding", ""))
    assert 400 == _buy(served, "ezmodel", "dall-e-2").status_code


def test_without_a_ceiling_no_price_is_missed(limited: Callable[..., Served]) -> None:
    """The finding belongs to a limit on cost, and to no other."""
    served = limited(images=5)
    assert "cost_unknown" not in _buy(served, "geekai", "cogview-4").headers.get("x-emulator-finding", "")


def test_only_what_is_made_is_paid(limited: Callable[..., Served]) -> None:
    """A scripted refusal is free, a batch that moderation has sifted costs what is left, a canned answer all of it."""
    answers = [{"refuse": "moderation"}, {"draw": {"images": 1}}, {"canned": {"status": 504}}, "draw"]
    served = limited([{"answers": answers}], cost=0.16)
    replies = [_buy(served, "ezmodel", "dall-e-2", n=4).status_code for _ in range(3)]  # 0, 0.02 and 0.08
    assert [400, 200, 504] == replies
    assert [400, 200, 400] == [_buy(served, "ezmodel", "dall-e-2", n=n).status_code for n in (4, 3, 1)]
    assert "limits: cost 0.16" == served.calls("s")[-1]["refused"]["rule"]


def test_what_is_refused_for_money_spends_no_pictures(limited: Callable[..., Served]) -> None:
    """One ceiling's refusal leaves the others as they were."""
    served = limited(cost=0.04, images=2, images_per_minute=2)
    assert [400, 200] == [_buy(served, "ezmodel", model, **ask).status_code for model, ask in (
        ("dall-e-3", {"quality": "hd"}), ("dall-e-2", {"n": 2}),
    )]  # fmt: skip


def test_a_breach_of_the_contract_spends_nothing(limited: Callable[..., Served]) -> None:
    """What the contract refuses does not count."""
    served = limited(requests_per_minute=1)
    assert [400, 200, 429] == [_ask(served, n).status_code for n in (99, 1, 1)]


@pytest.mark.parametrize(
    "limits", [{"images": -1}, {"images": True}, {"images": "5"}, {"pictures": 5}, [], {"cost": -1}]
)
def test_limits_that_are_none(serve: Callable[..., Served], limits: Any) -> None:
    """They are refused when they are given, with the line and the known words."""
    response = httpx.put(f"{serve().url}/_emulator/sessions/s/scenario", json={"limits": limits})
    assert 400 == response.status_code
    assert "scenario:1: " in response.json()["error"]["message"]
