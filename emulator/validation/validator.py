"""Holds a call against its gateway's contract: a Call that keeps it, or the Problem it has.

The one room that refuses. The order is the real one: key, body, model, unknown parameters, each parameter, defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from emulator.core.names import MARKED_KEY
from emulator.core.yaml_file import InvalidFile
from emulator.findings import Finding
from emulator.gateway.calendar import Calendar
from emulator.gateway.gateway import Gateway
from emulator.gateway.operation import Operation
from emulator.gateway.pricing import TABLES
from emulator.gateway.rules import ModelRules, Models
from emulator.messages import Call, GatewayError, Request, ResponseShape
from emulator.validation import body as body_room
from emulator.validation import forms, parameters
from emulator.validation import uploads as inputs
from emulator.validation.default_comparison import DefaultComparison
from emulator.validation.schema import SchemaValidator, SchemaViolation
from emulator.validation.schema_parts import BadSchema, live_rules


@dataclass(frozen=True)
class ValidationContext:
    """On what terms a call is judged: whether breaches are only reported, and which models have channels besides.

    `variables` are those of the call's path, `today` is the day for gateways that go by the calendar of models.
    """

    report_only: bool = False
    channels: frozenset[str] = frozenset()
    variables: Mapping[str, str] = field(default_factory=dict)
    today: Calendar | None = None


USUAL_TERMS: Final = ValidationContext()


class RequestValidator:
    """One gateway's contract; `keys` are the good API keys, None where any will do.

    `marks` tells whether reserved keys are good beside them, `comparison` knows the other gateways. Schemas compile
    when first needed; `examine` compiles all.
    """

    def __init__(
        self,
        gateway: Gateway,
        keys: frozenset[str] | None = None,
        marks: bool = True,
        comparison: DefaultComparison | None = None,
    ) -> None:
        self.gateway = gateway
        self._comparison = comparison or DefaultComparison()
        self._marks = marks
        self._keys = keys
        self._judges: dict[str, SchemaValidator] = {}

    def examine(self) -> Iterator[int]:
        """Compile one request schema after the other, and yield how many live rules each has.

        Raises InvalidFile where one does not compile or checks nothing.
        """
        path = self.gateway.document.source.path
        for operation, models in self.gateway.judging():
            for rules in _all_rules(models):
                if rules.response.usage not in (None, *TABLES):
                    raise InvalidFile(
                        f"{path}: usage {rules.response.usage!r} is no table; known are {', '.join(TABLES)}"
                    )
                try:
                    self._schema_validator(rules.ref, rules.types_first)
                    if rules.upstream is not None:
                        self._schema_validator(rules.upstream)
                except BadSchema as error:
                    raise InvalidFile(f"{path}: a schema does not compile: {error}") from None
                live = live_rules(self.gateway.document, rules.ref)
                if live == 0:
                    raise InvalidFile(f"{path}: {operation.method} {operation.path} has no live rule in {rules.ref}")
                yield live

    def accept(
        self, request: Request, operation: Operation, key: str | None, context: ValidationContext = USUAL_TERMS
    ) -> Call:
        """`raw` understood as `operation`; raises GatewayError.

        Where a breach is only reported, it becomes a finding, and the parameters in question count as not given.
        """
        if context.today is not None and operation.ended is not None and context.today.is_past(operation.ended):
            raise _ended(request, operation)
        self._authenticate(key)
        if operation.models is None and operation.form is None:
            return self._without_body(request, operation, context)
        given, models = body_room.given(request, operation, self.gateway)
        if not operation.bodies:
            raise self._unheard(request, models, given, context)
        findings = list(_duplicates(request))
        model, rules = self._chosen(models, given, findings, context)
        form = forms.body(request, rules) if models is operation.form else None
        body = parameters.given(given if form is None else form.body, rules)
        findings += _findings(body, rules, model)
        broken = [*self._broken(body, rules)]
        if form is not None:
            broken = form.among(broken, rules)
        for one, upstream in broken:
            self._breached(_error(one, findings, model, upstream), findings, context)
        if rules.pictures:
            for unfit, notes in inputs.unfit(request.uploads, body, rules.pictures):
                findings += notes
                self._breached(_error(unfit, findings, model, rules.upstream is not None), findings, context)
            body = forms.plain(body)
        params = parameters.filled(
            parameters.without(body, [one.param for one, _ in broken]) if broken else body, rules
        )
        effective = parameters.effective(params, rules, models)
        pixels = parameters.pixels(effective.get("size"), findings)
        try:
            count = parameters.count(effective, rules)
        except GatewayError as error:
            self._breached(error, findings, context)
            count = 1
        findings += self._defaults(body, rules, model, operation)
        uploads = inputs.usable(request.uploads, rules.pictures) if request.uploads else ()
        deferred = operation.defers(effective)
        shape = replace(rules.response, stream=None) if deferred else rules.response
        said = (operation.name, model, given, params, effective, count, pixels, shape, tuple(findings))
        return Call(*said, uploads=uploads, deferred=deferred)

    def _chosen(
        self, models: Models, given: Mapping[str, Any], findings: list[Finding], context: ValidationContext
    ) -> tuple[str | None, ModelRules]:
        """The model that is meant, and its rules, if it is there today."""
        try:
            model, rules = parameters.choose(models, given, context.channels)
        except GatewayError as error:
            self._breached(error, findings, context)
            model, rules = parameters.nearest(models, given)
        if context.today is not None and model is not None:
            if self.gateway.calendar:
                self._dated(model, findings, context.today, context)
            elif model not in models.listed and (ending := context.today.ending(model, listed=False)):
                findings.append(ending)
        return model, rules

    def _dated(self, model: str, findings: list[Finding], today: Calendar, context: ValidationContext) -> None:
        """Refuse a model that is not there today, and note the end of one that is."""
        if (absence := today.absence(model)) is not None:
            self._breached(absence, findings, context)
        elif (ending := today.ending(model)) is not None:
            findings.append(ending)

    def _unheard(
        self, request: Request, models: Models | None, body: Mapping[str, Any], context: ValidationContext
    ) -> GatewayError:
        """The problem of a call to an operation that nobody carries out; its model is looked up first."""
        if models is not None:
            if body.get("model") in (None, ""):
                return parameters.refusal("unnamed_model", {}, "model", models.source)
            parameters.named(models, body["model"], context.channels)
        facts = {"method": request.method, "path": request.path}
        return GatewayError("invalid_request", None, "not_implemented", facts, "paths", "observed")

    def _without_body(self, request: Request, operation: Operation, context: ValidationContext) -> Call:
        """A call that is all said by its path."""
        if operation.name == "vary":
            raise self._unheard(request, None, {}, context)
        if operation.name == "task":
            return Call("task", None, {}, dict(context.variables), {}, 0, (0, 0), ResponseShape(), ())
        every = (one.models for one in self.gateway.generating())
        model, listing = (
            context.variables.get("model"),
            parameters.listing(self.gateway.listing, every, context.channels),
        )
        if self.gateway.calendar and context.today is not None:
            listing = context.today.listed(listing)
        if operation.name == "model":
            if operation.method == "DELETE" and re.fullmatch(operation.pattern or ".+", str(model)):
                listing = {"id": model, "object": "model", "deleted": True}
            else:
                there = listing["data"] if operation.method == "GET" else ()
                listing = next((one for one in there if one["id"] == model), None)
            if listing is None:
                known = "one of those that GET models lists"
                raise GatewayError(
                    "invalid_request", "model", "no_such_model", {"model": str(model)[:200]}, known, "observed"
                )
        return Call(operation.name, model, {}, {}, {}, 0, (0, 0), ResponseShape(), (), listing)

    def _broken(self, body: Mapping[str, Any], rules: ModelRules) -> Iterator[tuple[SchemaViolation, bool]]:
        """The lines that `body` breaks, and whether they are an upstream's: it sees what the gateway lets by."""
        broken = self._schema_validator(rules.ref, rules.types_first).verdict(body)
        for one in broken:
            yield one, False
        if rules.upstream is not None and not broken:
            passed_on = {
                name: value for name, value in parameters.filled(body, rules).items() if name in rules.parameters
            }
            for one in self._schema_validator(rules.upstream).verdict(passed_on):
                yield one, True

    def _breached(self, error: GatewayError, findings: list[Finding], context: ValidationContext) -> None:
        """Raise `problem`, or where it is only reported note what the answer would have been."""
        if not context.report_only:
            raise error
        status, message = self.gateway.render(error).status, self.gateway.error_catalog.format_message(error)
        findings.append(Finding("would_be_refused", f"refused but for report-only: {status} {message}", error.param))

    def _defaults(
        self, body: Mapping[str, Any], rules: ModelRules, model: str | None, operation: Operation
    ) -> Iterator[Finding]:
        """What is worth knowing about parameters that could have been given."""
        for name, others in self._comparison.differing(self.gateway.name, model, rules, operation.name).items():
            if name in rules.parameters and name not in body:
                yield Finding("default_differs", f"{name!r} is not given: {others}", name)

    def _schema_validator(self, ref: str, types_first: bool = False) -> SchemaValidator:
        schema_validator = self._judges.get(ref)
        if schema_validator is None:
            schema_validator = self._judges[ref] = SchemaValidator(self.gateway.document, ref, types_first)
        return schema_validator

    def _authenticate(self, key: str | None) -> None:
        if not self.gateway.credentials:
            return
        source = self.gateway.credentials[0].source
        if key is None:
            raise GatewayError("missing_key", rule="security: a key is required", source=source)
        if self._marks and key.startswith(MARKED_KEY):  # a reserved key is good wherever keys are listed
            return
        if key.startswith("sk-invalid") or (self._keys is not None and not self._listed(key, self._keys)):
            rule = "security: --keys" if self._keys is not None else "security: no key starts with sk-invalid"
            raise GatewayError("invalid_key", facts={"key": masked(key)}, rule=rule, source=source)
        if self.gateway.plain_keys and "-" in key.removeprefix("sk-"):
            note = Finding("key_in_parts", "a dash inside a key names a channel, which only an administrator may do")
            facts, rule = {"key": masked(key)}, "security: a key has no second part behind a dash"
            raise GatewayError("forbidden", None, "key_in_parts", facts, rule, "observed", findings=(note,))

    def _listed(self, key: str, keys: frozenset[str]) -> bool:
        """Whether `key` is a good one; where a second part of it is refused, the first one tells."""
        if key in keys or not self.gateway.plain_keys:
            return key in keys
        first = key.removeprefix("sk-").partition("-")[0]
        return any(first == one.removeprefix("sk-").partition("-")[0] for one in keys)


def masked(key: str) -> str:
    """A key as OpenAI shows a wrong one: its first 8 and last 4 characters; a key of 12 or fewer whole."""
    return key if len(key) <= 12 else f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}"


def _all_rules(models: Models) -> Iterator[ModelRules]:
    yield from {rules.ref: rules for rules in (*models.listed.values(), models.otherwise) if rules}.values()


def _duplicates(request: Request) -> Iterator[Finding]:
    for key in request.duplicates[:_MOST_FINDINGS]:
        yield Finding("duplicate_key", f"the body gives {key!r} twice; the last one counts", key)


def _findings(body: Mapping[str, Any], rules: ModelRules, model: str | None) -> Iterator[Finding]:
    """What is worth knowing about parameters that are allowed, in the body's order, so that a run repeats."""
    if not rules.closed.value:
        for name in [name for name in body if name not in rules.parameters][:_MOST_FINDINGS]:
            yield Finding("unknown_parameter", f"{name!r} is not on the gateway's page", name)
    for name in body:
        if name in rules.ignored:
            yield Finding("parameter_ignored", f"{name!r} has no effect with {model or 'this model'}", name)
        if name in rules.deprecated:
            yield Finding("deprecated_parameter", f"{name!r} is deprecated", name)


def _ended(request: Request, operation: Operation) -> GatewayError:
    """The problem of a call to an operation that is not there any more."""
    facts, rule = {"method": request.method[:20], "path": request.path[:500]}, f"calendar: ended on {operation.ended}"
    return GatewayError("not_found", facts=facts, rule=rule, source=operation.source)


def _error(broken: SchemaViolation, findings: list[Finding], model: str | None, upstream: bool) -> GatewayError:
    if broken.violation == "unsupported_parameter":  # its words name the model, and no value
        broken = replace(broken, facts={**broken.facts, "model": model or ""}, value=None)
    return GatewayError(
        "invalid_request", broken.param, broken.violation, broken.facts, broken.rule, broken.source, broken.value,
        findings=tuple(findings), model=model, upstream=upstream,
    )  # fmt: skip


_MOST_FINDINGS: Final = 10  # of one code in one call; a person reads no more
