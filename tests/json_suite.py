"""The JSON parsing test suite in `tests/data/json-test-suite`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.paths import TESTS

SUITE: Final = TESTS / "data" / "json-test-suite" / "test_parsing"


def read_suite(prefix: str) -> Mapping[str, bytes]:
    """The suite's files whose names begin with `prefix`."""
    return {path.name: path.read_bytes() for path in sorted(SUITE.iterdir()) if path.name.startswith(prefix)}
