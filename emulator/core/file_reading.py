"""Reads the files that a user names: a file without an end and a pipe into which nobody writes end in an OSError."""

from __future__ import annotations

import errno
import os
import select
import stat
from pathlib import Path
from typing import Final

LARGEST_FILE: Final = 128 * 2**20  # bytes; journals, the largest files that are read, have 16 MiB by default
_LOOKS: Final = 100  # at a pipe without a writer: two seconds in all; the shell opens both ends at once
_PAUSE: Final = 0.02  # seconds between two looks


def read_file(path: Path) -> bytes:
    """Return the bytes of the file or pipe at `path`; raises OSError, also where it never ends or never begins."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its other end
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error)) from None
    try:
        first = _read_first(descriptor)
        os.set_blocking(descriptor, True)
        parts, length = [first], len(first)
        while parts[-1]:
            parts.append(os.read(descriptor, _PART))
            length += len(parts[-1])
            if length > LARGEST_FILE:
                raise OSError(errno.EFBIG, f"longer than {LARGEST_FILE} bytes")
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _read_first(descriptor: int) -> bytes:
    """Return the first bytes; empty at the end of a file. Raises OSError for a pipe that has nobody who writes."""
    for _ in range(_LOOKS):
        try:
            first = os.read(descriptor, _PART)
        except BlockingIOError:  # somebody has the other end of the pipe, and has not written yet
            os.set_blocking(descriptor, True)
            first = os.read(descriptor, _PART)
        if first or not _is_pipe(descriptor):
            return first
        select.select([descriptor], [], [], _PAUSE)
    raise OSError(errno.EPIPE, "a pipe into which nobody writes")


def _is_pipe(descriptor: int) -> bool:
    return stat.S_ISFIFO(os.fstat(descriptor).st_mode)


_PART: Final = 2**20  # bytes read at once
