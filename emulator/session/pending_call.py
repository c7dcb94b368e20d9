"""A call while it is answered: what the server knows of it so far, live and mutable.

When the response has been sent, or the client has left, `end` returns what is kept of it; nothing else of the call
remains.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.findings import Finding
from emulator.gateway.gateway import Gateway
from emulator.messages import Call, GatewayError, PictureWeight, Request, Response
from emulator.scenario.engine import UNSCRIPTED, Selection, count_made_pictures
from emulator.session.ended_call import (
    EndedCall,
    SelectedAnswer,
    SentResponse,
    describe_unreadable_body,
    drop_large_parts,
    weigh_call,
)
from emulator.session.journal import CallState

if TYPE_CHECKING:
    from emulator.scenario.reserved_values import ReservedValue


@dataclass(slots=True)
class PendingCall:
    """One call under way; what is not known yet is None.

    `began` is Unix seconds on the session's clock. `events` counts the events of a stream that were made.
    `further_findings` are those of the server about the call as a whole. `forgotten`
    tells that the session was reset or forgotten meanwhile, so that its journal has no place for the call.
    `picture_weight` counts where the answer does not say how heavy a picture is.
    """

    number: int
    session: str
    request_id: str
    request: Request
    key: str | None
    began: float
    gateway: Gateway
    operation: str | None = None
    reserved_value: ReservedValue | None = None
    call: Call | None = None
    selection: Selection | None = None
    error: GatewayError | None = None
    response: Response | None = None
    picture_weight: PictureWeight = "small"
    events: int | None = field(default=None, init=False)
    further_findings: tuple[Finding, ...] = field(default=(), init=False)
    forgotten: bool = field(default=False, init=False)
    _describe_sent: Callable[[], SentResponse | None] | None = field(default=None, init=False)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noticed, whether the call was accepted or refused."""
        found: tuple[Finding, ...] = ()
        if self.call is not None:
            found = self.call.findings
        elif self.error is not None:
            found = self.error.findings
        if self.selection is not None:
            found += self.selection.findings
        if self.response is not None:
            found += self.response.findings
        return found + self.further_findings

    def note_selection(self, selection: Selection) -> None:
        """Note the answer for which the call waits."""
        self.selection = selection

    def note_sending(self, describe: Callable[[], SentResponse | None]) -> None:
        """Note the function that returns what was sent of the response so far."""
        self._describe_sent = describe

    @property
    def sent_so_far(self) -> SentResponse | None:
        """What was sent of the response so far, where it takes its time; None where nothing was."""
        if self._describe_sent is None:
            return None
        return self._describe_sent()

    def count_events(self, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Return the same frames, each counted when it is made; closing the result closes `frames` too."""
        self.events = 0
        return self._count(frames)

    async def _count(self, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        async with aclosing(frames):
            async for frame in frames:
                self.events = (self.events or 0) + 1
                yield frame

    def end(self, state: CallState, sent: SentResponse | None, duration: float) -> EndedCall:
        """Return what is kept of the call, which has taken `duration` seconds on the session's clock.

        `sent` is None where nothing was sent. A call that is under way can be described in the same way.
        """
        request, call, error, response = self.request, self.call, self.error, self.response
        if call is not None and call.uploads:
            call = replace(call, uploads=())
        selected = _UNSELECTED
        if self.selection is not None:
            selected = _describe_selection(self.selection)
        if error is not None:  # what its raising has tied to it would keep the call's frames
            error.__traceback__ = error.__context__ = error.__cause__ = None
        return EndedCall(
            number=self.number,
            session=self.session,
            request_id=self.request_id,
            gateway=self.gateway,
            operation=self.operation,
            key=self.key,
            began=self.began,
            duration=duration,
            request=drop_large_parts(request),
            call=call,
            error=error,
            state=state,
            sent=sent,
            selected=selected,
            findings=self.findings,
            reserved=self._describe_reserved_value(),
            uploads=tuple(upload.describe() for upload in request.uploads),
            unreadable=describe_unreadable_body(request, error),
            events=self.events,
            task=None if response is None else response.task,
            pictures=() if response is None else response.pictures,
            altered=None if response is None else response.altered,
            billed=self._count_billed_pictures(),
            weight=weigh_call(request, len(selected.misses), sent),
        )

    def _count_billed_pictures(self) -> int:
        """Return for how many pictures the call pays: those of its response, or those that it would have got.

        A gateway that draws for a client does not stop when the client leaves. A task is paid by the call that began
        it, and not by those that ask for it.
        """
        call, response = self.call, self.response
        if call is None or call.operation == "task":
            return 0
        if response is not None and not call.deferred:
            return len(response.pictures)
        if self.selection is None or self.error is not None:
            return 0
        return count_made_pictures(self.selection.answer.plan, call)

    def _describe_reserved_value(self) -> dict[str, Any] | None:
        if self.reserved_value is None:
            return None
        return {"door": self.reserved_value.door, "value": self.reserved_value.value}


def _describe_selection(selection: Selection) -> SelectedAnswer:
    if selection is UNSCRIPTED:
        return _UNSCRIPTED
    tries = [{"rule": one.rule, "step": one.step, "latency": one.latency} for one in selection.tries]
    return SelectedAnswer(
        turn=selection.turn,
        rule=selection.rule,
        step=selection.step,
        misses=selection.misses,
        latency=selection.latency,
        tries=tries,
    )


_UNSELECTED: Final = SelectedAnswer()
_UNSCRIPTED: Final = SelectedAnswer(turn=UNSCRIPTED.turn)
