"""How many calls there have to be, and the words for it: times, once, never, at_least, at_most, between.

One of them at a time; whatever cannot be meant is refused when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from emulator.core import yaml_file


@dataclass(frozen=True)
class Count:
    """How many calls there have to be: at least, and at most (None: any number)."""

    least: int
    most: int | None

    def holds(self, number: int) -> bool:
        """Whether so many are as many as expected."""
        return self.least <= number and (self.most is None or number <= self.most)

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {calls(self.least)}"
        if self.least == self.most:
            return calls(self.least) if self.least else "no call"
        return f"{self.least} to {self.most} calls" if self.least else f"at most {calls(self.most)}"


def read(said: Mapping[str, Any]) -> Count | None:
    """The count that `said` has among its words, None where it has none; raises ValueError, in one line."""
    words = [word for word in COUNTS if word in said]
    if len(words) > 1:
        raise ValueError(f"{' and '.join(words)} stand together; expected one of {', '.join(COUNTS)}")
    return COUNTS[words[0]](words[0], said[words[0]]) if words else None


def calls(number: int) -> str:
    """`1 call`, `2 calls`."""
    return f"{number} call" if number == 1 else f"{number} calls"


def _exactly(word: str, value: Any) -> Count:
    return Count(_whole(word, value), _whole(word, value))


def _once(word: str, value: Any) -> Count:
    _switched_on(word, value)
    return Count(1, 1)


def _never(word: str, value: Any) -> Count:
    _switched_on(word, value)
    return Count(0, 0)


def _between(word: str, value: Any) -> Count:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{word} is {yaml_file.describe(value)}; expected two whole numbers, as in [1, 3]")
    least, most = (_whole(word, one) for one in value)
    if least > most:
        raise ValueError(f"{word} is [{least}, {most}]; expected the lower number first")
    return Count(least, most)


def _switched_on(word: str, value: Any) -> None:
    if value is not True:
        raise ValueError(f"{word} is {yaml_file.describe(value)}; expected true, or to be left out")


def _whole(word: str, value: Any) -> int:
    if value.__class__ is not int or value < 0:
        raise ValueError(f"{word} is {yaml_file.describe(value)}; expected a whole number from 0")
    return int(value)


SOME: Final = Count(1, None)
COUNTS: Final[Mapping[str, Callable[[str, Any], Count]]] = {
    "times": _exactly,
    "once": _once,
    "never": _never,
    "at_least": lambda word, value: Count(_whole(word, value), None),
    "at_most": lambda word, value: Count(0, _whole(word, value)),
    "between": _between,
}
"""The words for a count, and what each makes of its value."""
