"""Scenarios that several test modules use."""

from __future__ import annotations

import re
from typing import Final

from emulator.core.data_folders import find_docs

PAGE: Final = (find_docs() / "scenarios.md").read_text("utf-8")
BLOCKS: Final = re.findall(r"```yaml\n(scenario: .*?)```", PAGE, re.DOTALL)
BUMPY_MORNING: Final = """\
scenario: bumpy-morning
about: One moderation refusal for weapons; others meet two rate limits and a gateway timeout, then slow pictures.
limits: {images_per_minute: 5, images: 20}
rules:
  - name: no-weapons
    when: {prompt: {contains: weapon}}
    answers: {refuse: moderation}
  - when: {operation: generate, model: [dall-e-3, gpt-image-1]}
    answers:
      - refuse: rate_limit
        headers: {retry-after: "2", retry-after-ms: "20"}
        times: 2
      - canned: {status: 504, content_type: text/html, text: "<h1>504 Gateway Time-out</h1>"}
        latency: 60s
      - draw: {revised_prompt: "A watercolour of {prompt}", usage: {output_tokens: 4160}}
        latency: {lognormal: {median: 8s, p95: 20s, at_most: 60s}}
        faults: [{truncate: {after: 50%}}]
    then: repeat
"""
EVENTFUL: Final = """
scenario: eventful
rules:
  - {name: cats, when: {prompt: {contains: cat}}, answers: {refuse: moderation}}
  - name: weather
    chance: 0.5
    answers:
      - {refuse: overloaded, latency: {lognormal: {median: 8s, p95: 60s}}}
      - {draw: {revised_prompt: "{prompt}, at {size}"}, faults: [garbage]}
      - {canned: {status: 502, text: no}, headers: {x-cause: rain}}
    then: cycle
  - {answers: {latency: {uniform: [1s, 9s]}}}
"""


def list_canned(*texts: str) -> str:
    """A list of canned answers in YAML, one for each text."""
    return "[" + ", ".join(f"{{canned: {{text: {text}}}}}" for text in texts) + "]"


SEQUENCES: Final = [
    ("no rules at all", "rules: []", "DDD"),
    ("a single answer", "rules: [{answers: {refuse: overloaded}}]", "RRR"),
    ("an answer by its word", "rules: [{answers: draw}]", "DDD"),
    ("the last is repeated", f"rules: [{{answers: {list_canned('a', 'b')}}}]", "abbb"),
    ("repeat says so", f"rules: [{{answers: {list_canned('a', 'b')}, then: repeat}}]", "abbb"),
    ("cycle", f"rules: [{{answers: {list_canned('a', 'b', 'c')}, then: cycle}}]", "abcabcab"),
    ("refuse", f"rules: [{{answers: {list_canned('a', 'b')}, then: refuse}}]", "ab!!!"),
    ("next, with no rule below", f"rules: [{{answers: {list_canned('a')}, then: next}}]", "aDD"),
    (
        "next",
        f"rules: [{{answers: {list_canned('a', 'b')}, then: next}}, {{answers: {list_canned('c', 'd')}}}]",
        "abcddd",
    ),
    ("times", "rules: [{answers: [{refuse: quota, times: 3}, {canned: {text: a}, times: 2}, draw]}]", "RRRaaDD"),
    ("times, in a cycle", "rules: [{answers: [{refuse: quota, times: 2}, draw], then: cycle}]", "RRDRRDRR"),
    ("times, then refuse", "rules: [{answers: [{refuse: quota, times: 2}], then: refuse}]", "RR!!"),
    ("times of the last, repeated", "rules: [{answers: [draw, {refuse: quota, times: 2}]}]", "DRRRR"),
    ("chance all", "rules: [{chance: 1, answers: {refuse: quota}}]", "RRRR"),
    ("one turn alone", "rules: [{when: {turn: 2}, answers: {refuse: quota}}]", "DRDD"),
    ("turns from one on", "rules: [{when: {turn: {at_least: 3}}, answers: {refuse: quota}}]", "DDRR"),
]
