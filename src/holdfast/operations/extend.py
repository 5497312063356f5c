"""More time for a session."""

from __future__ import annotations

from msgspec.structs import replace

from holdfast.kernel.part import missing
from holdfast.kernel.work import Work
from holdfast.services import session


async def extend(work: Work, scope: str, by_us: int) -> None:
    """Stage a later deadline of a session, if it has one. Raises NotFound."""
    cell = await work.get(scope, session.ALIVE)
    if cell is None:
        raise missing(scope)
    if cell.expires_us is not None:
        to_us = cell.expires_us + by_us
        living = session.decode_living(cell)
        session.put_deadline(work, scope, replace(living, deadline=living.deadline.extended(to_us)), to_us)
