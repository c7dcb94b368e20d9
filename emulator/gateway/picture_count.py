"""Which parameter says how many pictures a call asks for, where that is not `n`: `x-emulator-count`.

The rule is made when a model's schema is read; a call looks up a few values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from emulator.core.light_dataclass import dataclass


@dataclass(frozen=True)
class CountRule:
    """Which parameter of a model is the number of pictures.

    `path` has the name of the parameter, and the names that lead to the number inside of it. The number counts where
    each parameter of `when` has its value; else one picture is made. `usual` is the number of a call that gives none,
    `most` the largest that a call may give. A call makes and brings `with_pictures` together at most, and makes one at
    least; None: what it brings does not count.
    """

    path: Sequence[str]
    when: Mapping[str, Any]
    usual: int = 1
    with_pictures: int | None = None
    most: int = 1
    source: str | None = None

    @property
    def parameter(self) -> str:
        """The number's place, as an error names it."""
        return ".".join(self.path)

    @property
    def parameters(self) -> Sequence[str]:
        """The names of the parameters that decide."""
        return (self.path[0], *self.when)

    def find_number(self, effective: Mapping[str, Any]) -> Any:
        """Return the number in these effective parameters, of whatever type it is."""
        for name, wanted in self.when.items():
            value = effective.get(name)
            if value != wanted or value.__class__ is not wanted.__class__:
                return 1
        value = effective
        for name in self.path:
            if not isinstance(value, Mapping):
                return self.usual
            value = value.get(name)
        if value is None:
            return self.usual
        return value

    def fit_number(self, count: int, brought: int) -> int:
        """Return how many of `count` pictures are made for a call that brings some itself."""
        if self.with_pictures is None:
            return count
        return max(1, min(count, self.with_pictures - brought))


def read_count_rule(keys: Mapping[str, Any] | None) -> CountRule | None:
    """Return the rule under `x-emulator-count`, without its `most`; None where a schema has none."""
    if keys is None:
        return None
    parts = dict(keys)
    path = tuple(parts.pop("parameter").split("."))
    return CountRule(path=path, when=parts.pop("when", _ALWAYS), **parts)


_ALWAYS: Final[Mapping[str, Any]] = {}
