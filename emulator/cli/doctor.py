"""The command `doctor`: looks for what on this machine keeps calls from the emulator, one line for each check.

A line begins with `ok`, with `note` for what is missing and may well be, or with `wrong`, and says what mends it.
Nothing leaves the machine, and no key or password is shown.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from emulator.cli.output import choose_width, emphasize, print_json
from emulator.client.connection import Connection, EmulatorError
from emulator.client.proxies import find_proxy
from emulator.core.file_reading import read_file
from emulator.core.tables import replace_unprintable, wrap_text
from emulator.core.terminal import Style
from emulator.core.tls_folder import AUTHORITY, TRUST_VARIABLES, find_tls_folder
from emulator.session.store_choice import check_store, describe_store
from emulator.settings import (
    LOCAL_STORE,
    BadSetting,
    Settings,
    list_unknown_variables,
    load_settings,
    read_settings_file,
)
from emulator.validation import registry

State = Literal["ok", "note", "wrong"]


class Check(NamedTuple):
    """What was looked at, how it is, and in one line what was found and what mends it."""

    name: str
    state: State
    text: str


def diagnose(options: argparse.Namespace) -> int:
    """Print a line for each check; the exit code is 1 if something is wrong."""
    checks = list(run_checks(options, os.environ))
    if options.json:
        print_json({"checks": [check._asdict() for check in checks]})
    else:
        width = choose_width(options)
        for check in checks:
            state = emphasize(f"{check.state:5}", _STYLES[check.state])
            _print_check(state, f"{check.name}: {check.text}", width)
    if any(check.state == "wrong" for check in checks):
        return 1
    return 0


def run_checks(options: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield each check: settings, port, proxies, base URL, key, TLS, Chromium, Redis."""
    flags = {"host": options.host, "port": options.port}
    try:
        file = read_settings_file()
        chosen = load_settings(flags, environ, file=file)
        yield Check("settings", "ok", f"read from {file.path or 'no file'}")
    except BadSetting as error:
        yield Check("settings", "wrong", f"{error}; correct it there")
        chosen = Settings()
    for line in list_unknown_variables(environ):
        yield Check("settings", "wrong", f"{line}; rename or unset it")
    yield _check_port(chosen)
    address = f"{_name_scheme(chosen)}://{_name_client_host(chosen.host)}:{chosen.port or 'PORT'}"
    yield _check_proxies(address)
    yield _check_base_url(environ, address, chosen)
    yield _check_key(environ, chosen)
    yield _check_tls(environ, chosen)
    yield _check_program("Chromium", ("chromium", "chromium-browser", "google-chrome"), "only tests of a page need one")
    yield _check_redis(chosen)


def _print_check(state: str, text: str, width: int | None) -> None:
    if width is not None:
        width = max(width - _COLUMN, _COLUMN)
    first, *rest = wrap_text(replace_unprintable(text), width, indent="")
    print(f"{state} {first}")
    for line in rest:
        print(" " * _COLUMN + line)


def _check_port(chosen: Settings) -> Check:
    """Whether `serve` can listen, or an emulator does already."""
    place = f"{chosen.host}:{chosen.port}"
    if chosen.port == 0:
        return Check("port", "ok", "0, so that serve picks a free one")
    try:
        with socket.create_server((chosen.host, chosen.port)):
            return Check("port", "ok", f"{place} is free")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    try:
        address = f"{_name_scheme(chosen)}://{_name_client_host(chosen.host)}:{chosen.port}"
        health = Connection(address, ca=_find_authority(chosen)).health
        return Check("port", "ok", f"an emulator, version {health['version']}, answers at {place}")
    except (EmulatorError, KeyError, TypeError):
        text = f"serve cannot listen on {place} ({reason}), and no emulator answers there; "
        text += "stop what has the port, or take another: --port 0 picks a free one"
        return Check("port", "wrong", text)


def _check_proxies(address: str) -> Check:
    """Whether a client that obeys the environment's proxies sends its calls elsewhere."""
    name = find_proxy(address)
    if name is None:
        return Check("proxies", "ok", f"no proxy of the environment gets calls to {urlsplit(address).hostname}")
    host = urlsplit(address).hostname
    text = f"{name} is set, and clients that obey it send their calls there; export NO_PROXY={host},localhost"
    return Check("proxies", "wrong", text)


def _check_base_url(environ: Mapping[str, str], address: str, chosen: Settings) -> Check:
    """Whether OpenAI's SDKs, which read OPENAI_BASE_URL, ask the emulator."""
    bases = {gateway.name: f"{address}/{gateway.name}{gateway.base}" for gateway in registry.load_gateways(())}
    example = bases.get(chosen.gateway, f"{address}/v1")
    url = environ.get("OPENAI_BASE_URL", "").rstrip("/")
    if not url:
        text = f"OPENAI_BASE_URL is not set, so SDKs ask OpenAI unless told otherwise; export OPENAI_BASE_URL={example}"
        return Check("base URL", "note", text)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host not in _LOCAL and host != chosen.host:
        text = f"OPENAI_BASE_URL names the host {host!r}, so that calls leave for it; export OPENAI_BASE_URL={example}"
        return Check("base URL", "wrong", text)
    if parts.scheme != _name_scheme(chosen) and chosen.tls_port is None:
        text = f"OPENAI_BASE_URL begins with {parts.scheme}:, the emulator answers {_name_scheme(chosen)}; "
        return Check("base URL", "wrong", f"{text}export OPENAI_BASE_URL={example}")
    port = port or _PORTS.get(parts.scheme, 80)
    if chosen.port and port not in (chosen.port, chosen.tls_port):
        text = f"OPENAI_BASE_URL has port {port}, the emulator {chosen.port}; export OPENAI_BASE_URL={example}"
        return Check("base URL", "wrong", text)
    path = _SESSION.sub("", parts.path)
    if path not in ("/v1", *(urlsplit(base).path for base in bases.values())):
        text = f"OPENAI_BASE_URL has the path {path or '/'!r}, no gateway's own; export OPENAI_BASE_URL={example}"
        return Check("base URL", "wrong", text)
    return Check("base URL", "ok", f"OPENAI_BASE_URL leads to the emulator, with the path {path}")


def _check_key(environ: Mapping[str, str], chosen: Settings) -> Check:
    """Whether OpenAI's SDKs, which read OPENAI_API_KEY, have a key that the emulator takes."""
    key = environ.get("OPENAI_API_KEY", "")
    mend = "export OPENAI_API_KEY=sk-test"
    if not key:
        return Check("key", "note", f"OPENAI_API_KEY is not set, and SDKs want a key; any will do: {mend}")
    if key.startswith("sk-invalid"):
        text = f"OPENAI_API_KEY begins with sk-invalid, which every gateway here refuses; {mend}"
        return Check("key", "wrong", text)
    if chosen.keys is not None:
        return Check("key", "note", f"OPENAI_API_KEY is set; it counts where {chosen.keys} has it")
    return Check("key", "ok", "OPENAI_API_KEY is set (not shown); any key is good")


def _check_tls(environ: Mapping[str, str], chosen: Settings) -> Check:
    """Whether clients trust the certificate of a server that answers HTTPS."""
    for name in TRUST_VARIABLES:
        path = environ.get(name)
        if path and not os.path.isfile(path):
            text = f"{name} names {path!r}, which is no file, so that clients fail or trust nobody; correct or unset it"
            return Check("TLS", "wrong", text)
    if not (chosen.tls or chosen.tls_port is not None):
        return Check("TLS", "ok", "serve answers plain HTTP; with --tls it answers HTTPS")
    if chosen.tls_cert is not None:
        return Check("TLS", "ok", f"serve has the certificate {chosen.tls_cert}, which clients have to trust already")
    if find_spec("cryptography") is None:
        return Check("TLS", "wrong", "--tls needs the extra [tls]; pip install 'image-api-emulator[tls]'")
    authority = _find_authority(chosen)
    if authority is None:
        return Check("TLS", "note", "the first start makes the authority that clients trust; serve prints where")
    trusting = [name for name in TRUST_VARIABLES if _has_certificate(environ.get(name), authority)]
    if not trusting:
        text = f"no variable names the authority, so clients refuse the certificate; export SSL_CERT_FILE={authority}"
        return Check("TLS", "note", f"{text} (Node: NODE_EXTRA_CA_CERTS)")
    return Check("TLS", "ok", f"the authority is in the file of {', '.join(trusting)}")


def _find_authority(chosen: Settings) -> Path | None:
    """Return the file of the local authority, None where it has not been made."""
    folder = find_tls_folder(chosen.tls_dir)
    if folder is None or not (folder / AUTHORITY).is_file():
        return None
    return folder / AUTHORITY


def _has_certificate(path: str | None, authority: Path) -> bool:
    """Return whether a file of certificates has that of the authority."""
    if not path:
        return False
    try:
        return read_file(authority).strip() in read_file(Path(path))
    except OSError:
        return False


def _check_redis(chosen: Settings) -> Check:
    """Whether the Redis of the setting `store` can be used; without the setting, whether one is installed."""
    if chosen.store in (None, LOCAL_STORE):
        return _check_program("Redis", ("redis-server", "valkey-server"), "a single server needs none")
    problem = check_store(chosen)
    if problem is not None:
        return Check("Redis", "wrong", f"{problem}; start it, or correct the setting store")
    return Check("Redis", "ok", f"{describe_store(chosen)} can be used")


def _check_program(name: str, programs: tuple[str, ...], needed: str) -> Check:
    """Where a program is that some uses need."""
    for program in programs:
        path = shutil.which(program)
        if path is not None:
            return Check(name, "ok", path)
    return Check(name, "note", f"{programs[0]} is not installed; {needed}")


def _name_scheme(chosen: Settings) -> str:
    return "https" if chosen.tls else "http"


def _name_client_host(host: str) -> str:
    """Return the host that a client on this machine asks, where the server listens at `host`."""
    if host in ("0.0.0.0", "::", "localhost", "::1"):  # noqa: S104 - compared, not listened at
        return "127.0.0.1"
    return host


_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_COLUMN: Final = 6  # where the text of a check begins
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")
_SESSION: Final = re.compile(r"^/s/[^/]+")  # how a base URL names a session
_STYLES: Final[Mapping[State, Style]] = {"ok": "green", "note": "yellow", "wrong": "red"}
