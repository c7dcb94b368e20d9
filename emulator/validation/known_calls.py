"""Keeps what the validation of a call has given, for the next call that differs from it in free texts alone.

A free text is a parameter of which every schema that may see it (the gateway's own, its upstream's, its maker's) checks
no more than a TextRule, and which no other step of the validation reads. What a call is validated by is its key: the
names, values and types of its parameters in the body's order, its Content-Type, and the parts of its context. A free
text that keeps its TextRule stands in the key as TEXT; one that breaks it, and everything else, stands there as it is.
Calls with the same key have the same verdict: a Call, into which the texts are put, or a GatewayError. A verdict is not
kept where it tells of a free text, or where its key is large; and what is not in a key (forms, uploads, bodies that are
unreadable or give a key twice) is never looked up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from emulator.core.light_dataclass import dataclass
from emulator.findings import Finding
from emulator.messages import Call, GatewayError, Request
from emulator.validation.draft import ValidationContext
from emulator.validation.schema_parts import TextRule

MOST_KEPT: Final = 1024  # verdicts for each operation, of some 3 kB each; those of one client are a dozen
_MOST_NAMES: Final = 64  # parameters of a call that is kept; no gateway knows so many
_LONGEST_KEPT: Final = 128  # characters of a name or a value in a key
_LONGEST_KEY: Final = 1000  # characters of all texts in a key; with them a verdict has the 3 kB of MOST_KEPT
_LARGEST_KEPT: Final = 2**63  # of a number in a key

TEXT: Final = object()
"""Stands in a key for a free text that keeps its TextRule."""

Key = tuple[Any, ...]


class FreeText(NamedTuple):
    """A parameter that is a free text, and its TextRule; `find_banned`, if any, finds what may not be in it."""

    name: str
    shortest: int
    longest: float
    find_banned: Callable[[str], object] | None

    def allows(self, text: str) -> bool:
        """Whether `text` keeps the TextRule."""
        if not self.shortest <= len(text) <= self.longest:
            return False
        return self.find_banned is None or not self.find_banned(text)


@dataclass(frozen=True, slots=True)
class KnownCall:
    """A verdict that accepts: the fields of its Call without the texts, and the names of the texts to put in.

    `in_effective` is None where `effective` and `params` are the same mapping. `renamed` are the texts that `effective`
    has under OpenAI's name too: that name, and the gateway's own.
    """

    fields: Mapping[str, Any]
    in_params: tuple[str, ...]
    in_effective: tuple[str, ...] | None
    renamed: tuple[tuple[str, str], ...] = ()

    def build(self, body: Mapping[str, Any]) -> Call:
        """Return the call that `body` is.

        It sets all fields at once, in 0.4 microseconds; `Call(…)` and `replace` take 2 to 3, a good part of a call.
        """
        params = self.fields["params"].copy()
        for name in self.in_params:
            params[name] = body[name]
        effective = params
        if self.in_effective is not None:
            effective = self.fields["effective"].copy()
            for name in self.in_effective:
                effective[name] = body[name]
            for meaning, name in self.renamed:
                effective[meaning] = body[name]
        call = object.__new__(Call)
        fields = {**self.fields, "given": body, "params": params, "effective": effective}
        object.__setattr__(call, "__dict__", fields)
        return call


@dataclass(frozen=True, slots=True)
class KnownRefusal:
    """A verdict that refuses: the fields of its GatewayError."""

    fields: Mapping[str, Any]

    def build(self, body: Mapping[str, Any]) -> Call:
        """Raise the error, a new one each time, because whoever raises an error writes its traceback into it."""
        error = GatewayError.__new__(GatewayError)
        error.__dict__.update(self.fields)
        raise error


class FreeVerdict(NamedTuple):
    """The verdict on all calls that differ in the text of one parameter alone, if `text` allows that."""

    known: KnownCall | KnownRefusal
    text: FreeText


class KnownCalls:
    """The verdicts on calls of one operation, which takes JSON without pictures."""

    def __init__(
        self,
        find_free_texts: Callable[[str | None], tuple[FreeText, ...]],
        *,
        models: Iterable[str],
        default: str | None,
        hints: Iterable[str],
        model_name: str = "model",
    ) -> None:
        """`find_free_texts` returns the free texts of one of `models`, and for None of all other calls.

        `default` is the model of a call that names none and gives none of the parameters `hints`; None: that depends.
        `model_name` is the parameter that names the model.
        """
        self._model_name = model_name
        self._find_free_texts = find_free_texts
        self._models = frozenset(models)
        self._default = default
        self._hints = frozenset(hints)
        self._free_texts: dict[str | None, tuple[FreeText, ...]] = {}
        self._kept: dict[Key, KnownCall | KnownRefusal] = {}
        self._passed: dict[Key, bool] = {}

    def build_key(self, request: Request, context: ValidationContext, beside: str) -> Key | None:
        """Return the key of a call, None where it has none; `beside` is a text on which its verdict depends too."""
        body = request.json
        if body.__class__ is not dict or request.trouble is not None or request.duplicates or request.uploads:
            return None
        values = body.copy()
        for name, shortest, longest, find_banned in self._list_free_texts(body):
            text: Any = values.get(name)
            has_good_length = text.__class__ is str and shortest <= len(text) <= longest
            if has_good_length and (find_banned is None or not find_banned(text)):
                values[name] = TEXT
        today = context.today
        return (
            tuple(values),
            tuple(values.values()),
            tuple(map(type, values.values())),  # 1, 1.0 and true are equal, and three values
            request.headers.get("Content-Type"),
            beside,
            context.report_only,
            context.defers_upstream,
            context.channels,
            None if today is None else (today.day, today.legacy),
        )

    def _list_free_texts(self, body: Mapping[str, Any]) -> tuple[FreeText, ...]:
        """Return the free texts of a call."""
        model = body.get(self._model_name)
        if model.__class__ is not str or model not in self._models:
            model = None
            if self._model_name not in body and self._hints.isdisjoint(body):
                model = self._default
        free_texts = self._free_texts.get(model)
        if free_texts is None:
            free_texts = self._free_texts[model] = self._find_free_texts(model)
        return free_texts

    def find_free_verdict(self, request: Request, key: Key, name: str) -> FreeVerdict | None:
        """Return the verdict on `request`, which has `key`, where the text of the parameter `name` does not change it.

        None where there is no verdict yet, or where it may.
        """
        known = self.find(key)
        if known is None or name not in _list_texts(key):
            return None
        for text in self._list_free_texts(request.json):
            if text.name == name:
                return FreeVerdict(known, text)
        return None

    def find(self, key: Key) -> KnownCall | KnownRefusal | None:
        """Return the verdict for `key`; None where there is none yet, or where a value cannot be looked up."""
        try:
            return self._kept.get(key)
        except TypeError:  # a list or an object as a value
            return None

    def keep_call(self, key: Key, call: Call) -> None:
        """Keep a verdict that accepts, without its texts."""
        texts = _list_texts(key)
        if not _is_small(key) or _tells_of(texts, call.findings):
            return
        in_params = tuple(name for name in texts if name in call.params)
        in_effective = None
        renamed: list[tuple[str, str]] = []
        if call.effective is not call.params:
            renamed = [(meaning, name) for meaning, name in call.own_names.items() if name in texts]
            renamed = [pair for pair in renamed if pair[0] in call.effective]
            in_effective = tuple(name for name in texts if name in call.effective)
        blank = dict.fromkeys([*texts, *(meaning for meaning, _ in renamed)], "")
        fields = dict(call.__dict__)
        for part in ("params", "effective"):
            fields[part] = {name: blank.get(name, value) for name, value in fields[part].items()}
        fields["given"] = None
        self._keep(key, KnownCall(fields, in_params, in_effective, tuple(renamed)))

    def keep_refusal(self, key: Key, error: GatewayError) -> None:
        """Keep a verdict that refuses."""
        texts = _list_texts(key)
        if not _is_small(key) or _is_inside(error.param or "", texts) or _tells_of(texts, error.findings):
            return
        if isinstance(error.value, dict | list):  # a rule about the body as a whole, with the texts in it
            return
        self._keep(key, KnownRefusal(dict(error.__dict__)))

    def has_passed(self, key: Key) -> bool:
        """Whether it is known that an upstream, which is judged apart from the rest, takes the call."""
        try:
            return key in self._passed
        except TypeError:  # a list or an object as a value
            return False

    def note_passed(self, key: Key) -> None:
        """Note that an upstream takes the call."""
        if _is_small(key):
            if len(self._passed) >= MOST_KEPT:
                self._passed.clear()
            self._passed[key] = True

    def _keep(self, key: Key, verdict: KnownCall | KnownRefusal) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = verdict


def list_free_texts(
    candidates: Iterable[str], seen_by: Iterable[Mapping[str, TextRule | None] | None]
) -> tuple[FreeText, ...]:
    """Return those of the `candidates` that are free texts to all schemas whose rules of texts are in `seen_by`."""
    seen_by = list(seen_by)
    free: list[FreeText] = []
    for name in candidates:
        joined: TextRule | None = TextRule()
        for rules in seen_by:
            found = None if rules is None else rules.get(name, TextRule())
            joined = None if joined is None or found is None else joined.join(found)
        if joined is not None:
            free.append(FreeText(name, joined.shortest, joined.longest, _make_search(joined.banned)))
    return tuple(free)


def _make_search(patterns: Iterable[str]) -> Callable[[str], object] | None:
    """Return a function that searches for all `patterns`; None where there are none."""
    searches = [re.compile(pattern).search for pattern in patterns]
    if not searches:
        return None
    if len(searches) == 1:
        return searches[0]
    return lambda text: any(search(text) for search in searches)


def _list_texts(key: Key) -> list[str]:
    """Return the names of the free texts in a key."""
    return [name for name, value in zip(key[0], key[1], strict=True) if value is TEXT]


def _is_small(key: Key) -> bool:
    """Whether a key can be kept: it is small, and each value in it is equal to none that is told otherwise."""
    names, values, _, content_type, beside, *_ = key
    if len(names) > _MOST_NAMES:
        return False
    parts = (*names, *values, content_type, beside)
    return all(map(_is_small_value, parts)) and sum(len(one) for one in parts if isinstance(one, str)) <= _LONGEST_KEY


def _is_small_value(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_KEPT
    if isinstance(value, float) and value == 0:  # 0.0 or -0.0, which are equal, and which messages tell apart
        return False
    if isinstance(value, int | float):
        return -_LARGEST_KEPT < value < _LARGEST_KEPT
    return value is TEXT or value is None


def _is_inside(param: str, texts: Iterable[str]) -> bool:
    """Whether `param`, such as `style.name`, is one of `texts` or inside of one."""
    return bool(texts) and re.split(r"[.\[]", param)[0] in texts


def _tells_of(texts: Iterable[str], findings: Iterable[Finding]) -> bool:
    """Whether one of `findings` may tell what is in one of `texts`."""
    return any(
        finding.code not in _ABOUT_NAMES and (not finding.param or _is_inside(finding.param, texts))
        for finding in findings
    )


_ABOUT_NAMES: Final = ("unknown_parameter", "parameter_ignored", "deprecated_parameter")
"""The findings that tell of a parameter without its value."""
