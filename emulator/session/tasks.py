"""Tasks: calls that do not wait for their pictures, and the calls that ask what has become of them.

What a task comes to is decided when it begins; who asks is only shown how far it is. Tasks are remembered in Memory and
nowhere else, as a note of their session, and bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from emulator.core.clock import Clock
from emulator.core.phrases import quote
from emulator.gateway.errors import fill_template
from emulator.gateway.task_format import State, TaskShape
from emulator.messages import Call, Canned, Draw, GatewayError, Kind, Plan, Refuse, Response
from emulator.response import overrides
from emulator.response.builder import Place, ResponseBuilder
from emulator.scenario.engine import postponed
from emulator.scenario.scenario import Selection
from emulator.session.journal import Entry
from emulator.session.store import Store


@dataclass(frozen=True)
class Task:
    """What a `call` asked for and was promised: `plan` is what comes of it.

    `number` and `request_id` are those of the call, `language` is the caller's. `seconds` is how long it takes, None
    where nobody said: then it moves on with each time it is asked for, of which there were `polls`. `begun` is Unix
    seconds on the session's clock, `base` the same on the one that nobody moves; `ended` is None until it has.
    """

    id: str
    number: int
    request_id: str
    language: str
    call: Call
    plan: Plan
    seconds: float | None
    begun: float
    base: float
    weight: int
    polls: int = 0
    ended: float | None = None

    def share(self, clock: Clock, session: str) -> float:
        """How much of it is done, 0 to 1 and above.

        A clock that makes waits shorter makes a task shorter. Where it skips them, each poll is a step, as it is where
        no time was said: a client that asks again would wait for ever for a time that stands still.
        """
        steps = self.polls / _STEPS
        if self.seconds is None:
            return steps
        passed = _part(clock.now(session) - self.begun, self.seconds, 1.0)
        return max(passed, _part(clock.base() - self.base, self.seconds * clock.scale, steps))


class TaskManager:
    """Where calls are answered, at once or later: hands out tasks, and shows them to those who ask."""

    def __init__(self, memory: Store[Entry], response_builder: ResponseBuilder) -> None:
        self._memory = memory
        self._response_builder = response_builder

    async def answer(self, entry: Entry, place: Place) -> Response:
        """The reply to the call of `entry`, raises GatewayError where it is a refusal."""
        call, choice, shape = entry.call, entry.choice, entry.gateway.tasks
        assert call is not None
        assert choice is not None
        plan = choice.answer.plan
        if shape is not None and call.operation == "task" and isinstance(plan, Draw):
            return await self._shown(entry, shape, plan, place)
        if shape is not None and postponed(call, plan):
            task = await self._begin(entry, shape, call, choice)
            return _told(entry, task, "waiting", shape.submitted, status=shape.status)
        if shape is not None and shape.beside is not None and call.count and isinstance(plan, Draw):
            return await self._at_once(entry, shape, plan, place)
        return await self._response_builder.compose(call, plan, entry.gateway, place)

    async def _at_once(self, entry: Entry, shape: TaskShape, plan: Draw, place: Place) -> Response:
        """The reply to a call that waits for its pictures, in which its task stands beside them."""
        call, choice, beside = entry.call, entry.choice, shape.beside
        assert call is not None
        assert choice is not None
        assert beside is not None
        task = _task(entry, shape, call, choice, self._response_builder)
        task = replace(task, ended=task.begun, seconds=0.0)
        place = replace(place, made=task.begun, lay=lambda body: body | fill_template(beside, _facts(task, 100)))
        response = await self._response_builder.compose(call, plan, entry.gateway, place)
        await self._keep(entry.session, task)
        return replace(response, task=_mark(task, "done"))

    async def _begin(self, entry: Entry, shape: TaskShape, call: Call, choice: Selection) -> Task:
        task = _task(entry, shape, call, choice, self._response_builder)
        await self._keep(entry.session, task)
        return task

    async def _shown(self, entry: Entry, shape: TaskShape, plan: Draw, place: Place) -> Response:
        """A task as it is now, for one who asks; raises GatewayError where this session has none of that id."""
        assert entry.call is not None
        name, wanted = next(iter(entry.call.params.items()))
        task = (await self._remembered(entry.session)).get(wanted)
        if task is None:
            facts, rule = {"value": quote(wanted)}, "a task of this session, and one of its newest"
            raise GatewayError("invalid_request", name, "no_such_task", facts, rule, shape.source, wanted)
        task, share = self._moved_on(task, entry.session)
        await self._keep(entry.session, task)
        if task.ended is None:
            state: State = "waiting" if share < _SOON else "running"
            return _told(entry, task, state, shape.shown[state], plan, int(share * 100))
        return await self._ended(entry, shape, task, plan, place)

    def _moved_on(self, task: Task, session: str) -> tuple[Task, float]:
        """`task` after one more poll, and how much of it is done; where waits are skipped, its time passes then."""
        clock = self._response_builder.clock
        task = replace(task, polls=task.polls + 1)
        share = 1.0 if task.ended is not None else task.share(clock, session)
        if share < 1 or task.ended is not None:
            return task, share
        end = clock.now(session)
        if task.seconds is not None:
            clock.advance(max(0.0, task.begun + task.seconds - end), session)
            end = task.begun + task.seconds
        return replace(task, ended=end), share

    async def _ended(self, entry: Entry, shape: TaskShape, task: Task, plan: Draw, place: Place) -> Response:
        """What has become of `task`, the same whenever it is asked for: its pictures, or why there are none."""

        def lay(body: dict[str, Any]) -> dict[str, Any]:
            told: dict[str, Any] = fill_template(shape.shown["done"], {**body, **_facts(task, 100)})
            return told

        place = replace(place, made=task.ended, lay=lay, request_id=task.request_id)
        try:
            came = _plan(task.plan, plan)
            response = await self._response_builder.compose(task.call, came, entry.gateway, place)
        except GatewayError as error:
            told = entry.gateway.error_catalog.format_members(error, language=task.language)
            return _told(entry, task, "failed", shape.shown["failed"], plan, 100, told)
        return replace(response, task=_mark(task, "done"))

    async def _remembered(self, session: str) -> Mapping[str, Task]:
        return await self._memory.noted(session, NOTE) or {}

    async def _keep(self, session: str, task: Task) -> None:
        """Remember `task` as it is now; the oldest make room."""
        tasks = dict(await self._remembered(session))
        tasks[task.id] = task
        weight = sum(one.weight for one in tasks.values())
        while len(tasks) > MOST_TASKS or (weight > MOST_BYTES and len(tasks) > 1):
            weight -= tasks.pop(next(iter(tasks))).weight
        await self._memory.note(session, NOTE, tasks, self._response_builder.clock.base())


async def forget(memory: Store[Any], session: str, now: float) -> None:
    """Forget the tasks of `session`."""
    if await memory.noted(session, NOTE) is not None:
        await memory.note(session, NOTE, None, now)


def _task(entry: Entry, shape: TaskShape, call: Call, choice: Selection, response_builder: ResponseBuilder) -> Task:
    """The task of a call that has just come; its id depends on seed, session and the call's number alone."""
    now = response_builder.clock.now(entry.session)
    uploads = tuple(one.without_bytes() for one in call.uploads)
    times = [one.latency for one in (*choice.tries, choice) if one.latency is not None]
    return Task(
        id=shape.ids.make(f"{response_builder.seed}\n{entry.session}\n{entry.number}\ntask", now),
        number=entry.number,
        request_id=entry.request_id,
        language=entry.gateway.choose_language(entry.request.headers),
        call=replace(call, given={}, params={}, findings=(), uploads=uploads),
        plan=choice.answer.plan,
        seconds=sum(times) if times else None,
        begun=now,
        base=response_builder.clock.base(),
        weight=len(entry.request.body),
    )


def _plan(plan: Plan, poll: Draw) -> Plan:
    """What becomes of a task whose answer was `plan`, where the answer to the one who asks is `poll`."""
    match plan:
        case Canned():
            return Refuse(_FAILURES.get(plan.status, "upstream_error"))
        case Draw():
            return replace(plan, omit=plan.omit + poll.omit, changes=plan.changes + poll.changes)
        case _:
            return plan


def _told(
    entry: Entry,
    task: Task,
    state: State,
    template: Mapping[str, Any],
    poll: Draw | None = None,
    progress: int = 0,
    error: Mapping[str, Any] | None = None,
    status: int = 200,
) -> Response:
    """A reply that tells of a task without pictures."""
    body = fill_template(template, {**_facts(task, progress), **(error or {})})
    if poll is not None:
        overrides.members(body, (body,), poll)
    spelling = entry.gateway.spelling
    return Response(
        status, (("Content-Type", spelling.content_type),), (spelling.spell(body),), task=_mark(task, state)
    )


def _facts(task: Task, progress: int) -> dict[str, Any]:
    return {"id": task.id, "model": task.call.model, "submitted": int(task.begun), "progress": progress}


def _mark(task: Task, state: State) -> Mapping[str, Any]:
    """What a journal says of a task: `call` is the number of the call that began it."""
    return {"id": task.id, "call": task.number, "state": state}


def _part(passed: float, whole: float, otherwise: float) -> float:
    """How much of `whole` has passed; `otherwise` where it takes no time at all."""
    return passed / whole if whole > 0 else otherwise


NOTE: Final = "tasks"
_STEPS: Final = 2  # polls until a task has ended, where no time tells: the first one finds it running
_SOON: Final = 0.25  # of its time a task waits for its turn
MOST_TASKS: Final = 1000  # that a session remembers; as many as it remembers calls
MOST_BYTES: Final = 2 * 2**20  # of their calls' bodies, for prompts and pictures can be long
_FAILURES: Final[Mapping[int, Kind]] = {
    500: "server_error", 503: "overloaded", 504: "upstream_timeout", 524: "upstream_timeout",
}  # fmt: skip
