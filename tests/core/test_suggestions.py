"""A misspelt word is answered with the known words, the nearest of them named."""

from __future__ import annotations

import pytest

from emulator.core.suggestions import describe_known, describe_unknown, nearest_word

WORDS = ("host", "port", "public_url", "report_only")


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("prot", "port"), ("hots", "host"), ("public-url", "public_url"), ("Report_Only", "report_only"),
        ("reportonly", "report_only"), ("boredom", None), ("", None), ("x" * 100_000, None),
    ],
)  # fmt: skip
def test_the_nearest_word(word: str, nearest: str | None) -> None:
    """Swapped letters, another case and `-` for `_` are recognised; a word like no other has no suggestion."""
    assert nearest == nearest_word(word, WORDS)


def test_a_message() -> None:
    """It quotes the word, lists the known words, and names the nearest where there is one."""
    assert "unknown key 'prot'; known are host, port; did you mean 'port'?" == describe_unknown(
        "key", "prot", ("host", "port")
    )
    assert "unknown key 'boredom'; known are host, port" == describe_unknown("key", "boredom", ("host", "port"))
    assert "known are none" == describe_known("boredom", ())


def test_a_long_word_is_cut() -> None:
    """A word from the network does not make a message long."""
    assert len(describe_unknown("key", "x" * 100_000, WORDS)) < 250
