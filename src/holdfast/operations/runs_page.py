"""A page of runs, the newest first: one find and one read with one filter at most, a zig-zag merge of indexes else."""

from __future__ import annotations

import re
from collections.abc import Mapping

from holdfast.errors import InvalidValue, shown
from holdfast.kernel.commit import Read, View
from holdfast.kernel.merge import Place, Stream, meet
from holdfast.kernel.work import Work
from holdfast.services import run

_CURSOR = re.compile(r"([0-9]{16}\..+?)@((?:session|run)/.+)", re.DOTALL)

BUFFER = 200
"""Entries read at once from each index when several are merged."""


def parse_cursor(text: str) -> Place:
    """The place a page's cursor names; raises InvalidValue for anything else."""
    match = _CURSOR.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise InvalidValue(f"{shown(text)} is not the cursor of a page of runs", path="cursor")
    return match[1], match[2]


async def page(
    work: Work, names: Mapping[str, str], *, limit: int, after: Place | None
) -> tuple[list[tuple[View, str]], str | None]:
    """Up to `limit` runs that have all these names, each as its scope was seen and the key of its record, and the
    cursor that continues after them (None at the end)."""
    sought = [(f"run.{field}", name) for field, name in names.items()] or [(run.ALL, "")]
    size = limit if len(sought) == 1 else BUFFER
    streams = [Stream(work, index, value, lo=None, hi=None, newest=True, size=size) for index, value in sought]
    met = await meet(streams, after, limit)
    if not met:
        return [], None
    views = await work.peek([Read(found.scope, (found.key,)) for found in met])
    rows = [(view, found.key) for view, found in zip(views, met, strict=True) if found.key in view.cells]
    place = (met[-1].order, met[-1].scope)
    at_end = len(met) < limit or any(stream.is_at_end(place) for stream in streams)
    return rows, None if at_end else "@".join(place)
