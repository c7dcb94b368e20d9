"""Warnings of which one in a minute is enough: what causes them may come a thousand times a second."""

from __future__ import annotations

import errno
import logging
import time
from typing import Final

log = logging.getLogger("emulator")


def warn_rarely(text: str) -> None:
    """Log the warning, unless it was logged within the last minute."""
    now = time.monotonic()
    last = _last.get(text)
    if last is None or now - last >= _INTERVAL:
        _last[text] = now
        log.warning("%s (said once a minute at most)", text)


def is_out_of_files(error: object) -> bool:
    """Whether `error` says that the system gives no more files and connections; then the log says so in one line."""
    if not isinstance(error, OSError) or error.errno not in _OUT_OF_FILES:
        return False
    warn_rarely(f"no new connections at present: {error.strerror} (`ulimit -n` shows how many files may be open)")
    return True


_OUT_OF_FILES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # those that asyncio waits out
_INTERVAL: Final = 60.0  # seconds
_last: dict[str, float] = {}
