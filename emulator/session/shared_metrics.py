"""Adds up the metrics of the workers of one server, whichever of them is asked.

Each worker leaves its counts in the store every second. Those of a worker that has died stay, because counters only
grow; the calls that were under way there do not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from emulator.session.metrics import Metrics, add_up
from emulator.session.store import SharedStore, StoreLost


class SharedMetrics:
    """The metrics of one worker, among those of the others in `store`."""

    def __init__(self, store: SharedStore, metrics: Metrics, count_under_way: Callable[[], int]) -> None:
        self._store = store
        self._metrics = metrics
        self._count_under_way = count_under_way
        self._sharing: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to share."""
        self._sharing = asyncio.create_task(self._share_for_ever(), name="metrics")

    async def close(self) -> None:
        """Share the last counts, and end."""
        if self._sharing is not None:
            self._sharing.cancel()
            self._sharing = None
            with suppress(StoreLost):
                await self._share()

    async def add_up(self) -> tuple[str, int]:
        """Return the counts of all workers, and how many calls are under way there.

        Those of other workers may be a second old. While the store is lost, they are those of this worker.
        """
        texts, under_way = [self._metrics.format_text({})], self._count_under_way()
        with suppress(StoreLost):
            for shared in await self._store.list_shared():
                told = json.loads(shared.text)
                texts.append(told["text"])
                if shared.is_there:
                    under_way += told["under_way"]
        return add_up(texts), under_way

    async def _share_for_ever(self) -> None:
        while True:
            with suppress(StoreLost):
                await self._share()
            await asyncio.sleep(_BETWEEN)

    async def _share(self) -> None:
        told = {"text": self._metrics.format_text({}), "under_way": self._count_under_way()}
        await self._store.share_text(json.dumps(told))


_BETWEEN: Final = 1.0  # seconds
