"""The size of a session: the bytes of its cells by kind, counted page by page."""

from __future__ import annotations

from holdfast.kernel.commit import Range
from holdfast.kernel.limits import PAGE_BYTES, PAGE_MAX
from holdfast.kernel.work import Work

KINDS = ("state", "temp", "runtime", "message", "event", "variable")
"""Kinds that are told by themselves; whatever else there is belongs to the session as such."""


async def size(work: Work, scope: str) -> dict[str, int]:
    """The bytes of values and keys, by kind. Not one cut."""
    sizes = dict.fromkeys(("session", *KINDS), 0)
    after: str | None = None
    while True:
        cells, goes_on = await work.page(scope, Range("", PAGE_MAX, after, bytes_max=PAGE_BYTES))
        for cell in cells:
            area = cell.key.partition("/")[0]
            sizes[area if area in KINDS else "session"] += cell.size
        if not goes_on:
            return sizes
        after = cells[-1].key
