"""Finds the pictures of a call in its form or its JSON, examines them, and checks them against the rules of the model.

A picture that JSON holds as text (a data: URL or Base64) becomes an Upload as a file does.
"""

from __future__ import annotations

import asyncio
import base64
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import format_path, join_quoted, quote
from emulator.findings import Finding
from emulator.gateway.gateway import Operation
from emulator.image.files import FileStore, MissingFile
from emulator.image.link import BadToken, parse_token
from emulator.image.link_query import FindLinkQuery, find_link_flaw
from emulator.image.recipe import DIGEST
from emulator.image.store import ImageStore
from emulator.image.upload import Examination, FilePlaceholder, PictureRule, Upload
from emulator.messages import GatewayError, Request, Violation
from emulator.validation.body import drop_placeholders
from emulator.validation.draft import Draft, copy_draft
from emulator.validation.multipart import MOST_FILES
from emulator.validation.schema import SchemaViolation

_EXAMINED_AT_ONCE: Final = 2  # each may hold 4096 x 4096 pixels of four bytes
LONGEST_URL: Final = 20_971_520  # characters of a data: URL, as OpenAI has it
Steps = tuple[str | int, ...]
Places = Mapping[str, tuple[str, ...]]
"""The parameters that hold pictures, each with the names that lead to the text inside of an object."""


class UploadReader:
    """Finds the pictures of calls, examines them and keeps them in `files`.

    `secret` is what the links to the emulator's own pictures are signed with: such a link is followed, no other is.
    `find_link_query` returns the query that such a link of a gateway has.
    """

    def __init__(
        self, image_store: ImageStore, files: FileStore, secret: bytes, find_link_query: FindLinkQuery
    ) -> None:
        self._image_store = image_store
        self._files = files
        self._secret = secret
        self._find_link_query = find_link_query
        self._examining = asyncio.Semaphore(_EXAMINED_AT_ONCE)

    async def read_uploads(self, request: Request, operation: Operation) -> Request:
        """Return `request` with its pictures as examined uploads, those too that stand as texts in its JSON."""
        if not operation.takes_pictures and not request.uploads:
            return request
        linked: dict[str, bytes] = {}
        places = operation.picture_places or USUAL_PLACES
        for link in find_links(request, places):
            data = await self._draw_own_link(link)
            if data is not None:
                linked[link] = data
        async with self._examining:
            request = await self._image_store.run_in_thread(examine_uploads, request, linked, places)
        for upload in request.uploads:
            if upload.examination is not None and upload.data:
                await self._files.keep_file("upload", upload.examination.sha256[:DIGEST], upload.data)
        return request

    async def _draw_own_link(self, link: str) -> bytes | None:
        """Return the picture that a link of our own leads to, on whatever host; None for any other link."""
        _, is_ours, name = link.partition("/pictures/")
        if not is_ours:
            return None
        path, _, query = name.partition("?")
        token = path.rpartition(".")[0]
        try:
            found = parse_token(token, self._secret)
        except BadToken:
            return None
        if find_link_flaw(self._find_link_query, found, query, token=token, secret=self._secret) is not None:
            return None
        try:
            return (await self._image_store.draw(found.recipe)).data
        except MissingFile:
            return None


def find_links(request: Request, places: Places) -> set[str]:
    """Return the links to pictures in a JSON body."""
    if request.uploads or not isinstance(request.json, Mapping):
        return set()
    texts = (text for _, text in _iter_texts(request.json, places))
    return {text for text in texts if text.startswith(_LINKS)}


def find_picture_texts(body: Mapping[str, Any], operation: Operation) -> Iterator[tuple[str, str]]:
    """Yield the texts in a JSON body that stand for pictures, each with its place, such as images[0].image_url."""
    for steps, text in _iter_texts(body, operation.picture_places or USUAL_PLACES):
        yield format_path(steps), text


def count_picture_characters(body: Mapping[str, Any]) -> int:
    """Return how many characters the texts in a JSON body have that stand for pictures."""
    count = sum(len(text) for _, text in _iter_texts(body, USUAL_PLACES))
    for name, value in body.items():
        if name not in USUAL_PLACES and name != "prompt":
            count += sum(len(text) for text in _iter_data_urls(value, 3))
    return count


def examine_uploads(request: Request, linked: Mapping[str, bytes], places: Places | None = None) -> Request:
    """Return `request` with every picture in it as an examined upload.

    `places` are the parameters of JSON that hold pictures; `linked` has the files behind the emulator's own links. It
    decodes pictures, which is slow: call it in a thread.
    """
    from emulator.image.inspect import examine_upload

    if not request.uploads and isinstance(request.json, Mapping):
        request = _unpack_texts(request, linked, places or USUAL_PLACES)
    examined = []
    for upload in request.uploads:
        if upload.examination is None:
            upload = replace(upload, examination=examine_upload(upload.data))
        examined.append(upload)
    return request._replace(uploads=tuple(examined))


def check_uploads(draft: Draft) -> Draft:
    """Check the pictures of a call against what their model takes; afterwards the body has no placeholders of files."""
    rules, uploads = draft.rules, draft.request.uploads
    if not rules.pictures:
        return draft
    places = draft.context.operation.picture_places or USUAL_PLACES
    by_upstream = rules.upstream is not None
    errors: list[GatewayError] = []
    for violation, notes in find_violations(uploads, draft.body, rules.pictures, places):
        errors.append(replace(violation.build_error(draft.model, by_upstream), findings=notes))
    return copy_draft(
        draft,
        body=drop_placeholders(draft.body),
        uploads=select_usable(uploads, rules.pictures),
        errors=tuple(errors),
    )


def find_violations(
    uploads: Sequence[Upload],
    body: Mapping[str, Any],
    rules: Mapping[str, PictureRule],
    places: Places | None = None,
) -> Iterator[tuple[SchemaViolation, tuple[Finding, ...]]]:
    """Yield what is wrong with a call's pictures, each with its findings; texts that are no pictures come first."""
    names = {upload.name for upload in uploads}
    for name in rules:
        inside = (places or USUAL_PLACES).get(name, ())
        for steps, text in _find_texts(body.get(name), (name,), inside):
            if format_path(steps) not in names and not isinstance(text, FilePlaceholder):
                yield _describe_missing_picture(steps, text)
    first: Examination | None = None
    counts: dict[str, int] = {}
    for upload in uploads:
        index = counts.get(upload.role, 0)
        counts[upload.role] = index + 1
        rule = rules.get(upload.param)
        if rule is None or upload.examination is None:
            continue
        if first is None and upload.role == "image":
            first = upload.examination
        checked = _CheckedUpload(upload=upload, examination=upload.examination, rule=rule, index=index)
        violation = _check_type(checked) or _check_pixels(checked, first)
        if violation is not None:
            yield violation, ()


def select_usable(uploads: Sequence[Upload], rules: Mapping[str, PictureRule]) -> tuple[Upload, ...]:
    """Select the uploads that can be worked on."""
    return tuple(
        one for one in uploads if one.param in rules and one.examination is not None and one.examination.flaw is None
    )


@dataclass(frozen=True, slots=True)
class _CheckedUpload:
    """An upload, the result of its examination, the rule for it, and its index (from 0) in the uploads of its role."""

    upload: Upload
    examination: Examination
    rule: PictureRule
    index: int

    def build_violation(self, violation: Violation, rule: str, **facts: str) -> SchemaViolation:
        """Build the violation of `rule` by this upload."""
        if self.upload.in_json:
            param = self.upload.name
        elif self.upload.name != self.upload.param:  # a list, as image[]
            param = f"{self.upload.param}[{self.index}]"
        else:
            param = self.upload.param
        return SchemaViolation(
            violation=violation,
            param=param,
            facts={"param": param, **facts},
            rule=f"x-emulator-picture: {rule}",
            source=self.rule.source,
            value=None,
        )

    @property
    def supported_types(self) -> tuple[str, ...]:
        """The media types of the formats that it may have."""
        return tuple(f"image/{name}" for name in sorted(self.rule.formats))

    @property
    def claimed_type(self) -> str:
        """What its sender calls it, by the usual name of that type."""
        return _OTHER_NAMES.get(self.upload.media_type, self.upload.media_type)

    def build_type_violation(self, rule: str, kind: str = "") -> SchemaViolation:
        """Build the violation of an upload whose type is not supported: `kind`, else what its sender calls it."""
        claimed = quote(kind or self.upload.media_type or _UNKNOWN_TYPE)
        supported = join_quoted(self.supported_types, "and")
        return self.build_violation("picture_type", rule, value=claimed, supported=supported)


def _check_claim(checked: _CheckedUpload) -> SchemaViolation | None:
    """Return what is wrong with what an upload's sender calls it, where that is judged; its bytes do not count here."""
    upload, rule = checked.upload, checked.rule
    if not rule.types or checked.claimed_type in rule.types:
        return None
    types = f"types: {', '.join(rule.types)}"
    if upload.media_type:
        violation = checked.build_type_violation(types)
    elif upload.in_json:  # bare Base64, or what a link leads to: nobody has called it anything
        return None
    else:
        violation = checked.build_violation("picture_untyped", types)
    return replace(violation, source=rule.types_source or rule.source)


def _check_type(checked: _CheckedUpload) -> SchemaViolation | None:
    """Return what is wrong with an upload's length, claimed type and format; only the first thing."""
    examination, rule = checked.examination, checked.rule
    is_too_large = rule.bytes is not None and examination.bytes > rule.bytes
    formats = f"formats: {', '.join(rule.formats)}"
    if examination.flaw == "long":
        return checked.build_violation(
            "too_long", f"maxLength: {LONGEST_URL}", limit=str(LONGEST_URL), length=str(examination.bytes)
        )
    wrong_claim = _check_claim(checked)
    if wrong_claim is not None:
        return wrong_claim
    if len(rule.formats) == 1 and (examination.format not in rule.formats or is_too_large):
        megabytes = (rule.bytes or 0) // 2**20
        return checked.build_violation("picture_kind", formats, supported=rule.formats[0].upper(), limit=str(megabytes))
    is_called_picture = checked.claimed_type in checked.supported_types or checked.upload.in_json
    if examination.flaw == "strange" and not is_called_picture:
        return checked.build_type_violation(formats)
    if examination.flaw is None and examination.format not in rule.formats:
        return checked.build_type_violation(formats, kind=f"image/{examination.format}")
    if is_too_large:
        return checked.build_violation(
            "picture_bytes", f"bytes: {rule.bytes}", limit=str(rule.bytes), length=str(examination.bytes)
        )
    return None


def _check_pixels(checked: _CheckedUpload, first: Examination | None) -> SchemaViolation | None:
    """Return what is wrong with an upload's pixels; only the first thing. `first` is the first image of the call."""
    examination, rule = checked.examination, checked.rule
    if examination.flaw is not None:
        violation: Violation = "damaged_picture"
        if checked.upload.in_json:
            violation = "picture_data"
        number = str(checked.index + 1)
        return checked.build_violation(violation, "it decodes, and has at most 4096 x 4096 pixels", value=number)
    size = f"{examination.width}x{examination.height}"
    if rule.square and examination.width != examination.height:
        return checked.build_violation("picture_not_square", "square: true", value=size)
    if rule.modes and examination.mode not in rule.modes:
        supported = ", ".join(f"'{mode}'" for mode in rule.modes)
        modes = f"modes: {', '.join(rule.modes)}"
        return checked.build_violation("picture_mode", modes, value=str(examination.mode), supported=supported)
    if rule.alpha and examination.alpha_share is None:
        return checked.build_violation("mask_without_alpha", "alpha: true")
    if rule.fits and first is not None and (first.width, first.height) != (examination.width, examination.height):
        return checked.build_violation("mask_size", "fits: true", value=size)
    return None


def _describe_missing_picture(steps: Steps, text: str) -> tuple[SchemaViolation, tuple[Finding, ...]]:
    """Return the violation of a text that should be a picture and is none, and the findings about it."""
    param = format_path(steps)
    if steps[-1] == _FILE_ID:
        unknown = SchemaViolation(
            violation="unknown_file",
            param=param,
            facts={"value": text[:200]},
            rule="a file that was uploaded before",
            source="assumed",
            value=None,
        )
        return unknown, ()
    if text.startswith(_LINKS):
        unreachable = SchemaViolation(
            violation="unreachable_picture",
            param="url",
            facts={},
            rule="a picture that can be fetched",
            source="assumed",
            value=text,
        )
        return unreachable, (Finding("nothing_fetched", f"{param} is a link, and links are not followed", param),)
    undecodable = SchemaViolation(
        violation="picture_data",
        param=param,
        facts={"param": param},
        rule="a data: URL of a picture",
        source="assumed",
        value=text,
    )
    return undecodable, ()


def _unpack_texts(request: Request, linked: Mapping[str, bytes], places: Places) -> Request:
    """Return `request` with the pictures that its JSON holds as text as uploads; a short text takes their place."""
    body = copy.deepcopy(request.json)
    found: list[Upload] = []
    is_changed = False
    for steps, text in list(_iter_texts(body, places)):
        upload_name, use = format_path(steps), ""
        if steps[0] not in USUAL_PLACES:
            use = "image"
        if text in linked:
            found.append(Upload(upload_name, None, "", linked[text], in_json=True, use=use))
            continue
        upload = None
        if steps[-1] != _FILE_ID and len(found) < MOST_FILES:  # as many as a form may have; the rest stay texts
            upload = _decode_text(upload_name, text)
        if upload is not None:
            found.append(replace(upload, use=use))
            text = f"(a picture of {len(upload.data)} bytes)"
        elif len(text) > _LONGEST_KEPT:
            text = f"{text[:_SHOWN]}… ({len(text)} characters)"
        else:
            continue
        _replace_text(body, steps, text)
        is_changed = True
    if not found and not is_changed:
        return request
    return request._replace(json=body, body=b"", uploads=tuple(found))


def _decode_text(name: str, text: str) -> Upload | None:
    """Return the file that a data: URL or Base64 spells; None for any other text."""
    if len(text) > LONGEST_URL:
        return Upload(name, None, "", b"", Examination("", len(text), flaw="long"), in_json=True)
    head, comma, data = "", "", text
    if text.startswith("data:"):
        head, comma, data = text.partition(",")
        if len(head) > _LONGEST_HEAD:
            return None
    media_type, *options = head.removeprefix("data:").lower().split(";")
    if (comma and "base64" not in options) or not data:
        return None
    if comma and not media_type:
        media_type = "text/plain"  # what a data: URL without a type means (RFC 2397)
    try:
        return Upload(name, None, media_type, base64.b64decode(data, validate=True), in_json=True)
    except ValueError:
        return None


def _iter_texts(body: Mapping[str, Any], places: Places) -> Iterator[tuple[Steps, str]]:
    """Yield the texts in a JSON body that stand for pictures, each with its place."""
    for name, inside in places.items():
        yield from _find_texts(body.get(name), (name,), inside)


def _find_texts(value: Any, steps: Steps, inside: tuple[str, ...]) -> Iterator[tuple[Steps, str]]:
    """Yield the texts in `value` that stand for pictures, each with its place.

    `inside` are the names that lead to the text of an object; without them it is one of OpenAI's two.
    """
    match value:
        case str():
            yield steps, value
        case list():
            for index, part in enumerate(value):
                yield from _find_texts(part, (*steps, index), inside)
        case Mapping() if inside:
            found: Any = value
            for key in inside:
                found = found.get(key) if isinstance(found, Mapping) else None
            if isinstance(found, str):
                yield (*steps, *inside), found
        case Mapping():
            for key in (_URL, _FILE_ID):
                if isinstance(value.get(key), str):
                    yield (*steps, key), value[key]


def _iter_data_urls(value: Any, levels: int) -> Iterator[str]:
    """Yield the data: URLs in `value`, at most so many `levels` deep."""
    match value:
        case str() if value.startswith("data:"):
            yield value
        case list() if levels:
            for part in value:
                yield from _iter_data_urls(part, levels - 1)
        case Mapping() if levels:
            for part in value.values():
                yield from _iter_data_urls(part, levels - 1)


def _replace_text(body: Any, steps: Steps, value: str) -> None:
    for step in steps[:-1]:
        body = body[step]
    body[steps[-1]] = value


_LINKS: Final = ("http://", "https://")
_URL: Final = "image_url"
_FILE_ID: Final = "file_id"
USUAL_PLACES: Final[Mapping[str, tuple[str, ...]]] = dict.fromkeys(("image", "images", "mask", "markup"), ())
"""Where pictures stand in JSON, unless a gateway's file says something else."""
_LONGEST_KEPT: Final = 4096  # characters of a text that is no picture, such as a link: the journal has all of it
_SHOWN: Final = 100  # characters of a text that is too long to be kept
_LONGEST_HEAD: Final = 256  # characters of a data: URL before its data; media types have up to about 80
_UNKNOWN_TYPE: Final = "application/octet-stream"
_OTHER_NAMES: Final = {"image/jpg": "image/jpeg", "image/x-png": "image/png"}
