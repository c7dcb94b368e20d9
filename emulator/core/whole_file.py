"""Writes files that are there as a whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write_whole_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file with the rights `mode`; who reads it sees all of it, or what was there before. Raises OSError.

    A symbolic link stays, and what it leads to is written. What is no file, such as a device, is written to as it is.
    """
    from tempfile import mkstemp  # it takes 3 ms, and few starts write a file

    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    handle, unfinished = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.chmod(unfinished, mode)  # the file is the user's alone until then
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise
