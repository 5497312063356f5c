"""A fork: a new session with the past of another one, from what a checkpoint shows and the messages up to its place.

    one commit, if it is enough             it is made like any other session
    else                                    fork      index due     value fork     order: when it counts as given up
        the first commit                    makes the scope, and says whose it is
        the others                          fill it, each on the condition that nobody took it for given up
        the last one                        makes the session

A session exists as long as the cell does that keeps it alive, and only the last commit puts that: so nobody sees one
that is being filled. What a crash leaves, a sweep removes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdfast.kernel.commit import SEQ_DIGITS, Committed, Entry, Found, Head, Range, Read
from holdfast.kernel.limits import PAGE_BYTES, PAGE_MAX, may_go_on
from holdfast.kernel.work import Work
from holdfast.model.checkpoint import KEYS
from holdfast.model.event import START, EventRecord
from holdfast.model.session import SessionRecord
from holdfast.model.status import SessionStatus
from holdfast.services import checkpoint, event, message, run, session, variable
from holdfast.services.checkpoint import Content

MARK = "fork"
"""The key of the cell that says that a session is being made."""

_OF_RUNS = ("graph/", "node/", "run/", "step/")
_QUESTIONS = "interaction/"


class Mark(Struct, frozen=True, array_like=True):
    """What says that a session is being made: when that counts as given up, and whose it is to be."""

    order: str
    user: str | None


_marks = msgspec.json.Decoder(Mark)


class Origin(Struct, frozen=True):
    """What a session is forked from: the past of a scope at a version, with the checkpoint that shows it, if one does,
    and when that was."""

    scope: str
    version: int
    checkpoint: str | None
    at_us: int
    content: Content

    @property
    def record(self) -> SessionRecord:
        """The session of then."""
        return session.decode_raw(self.content.cells[session.CELL].value or b"")

    def told(self) -> dict[str, Any]:
        """What the fork says of it."""
        return {"session": session.id_of(self.scope), "checkpoint": self.checkpoint, "version": self.version}


class Item(Struct, frozen=True):
    """One thing that a fork takes over: a cell under its key, or a message where there is none."""

    key: str | None
    value: bytes
    ttl_us: int | None = None

    @property
    def bytes(self) -> int:
        """What it takes of a commit, about: it stands in the log as well."""
        return 2 * (len(self.value) + len(self.key or "") + 64)


async def origin(work: Work, scope: str, id: str | None) -> Origin:
    """What there is to be forked: what a checkpoint shows, or what is there now. Raises NotFound."""
    if id is not None:
        record = await checkpoint.get(work, scope, id)
        return Origin(scope, record.seq, id, record.at_us, await checkpoint.contents(work, scope, record))
    standing = await checkpoint.look(work, scope, None)
    gathered = await checkpoint.gather(work, scope, standing, id="", label=None, user=None)
    content = await checkpoint.shown(work, scope, gathered, standing)
    return Origin(scope, gathered.record.seq, None, gathered.record.at_us, content)


def record_of(origin: Origin, id: str, *, at_us: int) -> SessionRecord:
    """The record of the new session: what the other one was created with or became, and nothing of its status."""
    then = origin.record
    return SessionRecord(
        id,
        SessionStatus.ACTIVE,
        at_us,
        at_us,
        user=then.user,
        app=then.app,
        agent=then.agent,
        mode=then.mode,
        channel=then.channel,
        task=then.task,
        tags=then.tags,
        metadata={**then.metadata, "forked_from": origin.told()},
        budget=then.budget,
        ttl_us=then.ttl_us,
        sliding=then.sliding,
        idle_us=then.idle_us,
    )


def runs_of(origin: Origin) -> list[str]:
    """The runs of then."""
    return [key.removeprefix(run.AREA) for key in origin.content.cells if key.startswith(run.AREA)]


async def items(
    work: Callable[[], Work], origin: Origin, record: SessionRecord, ids: Mapping[str, str]
) -> AsyncIterator[Item]:
    """All that the session of that record takes over: cells, then the messages in their order. Each run gets the id
    given for its own; questions stay behind."""
    for key, kept in origin.content.cells.items():
        raw = kept.value
        if key in KEYS or raw is None or key.startswith(_QUESTIONS):
            continue
        ttl_us = None if kept.expires_us is None else kept.expires_us - origin.at_us
        if key.startswith(_OF_RUNS):
            yield Item(*run.of_another(key, raw, ids, session=record.id, at_us=record.created_us))
        elif key.startswith(variable.AREA):
            yield Item(variable.of_another(key, ids), raw)
        else:
            yield Item(key, raw, ttl_us)
    of_then = origin.content.cells.get(message.HIDDEN)
    hidden = message.hidden_of(None if of_then is None else of_then.value).now
    wanted = Range(message.AREA, PAGE_MAX, bytes_max=PAGE_BYTES)
    while True:
        cells = (await work().peek([Read(origin.scope, (), (wanted,))]))[0].ranges[0]
        for cell in cells:
            seq = int(cell.key.removeprefix(message.AREA)[:SEQ_DIGITS])
            if seq > origin.version:
                return
            if not any(after < seq <= until for after, until in hidden):
                yield Item(None, cell.value)
        if not may_go_on(cells, PAGE_MAX, PAGE_BYTES):
            return
        wanted = replace(wanted, after=cells[-1].key)


def put_message(work: Work, scope: str, raw: bytes) -> None:
    """Stage a message as it was kept, behind those that are there."""
    work.append(scope, message.AREA, raw)
    work.note(scope, "message", "append", None, raw)


def create(work: Work, record: SessionRecord, origin: Origin, *, entry: str) -> None:
    """Stage the session itself, with the first entry of its event log."""
    session.create(work, record)
    told = {"forked_from": origin.told()}
    event.append(work, session.scope_of(record.id), EventRecord(entry, START, record.created_us, told))


def begin(work: Work, record: SessionRecord, *, due_us: int) -> None:
    """Stage that the session is being made."""
    work.ask(session.scope_of(record.id), "must_not_exist")
    session.announce(work, record)
    mark(work, session.scope_of(record.id), due_us=due_us, user=record.user)


def go_on(work: Work, scope: str, *, epoch: int, since: int) -> None:
    """Let the commit fail unless the session is being made still, as that commit left it."""
    work.ask(scope, "must_exist", epoch=epoch)
    work.require_version(scope, MARK, since)


def mark(work: Work, scope: str, *, due_us: int, user: str | None) -> None:
    """Stage when it counts as given up, and whose it is to be."""
    order = f"{due_us:016d}"
    work.put(scope, MARK, msgspec.json.encode(Mark(order, user)), entries=(Entry(session.DUE, "fork", order),))


async def give_up(works: Callable[[], Work], found: Found) -> bool:
    """Remove a session that was begun to be made and not finished, unless somebody went on with it since."""
    work = works()
    cell = await work.get(found.scope, found.key)
    if cell is None or _marks.decode(cell.value).order != found.order:
        return False
    session.drop(work, session.id_of(found.scope))
    return isinstance(await work.commit(), Committed)


async def unfinished_of(work: Work, user: str) -> dict[str, Head]:
    """The sessions of a user that are being made, by the names of their scopes."""
    heads: dict[str, Head] = {}
    after: tuple[str, str, str] | None = None
    while found := await work.find(session.DUE, "fork", after=after, limit=PAGE_MAX):
        for view in await work.peek([Read(one.scope, (MARK,)) for one in found], of_lapsed="all"):
            cell = view.cells.get(MARK)
            if cell is not None and _marks.decode(cell.value).user == user:
                heads[view.scope] = view.head
        after = found[-1].cursor
    return heads
