"""How the demo keeps its work, on the public surface of Holdfast alone.

The work is a session; what the follower has seen is kept in a second one, or following would make changes to follow.

    the work      state     plan             what there is to do; fixed at the start, with the list
                            list/000         the names of the files, in pieces
                            file/000017      what was counted in one file: also the mark that it is done
                            totals           the sums over all marks
                  messages  one for each file
                  runtime   done, file       progress, for those who watch
                  events    started, killed, cut, resumed, finished
    the follower  state     seen             cursor, number and digest of the changes: always one commit

A file is counted exactly once because its mark, the sums, its message and the progress are one transaction that
begins by looking for the mark. Whoever dies in it leaves nothing; whoever comes again finds the mark or does it all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from secrets import token_hex
from typing import Any

import msgspec
from msgspec import Struct

from holdfast import Change, Holdfast, NotFound, Session, SessionTransaction
from holdfast.cli.demo.count import Count, Totals
from holdfast.cli.demo.files import Listing, spell

APP = "holdfast-demo"
PIECE_BYTES = 100_000
"""How much of the list one key holds: well below the limit of a value."""

FINISHED = "finished"
"""The event that ends the work: the last thing the follower has to see."""


class Plan(Struct, frozen=True):
    """What there is to do."""

    root: str
    files: int
    bytes: int
    pieces: int
    folders_left_out: int
    links_left_out: int
    others_left_out: int
    capped: str | None
    files_beyond: int = 0


class Seen(Struct, frozen=True):
    """What the follower has seen: how many changes, a digest of all of them in order, and where to go on. `ended`: it
    has seen the one that ends the work."""

    changes: int = 0
    digest: str = ""
    cursor: str | None = None
    ended: bool = False

    def plus(self, change: Change) -> Seen:
        """The same with one more change."""
        line = [change.seq, change.kind, change.op, change.namespace, change.key, change.value]
        text = self.digest.encode() + msgspec.json.encode(line, order="sorted")
        return Seen(self.changes + 1, hashlib.sha256(text).hexdigest(), change.cursor, is_last(change))


def is_last(change: Change) -> bool:
    """Whether this is the change that ends the work."""
    return change.kind == "event" and bool(change.value["type"] == FINISHED)


class Ledger:
    """The two sessions of the first act; the second has one of its own, named after that of the work."""

    def __init__(self, work: Session, follower: Session) -> None:
        self.work = work
        self.follower = follower

    @property
    def release_id(self) -> str:
        """The id of the session of the second act."""
        return f"{self.work.id}-release"

    async def plan(self) -> Plan:
        """What there is to do. Raises NotFound if somebody took the plan away."""
        plan: Plan = await _required(self.work, "plan", Plan)
        return plan

    async def names(self, plan: Plan) -> list[str]:
        """The list of the files, as it was fixed at the start."""
        names: list[str] = []
        for piece in range(plan.pieces):
            names += await _required(self.work, list_key(piece), list[str])
        return names

    async def totals(self) -> Totals:
        """The sums so far."""
        return await self.work.state.get("totals", Totals, default=Totals())

    async def seen(self) -> Seen:
        """What the follower has stored."""
        return await self.follower.state.get("seen", Seen, default=Seen())

    async def finished_at(self) -> datetime | None:
        """When the work was finished; None if it is not. The follower may have some of it to see yet."""
        events = await self.work.events(types={FINISHED}, limit=1)
        return events.items[0].at if events.items else None


async def _required(session: Session, key: str, type: Any) -> Any:
    value = await session.state.get(key, type)
    if value is None:
        raise NotFound(f"the demo's session has lost {key!r}", scope=f"session/{session.id}", key=key)
    return value


def file_key(number: int) -> str:
    """The key under which the count of a file is kept."""
    return f"file/{number:06d}"


def list_key(piece: int) -> str:
    """The key under which a piece of the list is kept."""
    return f"list/{piece:03d}"


def tag_of(root: bytes) -> str:
    """What the demos of one folder have in common."""
    return hashlib.sha256(root).hexdigest()[:16]


async def find(hold: Holdfast, root: bytes) -> Ledger | None:
    """The newest demo of that folder, finished or not."""
    page = await hold.sessions.list(app=APP, mode="work", tag=tag_of(root), limit=1)
    if not page.items:
        return None
    return await ledger_of(hold, page.items[0].id)


async def ledger_of(hold: Holdfast, id: str) -> Ledger:
    """The demo whose work is the session of that id. Raises NotFound."""
    work = await hold.sessions.get(id)
    follower = await hold.sessions.get(f"{id}-follower")
    if work is None or follower is None:
        raise NotFound(f"the demo has lost its session {id}", scope=f"session/{id}")
    return Ledger(work, follower)


async def begin(hold: Holdfast, root: bytes, listing: Listing) -> Ledger:
    """Start a demo: both sessions, the plan and the whole list are one commit, so a list is never half there."""
    pieces = _pieces(listing.names)
    left_out = (listing.folders_left_out, listing.links_left_out, listing.others_left_out)
    plan = Plan(
        spell(root), len(listing.names), listing.bytes, len(pieces), *left_out, listing.capped, listing.files_beyond
    )
    tags = (tag_of(root),)
    id = f"demo-{token_hex(6)}"
    async with hold.transaction() as tx:
        work = await tx.sessions.create(
            id=id,
            app=APP,
            mode="work",
            tags=tags,
            task=f"count the files of {plan.root}",
        )
        await tx.sessions.create(id=f"{id}-follower", app=APP, mode="follower", tags=tags, task="follow the work")
        await work.state.set("plan", plan)
        await work.state.update({list_key(number): piece for number, piece in enumerate(pieces)})
        await work.state.set("totals", Totals())
        await work.runtime.update({"done": 0, "file": ""})
    return await ledger_of(hold, id)


async def remove(hold: Holdfast, ledger: Ledger) -> None:
    """Delete its sessions, at once."""
    async with hold.transaction() as tx:
        for id in (ledger.work.id, ledger.follower.id, ledger.release_id):
            await tx.sessions.delete(id)


def _pieces(names: list[str]) -> list[list[str]]:
    pieces: list[list[str]] = []
    size = PIECE_BYTES
    for name in names:
        if size >= PIECE_BYTES:
            pieces.append([])
            size = 0
        pieces[-1].append(name)
        size += len(name.encode()) + 3
    return pieces


async def settle(session: Session, number: int, count: Count, *, may_commit: Callable[[int], Awaitable[None]]) -> bool:
    """Enter the count of one file, in one transaction; False if that had been done. `may_commit` is asked last, with
    the number of files that will then be done."""

    async def enter(tx: SessionTransaction) -> bool:
        if await tx.state.has(file_key(number)):
            return False
        totals = (await tx.state.get("totals", Totals, default=Totals())).plus(count)
        await tx.state.set(file_key(number), count)
        await tx.state.set("totals", totals)
        await tx.messages.add("worker", told(count), metadata={"file": number})
        await tx.runtime.update({"file": count.path, "done": totals.files})
        await may_commit(totals.files)
        return True

    return await session.transact(enter)


def told(count: Count) -> str:
    """A count in a sentence."""
    if count.outcome == "text":
        return f"{count.path}: {count.lines:,} lines, {count.words:,} words"
    if count.outcome == "binary":
        return f"{count.path}: binary, {count.bytes:,} bytes"
    return f"{count.path}: {count.outcome}{', ' + count.reason if count.reason else ''}"
