"""A call that differs from an earlier one in its prompt alone is answered as if none had come before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.server.app import App
from emulator.server.connection import HttpConnection
from emulator.server.repeated_calls import CallMemory, RepeatedCall
from emulator.settings import Settings
from tests.server.test_calls_under_way import play
from tests.server.test_known_heads import FROZEN, HEAD, URL, Connection, Serve, build_request, feed_pieces

STEADY = ["A cat", "A dog", "A fox", "A cow"]
"""Prompts that let a connection know the shape of a call."""


def write_request(body: bytes, base: str = "ezmodel/v1") -> bytes:
    """Return a request with a body as it is."""
    head = "\r\n".join([*HEAD, f"Content-Length: {len(body)}", "", ""])
    return head.replace("{}", base).encode() + body


def write_requests(template: bytes, literals: Sequence[bytes], base: str = "ezmodel/v1") -> list[bytes]:
    """Return requests with `template`, in which % stands for a JSON text, and each of `literals` in its place."""
    return [write_request(template.replace(b"%", b'"' + literal + b'"'), base) for literal in literals]


@pytest.fixture
def varied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The prompts of the calls that were made of an earlier one."""
    prompts: list[str] = []
    make = RepeatedCall.with_prompt

    def count(self: RepeatedCall, prompt: str, *others: Any) -> RepeatedCall | None:
        made = make(self, prompt, *others)
        if made is not None:
            prompts.append(prompt)
        return made

    monkeypatch.setattr(RepeatedCall, "with_prompt", count)
    return prompts


PLAIN = b'{"model": "dall-e-3", "prompt": %, "size": "1024x1024"}'
TEXTS: dict[str, bytes] = {
    "a text": b"A boat",
    "none": b"",
    "blanks": b"   ",
    "other letters": "Eine Katze, 一只猫, 🐈".encode(),
    "a quote": b'A \\"boat\\"',
    "an escape": b"A boat\\nat sea",
    "half a pair": b"A boat \\ud83d",
    "a backslash at its end": b"A boat\\\\",
    "no UTF-8": b"A boat \xff",
    "a control character": b"A\x01boat",
    "a line feed": b"A\nboat",
    "brackets and colons": b"{[:,]}" * 40,
    "a reserved value": b"A boat [[rate-limit]]",
    "a slip in a reserved value": b"A boat [[rate-limt]]",
    "a long one": b"x" * 1800,
    "another key": b'A", "n": "2',
    "the same key": b'A", "prompt": "B',
}
TEMPLATES: dict[str, tuple[bytes, str]] = {
    "at ezmodel": (PLAIN, "ezmodel/v1"),
    "at openai": (PLAIN, "openai/v1"),
    "at aiai": (b'{"prompt":%,"model":"dall-e-2","size":"256x256"}', "aiai/v1"),
    "at geekai": (b'{"model": "dall-e-3", "prompt" : %}', "geekai/v1"),
    "at geeknow": (PLAIN, "geeknow/v1"),
    "with links at geeknow": (b'{"model": "dall-e-3", "prompt": %, "response_format": "url"}', "geeknow/v1"),
    "refused": (b'{"model": "dall-e-3", "prompt": %, "size": "17x17"}', "ezmodel/v1"),
    "refused at openai": (b'{"model": "dall-e-3", "prompt": %, "n": 3}', "openai/v1"),
    "with a finding": (b'{"model": "dall-e-3", "prompt": %, "promt": "A dog"}', "aiai/v1"),
    "with a user": (b'{"model": "dall-e-3", "user": "prompt", "prompt": %}', "ezmodel/v1"),
    "a key twice": (b'{"prompt": "A hen", "prompt": %}', "ezmodel/v1"),
    "a key twice in another order": (b'{"prompt": %, "prompt": "A hen"}', "ezmodel/v1"),
    "a key inside": (b'{"x": {"prompt": %}, "model": "dall-e-3", "prompt": "A hen"}', "ezmodel/v1"),
    "a key inside alone": (b'{"x": {"prompt": %}, "model": "dall-e-3"}', "ezmodel/v1"),
    "a key in escapes": (b'{"x": {"prompt": %}, "pr\\u006fmpt": "A cat", "model": "dall-e-3"}', "ezmodel/v1"),
    "a text with the key": (b'{"model": "dall-e-3", "user": "\\"prompt\\": ", "prompt": %}', "ezmodel/v1"),
    "a list": (b'[{"prompt": %}]', "ezmodel/v1"),
    "something behind": (b'{"prompt": %} "prompt": "x"', "ezmodel/v1"),
}  # fmt: skip


@pytest.mark.parametrize("behavior", ["documented", "observed"])
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
async def test_both_ways_answer_the_same(
    behavior: Any, template: tuple[bytes, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the byte, for each text in turn, between usual ones and by itself."""
    literals = [prompt.encode() for prompt in STEADY]
    for text in TEXTS.values():
        literals += [text, b"A hen", text]
    requests = write_requests(template[0], literals, template[1])
    written, journals = [], []
    for learns in (False, True):
        monkeypatch.setattr(HttpConnection, "learns_heads", learns)
        app = App(Settings(clock=FROZEN, port=0, behavior=behavior))
        written.append(await feed_pieces(app, requests))
        journals.append([entry.to_json() for entry in await app.sessions.list_calls(await find_session(app)) or ()])
    assert written[0] == written[1]
    assert json.dumps(journals[0]) == json.dumps(journals[1])
    assert len(journals[0]) == len(literals)


async def find_session(app: App) -> str:
    """Return the session in which the calls are."""
    session = await app.sessions.find_latest()
    return session or "default"


@pytest.mark.parametrize("template", ["at ezmodel", "refused", "with a finding"])
async def test_calls_with_other_prompts_are_made_of_the_first(template: str, varied: list[str]) -> None:
    requests = write_requests(TEMPLATES[template][0], [one.encode() for one in STEADY], TEMPLATES[template][1])
    written = await feed_pieces(App(Settings(port=0)), [*requests, *requests])
    assert written.count(b"HTTP/1.1 ") == 8
    assert varied == ["A cow", "A cat", "A dog", "A fox", "A cow"]


@pytest.mark.parametrize("template", ["with a user", "a text with the key", "a key inside", "a key twice"])
async def test_bodies_in_which_the_prompt_could_be_elsewhere_are_always_parsed(
    template: str, varied: list[str]
) -> None:
    """A backslash, or the name of the key in another place, is enough."""
    requests = write_requests(TEMPLATES[template][0], [one.encode() for one in STEADY], TEMPLATES[template][1])
    await feed_pieces(App(Settings(port=0)), [*requests, *requests])
    assert not varied


@pytest.mark.parametrize("name", [
    "a quote", "an escape", "no UTF-8", "a control character", "a reserved value", "a slip in a reserved value",
    "another key", "the same key",
])  # fmt: skip
async def test_these_prompts_are_read_in_the_usual_way(name: str, varied: list[str]) -> None:
    requests = write_requests(PLAIN, [*(one.encode() for one in STEADY), TEXTS[name]])
    await feed_pieces(App(Settings(port=0)), requests)
    assert varied == ["A cow"]


@pytest.mark.parametrize("prompt", ["", "x" * 1001])
async def test_a_prompt_that_breaks_a_rule_is_refused(prompt: str, varied: list[str]) -> None:
    """The maker's model takes up to 1,000 characters."""
    template = b'{"model": "dall-e-2", "prompt": %, "size": "256x256", "response_format": "url"}'
    literals = [one.encode() for one in [*STEADY, prompt]]
    written = await feed_pieces(App(Settings(port=0)), write_requests(template, literals))
    assert written.count(b"HTTP/1.1 200 OK") == 4
    assert written.count(b"HTTP/1.1 400 Bad Request") == 1
    assert varied == ["A cow"]


def test_a_rule_on_prompts_sees_each_of_them(serve: Serve, varied: list[str]) -> None:
    served = serve()
    play(served, {"rules": [{"when": {"prompt": {"contains": "dog"}}, "answers": {"refuse": "moderation"}}]})
    with Connection(served) as connection:
        answers = [
            connection.ask(build_request({**URL, "prompt": prompt}, base="s/case/ezmodel/v1"))[9:12]
            for prompt in ["A cat", "A cow", "A hen", "A dog", "A fox"]
        ]
    assert answers == [b"200", b"200", b"200", b"400", b"200"]
    assert varied == ["A dog", "A fox"]
    assert [call["given"]["prompt"] for call in served.calls("case")][-2:] == ["A dog", "A fox"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text() | st.just("prompt"), values, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(body=st.dictionaries(st.sampled_from(["prompt", "user", "x"]), JSON), prompts=st.lists(st.text(), max_size=4))
async def test_any_body_is_answered_the_same(body: dict[str, Any], prompts: list[str]) -> None:
    """With any prompt, as JSON that escapes what it need not, and as JSON that does not."""
    bodies = []
    for prompt in [*STEADY[:3], *prompts]:
        for escapes in (False, True):
            text = json.dumps({**body, "prompt": prompt, "model": "dall-e-3"}, ensure_ascii=escapes)
            bodies.append(text.encode("utf-8", "surrogatepass"))
    requests = [write_request(one) for one in bodies]
    written = []
    try:
        for learns in (False, True):
            HttpConnection.learns_heads = learns
            written.append(await feed_pieces(App(Settings(clock=FROZEN, port=0)), requests))
    finally:
        HttpConnection.learns_heads = True
    assert written[0] == written[1]


def test_a_memory_is_bounded() -> None:
    memory = CallMemory()
    for number in range(1000):
        memory.begin(b'{"prompt": "A", "user": "%d"}' % number, {})
        memory.end()
    assert len(memory._by_body) <= 8
    assert len(memory._by_shape) <= 8
    memory.begin(b"x" * 5000, {})
    assert not memory.wants_call
    memory.clear()
    assert not memory._by_body
    assert not memory._by_shape
