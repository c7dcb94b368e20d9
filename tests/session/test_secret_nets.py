"""Credentials are found wherever they stand, in whatever encoding, and harmless texts are let by."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import pytest

from emulator.session.secret_nets import SecretFound, make_nets

KNOWN: Final = 'gw/Zk"4711+canary'
SHAPED: Final = "sk-proj-Zx81kQm3Wq0Ra7Lt9Vb2"
ENCODINGS: Final[dict[str, Callable[[str], str]]] = {
    "plain": lambda text: text,
    "url": lambda text: quote(text, safe=""),
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64_inside": lambda text: base64.b64encode(f"user:{text}:more".encode()).decode(),
    "base64_url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "json": lambda text: json.dumps(json.dumps({"a": text})),
    "json_codes": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("secret", [KNOWN, SHAPED])
@pytest.mark.parametrize("around", ["{}", "a prompt with {} in it", "https://x.test/?a={}&b=1"])
def test_a_credential_is_found_in_a_text(secret: str, encoding: str, around: str) -> None:
    """The place is told, and the value is not."""
    text = around.format(ENCODINGS[encoding](secret))
    with pytest.raises(SecretFound) as found:
        make_nets([KNOWN]).check_value({"given": {"prompt": ["x", text]}}, "when")
    assert str(found.value).startswith("when.given.prompt.1 has ")
    assert secret not in str(found.value)


@pytest.mark.parametrize("encoding", ["plain", "url", "twice", "base64", "base64_inside"])
def test_a_known_key_is_found_in_a_file(encoding: str) -> None:
    """Among the bytes of a picture too."""
    data = b"\x89PNG\0\xff" + ENCODINGS[encoding](KNOWN).encode() + b"\0\xfe"
    with pytest.raises(SecretFound):
        make_nets([KNOWN]).check_bytes(data, "a file")
    with pytest.raises(SecretFound):
        make_nets([]).check_bytes(b"\0\x01" + SHAPED.encode() + b"\0", "a file")


@pytest.mark.parametrize(
    "value",
    [
        {"api_key": "abc"},
        {"user": "someone@example.test"},
        {"authorization": "x"},
        {"url": "https://blob.test/a.png?st=1&sig=abcdefgh%3D"},
        {"url": "https://s3.test/a.png?X-Amz-Signature=0123456789abcdef"},
        {"a": "Bearer abcdefghij0123456789"},
        {"a": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"},
        {"xai-0123456789abcdefghijklmn": 1},
    ],
    ids=str,
)
def test_shapes_and_names_are_found(value: object) -> None:
    """A name that promises a credential, a signed link, a token."""
    with pytest.raises(SecretFound):
        make_nets([]).check_value(value, "answer")


@pytest.mark.parametrize(
    "text",
    [
        "A cat at the sea, a risk-free-investment-opportunity of 2026",
        "pictures/1ac8503dd0a5cc60d6ec1c4031d252f751dffd02ba546746dd582b8d0d115630.png",
        "req_27d7e40954cc746a5ee2dadf04f8b2a3",
        "https://images.test/a.png?width=100&height=200",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB",
        "猫" * 500,
    ],
)
def test_harmless_texts_pass(text: str) -> None:
    """Digests, request ids, prompts and plain links are no credentials; nor are the emulator's own keys."""
    make_nets(["sk-emulator.session.harmless"]).check_value({"a": text, "b": "sk-emulator.session.harmless"}, "when")
