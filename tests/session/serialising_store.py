"""A store that holds nothing but bytes: it proves that no live object of the server is left in what a session keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator.image.files import FileKind
from emulator.session.store import InMemoryStore, StoredCall


class SerialisingStore(InMemoryStore):
    """Encodes everything to JSON as it comes in, and decodes it as it goes out; fails for what JSON cannot hold."""

    is_shared = True

    async def add_call(self, session: str, call: StoredCall, weight: int) -> None:
        await super().add_call(session, _EncodedCall(call.number, _encode(call.to_plain())), weight)

    async def set_value(self, session: str, name: str, value: Any, now: float, *, restart: bool = False) -> None:
        await super().set_value(session, name, None if value is None else _encode(value), now, restart=restart)

    def known_values(self, session: str) -> Mapping[str, Any]:
        return {name: _decode(value) for name, value in super().known_values(session).items()}

    async def set_task(self, session: str, task: str, value: Any, weight: int, now: float) -> None:
        await super().set_task(session, task, _encode(value), weight, now)

    async def get_task(self, session: str, task: str) -> Any:
        return _decode(await super().get_task(session, task))

    async def keep_file(self, kind: FileKind, digest: str, data: bytes) -> None:
        await super().keep_file(kind, digest, bytes(bytearray(data)))  # a copy; fails for what is no bytes

    async def find_file(self, kind: FileKind, digest: str) -> bytes | None:
        data = await super().find_file(kind, digest)
        return None if data is None else bytes(bytearray(data))


@dataclass(frozen=True)
class _EncodedCall:
    """A call as the bytes of its values."""

    number: int
    encoded: bytes

    def to_plain(self) -> Any:
        return _decode(self.encoded)


def _encode(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode("ascii")


def _decode(encoded: bytes | None) -> Any:
    return None if encoded is None else json.loads(encoded)
