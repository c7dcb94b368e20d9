"""Changes the usage in a reply as a scenario wants it, so that its parts still add up wherever the scenario lets them.

A scenario that sets `output_tokens` means a call of another size: the parts of them and the total follow. What it sets
itself stays as it is, and where that no longer adds up, the call has a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final


def override_usage(usage: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return `usage` with the members that are `wanted`; those that depend on them follow.

    >>> override_usage({"output_tokens": 9, "output_tokens_details": {"text_tokens": 1, "image_tokens": 8}},
    ...                {"output_tokens": 5})
    {'output_tokens': 5, 'output_tokens_details': {'text_tokens': 1, 'image_tokens': 4}}
    """
    changed = {**usage, **wanted}
    for name in _SUMS:
        details = f"{name}_details"
        if details not in usage:
            continue
        if name in wanted and details not in wanted:
            changed[details] = _fit_parts(usage[details], wanted[name])
        elif details in wanted and name not in wanted and set(wanted[details]) >= set(usage[details]):
            changed[name] = _add_up(wanted[details].values(), usage[name])
    if "total_tokens" in usage and "total_tokens" not in wanted:
        changed["total_tokens"] = _add_up((changed.get(name) for name in _SUMS), usage["total_tokens"])
    return changed


def find_wrong_sums(usage: Any) -> Iterator[str]:
    """Yield, in words, each sum in `usage` that its parts do not add up to; what is not there is not wrong."""
    if not isinstance(usage, Mapping):
        return
    for name in _SUMS:
        details = usage.get(f"{name}_details")
        if name in usage and isinstance(details, Mapping) and _add_up(details.values(), None) != usage[name]:
            yield f"{name} is {usage[name]!r}, and its details are {dict(details)!r}"
    if all(name in usage for name in (*_SUMS, "total_tokens")):
        parts = [usage[name] for name in _SUMS]
        if _add_up(parts, None) != usage["total_tokens"]:
            yield f"total_tokens is {usage['total_tokens']!r}, and its parts are {parts[0]!r} and {parts[1]!r}"


def _fit_parts(parts: Any, total: Any) -> Any:
    """Return `parts` changed so that they add up to `total`: the largest takes the difference, as far as it can."""
    if not isinstance(parts, Mapping) or not _is_count(total) or not all(map(_is_count, parts.values())):
        return parts
    fitted = dict(parts)
    left = total - sum(fitted.values())
    for name in sorted(fitted, key=lambda name: fitted[name], reverse=True):
        taken = max(left, -fitted[name])
        fitted[name] += taken
        left -= taken
    return fitted


def _add_up(parts: Any, otherwise: Any) -> Any:
    """Return the sum of `parts`; `otherwise` where one of them is no number of tokens."""
    parts = list(parts)
    if not all(map(_is_count, parts)):
        return otherwise
    return sum(parts)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_SUMS: Final = ("input_tokens", "output_tokens")
