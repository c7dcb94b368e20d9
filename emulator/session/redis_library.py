"""The functions that Redis runs for us: loads them, and writes the commands that call them.

They are a library of Redis functions, with a digest of their text in its name, so that replicas of two versions do not
take each other's functions away. Where functions are forbidden, as at some providers, the same text is a script.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from redis import exceptions

Word = bytes | str | int | float
"""A word of a command."""
Ask = Callable[..., Awaitable[Any]]


class Library:
    """The functions, for keys that begin with `prefix`, which live `lifetime` seconds unless they are used."""

    def __init__(self, prefix: str, lifetime: int) -> None:
        self._source = Path(__file__).with_name("redis_functions.lua").read_text("utf-8")
        self._name = f"image_api_emulator_{hashlib.sha256(self._source.encode()).hexdigest()[:12]}"
        self._prefix = prefix
        self._lifetime = str(lifetime)
        self._script: bytes | None = None
        self.identity: tuple[str, str, int] = ("", "", 0)
        """Epoch of the store, name of this replica, and generation of its connection: each command shows them."""

    async def load(self, ask: Ask) -> None:
        """Let Redis have the functions; `ask` sends a command. Raises ResponseError where it takes neither way."""
        try:
            names = re.findall(r"^function functions\.(\w+)", self._source, re.MULTILINE)
            tail = "\n".join(_AS_FUNCTION.format(library=self._name, name=name) for name in names)
            await ask("FUNCTION", "LOAD", "REPLACE", f"#!lua name={self._name}\n{self._source}{tail}")
            self._script = None
        except exceptions.ResponseError as error:
            if not (isinstance(error, exceptions.NoPermissionError) or "unknown command" in str(error).lower()):
                raise
            self._script = await ask("SCRIPT", "LOAD", f"#!lua\n{self._source}{_AS_SCRIPT}")

    def make_command(self, function: str, arguments: Sequence[Word]) -> tuple[Word, ...]:
        """Return the words of a command that calls `function`."""
        epoch, replica, generation = self.identity
        if self._script is not None:
            return ("EVALSHA", self._script, "1", self._prefix, function, epoch, replica, generation, self._lifetime,
                    *arguments)  # fmt: skip
        return ("FCALL", f"{self._name}_{function}", "1", self._prefix, epoch, replica, generation, self._lifetime,
                *arguments)  # fmt: skip


_AS_FUNCTION: Final = (
    "redis.register_function('{library}_{name}', function(keys, args) return run('{name}', keys, args) end)"
)
_AS_SCRIPT: Final = """
local args = {}
for number = 2, #ARGV do
  args[number - 1] = ARGV[number]
end
return run(ARGV[1], KEYS, args)
"""
