"""One session of one server, in Python: its URLs and keys, its scenario, its calls, and what a test expects of them.

Everything goes through the admin API, /_emulator/…, so that the same class works with a server in this process and
with one elsewhere. Only the standard library is loaded.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol, Unpack, cast

from emulator.client import proxies
from emulator.client.calls import Calls, SessionClock
from emulator.client.connection import Connection, EmulatorError, ScenarioSource, load_scenario_body, session_path
from emulator.client.expectations import (
    CallFields,
    Expectation,
    ServerHealth,
    ServerSettings,
    SessionSettings,
    SettingsChanges,
)
from emulator.client.journal_table import format_heading, format_journal
from emulator.client.portability import Portability
from emulator.client.records import PictureOrigin, RecordedCall
from emulator.core import names
from emulator.core.suggestions import describe_known, describe_unknown
from emulator.core.tls_folder import TRUST_VARIABLES

_MOST_PICTURES: Final = 20  # in one report
_URL_VARIABLES: Final = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "IMAGES_OPENAI_API_BASE_URL")
_KEY_VARIABLES: Final = ("OPENAI_API_KEY", "IMAGES_OPENAI_API_KEY")


class SupportsSetenv(Protocol):
    """An object that sets environment variables and takes them back, such as pytest's `monkeypatch`."""

    def setenv(self, name: str, value: str) -> None:
        """Set the variable `name`."""
        ...


SupportsSetenv.__module__ = "emulator"  # in the class body it would be a member of the protocol


class ImageApi:
    """A session on the server at an address. It shares nothing with the server's other sessions.

    >>> from emulator import ImageApi
    >>> other = ImageApi(image_api.server, "orders")
    >>> other.url("ezmodel").removeprefix(other.server)
    '/s/orders/ezmodel/v1'
    >>> len(other.calls)
    0
    """

    __module__ = "emulator"

    def __init__(
        self,
        server: str | Connection,
        name: str | None = None,
        gateway: str | None = None,
        token: str | None = None,
        ca: str | os.PathLike[str] | None = None,
    ) -> None:
        """`name` is the session's (None: a new one), `gateway` the one of `url()` (None: the server's default).

        `token` is for servers that were started with one (None: the environment's EMULATOR_ADMIN_TOKEN), and `ca` is
        the file of the authority that has signed a server's certificate (None: that of this user's own emulators).
        """
        if isinstance(server, str):
            server = Connection(
                server, token or os.environ.get("EMULATOR_ADMIN_TOKEN"), None if ca is None else Path(ca)
            )
        self._connection = server
        self._name = names.make_name(name or f"session-{os.urandom(4).hex()}")
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
    def ca(self) -> Path | None:
        """The file of the authority that clients have to trust; None where the server does not answer HTTPS with one.

        >>> image_api.ca
        """
        return self._connection.ca

    @property
    def health(self) -> ServerHealth:
        """What the server answered when it was first asked for its health: version, encoder, accelerators.

        >>> image_api.health["status"]
        'ok'
        """
        return self._connection.health

    @property
    def server_settings(self) -> ServerSettings:
        """How the server was started: seed, clock, gateways and so on; the session's own are `settings()`.

        >>> image_api.server_settings["seed"]
        0
        """
        return self._connection.settings

    @cached_property
    def key(self) -> str:
        """An API key of the session: calls with it, at any of the server's URLs, belong to this session.

        >>> image_api.key
        'sk-emulator.session.embedded'
        """
        if self.server_settings["reserved_values"]:
            return names.make_key(self._name)
        return f"sk-{self._name}"

    @cached_property
    def session_name(self) -> str:
        """The session's name on the server.

        >>> image_api.session_name
        'embedded'
        """
        if self.server_settings["reserved_values"]:
            return self._name
        return names.name_for_key(self.key)

    def url(self, gateway: str | None = None) -> str:
        """A client's base URL: calls to it, with any key, belong to this session. Raises EmulatorError.

        >>> image_api.url("geekai").removeprefix(image_api.server)
        '/s/embedded/geekai/api/v1'
        >>> image_api.url().removeprefix(image_api.server)
        '/s/embedded/v1'
        """
        prefix = f"{self.server}/s/{self.session_name}"
        name = gateway or self._gateway
        if name is None:
            return f"{prefix}/v1"
        known = self.server_settings["gateways"]
        if name not in known:
            raise EmulatorError(f"no gateway {name!r}; {describe_known(name, known)}")
        return prefix + self._connection.find_base(name)

    def environ(self, monkeypatch: SupportsSetenv | None = None, gateway: str | None = None) -> dict[str, str]:
        """The variables in which clients look for a base URL and a key; `monkeypatch`, if given, sets them.

        NO_PROXY and no_proxy have the server's host besides what they have already: with a proxy in the environment,
        calls would be sent there. With HTTPS the variables in which clients look for authorities have `ca`. Raises
        EmulatorError for a `monkeypatch` that is none.

        >>> sorted(image_api.environ())  # doctest: +NORMALIZE_WHITESPACE
        ['IMAGES_OPENAI_API_BASE_URL', 'IMAGES_OPENAI_API_KEY', 'NO_PROXY', 'OPENAI_API_BASE', 'OPENAI_API_KEY',
         'OPENAI_BASE_URL', 'no_proxy']
        >>> image_api.environ(gateway="aiai")["OPENAI_BASE_URL"] == image_api.url("aiai")
        True
        """
        variables = {
            **dict.fromkeys(_URL_VARIABLES, self.url(gateway)),
            **dict.fromkeys(_KEY_VARIABLES, self.key),
            **dict.fromkeys(proxies.EXCEPTIONS, proxies.except_host(self.server)),
        }
        if self.ca is not None and self.server.startswith("https:"):
            variables |= dict.fromkeys(TRUST_VARIABLES, str(self.ca))
        if monkeypatch is not None:
            if not hasattr(monkeypatch, "setenv"):
                raise EmulatorError(_explain_missing_monkeypatch(monkeypatch))
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
        """The account on the same server whose session has exactly this name, which other processes may use as well.

        >>> image_api.account("orders").session_name
        'orders'
        """
        return ImageApi(self._connection, name, gateway or self._gateway)

    def play(self, scenario: ScenarioSource) -> None:
        """Let the session play a scenario from its beginning: a ready-made one's name, a path, YAML, or a mapping.

        Raises EmulatorError for a scenario with an error in it; the session then plays on what it played before.

        >>> image_api.play({"rules": [{"answers": {"refuse": "rate_limit"}}]})
        >>> image_api.play("no-such-scenario")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        emulator.EmulatorError: no ready-made scenario 'no-such-scenario'; those are ...
        """
        body, path = load_scenario_body(scenario)
        try:
            self._ask("PUT", "/scenario", body)
        except EmulatorError as error:
            message = str(error)
            if path is not None and message.startswith("scenario:"):  # the server does not know the file's name
                message = str(path) + message.removeprefix("scenario")
            raise EmulatorError(message, error.status, error.param) from None

    @property
    def calls(self) -> Calls:
        """The calls of the session, the oldest first; each look at them asks the server again.

        >>> [call.status for call in image_api.calls]
        [200, 400]
        """
        return Calls(self._connection, self.session_name)

    @property
    def findings(self) -> Mapping[str, int]:
        """The codes of the session's findings, each with the number of calls that have it.

        >>> image_api.findings["unknown_parameter"]
        1
        """
        return Counter(code for call in self.calls for code in call.codes)

    def verify(self, when: Mapping[str, Any] | None = None, **words: Unpack[Expectation]) -> tuple[RecordedCall, ...]:
        """The calls that are as expected; raises AssertionError, with what came instead, if the calls are different.

        `words` are fields of a call, each with a value or with matchers as in a scenario's `when`, and what is
        expected of the calls with such fields: at most one of times, once, never, at_least, at_most and between;
        no_findings, no_unused_answers, max_cost (dollars); or in_order alone. `emulator.Expectation` lists them all.
        Calls count from their beginning: answered ones, those whose client left, and those under way.
        `when` has further fields: a gateway's own parameters, and dotted paths to what lies inside of a field.
        Without a count, at least one call is expected. An unknown word raises EmulatorError.

        >>> image_api.verify(once=True, model="dall-e-3", prompt={"contains": "cat"}, status=200)
        (<call 1: ezmodel generate dall-e-3 200 unknown_parameter>,)
        >>> image_api.verify(when={"headers.user-agent": "curl"}, never=True)
        ()
        >>> image_api.verify(never=True, statuss=200)
        Traceback (most recent call last):
        ...
        emulator.EmulatorError: verify: unknown word 'statuss'; did you mean 'status'?
        """
        __tracebackhide__ = True
        verdict = self._ask("POST", "/verify", _make_verification(when, words))
        if not verdict["ok"]:
            raise AssertionError(verdict["message"])
        return self.calls.numbered(verdict["matched"])

    def reset(self) -> None:
        """Forget the session's calls, and play its scenario from the beginning.

        >>> image_api.reset()
        >>> len(image_api.calls)
        0
        """
        self._ask("POST", "/reset")

    @property
    def clock(self) -> SessionClock:
        """The session's time.

        >>> image_api.clock.now
        '2026-01-01T00:00:00Z'
        """
        return SessionClock(self._connection, self.session_name)

    def settings(self, **changes: Unpack[SettingsChanges]) -> SessionSettings:
        """The session's settings after `changes` of report_only, behavior or picture_weight; None takes a change back.

        >>> image_api.settings(report_only=True)["report_only"]
        True
        """
        method = "PUT" if changes else "GET"
        report = self._ask(method, "/settings", changes or None)
        return cast(SessionSettings, {name: value for name, value in report.items() if name != "session"})

    def portability(self, *, gateways: Sequence[str] = ()) -> Portability:
        """Which gateways, with which behavior, would accept the calls of the session, and why others would not.

        `gateways` are those to ask; without them, all. Raises EmulatorError for an unknown one.

        >>> table = image_api.portability()
        >>> [fit.outcome for fit in table if fit.number == 1 and fit.gateway == "ezmodel"][0]
        'ignores'
        """
        report = self._connection.ask("POST", "/portability", {"session": self.session_name})
        known = list(dict.fromkeys(one["gateway"] for one in report["gateways"]))
        for name in gateways:
            if name not in known:
                raise EmulatorError(f"no gateway {name!r}; {describe_known(name, known)}")
        return Portability(report, gateways or known)

    def coverage(self, *, all_sessions: bool = False) -> Mapping[str, Any]:
        """What the calls of the session, or of all sessions, have met of their gateways' rules, as JSON has it.

        >>> found = image_api.coverage()
        >>> [(gateway["gateway"], gateway["calls"]) for gateway in found["gateways"]]
        [('ezmodel', 2)]
        """
        query = "" if all_sessions else f"?session={self.session_name}"
        report: Mapping[str, Any] = self._connection.ask("GET", f"/coverage{query}")
        return report

    def picture_of(self, data: bytes) -> PictureOrigin:
        """Which calls of the session got the picture with the bytes `data`; raises ValueError for no picture.

        >>> with urllib.request.urlopen(first.data[0].url) as response:
        ...     origin = image_api.picture_of(response.read())
        >>> origin.call.number, origin.index, origin.size, origin.format, origin.whole
        (1, 0, '1024x1024', 'png', True)
        """
        from emulator.image.inspect import inspect_image

        inspection = inspect_image(data)
        recipe = None
        if inspection.label is not None:
            recipe = inspection.label.get("recipe")
        return PictureOrigin(
            calls=tuple(call for call in self.calls if _has_picture(call, recipe)),
            width=inspection.width,
            height=inspection.height,
            format=inspection.format,
            whole=inspection.whole,
            label=inspection.label,
        )

    def picture(self, number: int, index: int = 0) -> bytes:
        """The file of a picture that the call `number` got; raises EmulatorError if there is no such picture.

        >>> image_api.picture(1)[1:4]
        b'PNG'
        """
        return self._connection.fetch(f"{session_path(self.session_name)}/calls/{number}/pictures/{index}")

    def upload(self, sha256: str) -> bytes:
        """A file that came with a call of the session; raises EmulatorError if the server does not keep it.

        >>> image_api.upload("0" * 64)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        emulator.EmulatorError: ...
        """
        return self._connection.fetch(f"{session_path(self.session_name)}/uploads/{sha256}")

    def report(self, folder: Path | None = None) -> str:
        """The session's journal as a table; `folder`, if given, gets the files of the first pictures.

        >>> print(image_api.report())  # doctest: +ELLIPSIS
        Session embedded of http://127.0.0.1:...: 2 calls
        ...
        """
        calls = list(self.calls)
        files = {}
        if folder is not None:
            files = dict(self._save_pictures(calls, folder))
        lines = [format_heading(self.session_name, self.server, len(calls)), *format_journal(calls, files)]
        hint = None if calls else proxies.explain_missing_calls(self.server)
        if hint is not None:
            lines.append(hint)
        return "\n".join(lines)

    def _save_pictures(self, calls: Sequence[RecordedCall], folder: Path) -> Iterator[tuple[tuple[int, int], str]]:
        """Save the calls' first pictures: the path of each, by the call's number and the picture's index."""
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
        """The server's answer on a path of the session."""
        return self._connection.ask(method, session_path(self.session_name) + path, body)

    def __repr__(self) -> str:
        return f"<image API: session {self._name} at {self._connection}>"


def _explain_missing_monkeypatch(value: object) -> str:
    """Why `value` is not what `environ` takes first; whoever forgets it gives the gateway."""
    text = f"environ: {value!r} cannot set variables; expected pytest's monkeypatch first"
    if isinstance(value, str):
        text += f", as in environ(monkeypatch, {value!r}); environ(gateway={value!r}) returns the variables alone"
    return text


def _make_verification(when: Mapping[str, Any] | None, words: Mapping[str, Any]) -> dict[str, Any]:
    """The body of POST …/verify; raises EmulatorError for an unknown word."""
    fields = dict(when or {})
    verification: dict[str, Any] = {}
    for word, expected in words.items():
        if word in CallFields.__annotations__:
            if word in fields:
                raise EmulatorError(f"verify: {word} is given twice, as a keyword and in when")
            fields[word] = expected
        elif word in Expectation.__annotations__:
            verification[word] = expected
        else:
            raise EmulatorError(f"verify: {describe_unknown('word', word, ['when', *Expectation.__annotations__])}")
    if fields:
        verification["when"] = fields
    return verification


def _has_picture(call: RecordedCall, recipe: str | None) -> bool:
    """Whether the call got the picture with this recipe."""
    return recipe is not None and recipe in [picture.recipe for picture in call.pictures]
