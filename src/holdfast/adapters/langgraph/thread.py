"""A thread of LangGraph as it lies in one session: what is written and read at once. Knows no LangGraph.

What leads to values is committed with them or after them, and goes before them. Between the two somebody may take away
what nothing leads to yet. So whatever takes values away deletes `t/values` in the same commit, which is never there and
stands in the log; and what was written in several commits is led to only if that is untouched since the first of them,
or else is written once more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping

from holdfast.adapters.langgraph import cells
from holdfast.errors import Conflict
from holdfast.handles.own_area import Area
from holdfast.handles.session import Session

AREA = "langgraph"
PAGE = 100
ATTEMPTS = 20

LEADING = ("b/", "w/", "c/")
"""What keys of values begin with that are not parts of others; what leads to others comes after them."""

TAKEN, TAKES = "t/", "t/values"


class Thread:
    """One thread's cells."""

    def __init__(self, session: Session) -> None:
        self._area: Area = session.area(AREA)
        self._limits = self._area.limits

    # --- writing ----------------------------------------------------------------------------------

    async def put(self, puts: Mapping[str, bytes], *, last: str, present: Iterable[str] = ()) -> None:
        """Store values; `last` is what leads to the others, and is committed with them or after them.

        One commit, unless they are more than one commit takes: then what nothing leads to yet goes first. Raises
        Conflict if a key named in `present` is not there when `last` is committed.
        """
        there = [*present]
        whole, parts = cells.cut(puts, self._limits)
        end = whole.pop(last)
        *before, final = [*cells.batches({**parts, **whole, last: end}, self._limits)]
        if not before:
            await self._area.write(final, present=there)
            return

        async def write(since: Mapping[str, int]) -> None:
            for batch in before:
                await self._area.write(batch)
            await self._area.write(final, present=there, untouched=since)

        await self._while_none_is_taken(write)

    async def put_new(self, puts: Mapping[str, bytes], *, replaced: Collection[str]) -> None:
        """Store what is not there yet; only what is `replaced` takes the place of what is."""
        whole, parts = cells.cut(puts, self._limits)

        async def write(since: Mapping[str, int]) -> None:
            for batch in cells.batches(parts, self._limits):
                await self._area.write(batch)
            for batch in cells.batches(whole, self._limits):
                await self._put_batch(batch, replaced, since)

        await (self._while_none_is_taken(write) if parts else write({}))

    async def _put_batch(self, batch: dict[str, bytes], replaced: Collection[str], since: Mapping[str, int]) -> None:
        for _ in range(ATTEMPTS):
            new = [key for key in batch if key not in replaced]
            try:
                await self._area.write(batch, new=new, untouched=since)
                return
            except Conflict as conflict:  # some of it is there: a repeat, as a rule
                if conflict.what != "absent":
                    raise
                there = await self._area.get(new)
                batch = {key: value for key, value in batch.items() if key not in there}
                if not batch:
                    return
        await self._area.write(batch, untouched=since)

    async def copy_from(self, source: Thread) -> None:
        """Store all that another thread has, checkpoints last, as it was at one moment or a later one of each value."""

        async def copy(since: Mapping[str, int]) -> None:
            then = {TAKEN: await source.version()}
            checkpoints = [page async for page in source.raw("c/")]  # first, for the others lead nowhere
            async for page in source.raw("w/", "b/", "p/"):
                await self._put_raw(page)
            await source._area.write({}, untouched=then)
            for page in checkpoints:
                await self._put_raw(page, since)

        await self._while_none_is_taken(copy)

    async def _put_raw(self, puts: Mapping[str, bytes], since: Mapping[str, int] | None = None) -> None:
        for batch in cells.batches(puts, self._limits):
            await self._area.write(batch, untouched=since)

    async def _while_none_is_taken(self, write: Callable[[Mapping[str, int]], Awaitable[None]]) -> None:
        """Write in several commits; again if values were taken away before what leads to them was committed."""
        for _ in range(ATTEMPTS - 1):
            try:
                await write({TAKEN: await self.version()})
                return
            except Conflict as conflict:
                if conflict.what != "untouched":
                    raise
        await write({TAKEN: await self.version()})

    async def delete(self, keys: Iterable[str], *, since: int, under: str, mark: bool = False) -> int:
        """Remove cells, in as many commits as it takes; returns the version after the last of them, or `since`.

        Raises Conflict, with those before done, if anybody else wrote or removed what has `under` for a prefix after
        the version `since`. With `mark`, what they leave to be done is noted in the same commit.
        """
        gone = [*keys]
        most = max(1, self._limits.operations_max // 2 if mark else self._limits.operations_max - 1)
        for start in range(0, len(gone), most):
            batch = gone[start : start + most]
            marks = {cells.mark_key(key): b"" for key in batch} if mark else {}
            taken = [] if mark else [TAKES]
            since = await self._area.write(marks, deletes=[*batch, *taken], untouched={under: since})
        return since

    # --- reading ----------------------------------------------------------------------------------

    async def version(self) -> int:
        """The version that the thread is at."""
        return await self._area.version()

    async def get(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Values by their keys as of one moment, put together where they were cut."""
        wanted = [*keys]
        while True:
            found = await self._area.get(wanted)
            joined = await self._joined(found)
            if len(joined) == len(found):
                return joined

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
        """Every cell under these prefixes as it is kept, page by page."""
        for prefix in prefixes:
            after: str | None = None
            while True:
                page = await self._area.page(prefix, limit=PAGE, after=after)
                yield dict(page.items)
                after = page.next
                if after is None:
                    break

    async def keys(self, *prefixes: str) -> list[str]:
        """The keys of every cell under these prefixes, in the order of `raw`."""
        return [key async for page in self.raw(*prefixes) for key in page]

    async def parts_in_use(self) -> set[str]:
        """The keys of the parts that some value was cut into."""
        return {part async for page in self.raw(*LEADING) for value in page.values() for part in cells.parts_of(value)}

    async def _joined(self, found: dict[str, bytes]) -> dict[str, bytes]:
        """The values put together, without those that were taken away meanwhile.

        Raises Corrupt for one that is there and lacks a part.
        """
        while True:
            wanted = [part for value in found.values() for part in cells.parts_of(value)]
            parts: dict[str, bytes] = {}
            for start in range(0, len(wanted), PAGE):
                parts |= await self._area.get(wanted[start : start + PAGE])
            short = [key for key, value in found.items() if any(part not in parts for part in cells.parts_of(value))]
            there = await self._area.get(short) if short else {}
            if all(there.get(key) == found[key] for key in short):
                return {key: cells.joined(value, parts) for key, value in found.items()}
            found = {key: there.get(key, value) for key, value in found.items() if key not in short or key in there}
