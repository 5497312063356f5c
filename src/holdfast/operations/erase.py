"""Erasing, step by step: the end of a scope, what it leaves, and the note of an erasure that is not at its end.

    erasure/owed    owed/0192f3…    ["ada", 1800000600000000, false, 1800000000000000, 7]   not all of ada's is gone yet
                                    [null, 1800000600000000]            all is gone, and the files are to be scrubbed
                                    [null, 1800000600000000, true]      they were, in vain: the next erasure does it

An erasure that was interrupted cannot know that by what it finds: what it removed is not there any more. So it first
notes whose it is, when it was called for, and which life their scope was in. Any sweep carries it on, and ends no more
than there was then: what they made since is none of its business. The name goes from the note before the files are
scrubbed, so that it is in them no longer than what it names. A note lapses by itself after thirty days. None of these
commits has a cause, which would name who asked for it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from holdfast.errors import Compacted, Diverged, Gone
from holdfast.kernel.commit import Cell, Committed, Found, Head, Read, Record
from holdfast.kernel.limits import PAGE_BYTES, PAGE_MAX
from holdfast.kernel.work import Work
from holdfast.model.moment import order_of
from holdfast.services import change, run, session

SCOPE = "erasure/owed"

_PREFIX = "owed/"

OWED_US = 30 * 86_400_000_000
"""How long a note is kept at most."""

INTERRUPTED_US = 600_000_000
"""How long after somebody was last seen working on it an erasure counts as interrupted."""

SEEN_US = 60_000_000
"""Who works on it says so this often."""


def end_scope(work: Work, scope: str, epoch: int) -> None:
    """Stage the end of a scope in that life. Followers see a session deleted, and state cleared."""
    work.ask(scope, "must_exist", epoch=epoch)
    if session.is_scope(scope):
        session.drop(work, session.id_of(scope))
    else:
        work.drop(scope)
        work.note(scope, "state", "clear")


async def runs_of(work: Work, user: str, until_us: int | None) -> dict[str, Head]:
    """That user's runs that are alone; of those that had been started by then, if a time is given."""
    runs: dict[str, Head] = {}
    hi = None if until_us is None else order_of(until_us + 1)
    after: Found | None = None
    while page := await work.find("run.user", user, hi=hi, after=None if after is None else after.cursor, limit=1000):
        scopes = [found.scope for found in page if found.scope.startswith(run.AREA)]
        if scopes:
            runs |= {view.scope: view.head for view in await work.peek([Read(scope) for scope in scopes])}
        after = page[-1]
    return {scope: head for scope, head in runs.items() if head.live}


async def may_have_been_run_of(work: Work, scope: str, user: str, head: Head) -> bool:
    """Whether a run that stood alone in that scope, and is gone, was theirs, or nobody can tell any more."""
    users: set[str | None] = set()
    place = max(0, head.floor - 1)
    while place < head.seq:
        try:
            records = await work.log(scope, after=place, limit=PAGE_MAX, bytes_max=PAGE_BYTES)
        except (Compacted, Gone, Diverged):  # trimmed or forgotten meanwhile
            return True
        for record in records:
            for line in change.lines_of(record):
                if (line.kind, line.op, line.namespace) == ("run", "set", ""):
                    if line.bare:  # the log has only its key
                        return True
                    users.add(run.decode_raw(bytes(line.value)).user)
        place = records[-1].seq
    return user in users or not users or head.floor > 1


async def oldest(work: Work, scope: str) -> Record | None:
    """The first record that is kept of a scope."""
    while True:
        [view] = await work.peek([Read(scope)])
        try:
            records = await work.log(scope, after=max(0, view.head.floor - 1), limit=1)
        except Compacted:  # trimmed meanwhile
            continue
        except (Gone, Diverged):  # forgotten meanwhile
            return None
        return records[0] if records else None


class Note(Struct, frozen=True, array_like=True, omit_defaults=True):
    """An erasure that is not at its end.

    user        whose, if not all of theirs is gone
    at_us       when somebody was last seen working on it
    in_vain     whether the files were scrubbed, and something may be left in them
    called_us   when it was called for
    epoch       the life that their own scope was in then; -1: none
    """

    user: str | None
    at_us: int
    in_vain: bool = False
    called_us: int = 0
    epoch: int = -1


class Noted(NamedTuple):
    """A note as it is stored."""

    cell: Cell
    note: Note


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Note)


def owe(work: Work, name: str, user: str, epoch: int) -> str:
    """Stage the note that the erasure of that user is not at its end; returns its key."""
    key = _PREFIX + name
    work.ask(SCOPE, "create")
    work.put(SCOPE, key, _encode(Note(user, work.now_us, called_us=work.now_us, epoch=epoch)), ttl_us=OWED_US)
    return key


async def still(work: Work, key: str) -> None:
    """Commit that somebody works on the erasure of that note, if it is there."""
    noted = next((noted for noted in await notes(work) if noted.cell.key == key), None)
    if noted is not None:
        await take(work, noted)


async def notes(work: Work) -> list[Noted]:
    """Every note there is, by whomever, the oldest first."""
    found = [Noted(cell, _decoder.decode(cell.value)) for cell in await work.all(SCOPE, _PREFIX)]
    return sorted(found, key=lambda noted: noted.note.at_us)


async def interrupted(work: Work) -> list[Noted]:
    """Those of erasures on which nobody has worked for a while, and which a sweep can carry on."""
    until_us = work.now_us - INTERRUPTED_US
    return [noted for noted in await notes(work) if noted.note.at_us <= until_us and not noted.note.in_vain]


async def take(work: Work, noted: Noted) -> bool:
    """Commit that somebody works on that erasure from now on; False: somebody else does, or it is at its end."""
    await work.get(SCOPE, noted.cell.key)
    work.require_version(SCOPE, noted.cell.key, noted.cell.version)
    _rewrite(work, noted, replace(noted.note, at_us=work.now_us))
    return isinstance(await work.commit(), Committed)


async def forget_name(work: Work, user: str) -> bool:
    """Commit that all of that user's is gone: no note names them any more. False: another one came between."""
    theirs = [noted for noted in await notes(work) if noted.note.user == user]
    for noted in theirs:
        _rewrite(work, noted, Note(None, noted.note.at_us, noted.note.in_vain))
    return not theirs or isinstance(await work.commit(), Committed)


async def settle(work: Work, keys: Collection[str], *, scrubbed: bool) -> bool:
    """Commit what a scrub has settled: those notes, which named nobody before it began; the scope goes with the last
    one. Without `scrubbed` one is left for all of them, which says that it was in vain. False: another one came
    between."""
    there = await notes(work)
    settled = [noted for noted in there if noted.cell.key in keys]
    if scrubbed and settled and len(settled) == len(there):
        work.drop(SCOPE)
    elif settled:
        left = None if scrubbed else settled.pop()
        for noted in settled:
            work.delete(SCOPE, noted.cell.key)
        if left is not None:
            _rewrite(work, left, replace(left.note, in_vain=True))
            return isinstance(await work.commit(), Committed)
    return not settled or isinstance(await work.commit(), Committed)


def _rewrite(work: Work, noted: Noted, note: Note) -> None:
    work.put(SCOPE, noted.cell.key, _encode(note), expires_us=noted.cell.expires_us)
