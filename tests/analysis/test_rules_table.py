"""The table of rules has what a call meets, also where that is no keyword of a single parameter."""

from __future__ import annotations

from pathlib import Path

from emulator.analysis.rules_table import list_rules
from emulator.gateway.gateway import load_gateway

OWN = """
openapi: 3.1.0
info: {title: Own, version: "1"}
servers: [{url: https://own.test/v1}]
paths:
  /images/generations:
    post:
      requestBody:
        content:
          application/json:
            schema:
              type: object
              x-emulator-pixels:
                {tier: shape, ratio: ratio, tiers: {wide: 20x10}, sizes: {"wide 1:2": 10x20}, source: observed}
              not: {required: [seed, shape], properties: {shape: {const: wide}}}
              x-emulator-source: {not: assumed}
              properties:
                prompt: {type: string, maxLength: 500}
                shape: {enum: [wide]}
                ratio: {type: string}
                seed: {type: integer}
                sources: {type: array, minItems: 2}
      responses: {"200": {description: The pictures}}
"""


def test_rules_of_more_than_one_parameter(tmp_path: Path) -> None:
    """What a schema's `not` refuses, the pixels of words, and the least number of a list's members."""
    path = tmp_path / "own.yaml"
    path.write_text(OWN, "utf-8")
    found = {(row.parameter, row.rule, row.source) for row in list_rules(load_gateway(path))}
    assert {
        ("sources", "array; at least 2 of them", "unmarked"),
        ("shape", "wide is drawn in 20x10", "observed"),
        ("ratio", "wide 1:2 is drawn in 10x20", "observed"),
        ("(together)", "refused when shape is wide and seed is given", "assumed"),
    } <= found
