"""Keeps what YAML files say from one start to the next: to parse the gateways' files takes 30 ms, to load this 1 ms.

Entries are in a folder of the user's own, which may be deleted at any time. Whatever is wrong with it or with an entry
(no room, no rights, damaged, another's), the file is parsed as if there were no cache; nothing is told and nothing
fails. An entry is used if

- its name has the digest of the file's bytes, of the code that parses, and of Python's version,
- the digest at its beginning is that of the rest, and
- nobody but its owner, who is the user, can write to it and to the folder.

The rest is the value in Python's `marshal` format, which has plain values only and runs no code. An error
message names a line, for which the file is parsed again.

The folder holds for the process, as `accelerators` does; without one nothing is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from emulator.core.yaml_file import YamlFile, load_yaml, parse_yaml, read_text

OFF: Final = "off"
"""The setting that keeps nothing."""


def use_cache_folder(setting: str | None) -> None:
    """Keep values in the folder `setting` from now on, in the whole process; None is the user's cache folder."""
    if setting == OFF:
        _CACHE.folder = None
    elif setting is not None:
        _CACHE.folder = Path(setting)
    else:
        _CACHE.folder = find_cache_folder(os.environ, sys.platform)


def find_cache_folder(environ: Mapping[str, str], platform: str) -> Path | None:
    """Return our folder in the folder that a platform has for caches; None where that is not known."""
    if platform == "win32":
        found = environ.get("LOCALAPPDATA", "")
    elif platform == "darwin":
        found = os.path.join(environ.get("HOME", ""), "Library", "Caches")
    else:
        found = environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(found):  # the specification says so
            found = os.path.join(environ.get("HOME", ""), ".cache")
    if not os.path.isabs(found):
        return None
    return Path(found, "image-api-emulator")


def load_yaml_once(path: Path, aliases: bool = False) -> YamlFile:
    """Return what `load_yaml` does, from the cache if this file was parsed before; raises InvalidFile."""
    folder = _CACHE.folder
    if folder is None:
        return load_yaml(path, aliases)
    text = read_text(path)
    try:
        entry = _Entry(folder, path, text, aliases)
    except (OSError, ValueError):  # the code that parses is in no file that can be looked at
        return parse_yaml(text, path, aliases)
    found = entry.load()
    if found is not None:
        return YamlFile(path, text, found[0])
    file = parse_yaml(text, path, aliases)
    entry.store((file.root,))
    return file


class _Cache:
    """What this process has chosen."""

    folder: Path | None = None


class _Entry:
    """The place of one file's value."""

    def __init__(self, folder: Path, path: Path, text: str, aliases: bool) -> None:
        self.folder = folder
        source = hashlib.blake2b(os.path.abspath(path).encode(errors="surrogateescape"), digest_size=8).hexdigest()
        self._of_file = f"{path.stem[:_LONGEST_STEM]}-{source}-{sys.implementation.cache_tag}{'-a' * aliases}."
        content = hashlib.blake2b(text.encode(), digest_size=16)
        for part in (*_describe_code(), sys.version, str(marshal.version), str(_LAYOUT)):
            content.update(b"\0" + part.encode(errors="surrogateescape"))
        self._key = content.digest()
        self.name = f"{self._of_file}{content.hexdigest()}"

    def load(self) -> Any:
        """Return the value that is kept, None where there is none that can be trusted."""
        try:
            if not _is_ours(os.lstat(self.folder), stat.S_ISDIR):
                return None
            file = os.open(self.folder / self.name, os.O_RDONLY | _ONLY_A_FILE)
            with open(file, "rb") as opened:
                if not _is_ours(os.fstat(file), stat.S_ISREG):
                    return None
                data = opened.read()
            if data[:_DIGEST_SIZE] != self._make_digest(data[_DIGEST_SIZE:]):
                return None
            return marshal.loads(memoryview(data)[_DIGEST_SIZE:])  # noqa: S302 - the digest is right, so it is ours
        except (OSError, ValueError, EOFError, TypeError):
            return None

    def store(self, value: Any) -> None:
        """Keep `value`, unless something is in the way; entries of the same file that are not used any more go."""
        try:
            data = marshal.dumps(value)
            _make_folder(self.folder)
            if _is_ours(os.lstat(self.folder), stat.S_ISDIR):
                self._write(self._make_digest(data) + data)
                self._remove_old()
        except (OSError, ValueError):  # ValueError: a value that marshal does not know
            return

    def _make_digest(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, digest_size=_DIGEST_SIZE, key=self._key).digest()

    def _write(self, data: bytes) -> None:
        """Write the entry at once: whoever reads it sees all of it or nothing."""
        from tempfile import mkstemp  # it takes 3 ms

        file, name = mkstemp(dir=self.folder, prefix=self._of_file, suffix=_UNFINISHED)
        try:
            with open(file, "wb") as opened:
                opened.write(data)
            os.replace(name, self.folder / self.name)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    def _remove_old(self) -> None:
        """Remove the other entries of this file, and the oldest entries of all while there are too many.

        A file that is no entry stays: the user may have named a folder that has other things too.
        """
        kept = []
        for entry in _list_entries(self.folder):
            others = entry.name.startswith(self._of_file) and entry.name != self.name
            if others and not entry.name.endswith(_UNFINISHED):
                os.unlink(entry)
            else:
                kept.append(entry)
        kept.sort(key=lambda entry: entry.stat().st_mtime)
        for entry in kept[:-_MOST_ENTRIES]:
            os.unlink(entry)


def _list_entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as files:
        for file in files:
            if _ENTRY_NAME.fullmatch(file.name) and file.is_file(follow_symlinks=False):
                yield file


def _make_folder(folder: Path) -> None:
    """Make the folder for nobody but the user, and the one above it.

    Not in a folder of somebody else's, as `sudo` might; and no home for a user who has none.
    """
    if not folder.exists():
        parent = folder.parent
        existing = parent
        if not parent.exists():
            existing = parent.parent
        if not hasattr(os, "geteuid") or os.stat(existing).st_uid == os.geteuid():
            parent.mkdir(exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)


def _is_ours(found: os.stat_result, is_kind: Any) -> bool:
    """Whether a file or folder is of the expected kind, and the user's own, and nobody else can write to it."""
    if not is_kind(found.st_mode):
        return False
    if not hasattr(os, "geteuid"):  # Windows: the folder is in the user's profile
        return True
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _describe_code() -> list[str]:
    """Return what tells versions of the code that parses apart: ours and PyYAML's, by their files' places and times.

    A version number would not tell two states of a checkout apart, and to read it takes 30 ms.
    """
    if not _CODE:
        yaml = find_spec("yaml")
        code = []
        for path in (__file__, os.path.join(os.path.dirname(__file__), "yaml_loader.py"), yaml and yaml.origin):
            if path:
                found = os.stat(path)
                code.append(f"{path} {found.st_size} {found.st_mtime_ns}")
        _CODE[:] = code  # at once: other threads see all of it or nothing
    return _CODE


_CACHE: Final = _Cache()
_CODE: Final[list[str]] = []
_LAYOUT: Final = 1  # of an entry
_DIGEST_SIZE: Final = 16  # bytes
_LONGEST_STEM: Final = 40  # characters of a file's name in the name of its entry
_MOST_ENTRIES: Final = 100  # some megabytes
_UNFINISHED: Final = ".new"
_ENTRY_NAME: Final = re.compile(rf".*-[0-9a-f]{{16}}-[\w-]+\.(?:[0-9a-f]{{32}}|\w+{re.escape(_UNFINISHED)})", re.DOTALL)
_ONLY_A_FILE: Final = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
"""Not through a symbolic link, without waiting at a pipe, not for child processes, and on Windows byte for byte."""
