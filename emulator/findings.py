"""Findings: what the emulator notices beside an answer. Each has a code, and each code has its text here.

A finding never changes an answer. Codes are public: add new ones, do not rename.
"""

from __future__ import annotations

from typing import Final

from emulator.core.light_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something worth knowing about a call or a file.

    `code` is a key of FINDINGS, `message` is one sentence about this case, `param` is the parameter that it is about.
    """

    code: str
    message: str
    param: str | None = None

    def __post_init__(self) -> None:
        """Raise KeyError for a code without a text."""
        FINDINGS[self.code]


FINDINGS: Final[dict[str, str]] = {
    "unknown_parameter": (
        "The request has a parameter that the gateway's page does not list. This gateway lets it through, another may "
        "refuse it. Remove it, or check its spelling."
    ),
    "parameter_ignored": (
        "The parameter is allowed but has no effect with this model, so the client does not get what it asks for. "
        "Leave it out for this model."
    ),
    "deprecated_parameter": (
        "The parameter is marked as deprecated: it works today, and the gateway plans to remove it. Its page may name "
        "another parameter to use."
    ),
    "default_differs": (
        "A parameter is not given, and its default differs between the gateways that accept the call. Send the "
        "parameter if the client may use another gateway later. Only `portability` tells this: it is no finding of a "
        "call."
    ),
    "name_differs": (
        "A parameter of the call has another name at another gateway, which was asked under that name: a client that "
        "moves there has to rename it. Only `portability` tells this: it is no finding of a call."
    ),
    "would_be_refused": (
        "The call breaks the gateway's rules, and was answered only because of report-only, or because an upstream or "
        "a recording judges it. By its rules the gateway refuses it; the message has its answer."
    ),
    "unknown_path": (
        "The call's path or method means no operation of a gateway, so it was answered 404 or 405. The message says "
        "what is wrong: the gateway's name, `/v1` missing or doubled, the path, or the method. Correct the client's "
        "base URL; `serve` prints those that work."
    ),
    "assumed_accepted": (
        "The gateway lets the call by, and the contract of the model's own maker refuses it. Either the gateway's page "
        "does not say that it takes this, or nobody knows what the server behind it does: that the real one answers is "
        "assumed. The message has the parameter, its value and the maker's words. Keep the maker's rule, or try the "
        "real gateway."
    ),
    "key_in_parts": (
        "The server behind the gateway reads what follows a second dash in a key as the name of a channel, and refuses "
        "that to all but administrators. Use a key without further dashes, or the documented behavior."
    ),
    "duplicate_key": (
        "The JSON body gives a key twice. The last value counts here and in most gateways, but the JSON standard "
        "promises nothing. Send each key once."
    ),
    "size_not_drawn": (
        "The gateway passes on any size, but the emulator draws only WIDTHxHEIGHT, with as many pixels as 4096x4096 "
        "has and 16383 a side at most. The picture is 1024x1024 instead."
    ),
    "cost_unknown": (
        "The session has a limit on its cost, and nobody has published a price for this model: the call passed, and "
        "nothing was counted. Limit `images` as well, or use a model with a price."
    ),
    "unknown_mark": (
        "The call has a word in a place for reserved values (`[[…]]` in the prompt, behind the model's colon, in an "
        "API key) that is none, and is like one; or the header X-Emulator or a key `sk-emulator.…` has something that "
        "it does not take. The page `reserved-values` lists them; correct the call, or start the server with "
        "`--no-reserved-values`."
    ),
    "usage_not_adding_up": (
        "A scenario sets members of `usage` that do not add up to each other any more. A client that counts parts gets "
        "another sum than one that reads the total. Set the parts as well, or the sum alone: then they follow."
    ),
    "override_met_nothing": (
        "A scenario's `omit` or `set` names a member that this reply does not have: nothing was left out, or a member "
        "was added that no gateway sends. Check the spelling, and whether this model sends that member. Or its "
        "`picture` lists more pictures than the reply has, or asks for fewer `bytes` than a picture has anyway."
    ),
    "nothing_fetched": (
        "The call has a link in the place of a picture. The emulator never fetches anything, so it refuses the link "
        "as one that leads nowhere. Send the picture itself: as an upload, or as a data: URL."
    ),
    "model_ending": (
        "The model's maker has retired it or announced its end. Where the gateway goes by its maker's calendar, it is "
        "refused from that day; where the gateway's page does not list it, it may be refused on any day. Move to a "
        "newer model."
    ),
    "unknown_field": (
        "A rule of the scenario asks for a field that is no parameter of any model of any known gateway, so maybe "
        "no call ever matches it. Check the spelling, or name the gateway's file by --schema."
    ),
    "unusable_file": (
        "A scenario or a gateway's file cannot be used: a server does not start with it. The message has the line, "
        "what was read and what was expected."
    ),
    "operation_left_out": (
        "The OpenAPI file describes operations that are not about images. They are not served and answer 404."
    ),
    "not_checked": (
        "The OpenAPI file describes parts of requests that the emulator does not check: headers and cookies beside the "
        "key, and bodies that are neither JSON nor forms. A call that breaks these rules is not refused."
    ),
    "no_servers": (
        "The OpenAPI file has no usable `servers` entry, so there is no host and no base path: operations are served "
        "under their own paths."
    ),
    "empty_title": "The OpenAPI file's `info.title` is empty. The file's name is used instead.",
    "unknown_security_type": (
        "A security scheme's `type` is not one that OpenAPI has (`type: bearer` should be `type: http` with "
        "`scheme: bearer`). It is read as http bearer."
    ),
    "unknown_security_scheme": (
        "A security requirement names a scheme that `components.securitySchemes` does not define, often a tool's own "
        "key in the wrong place. The requirement is left out."
    ),
    "unknown_keyword": (
        "A schema of a request has a keyword that JSON Schema does not know, such as `maxLenght`: it checks nothing, "
        "here and in other tools. Correct its spelling, or let it begin with `x-`."
    ),
    "key_without_effect": (
        "A key, a value, a word or a pattern in a gateway's file or in its error catalog can never count: it names a "
        "value, a parameter or a model that there is not, or stands where nothing is filled in. The message has the "
        "line and the nearest known word. Only `check` tells this."
    ),
    "name_missing": (
        "A template in a gateway's file lacks a name that a client needs: `{data}` in a body, `{url}` or `{b64_json}` "
        "in an item, the `{id}` of a task. Only `check` tells this."
    ),
    "no_prompt": (
        "The request schema of an operation that makes pictures from a prompt has no parameter that is the prompt: no "
        "picture depends on what the client writes. Where the gateway has another name for it, put "
        "`x-emulator-parameter: prompt` at that parameter, and so for the other parameters that the emulator acts on."
    ),
    "no_such_property": (
        "A `discriminator` names the parameter that names the model, and no schema of a model has a property of that "
        "name. Check the spelling, or add the property: a schema that is closed refuses the parameter."
    ),
    "keyword_of_another_version": (
        "A schema uses a keyword of another version of OpenAPI (such as `examples` in 3.0, where it is `example`). "
        "Tools that follow the declared version ignore it, and so does the emulator."
    ),
    "upstream_failed": (
        "The call was passed on, and its upstream gave no answer that could be passed back: it was not reached, took "
        "too long, broke off, sent no HTTP, redirected, or answered too much. The message says which. The client got "
        "the gateway's own words for `upstream_error` or `upstream_timeout`."
    ),
    "not_recorded": (
        "The call was to be recorded, and nothing of it was written: it or its answer has a credential, the picture "
        "behind a link cannot be had, or the folder cannot be written. The message says where. The client got the "
        "answer all the same."
    ),
    "recording_stale": (
        "The recorded answer is older than --stale-after allows. Record it again with --record-mode all, or let it be "
        "older."
    ),
    "server_stopped": (
        "The server was stopped while the call was under way, so its client got no answer. Stop the server after the "
        "last call, or give calls under way a few seconds to end."
    ),
}
