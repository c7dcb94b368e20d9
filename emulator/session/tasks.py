"""Tasks: calls that do not wait for their pictures, and the calls that ask what has become of them.

The result of a task is decided when it begins; a client that asks for the task only sees how far it is. Tasks are in
the store as plain values, and bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from emulator.core.clock import Clock
from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import quote
from emulator.findings import Finding
from emulator.gateway.formats import TaskFormat, TaskState
from emulator.gateway.gateway import Gateway
from emulator.gateway.refusals import RequestFacts
from emulator.gateway.templates import fill_template, find_places
from emulator.messages import (
    UNCHANGED,
    Call,
    Canned,
    Draw,
    Forward,
    GatewayError,
    Kind,
    LocalPlan,
    Missed,
    PictureOverride,
    Plan,
    Refuse,
    Response,
)
from emulator.response.builder import ReplyContext, ResponseBuilder
from emulator.response.overrides import override_members
from emulator.scenario.engine import Selection, is_postponed
from emulator.session.call_record import CallRecord
from emulator.session.json_values import from_plain, to_plain, weigh_value
from emulator.session.store import Store
from emulator.validation.registry import Route


@dataclass(frozen=True)
class Task:
    """What a call asked for, and the plan for its result; every field is a plain value.

    `number` and `request_id` are those of the call, `language` is the caller's, `call` and `plan` are the Call and the
    Plan as plain values. `seconds` is how long the task takes, None where the scenario does not say: then each request
    for the task moves it on, and `polls` counts them. `began` is Unix seconds on the session's clock, `base` the same
    on the clock that nobody moves; `ended` is None until the task has ended. `weight` is about its bytes.
    """

    id: str
    number: int
    request_id: str
    language: str
    model: str | None
    call: Mapping[str, Any]
    plan: Mapping[str, Any]
    seconds: float | None
    began: float
    base: float
    weight: int
    polls: int = 0
    ended: float | None = None

    def measure_progress(self, clock: Clock, session: str) -> float:
        """Return how much of the task is done, 0 to 1 and above.

        A clock that makes waits shorter makes a task shorter. Where it skips them, each request is a step, as it is
        where the scenario gives no time: a client that asks again would wait for ever for a time that stands still.
        """
        steps = self.polls / _STEPS
        if self.seconds is None:
            return steps
        on_session_clock = _divide(clock.now(session) - self.began, self.seconds, default=1.0)
        on_base_clock = _divide(clock.base() - self.base, self.seconds * clock.scale, default=steps)
        return max(on_session_clock, on_base_clock)


class TaskManager:
    """Answers calls, at once or later: hands out tasks, and shows them to the clients that ask."""

    def __init__(self, store: Store, response_builder: ResponseBuilder) -> None:
        self._store = store
        self._response_builder = response_builder
        self._clock = response_builder.clock

    async def respond(self, pending: CallRecord, route: Route) -> Response:
        """Return the response to an accepted call; raises GatewayError where the scenario refuses it."""
        call, selection, gateway = pending.call, pending.selection, pending.gateway
        assert call is not None
        assert selection is not None
        plan, shape = selection.answer.plan, gateway.tasks
        assert not isinstance(plan, Forward | Missed)  # the server itself answers such a call
        if plan is UNCHANGED and shape is None and pending.picture_weight == "small":  # most calls
            session, origin = pending.session, pending.request.origin
            response = await self._response_builder.build_prepared(call, gateway, session, origin)
            if response is not None:
                return response
        context = _make_context(pending, route)
        if selection.answer.recorded is not None:
            return replace(await self._response_builder.build(call, plan, gateway, context), relayed=True)
        if shape is None:
            return await self._response_builder.build(call, plan, gateway, context)
        if call.operation == "task" and isinstance(plan, Draw):
            return await self._show_task(call, gateway, shape, plan, context)
        if is_postponed(call, plan):
            task = self._create_task(pending, call, selection, shape)
            if isinstance(plan, Draw):
                await self._response_builder.keep_own_pictures(plan)
            await self._keep_task(pending.session, task)
            body = _fill_task(shape.submitted, _describe_task(task, progress=0))
            return _build_response(gateway, body, task, state="waiting", status=shape.status)
        if shape.beside is not None and call.count and isinstance(plan, Draw):
            task = self._create_task(pending, call, selection, shape)
            return await self._respond_at_once(call, gateway, plan, beside=shape.beside, task=task, context=context)
        return await self._response_builder.build(call, plan, gateway, context)

    async def _respond_at_once(
        self, call: Call, gateway: Gateway, plan: Draw, *, beside: Mapping[str, Any], task: Task, context: ReplyContext
    ) -> Response:
        """Return the response to a call that waits for its pictures, with its ended task beside them."""
        task = replace(task, ended=task.began, seconds=0.0)
        context = context._replace(
            made=task.began,
            wrap_body=lambda body, _: body | _fill_task(beside, _describe_task(task, progress=100)),
        )
        response = await self._response_builder.build(call, plan, gateway, context)
        await self._keep_task(context.session, task)
        return replace(response, task=_mention_task(task, "done"))

    async def _show_task(
        self, call: Call, gateway: Gateway, shape: TaskFormat, plan: Draw, context: ReplyContext
    ) -> Response:
        """Return the task as it is now; raises GatewayError where the session has none of that id."""
        name, wanted = next(iter(call.params.items()))
        task = await self._find_task(context.session, wanted)
        if task is None:
            raise GatewayError(
                "invalid_request",
                param=name,
                violation="no_such_task",
                facts={"value": quote(wanted)},
                rule="a task of this session, and one of its newest",
                source=shape.source,
                value=wanted,
            )
        task, progress = await self._move_task_on(task, context.session)
        await self._keep_task(context.session, task)
        if task.ended is not None:
            return await self._show_result(gateway, shape, task, plan, context)
        state: TaskState = "waiting" if progress < _SOON else "running"
        body = _fill_task(shape.states[state], _describe_task(task, progress=int(progress * 100)))
        return _build_response(gateway, body, task, state=state, poll=plan)

    async def _move_task_on(self, task: Task, session: str) -> tuple[Task, float]:
        """Return the task after one more request for it, and its progress; where waits are skipped, its time passes."""
        task = replace(task, polls=task.polls + 1)
        if task.ended is not None:
            return task, 1.0
        progress = task.measure_progress(self._clock, session)
        if progress < 1:
            return task, progress
        end = self._clock.now(session)
        if task.seconds is not None:
            await self._clock.advance(max(0.0, task.began + task.seconds - end), session)
            end = task.began + task.seconds
        return replace(task, ended=end), progress

    async def _show_result(
        self, gateway: Gateway, shape: TaskFormat, task: Task, poll: Draw, context: ReplyContext
    ) -> Response:
        """Return the result of an ended task, the same each time: its pictures, or why there are none."""

        def wrap_body(_: Mapping[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
            shown: dict[str, Any] = fill_template(
                _name_task(done, task.id), {**members, **_describe_task(task, progress=100)}
            )
            return shown

        done = shape.states["done"]
        context = context._replace(
            made=task.ended,
            wrap_body=wrap_body,
            places=find_places(done),
            request_id=task.request_id,
            number=task.number,
        )
        plan = _combine_plans(from_plain(task.plan), poll)
        try:
            response = await self._response_builder.build(from_plain(task.call), plan, gateway, context)
        except GatewayError as error:
            words = gateway.error_catalog.format_members(error, language=task.language, request_id=task.request_id)
            status = gateway.error_catalog.choose_template(error).status
            values = {**_describe_task(task, progress=100), **words, "status": status}
            body = _fill_task(shape.states["failed"], values)
            return _build_response(gateway, body, task, state="failed", poll=poll)
        return replace(response, task=_mention_task(task, "done"))

    def _create_task(self, pending: CallRecord, call: Call, selection: Selection, shape: TaskFormat) -> Task:
        """Return the task of a call that has just come; its id depends on seed, session and the call's number."""
        seed, session, now = self._response_builder.seed, pending.session, self._clock.now(pending.session)
        uploads = tuple(upload.without_bytes() for upload in call.uploads)
        latencies = [one.latency for one in (*selection.tries, selection) if one.latency is not None]
        params = call.params if call.response.echoes else {}
        plain_call = to_plain(replace(call, given={}, params=params, findings=(), listing=None, uploads=uploads))
        plan = to_plain(_drop_own_pictures(selection.answer.plan))
        return Task(
            id=shape.ids.make_id(f"{seed}\n{session}\n{pending.number}\ntask", now),
            number=pending.number,
            request_id=pending.request_id,
            language=pending.gateway.choose_language(pending.request.headers),
            model=call.model,
            call=plain_call,
            plan=plan,
            seconds=sum(latencies) if latencies else None,
            began=now,
            base=self._clock.base(),
            weight=_OWN_WEIGHT + weigh_value(plain_call) + weigh_value(plan),
        )

    async def _find_task(self, session: str, task: str) -> Task | None:
        stored = await self._store.get_task(session, task)
        if stored is None:
            return None
        return Task(**stored)

    async def _keep_task(self, session: str, task: Task) -> None:
        values = {name: getattr(task, name) for name in _TASK_FIELDS}
        await self._store.set_task(session, task.id, values, weight=task.weight, now=self._clock.base())


def _make_context(pending: CallRecord, route: Route) -> ReplyContext:
    """Return what the reply to a call depends on beside the call itself."""
    selection, request = pending.selection, pending.request
    assert selection is not None
    limit = route.operation(request.method).limit
    return ReplyContext(
        session=pending.session,
        origin=request.origin,
        asked=RequestFacts(request, path=route.path, methods=route.operations, limit=limit),
        request_id=pending.request_id,
        seconds=selection.latency or 0.0,
        number=pending.number,
        picture_weight=pending.picture_weight,
    )


def _drop_own_pictures(plan: Plan) -> Plan:
    """Return the plan without the bytes of the tester's own pictures, which the store keeps by their digests."""
    if not isinstance(plan, Draw) or plan.picture is None:
        return plan
    if isinstance(plan.picture, PictureOverride):
        return replace(plan, picture=replace(plan.picture, own=None))
    overrides = (None if override is None else replace(override, own=None) for override in plan.picture)
    return replace(plan, picture=tuple(overrides))


def _combine_plans(plan: LocalPlan, poll: Draw) -> LocalPlan:
    """Return the plan for the result of a task, where the scenario answers the request for it with `poll`."""
    match plan:
        case Canned():
            return Refuse(_FAILURES.get(plan.status, "upstream_error"))
        case Draw():
            return replace(plan, omit=plan.omit + poll.omit, changes=plan.changes + poll.changes)
        case _:
            return plan


def _build_response(
    gateway: Gateway, body: dict[str, Any], task: Task, *, state: TaskState, poll: Draw | None = None, status: int = 200
) -> Response:
    """Return a response about a task that has no pictures in it."""
    findings: tuple[Finding, ...] = ()
    if poll is not None:
        body, findings = override_members(poll, body)
    headers = (("Content-Type", gateway.json_format.content_type),)
    return Response(
        status=status,
        headers=headers,
        body=(gateway.json_format.encode(body),),
        task=_mention_task(task, state),
        findings=findings,
    )


def _fill_task(template: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a template about a task."""
    body: dict[str, Any] = fill_template(_name_task(template, values["id"]), values)
    return body


def _name_task(template: Any, task_id: str) -> Any:
    """Return a template with the id of a task wherever a text has {id} in it, such as a path to ask for the task."""
    if isinstance(template, str):
        return template.replace("{id}", task_id)
    if isinstance(template, Mapping):
        return {key: _name_task(part, task_id) for key, part in template.items()}
    if isinstance(template, list):
        return [_name_task(part, task_id) for part in template]
    return template


def _describe_task(task: Task, *, progress: int) -> dict[str, Any]:
    """Return what the gateway's templates can name; `progress` is 0 to 100."""
    return {"id": task.id, "model": task.model, "submitted": int(task.began), "progress": progress}


def _mention_task(task: Task, state: TaskState) -> Mapping[str, Any]:
    """Return what a journal says of a task: `call` is the number of the call that began it."""
    return {"id": task.id, "call": task.number, "state": state}


def _divide(passed: float, whole: float, *, default: float) -> float:
    """Return how much of `whole` has passed; `default` where it takes no time at all."""
    return passed / whole if whole > 0 else default


_OWN_WEIGHT: Final = 1500  # bytes of a task beside its call and its plan
_TASK_FIELDS: Final = tuple(Task.__dataclass_fields__)
_STEPS: Final = 2  # requests until a task has ended, where no time is given: the first one finds it running
_SOON: Final = 0.25  # of its time a task waits for its turn
_FAILURES: Final[Mapping[int, Kind]] = {
    500: "server_error", 503: "overloaded", 504: "upstream_timeout", 524: "upstream_timeout",
}  # fmt: skip
