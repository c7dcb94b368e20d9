"""Every setting once: its flag, its EMULATOR_ name, its key in a file, its default and its help all come from here.

Precedence: flag over environment over file over default. A bad value ends in one line that quotes key and value.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from emulator.core import clock, yaml_file
from emulator.messages import BEHAVIORS, Behavior


class UsageError(Exception):
    """A command that cannot be carried out; its text is one line."""


class BadSetting(UsageError):
    """A setting that cannot be used."""


def _host(text: str) -> str:
    if not text or any(letter.isspace() or letter == "\0" for letter in text):
        raise ValueError("expected an address such as 127.0.0.1; all of a machine's are 0.0.0.0")
    return text


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError("expected 0 to 65535")
    return number


def _seed(text: str) -> int:
    return int.from_bytes(os.urandom(4), "big") if text == "random" else int(text)


def _clock(text: str) -> str:
    clock.parse(text)
    return text


def _day(text: str) -> str:
    clock.day(text)
    return text


def _behavior(text: str) -> Behavior:
    for word in BEHAVIORS:
        if text == word:
            return word
    raise ValueError(f"expected {' or '.join(BEHAVIORS)}")


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")) or any(c.isspace() or c in '"<>?#' for c in text):
        raise ValueError("expected a URL such as https://images.test")
    return text.rstrip("/")


def _token(text: str) -> str:
    if not (8 <= len(text) <= 200 and text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("expected 8 to 200 visible ASCII characters without a space")
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("expected a whole number from 1")
    return number


def _switch(text: str) -> bool:
    if text.lower() not in _SWITCH:
        raise ValueError("expected true or false")
    return _SWITCH[text.lower()]


_SWITCH: Final = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)


def _setting(default: Any, help: str, read: Callable[[str], Any] = str, metavar: str = "", many: bool = False) -> Any:  # noqa: A002
    shown = read is not _token  # a secret stands in no message and in no repr
    return field(default=default, repr=shown, metadata={"help": help, "read": read, "metavar": metavar, "many": many})


@dataclass(frozen=True)
class Settings:
    """How the emulator is to run. Times are seconds, sizes bytes; tuples come from flags that may be repeated."""

    host: str = _setting("127.0.0.1", "address to listen on", _host, "ADDRESS")
    port: int = _setting(4010, "port to listen on; 0 picks a free one", _port, "PORT")
    public_url: str | None = _setting(
        None, "where clients find the server, for the URLs of pictures (else as each client wrote it)", _url, "URL"
    )
    gateway: str = _setting("openai", "gateway that answers without a prefix, under /v1", metavar="NAME")
    schema: tuple[str, ...] = _setting(
        (), "an OpenAPI file that describes one more gateway (repeatable)", metavar="FILE", many=True
    )
    scenario: str | None = _setting(
        None, "script that sessions play unless told otherwise: a file, or a ready-made one's name", metavar="NAME|FILE"
    )
    no_reserved_values: bool = _setting(False, "take marks such as [[rate-limit]] in calls for what they are", _switch)
    behavior: Behavior = _setting(  # noqa: RUF009 - Behavior are but texts
        "documented", "documented (what gateways' pages promise) or observed (what their servers do)", _behavior, "WORD"
    )
    report_only: bool = _setting(
        False, "answer what the contract would refuse, and record the refusal as a finding", _switch
    )
    channels: tuple[str, ...] = _setting(
        (),
        "in observed behavior, a model that has a channel beside those of the page (repeatable)",
        metavar="MODEL",
        many=True,
    )
    seed: int = _setting(0, "decides pictures, ids and rewritten prompts; random draws one and prints it", _seed, "N")
    clock: str = _setting("real", "real, scale:0.01, or frozen:TIME as in frozen:2026-01-01T00:00:00Z", _clock, "CLOCK")
    as_of: str | None = _setting(
        None, "day (2026-01-31) with which the calendar of models begins (else the clock's own day)", _day, "DAY"
    )
    legacy: bool = _setting(False, "keep models that have ended, at gateways that go by the calendar", _switch)
    keys: str | None = _setting(
        None, "file with the good API keys, one a line (else any key but sk-invalid… is good)", metavar="FILE"
    )
    allow_host: tuple[str, ...] = _setting(
        (), "host name under which /_emulator/ may be asked beside loopback (repeatable)", metavar="NAME", many=True
    )
    admin_token: str | None = _setting(
        None, "token that /_emulator/ asks for; made up, and printed, where --host is not loopback", _token, "TOKEN"
    )
    ready_json: bool = _setting(False, "print one line of JSON (url, port, pid) once it answers, and no more", _switch)
    quiet: bool = _setting(False, "print no line for each call", _switch)
    body_timeout: int = _setting(30, "seconds a client has to send a body", _positive, "SECONDS")
    journal_entries: int = _setting(1000, "calls kept in each session's journal", _positive, "N")
    journal_bytes: int = _setting(16 * 2**20, "bytes kept in all journals together, about", _positive, "BYTES")
    sessions: int = _setting(1000, "sessions kept; the longest unused is dropped first", _positive, "N")
    session_age: int = _setting(3600, "seconds after which an unused session is dropped", _positive, "SECONDS")
    picture_cache: int = _setting(32 * 2**20, "bytes of drawn pictures kept", _positive, "BYTES")
    upload_bytes: int = _setting(32 * 2**20, "bytes of uploaded pictures kept, beside the journals", _positive, "BYTES")


def load(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> Settings:
    """What flags, environment and the file in `folder` (default: the current one) say; raises BadSetting."""
    chosen: dict[str, Any] = {}
    path, said = _from_file(folder or Path.cwd())
    for key, value in said.items():
        chosen[key] = _read(FIELDS[key], value, f"{path}: {key}")
    for name, setting in FIELDS.items():
        variable = f"EMULATOR_{name.upper()}"
        if variable in environ:
            value = environ[variable]
            many = setting.metadata["many"]
            chosen[name] = _read(setting, value.split(os.pathsep) if many else value, variable)
    for name, value in flags.items():
        if name in FIELDS and value is not None:
            chosen[name] = _read(FIELDS[name], value, f"--{name.replace('_', '-')}")
    return Settings(**chosen)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give `parser` a flag for each setting; a flag that is not given stays None, so that the other places count."""
    for name, setting in FIELDS.items():
        meta = setting.metadata
        flag = f"--{name.replace('_', '-')}"
        shown = isinstance(setting.default, str | int) and not isinstance(setting.default, bool)
        default = f" ({setting.default})" if shown else ""
        text = (meta["help"] + default).replace("%", "%%")
        if meta["read"] is _switch:
            parser.add_argument(flag, action="store_const", const=True, default=None, help=text)
        else:
            action = "append" if meta["many"] else "store"
            parser.add_argument(flag, action=action, default=None, metavar=meta["metavar"], help=text)


def _read(setting: Field[Any], value: Any, where: str) -> Any:
    """`value` as the setting wants it, from text or from a file's own types."""
    if setting.metadata["many"]:
        values = value if isinstance(value, list) else [value]
        return tuple(_read_one(setting, item, where) for item in values)
    return _read_one(setting, value, where)


def _read_one(setting: Field[Any], value: Any, where: str) -> Any:
    if isinstance(value, bool):
        value = str(value).lower()
    if not isinstance(value, str | int):
        raise BadSetting(f"{where}: {yaml_file.describe(value)} is no single value")
    try:
        return setting.metadata["read"](str(value))
    except ValueError as error:
        reason = "expected a whole number" if "int()" in str(error) else str(error)
        shown = f"{value!r}" if setting.repr else "(not shown)"
        raise BadSetting(f"{where}: {shown}: {reason}") from None


def _from_file(folder: Path) -> tuple[Path, Mapping[str, Any]]:
    """The file of settings, and what emulator.yaml, else [tool.image-api-emulator] in pyproject.toml, says in it."""
    try:
        if (path := folder / "emulator.yaml").is_file():
            root = yaml_file.read(path).root
            table = {} if root is None else root
        elif (path := folder / "pyproject.toml").is_file():
            import tomllib

            table = tomllib.loads(path.read_text("utf-8")).get("tool", {}).get("image-api-emulator", {})
        else:
            return folder, {}
    except yaml_file.InvalidFile as error:
        raise BadSetting(str(error)) from None
    except (OSError, ValueError, AttributeError) as error:
        raise BadSetting(f"{path}: {error}") from None
    if not isinstance(table, Mapping):
        raise BadSetting(f"{path}: the settings are {yaml_file.describe(table)}; expected a mapping")
    settings = {str(key).replace("-", "_"): value for key, value in table.items()}
    for key in settings:
        if key not in FIELDS:
            raise BadSetting(f"{path}: unknown setting {key!r}; known are {', '.join(FIELDS)}")
    return path, settings


FIELDS: Final[Mapping[str, Field[Any]]] = {item.name: item for item in fields(Settings)}
"""The settings by name, in the order that --help shows them."""

__all__: Sequence[str] = ("FIELDS", "BadSetting", "Settings", "UsageError", "add_flags", "load")
