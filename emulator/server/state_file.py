"""Reads the state of all sessions from a file at the start, and writes it to one at the end."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.core import strict_json
from emulator.core.file_reading import read_file
from emulator.core.whole_file import write_whole_file
from emulator.session.state import BadState, LoadedState, collect_state, parse_state, restore_all
from emulator.session.store import StoreLost
from emulator.settings import UsageError

if TYPE_CHECKING:
    from emulator.server.app import App

log = logging.getLogger("emulator")


async def import_state(app: App, path: str) -> None:
    """Let the sessions of `app` be as the file at `path` says; raises UsageError where it cannot be used."""
    loaded = await asyncio.to_thread(_read_state, path)
    if app.store.is_shared and await app.store.list_sessions():  # this server, or another one, has used it before
        log.warning("--import %r is left out: the store has sessions already", path)
        return
    await restore_all(loaded, app.sessions, app.store, app.clock)


async def export_state(app: App, path: str) -> bool:
    """Write the state of all sessions of `app`; return whether that worked. The log tells what goes wrong."""
    try:
        names = [session.name for session in await app.sessions.list_sessions()]
        document = await collect_state(app.store, names)
        data = strict_json.format_json(document).encode("utf-8", "backslashreplace")
        write_whole_file(Path(path), data, 0o600)
    except StoreLost as error:
        log.error("--export-on-exit %r cannot be written: %s", path, error)
        return False
    except OSError as error:
        log.error("--export-on-exit %r cannot be written: %s", path, error.strerror or error)
        return False
    return True


def check_folder(path: str) -> None:
    """Raise UsageError unless the folder of `path` is there, and can be written to, and `path` itself is no folder."""
    if Path(path).is_dir():
        raise UsageError(f"--export-on-exit {path!r}: it is a folder; expected a file")
    folder = Path(path).absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"--export-on-exit {path!r}: {str(folder)!r} is no folder that can be written to")


def _read_state(path: str) -> LoadedState:
    where = f"--import {path!r}"
    try:
        document, duplicates = strict_json.parse_json(read_file(Path(path)), strict_json.MOST_STORED_VALUES)
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror or error}") from None
    except strict_json.BadJson as error:
        raise UsageError(f"{where}: it is no JSON: {error}") from None
    if duplicates:
        raise UsageError(f"{where}: {duplicates[0][:100]!r} is given twice")
    try:
        return parse_state(document)
    except BadState as error:
        raise UsageError(f"{where}: {error}") from None
