"""Where the run of an id is. An id that people gave may be that of several runs, one in each session: then it means
none of them, rather than one by chance or all together."""

from __future__ import annotations

from holdfast.errors import Conflict
from holdfast.kernel.commit import Found, Read
from holdfast.kernel.merge import Place, Stream, meet
from holdfast.kernel.work import Work
from holdfast.services import run

BUFFER = 200
"""Runs of one id that are looked at together, where only some of them count."""


async def place_of(work: Work, id: str, *, user: str | None) -> Found | None:
    """The place of the run of that id, of those of that user if one is named; None if there is none.

    Raises Conflict if there are several. Those of others do not count and do not show.
    """
    places: list[Found] = []
    after: Place | None = None
    size = 2 if user is None else BUFFER
    while len(places) < 2:
        met = await meet([Stream(work, run.ID, id, lo=None, hi=None, newest=False, size=size)], after, size)
        places += met if user is None and len(met) < 2 else await _theirs(work, met, user)
        if len(met) < size:
            break
        after = (met[-1].order, met[-1].scope)
    if len(places) > 1:
        raise ambiguous(id)
    return places[0] if places else None


async def _theirs(work: Work, met: list[Found], user: str | None) -> list[Found]:
    """Those of them that are there still, and that user's."""
    views = await work.peek([Read(found.scope, (found.key,)) for found in met]) if met else []
    seen = [(found, view.cells.get(found.key)) for view, found in zip(views, met, strict=True)]
    return [found for found, cell in seen if cell is not None and user in (None, run.decode(cell).user)]


def ambiguous(id: str) -> Conflict:
    """The error that says that an id is that of several runs."""
    return Conflict(
        f"several sessions have a run {id!r}",
        remedy="Name the session: `session=`, or `await s.runs.get(id)`; or let Holdfast make the ids.",
        run=id,
        what="id",
    )
