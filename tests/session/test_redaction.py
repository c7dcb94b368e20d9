"""No part of a credential is in what people read, wherever the client repeated it."""

from __future__ import annotations

from emulator.session.redaction import BLANK, Redactor

COOKIE = "session=c00kie-canary;other=c00kie-second"


def test_each_part_of_a_credential_header_is_redacted() -> None:
    """A cookie's values are credentials one by one, in a value, in the name of a member and in a text."""
    redactor = Redactor(None, {"Cookie": COOKIE}, ())
    assert {BLANK: [f"x {BLANK}"]} == redactor.redact_value({"c00kie-canary": ["x c00kie-second"]})
    assert {"Cookie": BLANK} == redactor.redact_headers({"Cookie": COOKIE})


def test_a_member_whose_name_says_that_it_is_a_key_is_blank() -> None:
    """Case, dashes and underscores of the name do not matter."""
    redactor = Redactor(None, {}, ())
    for name in ("api_key", "API-Key", "access-token", "Password"):
        assert {name: BLANK} == redactor.redact_value({name: "plain"})
