"""The end of a session whose time has come: what nobody can see any more is removed, by a checked commit."""

from __future__ import annotations

from holdfast.kernel.commit import Absent, Committed, Head, Read
from holdfast.kernel.work import Work
from holdfast.services import session


async def look(work: Work, scope: str) -> tuple[Head, bool]:
    """The head of a session's scope, and whether it has expired and is stored still."""
    view = (await work.peek((Read(scope, (session.ALIVE,)),)))[0]
    return view.head, view.head.live and session.ALIVE not in view.cells


async def remove(work: Work, scope: str, epoch: int) -> bool:
    """Commit the end of a session in that life, if it has expired; False if it is kept, or gone already."""
    work.ask(scope, "must_exist", epoch=epoch)
    work.require(scope, Absent(session.ALIVE))
    session.drop(work, session.id_of(scope))
    return isinstance(await work.commit(), Committed)
