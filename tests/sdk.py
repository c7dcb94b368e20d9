"""The openai SDK for tests."""

from __future__ import annotations

from typing import Any

import openai


class ImpatientOpenAI(openai.OpenAI):
    """The SDK as it is, but that its pauses between attempts are 20 ms at most."""

    def _calculate_retry_timeout(self, *told: Any, **named: Any) -> float:
        return min(0.02, super()._calculate_retry_timeout(*told, **named))
