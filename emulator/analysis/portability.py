"""Portability: which gateways accept a call as it is, which ignore a part of it, which refuse it, and why.

Only the body of a call is checked, by the same validators that a server uses: not the query, the key, the scenario or
the limits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final, Literal

from emulator.analysis import own_words
from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import join_bare
from emulator.core.suggestions import describe_known
from emulator.core.yaml_file import describe_value
from emulator.findings import Finding
from emulator.gateway.gateway import Gateway, Operation
from emulator.gateway.model_catalog import Calendar
from emulator.gateway.parameter_names import MODEL, to_openai_names
from emulator.image.upload import Examination, Upload
from emulator.messages import BEHAVIORS, VIOLATIONS, Behavior, Call, GatewayError, Request
from emulator.session.called_address import find_address
from emulator.session.journal import JournalEntry
from emulator.session.redaction import BLANK, LIKE_A_KEY
from emulator.validation.draft import ValidationContext
from emulator.validation.registry import GatewayRegistry
from emulator.validation.validator import RequestValidator

Outcome = Literal["accepted", "accepted (assumed)", "ignores", "refused"]
"""What a gateway does with a call; `accepted (assumed)`: it lets by what the model's own maker refuses."""


@dataclass(frozen=True)
class PortabilityTarget:
    """A gateway in one behavior, with its validator."""

    gateway: str
    behavior: Behavior
    validator: RequestValidator


@dataclass(frozen=True)
class SampleRequest:
    """A call to check: its body, and where known its number in a journal and the gateway that received it.

    `trouble` says what was wrong with a body that could not be read. With `in_form` the body has the texts of a form.
    `uploads` are the call's files without their bytes.

    The body has OpenAI's names of parameters. `own_body` is the same in the words of its gateway, where that has names
    of its own, and `own_names` are those.
    """

    body: Any
    number: int | None = None
    gateway: str | None = None
    trouble: Any = None
    operation: Literal["generate", "edit"] = "generate"
    in_form: bool = False
    uploads: tuple[Upload, ...] = ()
    own_body: Any = None
    own_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FitRefusal:
    """Why a gateway refuses a call: `message` is the gateway's own, `rule` and `source` are as in a journal."""

    kind: str
    breach: str | None
    param: str | None
    message: str
    rule: str | None
    source: str | None


@dataclass(frozen=True)
class GatewayFit:
    """What one gateway does with a call.

    `ignored` are the parameters that have no effect there, `assumed` say what the gateway lets by without any promise.
    """

    gateway: str
    behavior: str
    outcome: Outcome
    ignored: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    refused: FitRefusal | None = None


@dataclass(frozen=True)
class CheckedCall:
    """One call, and what each gateway does with it.

    `findings` are about the gateways together: the parameters that the call leaves out, and whose defaults differ
    between the gateways that accept it, and those that have another name there.
    """

    number: int | None
    gateway: str | None
    body_model: str | None
    fits: tuple[GatewayFit, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class GatewayTally:
    """How many calls a gateway accepts as they are, accepts by assumption alone, ignores a part of, and refuses."""

    gateway: str
    behavior: str
    accepted: int
    assumed: int
    ignores: int
    refused: int


@dataclass(frozen=True)
class PortabilityReport:
    """Every call at every gateway; `dataclasses.asdict` makes the JSON that users see."""

    calls: tuple[CheckedCall, ...]
    gateways: tuple[GatewayTally, ...]


def build_targets(gateways: Iterable[Gateway]) -> tuple[PortabilityTarget, ...]:
    """Return a target for each gateway. Its schemas compile when they are first used, so targets are worth keeping."""
    return tuple(PortabilityTarget(gateway.name, gateway.behavior, RequestValidator(gateway)) for gateway in gateways)


def list_gateways(registry: GatewayRegistry) -> Iterator[Gateway]:
    """Yield the gateways of a server, each in every behavior that it has; raises InvalidFile."""
    for name in registry.validators:
        for behavior in BEHAVIORS:
            gateway = registry.find_validator(name, behavior).gateway
            if gateway.behavior == behavior:  # for a behavior that it lacks, a gateway's documented one comes
                yield gateway


def select_targets(targets: Iterable[PortabilityTarget], names: Sequence[str]) -> list[PortabilityTarget]:
    """Return the targets of the gateways in `names`, all if there are none; raises ValueError for an unknown name."""
    targets = list(targets)
    known = list(dict.fromkeys(target.gateway for target in targets))
    for name in names:
        if name not in known:
            raise ValueError(f"no gateway {name!r}; {describe_known(name, known)}")
    return [target for target in targets if not names or target.gateway in names]


def parse_requests(value: Any, gateways: Mapping[str, Gateway]) -> tuple[SampleRequest, ...]:
    """Return the calls in `value`; raises ValueError, in one line, for what is no call.

    `value` is a body, a list of bodies, or {"calls": […]} as a journal has it. In a list a call is a body, an entry of
    a journal, or a mapping of `body` with `gateway`, `operation` (generate or edit) and `uploads`, where they are
    needed: with `uploads` the call is a form. Entries of other operations than those two are left out. An entry of one
    of the `gateways` whose path names the model has that in its body.
    """
    if isinstance(value, Mapping) and isinstance(value.get("calls"), list):
        value = value["calls"]
    if not isinstance(value, list):
        value = [value]
    requests = [_parse_request(place, item, gateways) for place, item in enumerate(value, 1)]
    return tuple(_translate(request, gateways) for request in requests if request is not None)


def _translate(request: SampleRequest, gateways: Mapping[str, Gateway]) -> SampleRequest:
    """Return a call with OpenAI's names of parameters, where its gateway has names of its own."""
    body, gateway = request.body, gateways.get(request.gateway or "")
    if gateway is None or not gateway.own_names or not isinstance(body, Mapping):
        return request
    return replace(
        request,
        body=own_words.translate_to_openai(body, gateway, request.operation, in_form=request.in_form),
        own_body=body,
        own_names=own_words.find_own_names(body, gateway, request.operation, in_form=request.in_form),
    )


def read_journal(entries: Iterable[JournalEntry], gateways: Mapping[str, Gateway]) -> tuple[SampleRequest, ...]:
    """Return the calls of a session in their order, as the journal shows them, so with every key redacted."""
    in_order = sorted(entries, key=lambda entry: entry.number)
    return parse_requests([entry.to_json() for entry in in_order], gateways)


def _parse_request(place: int, value: Any, gateways: Mapping[str, Gateway]) -> SampleRequest | None:
    """Return the call number `place` of a list; None for a journal's entry that is no request for pictures."""
    if not isinstance(value, Mapping):
        shown = describe_value(value)
        raise ValueError(f"call {place} is {shown}; expected a mapping: a body, or a journal's entry")
    if "given" in value:
        return _parse_entry(place, value, gateways)
    if "body" in value:
        for key in value:
            if key not in _KEYS:
                raise ValueError(f"call {place} has the unknown key {key!r}; {describe_known(str(key), _KEYS)}")
        return _parse_description(place, value)
    return SampleRequest(value)


def _parse_description(place: int, value: Mapping[str, Any]) -> SampleRequest:
    """Return a call that is described by `body` and what belongs to it."""
    uploads = value.get("uploads", [])
    operation = value.get("operation", "generate")
    if "uploads" in value:
        operation = value.get("operation", "edit")
    if operation not in _CHECKED:
        shown = describe_value(operation)
        raise ValueError(f"call {place}: operation is {shown}; {describe_known(str(operation), _CHECKED)}")
    if not isinstance(uploads, list) or not all(isinstance(one, Mapping) for one in uploads):
        raise ValueError(f"call {place}: uploads is {describe_value(uploads)}; expected a list of mappings")
    for upload in uploads:
        for key in upload:
            if key not in _UPLOAD:
                raise ValueError(f"call {place}: uploads have the unknown key {key!r}; {describe_known(key, _UPLOAD)}")
    body = value["body"]
    if uploads:
        _check_mapping(place, "body", body)
        body = {name: _write_field(member) for name, member in body.items()}
    return SampleRequest(
        body=body,
        gateway=_parse_gateway(place, value),
        operation=operation,
        in_form=bool(uploads),
        uploads=tuple(_build_upload({**_USUAL_UPLOAD, **upload}, in_json=False) for upload in uploads),
    )


def _check_mapping(place: int, name: str, value: Any) -> None:
    """Raise ValueError where the member `name` of a call is no mapping."""
    if not isinstance(value, Mapping):
        raise ValueError(f"call {place}: {name} is {describe_value(value)}; expected a mapping")


def _write_field(value: Any) -> str:
    """Return the text of a form's field that means `value`."""
    if isinstance(value, str):
        return value
    return json.dumps(value)


def _parse_entry(place: int, entry: Mapping[str, Any], gateways: Mapping[str, Gateway]) -> SampleRequest | None:
    gateway = _parse_gateway(place, entry)
    operation = entry.get("operation")
    if operation not in _CHECKED:
        return None
    if entry.get("given") is None and entry.get("state") in ("under_way", "client_gone"):
        return None  # its body has not come, so nobody knows what it asks for
    unreadable = entry.get("unreadable")
    trouble = None
    if isinstance(unreadable, Mapping):
        trouble = unreadable.get("why")
    if trouble is not None and trouble not in _TROUBLES:
        trouble = "bad_json"
    headers = entry.get("headers") or {}
    _check_mapping(place, "headers", headers)
    types = [value for name, value in headers.items() if name.lower() == "content-type"]
    in_form = any(str(value).lower().startswith(_FORM) for value in types)
    uploads = entry.get("uploads") or []
    if not isinstance(uploads, list) or not all(isinstance(one, Mapping) for one in uploads):
        raise ValueError(f"call {place}: uploads is {describe_value(uploads)}; expected a list of mappings")
    if in_form and trouble is None:
        _check_mapping(place, "given", entry["given"])
    return SampleRequest(
        body=_name_model(entry, gateways.get(gateway or "")),
        number=entry.get("number"),
        gateway=gateway,
        trouble=trouble,
        operation=operation,
        in_form=in_form,
        uploads=tuple(_build_upload(upload, in_json=not in_form) for upload in uploads),
    )


def _name_model(entry: Mapping[str, Any], gateway: Gateway | None) -> Any:
    """Return the body of a journal's entry, with the model that its path names: other gateways look for it there."""
    body, method, path = entry["given"], entry.get("method"), entry.get("path")
    if gateway is None or not isinstance(body, Mapping) or not isinstance(method, str) or not isinstance(path, str):
        return body
    address = find_address(gateway, method, path)
    if address is None or address.model is None:
        return body
    operation = gateway.find_usual_operation(str(entry["operation"]))
    name = MODEL if operation is None else operation.model_name
    return {**body, name: address.model}


def _build_upload(described: Mapping[str, Any], in_json: bool) -> Upload:
    """Return a file of a call as the journal describes it, without its bytes."""
    mode = "RGB"
    if described.get("alpha_share") is not None:
        mode = "RGBA"
    examination = Examination(
        sha256=described.get("sha256") or "",
        bytes=described.get("bytes") or 0,
        format=described.get("format"),
        width=described.get("width"),
        height=described.get("height"),
        mode=mode,
        alpha_share=described.get("alpha_share"),
        flaw=None if described.get("format") else "strange",
    )
    return Upload(
        name=str(described.get("name")),
        filename=described.get("filename"),
        media_type=described.get("media_type") or "",
        data=b"",
        examination=examination,
        in_json=in_json,
    )


def _parse_gateway(place: int, value: Mapping[str, Any]) -> str | None:
    gateway = value.get("gateway")
    if not isinstance(gateway, str | None):
        raise ValueError(f"call {place}: gateway is {describe_value(gateway)}; expected a name")
    return gateway


def check_portability(
    requests: Sequence[SampleRequest],
    targets: Sequence[PortabilityTarget],
    channels: frozenset[str] = frozenset(),
    calendar: Calendar | None = None,
) -> PortabilityReport:
    """Return what each target does with each request.

    `channels` are the models of the setting of that name. `calendar` says which models have ended; None: none has.
    """
    calls = []
    for request in requests:
        checked = [_check_request(request, target, channels, calendar) for target in targets]
        accepted = {_name_target(target): call for target, (_, call) in zip(targets, checked, strict=True) if call}
        calls.append(
            CheckedCall(
                number=request.number,
                gateway=request.gateway,
                body_model=_find_model(request.body),
                fits=tuple(fit for fit, _ in checked),
                findings=(*_compare_defaults(accepted), *_list_other_names(request, accepted)),
            )
        )
    tallies = [_count_outcomes(place, target, calls) for place, target in enumerate(targets)]
    return PortabilityReport(tuple(calls), tuple(tallies))


def _check_request(
    sample: SampleRequest, target: PortabilityTarget, channels: frozenset[str], calendar: Calendar | None
) -> tuple[GatewayFit, Call | None]:
    """Return what `target` does with a call, and the call as it understands it; None where it refuses."""
    gateway = target.validator.gateway
    headers = _FORM_HEADERS if sample.in_form else _HEADERS
    try:
        operation = _find_operation(gateway, sample.operation)
        if operation.query is not None:
            operation = replace(operation, query=None)
        body = sample.body
        if sample.own_body is not None and sample.gateway == target.gateway:
            body = sample.own_body
        elif isinstance(body, Mapping):
            body = own_words.translate_to_own(body, operation, in_form=sample.in_form, channels=channels)
        request = Request(
            method="POST", path=operation.path, query="", headers=headers, body=b"", json=body,
            trouble=sample.trouble, duplicates=(), origin="", received=0, uploads=sample.uploads,
        )  # fmt: skip
        context = ValidationContext(operation, _KEY, channels=channels, today=calendar)
        call = target.validator.validate(request, context)
    except GatewayError as error:
        language = gateway.choose_language(_HEADERS)
        refusal = FitRefusal(
            kind=error.kind,
            breach=error.violation,
            param=_blank_keys(error.param),
            message=_blank_keys(gateway.error_catalog.describe_error(error, language=language)) or "",
            rule=_blank_keys(error.rule),
            source=error.source,
        )
        return GatewayFit(target.gateway, target.behavior, "refused", refused=refusal), None
    params = [_blank_keys(finding.param) for finding in call.findings if finding.code in _WITHOUT_EFFECT]
    ignored = tuple(dict.fromkeys(filter(None, params)))
    assumed = [_blank_keys(finding.message) or "" for finding in call.findings if finding.code == "assumed_accepted"]
    outcome: Outcome = "accepted"
    if assumed:
        outcome = "accepted (assumed)"
    elif ignored:
        outcome = "ignores"
    return GatewayFit(target.gateway, target.behavior, outcome, ignored, tuple(assumed)), call


def _find_operation(gateway: Gateway, name: str) -> Operation:
    """Return the operation `name` of a gateway; raises GatewayError where it has none."""
    for operation, _ in gateway.iter_validated():
        if operation.name == name:
            return operation
    facts = {"method": "POST", "path": f"{gateway.base}/images/edits"}
    raise GatewayError("not_found", facts=facts, rule="paths", source="documented")


def _name_target(target: PortabilityTarget) -> str:
    if target.behavior == "documented":
        return target.gateway
    return f"{target.gateway} ({target.behavior})"


def _compare_defaults(accepted: Mapping[str, Call]) -> Iterator[Finding]:
    """Yield a finding for each parameter that a call leaves out, and whose default differs where it is accepted.

    Who relies on such a default gets another picture, or another kind of reply, when it moves.
    """
    values: dict[str, dict[str, Any]] = {}
    for name, call in accepted.items():
        for param, value in _list_defaults(call).items():
            values.setdefault(param, {})[name] = value
    for param, by_target in values.items():
        if len(set(map(str, by_target.values()))) > 1:
            places: dict[str, list[str]] = {}
            for name, value in by_target.items():
                places.setdefault(str(value), []).append(name)
            shown = ", ".join(f"{value} at {join_bare(names, 'and')}" for value, names in places.items())
            yield Finding("default_differs", f"{param!r} is not given: {shown}", param)


def _list_defaults(call: Call) -> Mapping[str, Any]:
    """Return the parameters that are not given and count; how pictures are delivered is always one of them."""
    params = {"response_format": call.response.delivery or "url", **to_openai_names(call.params, call.own_names)}
    if call.response.delivery is not None:
        params["response_format"] = call.response.delivery
    given = to_openai_names(call.given, call.own_names)
    return {name: value for name, value in params.items() if name not in given}


def _list_other_names(request: SampleRequest, accepted: Mapping[str, Call]) -> Iterator[Finding]:
    """Yield a finding for each parameter of a call that has another name where the call is accepted."""
    if not isinstance(request.body, Mapping):
        return
    for meaning in request.body:
        sent = request.own_names.get(meaning, meaning)
        others: dict[str, list[str]] = {}
        for target, call in accepted.items():
            name = call.name_parameter(meaning)
            if name != sent:
                others.setdefault(name, []).append(target)
        if others:
            shown = ", ".join(f"{name!r} at {join_bare(targets, 'and')}" for name, targets in others.items())
            yield Finding("name_differs", f"{sent!r} is called {shown}", sent)


def _count_outcomes(place: int, target: PortabilityTarget, calls: Sequence[CheckedCall]) -> GatewayTally:
    """Return the outcomes of all calls at the target number `place`."""
    outcomes = [call.fits[place].outcome for call in calls]
    return GatewayTally(
        gateway=target.gateway,
        behavior=target.behavior,
        accepted=outcomes.count("accepted"),
        assumed=outcomes.count("accepted (assumed)"),
        ignores=outcomes.count("ignores"),
        refused=outcomes.count("refused"),
    )


def _find_model(body: Any) -> str | None:
    """Return the model that a body names, blanked where it looks like a key."""
    if not isinstance(body, Mapping) or not isinstance(body.get("model"), str):
        return None
    return _blank_keys(body["model"])


def _blank_keys(text: str | None) -> str | None:
    """Return `text` with everything blanked that looks like a key: a body may contain one by mistake."""
    if text is None:
        return None
    return re.sub(LIKE_A_KEY, BLANK, text)


_HEADERS: Final = {"Content-Type": "application/json"}
_FORM: Final = "multipart/form-data"
_FORM_HEADERS: Final = {"Content-Type": f"{_FORM}; boundary=x"}
_CHECKED: Final = ("generate", "edit")
"""The operations whose calls are checked at other gateways."""
_UPLOAD: Final = ("name", "filename", "media_type", "sha256", "format", "width", "height", "alpha_share", "bytes")
_USUAL_UPLOAD: Final = {
    "name": "image", "filename": "image.png", "media_type": "image/png", "format": "png", "width": 1024, "height": 1024,
    "bytes": 1024,
}  # fmt: skip
"""What counts for a file that a description leaves open."""
_KEY: Final = "sk-portability"
_KEYS: Final = ("body", "gateway", "operation", "uploads")
_TROUBLES: Final = (*VIOLATIONS, "too_large")
_WITHOUT_EFFECT: Final = ("parameter_ignored", "unknown_parameter", "size_not_drawn")
"""The findings that mean: the call is accepted, but the parameter has no effect."""
