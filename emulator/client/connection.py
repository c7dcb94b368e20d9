"""Requests to a server's admin API, /_emulator/…, with nothing but the standard library.

Each request has a connection of its own: nothing stays open, is shared between threads or is copied by a fork. Whatever
goes wrong is one EmulatorError with one line of text.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from emulator.client.expectations import ServerHealth, ServerSettings
from emulator.core.file_reading import read_file
from emulator.core.names import ENCLOSED
from emulator.core.tls_folder import AUTHORITY, find_tls_folder

if TYPE_CHECKING:
    import ssl

PREFIX: Final = "/_emulator"
ScenarioSource = str | os.PathLike[str] | Mapping[str, Any]
"""A scenario: the name of a ready-made one, the path of a file, YAML text, or a mapping with the same content."""

NOT_RUNNING: Final = "this emulator does not run: use `with Emulator(…) as image_api:`, or start()"
_TIMEOUT: Final = 60.0  # seconds; a journal of megabytes is read within one


class EmulatorError(Exception):
    """The emulator cannot do what was asked; the text is one line that says why.

    `status` is the status of the server's answer and `param` the name that it complains about; both are None if no
    server answered.

    >>> from emulator import ImageApi
    >>> ImageApi("http://127.0.0.1:4010/ezmodel/v1")
    Traceback (most recent call last):
    ...
    emulator.EmulatorError: 'http://127.0.0.1:4010/ezmodel/v1' is no server's address; \
expected one without a path, such as http://127.0.0.1:4010
    """

    __module__ = "emulator"

    def __init__(self, message: str, status: int | None = None, param: str | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status
        self.param = param


class Connection:
    """The way to the server at `address` (None: to no server); `token` is for servers that ask for one.

    `ca` is the file of the authority that has signed the server's certificate, for https. The system's authorities are
    trusted too, and so is the emulator's own, where this user has one.

    >>> from emulator.client.connection import Connection
    >>> Connection(image_api.server).ask("GET", "/health")["status"]
    'ok'
    """

    def __init__(self, address: str | None, token: str | None = None, ca: Path | None = None) -> None:
        """Send nothing yet; raises EmulatorError if `address` cannot be an address."""
        self._address = None
        self.ca = ca
        """The file of the authority that has signed the server's certificate, if one was given."""
        self._token = token
        self._is_https, self._host, self._port = False, "", None
        if address is not None:
            self._address = address.rstrip("/")
            self._is_https, self._host, self._port = _split_address(address)

    @property
    def address(self) -> str:
        """The server's address, such as http://127.0.0.1:4010; raises EmulatorError if there is no server."""
        if self._address is None:
            raise EmulatorError(NOT_RUNNING)
        return self._address

    def __str__(self) -> str:
        return self._address or "no server"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of the answer to `method` on `path` below PREFIX; `body` is sent as JSON, a text as YAML."""
        content = None
        headers = {"Accept": "application/json"}
        if isinstance(body, str):
            content = body.encode()
            headers["Content-Type"] = "application/yaml"
        elif body is not None:
            content = _encode_json(body)
            headers["Content-Type"] = "application/json"
        status, answer = self._exchange(method, PREFIX + path, content, headers)
        return _parse_answer(status, answer, f"{method} {self.address}{PREFIX}{path}")

    def fetch(self, path: str) -> bytes:
        """The file at `path` below PREFIX."""
        status, answer = self._exchange("GET", PREFIX + path, None, {})
        if status >= 400:
            _parse_answer(status, answer, f"GET {self.address}{PREFIX}{path}")  # raises what the answer says
        return answer

    @cached_property
    def health(self) -> ServerHealth:
        """The server's answer to GET /_emulator/health when it was first asked."""
        health: ServerHealth = self.ask("GET", "/health")
        return health

    @cached_property
    def settings(self) -> ServerSettings:
        """The server's answer to GET /_emulator/settings when it was first asked."""
        settings: ServerSettings = self.ask("GET", "/settings")
        return settings

    def find_base(self, gateway: str) -> str:
        """Return the path of a client's base URL for `gateway`, such as /ezmodel/v1; the server has such a gateway."""
        if gateway not in self._bases:
            (found,) = self.ask("GET", f"/gateways?name={gateway}")["gateways"]
            self._bases[gateway] = found["base"]
        return self._bases[gateway]

    @cached_property
    def _bases(self) -> dict[str, str]:
        """The paths that were asked for."""
        return {}

    @cached_property
    def _tls_context(self) -> ssl.SSLContext:
        return _make_tls_context(self.ca)

    def _exchange(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of the answer."""
        address = self.address
        all_headers = dict(headers)
        if self._token is not None:
            all_headers["X-Emulator-Token"] = self._token
        connection: http.client.HTTPConnection
        if self._is_https:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=_TIMEOUT, context=self._tls_context
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        try:
            connection.request(method, path, content, all_headers)
            with connection.getresponse() as response:
                return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise EmulatorError(f"no emulator answers at {address}: {reason}") from None
        finally:
            connection.close()


def _make_tls_context(ca: Path | None) -> ssl.SSLContext:
    """The authorities that are trusted: the system's, the user's own of the emulator, and `ca`."""
    import ssl  # a slow import, for servers with HTTPS alone

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    folder = find_tls_folder(os.environ.get("EMULATOR_TLS_DIR"))
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except OSError as error:
            raise EmulatorError(f"{ca}: {error.strerror or 'no certificate in PEM'}") from None
    elif folder is not None:
        with suppress(OSError):
            context.load_verify_locations(folder / AUTHORITY)
    return context


def session_path(name: str) -> str:
    """The path of a session, below PREFIX.

    >>> from emulator.client.connection import session_path
    >>> session_path("case-7")
    '/sessions/case-7'
    """
    return f"/sessions/{quote(name, safe='')}"


def is_inline(scenario: ScenarioSource) -> bool:
    """Whether a scenario is given in full, as a mapping or as YAML text, and not by a name or a path.

    >>> from emulator.client.connection import is_inline
    >>> is_inline("happy"), is_inline("my/script.yaml"), is_inline("{rules: []}")
    (False, False, True)
    """
    if isinstance(scenario, str):
        return "\n" in scenario or ": " in scenario or scenario.lstrip().startswith("{")
    return isinstance(scenario, Mapping)


def load_scenario_body(scenario: ScenarioSource) -> tuple[Any, Path | None]:
    """The body to send for a scenario, and the file that it comes from; raises EmulatorError for an unreadable file.

    >>> from emulator.client.connection import load_scenario_body
    >>> load_scenario_body("happy")
    ({'scenario': 'happy'}, None)
    """
    if isinstance(scenario, Mapping):
        return dict(scenario), None
    if not isinstance(scenario, str | os.PathLike):
        raise EmulatorError(f"{scenario!r} is no scenario: expected a name, a path, YAML, or a mapping")
    if is_inline(scenario):
        return scenario, None
    path = Path(scenario)
    if isinstance(scenario, str) and path.name == scenario and not path.suffix:
        return {"scenario": scenario}, None
    try:
        return enclose_files(read_file(path).decode("utf-8"), path.parent), path
    except (OSError, UnicodeDecodeError) as error:
        raise EmulatorError(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None


def enclose_files(text: str, folder: Path) -> str:
    """The source text of a scenario with the bytes of the files in `folder` in the places of their names.

    A server reads no file that a client names; the lines stay as they are, so that a message can name them.
    """

    def enclose(match: re.Match[str]) -> str:
        name = next(part for part in match.groups()[1:] if part is not None).strip()
        try:
            path = (folder / name).resolve()
            if not path.is_relative_to(folder.resolve()) or not path.is_file():
                return match[0]  # the server says why it cannot be had
            data = path.read_bytes()
        except (OSError, RuntimeError, ValueError):
            return match[0]
        return f'{match[1]}"{ENCLOSED}{quote(name)};base64,{base64.b64encode(data).decode()}"'

    return _FILE.sub(enclose, text)


def _split_address(address: str) -> tuple[bool, str, int | None]:
    """Whether `address` is https, its host and its port; raises EmulatorError."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise EmulatorError(f"{address!r} is no server's address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        expected = "expected one without a path, such as http://127.0.0.1:4010"
        raise EmulatorError(f"{address!r} is no server's address; {expected}")
    return parts.scheme == "https", parts.hostname, port


def _parse_answer(status: int, answer: bytes, question: str) -> Any:
    """The JSON of an answer; raises EmulatorError if it is a refusal, or does not come from an emulator.

    A verdict is no refusal, though a bad one has the status 406.
    """
    refusal = None
    try:
        content = json.loads(answer)
        if status >= 400 and not (status == 406 and "ok" in content):
            refusal = EmulatorError(content["error"]["message"], status, content["error"]["param"])
    except (ValueError, TypeError, AttributeError, KeyError):
        raise EmulatorError(f"no emulator is there: {question} was answered with {status}", status) from None
    if refusal is not None:
        raise refusal
    return content


def _encode_json(body: Any) -> bytes:
    """`body` as JSON; raises EmulatorError, in one line, for what JSON cannot say."""
    try:
        return json.dumps(body, default=_convert_for_json).encode()
    except RecursionError:
        line = "too many parts inside of parts"
    except (TypeError, ValueError) as error:  # a key, a circle, an integer of thousands of digits
        line = str(error)
    raise EmulatorError(f"the value cannot be sent: {line}")


def _convert_for_json(value: Any) -> Any:
    """A set as a list; JSON has nothing else for it."""
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    raise EmulatorError(f"{value!r} cannot be sent: expected what JSON can say")


_FILE: Final = re.compile(r"""(\bfile["']?[ ]*:[ ]*)(?:"([^"\n]+)"|'([^'\n]+)'|([^\s"'{\[,}\]\#&*!|>][^,}\]\n\#]*))""")
"""A member `file` in YAML or JSON, with its value in quotes or without."""
