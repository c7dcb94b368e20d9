"""Explains every word that the emulator prints about a call: in the console, the journal, headers, reports and tables.

The words are the codes of findings, the kinds of refusal, the breaches of a gateway's rules, the sources of rules, the
operations, the faults, the states of a call, and the notes of a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from emulator.findings import FINDINGS

KINDS: Final[Mapping[str, str]] = {
    "missing_key": "The call has no API key: send `Authorization: Bearer KEY`. Any is good unless --keys lists some.",
    "invalid_key": "The API key is not known: it starts with `sk-invalid`, or is not in the file of --keys.",
    "forbidden": "The key may not do this, as where a model is not open to an account.",
    "unknown_model": "The gateway has no model of this name. `image-api-emulator gateways` lists the models.",
    "retired_model": "The model existed and has ended. Use a newer one, an earlier day (--as-of), or --legacy.",
    "invalid_request": "The call breaks a rule of the gateway; its breach, a finer word, says which.",
    "moderation": "The gateway's safety system refuses the prompt. The emulator does so only where a scenario says it.",
    "not_found": "The path means nothing at this gateway. The finding `unknown_path` says what to mend.",
    "wrong_method": "The path takes another method. The finding `unknown_path` says which.",
    "too_large": "The body has more bytes than the gateway takes.",
    "rate_limit": "There were too many calls or pictures, by a scenario or its `limits`. Wait as the answer says.",
    "quota": "The account has used up what it may, by a scenario or its `limits`.",
    "billing": "The account has no money left, or a limit on its cost is reached.",
    "server_error": "The gateway fails. A scenario says so, or the emulator has a bug: then its log has a traceback.",
    "upstream_error": "The server behind the gateway fails.",
    "overloaded": "The gateway has too much to do. A scenario says so, or answers that nobody takes fill --send-bytes.",
    "upstream_timeout": "The server behind the gateway did not answer in time.",
}  # fmt: skip
"""The kinds of refusal: what `refuse` takes, and `refused.kind` in the journal."""

BREACHES: Final[Mapping[str, str]] = {
    "bad_json": "The body is not valid JSON in UTF-8.",
    "not_an_object": "The body is JSON, but no object: it has to begin with `{`.",
    "content_type": "The Content-Type is none that this operation takes; mostly it should be application/json.",
    "content_encoding": "The Content-Encoding is neither gzip nor deflate nor identity.",
    "cut_body": "The body ended early, or cannot be decompressed.",
    "bad_session": "The session's name, in path or header, has characters that no such name has, or is a key.",
    "missing": "A required parameter is not given.",
    "unknown_parameter": "A parameter is none of this model or operation, and this gateway refuses such parameters.",
    "type": "The value has the wrong JSON type, such as a text in the place of a number.",
    "enum_type": "The value has another JSON type than all allowed values have.",
    "enum": "The value is none of the allowed ones.",
    "empty_string": "The text is empty, and the parameter needs one.",
    "too_short": "The text has fewer characters than the parameter needs.",
    "too_long": "The text has more characters than the parameter takes.",
    "below_minimum": "The number is smaller than the smallest that the parameter takes.",
    "above_maximum": "The number is larger than the largest that the parameter takes.",
    "too_few_items": "The list has fewer members than the parameter needs.",
    "too_many_items": "The list has more members than the parameter takes.",
    "other": "The value breaks a rule of the schema for which there is no finer word; `refused.rule` quotes the rule.",
    "stream_true": "The model or the gateway does not stream, and the call asks for a stream.",
    "transparent_jpeg": "A transparent background needs png or webp as output_format.",
    "compressed_png": "output_compression below 100 needs jpeg or webp as output_format.",
    "scenario_exhausted": "A rule of the scenario ends with `then: refuse`, and all its answers have been given.",
    "bad_reserved_value": "A reserved value, such as the header X-Emulator, cannot be read; the message says why.",
    "multiplication_sign": "The size is written with × in the place of the letter x.",
    "sensitive_words": "The gateway has a list of words that it refuses, and the prompt has one of them.",
    "no_such_model": "The path names a model that the gateway does not have.",
    "no_such_task": "The path names a task that this session does not have.",
    "not_implemented": "The server behind the gateway does not have this operation.",
    "unnamed_model": "The call names no model, and the server behind the gateway has no default.",
    "size_shape": "The size is not WIDTHxHEIGHT with two whole numbers.",
    "size_step": "A side of the size is no multiple of what the model needs.",
    "size_edge": "A side of the size is longer than the model draws.",
    "size_below_budget": "The size has fewer pixels than the model draws.",
    "size_above_budget": "The size has more pixels than the model draws.",
    "size_ratio": "The size is longer in relation to its width than the model draws, or wider.",
    "size_unlisted": "The size is none of those that the model draws.",
    "bad_form": "The body is no multipart form as its Content-Type promises.",
    "unconvertible": "A text in a form is no number or no switch, and the parameter needs one.",
    "not_a_file": "A field of the form should be a file, and is a text.",
    "image_in_json": "The JSON body has `image`, which only a form can have; in JSON the parameter is `images`.",
    "images_in_form": "The form has `images`, which only JSON can have; in a form the field is `image` or `image[]`.",
    "unsupported_parameter": "The model or the operation does not take this parameter.",
    "picture_type": "An uploaded file is none of the image formats that the model takes.",
    "picture_untyped": "The part of a form with an uploaded picture has no Content-Type.",
    "repeated_field": "A field of the form is given twice; several pictures are sent as `image[]`.",
    "picture_kind": "An uploaded picture has another format than this model insists on.",
    "picture_bytes": "An uploaded file has more bytes than the model takes.",
    "picture_data": "The data of an uploaded picture cannot be read.",
    "damaged_picture": "An uploaded picture is damaged or cut.",
    "picture_not_square": "The model takes square pictures alone.",
    "picture_mode": "The uploaded picture has another colour mode than the model takes, such as no alpha.",
    "mask_without_alpha": "The mask has no transparent part, so it does not say what to edit.",
    "mask_size": "The mask has another size than the picture.",
    "unknown_file": "A `file_id` names a file that was never uploaded; the emulator keeps none.",
    "upstream_key_missing": "The call is to be passed on, and its key is reserved for the emulator: see recording.md.",
    "recording_missed": "The recording has no answer to this call; the message names the nearest entry that it has.",
    "max_spend": "The call would pass --max-spend, so it did not leave.",
    "store_lost": "The Redis of --store cannot be used at present, so nobody knows the turn of this call.",
    "unreachable_picture": "An `image_url` would have to be fetched; the emulator fetches nothing. Send a data: URL.",
}  # fmt: skip
"""The breaches of rules: `refused.breach` in the journal. The codes of findings explain those of the same name."""

OTHERS: Final[Mapping[str, str]] = {
    "documented": "Source of a rule, and behavior: what the gateway's page says.",
    "observed": "Source of a rule, and behavior: what the gateway's server does, seen from outside or in its code.",
    "assumed": "Source of a rule: no page says it and nobody saw it; it follows from `compatible with OpenAI`.",
    "generate": "Operation: POST images/generations, pictures from a prompt.",
    "edit": "Operation: POST images/edits, pictures from pictures and a prompt.",
    "vary": "Operation: POST images/variations, variations of a picture.",
    "models": "Operation: GET models, the list of models.",
    "model": "Operation: GET models/NAME, one model.",
    "task": "Operation: GET of a task that a call began, at gateways that answer later.",
    "hang_up": "Fault: the connection is reset, before or inside the answer.",
    "truncate": "Fault: the body ends before its Content-Length.",
    "slow_body": "Fault: the body comes in small parts. Breach: the client's body took over --body-timeout seconds.",
    "stall": "Fault: the body stops and the connection stays open.",
    "malformed_json": "Fault: the body is JSON that is damaged at one place.",
    "garbage": "Fault: random bytes in the place of the body.",
    "wrong_type": "Fault: the Content-Type says something else than the body is.",
    "empty_body": "Fault: the status and headers of an answer without its body.",
    "duplicate_header": "Fault: a header is sent twice.",
    "duplicate_event": "Fault: an event of a stream comes twice.",
    "missing_final_event": "Fault: a stream ends without its last event.",
    "under_way": "State of a call: it is not answered yet.",
    "answered": "State of a call: the client got the answer.",
    "calls_under_way": "Note of a verdict: some calls are not answered yet, so their outcome may still change it.",
    "calls_unseen": "Note of a verdict: the session's first calls are no longer in the journal; see --journal-entries.",
    "client_gone": "State of a call: the client left before it had all of the answer, or --send-timeout cut it off.",
}  # fmt: skip
"""Whatever else is printed about a call."""

EXPLANATIONS: Final[Mapping[str, str]] = {**FINDINGS, **BREACHES, **KINDS, **OTHERS, **FINDINGS}
"""The text of each word; where the code of a finding is a breach too, the finding's text counts."""
