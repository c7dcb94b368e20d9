"""Asks a server's own paths, /_emulator/…, with nothing but the standard library.

Each question has a connection of its own, so nothing is left open, shared between threads or carried into a fork;
whatever goes wrong is one EmulatorError of one line.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

PREFIX: Final = "/_emulator"
Script = str | os.PathLike[str] | Mapping[str, Any]
"""A scenario: a ready-made one's name, a file's path, YAML, or what YAML would say."""


class EmulatorError(Exception):
    """What a test asked of the emulator and could not have; its text is one line.

    `status` is that of the server's answer and `param` what it complains of; both are None where no server answered.

    >>> from emulator import ImageApi
    >>> ImageApi("http://127.0.0.1:4010/ezmodel/v1")
    Traceback (most recent call last):
    ...
    emulator.client.connection.EmulatorError: 'http://127.0.0.1:4010/ezmodel/v1' is no server's address; \
expected one without a path, such as http://127.0.0.1:4010
    """

    def __init__(self, message: str, status: int | None = None, param: str | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status
        self.param = param


class Connection:
    """The way to one server at `address` (None: to none); `token` is for servers that ask for one.

    >>> Connection(image_api.server).ask("GET", "/health")["status"]
    'ok'
    """

    def __init__(self, address: str | None, token: str | None = None) -> None:
        """Ask nothing yet; raises EmulatorError where `address` cannot be one."""
        self._address = None if address is None else address.rstrip("/")
        self._token = token
        self._secure, self._host, self._port = (False, "", None) if address is None else _parts(address)

    @property
    def address(self) -> str:
        """The server's address, such as http://127.0.0.1:4010; raises EmulatorError where there is no server."""
        if self._address is None:
            raise EmulatorError(NOT_RUNNING)
        return self._address

    def __str__(self) -> str:
        return self._address or "no server"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the server answers to `method` on `path` below PREFIX; `body` is JSON, or YAML where it is a text."""
        content, headers = None, {"Accept": "application/json"}
        if body is not None:
            text = isinstance(body, str)
            content = body.encode() if text else json.dumps(body, default=_plain).encode()
            headers["Content-Type"] = "application/yaml" if text else "application/json"
        if self._token is not None:
            headers["X-Emulator-Token"] = self._token
        status, answer = self._exchange(method, PREFIX + path, content, headers)
        return _told(status, answer, f"{method} {self.address}{PREFIX}{path}")

    def fetch(self, path: str) -> bytes:
        """The file on `path` below PREFIX."""
        headers = {} if self._token is None else {"X-Emulator-Token": self._token}
        status, answer = self._exchange("GET", PREFIX + path, None, headers)
        if status >= 400:
            _told(status, answer, f"GET {self.address}{PREFIX}{path}")
        return answer

    @cached_property
    def health(self) -> Mapping[str, Any]:
        """What the server says of itself."""
        told: Mapping[str, Any] = self.ask("GET", "/health")
        return told

    @cached_property
    def bases(self) -> Mapping[str, str]:
        """The path of a client's base URL at each gateway, such as /ezmodel/v1."""
        return {one["name"]: one["base"] for one in self.ask("GET", "/gateways")["gateways"]}

    def _exchange(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of the answer."""
        address = self.address
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_PATIENCE)
        try:
            connection.request(method, path, content, dict(headers))
            with connection.getresponse() as response:
                return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise EmulatorError(f"no emulator answers at {address}: {reason}") from None
        finally:
            connection.close()


def session_path(name: str) -> str:
    """The path of a session, below PREFIX.

    >>> session_path("case-7")
    '/sessions/case-7'
    """
    return f"/sessions/{quote(name, safe='')}"


def spelled_out(scenario: Script) -> bool:
    """Whether a scenario is given in full, as a dict or as YAML, and not by its name or its file's.

    >>> spelled_out("happy"), spelled_out("my/script.yaml"), spelled_out("{rules: []}")
    (False, False, True)
    """
    if isinstance(scenario, str):
        return "\n" in scenario or ": " in scenario or scenario.lstrip().startswith("{")
    return isinstance(scenario, Mapping)


def sendable(scenario: Script) -> tuple[Any, Path | None]:
    """What to send for a scenario, and the file that it stands in; raises EmulatorError where that cannot be read.

    >>> sendable("happy")
    ({'scenario': 'happy'}, None)
    """
    if isinstance(scenario, Mapping):
        return dict(scenario), None
    if isinstance(scenario, str) and spelled_out(scenario):
        return scenario, None
    path = Path(scenario)
    if isinstance(scenario, str) and path.name == scenario and not path.suffix:
        return {"scenario": scenario}, None
    try:
        return path.read_text("utf-8"), path
    except (OSError, UnicodeDecodeError) as error:
        raise EmulatorError(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None


def _parts(address: str) -> tuple[bool, str, int | None]:
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


def _told(status: int, answer: bytes, question: str) -> Any:
    """What an answer says; raises EmulatorError where it refuses, or is not the emulator's."""
    try:
        told = json.loads(answer)
        refusal = None if status < 400 else EmulatorError(told["error"]["message"], status, told["error"]["param"])
    except (ValueError, TypeError, AttributeError, KeyError):
        raise EmulatorError(f"no emulator is there: {question} was answered with {status}", status) from None
    if refusal is not None:
        raise refusal
    return told


def _plain(value: Any) -> Any:
    """Sets as lists; JSON has nothing else for them."""
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise EmulatorError(f"{value!r} cannot be sent: expected what JSON can say")


NOT_RUNNING: Final = "this emulator does not run: use `with Emulator(…) as image_api:`, or start()"
_PATIENCE: Final = 60.0  # seconds; a journal of megabytes is read in one
