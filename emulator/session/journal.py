"""What was asked and what was answered, call by call.

An entry leaves this room only through `view`, which blanks every key: keys appear in no page, file or line.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from emulator.core import clock
from emulator.findings import Finding
from emulator.gateway.gateway import Gateway
from emulator.image.recipe import FORMATS
from emulator.messages import Call, GatewayError, Request, Response
from emulator.scenario.scenario import Selection
from emulator.session.store import Store

if TYPE_CHECKING:
    from emulator.scenario.triggers import Trigger
from emulator.core.phrases import quote

BLANK: Final = "***"


@dataclass
class Entry:
    """One call while it is answered, and after: what is not known yet is None.

    `began` and `duration` are seconds on the emulator's clock, `events` is how many of a stream's were made, `weight`
    is about the bytes that the entry holds once it is in the journal.
    """

    number: int
    session: str
    request_id: str
    request: Request
    key: str | None
    began: float
    gateway: Gateway
    operation: str | None = None
    call: Call | None = None
    error: GatewayError | None = None
    reserved: Trigger | None = None
    choice: Selection | None = None
    response: Response | None = None
    duration: float | None = None
    sent: bool = False
    events: int | None = None
    weight: int = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noticed, whether the call was answered or refused."""
        noticed = self.call.findings if self.call else self.error.findings if self.error else ()
        return (*noticed, *self.choice.findings) if self.choice else noticed

    @property
    def model(self) -> str | None:
        """The model that answers, or that was asked for."""
        if self.call:
            return self.call.model
        if self.error and self.error.model:
            return self.error.model
        named = self.request.json.get("model") if isinstance(self.request.json, Mapping) else None
        return named if isinstance(named, str) else None

    def blanked(self, text: str | None) -> str | None:
        """A text of this call with every key blanked, for a line on the console."""
        return None if text is None else str(self._blanker()(text))

    def counted(self, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """`frames`, each counted when it is made; whoever closes what comes back closes them too."""
        self.events = 0
        return self._counted(frames)

    async def _counted(self, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        async with aclosing(frames):
            async for frame in frames:
                self.events = (self.events or 0) + 1
                yield frame

    def view(self) -> dict[str, Any]:
        """The entry as JSON, with every key blanked."""
        blank = self._blanker()
        request, call, choice, response = self.request, self.call, self.choice, self.response
        headers = {
            name: BLANK if name.lower() in self._credential_headers else blank(value)
            for name, value in request.headers.items()
        }
        return {
            "number": self.number,
            "time": clock.format_iso(self.began),
            "session": self.session,
            "request_id": self.request_id,
            "gateway": self.gateway.name,
            "operation": self.operation,
            "model": blank(self.model),
            "method": request.method,
            "path": blank(request.path),
            "query": blank.text(request.query),
            "headers": headers,
            "given": blank(request.json),
            "params": blank(dict(call.params)) if call else None,
            "uploads": [{name: blank(told) for name, told in one.told().items()} for one in self.request.uploads],
            "unreadable": self._unreadable(blank),
            "refused": self._refused(blank),
            "reserved": {"door": self.reserved.door, "value": self.reserved.value} if self.reserved else None,
            "turn": choice.turn if choice else None,
            "rule": choice.rule if choice else None,
            "step": choice.step if choice else None,
            "misses": [
                {"rule": miss.rule, "why": [blank(str(difference)) for difference in miss.why]}
                for miss in (choice.misses if choice else ())
            ],
            "latency": choice.latency if choice else None,
            "tries": [
                {"rule": one.rule, "step": one.step, "latency": one.latency} for one in (choice.tries if choice else ())
            ],
            "status": response.status if response else None,
            "sent": self.sent,
            "events": self.events,
            "task": response.task if response else None,
            "duration": None if self.duration is None else round(self.duration, 6),
            "pictures": self._pictures(),
            "findings": [
                {"code": finding.code, "message": blank(finding.message), "param": blank(finding.param)}
                for finding in self.findings
            ],
        }

    def _blanker(self) -> _Blanker:
        return _Blanker(self.key, self.request.headers, self._credential_headers)

    @property
    def _credential_headers(self) -> frozenset[str]:
        return CREDENTIAL_HEADERS | {credential.header for credential in self.gateway.credentials}

    def _unreadable(self, blank: _Blanker) -> dict[str, Any] | None:
        """What is known of a body that is no JSON: why, how long, and its beginning."""
        request = self.request
        if request.trouble is None and (request.json is not None or not request.body):
            return None
        beginning = request.body[:_SHOWN].decode("utf-8", "backslashreplace")
        why = request.trouble or (self.error.violation if self.error else None)
        declared = request.headers.get("Content-Length", "")
        # Of a form that is none only the beginning is kept; of a compressed body more than was sent.
        length = max(len(request.body), int(declared)) if declared.isdecimal() else len(request.body) or None
        return {"why": why, "length": length, "beginning": blank.text(beginning)}

    def _pictures(self) -> list[dict[str, Any]]:
        """What was asked for of each picture, and what a script had otherwise about it."""
        response = self.response
        return [
            {
                "recipe": one.digest, "width": one.width, "height": one.height, "format": one.format,
                "file": f"{one.digest}.{FORMATS[one.served_as]}", "index": one.index, "prompt_hash": one.prompt_hash,
                "altered": response.altered,
            }
            for one in response.pictures
        ] if response else []  # fmt: skip

    def _refused(self, blank: _Blanker) -> dict[str, Any] | None:
        error = self.error
        if error is None:
            return None
        value = blank(error.value)
        # The words are made anew from blanked facts: a key that was cut short could not be told any more.
        told = {"value": quote(value), "model": str(value)[:200], "key": BLANK, "path": blank(self.request.path)}
        facts = {name: told.get(name, fact) if error.value is not None else fact for name, fact in error.facts.items()}
        if "key" in facts:
            facts["key"] = BLANK
        blanked = replace(error, param=blank(error.param), facts=facts)
        language = self.gateway.choose_language(self.request.headers)
        message = self.gateway.error_catalog.format_message(blanked, language=language, request_id=self.request_id)
        return {
            "kind": error.kind,
            "breach": error.violation,
            "param": blanked.param,
            "code": self.gateway.error_catalog.find_code(error),
            "value": value,
            "rule": error.rule,
            "source": error.source,
            "message": blank(message),
        }


class Journal:
    """One session's calls."""

    def __init__(self, memory: Store[Entry], session: str) -> None:
        self._memory = memory
        self._session = session

    async def end(self, entry: Entry) -> None:
        """Write `entry` down, without the reply's body, which may be many pictures, and without the uploads' bytes."""
        if entry.response is not None:
            entry.response = entry.response.shelved()
        if entry.request.uploads:  # their bytes are kept apart, or not at all
            entry.request = replace(entry.request, uploads=tuple(one.without_bytes() for one in entry.request.uploads))
            if entry.call is not None:
                entry.call = replace(entry.call, uploads=tuple(one.without_bytes() for one in entry.call.uploads))
        request = entry.request
        heads = (
            len(request.path)
            + len(request.query)
            + sum(len(name) + len(value) for name, value in request.headers.items())
        )
        entry.weight = _OWN_WEIGHT + heads + _PARSED * _size(request)
        await self._memory.keep(self._session, entry)


def _size(request: Request) -> int:
    """About the bytes of a body; that of a form is kept as its texts alone."""
    if request.body or not isinstance(request.json, Mapping):
        return len(request.body)
    return sum(len(str(value)) for value in request.json.values())


class _Blanker:
    """Blanks in texts, however deep they stand, what a call's headers say of keys, and whatever looks like one."""

    def __init__(self, key: str | None, headers: Mapping[str, str], credential_headers: frozenset[str]) -> None:
        values = [value for name, value in headers.items() if name.lower() in credential_headers]
        words = {word for value in values for word in re.split(r"[\s=;,]+", value)} | {key or ""}
        self._own = sorted(filter(is_secret, words), key=len, reverse=True)

    def __call__(self, value: Any) -> Any:
        match value:
            case str():
                for key in self._own:
                    value = value.replace(key, BLANK)
                return re.sub(LIKE_A_KEY, BLANK, value).encode("utf-8", "backslashreplace").decode()
            case Mapping():
                return {self(name): BLANK if _names_a_key(name) else self(part) for name, part in value.items()}
            case list() | tuple():
                return [self(part) for part in value]
            case _:
                return value

    def text(self, text: str) -> str:
        """A text of no known structure, such as a query: what stands behind a name that keys have is blanked too."""
        return str(self(re.sub(_NAMED_KEY, rf"\1{BLANK}", text)))


def is_secret(word: str) -> bool:
    """Whether a word that stands where keys stand is worth blanking: long, with a digit, or like a key at once."""
    return len(word) >= _LONG_ENOUGH and (re.search("[0-9]", word) is not None or word.startswith("sk-"))


def _names_a_key(name: Any) -> bool:
    return isinstance(name, str) and name.lower().replace("-", "").replace("_", "") in _CREDENTIAL_NAMES


CREDENTIAL_HEADERS: Final = frozenset({
    "authorization", "proxy-authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie", "x-auth-token",
    "ocp-apim-subscription-key", "x-emulator-token",
})  # fmt: skip
# Patterns as texts: `re` compiles them when they are first needed, which is after the start.
LIKE_A_KEY: Final = r"(?<![A-Za-z0-9])(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|(?i:bearer)\s+[A-Za-z0-9._~+/-]{16,}"
_CREDENTIAL_NAMES: Final = frozenset({
    "apikey", "accesstoken", "authorization", "password", "secret", "token",
})  # fmt: skip
_NAMED_KEY: Final = r"""(?ix)
    (\b (?: (?:api)?[-_]?key | (?:access[-_]?)?token | authorization | password | secret ) \b ["']?
     (?: \s* [:=] \s* ["']? | ["']? \s* (?:\r\n)+ ))  # between a name and its value
    [^&"'\s]+
    """
_LONG_ENOUGH: Final = 10  # characters; a shorter key may be a common word, and blanking it would spoil what was said
_OWN_WEIGHT: Final = 4000  # bytes of an entry with its call and recipes
_PARSED: Final = 6  # bytes in memory for a byte of body: the text itself, and Python's own objects for it
_SHOWN: Final = 2000  # bytes of an unreadable body
