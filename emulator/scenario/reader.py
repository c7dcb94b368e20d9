"""What the readers of a scenario's parts share: the file they read from, and how a complaint gets its line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.core.yaml_file import YamlFile

Pointer = list[str | int]


@dataclass(frozen=True)
class Reader:
    """Reads the parts of a rule; what other rooms refuse becomes a complaint with its line.

    `folder` is where the tester's own pictures are; None where the script is no file.
    """

    source: YamlFile
    folder: Path | None = None

    def told(self, pointer: Pointer, read: Callable[[Any], Any], value: Any) -> Any:
        """What `read` makes of `value`."""
        try:
            return read(value)
        except (ValueError, TypeError) as error:
            raise self.source.error_at(pointer, str(error)) from None
