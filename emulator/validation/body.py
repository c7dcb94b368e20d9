"""What the body of a call says, as its operation takes it: JSON, or a form.

Whatever cannot be read at all is refused here, with a Problem; what is read is judged elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from emulator.core.phrases import join_quoted, name_go_kind, name_kind, quote
from emulator.gateway.gateway import Gateway
from emulator.gateway.operation import Operation
from emulator.gateway.rules import FORM, JSON, Models
from emulator.messages import GatewayError, Request
from emulator.validation import go_json, multipart, parameters


def given(request: Request, operation: Operation, gateway: Gateway) -> tuple[Mapping[str, Any], Models]:
    """The parameters of `raw` (a form's as texts), and the rules for bodies of its kind; raises GatewayError."""
    if request.trouble == "too_large":
        raise _too_large(request, operation.limit)
    kind = request.headers.get("Content-Type", "")
    if operation.form is not None and multipart.is_form(kind):
        if request.trouble is not None:
            raise _unreadable(
                request, gateway, f"requestBody: a readable form: {request.why}" if request.why else _FORM_RULE
            )
        return request.json, operation.form
    models = operation.models
    if models is None or (kind != JSON and not _is_json(kind)):
        if gateway.any_type and models is not None:  # a null below too: a decoder leaves its structure empty then
            return {}, models
        types = [name for name, there in ((FORM, operation.form), (JSON, models)) if there is not None]
        facts = {"content_type": kind[:100], "supported": join_quoted(types, "or")}
        raise parameters.refusal("content_type", facts, rule=f"requestBody: {' or '.join(types)} in UTF-8")
    if request.trouble is not None:
        raise _unreadable(request, gateway, "requestBody: readable JSON")
    if request.json is None and gateway.any_type:
        return {}, models
    if not isinstance(request.json, Mapping):
        facts = {"actual": name_kind(request.json), "decoded": name_go_kind(request.json)[0]}
        raise parameters.refusal("not_an_object", facts, rule="requestBody: an object")
    return request.json, models


def _too_large(request: Request, limit: int) -> GatewayError:
    length = request.headers.get("Content-Length", "")
    read = length if length.isdecimal() and int(length) > limit else str(limit + 1)
    facts = {"limit": str(limit), "length": read[:20]}
    return GatewayError("too_large", facts=facts, rule=f"a body of at most {limit} bytes", source="assumed")


def _unreadable(request: Request, gateway: Gateway, rule: str) -> GatewayError:
    assert request.trouble is not None
    assert request.trouble != "too_large"
    facts = {"value": quote(request.headers.get("Content-Encoding", "")), "supported": "'gzip', 'deflate'"}
    if request.trouble == "bad_json" and gateway.error_catalog.quotes_decoder:
        facts["unreadable"] = go_json.complaint(request.body)
    return parameters.refusal(request.trouble, facts, rule=rule)


def _is_json(kind: str) -> bool:
    """Whether a Content-Type means JSON in UTF-8."""
    name, *options = (part.strip().lower() for part in kind.split(";"))
    charsets = [option.partition("=")[2].strip(' "') for option in options if option.startswith("charset")]
    return name == JSON and all(charset in ("utf-8", "utf8") for charset in charsets)


_FORM_RULE: Final = "requestBody: a readable form"
