"""What becomes of a prompt on its way to the picture: passed on in silence, told again, rewritten, or as a script says.

A rewritten prompt holds the client's own, and is the same for the same call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from emulator.messages import Call, Draw


def revised(call: Call, draw: Draw, seed: int) -> Mapping[str, str]:
    """The `revised_prompt` member, if the model has one, or the script wants one."""
    prompt = text(call.effective.get("prompt"))
    if draw.revised_prompt is not None:
        size = f"{call.pixels[0]}x{call.pixels[1]}"
        names = {"{prompt}": prompt, "{model}": call.model or "", "{size}": size}
        return {"revised_prompt": re.sub(r"\{[a-z]+\}", lambda found: names[found[0]], draw.revised_prompt)}
    match call.response.revised_prompt:
        case "rewritten":
            opening = _OPENINGS[seed % len(_OPENINGS)]
            close = _ENDINGS[seed // len(_OPENINGS) % len(_ENDINGS)]
            subject = prompt.strip().rstrip(".。") or "an open landscape"
            return {"revised_prompt": f"{opening} {subject}. {close}"}
        case "echoed":
            return {"revised_prompt": prompt}
        case "none":
            return {}


def text(value: Any) -> str:
    """A parameter as text; gateways that let anything by get its JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


_OPENINGS: Final = (
    "A detailed picture of", "An inviting scene that shows", "A carefully composed view of", "A vivid depiction of",
    "A finely rendered image of",
)  # fmt: skip
_ENDINGS: Final = (
    "The light is soft and falls from the side.", "Clear colours and a calm composition hold the scene together.",
    "Fine textures are visible up close, and the background recedes gently.", "The mood is quiet and bright.",
    "A shallow depth of field keeps the eye on the subject.",
)  # fmt: skip
