"""The file that describes the emulator's own paths, openapi.yaml, and the lists of words that it names.

The server validates requests by it (spec.py), and the command `mcp` makes its tools from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from emulator.core.data_folders import list_ready_made
from emulator.findings import FINDINGS
from emulator.messages import BEHAVIORS, KINDS, OPERATIONS, PICTURE_WEIGHTS, VIOLATIONS

PATH: Final = Path(__file__).with_name("openapi.yaml")
METHODS: Final = ("get", "put", "post", "delete")
"""The methods that a path item of the file may have."""


def list_words(gateways: Sequence[str] | None) -> Mapping[str, Sequence[str] | None]:
    """Return the words of each list that `x-emulator-enum` may name; `gateways` is None where no server is asked."""
    return {
        "gateways": gateways,
        "behavior": BEHAVIORS,
        "picture_weight": PICTURE_WEIGHTS,
        "operations": OPERATIONS,
        "refusals": (*KINDS, *VIOLATIONS),
        "findings": list(FINDINGS),
        "scenarios": list_ready_made(),
    }


def fill_enums(node: Any, words: Mapping[str, Sequence[str] | None]) -> Any:
    """Return `node` with each `x-emulator-enum` replaced by the enum that it names, if that list is known."""
    if isinstance(node, list):
        return [fill_enums(part, words) for part in node]
    if not isinstance(node, Mapping):
        return node
    filled = {key: fill_enums(part, words) for key, part in node.items() if key != "x-emulator-enum"}
    if "x-emulator-enum" in node:
        listed = words[node["x-emulator-enum"]]
        known = filled.pop("enum", ())
        if listed is not None:
            filled["enum"] = [*known, *listed]
    return filled
