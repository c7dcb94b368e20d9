"""The ways in which a scenario can misspell Base64.

The plain spelling is RFC 4648's: the standard alphabet, padded, in one line.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Base64Spelling = Literal["broken", "wrapped", "url_safe", "data_url", "null"]
BASE64_SPELLINGS: Final[tuple[Base64Spelling, ...]] = get_args(Base64Spelling)


def respell_base64(text: str, spelling: Base64Spelling, media_type: str) -> str:
    """Return the plain Base64 `text` in another spelling.

    `broken` cannot be decoded, `wrapped` has lines as in mail, `url_safe` has the alphabet of URLs and no padding,
    `data_url` is a data: URL of `media_type`. `null` stands for no text at all, so it is a ValueError here.
    """
    match spelling:
        case "broken":
            return _break_base64(text)
        case "wrapped":
            return "".join(f"{text[start : start + _LINE_LENGTH]}\n" for start in range(0, len(text), _LINE_LENGTH))
        case "url_safe":
            return text.replace("+", "-").replace("/", "_").rstrip("=")
        case "data_url":
            return f"data:{media_type};base64,{text}"
        case "null":
            raise ValueError("null is not a text")


def _break_base64(text: str) -> str:
    """Put one wrong letter into `text`, so that a strict decoder and a lenient one both fail.

    A lenient decoder skips the wrong letter. The number of the letters that are left is 4k + 1, which no Base64 has.
    """
    letters = text.rstrip("=")
    length = len(letters) - (len(letters) - 2) % 4  # 4k + 2 with the wrong letter, 4k + 1 without it
    if length <= 0:
        return "!"
    return letters[: length // 2] + "!" + letters[length // 2 + 1 : length]


_LINE_LENGTH: Final = 76  # letters, as MIME and the command base64 break lines
