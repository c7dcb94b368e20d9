"""Writes JUnit XML, the form of test results that CI systems read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from emulator.core.light_dataclass import dataclass


@dataclass(frozen=True)
class TestResult:
    """One test: `suite` and `name` say which, `failure` what has failed, in lines, `skipped` why nothing was tested.

    Both are None for a test that has passed. The first line of a failure is its summary.
    """

    __test__ = False  # pytest takes classes of this name for its own

    suite: str
    name: str
    failure: str | None = None
    skipped: str | None = None


def format_junit(name: str, results: Sequence[TestResult]) -> str:
    """Return the results as one XML document, with a suite for each of their suites."""
    suites: dict[str, list[TestResult]] = {}
    for result in results:
        suites.setdefault(result.suite, []).append(result)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites name={_quote(name)} {_count(results)}>"]
    for suite, own in suites.items():
        lines.append(f"  <testsuite name={_quote(suite)} {_count(own)}>")
        lines += map(_format_case, own)
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>", ""])


def _format_case(result: TestResult) -> str:
    begin = f'    <testcase classname={_quote(result.suite)} name={_quote(result.name)} time="0"'
    if result.failure is not None:
        summary = result.failure.partition("\n")[0]
        text = escape(_clean(result.failure))
        return f'{begin}><failure type="difference" message={_quote(summary)}>{text}</failure></testcase>'
    if result.skipped is not None:
        return f"{begin}><skipped message={_quote(result.skipped)}/></testcase>"
    return f"{begin}/>"


def _count(results: Iterable[TestResult]) -> str:
    listed = list(results)
    failures = sum(one.failure is not None for one in listed)
    skipped = sum(one.skipped is not None for one in listed)
    return f'tests="{len(listed)}" failures="{failures}" errors="0" skipped="{skipped}" time="0"'


def _quote(text: str) -> str:
    return quoteattr(_clean(text))


def _clean(text: str) -> str:
    """Return a text without the characters that XML has no place for."""
    return _NO_XML.sub("\ufffd", text)


_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
