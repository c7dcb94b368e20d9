"""The files of a call, and what is known of each after it was examined.

Everything here is frozen. The bytes are dropped when the call is stored in the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Final, Literal

from emulator.core.light_dataclass import dataclass

Flaw = Literal["strange", "damaged", "huge", "long"]
"""Why a file cannot be used: none of the formats, it does not decode, too many pixels, or its text is too long."""


@dataclass(frozen=True, slots=True)
class Examination:
    """The result of an examination of a file.

    `sha256` has 64 hex digits; `bytes` is the file's length; `format` is png, jpeg or webp; `width` and `height` are
    pixels; `mode` is Pillow's name for the kind of pixels; `alpha_share` is the share of fully transparent pixels (0 to
    1; None where there is no transparency); `palette` is a thumbnail of 4 x 3 pixels as 72 hex digits. What a `flaw`
    leaves unknown is None, or empty.
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


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a call.

    `name` is the field that holds it, as the sender wrote it (`image`, `image[]`, `images[0].image_url`). `filename`
    is None where the sender gives none; `media_type` is what the sender calls it, or empty. `in_json` is true where the
    file came as a text in JSON, and `use` is what its gateway uses it as, where that is not said by its name.
    `examination` is None until the file is examined.
    """

    name: str
    filename: str | None
    media_type: str
    data: bytes = field(repr=False)
    examination: Examination | None = None
    in_json: bool = False
    use: str = ""

    @property
    def param(self) -> str:
        """The parameter that it belongs to: its name up to the first bracket or dot."""
        return self.name.partition("[")[0].partition(".")[0]

    @property
    def role(self) -> str:
        """What it is used as: `image`, `mask`, or the name of another parameter."""
        if self.param == "images":
            return "image"
        return self.use or self.param

    def describe(self) -> dict[str, Any]:
        """Return it without its bytes, as the journal shows it."""
        examination = self.examination or Examination("", len(self.data))
        return {
            "name": self.name,
            "filename": self.filename,
            "media_type": self.media_type or None,
            "sha256": examination.sha256,
            "format": examination.format,
            "width": examination.width,
            "height": examination.height,
            "alpha_share": examination.alpha_share,
            "bytes": examination.bytes,
        }

    def without_bytes(self) -> Upload:
        """Return the same upload, small enough to be stored."""
        return replace(self, data=b"", examination=self.examination or Examination("", len(self.data)))


@dataclass(frozen=True, slots=True)
class PictureRule:
    """What a model takes for a parameter that is a picture, or several: `x-emulator-picture` of its schema.

    `formats` are png, jpeg and webp; `bytes` is the largest size of a file; `types` are the media types that the sender
    may give, as `types_source` tells (none: the bytes alone count, whatever the sender calls them). A `square` picture
    is as wide as high; one of `modes` has such pixels; one with `alpha` has transparency; one that `fits` has the size
    of the first image. `many` tells whether the parameter is a list (None: a list or one picture).
    """

    formats: tuple[str, ...] = ("jpeg", "png", "webp")
    bytes: int | None = None
    types: tuple[str, ...] = ()
    types_source: str | None = None
    square: bool = False
    modes: tuple[str, ...] = ()
    alpha: bool = False
    fits: bool = False
    many: bool | None = None
    source: str | None = None


class FilePlaceholder(str):
    """Stands for a file among the parameters of a form. OpenAPI calls a file a string, and no other string is one."""

    __slots__ = ()


def describe_uploads(uploads: Sequence[Upload]) -> Mapping[str, Any]:
    """Return the fields of uploads that a scenario's `when` can name.

    The first upload of a role has the role's name; each has the role's name and its place, as in `image[1]`. COUNT is
    the number of all.
    """
    if not uploads:
        return {}
    described: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for upload in uploads:
        place = counts.get(upload.role, 0)
        counts[upload.role] = place + 1
        fields = upload.describe()
        described.setdefault(upload.role, fields)
        described[f"{upload.role}[{place}]"] = fields
    return {**described, COUNT: len(uploads)}


def find_role(parameter: str) -> str:
    """Return what the pictures of a parameter are used as in a scenario: `mask`, `markup` or `image`."""
    if parameter in _OTHER_ROLES:
        return parameter
    return "image"


_OTHER_ROLES: Final = ("mask", "markup")
COUNT: Final = "count"
"""The name under which `when` finds how many uploads there are."""
