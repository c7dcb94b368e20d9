"""The requests that the benchmark sends."""

from __future__ import annotations

from typing import Final

from tests.bench.load import NUMBER
from tests.bench.servers import Shot

PATH: Final = "/v1/images/generations"
_PROMPT: Final = "a siamese cat on a windowsill in the morning light, seen from the garden"
OWN: Final = f"{_PROMPT}, {NUMBER}"
_BODY: Final = {"model": "dall-e-3", "prompt": _PROMPT, "n": 1, "size": "1024x1024", "quality": "standard"}
B64: Final = {**_BODY, "response_format": "b64_json"}
SMALL: Final = {"model": "dall-e-2", "prompt": _PROMPT, "size": "512x512", "response_format": "b64_json"}
FIVE_RULES: Final = """\
rules:
  - {when: {prompt: {contains: weapon}}, answers: {refuse: moderation}}
  - {when: {model: [gpt-image-1, dall-e-2]}, answers: {refuse: overloaded}}
  - {when: {n: {at_least: 2}, size: {not: 1024x1024}}, answers: {refuse: rate_limit}}
  - {when: {headers: {x-team: blue}}, answers: {refuse: forbidden}}
  - answers: [draw]
"""
SESSION: Final = "scripted"
GENERATE: Final = Shot("POST", PATH, {**_BODY, "response_format": "url"})
UNIQUE: Final = Shot("POST", PATH, {**_BODY, "prompt": OWN, "response_format": "url"})
SCRIPTED: Final = Shot("POST", f"/s/{SESSION}{PATH}", {**_BODY, "response_format": "url"})
REFUSED: Final = Shot("POST", PATH, {**_BODY, "size": "1024x1025"}, 400)
_GPT: Final = {"model": "gpt-image-1", "prompt": OWN, "quality": "low", "size": "1024x1024"}
WHOLE: Final = Shot("POST", f"/aiai{PATH}", _GPT)
STREAM: Final = Shot("POST", f"/aiai{PATH}", {**_GPT, "stream": True, "partial_images": 3})
EVENTS: Final = 4  # of STREAM
EDIT: Final = Shot("POST", "/v1/images/edits", {**SMALL, "prompt": OWN}, upload=1024)
HEALTH: Final = Shot("GET", "/_emulator/health")
