"""No part of a credential is in what people read, wherever the client repeated it; ordinary texts stay as they are."""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from emulator.cli.console import format_call
from emulator.session import redaction
from emulator.session.redaction import BLANK, Redactor, names_a_key, note_credentials, note_key, redact_keys
from emulator.session.sessions import can_name
from tests.conftest import Served
from tests.paths import TESTS

COOKIE = "session=c00kie-canary;other=c00kie-second"
NOBODY = Redactor(None, {}, ())


def test_each_part_of_a_credential_header_is_redacted() -> None:
    """A cookie's values are credentials one by one, in a value, in the name of a member and in a text."""
    redactor = Redactor(None, {"Cookie": COOKIE}, ())
    assert {BLANK: [f"x {BLANK}"]} == redactor.redact_value({"c00kie-canary": ["x c00kie-second"]})
    assert {"Cookie": BLANK} == redactor.redact_headers({"Cookie": COOKIE})


# --- names ---


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "API-Key", "apikey", "ApiKey", "x-api-key", "key", "KEY", "access-token", "token", "refresh_token",
        "Password", "db_password", "client_secret", "clientSecret", "secret_key", "secretKey", "private_key",
        "aws_secret_access_key", "AWSAccessKeyId", "subscription-key", "openai_api_key", "authorization",
        "X-Access-Token", "Private-Token", "X-Functions-Key", "X-Token", "Apikey", "X-Authorization", "Set-Cookie",
        "Cookie", "Proxy-Authorization", "X-Auth-Token", "X-Amz-Security-Token", "Ocp-Apim-Subscription-Key",
        "X-Emulator-Token", "X-Goog-Api-Key", "X-Auth-Key", "MY_KEY", "Authentication", "X-Hub-Signature", "sig",
        "signature", "cf-access-client-secret", "credentials[token]",
    ],
)  # fmt: skip
def test_names_of_credentials(name: str) -> None:
    """A header, a member of JSON, and a part of a query or of a broken body of such a name is blank."""
    assert {name: BLANK} == NOBODY.redact_headers({name: "plain"})
    assert {"a": [{name: BLANK}]} == NOBODY.redact_value({"a": [{name: "plain"}]})
    for text in (f"a=b&{name}=plain&c=d", f'{{"a": "b", "{name}": "plain", ', f"{{'{name}': 'plain', "):
        assert text.replace("plain", BLANK) == NOBODY.redact_text(text)


@pytest.mark.parametrize(
    "name",
    [
        "prompt", "model", "size", "n", "user", "quality", "max_tokens", "input_tokens", "total_tokens", "keywords",
        "monkey", "tokens", "code", "prompt_cache_key", "Idempotency-Key", "safety_identifier", "response_format",
        "X-Emulator", "X-Emulator-Session", "x-ratelimit-remaining-tokens", "Content-Type", "author", "keyboard",
    ],
)  # fmt: skip
def test_other_names(name: str) -> None:
    """What only resembles such a name is shown."""
    assert not names_a_key(name)
    assert {name: "plain"} == NOBODY.redact_value({name: "plain"})


@pytest.mark.parametrize(
    "url",
    [
        "https://h.test/a.png?{}=SECRET&w=1",
        "https://h.test/a.png?w=1&{}=SECRET#x",
        "see https://h.test/?{}=SECRET now",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["sig", "code", "api_key", "access_token", "X-Amz-Signature", "token", "key"])
def test_urls(url: str, name: str) -> None:
    """In a Referer, an image_url, a query; so is a name and a password in front of the host."""
    written = url.format(name)
    assert "SECRET" not in str(NOBODY.redact_value({"image": {"image_url": written}}))
    assert "SECRET" not in str(NOBODY.redact_headers({"Referer": written}))
    assert written.replace("SECRET", BLANK) == NOBODY.redact_value(written)
    assert f"https://{BLANK}@h.test/" == NOBODY.redact_value("https://me:hunter2@h.test/")


@pytest.mark.parametrize(
    "text",
    [
        '{"prompt": "x", "Authorization":"Bearer deadbeef00112233", ',
        '{"Authorization" : "Bearer deadbeef00112233',
        '{"a": "{\\"api_key\\": \\"deadbeef00112233\\"}"',
        "Authorization: Bearer deadbeef00112233",
        "authorization=Basic deadbeef00112233&a=b",
        '--x\r\nContent-Disposition: form-data; name="password"\r\n\r\ndeadbeef00112233\r\n--x--',
        "--x\r\nContent-Disposition: form-data; name=token\r\nContent-Type: text/plain\r\n\r\ndeadbeef00112233\r\n",
        "api%5Fkey=deadbeef00112233",
        '{"token":deadbeef00112233}',
    ],
)
def test_broken_bodies(text: str) -> None:
    """The beginning of a body that cannot be read is no JSON, and has names and values all the same."""
    redacted = NOBODY.redact_text(text)
    assert "deadbeef" not in redacted
    assert BLANK in redacted


# --- values ---


@pytest.mark.parametrize("key", ["sk-abc-123", "correcthorsebattery", "abc123", "0f9e8d7c6b5a", "pässwörter-mit-ä"])
def test_the_key_of_a_call(key: str) -> None:
    """Wherever it is repeated: also without a digit, escaped for a URL, and in Base64."""
    redactor = Redactor(key, {"Authorization": f"Bearer {key}"}, ("authorization",))
    assert f"a {BLANK} b" == redactor.redact_value(f"a {key} b")
    assert {f"x {BLANK}": f"{BLANK}!"} == redactor.redact_value({f"x {key}": f"{key}!"})
    if len(key) >= 10:
        for spelled in (quote(key, safe=""), base64.b64encode(key.encode()).decode()):
            assert spelled.rstrip("=") not in redactor.redact_text(f"/v1?x={spelled}")


def test_what_the_body_names_is_a_credential_elsewhere_too() -> None:
    """A password in the body is blank in the prompt beside it, and one of the query in the path."""
    redactor = Redactor(None, {}, (), {"extra": [{"password": "hunter2-hunter2"}]}, "token=abc-def-123")
    assert f"{BLANK} and {BLANK}" == redactor.redact_value("hunter2-hunter2 and abc-def-123")


def test_keys_of_others() -> None:
    """A key that this process has seen is blank in every call; a common word that somebody used as a key is not."""
    note_key("another-session-5f2c9")
    note_key("sunflowers")
    text = "a another-session-5f2c9, sunflowers /v1/another-session-5f2c9."
    assert f"a {BLANK}, sunflowers /v1/{BLANK}." == redact_keys(text)
    assert not can_name("another-session-5f2c9")


def test_a_key_that_made_room_is_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client's next call brings its key back, however often the same header was seen before."""
    monkeypatch.setattr(redaction, "_MOST_KNOWN", 3)
    monkeypatch.setattr(redaction, "_known_keys", OrderedDict())
    headers = {"X-Api-Key": "came-back-7f3a91"}
    for _ in range(2):
        note_credentials(headers, ())
        assert BLANK == redact_keys("came-back-7f3a91")
        for number in range(4):
            note_key(f"another-of-many-{number}")
        assert "came-back-7f3a91" == redact_keys("came-back-7f3a91")


def test_short_keys_are_no_part_of_other_words() -> None:
    """A key such as `k1` or `test` is no secret; one of six characters counts as a whole word."""
    assert "test k1 testing" == Redactor("test", {"X-Api-Key": "k1"}, ()).redact_value("test k1 testing")
    assert f"xabc123x {BLANK}" == Redactor("abc123", {}, ()).redact_value("xabc123x abc123")


# --- shapes ---


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcdefghijklmnop", "sk_live_abcdefghijklmnop0", "xai-abcdefghijklmnopqrst", "AKIAIOSFODNN7EXAMPLE",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "github_pat_11ABCDEFG0abcdefghijkl", "glpat-abcdefghij0123456789",
        "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234", "xoxb-123456789012-abcdefghijkl", "hf_abcdefghijklmnopqrstuvwx",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "Bearer 0f9e8d7c6b5a4f3e2d1c",
        "bearer AbCdEfGhIjKlMnOpQrStUvWxYz", "Basic dXNlcjpwYXNzd29yZDE=", "r8_abcdefghijklmnopqrstuvwxyz",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    ],
)  # fmt: skip
def test_shapes(key: str) -> None:
    """A key of a known shape is blank though nobody has used it here, and names no session."""
    assert f"a {BLANK} b" == NOBODY.redact_value(f"a {key} b")
    assert not can_name(key)


def test_ordinary_prompts_stay_readable() -> None:
    """Prose, product names, hashes, and a long list of difficult strings."""
    prompts = [
        "The bearer of good news carries a basic understanding of tokenization and monkeys",
        "A risk-averse task-oriented desk-lamp, disk-shaped, in mask-wearing style; password: please",
        "A secret garden: key = golden; code: 42, the token of love (sig=none)",
        "commit 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12 of github.com/owner/repo, https://github.com/a/b?tab=readme",
        "Basic instincts and Bearer internationalization; ghost_writer, hf_radio, sk-ater boy",
        "日本の庭、鍵と秘密 token 🗝️",
    ]
    prompts += [text for text in json.loads((TESTS / "data" / "blns.json").read_text("utf-8")) if "@" not in text]
    written = [text.encode("utf-8", "backslashreplace").decode() for text in prompts]
    assert written == [NOBODY.redact_value(text) for text in prompts]


@pytest.mark.parametrize("unit", ["a", "-eyJa", "name=a&", "a=", "bearer ", "x://?", "'", '"a":', "name=a\n\n", "a "])
def test_long_texts_take_linear_time(unit: str) -> None:
    """What a client made to be slow to search is searched in a moment; in quadratic time this would take a minute."""
    text = unit * (60_000 // len(unit)) + "://"
    assert NOBODY.redact_text(text)
    assert NOBODY.redact_value({"x": text * 3})


# --- through a server ---

CANARY = "canary-4be1f08d72"


@pytest.mark.parametrize(
    "send",
    [
        {"json": {"prompt": "x", "api_key": CANARY}},
        {"json": {"prompt": "x", "token": CANARY, "password": CANARY}},
        {"json": {"prompt": "x", "secret_key": {"a": CANARY}, "n": "bad"}},
        {"json": {"prompt": f"see {CANARY}", "key": CANARY}},
        {"json": {"prompt": "x", "n": CANARY}, "headers": {"X-Token": CANARY}},
        {"json": {"prompt": "x", "model": CANARY}, "headers": {"Authorization": f"Bearer {CANARY}"}},
        {"json": {"prompt": f"see {CANARY}"}, "headers": {"X-Functions-Key": CANARY}},
        {"json": {"prompt": "x"}, "params": {"sig": CANARY, "code": CANARY, "api_key": CANARY}},
        {"json": {"prompt": "x"}, "headers": {"Referer": f"https://a.test/?code={CANARY}"}},
        {"json": {"prompt": "x"}, "headers": {"Cookie": f"a={CANARY}", "Private-Token": CANARY}},
        {"json": {"prompt": "x"}, "headers": {"X-Emulator-Session": CANARY, "X-Access-Token": CANARY}},
        {"content": f'{{"prompt": "x", "Authorization":"Bearer {CANARY}", '},
        {"data": {"prompt": "x", "password": CANARY}, "files": {"image": b"x"}},
        {"data": {"prompt": "x"}, "files": {CANARY: (CANARY, b"x")}, "headers": {"X-Api-Key": CANARY}},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/ezmodel/v1/images/generations", "/openai/v1/images/edits", f"/v1/{CANARY}/x"])
def test_no_door_shows_a_credential(server: Served, send: dict[str, Any], path: str) -> None:
    """Neither the journal, nor an event, nor the console, nor what verification says."""
    headers = {
        "authorization": "Bearer sk-redaction-test",
        "content-type": "application/json",
        **send.get("headers", {}),
    }
    if "json" not in send and "content" not in send:
        del headers["content-type"]
    if CANARY in path:
        headers["x-api-key"] = CANARY
    lines: list[str] = []
    server.app.observers.append(lambda record: lines.append(format_call(record) + json.dumps(record.entry.to_json())))
    httpx.post(server.url + path, **{**send, "headers": headers})
    while not lines:
        server.calls()
    server.app.observers.pop()
    assert CANARY not in lines[0]
    url = f"{server.url}/_emulator/sessions/latest/"
    assert CANARY not in httpx.get(f"{url}calls?limit=1000").text
    expectation = {"when": {"given.password": "x", "prompt": "other"}, "times": 1}
    assert CANARY not in httpx.post(f"{url}verify", json=expectation).text
    assert CANARY not in httpx.get(f"{server.url}/_emulator/sessions").text


@pytest.mark.parametrize("n", [1, "refused"])
def test_a_credential_of_a_call_that_nobody_reads_is_blank_in_others(server: Served, n: Any) -> None:
    """A key in any header counts from the call on: the entry that shows it may be that of another session."""
    secret = f"quartz9-lantern-{n}"
    url = "/ezmodel/v1/images/generations"
    headers = {"Authorization": "Bearer sk-redaction-test", "X-Emulator-Session": "its-own"}
    httpx.post(server.url + url, json={"prompt": "x", "n": n}, headers={**headers, "X-Access-Token": secret})
    headers["X-Emulator-Session"] = "another"
    httpx.post(server.url + url, json={"prompt": f"see {secret}"}, headers=headers)
    shown = httpx.get(f"{server.url}/_emulator/sessions/another/calls").text
    assert f"see {BLANK}" in shown
    assert secret not in shown
