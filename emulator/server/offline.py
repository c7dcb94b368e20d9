"""A server without a socket: it says what a call would be answered, and draws nothing.

The call takes the way of every other one, from the parser of HTTP to the journal, so that nothing can be answered here
in another way than by `serve`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from emulator.core.light_dataclass import dataclass
from emulator.image.files import NO_FILES, Files
from emulator.image.recipe import ImageRecipe
from emulator.image.store import ImageStore, Picture
from emulator.scenario.scenario import Scenario
from emulator.server.app import App
from emulator.server.listener import make_http_server
from emulator.server.own_connection import ask
from emulator.session.call_record import CallRecord
from emulator.session.store import InMemoryStore, StoreLimits
from emulator.settings import Settings

if TYPE_CHECKING:
    from emulator.messages import GatewayError


class OfflineServer:
    """A server with `settings`, whose time stands still; raises InvalidFile as App does.

    It has to be made in a running event loop. Its pictures are a few bytes that stand for the recipes beside them.
    """

    def __init__(self, settings: Settings) -> None:
        self.app: App = _OfflineApp(settings, observer=self._note_call, store=InMemoryStore(_STORE_LIMITS))
        self._make_connection = make_http_server(self.app)
        self._record: CallRecord | None = None

    async def ask(self, request: bytes) -> OfflineAnswer:
        """Return the answer to a whole request, which has the header `Connection: close`. One is asked at a time."""
        self._record = None
        status, headers, body = read_answer(await ask(self._make_connection(), request))
        record = self._record
        if record is None:  # it was no call to a gateway
            return OfflineAnswer(status, headers, body)
        return OfflineAnswer(
            status, headers, body, pictures=record.pictures, error=record.error, request_id=record.request_id
        )

    async def play(self, session: str, scenario: Scenario) -> None:
        """Let a session play a scenario from its beginning."""
        await self.app.sessions.play_scenario(session, scenario)

    async def close(self) -> None:
        """Let the threads end that examine pictures."""
        self.app.image_store.close(wait=True)
        await self.app.close()

    def _note_call(self, record: CallRecord) -> None:
        self._record = record


@dataclass(frozen=True)
class OfflineAnswer:
    """What a server would answer: `headers` by their names in lower case, `pictures` as their recipes.

    `error` is set where it refuses; `request_id` is what its message may show.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    pictures: Sequence[ImageRecipe] = ()
    error: GatewayError | None = None
    request_id: str = ""


class _OfflineApp(App):
    """A server that draws nothing."""

    def _make_image_store(self) -> ImageStore:
        return _BlankImageStore(0, self.store)


class _BlankImageStore(ImageStore):
    """Draws nothing: what is asked for is known from the recipe."""

    async def draw(self, recipe: ImageRecipe, files: Files = NO_FILES) -> Picture:
        """Return a picture that is none."""
        return _BLANK


def read_answer(sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers by their names in lower case, and body of what our own server has sent."""
    head, _, body = sent.partition(b"\r\n\r\n")
    first, *lines = head.decode("utf-8", "replace").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(_read_chunks(body))
    return int(first.split()[1]), headers, body


def _read_chunks(body: bytes) -> Iterator[bytes]:
    start = 0
    while True:
        end = body.find(b"\r\n", start)
        size = int(body[start:end] or b"0", 16)
        if not size:
            return
        yield body[end + 2 : end + 2 + size]
        start = end + 2 + size + 2


_BLANK: Final = Picture(b"blank")
_STORE_LIMITS: Final = StoreLimits(calls=2000, bytes=2**24, sessions=100, age=86_400, upload_bytes=2**28)
