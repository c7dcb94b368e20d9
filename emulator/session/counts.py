"""How many calls a test expects, and the words for it: times, once, never, at_least, at_most, between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.core.yaml_file import describe_value

COUNT_WORDS: Final = ("times", "once", "never", "at_least", "at_most", "between")


@dataclass(frozen=True)
class ExpectedCount:
    """How many calls are expected: at least `least`, and at most `most` (None: any number)."""

    least: int
    most: int | None

    def accepts(self, count: int) -> bool:
        """Return whether `count` calls are as many as expected."""
        return self.least <= count and (self.most is None or count <= self.most)

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {count_calls(self.least)}"
        if self.most == 0:
            return "no call"
        if self.least == self.most:
            return count_calls(self.least)
        if self.least == 0:
            return f"at most {count_calls(self.most)}"
        return f"{self.least} to {self.most} calls"


AT_LEAST_ONE: Final = ExpectedCount(1, None)


def parse_count(words: Mapping[str, Any]) -> ExpectedCount | None:
    """Return the count among the words of a verification, None if there is none.

    Raises ValueError, in one line, for two counts and for a value that a word cannot have.
    """
    given = [word for word in COUNT_WORDS if word in words]
    if not given:
        return None
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} stand together; expected one of {', '.join(COUNT_WORDS)}")
    word = given[0]
    return _parse_word(word, words[word])


def count_calls(number: int) -> str:
    """Return the number with its noun: `1 call`, `2 calls`."""
    return "1 call" if number == 1 else f"{number} calls"


def require_true(word: str, value: Any) -> None:
    """Raise ValueError, in one line, if the value of a word that is only ever true is something else."""
    if value is not True:
        raise ValueError(f"{word} is {describe_value(value)}; expected true, or to be left out")


def _parse_word(word: str, value: Any) -> ExpectedCount:
    match word:
        case "once":
            require_true(word, value)
            return ExpectedCount(1, 1)
        case "never":
            require_true(word, value)
            return ExpectedCount(0, 0)
        case "times":
            number = _parse_number(word, value)
            return ExpectedCount(number, number)
        case "at_least":
            return ExpectedCount(_parse_number(word, value), None)
        case "at_most":
            return ExpectedCount(0, _parse_number(word, value))
        case _:
            return _parse_range(word, value)


def _parse_range(word: str, value: Any) -> ExpectedCount:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{word} is {describe_value(value)}; expected two whole numbers, as in [1, 3]")
    least = _parse_number(word, value[0])
    most = _parse_number(word, value[1])
    if least > most:
        raise ValueError(f"{word} is [{least}, {most}]; expected the lower number first")
    return ExpectedCount(least, most)


def _parse_number(word: str, value: Any) -> int:
    if value.__class__ is not int or value < 0:
        raise ValueError(f"{word} is {describe_value(value)}; expected a whole number from 0")
    return int(value)
