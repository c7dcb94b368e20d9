"""Looks for credentials in what is about to be written to a recording, which people put into repositories.

A recording keeps what is on a list of harmless things; this is the check behind it. It knows two kinds of credentials:
keys that this process has seen, and words that have the shape of one. Both are looked for in a text as it is, and in
what it says when its URL encoding (twice), its JSON escapes or its Base64 are taken off. A hit names the place, never
the value.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote, unquote_plus

from emulator.core import strict_json
from emulator.core.light_dataclass import dataclass
from emulator.core.names import RESERVED_KEY
from emulator.scenario.recordings import STORED
from emulator.session.redaction import LIKE_A_KEY, list_known_keys, names_a_key


class SecretFound(Exception):
    """Something that must not be written; the text says where it is, and how it was recognized."""


@dataclass(frozen=True)
class SecretNets:
    """Searches texts and files for `keys`, and for what looks like a key."""

    keys: tuple[str, ...]

    def check_value(self, value: Any, place: str) -> None:
        """Raise SecretFound where a JSON value, or a name in it, has a credential; `place` says where it stands."""
        if isinstance(value, Mapping):
            for name, part in value.items():
                inner = f"{place}.{name}"
                self.check_text(str(name), f"a name in {place}")
                if names_a_key(str(name)) and _has_text(part):
                    raise SecretFound(f"{inner} has a credential, as its name says")
                if isinstance(part, str) and str(name) in _ACCOUNTS and re.search(_MAIL, part):
                    raise SecretFound(f"{inner} has an e-mail address")
                self.check_value(part, inner)
        elif isinstance(value, list | tuple):
            for index, part in enumerate(value):
                self.check_value(part, f"{place}.{index}")
        elif isinstance(value, str):
            self.check_text(value, place)

    def check_text(self, text: str, place: str) -> None:
        """Raise SecretFound where a text has a credential, in whatever encoding."""
        for view in _list_views(text):
            if any(key in view for key in self.keys):
                raise SecretFound(f"{place} has a key that this process has seen")
            if re.search(LIKE_A_KEY, view) or re.search(_SIGNED, view):
                raise SecretFound(f"{place} has what looks like a key or a signature")

    def check_file(self, name: str, data: bytes, place: str) -> None:
        """Raise SecretFound where a file of a recording has a credential; `name` says what it is."""
        if name.endswith((".txt", ".json")):
            self.check_text(data.decode("utf-8", "replace"), place)
        if name.endswith(".json"):
            with suppress(strict_json.BadJson):
                self.check_value(strict_json.parse_json(data, strict_json.MOST_STORED_VALUES)[0], place)
        for part in (data, *_read_packed_texts(data)):
            self.check_bytes(part, place)
            for run in re.findall(_TWO_BYTES, part):
                self.check_bytes(run.replace(b"\0", b""), place)

    def check_bytes(self, data: bytes, place: str) -> None:
        """Raise SecretFound where a file has a credential; no more is decoded than the file's bytes."""
        for spelled in self._spelled:
            if spelled in data:
                raise SecretFound(f"{place} has a key that this process has seen")
        if re.search(LIKE_A_KEY, data.decode("latin-1")):
            raise SecretFound(f"{place} has what looks like a key")

    @property
    def _spelled(self) -> Iterator[bytes]:
        for key in self.keys:
            yield from _spell(key)


def _has_text(value: Any) -> bool:
    """Return whether a value is a text, stands for one that is in a file, or lists such values."""
    if isinstance(value, list | tuple):
        return any(map(_has_text, value))
    return bool(value) and (isinstance(value, str) or (isinstance(value, Mapping) and STORED in value))


def make_nets(keys: Iterable[str]) -> SecretNets:
    """Return what searches for `keys`, and for all keys that this process has seen.

    The emulator's own keys are no secret, and short ones are words.
    """
    wanted = dict.fromkeys([*keys, *list_known_keys()])
    return SecretNets(tuple(key for key in wanted if len(key) >= _SHORTEST and not key.startswith(RESERVED_KEY)))


def _read_packed_texts(data: bytes) -> Iterator[bytes]:
    """Yield the compressed texts of a PNG file, as far as they can be read: no search sees through them."""
    if not data.startswith(b"\x89PNG"):
        return
    place, looked_at = 8, 0
    while place + 8 <= len(data) and looked_at < _MOST_PACKED:
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        found = None
        if kind in _PACKED_TEXTS:
            found = re.match(_PACKED_TEXTS[kind], data[place + 8 : place + 8 + length], re.DOTALL)
        if found is not None:
            looked_at += 1
            with suppress(zlib.error):
                yield zlib.decompressobj().decompress(found[1], _LONGEST_PACKED)
        place += 12 + length


def _list_views(text: str) -> list[str]:
    """Return a text, and what it says when its encodings are taken off, to the depth of three."""
    views = {text: None}
    newest = [text]
    for _ in range(_DEPTH):
        found = [plain for view in newest for plain in _decode(view) if plain not in views]
        views.update(dict.fromkeys(found))
        newest = list(dict.fromkeys(found))[:_MOST_VIEWS]
    return list(views)


def _decode(text: str) -> Iterator[str]:
    if "%" in text:
        yield unquote_plus(text, errors="replace")
    if "\\" in text:
        plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
        yield re.sub(r"\\(.)", r"\1", plain)
    for run in re.findall(_HEX, text):
        plain = bytes.fromhex(run[: len(run) // 2 * 2]).decode("latin-1")
        if plain.isprintable():
            yield plain
    for run in re.findall(_BASE64, text):
        standard = run.replace("-", "+").replace("_", "/")
        for begin in range(4):  # what it begins with may belong to the text before it
            part = standard[begin:]
            try:
                data = base64.b64decode(part[: len(part) // 4 * 4] + _pad(part))
            except (binascii.Error, ValueError):
                continue
            plain = data.decode("latin-1")
            if sum(map(str.isprintable, plain)) * 10 >= len(plain) * 8:
                yield plain


def _pad(text: str) -> str:
    """Return the last, incomplete group of Base64, filled up."""
    rest = text[len(text) // 4 * 4 :]
    if len(rest) < 2:
        return ""
    return rest + "=" * (4 - len(rest))


def _spell(key: str) -> Iterator[bytes]:
    """Yield a key as it may stand in a file: as it is, URL-encoded once and twice, JSON-escaped, in hex, in Base64."""
    plain = key.encode("utf-8", "surrogatepass")
    once = quote(key, safe="")
    yield from {plain.hex().encode(), plain.hex().upper().encode()}
    yield from {plain, once.encode(), quote(once, safe="").encode(), json.dumps(key)[1:-1].encode()}
    for shift in range(3):  # of three bytes, whichever the key begins with
        encoded = base64.b64encode(b"\0" * shift + plain)
        yield encoded[-(-shift * 8 // 6) : len(encoded) - 4]


_SHORTEST: Final = 8  # characters
_DEPTH: Final = 3
_MOST_VIEWS: Final = 50
_ACCOUNTS: Final = ("user", "safety_identifier", "metadata")
_MAIL: Final = r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}"
_TWO_BYTES: Final = rb"(?:[!-~]\0){8,}[!-~]?"
"""Letters of two bytes each, as EXIF has them, whichever of the two comes first."""
_HEX: Final = r"[0-9A-Fa-f]{16,}"
_PACKED_TEXTS: Final[Mapping[bytes, bytes]] = {
    b"zTXt": rb"[^\0]*\0\0(.*)",
    b"iTXt": rb"[^\0]*\0\x01\0[^\0]*\0[^\0]*\0(.*)",
    b"iCCP": rb"[^\0]*\0\0(.*)",
}
"""By the kind of a PNG's chunk: what stands before its compressed text."""
_MOST_PACKED: Final = 100  # chunks of a picture that are looked into
_LONGEST_PACKED: Final = 2**20  # bytes of a packed text that are looked at
_BASE64: Final = r"[A-Za-z0-9+/_-]{16,}"
_SIGNED: Final = (
    r"(?i)(?:^|[?&;])(?:sig|signature|x-amz-signature|x-amz-security-token|x-amz-credential|x-goog-signature|"
    r"x-goog-credential|token|access_token|api_?key|key|policy|key-pair-id)=[^&\s\"'<>]{6,}|://[^/\s:@?#\"'<>]*:[^/\s@\"'<>]+@"
)
"""A link that is signed, or that has a key in its query or a password before its host."""
