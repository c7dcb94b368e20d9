"""Keeps the local authority in a folder: it is made once, and read by every later start.

Several processes may start at once: one of them makes the authority, the others read it. What is written is there as a
whole or not at all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from emulator.core.file_reading import read_file
from emulator.core.tls_folder import AUTHORITY, AUTHORITY_KEY
from emulator.core.whole_file import write_whole_file
from emulator.server.certificates import Authority, make_authority, read_authority
from emulator.settings import UsageError

log = logging.getLogger("emulator")


def load_authority(folder: Path, now: float) -> Authority:
    """Return the authority that `folder` keeps; it is made where there is none, or where it ends soon.

    `now` is in Unix seconds. Raises UsageError where the folder or a file in it cannot be used.
    """
    try:
        _make_folder(folder)
        _check_owner(folder, folder.stat(), stat.S_IWGRP | stat.S_IWOTH, "chmod go-w")
        found = _read_authority(folder)
        if found is None or found.end - now < _SHORTEST_REST:
            with _hold_folder(folder):
                found = _renew_authority(folder, now)
        _publish_certificate(folder, found)
    except OSError as error:
        raise UsageError(f"--tls-dir {str(folder)!r}: {error.strerror or error}") from None
    return found


def _make_folder(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def _check_owner(path: Path, found: os.stat_result, forbidden: int, mend: str) -> None:
    """Raise UsageError where the path is another user's, or others have rights that are `forbidden`."""
    if not hasattr(os, "geteuid"):  # Windows: the folder is in the user's profile
        return
    if found.st_uid not in (os.geteuid(), 0):
        raise UsageError(f"--tls-dir: {str(path)!r} belongs to another user, who could read the authority's key")
    if found.st_mode & forbidden:
        raise UsageError(f"--tls-dir: others may use {str(path)!r}, and sign certificates with it; {mend} {path}")


def _read_authority(folder: Path) -> Authority | None:
    """Return the authority that is kept; None where there is none."""
    path = folder / AUTHORITY_KEY
    try:
        _check_owner(path, path.stat(), stat.S_IRWXG | stat.S_IRWXO, "chmod 600")
        return read_authority(read_file(path))
    except FileNotFoundError:
        return None
    except ValueError:
        text = f"--tls-dir: {str(path)!r} is no authority; delete it, and a new one is made, which clients must trust"
        raise UsageError(text) from None


def _renew_authority(folder: Path, now: float) -> Authority:
    """Return the authority that another process has made meanwhile, or a new one, which is kept."""
    found = _read_authority(folder)
    if found is not None and found.end - now >= _SHORTEST_REST:
        return found
    made = make_authority(now)
    write_whole_file(folder / AUTHORITY_KEY, made.format(), 0o600)
    if found is not None:
        log.warning(
            "the authority in %s ends soon, or has ended; there is a new one: clients that have a copy of %s need "
            "the new file", folder, AUTHORITY,
        )  # fmt: skip
    return made


def _publish_certificate(folder: Path, authority: Authority) -> None:
    """Let the file that clients read have the certificate of `authority`."""
    path, data = folder / AUTHORITY, authority.format_certificate()
    try:
        if read_file(path) == data:
            return
    except FileNotFoundError:
        pass
    write_whole_file(path, data, 0o644)


@contextlib.contextmanager
def _hold_folder(folder: Path) -> Iterator[None]:
    """Keep other processes from making an authority meanwhile; raises OSError where one takes too long."""
    try:
        import fcntl
    except ImportError:  # Windows: two first starts at the same moment are not noticed
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        for turn in range(_LOOKS):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if turn == _LOOKS - 1:
                    raise
                time.sleep(_PAUSE)
        yield
    finally:
        os.close(handle)


_SHORTEST_REST: Final = 60 * 86_400.0  # seconds that an authority is still valid; an older one is replaced at a start
_LOOKS: Final = 500  # at a folder that another process holds: some ten seconds; to make an authority takes 0.1
_PAUSE: Final = 0.02  # seconds between two looks
