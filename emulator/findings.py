"""What the emulator notices beside the answer: each finding has a code, and each code its text here.

A finding never changes an answer. Codes are part of the public face: add, do not rename.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth knowing about a call or a file.

    `code` is a key of FINDINGS, `message` one sentence about this very case, `param` the field it is about.
    """

    code: str
    message: str
    param: str | None = None

    def __post_init__(self) -> None:
        """Refuse a code that nobody explains (KeyError)."""
        FINDINGS[self.code]


FINDINGS: Final[dict[str, str]] = {
    "unknown_parameter": (
        "The request has a parameter that the gateway's page does not know. This gateway lets it by, another may "
        "refuse it. Take it out, or check its spelling."
    ),
    "parameter_ignored": (
        "The parameter is allowed but has no effect with this model, so the client does not get what it asks for. "
        "Leave it out for this model."
    ),
    "deprecated_parameter": (
        "The parameter is marked as deprecated: it works today, and the gateway means to take it away. Look for what "
        "its page names in its place."
    ),
    "default_differs": (
        "A parameter that was left out counts for one thing at this gateway and for another elsewhere. Send it, if it "
        "matters where the client may move to."
    ),
    "would_be_refused": (
        "The call breaks the gateway's contract, and was answered only because of report-only. The real gateway "
        "refuses it; the message says how."
    ),
    "key_in_parts": (
        "The server behind the gateway reads what follows a second dash in a key as the name of a channel, and refuses "
        "that to all but administrators. Use a key without further dashes, or the documented behavior."
    ),
    "duplicate_key": (
        "The JSON body gives a key twice. The last value wins here and in most gateways, but the JSON standard "
        "promises nothing. Send each key once."
    ),
    "size_not_drawn": (
        "The gateway passes any size on, but the emulator draws only WIDTHxHEIGHT from 1x1 to 4096x4096. The picture "
        "is 1024x1024 instead."
    ),
    "cost_unknown": (
        "The session has a ceiling on what it may cost, and nobody has published a price for this model: the call "
        "passed, and nothing was counted. Limit `images` as well, or take a model with a price."
    ),
    "nothing_fetched": (
        "The call has a link where a picture is wanted, and the emulator fetches nothing from anywhere, so the link is "
        "refused as one that leads nowhere. Send the picture itself: as an upload, or as a data: URL."
    ),
    "model_ending": (
        "The model's maker has retired it or announced its end, so it may be gone from one day to the next: that day "
        "where the gateway goes by its maker's calendar, on any where its page does not list it. Move to a newer model."
    ),
    "unknown_field": (
        "A rule of the scenario asks for a field that is no parameter of any model of any known gateway, so maybe "
        "no call ever matches it. Check the spelling, or name the gateway's file by --schema."
    ),
    "unusable_file": (
        "A scenario or a gateway's file cannot be used: a server that is given it does not start. The message has the "
        "line, what stands there and what was expected."
    ),
    "operation_left_out": (
        "The OpenAPI file describes operations that are not about images. They are not served and answer 404."
    ),
    "no_servers": (
        "The OpenAPI file has no usable `servers` entry, so there is no host and no base path: operations are served "
        "under their own paths."
    ),
    "empty_title": "The OpenAPI file's `info.title` is empty. The file's name is used instead.",
    "unknown_security_type": (
        "A security scheme's `type` is not one that OpenAPI has (`type: bearer` should be `type: http` with "
        "`scheme: bearer`). It is read as what it seems to mean."
    ),
    "unknown_security_scheme": (
        "A security requirement names a scheme that `components.securitySchemes` does not define, often a tool's own "
        "key put in the wrong place. It is left out."
    ),
    "keyword_of_another_version": (
        "A schema uses a keyword of another version of OpenAPI (such as `examples` in 3.0, where it is `example`). "
        "Tools that follow the declared version leave it out; so does the emulator."
    ),
}
