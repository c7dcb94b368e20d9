"""Makes the store that the settings ask for."""

from __future__ import annotations

from emulator.image.encoder import name_encoder
from emulator.session.events import Events, Journals
from emulator.session.store import InMemoryStore, SharedStore, Store, StoreLimits, StoreLost
from emulator.settings import LOCAL_STORE, Settings, UsageError


def make_events(store: Store, journals: Journals) -> Events:
    """Return the events of a server with `store`: where that is shared, listeners hear of other servers' calls too."""
    if not store.is_shared:
        return Events(journals=journals)
    from emulator.session.shared_events import SharedEvents

    if isinstance(store, SharedStore):
        return SharedEvents(store, journals)
    return Events(journals=journals)


def describe_store(settings: Settings) -> str:
    """Return where sessions are kept, without user and password."""
    if settings.store is None:
        return "in the memory of this process"
    from emulator.session.redis_address import parse_address

    return parse_address(settings.store).shown


def check_store(settings: Settings) -> str | None:
    """Connect to the store that the settings name, and leave it again; return what is wrong, None where nothing is."""
    import asyncio

    async def connect() -> str | None:
        store = make_store(settings)
        try:
            await store.open()
        except StoreLost as error:
            return f"{describe_store(settings)}: {error}"
        await store.close()
        return None

    try:
        return asyncio.run(connect())
    except UsageError as error:
        return str(error)


def make_store(settings: Settings) -> Store:
    """Return the store that the settings name; raises UsageError where it cannot be one, in one line."""
    limits = StoreLimits(
        calls=settings.journal_entries,
        bytes=settings.journal_bytes,
        sessions=settings.sessions,
        age=settings.session_age,
        upload_bytes=settings.upload_bytes,
    )
    if settings.store is None:
        return InMemoryStore(limits)
    if settings.store == LOCAL_STORE:
        raise UsageError("--store local: the command serve alone starts a Redis")
    from emulator.session.redis_address import parse_address  # few servers share what they keep

    try:
        address = parse_address(settings.store)
    except ValueError as error:
        raise UsageError(f"--store: (not shown): {error}") from None
    try:
        from emulator.session.redis_store import RedisStore
    except ImportError:
        command = "pip install 'image-api-emulator[redis]'"
        raise UsageError(f"--store {address.shown}: the client for Redis is not installed; {command}") from None
    return RedisStore(address, limits, name_encoder() or "nothing")
