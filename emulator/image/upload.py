"""What a call carries beside its parameters: files, each with what is known of it once somebody has looked.

Everything here is frozen; the bytes are let go of when the call is written down.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

Flaw = Literal["strange", "damaged", "huge", "long"]
"""Why a file is no picture to work on: none of the formats, it does not decode, too many pixels, or too long a text."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a file.

    `sha256` are 64 hex digits, `bytes` its length; `format` is png, jpeg or webp; `width`, `height` are pixels; `mode`
    is Pillow's name for the kind of pixels; `alpha_share` is the share of fully transparent ones (0 to 1; None where
    there is no transparency); `palette` is a thumbnail of 4 x 3 pixels as 72 hex digits. What a `flaw` leaves unknown
    is None, or empty.
    """

    sha256: str
    bytes: int
    format: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    alpha_share: float | None = None
    palette: str = ""
    flaw: Flaw | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Upload:
    """A file: `name` is where it stands, as its sender wrote it (`image`, `image[]`, `images[0].image_url`).

    `filename` is None where there is none, `media_type` is what the sender says of it, maybe nothing; `written` tells
    that it stood in JSON, as a text.
    """

    name: str
    filename: str | None
    media_type: str
    data: bytes = field(repr=False)
    look: Look | None = None
    written: bool = False

    @property
    def param(self) -> str:
        """The parameter that it belongs to: its name up to the first bracket or dot."""
        return re.split(r"[\[.]", self.name, maxsplit=1)[0]

    @property
    def role(self) -> str:
        """What it is to be: `image`, `mask`, or whatever else its parameter is called."""
        return "image" if self.param == "images" else self.param

    def told(self) -> dict[str, Any]:
        """It, without its bytes, as a journal shows it."""
        look = self.look or Look("", len(self.data))
        return {
            "name": self.name, "filename": self.filename, "sha256": look.sha256, "format": look.format,
            "width": look.width, "height": look.height, "alpha_share": look.alpha_share, "bytes": look.bytes,
        }  # fmt: skip

    def without_bytes(self) -> Upload:
        """The same, small enough to be remembered."""
        return replace(self, data=b"", look=self.look or Look("", len(self.data)))


@dataclass(frozen=True, slots=True)
class PictureRule:
    """What a parameter that is a picture, or several, has to be: `x-emulator-picture` of its schema.

    `formats` are png, jpeg and webp, `bytes` the most that a file may have; `types` are the media types that it may
    call itself (none: it is looked at, whatever it says). A `square` one is as wide as high, one of `modes` has such
    pixels, one with `alpha` has transparency, one that `fits` has the size of the first image. `many` tells whether the
    parameter is a list (None: or a single one).
    """

    formats: tuple[str, ...] = ("jpeg", "png", "webp")
    bytes: int | None = None
    types: tuple[str, ...] = ()
    square: bool = False
    modes: tuple[str, ...] = ()
    alpha: bool = False
    fits: bool = False
    many: bool | None = None
    source: str | None = None


class FileMark(str):
    """Stands for a file among the parameters of a form; it is a text, as OpenAPI has it, and no other text is one."""

    __slots__ = ()


def named(uploads: Sequence[Upload]) -> Mapping[str, Any]:
    """What `when` can name of the files: the first by its role alone, and each by role and place, as in `image[1]`."""
    found: dict[str, Any] = {}
    seen: dict[str, int] = {}
    for upload in uploads:
        place = seen[upload.role] = seen.get(upload.role, -1) + 1
        told = upload.told()
        found.setdefault(upload.role, told)
        found[f"{upload.role}[{place}]"] = told
    return {**found, COUNT: len(uploads)} if uploads else {}


COUNT: Final = "count"
"""Under which name `when` finds how many files there are."""
