"""Erasing, step by step: the end of a scope, what it leaves, and the note that the store's files are not clean yet.

    erasure/owed    owed/0192f3…    a scrub is owed; names nobody, and lapses by itself after thirty days

An erasure that was interrupted cannot know that by what it finds: what it removed is not there any more. So it first
notes that a scrub is owed, and each later one makes up for it. None of these commits has a cause, which would name who
asked for it.
"""

from __future__ import annotations

from holdfast.errors import Compacted, Diverged, Gone
from holdfast.kernel.commit import Committed, Range, Read, Record
from holdfast.kernel.work import Work
from holdfast.services import session

SCOPE = "erasure/owed"

_PREFIX = "owed/"

OWED_US = 30 * 86_400_000_000
"""How long a note is kept whose erasure was never called again."""


def end_scope(work: Work, scope: str, epoch: int) -> None:
    """Stage the end of a scope in that life. Followers see a session deleted, and state cleared."""
    work.ask(scope, "must_exist", epoch=epoch)
    if session.is_scope(scope):
        session.drop(work, session.id_of(scope))
    else:
        work.drop(scope)
        work.note(scope, "state", "clear")


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


def owe(work: Work, name: str) -> None:
    """Stage the note that a scrub is owed."""
    work.ask(SCOPE, "create")
    work.put(SCOPE, _PREFIX + name, b"1", ttl_us=OWED_US)


async def is_owed(work: Work) -> bool:
    """Whether a scrub is owed, by whomever."""
    [view] = await work.peek([Read(SCOPE, ranges=(Range(_PREFIX, 1),))])
    return bool(view.ranges[0])


async def settle(work: Work, name: str) -> bool:
    """Commit that this one owes none any more; the scope goes with the last note. False: another one came between."""
    notes = [cell.key for cell in await work.all(SCOPE, _PREFIX)]
    if _PREFIX + name not in notes:
        return True
    if len(notes) == 1:
        work.drop(SCOPE)
    else:
        work.delete(SCOPE, _PREFIX + name)
    return isinstance(await work.commit(), Committed)
