"""Sessions whose time has come, as handles meet them: what has expired does not exist, and makes way for a new one."""

from __future__ import annotations

from holdfast.handles.store import Store
from holdfast.operations import expire


async def make_way(store: Store, scope: str) -> bool:
    """Whether no session stands there now: one that has expired is removed, by a commit of its own.

    On the condition that it has expired, so what it removes nobody could see any more.
    """
    head, has_expired = await expire.look(store.work(of_expired="all"), scope)
    if has_expired:
        await expire.remove(store.work(of_expired="all"), scope, head.epoch)
    return has_expired or not head.live
