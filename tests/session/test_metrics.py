"""What is counted: every call once, in Prometheus' words, and in no more series than our own words make."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx

from emulator.session.metrics import BUCKETS, Metrics
from tests.conftest import Served

BODY = {"prompt": "A cat", "size": "256x256"}
LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\n"])*",?)*)\})? (\+?[0-9.e+-]+)')


def samples(served: Served) -> dict[str, float]:
    """Every sample, by its name and labels; fails for a text that Prometheus would not read."""
    response = httpx.get(f"{served.url}/_emulator/metrics")
    assert (200, "text/plain; version=0.0.4; charset=utf-8") == (response.status_code, response.headers["content-type"])
    assert response.text.endswith("\n")
    found: dict[str, float] = {}
    families: dict[str, str] = {}
    for line in response.text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in families
            families[name] = kind
            continue
        match = LINE.fullmatch(line)
        assert match, line
        name = re.sub("_(bucket|sum|count)$", "", match[1])
        assert families[name] in ("counter", "gauge", "histogram"), line
        key = line.rpartition(" ")[0]
        assert key not in found
        found[key] = float(match[3])
    return found


def test_calls_are_counted(serve: Callable[..., Served]) -> None:
    """Calls, refusals, findings and pictures, each under the gateway that answered."""
    served = serve()
    served.generate("ezmodel", {**BODY, "n": 2})
    served.generate("ezmodel", {**BODY, "n": 99})
    served.generate("geeknow", {"prompt": "x", "model": "any", "odd": 1, "odder": 1})
    served.generate("aiai", {"prompt": "x", "model": "gpt-image-1", "output_format": "webp"})
    httpx.get(f"{served.base('aiai')}/nothing", headers={"authorization": "Bearer k"})
    found = samples(served)
    for key, count in {
        'emulator_calls_total{gateway="ezmodel",operation="generate",status="200"}': 1,
        'emulator_calls_total{gateway="ezmodel",operation="generate",status="400"}': 1,
        'emulator_calls_total{gateway="aiai",operation="none",status="404"}': 1,
        'emulator_refusals_total{gateway="ezmodel",kind="invalid_request"}': 1,
        'emulator_refusals_total{gateway="aiai",kind="not_found"}': 1,
        'emulator_findings_total{code="unknown_parameter"}': 2,
        'emulator_pictures_total{gateway="ezmodel",format="png"}': 2,
        'emulator_pictures_total{gateway="aiai",format="webp"}': 1,
        'emulator_call_seconds_count{gateway="ezmodel"}': 2,
        'emulator_call_seconds_bucket{gateway="ezmodel",le="+Inf"}': 2,
        "emulator_sessions": 2,
        "emulator_journal_entries": 5,
    }.items():
        assert (key, count) == (key, found.get(key))
    assert found["emulator_journal_bytes"] > 1000
    assert found["process_start_time_seconds"] > 1_700_000_000


def test_seconds_are_those_of_the_emulators_clock(serve: Callable[..., Served]) -> None:
    """A wait that a frozen clock skips counts whole; buckets count also what fits into the smaller ones."""
    served = serve(clock="frozen:2026-01-01T00:00:00Z")
    for latency in ("0s", "2s", "7s", "90s"):
        served.generate("ezmodel", BODY, **{"x-emulator": f"latency={latency}"})
    found = samples(served)
    counts = [found[f'emulator_call_seconds_bucket{{gateway="ezmodel",le="{bound}"}}'] for bound in BUCKETS]
    assert [1 if bound < 2 else 2 if bound < 7 else 3 if bound < 90 else 4 for bound in BUCKETS] == counts
    assert (99, 4) == tuple(found[f'emulator_call_seconds_{part}{{gateway="ezmodel"}}'] for part in ("sum", "count"))


def test_clients_make_no_series(serve: Callable[..., Served]) -> None:
    """Models, paths, methods, sessions and keys are no labels: a thousand of each make no more series than one."""
    served = serve()
    sizes = []
    with httpx.Client(verify=False) as client:
        for round_number in range(2):
            for number in range(30):
                word = f"canary-{round_number}-{number}"
                headers = {"authorization": f"Bearer sk-{word}-0123456789abcdef", "x-emulator-session": word}
                client.post(
                    f"{served.base('geeknow')}/images/generations", headers=headers,
                    json={"prompt": word, "model": word, word: 1, "size": word},
                )  # fmt: skip
                client.request(f"CANARY{number}", f"{served.url}/{word}", headers=headers)
            sizes.append(len(samples(served)))
    assert sizes[0] == sizes[1]
    assert "canary" not in httpx.get(f"{served.url}/_emulator/metrics").text.lower()


def test_labels_are_escaped() -> None:
    """A backslash, a quote and a line's end in a gauge's or label's text cannot break the format."""
    metrics = Metrics()
    metrics._findings[('a"b\\c\nd',)] = 1
    assert 'emulator_findings_total{code="a\\"b\\\\c\\nd"} 1' in metrics.format_text({}).splitlines()
