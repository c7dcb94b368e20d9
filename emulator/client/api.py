"""One session of one server, in Python: where clients find it, what it plays, what was asked, whether as expected.

Everything goes over HTTP to /_emulator/, so that the same class serves a server in this process and one elsewhere;
nothing of a server is loaded here, and nothing but the standard library.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

from emulator.client import tables
from emulator.client.calls import Calls, SessionClock
from emulator.client.connection import Connection, EmulatorError, Script, sendable, session_path
from emulator.client.records import PictureOrigin, RecordedCall
from emulator.client.tables import Portability
from emulator.core import names


class Patch(Protocol):
    """What sets variables of the environment and takes them back: pytest's `monkeypatch`."""

    def setenv(self, name: str, value: str) -> None:
        """Set the variable `name`."""
        ...


class ImageApi:
    """A session of its own on the server at an address; what other sessions do is not seen here.

    >>> from emulator import ImageApi
    >>> other = ImageApi(image_api.server, "orders")
    >>> other.url("ezmodel").removeprefix(other.server)
    '/s/orders/ezmodel/v1'
    >>> len(other.calls)
    0
    """

    def __init__(
        self, server: str | Connection, name: str | None = None, gateway: str | None = None, token: str | None = None
    ) -> None:
        """`name` is the session's (None: a new one), `gateway` the one of `url()` (None: the server's default).

        `token` is for servers that were started with one (None: the environment's EMULATOR_ADMIN_TOKEN).
        """
        if isinstance(server, str):
            server = Connection(server, token or os.environ.get("EMULATOR_ADMIN_TOKEN"))
        self._connection = server
        self._name = names.short_name(name or f"session-{os.urandom(4).hex()}")
        self._gateway = gateway
        self._accounts = 1

    @property
    def server(self) -> str:
        """The server's address.

        >>> image_api.server.startswith("http://127.0.0.1:")
        True
        """
        return self._connection.address

    @property
    def health(self) -> Mapping[str, Any]:
        """What the server said of itself when it was first asked: version, seed, clock, gateways and so on.

        >>> image_api.health["seed"]
        0
        """
        return self._connection.health

    @cached_property
    def key(self) -> str:
        """An API key of the session's own: whatever is called with it, at any of the server's URLs, is seen here.

        >>> image_api.key
        'sk-emulator.session.embedded'
        """
        return names.key_for(self._name) if self.health["reserved_values"] else f"sk-{self._name}"

    @cached_property
    def session_name(self) -> str:
        """What the server calls the session.

        >>> image_api.session_name
        'embedded'
        """
        return self._name if self.health["reserved_values"] else names.digest(self.key)

    def url(self, gateway: str | None = None) -> str:
        """A client's base URL; whatever is called there, with any key, is seen here. Raises EmulatorError.

        >>> image_api.url("geekai").removeprefix(image_api.server)
        '/s/embedded/geekai/api/v1'
        >>> image_api.url().removeprefix(image_api.server)
        '/s/embedded/v1'
        """
        prefix, name = f"{self.server}/s/{self.session_name}", gateway or self._gateway
        if name is None:
            return f"{prefix}/v1"
        if name not in self._connection.bases:
            raise EmulatorError(f"no gateway {name!r}; known are {', '.join(self._connection.bases)}")
        return prefix + self._connection.bases[name]

    def environ(self, monkeypatch: Patch | None = None, gateway: str | None = None) -> dict[str, str]:
        """The variables in which clients look for a base URL and a key; with `monkeypatch` they are set, too.

        >>> sorted(image_api.environ())
        ['IMAGES_OPENAI_API_BASE_URL', 'IMAGES_OPENAI_API_KEY', 'OPENAI_API_BASE', 'OPENAI_API_KEY', 'OPENAI_BASE_URL']
        >>> image_api.environ(gateway="aiai")["OPENAI_BASE_URL"] == image_api.url("aiai")
        True
        """
        variables = dict.fromkeys(_URL_VARIABLES, self.url(gateway)) | dict.fromkeys(_KEY_VARIABLES, self.key)
        if monkeypatch is not None:
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
        return variables

    def session(self, name: str | None = None) -> ImageApi:
        """A second account on the same server, which shares nothing with this one; its name begins with this one's.

        >>> image_api.session("alice").key
        'sk-emulator.session.embedded.alice'
        """
        if name is None:
            self._accounts += 1
            name = str(self._accounts)
        return self.account(f"{self._name}.{name}")

    def account(self, name: str, gateway: str | None = None) -> ImageApi:
        """The account on the same server whose session has just this name, which others may know as well.

        >>> image_api.account("orders").session_name
        'orders'
        """
        return ImageApi(self._connection, name, gateway or self._gateway)

    def play(self, scenario: Script) -> None:
        """Let the session play a scenario from its beginning: a ready-made one's name, a path, YAML, or a dict.

        Raises EmulatorError for one that contradicts itself.

        >>> image_api.play({"rules": [{"answers": {"refuse": "rate_limit"}}]})
        >>> image_api.play("no-such-scenario")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        emulator.client.connection.EmulatorError: no ready-made scenario 'no-such-scenario'; those are ...
        """
        body, path = sendable(scenario)
        try:
            self._ask("PUT", "/scenario", body)
        except EmulatorError as error:
            told = str(error)
            if path is not None and told.startswith("scenario:"):  # as the server calls what has no file's name
                told = str(path) + told.removeprefix("scenario")
            raise EmulatorError(told, error.status, error.param) from None

    @property
    def calls(self) -> Calls:
        """The calls of the session, the oldest first; asked for anew whenever they are looked at.

        >>> [call.status for call in image_api.calls]
        [200, 400]
        """
        return Calls(self._connection, self.session_name)

    @property
    def findings(self) -> Mapping[str, int]:
        """The codes of what was noticed in the session, and in how many calls.

        >>> image_api.findings["unknown_parameter"]
        1
        """
        return Counter(code for call in self.calls for code in call.codes)

    def verify(self, when: Mapping[str, Any] | None = None, /, **words: Any) -> tuple[RecordedCall, ...]:
        """The calls that are as expected; raises AssertionError, with what came instead, where they are not.

        `words` are at most one of times, once, never, at_least, at_most, between; in_order alone; no_findings,
        no_unused_answers, max_cost (dollars). Whatever else they name is a field of a call, with a value or matchers
        as in a scenario's `when`; fields that are no Python names, as those inside of others, go into `when`.

        >>> image_api.verify(once=True, model="dall-e-3", prompt={"contains": "cat"}, status=200)
        (<call 1: ezmodel generate dall-e-3 200 unknown_parameter>,)
        >>> image_api.verify({"headers": {"user-agent": "curl"}}, never=True)
        ()
        """
        __tracebackhide__ = True
        body: dict[str, Any] = {word: words.pop(word) for word in _VERIFYING if word in words}
        if fields := {**(when or {}), **words}:
            body["when"] = fields
        verdict = self._ask("POST", "/verify", body)
        if not verdict["ok"]:
            raise AssertionError(verdict["message"])
        return self.calls.numbered(verdict["matched"])

    def reset(self) -> None:
        """Forget the session's calls, and begin its scenario anew.

        >>> image_api.reset()
        >>> len(image_api.calls)
        0
        """
        self._ask("POST", "/reset")

    @property
    def clock(self) -> SessionClock:
        """The session's time."""
        return SessionClock(self._connection, self.session_name)

    def settings(self, **changes: Any) -> dict[str, Any]:
        """What holds for the session, after `changes`: report_only, behavior; None is as the server has it.

        >>> image_api.settings(report_only=True)["report_only"]
        True
        """
        told: dict[str, Any] = self._ask("PUT" if changes else "GET", "/settings", changes or None)
        return {name: value for name, value in told.items() if name != "session"}

    def portability(self) -> Portability:
        """Which gateways, in which behavior, would accept the calls of the session, and why others would not.

        >>> table = image_api.portability()
        >>> [fit.outcome for fit in table if fit.number == 1 and fit.gateway == "ezmodel"][0]
        'ignores'
        """
        return Portability(self._connection.ask("POST", "/portability", {"session": self.session_name}))

    def picture_of(self, data: bytes) -> PictureOrigin:
        """Which call of the session got the picture with these bytes; raises ValueError where they are no picture.

        >>> with urllib.request.urlopen(first.data[0].url) as response:
        ...     origin = image_api.picture_of(response.read())
        >>> origin.call.number, origin.index, origin.size, origin.format, origin.whole
        (1, 0, '1024x1024', 'png', True)
        """
        from emulator.image import render  # Pillow is loaded for the first picture

        found = render.inspect(data)
        digest = (found.label or {}).get("recipe")
        calls = tuple(call for call in self.calls if digest and digest in [one.recipe for one in call.pictures])
        return PictureOrigin(calls, found.width, found.height, found.format, found.whole, found.label)

    def picture(self, number: int, index: int = 0) -> bytes:
        """The file of a picture that the call `number` got, drawn once more; raises EmulatorError where there is none.

        >>> image_api.picture(1)[1:4]
        b'PNG'
        """
        return self._connection.fetch(f"{session_path(self.session_name)}/calls/{number}/pictures/{index}")

    def upload(self, sha256: str) -> bytes:
        """A file that a call of the session brought; raises EmulatorError where it is not kept."""
        return self._connection.fetch(f"{session_path(self.session_name)}/uploads/{sha256}")

    def report(self, folder: Path | None = None) -> str:
        """The session's journal as a table for people; with `folder`, its first pictures are put there and named.

        >>> print(image_api.report())  # doctest: +ELLIPSIS
        Session embedded of http://127.0.0.1:...: 2 calls
        ...
        """
        calls = list(self.calls)
        files = {} if folder is None else dict(self._saved(calls, folder))
        return "\n".join([tables.heading(self.session_name, self.server, len(calls)), *tables.journal(calls, files)])

    def _saved(self, calls: Sequence[RecordedCall], folder: Path) -> Iterator[tuple[tuple[int, int], str]]:
        """The files of the calls' first pictures, by the call's number and the picture's index."""
        pictures = [(call, picture) for call in calls for picture in call.pictures]
        for call, picture in pictures[:_MOST_PICTURES]:
            path = folder / f"call-{call.number}-picture-{picture.index}{Path(picture.file).suffix}"
            try:
                data = self.picture(call.number, picture.index)
            except EmulatorError as error:
                yield (call.number, picture.index), f"not there: {error}"
                continue
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            yield (call.number, picture.index), str(path)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the server answers on a path of the session."""
        return self._connection.ask(method, session_path(self.session_name) + path, body)

    def __repr__(self) -> str:
        return f"<image API: session {self._name} at {self._connection}>"


_MOST_PICTURES: Final = 20  # in one report
_URL_VARIABLES: Final = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "IMAGES_OPENAI_API_BASE_URL")
_KEY_VARIABLES: Final = ("OPENAI_API_KEY", "IMAGES_OPENAI_API_KEY")
_VERIFYING: Final = (
    "times", "once", "never", "at_least", "at_most", "between", "in_order", "no_findings", "no_unused_answers",
    "max_cost",
)  # fmt: skip
