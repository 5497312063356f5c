"""A thread of LangGraph as it lies in one session: what is written and read at once. Knows no LangGraph."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping

from holdfast.adapters.langgraph import cells
from holdfast.errors import Conflict
from holdfast.handles.own_area import Area
from holdfast.handles.session import Session

AREA = "langgraph"
PAGE = 100
ATTEMPTS = 10

LEADING = ("b/", "w/", "c/")
"""What keys of values begin with that are not parts of others; what leads to others comes after them."""


class Thread:
    """One thread's cells."""

    def __init__(self, session: Session) -> None:
        self._area: Area = session.area(AREA)
        self._limits = self._area.limits

    async def put(self, puts: Mapping[str, bytes], *, last: str) -> None:
        """Store values; `last` is what leads to the others, and is committed with them or after them.

        One commit, unless they are more than one commit takes: then what nothing leads to yet goes first.
        """
        whole, parts = cells.cut(puts, self._limits)
        end = whole.pop(last)
        *before, final = [*cells.batches({**parts, **whole, last: end}, self._limits)]
        for batch in before:
            await self._area.write(batch)
        await self._area.write(final)

    async def put_new(self, puts: Mapping[str, bytes], *, replaced: Collection[str]) -> None:
        """Store what is not there yet; only what is `replaced` takes the place of what is."""
        whole, parts = cells.cut(puts, self._limits)
        for batch in cells.batches(parts, self._limits):
            await self._area.write(batch)
        for batch in cells.batches(whole, self._limits):
            await self._put_batch(batch, replaced)

    async def _put_batch(self, batch: dict[str, bytes], replaced: Collection[str]) -> None:
        for _ in range(ATTEMPTS):
            new = [key for key in batch if key not in replaced]
            try:
                await self._area.write(batch, new=new)
                return
            except Conflict:  # some of it is there: a repeat, as a rule
                there = await self._area.get(new)
                batch = {key: value for key, value in batch.items() if key not in there}
                if not batch:
                    return
        await self._area.write(batch)

    async def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Values by their keys, put together where they were cut."""
        return await self._joined(await self._area.get(keys))

    async def page(
        self, prefix: str, *, limit: int = PAGE, after: str | None = None, newest: bool = False
    ) -> tuple[dict[str, bytes], str | None]:
        """Values under a prefix, in the order of their keys or backwards, and where to go on."""
        page = await self._area.page(prefix, limit=limit, after=after, order="last" if newest else "first")
        return await self._joined(dict(page.items)), page.next

    async def all(self, prefix: str) -> dict[str, bytes]:
        """Everything under a prefix."""
        found: dict[str, bytes] = {}
        after: str | None = None
        while True:
            page, after = await self.page(prefix, after=after)
            found |= page
            if after is None:
                return found

    async def raw(self, *prefixes: str) -> AsyncIterator[dict[str, bytes]]:
        """Every cell as it is kept, or those under these prefixes, parts first, page by page."""
        for prefix in prefixes or ("p/", *LEADING):
            after: str | None = None
            while True:
                page = await self._area.page(prefix, limit=PAGE, after=after)
                yield dict(page.items)
                after = page.next
                if after is None:
                    break

    async def keys(self, *prefixes: str) -> list[str]:
        """The keys of every cell, or of those under these prefixes, in the order of `raw`."""
        return [key async for page in self.raw(*prefixes) for key in page]

    async def parts_in_use(self) -> set[str]:
        """The keys of the parts that some value was cut into."""
        return {part async for page in self.raw(*LEADING) for value in page.values() for part in cells.parts_of(value)}

    async def put_raw(self, puts: Mapping[str, bytes]) -> None:
        """Store cells as they are."""
        for batch in cells.batches(puts, self._limits):
            await self._area.write(batch)

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove cells, in as many commits as it takes."""
        gone = [*keys]
        most = self._limits.operations_max
        for start in range(0, len(gone), most):
            await self._area.write({}, deletes=gone[start : start + most])

    async def _joined(self, found: Mapping[str, bytes]) -> dict[str, bytes]:
        wanted = [part for value in found.values() for part in cells.parts_of(value)]
        parts: dict[str, bytes] = {}
        for start in range(0, len(wanted), PAGE):
            parts |= await self._area.get(wanted[start : start + PAGE])
        return {key: cells.joined(value, parts) for key, value in found.items()}
