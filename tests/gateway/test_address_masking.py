"""Addresses in another server's words, blanked as gateways blank them."""

from __future__ import annotations

import pytest

from emulator.gateway.address_masking import mask_addresses


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
