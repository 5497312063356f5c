"""Winding up what has ended, once the commit that ended it had no room for all of it."""

from __future__ import annotations

from holdfast.handles.keeper import keeper_of
from holdfast.handles.store import Store
from holdfast.operations.wind_up import Means, wind_up


def means_of(store: Store) -> Means:
    """What winding up is done with in that store."""
    limits = store.limits
    return Means(
        store.work,
        lambda: store.ids.uuid7(store.now_us()),
        limits.operations_max,
        limits.commit_bytes_max // 8,
        store.config.interactions.keep_history,
        store.config.runtime.streaming,
    )


async def wind_up_now(store: Store, scope: str, key: str) -> None:
    """Wind up what stands there, in a call that has ended it already: what fails is tried again until it succeeds, also
    if this task is cancelled, and what this process never comes to is done by a sweep."""
    store = store.limited(None)

    async def clean() -> None:
        await wind_up(means_of(store), scope, key)

    await keeper_of(store).now_or_later(clean)
