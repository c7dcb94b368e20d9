"""What YAML files say is kept from one start to the next, and nothing but the speed depends on it."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator
from emulator.core import parse_cache, yaml_loader
from emulator.core.data_folders import find_schemas
from emulator.core.parse_cache import find_cache_folder, load_yaml_once, use_cache_folder
from emulator.core.yaml_file import InvalidFile, load_yaml
from emulator.gateway.gateway import load_shipped_gateway

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the rights of files are others there")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of the cache, which is not made yet."""
    before = parse_cache._CACHE.folder
    chosen = tmp_path / "caches" / "own"
    use_cache_folder(str(chosen))
    yield chosen
    parse_cache._CACHE.folder = before


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.yaml"
    path.write_text("a: 1\nb:\n  - {c: text}\n  - null\n")
    return path


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were parsed."""
    paths: list[Path] = []
    parse = yaml_loader.load_text

    def load_text(text: str, path: Path, *, aliases: bool) -> Any:
        paths.append(path)
        return parse(text, path, aliases=aliases)

    monkeypatch.setattr(yaml_loader, "load_text", load_text)
    return paths


@pytest.mark.parametrize("path", sorted(find_schemas().rglob("*.yaml")), ids=lambda path: str(path.stem))
def test_what_is_kept_is_what_is_parsed(path: Path, parsed: list[Path]) -> None:
    first, second = load_yaml_once(path, True), load_yaml_once(path, True)
    assert parsed == [path]
    assert repr(first.root) == repr(second.root) == repr(load_yaml(path, True).root)
    assert first.text == second.text


def test_lines_of_errors_are_told_for_what_is_kept_too(source: Path) -> None:
    load_yaml_once(source)
    assert str(load_yaml_once(source).error_at(["b", 1], "wrong")) == f"{source}:4: wrong"


def test_a_wrong_file_is_wrong_each_time(source: Path, folder: Path) -> None:
    source.write_text("a: [1\n")
    for _ in range(2):
        with pytest.raises(InvalidFile, match=r"source\.yaml:1: "):
            load_yaml_once(source)
    assert not folder.exists()


def test_aliases_are_refused_for_what_was_kept_with_them(source: Path) -> None:
    source.write_text("a: &name [1]\nb: *name\n")
    assert load_yaml_once(source, aliases=True).root == {"a": [1], "b": [1]}
    with pytest.raises(InvalidFile, match="alias"):
        load_yaml_once(source)


def test_a_changed_file_is_parsed_and_takes_the_place_of_its_entry(
    source: Path, folder: Path, parsed: list[Path]
) -> None:
    load_yaml_once(source)
    (other := source.with_name("other.yaml")).write_text("a: 2")
    load_yaml_once(other)
    source.write_text("a: 3")
    assert load_yaml_once(source).root == {"a": 3}
    assert parsed == [source, other, source]
    assert sorted(name.partition("-")[0] for name in os.listdir(folder)) == ["other", "source"]


def test_another_version_of_the_code_parses_again(
    source: Path, folder: Path, parsed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_yaml_once(source)
    monkeypatch.setattr(parse_cache, "_CODE", ["other"])
    load_yaml_once(source)
    assert (parsed, len(os.listdir(folder))) == ([source, source], 1)


def test_folder_and_entries_are_the_users_alone(source: Path, folder: Path) -> None:
    load_yaml_once(source)
    (entry,) = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(entry.stat().st_mode)) == (0o700, 0o600)


def damage_each_byte(entry: Path) -> None:
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 1
    entry.write_bytes(data)


def put_another_entry(entry: Path) -> None:
    (other := entry.parent.parent / "x.yaml").write_text("a: stolen")
    load_yaml_once(other)
    (foreign,) = entry.parent.glob("x-*")
    foreign.replace(entry)


def put_link(entry: Path) -> None:
    entry.replace(entry.parent.parent / "elsewhere")
    entry.symlink_to(entry.parent.parent / "elsewhere")


def put_folder(entry: Path) -> None:
    entry.unlink()
    entry.mkdir()


def put_pipe(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry, 0o600)


def link_folder(entry: Path) -> None:
    entry.parent.replace(entry.parent.parent / "elsewhere")
    entry.parent.symlink_to(entry.parent.parent / "elsewhere")


@pytest.mark.parametrize("spoil", [
    damage_each_byte,
    put_another_entry,
    put_link,
    put_folder,
    put_pipe,
    link_folder,
    lambda entry: entry.write_bytes(b""),
    lambda entry: entry.write_bytes(entry.read_bytes()[:-1]),
    lambda entry: entry.write_bytes(entry.read_bytes() + b"\0"),
    lambda entry: entry.chmod(0o620),
    lambda entry: entry.chmod(0o602),
    lambda entry: entry.parent.chmod(0o770),
    lambda entry: entry.unlink(),
])  # fmt: skip
def test_what_is_not_as_it_was_written_is_parsed_again(
    source: Path, folder: Path, parsed: list[Path], spoil: Callable[[Path], None]
) -> None:
    load_yaml_once(source)
    (entry,) = folder.iterdir()
    spoil(entry)
    assert load_yaml_once(source).root == {"a": 1, "b": [{"c": "text"}, None]}
    assert parsed.count(source) == 2


def test_what_belongs_to_somebody_else_is_not_used(
    source: Path, parsed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_yaml_once(source)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    load_yaml_once(source)
    assert parsed == [source, source]


@pytest.mark.parametrize(
    "place", ["a file", "below a file", "another's folder", "a home that is not there", "a name with NUL"]
)
def test_a_folder_that_cannot_be_made_is_no_error(
    place: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {
        "a file": source,
        "below a file": source / "below",
        "another's folder": tmp_path / "new",
        "a home that is not there": tmp_path / "new" / ".cache" / "own",
        "a name with NUL": Path(f"{tmp_path}/a\0b"),
    }[place]
    if place == "another's folder":
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    use_cache_folder(str(chosen))
    for _ in range(2):
        assert load_yaml_once(source).root["a"] == 1
    assert place == "a file" or not (tmp_path / "new").exists()


@pytest.mark.parametrize("failing", ["replace", "unlink", "scandir"])
def test_a_full_disk_is_no_error_and_leaves_nothing_half_written(
    failing: str, source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    load_yaml_once(source)
    source.write_text("a: 4")
    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        assert load_yaml_once(source).root == {"a": 4}
    assert not list(folder.glob("*.new"))
    assert load_yaml_once(source).root == {"a": 4}


def test_what_marshal_does_not_know_is_not_kept(source: Path, folder: Path, parsed: list[Path]) -> None:
    source.write_text("a: !!timestamp 2026-01-01\n")
    assert load_yaml_once(source).root == load_yaml_once(source).root
    assert (parsed, folder.exists()) == ([source, source], False)


def test_the_oldest_entries_go_where_there_are_too_many(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse_cache, "_MOST_ENTRIES", 2)
    for number, name in enumerate(("one", "two", "three")):
        (path := source.with_name(f"{name}.yaml")).write_text("a: 1")
        load_yaml_once(path)
        (entry,) = folder.glob(f"{name}-*")
        os.utime(entry, (number, number))
    assert sorted(name.partition("-")[0] for name in os.listdir(folder)) == ["three", "two"]


def test_files_that_are_no_entries_stay(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder may be one where the user has other things."""
    load_yaml_once(source)
    (entry,) = folder.iterdir()
    others = {"letter.txt", "source.yaml", entry.name.partition(".")[0], f"{entry.name}.bak", f"old-{entry.name}x"}
    for name in others:
        (folder / name).write_text("mine")
        os.utime(folder / name, (0, 0))
    (folder / f"{entry.name.partition('.')[0]}.kil_led1.new").write_text("unfinished")
    monkeypatch.setattr(parse_cache, "_MOST_ENTRIES", 1)
    source.write_text("a: 2")
    load_yaml_once(source)
    assert others <= set(os.listdir(folder))
    assert len(os.listdir(folder)) == len(others) + 1


def test_nothing_is_kept_where_it_is_off(source: Path, folder: Path, parsed: list[Path]) -> None:
    use_cache_folder("off")
    load_yaml_once(source)
    load_yaml_once(source)
    assert (parsed, folder.exists()) == ([source, source], False)


@pytest.mark.parametrize(("platform", "environ", "expected"), [
    ("linux", {"HOME": "/home/ann"}, "/home/ann/.cache/image-api-emulator"),
    ("linux", {"HOME": "/home/ann", "XDG_CACHE_HOME": "/caches"}, "/caches/image-api-emulator"),
    ("linux", {"HOME": "/home/ann", "XDG_CACHE_HOME": "caches"}, "/home/ann/.cache/image-api-emulator"),
    ("darwin", {"HOME": "/Users/ann"}, "/Users/ann/Library/Caches/image-api-emulator"),
    ("win32", {"LOCALAPPDATA": "/Local"}, "/Local/image-api-emulator"),
    ("win32", {}, None),
    ("linux", {}, None),
])  # fmt: skip
def test_the_folder_is_where_the_platform_has_caches(
    platform: str, environ: dict[str, str], expected: str | None
) -> None:
    assert find_cache_folder(environ, platform) == (Path(expected) if expected else None)


def test_an_emulator_keeps_what_the_gateways_say(tmp_path: Path) -> None:
    answers = []
    for _ in range(2):
        load_shipped_gateway.cache_clear()  # as in a new process
        with Emulator(cache_dir=tmp_path / "kept", port=0) as image_api:
            answers.append({name: image_api.url(name).split("/", 3)[3] for name in ("openai", "ezmodel", "aiai")})
            kept = {path.name.partition("-")[0] for path in (tmp_path / "kept").iterdir()}
            assert kept >= {"openai", "ezmodel", "aiai"}
    assert answers[0] == answers[1]
