"""Recognizes refusals for which the request is not to blame: a rate, an account, an upstream that fails.

No rule of a contract can foresee them; a scenario brings them about, with `refuse`. They are compared with the words
that the gateway's error catalog has for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import Formatter
from typing import Any, Final

from emulator.analysis.comparison import ComparedAnswer, MessagePattern, OwnWords
from emulator.core.light_dataclass import dataclass
from emulator.gateway.address_masking import mask_addresses
from emulator.gateway.errors import ErrorCatalog
from emulator.messages import CASES, VIOLATIONS, GatewayError, Kind, Violation


@dataclass(frozen=True)
class Circumstance:
    """A kind of refusal that a scenario can name, perhaps with a case, and the words that a gateway has for it.

    With `is_exact` it was recognized by status, type, code and message alike.
    """

    kind: Kind
    case: str | None
    words: OwnWords
    is_exact: bool = False


class Circumstances:
    """All refusals of the calls of `model` for which no request is to blame, by the words of a gateway.

    `catalog` has the words with which they are compared. They are recognized by its words too, and by those of
    `others`, the catalogs of the same gateway in other behaviors.
    """

    def __init__(self, catalog: ErrorCatalog, model: str | None, others: Sequence[ErrorCatalog]) -> None:
        self._own = _list_circumstances(catalog, model)
        self._known = [(one.words, one) for one in self._own]
        self._blaming: list[OwnWords] = []
        for other in others:
            self._known += [
                (one.words, own) for one, own in zip(_list_circumstances(other, model), self._own, strict=True)
            ]
            self._blaming += _list_blaming(other, model)

    def find(self, recorded: ComparedAnswer) -> Circumstance | None:
        """Return which of them a recorded refusal is; None where it is none.

        Its message tells, else its code, else for some statuses its type.
        """
        words = recorded.words
        best, best_rank = None, 0
        for recognized_by, one in self._known:
            rank = _rank(recorded.status, words, recognized_by)
            if rank > best_rank:
                best, best_rank = one, rank
        if best is None:
            return None
        is_own = best_rank == _SAME and _rank(recorded.status, words, best.words) == _SAME
        if not is_own and any(_rank(recorded.status, words, one) == _SAME for one in self._blaming):
            return None  # the same words are those for a mistake of the call, which is more likely
        return replace(best, is_exact=best_rank == _SAME)


def _list_circumstances(catalog: ErrorCatalog, model: str | None) -> list[Circumstance]:
    found = []
    for kind in _KINDS:
        for case in (None, *CASES.get(kind, ()), *_UNITS.get(kind, ())):
            words: Mapping[str, Any] = {} if case is None else {"case": case}
            own = _read_words(catalog, GatewayError(kind, words=words, model=model))
            played = case if case in CASES.get(kind, ()) else None
            found.append(Circumstance(kind, played, own))
    by_key = _read_words(catalog, GatewayError("forbidden", violation=_KEY, model=model))
    found.append(Circumstance("forbidden", None, by_key))
    return found


def _list_blaming(catalog: ErrorCatalog, model: str | None) -> list[OwnWords]:
    """Return the words of all refusals for a mistake of the call."""
    kinds = [_read_words(catalog, GatewayError(kind, model=model)) for kind in _BLAMING]
    breaches = (one for one in VIOLATIONS if one != _KEY)
    return kinds + [
        _read_words(catalog, GatewayError("invalid_request", violation=one, model=model)) for one in breaches
    ]


def _read_words(catalog: ErrorCatalog, error: GatewayError) -> OwnWords:
    """Return the words that a gateway has for an error, whatever the values in its message."""
    template = catalog.choose_template(error)
    messages = list(template.messages.values())
    if template.relayed and catalog.masked:
        messages = [mask_addresses(message) for message in messages]
    patterns = tuple(filter(None, map(_read_message, messages)))
    return OwnWords(template.status, template.type, template.code, patterns)


def _read_message(template: str) -> MessagePattern | None:
    """Return the pattern of the messages that a template makes; None for one that says hardly anything itself."""
    literals = [""]
    for literal, name, _, _ in Formatter().parse(template):
        literals[-1] += literal
        if name is not None:
            literals.append("")
    if len(literals) > 1 and sum(map(len, literals)) < _SHORTEST:
        return None
    return MessagePattern(tuple(literals))


def _rank(status: int, words: Mapping[str, Any], own: OwnWords) -> int:
    """Return how much a refusal is like `own`: 0 not at all, _SAME but for the values in its message."""
    message, code, kind = words.get("message"), words.get("code"), words.get("type")
    same_code, same_type = code == own.code, kind == own.type
    if "code" not in words:
        same_code = True
    if isinstance(message, str) and any(pattern.fits(message) for pattern in own.messages):
        return _SAME - (not same_code) - (not same_type) - 2 * (status != own.status)
    if code is not None and same_code and str(code) not in _COMMON_CODES:
        return 3 + (status == own.status)
    if status == own.status and same_type and kind is not None and (status in _BLAMELESS or status >= _FIRST_FAILURE):
        return 2
    if status == own.status and status in _ALWAYS_BLAMELESS:
        return 1
    return 0


_KINDS: Final[tuple[Kind, ...]] = (
    "invalid_key", "forbidden", "moderation", "rate_limit", "quota", "billing", "server_error", "upstream_error",
    "overloaded", "upstream_timeout",
)  # fmt: skip
_UNITS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "rate_limit": ("images", "requests", "images_above", "requests_above"),
}
"""The cases that a session's own limits choose."""
_ALWAYS_BLAMELESS: Final = (402, 429)
_BLAMELESS: Final = (401, 403)
_FIRST_FAILURE: Final = 500
_SAME: Final = 9
_KEY: Final[Violation] = "key_in_parts"  # it is the caller's key that is refused, which no recording has
_BLAMING: Final[tuple[Kind, ...]] = ("unknown_model", "retired_model", "invalid_request", "not_found")
_SHORTEST: Final = 8  # characters of a message beside its values
_COMMON_CODES: Final = frozenset({"invalid_request", "invalid_request_error", "invalid_value"})
