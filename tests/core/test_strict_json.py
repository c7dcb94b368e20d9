"""The one door for JSON: what the standard allows comes in, everything else is BadJson and no other exception.

The files of JSONTestSuite say themselves what is to happen: y_ must be accepted, n_ refused, the others are open.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any, Final

import pytest

from emulator.core.strict_json import DEEPEST, MOST_VALUES, BadJson, parse_json, take_json
from tests.json_suite import read_suite


def outcome(body: bytes) -> str:
    """What becomes of `body`: accepted or refused; every exception but BadJson goes through."""
    try:
        parse_json(body)
    except BadJson:
        return "refused"
    return "accepted"


def test_the_whole_suite_is_here() -> None:
    """A copy that lost files would pass everything else."""
    assert (95, 188, 318) == (len(read_suite("y_")), len(read_suite("n_")), len(read_suite("")))


def test_what_is_json_is_accepted() -> None:
    """Every y_ file is read, as the standard library reads it."""
    wrong = {name: body for name, body in read_suite("y_").items() if outcome(body) != "accepted"}
    assert {} == wrong
    assert {name: json.loads(body) for name, body in read_suite("y_").items()} == {
        name: parse_json(body)[0] for name, body in read_suite("y_").items()
    }


def test_what_is_no_json_is_refused() -> None:
    """Every n_ file is refused."""
    assert {} == {name: body[:80] for name, body in read_suite("n_").items() if outcome(body) != "refused"}


@pytest.mark.parametrize("name", [name for name in read_suite("") if name[:2] not in ("n_", "y_")])
def test_what_the_standard_leaves_open_ends_well(name: str) -> None:
    """Either verdict will do, as long as it is one, and what is accepted can be written down again."""
    body = read_suite("")[name]
    if outcome(body) == "accepted":
        json.dumps(parse_json(body)[0], ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"NaN", b"-NaN", b"Infinity", b"-Infinity", b'{"n":NaN}', b"[Infinity]",
        b"1e400", b"-1e400", b"[1.5e999999999]", b"1" * 310 + b".0",
        b"9" * 5000, b"-" + b"9" * 5000, b'{"n":' + b"9" * 4301 + b"}",
        rb'"\ud800"', rb'"\uDFFF"', rb'"\udc00\ud800"', rb'{"\ud83d":1}', rb'[["a\uDBFFb"]]', rb'"\ud83d\u0041"',
        b'\xef\xbb\xbf{}', "{}".encode("utf-16"), "{}".encode("utf-16-le"), "{}".encode("utf-32"),
        b"\xff", b'"\xe9"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'{"\xff":1}', b'"\xe2\x82"',
        b"", b" ", b"\x00", b"{}\x00", b"\x0b{}", b"\x0c{}", b"\xc2\xa0{}", "٣".encode(), "[１]".encode(),
        b"0x10", b"1_000",
        b'"a\nb"', b'"a\x00b"', b"'a'", b"{'a':1}", b"{a:1}", b"[1,]", b'{"a":1,}', b"// x\n{}", b"/**/{}", b"+1",
        b"01",
        b".5",
        b"5.", b"True", b"None", b'"\\x41"', b'"\\', b'"', b"{}{}", b'{"a"}', b"[" * 100_000,
        b'{"a":' * 100_000, b"]" * 1000,
    ],
)  # fmt: skip
def test_what_python_or_habit_would_let_by_is_refused(body: bytes) -> None:
    """Neither the library's leniency nor its own limits show: it is BadJson, with one line that says why."""
    with pytest.raises(BadJson) as caught:
        parse_json(body)
    assert 1 == len(str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b" \t\r\n{}\n", {}),
        (b"0", 0),
        (b"-0", 0),
        (b"1E5", 100000.0),
        (b"1e-400", 0.0),
        (b"9" * 4000, int("9" * 4000)),
        (b"1.0", 1.0),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\uD83D\uDE00 \ud83d\ude00"', "😀 😀"),
        (rb'"\\ud800"', r"\ud800"),
        (rb'"\u0000"', "\0"),
        ('"\u2028\u2029\ufeff\x7f"'.encode(), "\u2028\u2029\ufeff\x7f"),
        (b"null", None),
        (b'{"":{"":[]}}', {"": {"": []}}),
        (b'{"__proto__":{"a":1}}', {"__proto__": {"a": 1}}),
    ],
)
def test_what_is_odd_but_json_is_read(body: bytes, expected: Any) -> None:
    """Strict is not narrow: nothing that the standard allows is lost."""
    value, duplicates = parse_json(body)
    assert (expected, ()) == (value, duplicates)
    assert type(expected) is type(value)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_depth_is_bounded(opening: bytes, closing: bytes) -> None:
    """64 levels are read, one more is refused, whatever brackets they are made of."""
    steps = opening.count(b"[") + opening.count(b"{")
    fits = DEEPEST // steps
    assert DEEPEST == 64
    assert "accepted" == outcome(opening * fits + b"1" + closing * fits)
    assert "refused" == outcome(opening * (fits + 1) + b"1" + closing * (fits + 1))
    assert "refused" == outcome(b"[" + opening * fits + b"1" + closing * fits + b"]")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps("[" * 1000 + "{" * 1000).encode(),
        json.dumps({"[" * 200: "]" * 200}).encode(),
        json.dumps(['"[' * 200, "\\[" * 200, '\\"{' * 200, "\\"]).encode(),
        json.dumps([[]] * 1000).encode(),
        json.dumps([{"a": [1]}] * 1000).encode(),
        json.dumps({"prompt": "[[[" * 30, "n": [[1]]}).encode(),
    ],
)
def test_only_brackets_that_nest_count(body: bytes) -> None:
    """Brackets inside strings, and many beside each other, are no depth."""
    assert (json.loads(body), ()) == parse_json(body)


def test_brackets_do_not_hide_behind_strings() -> None:
    """A string that seems to be open does not keep the walk from seeing what comes after it."""
    deep = b"[" * 65 + b"]" * 65
    for text in (b'"\\\\"', b'"\\""', b'"]]]]"', b'"' + b"\\\\" * 50 + b'"', '"é"'.encode(), b'""'):
        assert "refused" == outcome(b"[" + text + b"," + deep + b"]")


@pytest.mark.parametrize(
    ("body", "expected", "twice"),
    [
        (b'{"n":1,"n":2}', {"n": 2}, ("n",)),
        (b'{"n":1,"n":2,"n":3}', {"n": 3}, ("n",)),
        (b'{"a":1,"b":2,"b":3,"a":4}', {"a": 4, "b": 3}, ("a", "b")),
        (b'{"x":{"n":1,"n":2},"y":[{"n":1,"n":1}]}', {"x": {"n": 2}, "y": [{"n": 1}]}, ("n",)),
        (rb'{"a":1,"\u0061":2}', {"a": 2}, ("a",)),
        ('{"é":1,"e\u0301":2}'.encode(), {"é": 1, "e\u0301": 2}, ()),
        (b'{"n":1,"N":2}', {"n": 1, "N": 2}, ()),
        (b'{"a" :1,"a": 2,"b":":"}', {"a": 2, "b": ":"}, ("a",)),
        (b'{"a":"\\":","b":1}', {"a": '":', "b": 1}, ()),
        (b'{"a":1,"b":{"c":1,"c":2}}', {"a": 1, "b": {"c": 2}}, ("c",)),
        (b'{"n":1,"n":2,"pad":"' + b"x" * 20_000 + b'"}', {"n": 2, "pad": "x" * 20_000}, ("n",)),
        (b'[{"n":1},{"n":2}]', [{"n": 1}, {"n": 2}], ()),
    ],
)
def test_keys_given_twice_are_reported(body: bytes, expected: Any, twice: tuple[str, ...]) -> None:
    """The last one counts, and the caller learns which keys came twice, each once."""
    assert (expected, twice) == parse_json(body)


@pytest.mark.parametrize("inside", [b"a", b"[", b'\\"', "é".encode()])
def test_the_walk_over_the_brackets_is_cheap(inside: bytes) -> None:
    """Finding the depth of a megabyte takes no more than a few of them."""
    body = b"[" + b"[]," * 70 + b'"' + inside * (2**20 // len(inside)) + b'"]'
    tracemalloc.start()
    try:
        parse_json(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


FEW: Final = 2**13  # values; counting to the default bound is sixteen times slower, and no different


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"0," * (FEW + 1) + b"0]",
        b"[" + b"{}," * FEW + b"{}]",
        b"{" + b'"a":1,' * FEW + b'"a":1}',
        b"[" * 60 + b'"a","\\"",' * FEW,
        b'["' + b"x" * 2**20 + b'",' + b"1," * FEW + b"1]",
    ],
    ids=["numbers", "objects", "keys", "broken", "behind a long text"],
)
def test_values_are_counted_before_they_are_built(body: bytes) -> None:
    """A body with too many values and keys is refused, and needs no memory for them."""
    tracemalloc.start()
    try:
        with pytest.raises(BadJson, match=r"^more than 8192 values and keys$"):
            parse_json(body, FEW)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"0," * (MOST_VALUES - 1) + b"0]",
        b'["' + b"[{,:}]" * MOST_VALUES + b'"]',
        b'["' + b'\\"[{,:}]\\\\' * MOST_VALUES + b'", "' + b"," * MOST_VALUES + b'"]',
        b'["' + b"x" * 2**21 + b'", ["\\\\"], "\\u002B"]',
        b" " * 2**21 + b"[1]",
    ],
    ids=["at the limit", "in a text", "in a text with escapes", "large", "blanks"],
)
def test_only_what_is_outside_of_texts_counts(body: bytes) -> None:
    """Brackets, commas and colons inside of texts are no values, whatever stands before them."""
    assert json.loads(body) == parse_json(body)[0]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: b'["\\ud83d\\ude00' + b"x" * 33 * 2**20 + b'"]', "outside ASCII"),
        (lambda: ('["😀' + "x" * 33 * 2**20 + '"]').encode(), "outside ASCII"),
        (lambda: b'["\\u002B' + b"x" * 33 * 2**20 + b'"]', None),
        (lambda: b'["\\ud83d\\ude00", "' + b"x" * 33 * 2**20 + b'"]', None),
        (lambda: b'["' + b"x" * 2**20 + b'\\ud83d"]', "surrogates not allowed"),
        (lambda: b'["' + b"\\" * (2**20 + 1), "Unterminated string"),
        (lambda: b'["' + b"\\" * (2**20 + 1) + b'"', "Unterminated string"),
    ],
    ids=["escapes", "UTF-8", "ASCII as an escape", "in another text", "half a pair", "backslashes", "and a quote"],
)
def test_large_texts(make: Callable[[], bytes], why: str | None) -> None:
    """A text that would need four times its bytes is refused; a large one of ASCII is read."""
    body = make()
    if why is None:
        assert json.loads(body) == parse_json(body)[0]
    else:
        with pytest.raises(BadJson, match=why):
            parse_json(body)


def test_the_bytes_are_given_up() -> None:
    """`take_json` takes the body out of the list, so that it can be freed."""
    owned = [b"[1]"]
    assert ([1], ()) == take_json(owned)
    assert [] == owned
