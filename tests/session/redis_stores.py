"""Stores in Redis, for tests of the store alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from emulator.session.store import StoreLimits
from tests.redis_server import need_redis

if TYPE_CHECKING:
    from emulator.session.redis_store import RedisStore


@asynccontextmanager
async def open_redis_store(url: str, limits: StoreLimits, encoder: str = "tests") -> AsyncIterator[RedisStore]:
    """A connected store, which is closed behind the block."""
    need_redis()
    from emulator.session.redis_address import parse_address
    from emulator.session.redis_store import RedisStore

    store = RedisStore(parse_address(url), limits, encoder)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
