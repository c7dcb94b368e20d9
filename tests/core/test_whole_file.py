"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from emulator.core.whole_file import write_whole_file


def test_a_file_has_its_rights_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for data in (b"one", b"two"):
        write_whole_file(path, data, 0o600)
        assert (data, 0o600) == (path.read_bytes(), path.stat().st_mode & 0o777)
    assert [path] == list(tmp_path.iterdir())


def test_a_link_stays(tmp_path: Path) -> None:
    """What it leads to is written, also where that is not there yet."""
    for name in ("new.json", "old.json"):
        target, link = tmp_path / name, tmp_path / f"link-to-{name}"
        link.symlink_to(target)
        if name == "old.json":
            target.write_bytes(b"old")
        write_whole_file(link, b"data", 0o600)
        assert link.is_symlink()
        assert b"data" == target.read_bytes()


def test_what_is_no_file_stays_what_it_is(tmp_path: Path) -> None:
    """A device, and here a pipe, is written to."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_whole_file(pipe, b"data", 0o600)
    reader.join(10)
    assert [b"data"] == read
    assert pipe.is_fifo()


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_whole_file(tmp_path, b"data", 0o600)
    assert [] == list(tmp_path.iterdir())
