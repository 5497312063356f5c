"""Sessions that are too many: another one was created or opened again, so the configuration has some ended.

They are ended after the new one is there, never before: a crash in between leaves one more than there should be, which
the next creation or, of all, the next sweep makes good.

To know how many are open is to count them, up to `live_max` index entries. As long as there is much room this process
counts once for many creations: a sixteenth of the room it saw.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from holdfast.errors import NotFound
from holdfast.handles.keeper import Keeper, keeper_of
from holdfast.handles.store import Store
from holdfast.handles.unit import Alone, Target
from holdfast.kernel.commit import Cell, Found
from holdfast.kernel.work import Work
from holdfast.model.session import SessionRecord
from holdfast.operations import displace
from holdfast.services import claim, session

COUNTED_FOR = 16
"""One creation in so many that there is room for need not count."""

Became = Literal["ended", "gone", "held", "moved"]
"""What became of a session that was to end: it was, somebody else had ended it, or it is held or was written to."""


class Room:
    """How many sessions may be created in this loop before they are counted again."""

    def __init__(self) -> None:
        self.left = 0

    async def close(self) -> None:
        """There is nothing to close."""


async def arrived(store: Store, record: SessionRecord) -> SessionRecord:
    """The record of a new session with its place among those of its user, where that is of importance."""
    if store.config.session.max_per_user is None or record.user is None:
        return record
    arrival_us = await session.arrival_us(store.work(), record.user, record.created_us)
    return record if arrival_us == record.created_us else replace(record, arrival_us=arrival_us)


async def make_room(store: Store, record: SessionRecord) -> bool:
    """End what is too many since that session was created or opened again; whether it is that session itself.

    What fails is tried again until it succeeds, also if this task is cancelled.
    """
    config = store.config.session
    if config.max_per_user is None and config.live_max is None:
        return False
    store, scope = store.limited(None), session.scope_of(record.id)
    displaced: list[str] = []

    async def clean() -> None:
        if config.max_per_user is not None and record.user is not None:
            for one in await displace.beyond_newest(store.work(), record.user, config.max_per_user):
                if await _end(store, one, "max_per_user") == "ended":
                    displaced.append(one)
        await thin_out(store, but=scope)

    await keeper_of(store).now_or_later(clean)
    return scope in displaced


async def thin_out(store: Store, *, but: str | None = None) -> int:
    """End the least recently active sessions beyond `live_max`, but for that one; returns how many.

    `but` has just been created; without it they are counted in any case.
    """
    most = store.config.session.live_max
    if most is None:
        return 0
    room = store.of_loop(Room, Room, Room.close)
    if but is not None and room.left > 0:
        room.left -= 1
        return 0
    ended = 0
    while True:
        surplus, there = await displace.least_active(store.work(), most)
        room.left = max(-surplus, 0) // COUNTED_FOR
        for found in there:
            if surplus <= 0 or found.scope == but:
                continue
            became = await _end(store, found.scope, "live_max", counted=found)
            if became == "moved":
                break
            ended += became == "ended"
            surplus -= became in ("ended", "gone")
        else:
            return ended


async def _end(store: Store, scope: str, reason: str, *, counted: Found | None = None) -> Became:
    """End a session that is too many: of a user, or of all among which it was `counted`."""
    keeper, id = keeper_of(store), store.ids.uuid7(store.now_us())

    async def stage(work: Work) -> Became:
        claims: list[Cell] = []
        if counted is None:
            before = await displace.open_record(work, scope)
        else:
            before, claims = await displace.counted_record(work, scope)
        if before is None:
            return "gone"
        if await _is_held(keeper, scope, claims):
            return "held"
        if counted is not None and not await displace.is_where_it_was(work, counted):
            return "moved"
        await displace.displace(work, before, id=id, reason=reason)
        return "ended"

    try:
        became, _ = await Alone(store).change(Target(scope, "must_exist"), stage)
    except NotFound:
        return "gone"
    return became


async def _is_held(keeper: Keeper, scope: str, claims: list[Cell]) -> bool:
    for cell in claims:
        if not await keeper.is_dead(scope, cell, claim.decode(cell)):
            return True
    return False
