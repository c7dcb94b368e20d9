"""Builds the `revised_prompt` of a reply: none, the prompt again, a rewritten one, or the text of a scenario.

A rewritten prompt contains the client's own, and is the same for the same call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from emulator.messages import Call, Draw


def build_revised_prompt(call: Call, draw: Draw, seed: int) -> Mapping[str, str]:
    """Return the member `revised_prompt`, or nothing where neither the model has one nor the scenario sets one."""
    prompt = format_parameter(call.effective.get("prompt"))
    if draw.revised_prompt is not None:
        size = f"{call.pixels[0]}x{call.pixels[1]}"
        values = {"{prompt}": prompt, "{model}": call.model or "", "{size}": size}
        return {"revised_prompt": re.sub(r"\{[a-z]+\}", lambda match: values[match[0]], draw.revised_prompt)}
    revised = revise_prompt(call.response.revised_prompt, prompt, seed)
    if revised is None:
        return {}
    return {"revised_prompt": revised}


def revise_prompt(treatment: Literal["none", "echoed", "rewritten"], prompt: str, seed: int) -> str | None:
    """Return a prompt as a model that treats prompts so repeats it; None where it does not repeat them."""
    match treatment:
        case "rewritten":
            opening = _OPENINGS[seed % len(_OPENINGS)]
            ending = _ENDINGS[seed // len(_OPENINGS) % len(_ENDINGS)]
            subject = prompt.strip().rstrip(".。") or "an open landscape"
            return f"{opening} {subject}. {ending}"
        case "echoed":
            return prompt
        case "none":
            return None


def format_parameter(value: Any) -> str:
    """Return a parameter as text; what is no text, which few gateways let pass, becomes its JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


_OPENINGS: Final = (
    "A detailed picture of", "An inviting scene that shows", "A carefully composed view of", "A vivid depiction of",
    "A finely rendered image of",
)  # fmt: skip
_ENDINGS: Final = (
    "The light is soft and falls from the side.", "Clear colours and a calm composition hold the scene together.",
    "Fine textures are visible up close, and the background recedes gently.", "The mood is quiet and bright.",
    "A shallow depth of field keeps the eye on the subject.",
)  # fmt: skip
