"""A file that a user names is read, or an OSError says at once why not."""

import os
import threading
from pathlib import Path

import pytest

from emulator.core import file_reading
from emulator.core.file_reading import read_file


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    """A file longer than one part comes whole, and an empty one is empty."""
    path = tmp_path / "file"
    path.write_bytes(b"ab" * 2**20)
    assert read_file(path) == b"ab" * 2**20
    path.write_bytes(b"")
    assert read_file(path) == b""


@pytest.mark.parametrize(
    ("name", "reason"),
    [("", "directory"), ("missing", "No such file"), ("a\0b", "null"), ("pipe", "nobody writes"), ("zero", "longer")],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, a pipe without a writer and a file without an end are errors, and none waits for ever."""
    monkeypatch.setattr(file_reading, "_PAUSE", 0.0)
    monkeypatch.setattr(file_reading, "LARGEST_FILE", 3 * 2**20)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(OSError, match=reason):
        read_file(tmp_path / name)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """Whoever writes into a pipe is waited for: the shell's `<(...)` and /dev/stdin are pipes."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"rules: []",))
    writer.start()
    assert read_file(path) == b"rules: []"
    writer.join()
