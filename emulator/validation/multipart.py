"""Parses a body of multipart/form-data into texts and files.

The parser is strict and bounded, and raises BadForm alone. aiohttp's reader is not used: it raises ten kinds of
exceptions, accepts parts without a name, and takes a boundary that only begins like the right one for the last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from emulator.core.light_dataclass import dataclass
from emulator.image.upload import Upload

MOST_FIELDS: Final = 64  # the largest call of the SDKs has about twenty
MOST_FILES: Final = 17  # sixteen pictures, OpenAI's maximum, and a mask
LONGEST_HEAD: Final = 8192  # bytes of a part's headers; browsers write about 200
LONGEST_TEXT: Final = 2**20  # bytes of all parts that are no files together, as a JSON body may have
MEDIA_TYPE: Final = "multipart/form-data"


class BadForm(ValueError):
    """A body that is no form; its text says why, in a few words."""


@dataclass(frozen=True)
class Form:
    """The contents of a form.

    `texts` has the texts by their names. A name that ends with `[]` has the list of its texts; of two texts with any
    other name the last one is there. `duplicates` are the names without `[]` that come twice, as texts or as files.
    """

    texts: Mapping[str, str | list[str]]
    uploads: tuple[Upload, ...]
    duplicates: tuple[str, ...]


def parse_form(body: bytes, content_type: str) -> Form:
    """Parse the form in `body`; raises BadForm."""
    texts: dict[str, str | list[str]] = {}
    names: set[str] = set()
    duplicates: dict[str, None] = {}
    uploads: list[Upload] = []
    fields = length = 0
    for start, end in _split_parts(body, _read_boundary(content_type)):
        part = _parse_part(body, start, end)
        is_listed = part.name.endswith("[]")
        if part.name in names and not is_listed:
            duplicates[part.name] = None
        names.add(part.name)
        if part.filename is not None:
            uploads.append(Upload(part.name, part.filename, part.media_type, part.data))
        else:
            fields += 1
            text = _read_text(part)
            length += len(text)
            if is_listed:
                listed = texts.setdefault(part.name, [])
                assert isinstance(listed, list)
                listed.append(text)
            else:
                texts[part.name] = text
        if len(uploads) > MOST_FILES or fields > MOST_FIELDS:
            raise BadForm("there are too many parts")
        if length > LONGEST_TEXT:
            raise BadForm("the texts are too long")
    return Form(texts, tuple(uploads), tuple(duplicates))


def is_form(content_type: str) -> bool:
    """Return whether a Content-Type means a form, whatever its parameters are."""
    return content_type.partition(";")[0].strip().lower() == MEDIA_TYPE


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a form: `name` is the field's, `filename` is None where the part gives none and so is a text."""

    name: str
    filename: str | None
    media_type: str
    charset: str
    data: bytes


def _parse_part(body: bytes, start: int, end: int) -> _Part:
    """Parse the part of `body` from `start`, where its headers begin, to `end`."""
    headers, data_start = _parse_headers(body, start, end)
    disposition, options = _parse_value(headers.get("content-disposition", ""))
    if disposition != "form-data" or not options.get("name"):
        raise BadForm("a part is not form-data with a name")
    if headers.get("content-transfer-encoding", "binary").lower() not in _UNENCODED or "content-encoding" in headers:
        raise BadForm("a part is encoded")
    media_type, type_options = _parse_value(headers.get("content-type", ""))
    if media_type.startswith("multipart/"):
        raise BadForm("a part has parts of its own")
    return _Part(
        name=options["name"],
        filename=options.get("filename*", options.get("filename")),
        media_type=media_type,
        charset=type_options.get("charset", "utf-8"),
        data=body[data_start:end],
    )


def _read_boundary(content_type: str) -> bytes:
    _, options = _parse_value(content_type)
    boundary = options.get("boundary", "")
    if not boundary:
        raise BadForm("the boundary is missing")
    if not re.fullmatch(_BOUNDARY, boundary):
        raise BadForm("the boundary cannot be one")
    return boundary.encode()


def _split_parts(body: bytes, boundary: bytes) -> Iterator[tuple[int, int]]:
    """Yield for each part the index at which its headers begin, and the index at which it ends."""
    delimiter = b"--" + boundary
    if body.startswith(delimiter):
        index = len(delimiter)
    else:  # what stands before the first boundary means nothing
        found = body.find(b"\r\n" + delimiter, 0, _LONGEST_PREAMBLE)
        if found < 0:
            raise BadForm("the first boundary is missing")
        index = found + 2 + len(delimiter)
    while body[index : index + 2] != b"--":  # the last boundary; what stands behind it means nothing
        start = _find_line_end(body, index)
        end = body.find(b"\r\n" + delimiter, start - 2)  # a part without headers and text begins with its own end
        if end < 0:
            raise BadForm("the last boundary is missing")
        yield start, max(start, end)
        index = end + 2 + len(delimiter)


def _find_line_end(body: bytes, index: int) -> int:
    """Return the index behind a boundary's line; `index` is behind the boundary, where only blanks may stand."""
    end = body.find(b"\r\n", index, index + _LONGEST_PADDING)
    if end < 0 or body[index:end].strip(b" \t"):
        raise BadForm("a boundary's line has more on it")
    return end + 2


def _parse_headers(body: bytes, start: int, end: int) -> tuple[Mapping[str, str], int]:
    """Return a part's headers, by their names in lower case, and the index at which its data begins."""
    blank_line = body.find(b"\r\n\r\n", start, min(end, start + LONGEST_HEAD))
    if body[start : start + 2] == b"\r\n" or blank_line < 0:
        raise BadForm("a part has no headers, or no end of them")
    headers: dict[str, str] = {}
    for line in body[start:blank_line].split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not re.fullmatch(rb"[!-9;-~]+", name) or re.search(rb"[\x00\r\n]", value):
            raise BadForm("a part has a broken header")
        key = name.decode().lower()
        if key in headers and key.startswith("content-"):
            raise BadForm("a part has a header twice")
        headers[key] = _decode_utf8(value).strip()
    return headers, blank_line + 4


def _parse_value(header: str) -> tuple[str, Mapping[str, str]]:
    """Return a header's value in lower case, and its parameters, quoted or not; raises BadForm."""
    value, _, rest = header.partition(";")
    options: dict[str, str] = {}
    index = 0
    while index < len(rest):
        match = _OPTION.match(rest, index)
        if match is None:
            raise BadForm("a header has broken parameters")
        index = match.end()
        if match["name"]:
            name = match["name"].lower()
            if name in options:
                raise BadForm("a header has a parameter twice")
            options[name] = _read_option(match)
    return value.strip().lower(), options


def _read_option(match: re.Match[str]) -> str:
    """Return the value of a parameter that _OPTION has matched."""
    if match["extended"] is not None:
        return _decode_extended(match["extended"])
    if match["quoted"] is not None:
        return re.sub(r'\\(["\\])', r"\1", match["quoted"]).replace("%22", '"')
    return match["bare"].strip()


def _decode_extended(value: str) -> str:
    """Return the text that `utf-8''a%20b.png` spells (RFC 8187)."""
    charset, _, rest = value.strip().partition("'")
    if charset.lower() not in _UTF8:
        raise BadForm("a file's name is in an unknown charset")
    return _decode_utf8(unquote_to_bytes(rest.partition("'")[2]))


def _read_text(part: _Part) -> str:
    """Return the text of a part; of a picture that was sent without a file name, what stands for it."""
    if part.charset.lower() not in _UTF8:
        raise BadForm("a text is in an unknown charset")
    try:
        return _decode_utf8(part.data)
    except BadForm:
        if part.media_type.startswith(_FILE_TYPES) or part.data.startswith(_PICTURES):
            return f"({len(part.data)} bytes of {part.media_type or 'a picture'} without a file name)"
        raise


def _decode_utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadForm("a text is not UTF-8") from None


_UTF8: Final = ("utf-8", "utf8", "us-ascii", "ascii")
_UNENCODED: Final = ("7bit", "8bit", "binary")
_FILE_TYPES: Final = ("image/", "application/octet-stream")  # what is not UTF-8 and of one of these is no broken text
_PICTURES: Final = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"RIFF")  # how the bytes of PNG, JPEG and WebP begin
_BOUNDARY: Final = r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]"
_LONGEST_PADDING: Final = 128  # bytes of blanks behind a boundary
_LONGEST_PREAMBLE: Final = 65536  # bytes; mail has a line for people there, forms have nothing
_OPTION: Final = re.compile(
    r"""\s*(?:(?P<name>[!#$%&'+.^_`|~0-9A-Za-z\[\]-]+\*?)\s*=\s*
        (?: "(?P<quoted>(?:[^"\\]|\\.)*+)" | (?<=\*=)(?P<extended>[^;"]*) | (?P<bare>[^;"]*) )\s*)?(?:;|\Z)""",
    re.VERBOSE | re.DOTALL,
)
