"""jsonschema-rs, which only says that a body is good, and jsonschema, which has the say, think alike."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from emulator.core.bounded_schema import list_errors
from emulator.core.data_folders import find_schemas
from emulator.gateway.gateway import Gateway, load_gateway
from emulator.gateway.openapi import Parameter
from emulator.gateway.rules import ModelRules
from emulator.validation.schema_engines import QuickCheck, build_validator, means_the_same
from emulator.validation.schema_parts import collect_parts

jsonschema_rs = pytest.importorskip("jsonschema_rs")

_FOLDERS = (find_schemas(), find_schemas() / "observed", find_schemas() / "makers")
_FILES = [path for folder in _FOLDERS for path in sorted(folder.glob("*.yaml"))]
_DEEP: Any = 1
for _ in range(60):
    _DEEP = [_DEEP]
_ODD: tuple[Any, ...] = (
    1, 1.0, True, False, None, 0, -1, 0.3, 0.30000000000000004, 2**53, 2**53 - 1, 2**64, 10**30, math.nan, math.inf,
    "", "1024x1024\n", "١٠٢٤x١٠٢٤", "1024x1025", "16x5000", "1024×1024", "auto", "\ud800", "é😀" * 500, "x" * 1001,
    "TEST_sensitive", [], ["a"], {}, {"model": 1}, {"a": {"b": []}}, _DEEP, (1, 2), {1: 2}, b"x", int,
)  # fmt: skip


_BY_TYPE: Mapping[str, list[Any]] = {
    "string": ["ab"],
    "integer": [1],
    "boolean": [True, False],
    "object": [{}],
    "array": [["ab"]],
}
_USUAL = ("prompt", "model")


def _name_file(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


def _list_schemas(gateway: Gateway) -> Iterator[tuple[str, Mapping[str, Parameter]]]:
    """Yield the reference to each schema by which calls are judged, and the parameters that it knows."""
    document = gateway.document
    refs: dict[str, None] = {}
    for operation, models in gateway.iter_validated():
        every: list[ModelRules | None] = [*models.listed.values(), models.otherwise, operation.query]
        for rules in every:
            if rules is not None:
                refs.update(dict.fromkeys(filter(None, (rules.ref, rules.upstream))))
    for ref in refs:
        yield ref, document.read_parameters(document.look_up(ref))


def _list_good(line: Parameter) -> list[Any]:
    """Return values that a parameter may have, more or less."""
    if "enum" in line:
        return list(line["enum"].value)
    good = [line[word].value for word in ("const", "default", "minimum", "maximum") if word in line]
    kind = line["type"].value if "type" in line else ""
    if isinstance(kind, list):  # beside null
        kind = kind[0]
    return good or _BY_TYPE.get(kind, ["ab", 1])


def _make_bodies(parameters: Mapping[str, Parameter], random: Random) -> Iterator[dict[str, Any]]:
    """Yield bodies that are mostly good, and some with one odd value."""
    for index in range(40):
        names = random.sample(list(parameters), min(random.randint(0, 4), len(parameters)))
        body = {name: random.choice(_list_good(parameters[name])) for name in (*names, *_USUAL) if name in parameters}
        if index % 2:
            body[random.choice([*parameters, "zzz"])] = random.choice(_ODD)
        yield body


@pytest.mark.parametrize("path", _FILES, ids=_name_file)
def test_both_engines_take_and_refuse_the_same_bodies(path: Path) -> None:
    """Over every schema that ships; where they could differ, jsonschema-rs is not asked, or says nothing."""
    gateway, random = load_gateway(path), Random(path.stem)
    document, asked = gateway.document, 0
    for ref, parameters in _list_schemas(gateway):
        quick_check, validator = QuickCheck(jsonschema_rs, document, ref), build_validator(document, ref, False)
        is_common = all(map(means_the_same, collect_parts(document, ref).values()))
        for body in _make_bodies(parameters, random):
            is_good = not list_errors(validator, body)
            is_accepted = quick_check.accepts(body)
            assert is_good or not is_accepted or not is_common, (ref, body)
            if is_good and not any(value in _UNTOLD or value.__class__ in _UNPLAIN for value in body.values()):
                assert is_accepted, (ref, body)
                asked += 1
    assert asked >= 10


_UNTOLD = ("\ud800", 2**53, 2**64, 10**30)
_UNPLAIN = (float, tuple, bytes, type, dict)


def test_few_patterns_are_for_jsonschema_alone() -> None:
    """A new pattern is written so that both engines read it alike, or it stands here."""
    found = set()
    for path in _FILES:
        document = load_gateway(path).document
        for ref, _ in _list_schemas(load_gateway(path)):
            waiting = list(collect_parts(document, ref).values())
            while waiting:
                node = waiting.pop()
                if isinstance(node, dict):
                    waiting.extend(node.values())
                    if isinstance(node.get("pattern"), str) and not means_the_same(node):
                        found.add(node["pattern"])
    assert {"(?i)test_sensitive"} == found


@pytest.mark.parametrize(
    ("pattern", "is_common"),
    [
        ("×", True), (r"^[0-9]{2,5}x[0-9]{2,5}(?![\s\S])", True), ("(a|b)+", True),
        (r"\A[0-9]", False), (r"[0-9]\Z", False), ("^[0-9]$", False), (r"\d", False), (r"\w", False), (r"\p{L}", False),
        ("(?s:.)", False), ("(?i)a", False), ("a.b", False), (r"(?!\n)", False), ("[a-z&&b]", False), (r"\.", False),
    ],
)  # fmt: skip
def test_patterns_that_mean_the_same(pattern: str, is_common: bool) -> None:
    """Wherever in a schema a pattern stands."""
    assert is_common is means_the_same({"pattern": pattern})
    assert is_common is means_the_same({"properties": {"a": {"allOf": [{"not": {"pattern": pattern}}]}}})


@pytest.mark.parametrize(("speed", "imported"), [("auto", [False, False, True]), ("off", [False, True, True])])
def test_a_good_body_needs_no_jsonschema(speed: str, imported: list[bool]) -> None:
    """With jsonschema-rs it is imported with the first body that is found wanting, and without it with the first."""
    environment = {**os.environ, "EMULATOR_SPEED": speed}
    command = [sys.executable, "-c", _FIRST_BODIES]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert str(imported) == told.stdout.strip()


_FIRST_BODIES = """
import sys
from emulator.core.data_folders import find_schemas
from emulator.gateway.gateway import load_gateway
from emulator.validation.schema import SchemaValidator
document = load_gateway(find_schemas() / "ezmodel.yaml").document
schema_validator = SchemaValidator(document, "#/components/schemas/DallE2")
found = ["jsonschema" in sys.modules]
for body in ({"prompt": "x"}, {"prompt": 1}):
    schema_validator.find_violations(body)
    found.append("jsonschema" in sys.modules)
print(found)
"""
