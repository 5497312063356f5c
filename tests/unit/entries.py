"""What a session logged after the entry that it began with."""

from __future__ import annotations

from holdfast.handles.surface import SessionSurface
from holdfast.model.event import Event


async def logged(s: SessionSurface) -> tuple[Event, ...]:
    """Every entry but the first, which tells of the start and of nothing else."""
    start, *rest = (await s.events()).items
    assert (start.type, start.data) == ("start", None)
    return tuple(rest)
