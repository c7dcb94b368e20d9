"""Addresses in another server's words, blanked as gateways blank them."""

from __future__ import annotations

import random
import re

import pytest

from emulator.gateway.address_masking import _DOTTED, _mask_host, _mask_hosts, mask_addresses


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("see openai.com", "see ***.com"),
        ("api.openai.com, please", "***.***.com, please"),
        ("sub.domain.co.uk", "***.***.co.uk"),
        ("http://example.com", "http://***.com"),
        ("at https://platform.openai.com/account/api-keys.", "at https://***.com/***/***"),
        ("https://api.test.org/v1?key=secret&n=1", "https://***.org/***?key=***&n=***"),
        ("https://localhost/x", "https://***/***"),
        ("https://a.test/ b", "https://***.test/ b"),
        ("dial 10.0.0.1 and 192.168.1.20", "dial ***.***.***.*** and ***.***.***.***"),
        ("field Alias.prompt", "field ***.prompt"),
        ("field Alias.response_format", "field Alias.response_format"),
        ("field Alias.n", "field Alias.n"),
        ("http://[::1/ x", "http://[::1/ x"),
        ("1.5 and 'x'. And so on", "1.5 and 'x'. And so on"),
    ],
)
def test_only_the_end_of_a_hosts_name_stays(text: str, told: str) -> None:
    """Hosts, URLs and IP addresses are blanked; what only looks like a host's name is taken for one."""
    assert told == mask_addresses(text)


@pytest.mark.parametrize("letters", ["ab.-_ 1é", "a.-", "ab._", "a1.", "aa..b-c_1"])
def test_names_of_hosts_are_those_of_the_regular_expression(letters: str) -> None:
    """As the gateway's own code has it, which is Go's, whose regular expressions take no longer for long texts."""
    host = re.compile(r"\b(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,}\b", re.ASCII)
    chance = random.Random(letters)
    texts = ["".join(chance.choices(letters, k=chance.randrange(1, 14))) for _ in range(5000)]
    texts += [".".join("a" * chance.choice((1, 2, 62, 63, 64)) for _ in range(4)) for _ in range(100)]
    for text in texts:
        assert host.sub(lambda found: _mask_host(found[0].split(".")), text) == _DOTTED.sub(_mask_hosts, text)


@pytest.mark.parametrize("text", ["a." * 200_000 + "1", "1." * 200_000, "a-" * 200_000, "http://a." * 50_000])
def test_a_long_text_takes_no_longer_for_each_character(text: str) -> None:
    """With a time for each pair of characters, this test would take an hour."""
    assert mask_addresses(text)
