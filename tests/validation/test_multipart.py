"""Forms: those that clients send are read to the byte, and whatever is none is refused in few words, never a crash."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest

from emulator.validation import multipart
from emulator.validation.multipart import LONGEST_HEAD, LONGEST_TEXT, MOST_FIELDS, MOST_FILES, BadForm, Form
from tests.conftest import Served

TYPE: Final = "multipart/form-data; boundary=B"
PROMPT: Final = b'Content-Disposition: form-data; name="prompt"'
IMAGE: Final = b'Content-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png'
END: Final = b"--B--\r\n"


def part(head: bytes = PROMPT, data: bytes = b"x") -> bytes:
    """A part of a form whose boundary is B."""
    return b"--B\r\n" + head + b"\r\n\r\n" + data + b"\r\n"


GOOD: Final = part(data="ein Ü".encode()) + part(IMAGE, b"\x89PNG\r\n\0--B\xff") + END


@pytest.mark.parametrize(
    ("content_type", "body", "texts", "files"),
    [
        (TYPE, GOOD, {"prompt": "ein Ü"}, [("image", "a.png", "image/png", b"\x89PNG\r\n\0--B\xff")]),
        (TYPE, END, {}, []),
        (TYPE, b"--B--", {}, []),
        (TYPE, part(data=b"") + END, {"prompt": ""}, []),
        (TYPE, part(data=b"\r\n") + END, {"prompt": "\r\n"}, []),
        (TYPE, b"for people\r\n" + part() + END + b"the rest", {"prompt": "x"}, []),
        (TYPE, part().replace(b"--B\r\n", b"--B \t\r\n") + END, {"prompt": "x"}, []),
        ('multipart/form-data; boundary="B"', part() + END, {"prompt": "x"}, []),
        ("Multipart/Form-Data; Charset=utf-8 ; Boundary=B;", part() + END, {"prompt": "x"}, []),
        (TYPE, part(b"content-disposition:form-data;NAME=prompt") + END, {"prompt": "x"}, []),
        (TYPE, part(PROMPT + b"\r\nContent-Type: text/plain; charset=utf-8") + END, {"prompt": "x"}, []),
        (
            TYPE,
            part(PROMPT + b"\r\nContent-Transfer-Encoding: binary\r\nContent-Length: 99") + END,
            {"prompt": "x"},
            [],
        ),
        (TYPE, part(PROMPT, b"first") + part(PROMPT, b"last") + END, {"prompt": "last"}, []),
        (TYPE, part(PROMPT.replace(b"prompt", b"_charset_"), b"klingon") + END, {"_charset_": "klingon"}, []),
        (TYPE, part(PROMPT.replace(b'"prompt"', b'"a\\"b%22c"')) + END, {'a"b"c': "x"}, []),
        (
            TYPE,  # as openai-dotnet writes it
            part(b"Content-Disposition: form-data; name=image; filename=a.png; filename*=utf-8''a%20%C3%BC.png") + END,
            {},
            [("image", "a ü.png", "", b"x")],
        ),
        (TYPE, part(IMAGE.replace(b'"a.png"', b'""')) + END, {}, [("image", "", "image/png", b"x")]),
        (
            TYPE,  # without a file name it is a text, whatever its type
            part(b'Content-Type: application/octet-stream\r\nContent-Disposition: form-data; name="image[]"') + END,
            {"image[]": ["x"]},
            [],
        ),
        (
            TYPE,  # and one that is not UTF-8 is no broken text, if it does not say that it is one
            part(b'Content-Type: image/png\r\nContent-Disposition: form-data; name="image"', b"\x89PNG") + END,
            {"image": "(4 bytes of image/png without a file name)"},
            [],
        ),
        (
            TYPE,  # the bytes of a picture say themselves that they are no broken text
            part(b'Content-Disposition: form-data; name="image"', b"\x89PNG\r\n\x1a") + END,
            {"image": "(7 bytes of a picture without a file name)"},
            [],
        ),
        (
            TYPE,
            part(IMAGE.replace(b'"image"', b'"image[0]"')) + part(IMAGE.replace(b'"image"', b'"image[1]"')) + END,
            {},
            [("image[0]", "a.png", "image/png", b"x"), ("image[1]", "a.png", "image/png", b"x")],
        ),
        ("multipart/form-data; boundary=" + "b" * 70, b"--" + b"b" * 70 + b"--", {}, []),
    ],
)
def test_what_clients_send(
    content_type: str, body: bytes, texts: dict[str, Any], files: list[tuple[str, str | None, str, bytes]]
) -> None:
    """Texts and files come out as they went in, whatever the client's way of writing."""
    form = multipart.parse_form(body, content_type)
    assert texts == form.texts
    assert files == [(one.name, one.filename, one.media_type, one.data) for one in form.uploads]


def test_names_given_twice_are_told() -> None:
    """The last of several texts counts, and the name is noted once; `name[]` is a list."""
    assert Form({"prompt": "3"}, (), ("prompt",)) == multipart.parse_form(
        part(data=b"1") + part(data=b"2") + part(data=b"3") + END, TYPE
    )
    listed = PROMPT.replace(b"prompt", b"tags[]")
    assert Form({"tags[]": ["1", "2"]}, (), ()) == multipart.parse_form(
        part(listed, b"1") + part(listed, b"2") + END, TYPE
    )
    form = multipart.parse_form(
        part(IMAGE) + part(IMAGE) + part(IMAGE.replace(b"image", b"image[]", 1)) * 2 + END, TYPE
    )
    assert ("image",) == form.duplicates


BROKEN: Final[dict[str, tuple[str, bytes]]] = {
    "no boundary in the header": ("multipart/form-data", GOOD),
    "an empty boundary": ("multipart/form-data; boundary=", GOOD),
    "an empty boundary in quotes": ('multipart/form-data; boundary=""', GOOD),
    "a boundary of 71 letters": ("multipart/form-data; boundary=" + "b" * 71, GOOD),
    "a boundary that ends in a blank": ('multipart/form-data; boundary="B "', GOOD),
    "a boundary with strange letters": ('multipart/form-data; boundary="B\u00e9"', GOOD),
    "a boundary whose quotes do not end": ('multipart/form-data; boundary="B', GOOD),
    "two boundaries": ("multipart/form-data; boundary=B; boundary=C", GOOD),
    "parameters that are none": ('multipart/form-data; boundary=B; "', GOOD),
    "an empty body": (TYPE, b""),
    "a body of zeros": (TYPE, bytes(1000)),
    "no boundary in the body": (TYPE, b"prompt=x"),
    "JSON": (TYPE, b'{"prompt": "x"}'),
    "another boundary in the body": (TYPE, GOOD.replace(b"--B", b"--C")),
    "a boundary that only begins like it": (TYPE, GOOD.replace(b"--B\r\n", b"--BB\r\n")),
    "a boundary behind too much else": (TYPE, b"x" * 70_000 + b"\r\n" + GOOD),
    "a boundary in the middle of a line": (TYPE, b"x" + GOOD.removesuffix(END) + b"x" + END),
    "no last boundary": (TYPE, GOOD.removesuffix(END)),
    "a last boundary that is not the last": (TYPE, GOOD.removesuffix(b"--\r\n")),
    "a body cut in the last boundary": (TYPE, GOOD[:-5]),
    "a body cut in a file": (TYPE, GOOD[:-20]),
    "a body cut in a header": (TYPE, GOOD[:20]),
    "a body cut behind the headers": (TYPE, b"--B\r\n" + PROMPT + b"\r\n\r\n"),
    "line feeds alone": (TYPE, GOOD.replace(b"\r\n", b"\n")),
    "carriage returns alone": (TYPE, GOOD.replace(b"\r\n", b"\r")),
    "text on a boundary's line": (TYPE, GOOD.replace(b"--B\r\n", b"--B x\r\n")),
    "no headers": (TYPE, b"--B\r\n\r\nx\r\n" + END),
    "no end of the headers": (TYPE, b"--B\r\n" + PROMPT + b"\r\n" + END),
    "no Content-Disposition": (TYPE, part(b"Content-Type: text/plain") + END),
    "no name": (TYPE, part(b"Content-Disposition: form-data") + END),
    "an empty name": (TYPE, part(PROMPT.replace(b"prompt", b"")) + END),
    "an attachment": (TYPE, part(PROMPT.replace(b"form-data", b"attachment")) + END),
    "a name whose quotes do not end": (TYPE, part(PROMPT[:-1]) + END),
    "two names": (TYPE, part(PROMPT + b'; name="n"') + END),
    "two Content-Dispositions": (TYPE, part(PROMPT + b"\r\n" + PROMPT) + END),
    "a header without a colon": (TYPE, part(b"Garbage\r\n" + PROMPT) + END),
    "a header without a name": (TYPE, part(b": x\r\n" + PROMPT) + END),
    "a header on two lines": (TYPE, part(PROMPT.replace(b"; ", b";\r\n ")) + END),
    "a header with a zero": (TYPE, part(PROMPT + b"\0") + END),
    "headers that are too long": (TYPE, part(PROMPT + b"\r\nX: " + b"y" * LONGEST_HEAD) + END),
    "headers that are not UTF-8": (TYPE, part(PROMPT.replace(b"prompt", b"\xff\xfe")) + END),
    "a text that is not UTF-8": (TYPE, part(data=b"\xff\xfe") + END),
    "a text in Klingon": (TYPE, part(PROMPT + b"\r\nContent-Type: text/plain; charset=klingon") + END),
    "a text that is too long": (TYPE, part(data=b"x" * (LONGEST_TEXT + 1)) + END),
    "Base64": (TYPE, part(PROMPT + b"\r\nContent-Transfer-Encoding: base64") + END),
    "an unknown transfer encoding": (TYPE, part(PROMPT + b"\r\nContent-Transfer-Encoding: x-y") + END),
    "a compressed part": (TYPE, part(PROMPT + b"\r\nContent-Encoding: gzip") + END),
    "parts in a part": (TYPE, part(PROMPT + b"\r\nContent-Type: multipart/mixed; boundary=C", b"--C--") + END),
    "a file's name in Klingon": (TYPE, part(PROMPT + b"; filename*=klingon''a.png") + END),
    "a file's name that is not UTF-8": (TYPE, part(PROMPT + b"; filename*=utf-8''%FF%FE") + END),
    "too many texts": (TYPE, part() * (MOST_FIELDS + 1) + END),
    "too many files": (TYPE, part(IMAGE) * (MOST_FILES + 1) + END),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_form(name: str) -> None:
    """It says in a few words what is wrong, in one line and without a word of what was sent."""
    content_type, body = BROKEN[name]
    with pytest.raises(BadForm, match=r"\A[a-zA-Z0-9 ,'-]{10,60}\Z"):
        multipart.parse_form(body, content_type)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_form_is_refused(server: Served, key: str, name: str) -> None:
    """Over HTTP: 400 in the gateway's envelope, and the journal knows why and how it began."""
    content_type, body = BROKEN[name]
    session = f"broken-{list(BROKEN).index(name)}"
    headers = {"authorization": f"Bearer {key}", "content-type": content_type, "x-emulator-session": session}
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    for gateway in ("ezmodel", "openai"):
        response = httpx.post(f"{server.base(gateway)}/images/edits", content=body, headers=sent)
        error = response.json()["error"]
        assert (400, "Could not parse multipart form") == (response.status_code, error["message"])
        assert ["message", "type", "param", "code"] == list(error)
    call = server.calls(session)[-1]
    assert ("bad_form", "bad_form") == (call["refused"]["breach"], call["unreadable"]["why"])
    assert call["refused"]["rule"].startswith("requestBody: a readable form: ")
    assert body[:100].decode("utf-8", "backslashreplace").startswith(call["unreadable"]["beginning"][:20])
    assert len(body) == call["unreadable"]["length"]


def test_the_largest_forms_are_taken() -> None:
    """As many parts, and as long a text, as may come."""
    form = multipart.parse_form(part() * MOST_FIELDS + part(IMAGE) * MOST_FILES + END, TYPE)
    assert MOST_FILES == len(form.uploads)
    assert LONGEST_TEXT == len(multipart.parse_form(part(data=b"x" * LONGEST_TEXT) + END, TYPE).texts["prompt"])


@pytest.mark.parametrize("seed", range(20))
def test_mutations_raise_nothing_else(seed: int) -> None:
    """Whatever is done to a good form, it is read or it is a BadForm."""
    chance = random.Random(seed)
    ways: list[Callable[[bytearray, int], None]] = [
        lambda body, at: body.__setitem__(at, chance.randrange(256)),
        lambda body, at: body.__delitem__(slice(at, at + chance.randrange(1, 9))),
        lambda body, at: body.__setitem__(slice(at, at), body[: chance.randrange(40)]),
        lambda body, at: body.__setitem__(slice(at, at), bytes(chance.choice(b'\r\n\0"\\;=:-B') for _ in range(3))),
    ]
    read = 0
    for _ in range(500):
        body = bytearray(GOOD)
        for _ in range(chance.randrange(1, 4)):
            chance.choice(ways)(body, chance.randrange(len(body)))
        try:
            multipart.parse_form(bytes(body), TYPE)
            read += 1
        except BadForm:
            pass
    assert 0 < read < 500
