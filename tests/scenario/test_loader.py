"""The loader's promise: a script that cannot be meant is refused with one line that says where, what and why.

The schema for editors is held against the same tables, so that both say the same.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from emulator.core import yaml_file
from emulator.core.base64_spelling import BASE64_SPELLINGS
from emulator.core.data_folders import find_scenarios, find_schemas, list_ready_made
from emulator.faults import FAULTS
from emulator.image.recipe import FORMATS, MODES, Alteration
from emulator.messages import KINDS, OPERATIONS, Canned, Draw, PictureOverride, Refuse
from emulator.scenario import latency, loader, matching
from emulator.scenario.limits import Limits
from emulator.scenario.scenario import THENS, Rule
from emulator.validation import registry
from tests.paths import TESTS
from tests.scenario.examples import BLOCKS, BUMPY_MORNING, EVENTFUL, SEQUENCES

SCHEMA: Final[Mapping[str, Any]] = json.loads((find_schemas() / "scenario.schema.json").read_text("utf-8"))
VALIDATOR: Final = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
HERE: Final = Path("script.yaml")


def _rule(rule: str) -> str:
    return f"rules: [{{{rule}}}]"


def _answer(answer: str) -> str:
    return f"rules: [{{answers: {{{answer}}}}}]"


def _pictures(word: str, *values: object) -> str:
    return _rule("answers: [" + ", ".join(f"{{draw: {{picture: {{{word}: {value}}}}}}}" for value in values) + "]")


BAD: Final = {
    # the file
    "an empty file": ("", 1, "the file is empty; expected a mapping of scenario, about"),
    "neither rules nor limits": (
        "scenario: x\nabout: y", 1, "the file: a scenario has rules or limits, or both; rules: [] is one that pla",
    ),
    "nothing but channels": ("channels: [x]", 1, "the file: a scenario has rules or limits, or both"),
    "a list": ("- draw", 1, "the file is a list; expected a mapping"),
    "an unknown key": ("scenario: x\nrulez: []", 2, "unknown key 'rulez' in the file; known are scenario, about"),
    "limits a number": ("limits: 3", 1, "limits is 3; expected a mapping of requests_per_minute, images_per_minute"),
    "an unknown limit": ("limits:\n  images: 2\n  costs: 1", 3, "unknown key 'costs' in limits; known are requests_pe"),
    "a cost below 0": ("limits: {cost: -0.5}", 1, "cost is -0.5; expected dollars from 0 to 1000000"),
    "a cost of too much": ("limits: {cost: 1000001}", 1, "cost is 1000001; expected dollars from 0 to 1000000"),
    "a cost with its sign": ("limits: {cost: $5}", 1, "cost is '$5'; expected dollars from 0 to 1000000"),
    "a cost that is true": ("limits: {cost: true}", 1, "cost is True; expected dollars from 0 to 1000000"),
    "a cost of nothing": ("limits: {cost: }", 1, "cost is empty; expected dollars from 0 to 1000000"),
    "a limit below 0": ("limits: {images: -1}", 1, "images is -1; expected a whole number from 0"),
    "a limit of a half": ("limits: {images: 0.5}", 1, "images is 0.5; expected a whole number from 0"),
    "a limit that is true": ("limits: {images: true}", 1, "images is True; expected a whole number from 0"),
    "a name that is none": ("scenario: 1", 1, "scenario is 1; expected a text"),
    "about a list": ("about: [x]", 1, "about is a list; expected a text"),
    "no rules": ("rules:", 1, "rules is empty; expected a list of rules"),
    "rules in a mapping": ("rules: {answers: draw}", 1, "rules is a mapping; expected a list of rules"),
    # streams
    "fewer than no unfinished pictures": (
        _answer("draw: {partials: -1}"), 1,
        "partials is -1; expected a whole number from 0",
    ),
    "half an unfinished picture": (_answer("draw: {partials: 0.5}"), 1, "partials is 0.5; expected a whole number"),
    "unfinished pictures that are true": (_answer("draw: {partials: true}"), 1, "partials is True; expected a whole"),
    "an unknown error": (_answer("draw: {error: oops}"), 1, "error is 'oops'; expected one of missing_key, invalid_k"),
    "an error of nothing": (
        _answer("draw: {error: }"), 1,
        "error is empty; expected one of missing_key, invalid_key, forbidden, unknown_model, reti",
    ),
    "an error without a kind": (
        _answer("draw: {error: {message: x}}"), 1,
        "rules.0.answers.draw.error has no 'kind'; expected kind: one of missing_key, invalid_key",
    ),
    "an error's unknown key": (_answer("draw: {error: {kind: quota, after: 1}}"), 1, "unknown key 'after' in rules.0."),
    "a picture cut by events": (
        _answer("draw: {picture: {truncated: 1 event}}"), 1, "truncated is '1 event'; expected bytes that are left",
    ),
    "a place in pictures": (
        _answer("faults: [{stall: {after: 1 picture}}]"), 1,
        "after is '1 picture'; expected bytes, such as 100, a share, such as 50%, or events, such",
    ),
    "an event before the first": (
        _answer("faults: [{duplicate_event: {event: 0}}]"), 1, "event is 0; expected a number from 1 to 1000, or last",
    ),
    # a rule
    "a rule that is a word": ("rules: [draw]", 1, "rules.0 is 'draw'; expected a mapping of name, when, answers"),
    "a rule's unknown key": (
        "rules:\n- answers: draw\n  wenn: {n: 1}", 3,
        "unknown key 'wenn' in rules.0; known are name, when, answers, then, chance",
    ),
    "a rule's name": (_rule("name: 3, answers: draw"), 1, "name is 3; expected a text"),
    "no answers": (
        _rule("name: x"), 1,
        "rules.0 has no 'answers'; expected answers: one of draw, canned, forward, or a mapping of draw, r",
    ),
    "an empty list of answers": (
        _rule("answers: []"), 1,
        "answers is an empty list; expected a list of answers, at least one",
    ),
    "unknown then": (
        _rule("answers: draw, then: stop"), 1,
        "then is 'stop'; expected one of repeat, cycle, next, refuse",
    ),
    "cycle over one": (_rule("answers: [draw], then: cycle"), 1, "then: cycle over a single answer is repeat"),
    "cycle over times": (_rule("answers: {draw: , times: 3}, then: cycle"), 1, "then: cycle over a single answer"),
    "chance above 1": (_rule("answers: draw, chance: 20"), 1, "chance is 20; expected a number above 0, at most 1"),
    "chance 0": (_rule("answers: draw, chance: 0"), 1, "chance is 0; expected a number above 0, at most 1"),
    "chance below 0": (_rule("answers: draw, chance: -0.1"), 1, "chance is -0.1; expected a number above 0, at most 1"),
    "chance a text": (_rule("answers: draw, chance: 20%"), 1, "chance is '20%'; expected a number above 0, at most 1"),
    "chance true": (_rule("answers: draw, chance: true"), 1, "chance is True; expected a number above 0, at most 1"),
    # when
    "when a word": (_rule("when: cat, answers: draw"), 1, "when is 'cat'; expected a mapping of fields"),
    "when an empty list": (
        _rule("when: {n: []}, answers: draw"), 1,
        "n is an empty list; expected a list of at least 1",
    ),
    "when an empty mapping": (
        _rule("when: {n: {}}, answers: draw"), 1,
        "n is an empty mapping; expected a mapping of contains, matches, at_least, at_most, not, ",
    ),
    "an unknown matcher": (
        _rule("when: {prompt: {contains: a, containz: b}}, answers: draw"), 1,
        "unknown key 'containz' in rules.0.when.prompt; known are contains, matches, at_least, at",
    ),
    "an unknown matcher in a list": (
        _rule("when: {n: [1, {above: 2}]}, answers: draw"), 1,
        "unknown key 'above' in rules.0.when.n.1; known are contains, matches, at_least, at_most,",
    ),
    "at_least a text": (_rule("when: {n: {at_least: two}}, answers: draw"), 1, "at_least is 'two'; expected a number"),
    "at_most true": (_rule("when: {n: {at_most: true}}, answers: draw"), 1, "at_most is True; expected a number"),
    "absent a text": (
        _rule("when: {n: {absent: maybe}}, answers: draw"), 1,
        "absent is 'maybe'; expected true or false",
    ),
    "matches a number": (
        _rule("when: {n: {matches: 3}}, answers: draw"), 1,
        "matches is 3; expected a regular expression",
    ),
    "matches what does not compile": (_rule("when: {n: {matches: '('}}, answers: draw"), 1, "when n: matches: missing"),
    "a schema that is a word": (
        _rule("when: {prompt: {schema: string}}, answers: draw"), 1,
        "schema is 'string'; expected a JSON Schema, which is a mapping such as {type: string}",
    ),
    "a schema of no type": (
        _rule("when: {a: {b: {schema: {properties: {c: {type: text}}}}}}, answers: draw"), 1,
        "type is 'text'; expected one of array, boolean, integer, null, number, object, string",
    ),
    "a schema's pattern": (
        _rule("when: {n: {not: {schema: {pattern: '('}}}}, answers: draw"), 1, "schema: pattern: '(' is not a 'regex'",
    ),
    "not nothing": (
        _rule("when: {n: {not: []}}, answers: draw"), 1,
        "not is an empty list; expected a list of at least 1",
    ),
    "headers a text": (
        _rule("when: {headers: x}, answers: draw"), 1,
        "headers is 'x'; expected a mapping of names to values",
    ),
    "an unknown operation": (
        "rules:\n- when:\n    n: 1\n    operation: generat\n  answers: draw", 4,
        f"operation is 'generat'; expected one of {', '.join(OPERATIONS)}",
    ),
    "an unknown operation among others": (
        _rule("when: {operation: [generate, drow]}, answers: draw"), 1,
        "rules.0.when.operation.1 is 'drow'; expected one of generate, edit, vary, models, model,",
    ),
    "no operation": (_rule("when: {operation: }, answers: draw"), 1, "operation is empty; expected one of generate"),
    # an answer
    "an unknown answer": (
        _rule("answers: drow"), 1,
        "answers is 'drow'; expected one of draw, canned, forward; did you mean 'draw'?",
    ),
    "an answer's unknown key": (
        "rules:\n- answers:\n  - draw:\n  - refuse: quota\n    latancy: 2s", 5,
        "unknown key 'latancy' in rules.0.answers.1; known are draw, refuse, canned, forward, latency, fau",
    ),
    "an answer that is a number": (
        _rule("answers: [3]"), 1,
        "rules.0.answers.0 is 3; expected one of draw, canned, forward, or a mapping of draw, refuse",
    ),
    "two plans": (_answer("draw: , refuse: quota"), 1, "refuse, canned, forward; here are draw and refuse"),
    "three plans": (
        _answer("draw: , refuse: quota, canned: {}"), 1,
        "rules.0.answers: an answer is one of draw, refuse, canned, forward; here are draw and refuse",
    ),
    "no plan": (_answer("times: 2"), 1, "an answer without a plan; expected one of draw, refuse, canned"),
    "an empty answer": (_rule("answers: [{}]"), 1, "an answer without a plan; expected one of draw, refuse, canned"),
    "times 0": (_answer("draw: , times: 0"), 1, "times is 0; expected a whole number from 1"),
    "times a half": (_answer("draw: , times: 1.5"), 1, "times is 1.5; expected a whole number from 1"),
    "times true": (_answer("draw: , times: true"), 1, "times is True; expected a whole number from 1"),
    # headers
    "headers in a list": (_answer("draw: , headers: [x]"), 1, "headers is a list; expected a mapping of names to text"),
    "a header's name": (
        _answer("draw: , headers: {x y: z}"), 1,
        "'x y' in rules.0.answers.headers; expected a header's name, and none that says where the",
    ),
    "CR LF in a header": (
        'rules:\n- answers:\n  - draw:\n    headers:\n      x-a: "b\\r\\nset-cookie: c"', 5,
        "x-a is 'b\\r\\nset-cookie: c'; expected one line of text",
    ),
    "LF at a header's end": (_answer('draw: , headers: {x-a: "b\\n"}'), 1, "x-a is 'b\\n'; expected one line of text"),
    "NUL in a header": (_answer('draw: , headers: {x-a: "b\\0"}'), 1, "x-a is 'b\\x00'; expected one line of text"),
    "a header that is true": (_answer("draw: , headers: {x-a: true}"), 1, "x-a is True; expected one line of text"),
    "a header without value": (_answer("draw: , headers: {x-a: }"), 1, "x-a is empty; expected one line of text"),
    # draw
    "draw a word": (
        _answer("draw: cat"), 1,
        "draw is 'cat'; expected one of null, true, or a mapping of revised_prompt, usage, images",
    ),
    "draw's unknown key": (_answer("draw: {pictures: 2}"), 1, "unknown key 'pictures' in rules.0.answers.draw; did"),
    "a picture that says nothing": (
        _answer("draw: {picture: {}}"), 1,
        "picture is an empty mapping; expected a mapping of file, size, format, mode, truncated, ",
    ),
    "a picture by its name": (
        _answer("draw: {picture: cat.png}"), 1,
        "picture is 'cat.png'; expected a mapping of file, size, format, mode, truncated, base64",
    ),
    "a picture's unknown key": (
        "rules:\n- answers:\n    draw:\n      picture:\n        sise: 1x1", 5,
        "unknown key 'sise' in rules.0.answers.draw.picture; known are file, size, format, mode, truncated, base64",
    ),
    "a picture's size a word": (_answer("draw: {picture: {size: auto}}"), 1, "size is 'auto'; expected WIDTHxHEIGHT"),
    "a picture's size 0": (_answer("draw: {picture: {size: 5x0}}"), 1, "size is '5x0'; expected WIDTHxHEIGHT, such as"),
    "a picture too wide": (_answer("draw: {picture: {size: 4097x5}}"), 1, "size is '4097x5'; expected WIDTHxHEIGHT, s"),
    "a picture too high": (_answer("draw: {picture: {size: 5x4097}}"), 1, "size is '5x4097'; expected WIDTHxHEIGHT, s"),
    "a picture's unknown format": (
        _answer("draw: {picture: {format: gif}}"), 1, "format is 'gif'; expected one of png, jpeg, webp",
    ),
    "a picture's unknown mode": (
        _answer("draw: {picture: {mode: [cmyk]}}"), 1, "mode is a list; expected one of exif_rotated, cmyk, 16_bit",
    ),
    "a picture cut behind its end": (
        _answer("draw: {picture: {truncated: 100%}}"), 1, "truncated is '100%'; expected bytes that are left, such as",
    ),
    "a picture cut at true": (_answer("draw: {picture: {truncated: true}}"), 1, "truncated is True; expected bytes th"),
    "an unknown spelling": (
        _answer("draw: {picture: {base64: hex}}"), 1,
        "base64 is 'hex'; expected one of broken, wrapped, url_safe, data_url, null",
    ),
    "a picture's file a number": (_answer("draw: {picture: {file: 3}}"), 1, "file is 3; expected the name of a pictur"),
    "a picture's file and size": (
        "rules:\n- answers:\n    draw:\n      picture:\n        file: cat.png\n        size: 1x1", 6,
        "a file comes as it is; size cannot be had beside it",
    ),
    "a CMYK PNG": (
        _answer("draw: {picture: {mode: cmyk, format: png}}"), 1,
        "rules.0.answers.draw.picture: mode cmyk makes a jpeg, no other format",
    ),
    "a JPEG of 16 bits": (
        _answer("draw: {picture: {mode: 16_bit, format: jpeg}}"), 1,
        "rules.0.answers.draw.picture: mode 16_bit makes a png, no other format",
    ),
    "a link's end a word": (
        _answer("draw: {expires_in: soon}"), 1,
        "expires_in is 'soon'; expected a duration with its unit, such as 500ms, 2s or 1m, at mos",
    ),
    "a link's end true": (
        _answer("draw: {expires_in: true}"), 1,
        "expires_in is True; expected a duration with its unit, such as 500ms, 2s or 1m, at most ",
    ),
    "a link's end nothing": (
        _answer("draw: {expires_in: }"), 1,
        "expires_in is empty; expected a duration with its unit, such as 500ms, 2s or 1m, at most",
    ),
    "a link's end before it begins": (
        _answer("draw: {expires_in: -1}"), 1,
        "expires_in is -1; expected a duration with its unit, such as 500ms, 2s or 1m, at most 24",
    ),
    "a host a word": (_answer("draw: {host: picky}"), 1, "host is 'picky'; expected a mapping of user_agent, cors"),
    "a host of nothing": (
        _answer("draw: {host: {}}"), 1,
        "host is an empty mapping; expected a mapping of user_agent, cors",
    ),
    "a host's unknown key": (_answer("draw: {host: {referer: x}}"), 1, "unknown key 'referer' in rules.0.answers.draw"),
    "an unknown user agent": (_answer("draw: {host: {user_agent: curl}}"), 1, "user_agent is 'curl'; expected browser"),
    "a user agent of nothing": (_answer("draw: {host: {user_agent: }}"), 1, "user_agent is empty; expected browser"),
    "a host's cors a word": (_answer("draw: {host: {cors: off}}"), 1, "cors is 'off'; expected true or false"),
    "images -1": (_answer("draw: {images: -1}"), 1, "images is -1; expected a whole number from 0"),
    "images a half": (_answer("draw: {images: 0.5}"), 1, "images is 0.5; expected a whole number"),
    "images true": (_answer("draw: {images: true}"), 1, "images is True; expected a whole number"),
    "usage a number": (_answer("draw: {usage: 3}"), 1, "usage is 3; expected a mapping"),
    "metadata a list": (_answer("draw: {metadata: []}"), 1, "metadata is an empty list; expected a mapping"),
    "created a date": (_answer("draw: {created: 2026-01-01}"), 1, "created is '2026-01-01'; expected a whole number ("),
    "omit a word": (_answer("draw: {omit: url}"), 1, "omit is 'url'; expected a list of names"),
    "a usage's unknown member": (
        _answer("draw: {usage: {output_tokns: 3}}"), 1,
        "unknown key 'output_tokns' in rules.0.answers.draw.usage; known are input_tokens, output_tokens, "
        "total_tokens, input_tokens_details, output_tokens_details, prompt_tokens, completion_tokens; "
        "did you mean 'output_tokens'?",
    ),
    "an unknown part of a usage": (
        _answer("draw: {usage: {input_tokens_details: {image_token: 3}}}"), 1,
        "known are text_tokens, image_tokens, cached_tokens; did you mean 'image_tokens'?",
    ),
    "an unknown member to leave out": (
        "rules:\n- answers:\n    draw:\n      omit:\n      - created\n      - usge", 6,
        "rules.0.answers.draw.omit.1 is 'usge'; expected the name of a member that shipped gateways have, or a "
        "JSON pointer such as /data/0/url; "
        "did you mean 'usage'?",
    ),
    "an unknown member of an upload": (
        "rules:\n- when:\n    uploads:\n      image:\n        widht: 3\n  answers: draw", 5,
        "unknown key 'widht' in rules.0.when.uploads.image; known are name, filename, media_type, sha256, format, ",
    ),
    "an unknown upload": (
        _rule("when: {uploads: {picture: {width: 3}}}, answers: draw"), 1,
        "'picture' in rules.0.when.uploads; expected image, image[0], image[1] and so on, mask, markup, or count",
    ),
    "set a list": (_answer("draw: {set: [/a]}"), 1, "set is a list; expected a mapping of JSON pointers to values"),
    "set without a pointer": (
        _answer("draw: {set: {url: 1}}"), 1,
        "'url' in rules.0.answers.draw.set; expected a JSON pointer such as /data/0/url",
    ),
    "revised_prompt a number": (_answer("draw: {revised_prompt: 3}"), 1, "revised_prompt is 3; expected a text"),
    # refuse
    "an unknown kind": (_answer("refuse: ratelimit"), 1, "refuse is 'ratelimit'; expected one of missing_key, invalid"),
    "refuse alone": (_rule("answers: refuse"), 1, "answers is 'refuse'; expected one of draw, canned, forward"),
    "refuse without a kind": (
        _answer("refuse: {status: 429}"), 1,
        "rules.0.answers.refuse has no 'kind'; expected kind: one of missing_key, invalid_key, fo",
    ),
    "refuse's unknown key": (_answer("refuse: {kind: quota, text: x}"), 1, "unknown key 'text' in rules.0.answers.r"),
    "refuse with 200": (_answer("refuse: {kind: quota, status: 200}"), 1, "status is 200; expected 400 to 599"),
    "refuse with a text": (_answer("refuse: {kind: quota, status: '429'}"), 1, "status is '429'; expected 400 to 599"),
    "a message that is none": (_answer("refuse: {kind: quota, message: 3}"), 1, "message is 3; expected a text"),
    # canned
    "canned nothing": (
        _answer("canned: "), 1,
        "canned is empty; expected a mapping of status, content_type, text, json",
    ),
    "canned's unknown key": (_answer("canned: {body: x}"), 1, "unknown key 'body' in rules.0.answers.canned; known"),
    "canned text and json": (_answer("canned: {text: x, json: {}}"), 1, "canned has both text and json; expected one"),
    "canned 100": (_answer("canned: {status: 100}"), 1, "status is 100; expected 200 to 599"),
    "canned 600": (_answer("canned: {status: 600}"), 1, "status is 600; expected 200 to 599"),
    "canned text a mapping": (_answer("canned: {text: {}}"), 1, "text is an empty mapping; expected a text"),
    "CR LF in a type": (_answer('canned: {content_type: "a/b\\r\\nx: y"}'), 1, "content_type is 'a/b\\r\\nx: y'; expe"),
    # latency
    "latency a word": (
        _answer("latency: long"), 1,
        "latency is 'long'; expected a duration with its unit, such as 500ms, 2s or 1m, or realis",
    ),
    "latency without its unit": (
        _answer('latency: "5"'), 1,
        "latency is '5'; expected a duration with its unit, such as 500ms, 2s or 1m, or realistic, or one of uniform",
    ),
    "a part of a latency without its unit": (
        _answer("latency: {uniform: ['1', 2s]}"), 1,
        "rules.0.answers.latency.uniform.0 is '1'; expected a duration with its unit, such as 500ms, 2s or 1m, at most",
    ),
    "latency nothing": (
        _answer("latency: "), 1,
        "latency is empty; expected a duration with its unit, such as 500ms, 2s or 1m, or realist",
    ),
    "latency nearly realistic": (
        _answer("latency: Realistic"), 1,
        "latency is 'Realistic'; expected a duration with its unit, such as 500ms, 2s or 1m, or r",
    ),
    "realistic with parts": (
        _answer("latency: {realistic: {}}"), 1,
        "unknown key 'realistic' in rules.0.answers.latency; known are uniform, normal, lognormal",
    ),
    "latency below 0": (
        _answer("latency: -2"), 1,
        "latency is -2; expected a duration with its unit, such as 500ms, 2s or 1m, or realistic,",
    ),
    "an unknown distribution": (
        _answer("latency: {poisson: 2s}"), 1,
        "unknown key 'poisson' in rules.0.answers.latency; known are uniform, normal, lognormal",
    ),
    "two distributions": (_answer("latency: {uniform: [1s, 2s], normal: {}}"), 1, "expected a duration, or one of uni"),
    "uniform of one": (_answer("latency: {uniform: [1s]}"), 1, "uniform is a list; expected [shortest, longest]"),
    "normal without mean": (
        _answer("latency: {normal: {deviation: 1s}}"), 1,
        "rules.0.answers.latency.normal has no 'mean'; expected mean: a duration with its unit, s",
    ),
    "lognormal's unknown part": (
        _answer("latency: {lognormal: {median: 1s, p95: 2s, p99: 3s}}"), 1,
        "unknown key 'p99' in rules.0.answers.latency.lognormal; known are median, p95, at_most; ",
    ),
    # faults
    "faults a word": (_answer("faults: garbage"), 1, "faults is 'garbage'; expected a list"),
    "an unknown fault": (
        "rules:\n- answers:\n  - faults:\n    - garbage\n    - {cut: {after: 3}}", 5,
        "unknown key 'cut' in rules.0.answers.0.faults.1; known are hang_up, truncate, slow_body,",
    ),
    "two faults in one": (_answer("faults: [{stall: , garbage: }]"), 1, "expected one word of hang_up, truncate"),
    "a fault's unknown parameter": (
        _answer("faults: [{truncate: {at: 3}}]"), 1,
        "unknown key 'at' in rules.0.answers.faults.0.truncate; known are after, content_length",
    ),
    "a parameter where none is": (
        _answer("faults: [{garbage: {after: 3}}]"), 1,
        "unknown key 'after' in rules.0.answers.faults.0.garbage; known are none",
    ),
    "a place that is none": (
        _answer("faults: [{hang_up: {after: half}}]"), 1,
        "after is 'half'; expected bytes, such as 100, a share, such as 50%, or events, such as 1",
    ),
    "more than all of it": (
        _answer("faults: [{stall: {after: 101%}}]"), 1,
        "after is '101%'; expected bytes, such as 100, a share, such as 50%, or events, such as 1",
    ),
    "drops of nothing": (
        _answer("faults: [{slow_body: {chunk: 0}}]"), 1,
        "chunk is 0; expected a whole number from 1, at most 1000000000",
    ),
    "a header twice that frames": (
        _answer("faults: [{duplicate_header: {name: Content-Length}}]"), 1,
        "name is 'Content-Length'; expected a header's name, one that does not say where the body",
    ),
}  # fmt: skip
"""Scripts whose shape is wrong: text, line, and part of the complaint."""

SENSELESS: Final = {
    "behind a rule for every call": (
        "rules:\n- answers: draw\n- name: late\n  answers: draw", 3,
        "rule 'late' is unreachable: 'rule-1' takes every call and never ends",
    ),
    "behind one that refuses at its end": (
        "rules:\n- {name: a, answers: draw, then: refuse}\n- answers: draw", 3, "'rule-2' is unreachable: 'a' takes ev",
    ),
    "behind one for the same calls": (
        _rule("when: {n: [1, {at_least: 3}], prompt: {matches: x}}, answers: draw")[:-1]
        + ", {when: {n: [1, {at_least: 3}], prompt: {matches: x}}, answers: draw}]",
        1, "rule 'rule-2' is unreachable: 'rule-1' takes the same calls and never ends",
    ),
    "two rules of one name": (
        "rules:\n- {name: a, answers: draw, then: next}\n- {name: a, answers: draw}", 3, "two rules are named 'a'",
    ),
    "a name that another has by its place": (
        "rules:\n- {name: rule-2, answers: draw, then: next}\n- {answers: draw}", 3, "two rules are named 'rule-2'",
    ),
    "a template's name": (_answer('draw: {revised_prompt: "{promt}"}'), 1, "{promt} is no name; known are prompt, mod"),
    "a template's empty name": (_answer('draw: {revised_prompt: "a {}"}'), 1, "{} is no name; known are prompt, model"),
    "a rule for one of an earlier rule's models": (
        "rules:\n- {when: {model: [dall-e-3, dall-e-2]}, answers: draw}\n- {when: {model: dall-e-3}, answers: draw}", 3,
        "rule 'rule-2' is unreachable: 'rule-1' takes the same calls and never ends",
    ),
    "narrower bounds": (
        "rules:\n- {when: {n: {at_least: 2}}, answers: draw}\n- {when: {n: {at_least: 3}}, answers: draw}", 3,
        "rule 'rule-2' is unreachable: 'rule-1' takes the same calls and never ends",
    ),
    "a longer text that contains the shorter": (
        _rule("when: {prompt: {contains: cat}}, answers: draw")[:-1]
        + ", {when: {prompt: {contains: cats}}, answers: draw}]",
        1, "rule 'rule-2' is unreachable: 'rule-1' takes the same calls and never ends",
    ),
    "a turn that no call has": (
        _rule('when: {turn: "3"}, answers: draw'), 1,
        "turn is '3'; expected a whole number from 1, a list of them, or a mapping of matchers",
    ),
    "bounds that leave nothing": (
        "rules:\n- when:\n    n: {at_least: 5, at_most: 3}\n  answers: draw", 2,
        "when contradicts itself: n cannot be at least 5 and at most 3",
    ),
    "a value outside of its bounds": (
        _rule("when: {style.left: 7, style: {left: {at_most: 3}}}, answers: draw"), 1,
        "when contradicts itself: style.left cannot be 7 and at most 3",
    ),
    "a case of another kind": (
        _answer("refuse: {kind: quota, case: ip}"), 1, "case is 'ip'; expected one of key, estimate",
    ),
    "a case of a kind that has none": (
        _answer("refuse: {kind: not_found, case: ip}"), 1, "case is 'ip'; expected none, as not_found has no cases",
    ),
    "the shortest is the longest": (_answer("latency: {uniform: [3s, 1s]}"), 1, "latency uniform: 3s is longer than 1"),
    "p95 below the median": (
        _answer("latency: {lognormal: {median: 9s, p95: 3s}}"), 1, "p95 3s must be longer than the median 9s",
    ),
    "not an unknown operation": (
        _rule("when: {operation: {not: [generat]}}, answers: draw"), 1,
        'operation is "generat"; expected one of generate, edit, vary, models, model, task; did y',
    ),
    "a picture of one's own in a script of no folder": (
        _answer("draw: {picture: {file: cat.png}}"), 1, "file needs a folder to be in, that of the scenario",
    ),
    "a schema from elsewhere": (
        _rule("when: {n: {schema: {$ref: 'https://example.com/n.json'}}}, answers: draw"), 1,
        "when n: schema: 'https://example.com/n.json' leads to nothing in the schema itself, and nothing is fetched",
    ),
    "a schema's part that is not there": (
        _rule("when: {n: {schema: {items: {$ref: '#/$defs/x'}}}}, answers: draw"), 1, "'#/$defs/x' leads to nothing in",
    ),
    "a schema without an end": (
        _rule("when: {n: {schema: {$ref: '#'}}}, answers: draw"), 1, "the schema refers to itself and comes to no end",
    ),
    "a pattern of thousands of brackets": (
        _rule(f"when: {{prompt: {{matches: '{'(' * 5000}'}}}}, answers: draw"), 1,
        "when prompt: matches: the pattern has too many parts inside of parts",
    ),
    "a schema's pattern of thousands of brackets": (
        _rule(f"when: {{prompt: {{schema: {{pattern: '{'(' * 5000}'}}}}}}, answers: draw"), 1,
        "when prompt: schema: the schema has too many parts inside of parts",
    ),
    "faults without an end": (
        _answer(f"draw: {{}}, faults: [{', '.join(['truncate'] * 5000)}]"), 1,
        "faults is a list; expected a list of at most 20 faults",
    ),
    "a cost without an end": ("limits: {cost: .inf}", 1, "cost is inf; expected dollars from 0 to 1000000"),
    "a cost that is no number": ("limits: {cost: .nan}", 1, "cost is nan; expected dollars from 0 to 1000000"),
    "the same schema twice": (
        _rule("when: {n: {schema: {type: integer, minimum: 2}}}, answers: draw")[:-1]
        + ", {when: {n: {schema: {minimum: 2, type: integer}}}, answers: draw}]",
        1, "rule 'rule-2' is unreachable: 'rule-1' takes the same calls and never ends",
    ),
    "longer than a day": (_answer("latency: 25h"), 1, "'25h' is outside 0s to 24h"),
    "an alias": ("rules:\n- &a {answers: draw, then: next}\n- *a", 2, "an alias (*name) is not supported"),
    "a key twice": ("rules:\n- answers: draw\n  answers: draw", 3, "the key 'answers' is given twice"),
    "a tab": ("rules:\n\t- answers: draw", 2, "cannot start any token"),
    "an open bracket": ("rules: [\n", 1, "did not find expected node content"),
    "an object of Python's": ("rules: !!python/object:os.system {}", 1, "could not determine a constructor for the ta"),
}  # fmt: skip
"""Scripts whose shape is right, or that are no YAML, and that cannot be meant all the same."""

GOOD: Final = {
    "a name and no rule": "{scenario: x, rules: []}",
    "limits alone": "limits: {images: 3}",
    "nothing but rules": "rules: []",
    "every limit": "limits: {requests_per_minute: 0, images_per_minute: 5, images: 20, cost: 0.5}",
    "a cost of whole dollars": "limits: {cost: 0}",
    "JSON": '{"scenario": "x", "rules": [{"when": {"n": 1}, "answers": "draw"}]}',
    "words of YAML 1.1": "rules: [{when: {user: [on, off, yes, no, 2026-01-01, 0b1]}, answers: draw}]",
    "an answer alone": _answer("refuse: quota"),
    "draw in every spelling": _rule("answers: [draw, {draw: }, {draw: {}}, {draw: true}, {latency: 1s}, {faults: []}]"),
    "canned in every spelling": _rule("answers: [canned, {canned: {}}, {canned: {json: null}}, {canned: {json: [1]}}]"),
    "a rule for the rest below": _rule("when: {n: 1}, answers: draw")[:-1] + ", {answers: draw}]",
    "below a rule that ends": _rule("answers: draw, then: next")[:-1] + ", {answers: draw}]",
    "below a rule that may sit out": _rule("answers: draw, chance: 0.99")[:-1] + ", {answers: draw}]",
    "every matcher": _rule(
        "when: {a: {contains: 1}, b: {matches: x}, c: {at_least: 1, at_most: 2.5}, d: {not: [1, {contains: y}]},"
        " e: {absent: false}, f: null, g: [true, 1.5, x], h: {schema: {type: string, maxLength: 20}}}, answers: draw"
    ),
    "parameters inside of others": _rule("when: {a: {b: {c: 1, d: {absent: true}}}, x.y: 2}, answers: draw"),
    "uploads of the call": _rule(
        "when: {uploads: {image: {width: {at_least: 3}, format: [png, webp]}, 'image[1]': {absent: true},"
        " mask: {bytes: 3}, count: 2}, uploads.mask.alpha_share: 0.5}, answers: draw"
    ),
    "no upload at all": _rule("when: {uploads: {absent: true}}, answers: draw"),
    "headers of the call": _rule("when: {headers: {X-A: 1, not: {contains: b}}}, answers: draw"),
    "headers of the answer": _answer('headers: {x-a: b, retry-after: 2, x-b: 1.5, x-c: ""}'),
    "every duration": _rule(
        "answers: [{latency: 0}, {latency: 1.5}, {latency: 500ms}, {latency: 1.5 m}, {latency: ' 2s '}]"
    ),
    "every latency": _rule(
        "answers: [{latency: realistic}, {latency: {uniform: [1s, 1s]}},"
        " {latency: {normal: {mean: 2, deviation: 500ms}}},"
        " {latency: {lognormal: {median: 8s, p95: 20s, at_most: 60s}}}]"
    ),
    "every fault": _answer(f"faults: [{', '.join(FAULTS)}]"),
    "every fault with nothing": _answer(f"faults: [{', '.join(f'{{{fault}: }}' for fault in FAULTS)}]"),
    "every parameter": _answer(
        "faults: [{hang_up: {after: 0}}, {truncate: {after: 33.3%, content_length: false}}, {stall: {after: '12'}},"
        " {slow_body: {chunk: 1, every: 1ms}}, {wrong_type: {content_type: text/plain; charset=x}},"
        " {duplicate_header: {name: ETag, value: '\"two\"'}}, {duplicate_event: {event: 3}},"
        " {duplicate_event: {event: last}}, {hang_up: {after: 1 event}}, {stall: {after: 20 events}}]"
    ),
    "every kind": _rule(f"answers: [{', '.join(f'{{refuse: {kind}}}' for kind in KINDS)}]"),
    "every error": _rule(f"answers: [{', '.join(f'{{draw: {{error: {kind}}}}}' for kind in KINDS)}]"),
    "a refusal in other words": _answer(
        "refuse: {kind: quota, status: 402, type: null, code: x, param: n, message: '{ }'}"
    ),
    "every then": "rules: ["
    + ", ".join(f"{{answers: [draw, draw], chance: 0.5, then: {then}}}" for then in THENS)
    + "]",
    "all that draw takes": _answer(
        "draw: {revised_prompt: '{prompt}{model}{size} } {', images: 0, metadata: {}, created: 0,"
        " usage: {output_tokens: 1, input_tokens_details: {image_tokens: 0}},"
        " omit: [url], set: {/: 1, /data/-: null}, picture: {size: 4096x1}, expires_in: 1.5h, partials: 0,"
        " error: {kind: quota, status: 402, message: x}}"
    ),
    "every host": _rule(
        "answers: [{draw: {host: {user_agent: browser}}}, {draw: {host: {cors: false}}}, {draw: {host: {cors: true}}},"
        " {draw: {host: {user_agent: browser, cors: false}}}]"
    ),
    "every size": _pictures("size", "1x9", "10x999", "1000x3999", "4000x4089", "4090x4096"),
    "every format": _pictures("format", *FORMATS),
    "every mode": _pictures("mode", *MODES),
    "modes with a format": _rule(
        "answers: [{draw: {picture: {mode: cmyk, format: jpeg}}}, {draw: {picture: {mode: 16_bit, format: png}}},"
        " {draw: {picture: {mode: exif_rotated, format: webp, size: 10x20, truncated: 5, base64: wrapped}}}]"
    ),
    "every spelling": _pictures("base64", *BASE64_SPELLINGS, "'null'"),
    "every early end": _pictures("truncated", 0, 100, "0%", "'12'", "99.9%", "50%"),
    "every operation": _rule(
        f"when: {{operation: [{', '.join(OPERATIONS)}, {{not: {{not: generate}}}}]}}, answers: draw"
    ),
    "an operation by matchers": _rule("when: {operation: {matches: ^gen, not: models}}, answers: draw"),
    **{f"sequence: {name}": text for name, text, _ in SEQUENCES},
    **{f"README: {number}": text for number, text in enumerate(BLOCKS)},
    **{name: (find_scenarios() / f"{name}.yaml").read_text("utf-8") for name in list_ready_made()},
    "bumpy-morning": BUMPY_MORNING,
    "eventful": EVENTFUL,
}
"""Scripts that load."""


@pytest.mark.parametrize("name", [*BAD, *SENSELESS])
def test_a_bad_script_is_refused_in_one_line(name: str) -> None:
    """The line has the file, the place in it, what was read, and what was expected with the words that are known."""
    text, line, complaint = {**BAD, **SENSELESS}[name]
    with pytest.raises(yaml_file.InvalidFile) as caught:
        loader.parse_scenario(text, str(HERE))
    message = str(caught.value)
    assert f"script.yaml:{line}" == message.split(": ")[0]
    assert complaint in message
    assert "\n" not in message


@pytest.mark.parametrize("name", GOOD)
def test_a_good_script_loads(name: str) -> None:
    """And an editor that knows the schema has nothing to say against it."""
    loader.parse_scenario(GOOD[name], str(HERE))
    assert [] == [error.message for error in VALIDATOR.iter_errors(yaml_file.parse_yaml(GOOD[name], HERE).root)]


@pytest.mark.parametrize("name", BAD)
def test_an_editor_sees_what_the_loader_refuses(name: str) -> None:
    """What is wrong in its shape is wrong by the schema, too."""
    assert not VALIDATOR.is_valid(yaml_file.parse_yaml(BAD[name][0], HERE).root)


def test_the_schema_knows_the_words_of_the_loader() -> None:
    """Every closed list stands in the schema as in the code, and each property says what it is for."""
    parts: Mapping[str, Any] = SCHEMA["$defs"]
    lists = [
        (THENS, parts["rule"]["properties"]["then"]["enum"]),
        (KINDS, parts["kind"]["enum"]),
        (OPERATIONS, parts["operation"]["enum"]),
        (FORMATS, parts["picture"]["properties"]["format"]["enum"]),
        (MODES, parts["picture"]["properties"]["mode"]["enum"]),
        (BASE64_SPELLINGS, [one for one in parts["picture"]["properties"]["base64"]["enum"] if one is not None]),
        (FAULTS, parts["fault"]["anyOf"][0]["enum"]),
        (FAULTS, parts["fault"]["anyOf"][1]["properties"]),
        (matching.MATCHERS, parts["matchers"]["properties"]),
        ([one.name for one in dataclasses.fields(Limits)], SCHEMA["properties"]["limits"]["properties"]),
        (latency.DISTRIBUTIONS, ["fixed", *parts["latency"]["anyOf"][2]["properties"]]),
    ]
    for known, listed in lists:
        assert sorted(known) == sorted(listed)
    Draft202012Validator.check_schema(SCHEMA)
    assert [] == _undescribed(SCHEMA, "")


def _undescribed(node: Any, path: str) -> list[str]:
    """The properties below `node` that an editor could say nothing of."""
    if not isinstance(node, dict):
        return [one for part in node for one in _undescribed(part, path)] if isinstance(node, list) else []
    found = [
        f"{path}/{name}"
        for name, value in node.get("properties", {}).items()
        if isinstance(value, dict) and not value.keys() & {"description", "$ref", "const", "minItems"}
    ]
    return found + [one for name, part in node.items() for one in _undescribed(part, f"{path}/{name}")]


def _only(text: str) -> Rule:
    (rule,) = loader.parse_scenario(text, str(HERE)).rules
    return rule


def test_what_is_read() -> None:
    """Names and texts go by what is not said, and answers come as they are written."""
    scenario = loader.parse_scenario("rules: [{answers: draw}]", "somewhere/my-script.yaml")
    assert ("my-script", "", "rule-1") == (scenario.name, scenario.about, scenario.rules[0].name)
    assert [Refuse("quota", {"code": None})] == [
        one.plan for one in _only(_answer("refuse: {kind: quota, code: null}")).answers
    ]
    assert [Canned(200, "application/json", b'{"a": "\xc3\xa9"}'), Canned(404, "text/plain; charset=utf-8", b"x")] == [
        one.plan
        for one in _only(_rule("answers: [{canned: {json: {a: é}}}, {canned: {status: 404, text: x}}]")).answers
    ]
    (drawn,) = _only(_answer("draw: {images: 0, omit: [url], set: {/b: 1}}, headers: {x-n: 2}, times: 3")).answers
    assert Draw(images=0, omit=("url",), changes=(("/b", 1),)) == drawn.plan
    assert ((("x-n", "2"),), 3) == (drawn.headers, drawn.times)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ("{}", "12s"), ("{retry-after: 2}", "2s"), ("{Retry-After: '2.5'}", "2.5s"), ("{RETRY-AFTER-MS: 20}", "20ms"),
        ("{retry-after: 2, retry-after-ms: 20}", "20ms"), ("{x-retry-after: 3}", "12s"),
    ],
)  # fmt: skip
def test_a_refusal_says_the_wait_that_its_headers_say(headers: str, wait: str) -> None:
    """What a message tells is what an SDK waits: milliseconds before seconds."""
    (answer,) = _only(_answer(f"refuse: rate_limit, headers: {headers}")).answers
    assert Refuse("rate_limit", wait=wait) == answer.plan


@pytest.mark.parametrize(
    ("header", "until"),
    [("Thu, 01 Jan 2026 00:00:00 GMT", 1767225600.0), ("soon", None), ("", None), ("9" * 400, None)],
)
def test_a_header_of_another_kind_is_alone(header: str, until: float | None) -> None:
    """A date is a wait too; where a scenario's own header tells no number, the gateway's are not sent beside it."""
    (answer,) = _only(_answer(f"refuse: rate_limit, headers: {{retry-after: '{header}'}}")).answers
    assert Refuse("rate_limit", until=until, sends_wait=False) == answer.plan


def test_what_is_read_of_pictures() -> None:
    """A picture's words become an alteration of its file; Base64 alone alters none; the words are kept as they are."""
    (one,) = _only(_answer("draw: {picture: {size: 5x7, format: webp, truncated: 33.3%}}")).answers
    words = {"size": "5x7", "format": "webp", "truncated": "33.3%"}
    assert Draw(picture=PictureOverride(Alteration(5, 7, "webp", kept=33.3, share=True), words=words)) == one.plan
    (one,) = _only(_answer("draw: {picture: {truncated: 33, mode: cmyk}}")).answers
    words = {"truncated": 33, "mode": "cmyk"}  # type: ignore[dict-item]
    assert Draw(picture=PictureOverride(Alteration(mode="cmyk", kept=33), words=words)) == one.plan
    (one,) = _only(_answer("draw: {picture: {base64: null}}")).answers
    assert Draw(picture=PictureOverride(base64="null", words={"base64": "null"})) == one.plan


def test_a_file_or_a_ready_made_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is that of a ready-made scenario, else a file's; what is neither says which there are."""
    (tmp_path / "own.yaml").write_text("scenario: mine\nrules: [{answers: {refuse: moderation}}]", "utf-8")
    monkeypatch.chdir(tmp_path)
    assert "mine" == loader.find_scenario("own.yaml").name
    assert "happy" == loader.find_scenario("happy").name
    with pytest.raises(
        yaml_file.InvalidFile,
        match=r"'hapy' is neither a file nor a ready-made scenario; did you mean 'happy'",
    ):
        loader.find_scenario("hapy")
    with pytest.raises(yaml_file.InvalidFile, match=r"gone\.yaml: No such file"):
        loader.find_scenario("gone.yaml")


SUBTLE: Final = {
    "an unknown matcher alone": (
        _rule("when: {prompt: {containz: a}}, answers: draw"),
        "unknown key 'containz' in rules.0.when.prompt; known are contains, matches, at_least, at",
    ),
    "a message of null": (_answer("refuse: {kind: quota, message: null}"), "message is empty; expected a text"),
    "Content-Length": (_answer("headers: {content-length: 5}"), "content-length"),
    "Transfer-Encoding": (_answer("headers: {Transfer-Encoding: chunked}"), "Transfer-Encoding"),
    "a control character": (_answer('headers: {x-a: "b\\x01c"}'), "x-a is 'b\\x01c'; expected one line of text"),
    "bytes as JSON": (_answer("canned: {json: !!binary aGk=}"), "json"),
    "bytes in usage": (_answer("draw: {usage: {a: !!binary aGk=}}"), "usage"),
    "no number as JSON": (_answer("canned: {json: {a: .nan}}"), "json"),
    "a narrower rule below": (
        "rules: [{when: {n: 1}, answers: draw}, {when: {n: 1, model: x}, answers: draw}]", "'rule-2' is unreachable",
    ),
    "the line inside of one answer": ("rules:\n- answers:\n    draw:\n    latancy: 2s", "script.yaml:4: unknown key"),
}  # fmt: skip
"""What is easily let by, or told of the wrong line."""


@pytest.mark.parametrize("name", SUBTLE)
def test_subtle_mistakes_are_refused_too(name: str) -> None:
    """Each is one line that names what is wrong where it stands."""
    text, complaint = SUBTLE[name]
    with pytest.raises(yaml_file.InvalidFile) as caught:
        loader.parse_scenario(text, str(HERE))
    assert complaint in str(caught.value)


def test_a_scenario_is_made_again_of_its_source(tmp_path: Path) -> None:
    """A scenario keeps its text, what its file is called and its folder; these three make an equal scenario."""
    path = tmp_path / "own.yaml"
    path.write_text("# mine\nrules: [{answers: {refuse: quota}}]", "utf-8")
    scenario = loader.load_scenario(path)
    assert ("# mine\nrules: [{answers: {refuse: quota}}]", str(path), tmp_path) == (
        scenario.source, scenario.file, scenario.folder,
    )  # fmt: skip
    assert scenario == loader.parse_scenario(scenario.source, scenario.file, scenario.folder)
    assert scenario != loader.parse_scenario(scenario.source.replace("quota", "billing"), scenario.file)


OWN_GATEWAY: Final = """
openapi: 3.1.0
info: {title: Own, version: "1"}
servers: [{url: "https://own.example/v1"}]
paths:
  /images/generations:
    post:
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties: {prompt: {type: string}, promptly: {type: integer}, sharpness: {type: integer}}
      responses: {"200": {description: The pictures.}}
"""
GATEWAYS: Final = registry.find_gateways([str(TESTS / "data" / "odd-gateway.yaml")])
MISSPELLED: Final = {
    "a field": ("when:\n    n: 1\n    promt: cat", 4, "unknown field 'promt'; did you mean 'prompt'?"),
    "a parameter": ("when: {qualitty: hd}", 2, "unknown field 'qualitty'; did you mean 'quality'?"),
    "a dotted field": ("when: {promts.x: cat}", 2, "unknown field 'promts'; did you mean 'prompt'?"),
    "an upload": ("when:\n    uploads.image.widht: 3", 3, "unknown field 'widht' of an upload; known are name, file"),
    "a matcher": ("when: {user: {containz: x}}", 2, "unknown matcher 'containz'; did you mean 'contains'?"),
    "a gateway": (
        "when:\n    gateway: [openai, nope]",
        3,
        'gateway is "nope"; expected one of aiai, ark, azure, ezmodel, geekai,',
    ),
    "a gateway's slip": ("when: {gateway: {not: opnai}}", 2, "did you mean 'openai'?"),
}


@pytest.mark.parametrize("name", MISSPELLED)
def test_a_word_that_no_gateway_knows_is_refused(name: str) -> None:
    """What is nearly a known field, and a gateway that is not there, is refused at its line with the nearest word."""
    text, line, message = MISSPELLED[name]
    scenario = loader.parse_scenario(f"rules:\n- {text}\n  answers: draw", "script.yaml")
    with pytest.raises(yaml_file.InvalidFile) as caught:
        loader.check_words(scenario, GATEWAYS)
    assert str(caught.value).startswith(f"script.yaml:{line}: ")
    assert message in str(caught.value)


def test_a_field_that_no_gateway_has_is_a_finding() -> None:
    """It is like no known field, so it may be meant; each is told once."""
    scenario = loader.parse_scenario(
        "rules: [{when: {sharpness: 3, lights.left: 1, lights.right: 1}, answers: draw}]", "script.yaml"
    )
    assert [("unknown_field", "sharpness"), ("unknown_field", "lights")] == [
        (one.code, one.param) for one in loader.check_words(scenario, GATEWAYS)
    ]
    told = "rule 'rule-1' asks for 'sharpness', which no model of any known gateway has"
    assert told == loader.check_words(scenario, GATEWAYS)[0].message


def test_a_field_of_the_outcome_is_named_as_one_of_verify() -> None:
    """A rule is chosen before there is a status, so that none can ask for it."""
    scenario = loader.parse_scenario("rules: [{when: {status: 200}, answers: draw}]", "script.yaml")
    (finding,) = loader.check_words(scenario, GATEWAYS)
    assert ("unknown_field", True) == (finding.code, "known only after the answer" in finding.message)


def test_a_parameter_of_a_gateway_of_ones_own_is_known(tmp_path: Path) -> None:
    """What a file of --schema describes is known, and so is the gateway itself; without the file they are not."""
    path = tmp_path / "own.yaml"
    path.write_text(OWN_GATEWAY, "utf-8")
    gateways = registry.find_gateways([str(path)])
    scenario = loader.parse_scenario("rules: [{when: {gateway: own, promptly: 1, sharpness: 1}, answers: draw}]", "x")
    assert () == loader.check_words(scenario, gateways)
    with pytest.raises(yaml_file.InvalidFile, match='gateway is "own"; expected one of'):
        loader.check_words(scenario, registry.find_gateways(()))


def test_the_schema_lists_the_parameters_of_every_gateway() -> None:
    """An editor completes them, and the loader takes them for known, without asking a gateway."""
    shipped = [gateway for gateway in GATEWAYS.values() if gateway.name != "odd-gateway"]
    observed = [registry.load_behavior(gateway.name, "observed") for gateway in shipped]
    gateways = [gateway for gateway in (*shipped, *observed) if gateway is not None]
    assert {*loader.find_parameters(gateways), *matching.CALL_FIELDS} == loader.list_parameters()
    uploads = SCHEMA["$defs"]["upload"]["then"]["properties"]
    assert sorted(matching.UPLOAD_FIELDS) == sorted(uploads)


def test_the_schema_lists_the_members_of_every_reply() -> None:
    """Each member that a gateway's reply, its pictures and its events have can be set or left out."""
    drawn = SCHEMA["$defs"]["draw"]["anyOf"][1]["properties"]
    for gateway in GATEWAYS.values():
        for rules in loader.find_rules([gateway]):
            shape = rules.response
            members = {*shape.fields, *shape.data_fields, *(shape.body or ()), *(shape.item or ()), "metadata"}
            members |= {f"usage.{name}" for name in shape.usage_body or ()}
            if shape.stream is not None:
                stream = shape.stream
                events = (stream.partial, stream.finished, stream.failed, stream.last, stream.error)
                members |= {name for event in events if event is not None for name in event.data}
            assert members <= {*drawn["omit"]["items"]["else"]["enum"]}
            assert {*shape.usage_fields} <= {*drawn["usage"]["properties"]}
            assert {*shape.usage_details} <= {*SCHEMA["$defs"]["tokens"]["properties"]}
    observed = [registry.load_behavior(gateway.name, "observed") for gateway in GATEWAYS.values()]
    for gateway in (one for one in observed if one is not None):
        tasks = gateway.document.root.get("x-emulator-tasks", {})
        members = {member for state in tasks.values() if isinstance(state, dict) for member in state}
        assert members <= {*drawn["omit"]["items"]["else"]["enum"]}


@pytest.mark.parametrize("name", list_ready_made())
def test_a_ready_made_scenario_keeps_the_schema(name: str) -> None:
    """A server plays them without validating them, so the same scenario must come of the file with validation."""
    path = find_scenarios() / f"{name}.yaml"
    scenario = loader.load_scenario(path)
    assert loader.load_ready_made(name) == scenario
    assert () == loader.check_words(scenario, GATEWAYS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (_answer("refuse: {kind: quota, case: estimat}"), "did you mean 'estimate'?"),
        (_answer("refuse: {kind: quota, case: price}"), "expected one of key, estimate; it is a case of billing"),
        (_answer("refuse: {kind: not_found, case: key}"), "not_found has no cases; it is a case of quota"),
        (_rule("answers: draw, when: {uploads: {imag: {width: 3}}}"), "or count; did you mean 'image'?"),
        (_rule("answers: draw, when: {uploads: {maks: {width: 3}}}"), "or count; did you mean 'mask'?"),
        (
            "rules:\n\t- answers: draw\n",
            "script.yaml:2: a tab cannot start any token: YAML takes blanks only, so indent",
        ),
        ("rules:\n  - answers: draw\n\t  chance: 1\n", "script.yaml:3: a tab cannot start any token: YAML takes"),
    ],
)
def test_a_slip_is_told_with_what_is_near(text: str, told: str) -> None:
    """A case of another kind, a misspelled upload, and a tab, which an editor shows like blanks."""
    with pytest.raises(yaml_file.InvalidFile) as caught:
        loader.parse_scenario(text, "script.yaml")
    assert told in str(caught.value)
