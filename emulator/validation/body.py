"""What the body of a call says, as its operation takes it: JSON, or a form.

Whatever cannot be read at all is refused here, with a Problem; what is read is judged elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from emulator.core.phrases import decoded, kind_of, listed, quoted
from emulator.gateway.gateway import Gateway
from emulator.gateway.operation import Operation
from emulator.gateway.rules import FORM, JSON, Models
from emulator.messages import GatewayError, Request
from emulator.validation import go_json, multipart, parameters


def given(raw: Request, operation: Operation, dialect: Gateway) -> tuple[Mapping[str, Any], Models]:
    """The parameters of `raw` (a form's as texts), and the rules for bodies of its kind; raises GatewayError."""
    if raw.trouble == "too_large":
        raise _too_large(raw, operation.limit)
    kind = raw.headers.get("Content-Type", "")
    if operation.form is not None and multipart.is_form(kind):
        if raw.trouble is not None:
            raise _unreadable(raw, dialect, f"requestBody: a readable form: {raw.why}" if raw.why else _FORM_RULE)
        return raw.json, operation.form
    models = operation.models
    if models is None or (kind != JSON and not _is_json(kind)):
        if dialect.any_type and models is not None:  # a null below too: a decoder leaves its structure empty then
            return {}, models
        types = [name for name, there in ((FORM, operation.form), (JSON, models)) if there is not None]
        facts = {"content_type": kind[:100], "supported": listed(types, "or")}
        raise parameters.refusal("content_type", facts, rule=f"requestBody: {' or '.join(types)} in UTF-8")
    if raw.trouble is not None:
        raise _unreadable(raw, dialect, "requestBody: readable JSON")
    if raw.json is None and dialect.any_type:
        return {}, models
    if not isinstance(raw.json, Mapping):
        facts = {"actual": kind_of(raw.json), "decoded": decoded(raw.json)[0]}
        raise parameters.refusal("not_an_object", facts, rule="requestBody: an object")
    return raw.json, models


def _too_large(raw: Request, limit: int) -> GatewayError:
    length = raw.headers.get("Content-Length", "")
    read = length if length.isdecimal() and int(length) > limit else str(limit + 1)
    facts = {"limit": str(limit), "length": read[:20]}
    return GatewayError("too_large", facts=facts, rule=f"a body of at most {limit} bytes", source="assumed")


def _unreadable(raw: Request, dialect: Gateway, rule: str) -> GatewayError:
    assert raw.trouble is not None
    assert raw.trouble != "too_large"
    facts = {"value": quoted(raw.headers.get("Content-Encoding", "")), "supported": "'gzip', 'deflate'"}
    if raw.trouble == "bad_json" and dialect.wording.quotes_decoder:
        facts["unreadable"] = go_json.complaint(raw.body)
    return parameters.refusal(raw.trouble, facts, rule=rule)


def _is_json(kind: str) -> bool:
    """Whether a Content-Type means JSON in UTF-8."""
    name, *options = (part.strip().lower() for part in kind.split(";"))
    charsets = [option.partition("=")[2].strip(' "') for option in options if option.startswith("charset")]
    return name == JSON and all(charset in ("utf-8", "utf8") for charset in charsets)


_FORM_RULE: Final = "requestBody: a readable form"
