"""The pictures that an edit works on: found in a form or in JSON, looked at, and held against what their model takes.

What a call brings as text (data: URLs, Base64) becomes an upload too, so that the rest of the house knows one kind.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from emulator.core.phrases import format_path, join_quoted, quote
from emulator.findings import Finding
from emulator.image.link import BadToken, parse_token
from emulator.image.store import ImageStore
from emulator.image.upload import FileMark, Look, PictureRule, Upload
from emulator.messages import Request, Violation
from emulator.validation.schema import SchemaViolation

_EXAMINED_AT_ONCE: Final = 2  # each may hold 4096 x 4096 pixels of four bytes
LONGEST_URL: Final = 20_971_520  # characters of a data: URL, as OpenAI has it
Steps = tuple[str | int, ...]


class UploadReader:
    """Finds the pictures of calls, examines them and keeps them in the image store.

    `secret` is what the links to the emulator's own pictures are signed with: such a link is followed, no other is.
    """

    def __init__(self, image_store: ImageStore, secret: bytes) -> None:
        self._image_store = image_store
        self._secret = secret
        self._examining = asyncio.Semaphore(_EXAMINED_AT_ONCE)

    async def read_uploads(self, request: Request, takes_pictures: bool) -> Request:
        """Return `request` with its pictures as examined uploads; with `takes_pictures`, texts in JSON are pictures."""
        if not takes_pictures and not request.uploads:
            return request
        linked: dict[str, bytes] = {}
        for link in links(request):
            data = await self._draw_own_link(link)
            if data is not None:
                linked[link] = data
        async with self._examining:
            request = await self._image_store.run_in_thread(received, request, linked)
        for upload in request.uploads:
            self._image_store.keep_upload(upload)
        return request

    async def _draw_own_link(self, link: str) -> bytes | None:
        """Return the picture that a link of our own leads to, on whatever host; None for any other link."""
        _, is_ours, name = link.partition("/pictures/")
        if not is_ours:
            return None
        token = name.partition("?")[0].rpartition(".")[0]
        try:
            recipe = parse_token(token, self._secret).recipe
        except BadToken:
            return None
        if not self._image_store.can_draw(recipe):
            return None
        return (await self._image_store.draw(recipe)).data


def links(request: Request) -> set[str]:
    """The links to pictures in a JSON body."""
    if request.uploads or not isinstance(request.json, Mapping):
        return set()
    texts = (text for name in _PARAMETERS for _, text in _texts(request.json.get(name), (name,)))
    return {text for text in texts if text.startswith(_LINKS)}


def received(request: Request, known: Mapping[str, bytes]) -> Request:
    """`raw` with every picture in it as an upload that was looked at; slow, so it is done beside the loop.

    `known` are the files behind links that need no fetching.
    """
    from emulator.image.inspect import examine_upload

    if not request.uploads and isinstance(request.json, Mapping):
        request = _unpacked(request, known)
    seen = (one if one.look is not None else replace(one, look=examine_upload(one.data)) for one in request.uploads)
    return replace(request, uploads=tuple(seen))


def unfit(
    uploads: Sequence[Upload], body: Mapping[str, Any], rules: Mapping[str, PictureRule]
) -> Iterator[tuple[SchemaViolation, tuple[Finding, ...]]]:
    """What is wrong with the pictures of a call (texts in `body` that are none, and its `uploads`), and notes on it."""
    there = {upload.name for upload in uploads}
    for name in rules:
        for steps, text in _texts(body.get(name), (name,)):
            if format_path(steps) not in there and not isinstance(text, FileMark):
                yield _no_picture(steps, text)
    first: Look | None = None
    places: dict[str, int] = {}
    for upload in uploads:
        place = places[upload.role] = places.get(upload.role, -1) + 1
        if (rule := rules.get(upload.param)) is not None and upload.look is not None:
            first = first or (upload.look if upload.role == "image" else None)
            yield from ((missed, ()) for missed in _misses(_Judged(upload, upload.look, rule, place), first))


def usable(uploads: Sequence[Upload], rules: Mapping[str, PictureRule]) -> tuple[Upload, ...]:
    """The uploads that can be worked on."""
    return tuple(one for one in uploads if one.param in rules and one.look is not None and one.look.flaw is None)


@dataclass(frozen=True, slots=True)
class _Judged:
    """An upload, what was seen of it, what it has to be, and the how manieth of its role it is, from 0."""

    upload: Upload
    look: Look
    rule: PictureRule
    place: int

    def broken(self, violation: Violation, rule: str, **facts: str) -> SchemaViolation:
        """The line that it breaks."""
        indexed = f"{self.upload.param}[{self.place}]" if self.upload.role == "image" else self.upload.param
        param = self.upload.name if self.upload.written else indexed
        return SchemaViolation(
            violation, param, {"param": param, **facts}, f"x-emulator-picture: {rule}", self.rule.source, None
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The media types of the formats that it may have."""
        return tuple(f"image/{kind}" for kind in sorted(self.rule.formats))

    @property
    def declared(self) -> bool:
        """Whether what it calls itself is no reason to refuse it."""
        known = self.rule.types or (*self.kinds, *_SAYS_NOTHING)
        return _OTHER_NAMES.get(self.upload.media_type, self.upload.media_type) in known

    @property
    def says_nothing(self) -> bool:
        """Whether its sender does not tell what it is."""
        return self.upload.media_type in _SAYS_NOTHING and not self.upload.written


def _misses(one: _Judged, first: Look | None) -> Iterator[SchemaViolation]:
    """What of its rule a picture misses; only what comes first is told."""
    look, rule = one.look, one.rule
    too_long = rule.bytes is not None and look.bytes > rule.bytes
    wanted = f"formats: {', '.join(rule.formats)}"
    if look.flaw == "long":
        yield one.broken("too_long", f"maxLength: {LONGEST_URL}", limit=str(LONGEST_URL), length=str(look.bytes))
    elif len(rule.formats) == 1 and (look.format not in rule.formats or not one.declared or too_long):
        only, most = rule.formats[0].upper(), str((rule.bytes or 0) // 2**20)
        yield one.broken("picture_kind", wanted, supported=only, limit=most)
    elif not one.declared or (look.flaw == "strange" and one.says_nothing):
        value, known = quote(one.upload.media_type or _SAYS_NOTHING[0]), join_quoted(one.kinds, "and")
        yield one.broken("picture_type", wanted, value=value, supported=known)
    elif too_long:
        yield one.broken("picture_bytes", f"bytes: {rule.bytes}", limit=str(rule.bytes), length=str(look.bytes))
    elif look.flaw is not None:
        violation: Violation = "picture_data" if one.upload.written else "damaged_picture"
        yield one.broken(violation, "it decodes, and has at most 4096 x 4096 pixels", value=str(one.place + 1))
    elif rule.square and look.width != look.height:
        yield one.broken("picture_not_square", "square: true", value=f"{look.width}x{look.height}")
    elif rule.modes and look.mode not in rule.modes:
        supported = ", ".join(f"'{mode}'" for mode in rule.modes)
        yield one.broken("picture_mode", f"modes: {', '.join(rule.modes)}", value=str(look.mode), supported=supported)
    elif rule.alpha and look.alpha_share is None:
        yield one.broken("mask_without_alpha", "alpha: true")
    elif rule.fits and first is not None and (first.width, first.height) != (look.width, look.height):
        yield one.broken("mask_size", "fits: true", value=f"{look.width}x{look.height}")


def _no_picture(steps: Steps, text: str) -> tuple[SchemaViolation, tuple[Finding, ...]]:
    """What is wrong with a text that stands for a picture, and is none that we have."""
    place = format_path(steps)
    if steps[-1] == _FILE_ID:
        facts = {"value": text[:200]}
        return SchemaViolation("unknown_file", place, facts, "a file that was uploaded before", "assumed", None), ()
    if text.startswith(_LINKS):
        note = Finding("nothing_fetched", f"{place} is a link, and links are not followed", place)
        return SchemaViolation("unreachable_picture", "url", {}, "a picture that can be fetched", "assumed", text), (
            note,
        )
    return SchemaViolation("picture_data", place, {"param": place}, "a data: URL of a picture", "assumed", text), ()


def _unpacked(request: Request, known: Mapping[str, bytes]) -> Request:
    """`raw` with the pictures that its JSON holds as text taken out; short words stand in their place."""
    found, body = [], copy.deepcopy(request.json)
    for name in _PARAMETERS:
        for steps, text in _texts(body.get(name), (name,)):
            if text in known:
                found.append(Upload(format_path(steps), None, "", known[text], written=True))
            elif steps[-1] != _FILE_ID and (upload := _decoded(format_path(steps), text)) is not None:
                found.append(upload)
                _put(body, steps, f"(a picture of {len(upload.data)} bytes)")
    return replace(request, json=body, body=b"", uploads=tuple(found)) if found else request


def _decoded(name: str, text: str) -> Upload | None:
    """The file that `text` spells; None where it spells none."""
    head, comma, data = text.partition(",") if text.startswith("data:") else ("", "", text)
    if len(text) > LONGEST_URL:
        return Upload(name, None, "", b"", Look("", len(text), flaw="long"), written=True)
    media_type, *options = head.removeprefix("data:").lower().split(";")
    if (comma and "base64" not in options) or not data:
        return None
    try:
        return Upload(name, None, media_type, base64.b64decode(data, validate=True), written=True)
    except (binascii.Error, ValueError):
        return None


def _texts(value: Any, steps: Steps) -> Iterator[tuple[Steps, str]]:
    """The texts in `value` that stand for pictures, and where."""
    match value:
        case str():
            yield steps, value
        case list():
            for index, part in enumerate(value):
                yield from _texts(part, (*steps, index))
        case Mapping():
            for key in (_URL, _FILE_ID):
                if isinstance(value.get(key), str):
                    yield (*steps, key), value[key]


def _put(body: Any, steps: Steps, value: str) -> None:
    for step in steps[:-1]:
        body = body[step]
    body[steps[-1]] = value


_LINKS: Final = ("http://", "https://")
_URL: Final = "image_url"
_FILE_ID: Final = "file_id"
_PARAMETERS: Final = ("image", "images", "mask", "markup")
"""Where pictures stand in JSON, whatever the gateway."""
_SAYS_NOTHING: Final = ("application/octet-stream", "", "binary/octet-stream", "image/*")
_OTHER_NAMES: Final = {"image/jpg": "image/jpeg", "image/x-png": "image/png"}
