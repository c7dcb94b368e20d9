"""Names that are the same in every run: Python's own `hash` of a text differs from process to process."""

from __future__ import annotations

import hashlib


def stable_id(text: str) -> str:
    """16 hexadecimal digits that stand for `text`, for keys and session names."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
