"""Validates a call against its gateway's contract: a Call that keeps it, or the GatewayError that the gateway answers.

The validation is a tuple of steps in the real gateways' order. Each step takes a Draft and returns a Draft.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Final
from urllib.parse import parse_qsl

from emulator.core.data_folders import is_shipped_schema
from emulator.core.names import RESERVED_KEY
from emulator.core.patterns import compile_pattern
from emulator.core.yaml_file import InvalidFile
from emulator.findings import Finding
from emulator.gateway import model_listing
from emulator.gateway.gateway import WITH_BODIES, Gateway, Operation
from emulator.gateway.openapi import check_vendor_keys
from emulator.gateway.parameter_names import to_openai_names
from emulator.gateway.refusals import describe_address, mask_key, refuse_key, refuse_path
from emulator.gateway.rules import ModelRules, Models
from emulator.messages import Call, ChannelName, GatewayError, Kind, Request
from emulator.validation.body import (
    convert_form,
    convert_text,
    is_form_request,
    list_placeholders,
    merge_violations,
    read_body,
)
from emulator.validation.draft import NO_MODELS, Draft, ValidationContext, copy_draft
from emulator.validation.known_calls import FreeText, FreeVerdict, KnownCalls, list_free_texts
from emulator.validation.makers import MakerContracts, list_assumptions
from emulator.validation.parameters import (
    apply_defaults,
    build_error,
    check_calendar,
    choose_model,
    choose_pixels,
    count_images,
    drop_absent_values,
    drop_path_model,
    extend_listing,
    fill_defaults,
    find_named_model,
    note_parameters,
    select_effective,
)
from emulator.validation.schema import SchemaValidator, SchemaViolation
from emulator.validation.schema_engines import InvalidSchema
from emulator.validation.schema_parts import count_live_rules
from emulator.validation.uploads import check_uploads

Step = Callable[[Draft], Draft]


class RequestValidator:
    """The contract of one gateway.

    `keys` are the good API keys; None lets any key pass. With `reserved_keys` a reserved key is good beside them.
    A schema compiles when it is first needed; `compile_schemas` compiles all.
    """

    def __init__(
        self,
        gateway: Gateway,
        keys: frozenset[str] | None = None,
        reserved_keys: bool = True,
    ) -> None:
        self.gateway = gateway
        self._keys = keys
        self._reserved_keys = reserved_keys
        self._schema_validators: dict[str, SchemaValidator] = {}
        self._makers = MakerContracts(gateway)
        self._steps: tuple[Step, ...] = (
            refuse_ended_operation,
            self.authenticate,
            self.check_query,
            read_body,
            choose_model,
            check_calendar,
            convert_form,
            drop_path_model,
            drop_absent_values,
            note_parameters,
            self.check_parameters,
            check_uploads,
            apply_defaults,
            select_effective,
            choose_pixels,
            count_images,
            self.compare_with_maker,
        )
        self._steps_without_body: tuple[Step, ...] = (self.authenticate, self.check_query, list_models)
        self._steps_not_implemented: tuple[Step, ...] = (
            refuse_ended_operation,
            self.authenticate,
            read_body,
            refuse_operation,
        )
        self._steps_neither: tuple[Step, ...] = (self.authenticate, refuse_operation)

    def validate(self, request: Request, context: ValidationContext) -> Call:
        """Return the call that `request` is; raises GatewayError where the gateway refuses it.

        With `context.report_only` a violation becomes a finding, and the parameter that has it counts as not given.
        """
        operation = context.operation
        request = name_model(request, context)
        known_calls = self._known_calls.get(id(operation))
        if known_calls is None:
            return self.run_steps(request, context)
        self.check_key(context)
        key = known_calls.build_key(request, context, _choose_query(request, operation))
        if key is None:
            return self.run_steps(request, context)
        known = known_calls.find(key)
        if known is not None:
            return known.build(request.json)
        try:
            call = self.run_steps(request, context)
        except GatewayError as error:
            known_calls.keep_refusal(key, error)
            raise
        known_calls.keep_call(key, call)
        return call

    def find_verdict(self, request: Request, context: ValidationContext, name: str) -> FreeVerdict | None:
        """Return what is said of all calls that differ from `request` in the text of the parameter `name` alone.

        The request has been validated; None where nothing is known of the others. A call with a key that is not taken
        is refused before anything is looked up.
        """
        operation = context.operation
        known_calls = self._known_calls.get(id(operation))
        if known_calls is None:
            return None
        key = known_calls.build_key(request, context, _choose_query(request, operation))
        if key is None:
            return None
        try:
            self.check_key(context)
        except GatewayError:
            return None
        return known_calls.find_free_verdict(request, key, name)

    def run_steps(self, request: Request, context: ValidationContext) -> Call:
        """Do what `validate` does, for a call of which no verdict is known."""
        draft = Draft(self.gateway, name_model(request, context), context)
        for step in self._select_steps(context.operation):
            draft = step(draft)
            if draft.errors:
                draft = report_errors(draft)
        return build_call(draft)

    def check_key(self, context: ValidationContext) -> None:
        """Raise GatewayError where the gateway does not take the key of a call, before anything else is looked at."""
        if not self.gateway.credentials or not self.gateway.needs_key:
            return
        key, source = context.key, self.gateway.credentials[0].source
        if key is None:
            raise GatewayError(kind="missing_key", rule="security: a key is required", source=source)
        if self._reserved_keys and key.startswith(RESERVED_KEY):  # a reserved key is good wherever keys are listed
            return
        if key.startswith("sk-invalid") or (self._keys is not None and not self._is_listed(key, self._keys)):
            rule = "security: no key starts with sk-invalid"
            if self._keys is not None:
                rule = "security: --keys"
            raise refuse_key(key, rule, source)
        if self.gateway.plain_keys and "-" in key.removeprefix("sk-"):
            note = Finding("key_in_parts", "a dash inside a key names a channel, which only an administrator may do")
            raise GatewayError(
                kind="forbidden",
                violation="key_in_parts",
                facts={"key": mask_key(key)},
                rule="security: a key has no second part behind a dash",
                source="observed",
                findings=(note,),
            )

    def check_upstream(
        self, call: Call, request: Request, context: ValidationContext, channel: ChannelName | None
    ) -> Call:
        """Return `call` as the upstream behind `channel` answers it (None: the usual channel).

        Raises GatewayError where the upstream, or the gateway itself, refuses it; with report-only that is a finding.
        """
        usual = self.gateway.channels.get("")
        used = self.gateway.channels.get(channel or "", usual)
        if used is None or call.model is None or not context.operation.bodies:
            return call
        if used.refusal is not None:
            raise _refuse_channel(used.refusal, channel, call.model)
        in_form = is_form_request(request, context.operation)
        rules = _find_rules(call.model, context, in_form)
        if rules is None:
            return call
        passed_on = {name: value for name, value in call.params.items() if name in rules.parameters}
        if in_form:
            passed_on.update(list_placeholders(request.uploads, rules))
        draft = Draft(self.gateway, request, context)
        if used is usual and rules.upstream is not None:
            schema_validator = self._schema_validator(rules.upstream)
            violations = self._find_upstream_violations(schema_validator, passed_on, draft, channel)
            return _report_upstream(call, draft, violations, used.by_maker)
        contract = self._makers.find(context.operation.name, in_form, call.model)
        if contract is None or not used.by_maker:
            return call
        passed_on = dict(to_openai_names(passed_on, rules.own_names))
        violations = self._find_upstream_violations(contract.schema_validator, passed_on, draft, channel)
        if not violations:
            return contract.answer(call, passed_on)
        return _report_upstream(call, draft, violations, used.by_maker)

    def _find_upstream_violations(
        self, schema_validator: SchemaValidator, passed_on: Mapping[str, Any], draft: Draft, channel: ChannelName | None
    ) -> Sequence[SchemaViolation]:
        """Return what of an upstream's rules a call breaks; that it breaks none is kept, as verdicts are."""
        known_calls, key = self._known_calls.get(id(draft.context.operation)), None
        if known_calls is not None:
            key = known_calls.build_key(draft.request, draft.context, channel or "")
            if key is not None and known_calls.has_passed(key):
                return ()
        violations = schema_validator.find_violations(passed_on)
        if known_calls is not None and key is not None and not violations:
            known_calls.note_passed(key)
        return violations

    def compile_schemas(self) -> Iterator[int]:
        """Compile one request schema after the other, and yield how many live rules each has.

        Raises InvalidFile where a schema does not compile or checks nothing.
        """
        file = self.gateway.document.file
        path = file.path
        if is_shipped_schema(path):  # a user's file has been checked when it was loaded
            check_vendor_keys(file)
        for operation, models in self.gateway.iter_validated():
            for rules in models.iter_rules():
                try:
                    self._schema_validator(rules.ref, rules.types_first).compile()
                    if rules.upstream is not None:
                        self._schema_validator(rules.upstream).compile()
                    if operation.query is not None:
                        self._schema_validator(operation.query.ref).compile()
                except InvalidSchema as error:
                    raise InvalidFile(f"{path}: a schema does not compile: {error}") from None
                live = count_live_rules(self.gateway.document, rules.ref)
                if live == 0:
                    raise InvalidFile(f"{path}: {operation.method} {operation.path} has no live rule in {rules.ref}")
                yield live

    def authenticate(self, draft: Draft) -> Draft:
        """Refuse a call without a key, or with a bad one."""
        self.check_key(draft.context)
        return draft

    def check_query(self, draft: Draft) -> Draft:
        """Check the parameters of the query, where the gateway's file has any."""
        rules = draft.context.operation.query
        if rules is None:
            return draft
        texts = dict(parse_qsl(draft.request.query, keep_blank_values=True))
        values = {
            name: convert_text(text, rules.parameters[name])[0]
            for name, text in texts.items()
            if name in rules.parameters
        }
        violations = self._schema_validator(rules.ref).find_violations(values)
        return copy_draft(draft, errors=tuple(violation.build_error(None) for violation in violations))

    def check_parameters(self, draft: Draft) -> Draft:
        """Check the body against the schema of its model: unknown parameters first, then each parameter.

        What keeps the gateway's own schema is checked against its upstream's, if it has one: an upstream sees only
        what the gateway lets pass.
        """
        rules = draft.rules
        violations = self._schema_validator(rules.ref, rules.types_first).find_violations(draft.body)
        if draft.form_violations:
            violations = merge_violations(draft.form_violations, violations, rules)
        by_upstream = False
        if rules.upstream is not None and not violations and not draft.context.defers_upstream:
            filled = fill_defaults(draft.body, rules)
            passed_on = {name: value for name, value in filled.items() if name in rules.parameters}
            violations = self._schema_validator(rules.upstream).find_violations(passed_on)
            by_upstream = True
        if not violations:
            return draft
        errors = [violation.build_error(draft.model, by_upstream) for violation in violations]
        broken = [violation.param for violation in violations]
        return copy_draft(draft, errors=tuple(errors), broken=tuple(broken))

    def compare_with_maker(self, draft: Draft) -> Draft:
        """Note what the gateway lets by and the contract of the model's own maker refuses."""
        operation, model, params, rules = draft.context.operation, draft.model, draft.params, draft.rules
        contract = self._makers.find(operation.name, draft.models is operation.form, model)
        if contract is None or model is None:
            return draft
        passed_on: Mapping[str, Any] = {name: params[name] for name in draft.body if name in params}
        if rules.closed.source == "observed":  # then the gateway's server drops what it does not know
            passed_on = {name: value for name, value in passed_on.items() if name in rules.parameters}
        passed_on = to_openai_names(passed_on, rules.own_names)
        if "model" in contract.rules.parameters:
            passed_on = {**passed_on, "model": model}
        refused = (finding.param for finding in draft.findings if finding.code == "would_be_refused")
        assumptions = list_assumptions(contract, model, passed_on, rules, filter(None, refused))
        if not assumptions:
            return draft
        return copy_draft(draft, findings=(*draft.findings, *assumptions))

    @cached_property
    def _known_calls(self) -> dict[int, KnownCalls]:
        """What keeps the verdicts on calls, by operation; made with the first call, since few gateways are called."""
        return dict(self._make_known_calls())

    def _make_known_calls(self) -> Iterator[tuple[int, KnownCalls]]:
        """Yield what keeps the verdicts on calls of an operation, by its identity; the gateway keeps the operation."""
        for operation in self.gateway.iter_operations():
            models = operation.models
            takes_json = operation.name == "generate" and operation.form is None
            if models is not None and takes_json and operation.ended is None:
                find_free_texts = partial(self._find_free_texts, operation, models)
                default = self._find_default(models)
                known_calls = KnownCalls(
                    find_free_texts,
                    models=models.listed,
                    default=default,
                    hints=models.when_present,
                    model_name=models.model_name,
                )
                yield id(operation), known_calls

    def _find_default(self, models: Models) -> str | None:
        """Return the listed model of calls that neither name nor hint at one; None where it depends on the day."""
        is_looked_up = models.fallback is not None or models.channels is not None
        if self.gateway.calendar or is_looked_up or models.default not in models.listed:
            return None
        return models.default

    def _find_free_texts(self, operation: Operation, models: Models, name: str | None) -> tuple[FreeText, ...]:
        """Return the parameters that are free texts in calls of the model `name`; None: of whatever model."""
        if name is None:
            all_rules = list(models.iter_rules())
            contracts = self._makers.find_all(operation.name, in_form=False)
        else:
            all_rules = [models.listed[name]]
            contract = self._makers.find(operation.name, False, name)
            contracts = [] if contract is None else [contract]
        validators = [contract.schema_validator for contract in contracts]
        candidates: dict[str, None] = {}
        read_by_steps = {*READ_BY_STEPS, *models.when_present}
        for rules in all_rules:
            validators.append(self._schema_validator(rules.ref, rules.types_first))
            if rules.upstream is not None:
                validators.append(self._schema_validator(rules.upstream))
            candidates.update(dict.fromkeys(rules.parameters))
            read_by_steps.update(rules.aliases, rules.pictures, map(rules.name_parameter, READ_BY_STEPS))
            if rules.pixels is not None:
                read_by_steps.update(rules.pixels.parameters)
            if rules.count is not None:
                read_by_steps.update(rules.count.parameters)
            for parameter, values in rules.absent_values.items():
                if any(isinstance(value, str) for value in values):
                    read_by_steps.add(parameter)
        names = (candidate for candidate in candidates if candidate not in read_by_steps)
        return list_free_texts(names, [validator.text_rules for validator in validators])

    def _select_steps(self, operation: Operation) -> tuple[Step, ...]:
        """Select the steps of an operation: with a body, without one, or refused because nobody carries it out."""
        if operation.models is None and operation.form is None:
            if operation.name == "vary":
                return self._steps_neither
            return self._steps_without_body
        if operation.name in WITH_BODIES or operation.form is not None:
            return self._steps
        return self._steps_not_implemented

    def _schema_validator(self, ref: str, types_first: bool = False) -> SchemaValidator:
        schema_validator = self._schema_validators.get(ref)
        if schema_validator is None:
            schema_validator = SchemaValidator(self.gateway.document, ref, types_first)
            self._schema_validators[ref] = schema_validator
        return schema_validator

    def _is_listed(self, key: str, keys: frozenset[str]) -> bool:
        """Whether `key` is a good one; where a second part of it is refused, only the first part has to match."""
        if key in keys or not self.gateway.plain_keys:
            return key in keys
        return _first_part(key) in map(_first_part, keys)


def _choose_query(request: Request, operation: Operation) -> str:
    """Return the query of a request, if the operation has rules about it; else nothing depends on it."""
    if operation.query is None:
        return ""
    return request.query


def name_model(request: Request, context: ValidationContext) -> Request:
    """Return `request` with the model that its path names in its body, as all that follows expects it there.

    It stands in the place of the body's own, which such a gateway does not read.
    """
    variable = context.operation.names_model
    if variable is None:
        return request
    model = context.variables.get(variable)
    name = context.operation.model_name
    if model is None or not isinstance(request.json, Mapping) or request.json.get(name) == model:
        return request
    return request._replace(json={**request.json, name: model})


def report_errors(draft: Draft) -> Draft:
    """Raise the first error of `draft`; with report-only turn all of them into findings instead."""
    if not draft.context.report_only:
        error = draft.errors[0]
        if draft.findings:
            error = replace(error, findings=(*draft.findings, *error.findings))
        raise error
    gateway = draft.gateway
    findings = list(draft.findings)
    for error in draft.errors:
        status, message = gateway.render(error).status, gateway.error_catalog.describe_error(error)
        note = Finding("would_be_refused", f"refused but for report-only: {status} {message}", error.param)
        findings += [*error.findings, note]
    return copy_draft(draft, findings=tuple(findings), errors=())


def refuse_ended_operation(draft: Draft) -> Draft:
    """Refuse a call to an operation that has come to its end on the context's day."""
    request, operation, today = draft.request, draft.context.operation, draft.context.today
    if today is None or operation.ended is None or not today.is_past(operation.ended):
        return draft
    rule = f"calendar: ended on {operation.ended}"
    raise refuse_path(request.method, operation.path, rule, operation.source)


def refuse_operation(draft: Draft) -> Draft:
    """Refuse a call to an operation that nobody carries out; its model is looked up first, as the real ones do."""
    models = draft.models
    if models is not NO_MODELS:
        name = draft.given.get(models.model_name)
        if name in (None, ""):
            raise build_error("unnamed_model", {}, models.model_name, models.source)
        find_named_model(models, name, draft.context.channels)
    facts = describe_address(draft.request.method, draft.context.operation.path)
    raise build_error("not_implemented", facts, source="observed", rule="paths")


def list_models(draft: Draft) -> Draft:
    """Answer an operation without a body: the list of models, one model of it, or a task, which its path names."""
    gateway, context = draft.gateway, draft.context
    operation, variables = context.operation, context.variables
    if operation.name == "task":
        return copy_draft(draft, params=dict(variables))
    generating = (one.models for one in gateway.iter_generating())
    listing = gateway.listing
    if operation.name == "models" and operation.example is not None:  # there may be several such paths
        listing = operation.example
    listing = extend_listing(listing, generating, context.channels)
    if gateway.calendar and context.today is not None:
        listing = context.today.date_listing(listing)
    model = variables.get("model", next(iter(variables.values()), None))
    if operation.name == "model":
        listing = _describe_model(operation, model, listing)
    return copy_draft(draft, model=model, listing=listing)


def _refuse_channel(refusal: tuple[Kind, str | None], channel: str | None, model: str) -> GatewayError:
    """Return the error of a call by a kind of channel that has no pictures; `refusal` is its kind and case."""
    kind, case = refusal
    words = {}
    if case is not None:
        words["case"] = case
    return GatewayError(
        kind=kind,
        facts={"model": model},
        rule=f"channel {channel}: not for pictures",
        source="observed",
        words=words,
        model=model,
    )


def _find_rules(model: str, context: ValidationContext, in_form: bool) -> ModelRules | None:
    """Return the rules for calls of `model` by a form, or by JSON; None where there are none."""
    models = context.operation.models
    if in_form:
        models = context.operation.form
    if models is None:
        return None
    return models.find_rules(model, context.channels)


def _report_upstream(call: Call, draft: Draft, violations: Sequence[SchemaViolation], by_maker: bool) -> Call:
    """Return `call` with what its upstream refuses as findings; without report-only that raises GatewayError.

    Where the upstream is the model's maker (`by_maker`), nothing is assumed any more.
    """
    if not violations:
        return call
    notes = call.findings
    if by_maker:
        notes = tuple(finding for finding in notes if finding.code != "assumed_accepted")
    errors = tuple(violation.build_error(call.model, by_upstream=True) for violation in violations)
    return replace(call, findings=report_errors(copy_draft(draft, errors=errors, findings=notes)).findings)


def build_call(draft: Draft) -> Call:
    """Build the call that a draft has become after its last step."""
    operation, shape = draft.context.operation, draft.rules.response
    deferred = operation.makes_task(draft.effective)
    if deferred:
        shape = replace(shape, stream=None)
    return Call(
        operation=operation.name,
        model=draft.model,
        given=draft.given,
        params=draft.params,
        effective=draft.effective,
        count=draft.count,
        pixels=draft.pixels,
        response=shape,
        findings=draft.findings,
        listing=draft.listing,
        uploads=draft.uploads,
        deferred=deferred,
        own_names=draft.rules.own_names,
    )


def _first_part(key: str) -> str:
    return key.removeprefix("sk-").partition("-")[0]


def _describe_model(operation: Operation, model: str | None, listing: Any) -> Any:
    """Return what is answered of one model of `listing`, or that it has been deleted; raises GatewayError."""
    if operation.method == "DELETE" and _matches_pattern(operation.pattern, str(model)):
        return {"id": model, "object": "model", "deleted": True}
    if operation.method == "GET":
        for one in model_listing.list_models(listing):
            if model is not None and model_listing.name_model(one) == model:
                return one
    rule, source = "one of those that GET models lists", operation.source or "observed"
    raise build_error("no_such_model", {"model": str(model)[:200]}, "model", source, rule=rule)


def _matches_pattern(pattern: str | None, name: str) -> bool:
    """Return whether all of `name` matches the pattern of a variable in a path; without one, any name does."""
    return pattern is None or compile_pattern(rf"\A(?:{pattern})\Z").finds(name) is True


READ_BY_STEPS: Final = frozenset({"model", "size", "n"})
"""Parameters that steps beside the schemas read, whose values therefore are no free texts."""
