"""The files that a recipe names by their digest: uploads, and testers' own pictures.

A call holds its own files while it is answered, so that its pictures can be drawn whatever the store drops meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, Protocol

from emulator.core.light_dataclass import dataclass

FileKind = Literal["upload", "picture"]
"""An upload of a call, or a tester's own picture; the bytes of each kind are bounded apart."""

Files = Mapping[str, bytes]
"""The files that a call holds, by their digest. Digests of the two kinds differ in length."""

NO_FILES: Final[Files] = MappingProxyType({})


class FileStore(Protocol):
    """Keeps files by digest, whatever session they came in: a link's recipe has nothing but the digest.

    The digest of an upload is the first 32 hex digits of its SHA-256; that of a tester's own picture is a BLAKE2b of 16
    hex digits.
    """

    async def keep_file(self, kind: FileKind, digest: str, data: bytes) -> None:
        """Keep a file, or count a kept one as used; the longest unused ones of its kind make room.

        A file that is larger than the bound of its kind is not kept.
        """
        ...

    async def find_file(self, kind: FileKind, digest: str) -> bytes | None:
        """Return the file and count it as used; None where it is not kept, or not any more."""
        ...


class MissingFile(Exception):
    """A recipe names a tester's own picture that is not kept any more."""


@dataclass(frozen=True)
class EditInputs:
    """The files that an edit works on: a picture, and a mask whose transparent parts are repainted."""

    image: bytes
    mask: bytes | None = None


def guess_format(data: bytes) -> str | None:
    """Return the format that the first bytes of `data` promise; None where they promise none of ours."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return None


def guess_media_type(data: bytes) -> str:
    """Return the media type of a picture by its first bytes; application/octet-stream for other bytes."""
    kind = guess_format(data)
    if kind is None:
        return "application/octet-stream"
    return f"image/{kind}"
