"""Every setting once: its flag, its EMULATOR_ variable, its key in a file, its default and its help all come from here.

Precedence: flag over environment over file over default. A bad value ends in one line that quotes key and value.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from emulator.core import clock, yaml_file
from emulator.core.accelerators import SPEEDS, Speed
from emulator.core.durations import LONGEST_SPAN, parse_duration
from emulator.core.light_dataclass import dataclass
from emulator.core.suggestions import describe_unknown, nearest_word
from emulator.core.yaml_file import describe_value
from emulator.messages import BEHAVIORS, PICTURE_WEIGHTS, RECORD_MODES, Behavior, PictureWeight, RecordMode

_Word = TypeVar("_Word", bound=str)


class UsageError(Exception):
    """A command that cannot run as it was given; the text is one line."""


class BadSetting(UsageError):
    """A setting that cannot be used."""


def _parse_host(text: str) -> str:
    if not text or any(letter.isspace() or letter == "\0" for letter in text):
        raise ValueError("expected an address such as 127.0.0.1; 0.0.0.0 is every address of the machine")
    return text


def _parse_port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError("expected 0 to 65535")
    return number


def _parse_seed(text: str) -> int:
    if text == "random":
        return int.from_bytes(os.urandom(4), "big")
    return int(text)


def _parse_clock(text: str) -> str:
    clock.parse_clock(text)
    return text


def _parse_day(text: str) -> str:
    clock.parse_day(text)
    return text


def _parse_behavior(text: str) -> Behavior:
    return _parse_word(text, BEHAVIORS)


def _parse_record_mode(text: str) -> RecordMode:
    return _parse_word(text, RECORD_MODES)


def _parse_dollars(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount <= 1_000_000:
        raise ValueError("expected dollars, from 0, such as 2.50")
    return amount


def _parse_age(text: str) -> str:
    parse_duration(text, LONGEST_SPAN)
    return text


def _parse_weight(text: str) -> PictureWeight:
    return _parse_word(text, PICTURE_WEIGHTS)


def _parse_speed(text: str) -> Speed:
    if text == "false":  # how YAML reads the word off
        return "off"
    return _parse_word(text, SPEEDS)


def _parse_coverage(text: str) -> str | None:
    if text.lower() in _SWITCH:
        return "on" if _SWITCH[text.lower()] else None
    if not text:
        raise ValueError("expected on, or the name of a file")
    return text


def _parse_word(text: str, words: Sequence[_Word]) -> _Word:
    for word in words:
        if text == word:
            return word
    expected = f"expected {' or '.join(words)}"
    nearest = nearest_word(text, words)
    if nearest is not None:
        expected += f"; did you mean {nearest!r}?"
    raise ValueError(expected)


def _parse_host_name(text: str) -> str:
    if not HOST_NAME.fullmatch(text):
        raise ValueError("expected the name of a host, such as images.test or *.images.test, or an address")
    return text.lower()


def _parse_file(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("expected the name of a file")
    return text


def _parse_url(text: str) -> str:
    if not text.startswith(("http://", "https://")) or any(c.isspace() or c in '"<>?#' for c in text):
        raise ValueError("expected a URL such as https://images.test")
    return text.rstrip("/")


def _parse_upstream(text: str) -> str:
    name, equals, url = text.partition("=")
    if not name or not equals:
        raise ValueError("expected GATEWAY=URL such as openai=https://api.openai.com/v1")
    return f"{name}={_parse_url(url)}"


def _parse_store(text: str) -> str:
    if text == LOCAL_STORE:
        return text
    scheme, colon, rest = text.partition("://")
    if not colon or scheme not in STORE_SCHEMES:
        expected = "expected redis://HOST:PORT, rediss://HOST:PORT, unix:///PATH of a socket, or local"
        nearest = nearest_word(scheme, STORE_SCHEMES)
        if nearest is not None and colon:
            expected += f"; did you mean {nearest}://?"
        raise ValueError(expected)
    if not rest or any(letter.isspace() or not letter.isprintable() for letter in rest):
        raise ValueError(f"expected a place behind {scheme}://")
    return text


def _parse_token(text: str) -> str:
    if not (8 <= len(text) <= 200 and text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("expected 8 to 200 visible ASCII characters without a space")
    return text


def _parse_positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("expected a whole number from 1")
    return number


def _parse_workers(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_WORKERS:
        raise ValueError(f"expected 1 to {MOST_WORKERS}")
    return number


def _parse_switch(text: str) -> bool:
    if text.lower() not in _SWITCH:
        raise ValueError("expected true or false")
    return _SWITCH[text.lower()]


_SWITCH: Final = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)


def _setting(
    default: Any,
    help: str,  # noqa: A002 - argparse's own word
    parse: Callable[[str], Any] = str,
    metavar: str = "",
    repeatable: bool = False,
    separator: str = os.pathsep,
) -> Any:
    """Return a field of Settings: `parse` makes its value from a text, or raises ValueError with what was expected.

    A variable with several values has the `separator` between them.
    """
    metadata = {"help": help, "parse": parse, "metavar": metavar, "repeatable": repeatable, "separator": separator}
    is_shown = parse not in (_parse_token, _parse_store)  # a token, or the password in a URL, is in no message
    return field(default=default, repr=is_shown, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """How the emulator runs. Times are seconds, sizes bytes; a tuple is a flag that may be repeated."""

    host: str = _setting("127.0.0.1", "address to listen on", _parse_host, "ADDRESS")
    port: int = _setting(4010, "port to listen on; 0 picks a free one", _parse_port, "PORT")
    public_url: str | None = _setting(
        None, "where clients reach the server, for the URLs of pictures (default: as each client writes it)",
        _parse_url, "URL",
    )  # fmt: skip
    tls: bool = _setting(False, "answer HTTPS at --port, with a certificate of a local authority", _parse_switch)
    tls_port: int | None = _setting(
        None, "port to answer HTTPS on too, where --port answers plain HTTP; 0 picks a free one", _parse_port, "PORT"
    )
    tls_cert: str | None = _setting(
        None, "your own certificate for HTTPS in PEM, followed by those that lead to its authority", _parse_file,
        "FILE",
    )  # fmt: skip
    tls_key: str | None = _setting(
        None, "the key of --tls-cert in PEM, without a password (default: the same file)", _parse_file, "FILE"
    )
    tls_dir: str | None = _setting(
        None, "folder that keeps the local authority (default: image-api-emulator/tls in the user's folder for data)",
        _parse_file, "FOLDER",
    )  # fmt: skip
    host_name: tuple[str, ...] = _setting(
        (), "one more name on the certificate, beside loopback, the gateways' real hosts and --allow-host (repeatable)",
        _parse_host_name, "NAME", repeatable=True, separator=" ",
    )  # fmt: skip
    gateway: str = _setting("openai", "gateway that answers calls without a gateway prefix (/v1/…)", metavar="GATEWAY")
    schema: tuple[str, ...] = _setting(
        (), "OpenAPI file of one more gateway (repeatable)", metavar="FILE", repeatable=True
    )
    scenario: str | None = _setting(
        None, "scenario of every session that does not choose its own: a file, or the name of a ready-made one",
        metavar="NAME|FILE",
    )  # fmt: skip
    no_reserved_values: bool = _setting(
        False, "treat reserved values such as [[rate-limit]] in calls as ordinary text", _parse_switch
    )
    behavior: Behavior = _setting(
        "documented", "what the gateways' pages promise, or what their servers do", _parse_behavior,
        "documented|observed",
    )  # fmt: skip
    report_only: bool = _setting(
        False, "answer calls that the gateway would refuse, and record the refusal as a finding", _parse_switch
    )
    picture_weight: PictureWeight = _setting(
        "small", "bytes of pictures: as few as they come to, or those of real ones (a PNG of 1024x1024 has 1 to 2 MB)",
        _parse_weight, "small|realistic",
    )  # fmt: skip
    channels: tuple[str, ...] = _setting(
        (), "one more model that the gateways have a channel for, in observed behavior (repeatable)",
        metavar="MODEL", repeatable=True,
    )  # fmt: skip
    seed: int = _setting(
        0, "number that decides pictures, ids and rewritten prompts; random draws one and prints it", _parse_seed, "N"
    )
    clock: str = _setting(
        "real", "real, scale:0.01, or frozen:TIME such as frozen:2026-01-01T00:00:00Z", _parse_clock, "CLOCK"
    )
    coverage: str | None = _setting(
        None, "count what calls meet of their gateways' rules: on, or a file that gets it as JSON when the server ends",
        _parse_coverage, "on|FILE",
    )  # fmt: skip
    as_of: str | None = _setting(
        None, "day at which the calendar of models starts, such as 2026-01-31 (default: the clock's day)",
        _parse_day, "DAY",
    )  # fmt: skip
    legacy: bool = _setting(False, "keep models that have ended, at gateways that follow the calendar", _parse_switch)
    keys: str | None = _setting(
        None, "file with the valid API keys, one a line (default: every key but sk-invalid… is valid)", metavar="FILE"
    )
    allow_host: tuple[str, ...] = _setting(
        (), "host name under which /_emulator/ answers, beside loopback (repeatable)", metavar="NAME", repeatable=True
    )
    admin_token: str | None = _setting(
        None, "token that /_emulator/ needs (default: none; generated and printed if --host is not loopback)",
        _parse_token, "TOKEN",
    )  # fmt: skip
    ready_json: bool = _setting(
        False, "print one line of JSON (url, port, pid) when the server is ready, and nothing else", _parse_switch
    )
    quiet: bool = _setting(False, "do not print a line for each call", _parse_switch)
    json_log: bool = _setting(
        False, "print one line of JSON on stdout for each call, and everything else on stderr", _parse_switch
    )
    import_: str | None = _setting(
        None, "file with the state of sessions, which go on from it; --export-on-exit writes such a file", _parse_file,
        "FILE",
    )  # fmt: skip
    export_on_exit: str | None = _setting(
        None, "file that gets the state of all sessions when the server ends", _parse_file, "FILE"
    )
    body_timeout: int = _setting(30, "seconds within which a client sends its body", _parse_positive, "SECONDS")
    send_timeout: int = _setting(
        30, "seconds after which a client that takes nothing of its answer is cut off", _parse_positive, "SECONDS"
    )
    send_bytes: int = _setting(
        128 * 2**20, "most bytes of answers that wait to be taken by their clients, about", _parse_positive, "BYTES"
    )
    journal_entries: int = _setting(1000, "most calls in a session's journal", _parse_positive, "N")
    journal_bytes: int = _setting(16 * 2**20, "most bytes in all journals together, about", _parse_positive, "BYTES")
    sessions: int = _setting(1000, "most sessions; the one unused for longest is dropped first", _parse_positive, "N")
    session_age: int = _setting(3600, "seconds after which an unused session is dropped", _parse_positive, "SECONDS")
    picture_cache: int = _setting(32 * 2**20, "most bytes of drawn pictures in memory", _parse_positive, "BYTES")
    upload_bytes: int = _setting(32 * 2**20, "most bytes of uploaded pictures in memory", _parse_positive, "BYTES")
    store: str | None = _setting(
        None, "Redis in which several servers share sessions, turns, limits and journals: redis://…, rediss://… or "
        "unix:///PATH; local: one that is started for the workers alone (default: in the memory of this process)",
        _parse_store, "URL|local",
    )  # fmt: skip
    workers: int = _setting(
        1, "processes that answer at the port; more than one share their sessions by --store (default there: local)",
        _parse_workers, "N",
    )  # fmt: skip
    upstream: tuple[str, ...] = _setting(
        (), "base URL of the real gateway, to which calls are passed on where a scenario says `forward` (repeatable; "
        "default: the first of `servers` in the gateway's file)",
        _parse_upstream, "GATEWAY=URL", repeatable=True, separator=" ",
    )  # fmt: skip
    upstream_timeout: int = _setting(
        300, "seconds without a byte after which an upstream is given up, and for all of an answer that is no stream",
        _parse_positive, "SECONDS",
    )  # fmt: skip
    record: str | None = _setting(
        None, "folder of a recording that every session plays that does not choose its own scenario", metavar="DIR"
    )
    record_mode: RecordMode = _setting(
        "none", "what happens to calls that the recording does not have: none (refused), once (recorded, if there is "
        "no recording yet), new_episodes (recorded), all (all calls are recorded again), forward (passed on, without "
        "a recording); where CI is set, only the flag counts",
        _parse_record_mode, "MODE",
    )  # fmt: skip
    max_spend: float | None = _setting(
        None, "dollars that calls to real gateways may cost in all; one that would pass it does not leave",
        _parse_dollars, "DOLLARS",
    )  # fmt: skip
    stale_after: str | None = _setting(
        None, "age of a recorded answer, such as 90d, from which on it is a finding", _parse_age, "AGE"
    )
    speed: Speed = _setting(
        "auto", "use the libraries of the extra [speed] that are installed, or none of them", _parse_speed, "auto|off",
    )  # fmt: skip
    cache_dir: str | None = _setting(
        None, "folder that keeps what gateways' files say for the next start; off keeps nothing (default: "
        "image-api-emulator in the user's folder for caches)",
        metavar="FOLDER",
    )  # fmt: skip
    no_fast_import: bool = _setting(
        False, "import all of aiohttp at start: 50 ms slower, for when its partial import fails", _parse_switch
    )


def load_settings(
    flags: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
    file: SettingsFile | None = None,
) -> Settings:
    """Return the settings in flags, environment and `file` (default: what is in `folder`); raises BadSetting."""
    chosen: dict[str, Any] = {}
    if file is None:
        file = read_settings_file(folder)
    for name, value in file.values.items():
        chosen[name] = _parse_value(FIELDS[name], value, f"{file.path}: {name}")
    for name, setting in FIELDS.items():
        variable = f"EMULATOR_{name.upper()}"
        if variable not in environ:
            continue
        text: Any = environ[variable]
        if setting.metadata["repeatable"]:
            text = text.split(setting.metadata["separator"])
        chosen[name] = _parse_value(setting, text, variable)
    for name, value in flags.items():
        if name in FIELDS and value is not None:
            chosen[name] = _parse_value(FIELDS[name], value, f"--{name.replace('_', '-')}")
    if environ.get("CI") and flags.get("record_mode") is None:
        chosen["record_mode"] = "none"  # nothing goes to a real gateway in a build, unless the command itself says so
    settings = Settings(**{FIELDS[name].name: value for name, value in chosen.items()})
    _refuse_contradictions(settings)
    return settings


def _refuse_contradictions(settings: Settings) -> None:
    """Raise BadSetting for settings that cannot be meant together."""
    if settings.tls and settings.tls_port is not None:
        raise BadSetting("--tls-port: with --tls the port itself answers HTTPS; expected one of the two")
    if settings.tls_key is not None and settings.tls_cert is None:
        raise BadSetting("--tls-key needs --tls-cert, the certificate that it belongs to")
    if settings.tls or settings.tls_port is not None:
        return
    for flag, value in (("--tls-cert", settings.tls_cert), ("--host-name", settings.host_name)):
        if value:
            raise BadSetting(f"{flag} is for HTTPS, which needs --tls or --tls-port too")


def list_unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return a line for each variable that looks like a setting's and is none, with the nearest one that is.

    That is each one that begins with EMULATOR_, and one like EMULATER_PORT or IMAGE_API_EMULATOR_PORT whose nearest
    setting is known; FIRESTORE_EMULATOR_HOST and its like are other programs'.
    """
    known = [name.upper() for name in FIELDS]
    lines = []
    for name in sorted(environ):
        prefix, _, word = name.upper().removeprefix("IMAGE_API_").partition("_")
        if not prefix.startswith("EMUL") or (name.startswith("EMULATOR_") and word in known):
            continue
        if name.startswith(UPSTREAM_KEY):  # a server says which of those are of no gateway
            continue
        nearest = nearest_word(word, known)
        if nearest is None and prefix != "EMULATOR":
            continue
        line = f"the environment variable {name[:_LONGEST_NAME]} is no setting"
        if nearest is not None:
            line += f"; did you mean EMULATOR_{nearest}?"
        lines.append(line)
    return lines


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting to `parser`. A flag that is not given is None, so that file and environment count."""
    rest = [name for name in FIELDS if not any(name in names for names in _GROUPS.values())]
    for title, names in {**_GROUPS, "further settings": rest}.items():
        group = parser.add_argument_group(title)
        for name in names:
            _add_flag(group, name, FIELDS[name])


def _add_flag(group: argparse._ArgumentGroup, name: str, setting: Field[Any]) -> None:
    flag = f"--{name.replace('_', '-')}"
    about = setting.metadata["help"].replace("%", "%%")
    if setting.metadata["parse"] is _parse_switch:
        group.add_argument(flag, action="store_const", const=True, default=None, help=about)
        return
    if isinstance(setting.default, str | int):
        about += f" (default: {setting.default})"
    action = "store"
    if setting.metadata["repeatable"]:
        action = "append"
    group.add_argument(flag, action=action, default=None, metavar=setting.metadata["metavar"], help=about)


def _parse_value(setting: Field[Any], value: Any, where: str) -> Any:
    """Return `value` (a text, or from a file also a number, a switch or a list) as the type of the setting."""
    if not setting.metadata["repeatable"]:
        return _parse_one(setting, value, where)
    if not isinstance(value, list):
        value = [value]
    return tuple(_parse_one(setting, item, where) for item in value)


def _parse_one(setting: Field[Any], value: Any, where: str) -> Any:
    if isinstance(value, bool):
        value = str(value).lower()
    if not isinstance(value, str | int | float):
        raise BadSetting(f"{where}: {describe_value(value)} is no single value")
    try:
        return setting.metadata["parse"](str(value))
    except ValueError as error:
        reason = str(error)
        if "int()" in reason:  # Python's own message for int("abc")
            reason = "expected a whole number"
        shown = "(not shown)"
        if setting.repr:
            shown = repr(value)
        raise BadSetting(f"{where}: {shown}: {reason}") from None


@dataclass(frozen=True)
class SettingsFile:
    """The settings in a file, by name, as they stand there; `path` is None where there is no file."""

    path: Path | None
    values: Mapping[str, Any]


def read_settings_file(folder: Path | None = None) -> SettingsFile:
    """Return what stands in emulator.yaml or emulator.yml, else in [tool.image-api-emulator] of pyproject.toml.

    `folder` is where they are (default: the current folder). Raises BadSetting, also for both of the first two.
    """
    path = _find_settings_file(folder or Path.cwd())
    if path is None:
        return SettingsFile(None, {})
    try:
        if path.suffix == ".toml":
            table = _read_pyproject(path)
            if table is None:
                return SettingsFile(None, {})
        else:
            table = yaml_file.load_yaml(path).root
            if table is None:  # an empty file
                table = {}
    except yaml_file.InvalidFile as error:
        raise BadSetting(str(error)) from None
    except (OSError, ValueError, AttributeError) as error:
        raise BadSetting(f"{path}: {error}") from None
    if not isinstance(table, Mapping):
        raise BadSetting(f"{path}: the settings are {describe_value(table)}; expected a mapping")
    settings = {str(key).replace("-", "_"): value for key, value in table.items()}
    for key in settings:
        if key not in FIELDS:
            raise BadSetting(f"{path}: {describe_unknown('setting', key, FIELDS)}")
    return SettingsFile(path, settings)


def _find_settings_file(folder: Path) -> Path | None:
    """Return emulator.yaml or emulator.yml, else pyproject.toml, else None; raises BadSetting for both of the first."""
    found = [path for path in (folder / "emulator.yaml", folder / "emulator.yml") if path.is_file()]
    if len(found) > 1:
        raise BadSetting(f"{found[0]} and {found[1].name} are both there; expected one of them")
    if found:
        return found[0]
    path = folder / "pyproject.toml"
    return path if path.is_file() else None


def _read_pyproject(path: Path) -> Any:
    """Return the table of a pyproject.toml that is ours; None where it has none."""
    import tomllib

    return tomllib.loads(path.read_text("utf-8")).get("tool", {}).get("image-api-emulator")


HOST_NAME: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:]{2,39}")
"""A host's name as a certificate can have it, or an address."""
UPSTREAM_KEY: Final = "EMULATOR_UPSTREAM_KEY_"
"""Before a gateway's name in capital letters: the variable with the key for the real gateway."""
_GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "where it listens": ("host", "port", "public_url"),
    "HTTPS": ("tls", "tls_port", "tls_cert", "tls_key", "tls_dir", "host_name"),
    "what it answers": (
        "gateway", "schema", "scenario", "behavior", "report_only", "picture_weight", "keys", "no_reserved_values",
        "channels",
    ),
    "chance and time": ("seed", "clock", "as_of", "legacy"),
    "who may use /_emulator/": ("allow_host", "admin_token"),
    "where sessions are kept": ("store", "workers"),
    "what it prints": ("quiet", "json_log", "ready_json", "coverage"),
    "real gateways and recordings": (
        "upstream", "upstream_timeout", "record", "record_mode", "max_spend", "stale_after",
    ),
    "state": ("import", "export_on_exit"),
    "bounds": (
        "body_timeout", "send_timeout", "send_bytes", "journal_entries", "journal_bytes", "sessions", "session_age",
        "picture_cache", "upload_bytes",
    ),
}  # fmt: skip
"""The settings as --help shows them; those that stand nowhere come last."""

MOST_WORKERS: Final = 64
LOCAL_STORE: Final = "local"
"""The value of the setting `store` for a Redis that is started for the workers alone."""
STORE_SCHEMES: Final = ("redis", "rediss", "unix")
"""How the setting `store` may begin."""
_LONGEST_NAME: Final = 80  # characters of a variable's name in a message
FIELDS: Final[Mapping[str, Field[Any]]] = {item.name.rstrip("_"): item for item in fields(Settings)}
"""The settings by name, in the order that --help shows them; the field of `import`, a word of Python, is import_."""

__all__: Sequence[str] = (
    "FIELDS",
    "BadSetting",
    "Settings",
    "UsageError",
    "add_flags",
    "load_settings",
    "read_settings_file",
)
