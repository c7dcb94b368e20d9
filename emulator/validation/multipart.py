"""A body of multipart/form-data becomes texts and files, or BadForm says why it cannot.

Strict and bounded, and never an exception but BadForm. aiohttp's reader is neither: it raises ten kinds, takes parts
without a name, and takes a boundary that only begins like the right one for the end of all parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from emulator.image.upload import Upload

MOST_FIELDS: Final = 64  # as the SDKs' largest call has about twenty
MOST_FILES: Final = 17  # sixteen pictures, as OpenAI takes them, and a mask
LONGEST_HEAD: Final = 8192  # bytes of a part's headers; browsers write about 200
LONGEST_TEXT: Final = 2**20  # bytes of all parts that are no files together, as a JSON body may have
MEDIA_TYPE: Final = "multipart/form-data"


class BadForm(ValueError):
    """A body that is no form: the message says why, in a few words."""


@dataclass(frozen=True)
class Form:
    """`texts` are by name, the last of two of the same name; `twice` are the names that were given again."""

    texts: Mapping[str, str]
    uploads: tuple[Upload, ...]
    twice: tuple[str, ...]


def parse(body: bytes, content_type: str) -> Form:
    """The form in `body`; raises BadForm."""
    texts: dict[str, str] = {}
    twice: dict[str, None] = {}
    uploads: list[Upload] = []
    fields = length = 0
    for start, end in _parts(body, _boundary(content_type)):
        head, data_start = _head(body, start, end)
        disposition, options = _valued(head.get("content-disposition", ""))
        if disposition != "form-data" or not options.get("name"):
            raise BadForm("a part is not form-data with a name")
        if head.get("content-transfer-encoding", "binary").lower() not in _AS_IT_IS or "content-encoding" in head:
            raise BadForm("a part is encoded")
        media_type, about = _valued(head.get("content-type", ""))
        filename = options.get("filename*", options.get("filename"))
        if media_type.startswith("multipart/"):
            raise BadForm("a part has parts of its own")
        if filename is not None or media_type.startswith(_FILES):
            uploads.append(Upload(options["name"], filename, media_type, body[data_start:end]))
        else:
            fields, length = fields + 1, length + end - data_start
            if options["name"] in texts:
                twice[options["name"]] = None
            texts[options["name"]] = _text(body[data_start:end], about.get("charset", "utf-8"))
        if len(uploads) > MOST_FILES or fields > MOST_FIELDS:
            raise BadForm("there are too many parts")
        if length > LONGEST_TEXT:
            raise BadForm("the texts are too long")
    return Form(texts, tuple(uploads), tuple(twice))


def is_form(content_type: str) -> bool:
    """Whether a Content-Type means a form, whatever else it says."""
    return content_type.partition(";")[0].strip().lower() == MEDIA_TYPE


def _boundary(content_type: str) -> bytes:
    _, options = _valued(content_type)
    boundary = options.get("boundary", "")
    if not re.fullmatch(_BOUNDARY, boundary):
        raise BadForm("the boundary is missing" if not boundary else "the boundary cannot be one")
    return boundary.encode()


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[int, int]]:
    """Where each part begins, with its headers, and ends."""
    mark = b"--" + boundary
    if body.startswith(mark):
        place = len(mark)
    else:  # what stands before the first boundary means nothing
        found = body.find(b"\r\n" + mark, 0, _LONGEST_PREAMBLE)
        if found < 0:
            raise BadForm("the first boundary is missing")
        place = found + 2 + len(mark)
    while body[place : place + 2] != b"--":  # the last boundary; what stands behind it means nothing
        start = _line_end(body, place)
        end = body.find(b"\r\n" + mark, start - 2)  # a part without headers and text begins with its own end
        if end < 0:
            raise BadForm("the last boundary is missing")
        yield start, max(start, end)
        place = end + 2 + len(mark)


def _line_end(body: bytes, place: int) -> int:
    """Where the line goes on that begins with a boundary: nothing but blanks may stand behind that."""
    end = body.find(b"\r\n", place, place + _LONGEST_PADDING)
    if end < 0 or body[place:end].strip(b" \t"):
        raise BadForm("a boundary's line has more on it")
    return end + 2


def _head(body: bytes, start: int, end: int) -> tuple[Mapping[str, str], int]:
    """A part's headers, by their names in small letters, and where its data begins."""
    blank = body.find(b"\r\n\r\n", start, min(end, start + LONGEST_HEAD))
    if body[start : start + 2] == b"\r\n" or blank < 0:
        raise BadForm("a part has no headers, or no end of them")
    head: dict[str, str] = {}
    for line in body[start:blank].split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not re.fullmatch(rb"[!-9;-~]+", name) or re.search(rb"[\x00\r\n]", value):
            raise BadForm("a part has a broken header")
        key = name.decode().lower()
        if key in head and key.startswith("content-"):
            raise BadForm("a part has a header twice")
        head[key] = _utf8(value).strip()
    return head, blank + 4


def _valued(header: str) -> tuple[str, Mapping[str, str]]:
    """A header's value in small letters, and its parameters, quoted or not; raises BadForm for what is neither."""
    value, _, rest = header.partition(";")
    options: dict[str, str] = {}
    place = 0
    while place < len(rest):
        if (found := _OPTION.match(rest, place)) is None:
            raise BadForm("a header has broken parameters")
        place = found.end()
        if name := found["name"]:
            if name.lower() in options:
                raise BadForm("a header has a parameter twice")
            options[name.lower()] = _unquoted(found) if found["extended"] is None else _extended(found["extended"])
    return value.strip().lower(), options


def _unquoted(found: re.Match[str]) -> str:
    quoted = found["quoted"]
    return found["bare"].strip() if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted).replace("%22", '"')


def _extended(value: str) -> str:
    """The text that `utf-8''a%20b.png` spells, as RFC 8187 has it."""
    charset, _, rest = value.strip().partition("'")
    if charset.lower() not in _UTF8:
        raise BadForm("a file's name is in an unknown charset")
    return _utf8(unquote_to_bytes(rest.partition("'")[2]))


def _text(data: bytes, charset: str) -> str:
    if charset.lower() not in _UTF8:
        raise BadForm("a text is in an unknown charset")
    return _utf8(data)


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadForm("a text is not UTF-8") from None


_UTF8: Final = ("utf-8", "utf8", "us-ascii", "ascii")
_AS_IT_IS: Final = ("7bit", "8bit", "binary")
_FILES: Final = ("image/", "application/octet-stream")  # what no text says of itself
_BOUNDARY: Final = r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]"
_LONGEST_PADDING: Final = 128  # bytes of blanks behind a boundary
_LONGEST_PREAMBLE: Final = 65536  # bytes; mail has a line for people there, forms have nothing
_OPTION: Final = re.compile(
    r"""\s*(?:(?P<name>[!#$%&'+.^_`|~0-9A-Za-z\[\]-]+\*?)\s*=\s*
        (?: "(?P<quoted>(?:[^"\\]|\\.)*+)" | (?<=\*=)(?P<extended>[^;"]*) | (?P<bare>[^;"]*) )\s*)?(?:;|\Z)""",
    re.VERBOSE | re.DOTALL,
)
