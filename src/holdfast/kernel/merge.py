"""The entries that several index ranges have in common, a zig-zag merge; or those of any of them, in order.

Ranges that hold their entries in the same order (order, scope) meet where a scope stands in each of them. Each range is
read in pages, and leaps to the furthest place that any other one stands at.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.kernel.commit import Found
from holdfast.kernel.work import Work

Place = tuple[str, str]
"""Where a scope stands in every index: (order, scope)."""


USEFUL = 32
"""A page was of use if one entry of so many was asked for."""


class Stream:
    """One index range, read in pages, that can leap forward.

    A page has `size` entries; where the one before was of use, for many of its entries, twice as many as that, up to
    `size_max`.
    """

    def __init__(
        self,
        work: Work,
        index: str,
        value: str,
        *,
        lo: str | None,
        hi: str | None,
        newest: bool,
        size: int,
        size_max: int | None = None,
    ) -> None:
        self._work = work
        self._index, self._value = index, value
        self._lo, self._hi = lo, hi
        self._newest = newest
        self._size = self._size_least = size
        self._size_max = size if size_max is None else size_max
        self._used = 0  # entries of the page that were asked for
        self._page: Sequence[Found] = ()
        self._next = 0
        self._ended = False

    @property
    def entry(self) -> Found:
        """The entry at the place that `beyond` answered last."""
        return self._page[self._next]

    async def beyond(self, place: Place | None, *, inclusive: bool) -> Place | None:
        """The first place beyond that one in the direction of reading, None at the end."""
        while True:
            while self._next < len(self._page):
                here = self._here()
                if place is None or self._is_beyond(here, place) or (inclusive and here == place):
                    self._used += 1
                    return here
                self._next += 1
            if self._ended:
                return None
            await self._turn(place, inclusive=inclusive)

    def is_at_end(self, place: Place) -> bool:
        """Whether nothing can follow that place, as far as is known without reading on."""
        return self._ended and all(not self._is_beyond((found.order, found.scope), place) for found in self._page)

    def _here(self) -> Place:
        found = self.entry
        return found.order, found.scope

    def _is_beyond(self, here: Place, place: Place) -> bool:
        return here < place if self._newest else here > place

    async def _turn(self, place: Place | None, *, inclusive: bool) -> None:
        """Read the page that begins at `place`, or the next one if that lies ahead of what was read."""
        after = self._page[-1].cursor if self._page else None
        if place is not None and (after is None or not self._is_beyond(after[:2], place)):
            # Just before the place in the direction of reading: keys sort after "" and before "\U0010ffff".
            beyond = self._newest != inclusive
            after = (*place, "" if beyond else "\U0010ffff")
        if self._page:
            was_of_use = self._used * USEFUL >= self._size
            self._size = min(2 * self._size, self._size_max) if was_of_use else self._size_least
            self._used = 0
        self._page = await self._work.find(
            self._index,
            self._value,
            lo=self._lo,
            hi=self._hi,
            after=after,
            limit=self._size,
            reverse=self._newest,
        )
        self._next = 0
        self._ended = len(self._page) < self._size


async def meet(streams: Sequence[Stream], after: Place | None, limit: int) -> list[Found]:
    """Up to `limit` entries of the last stream, beyond `after`, whose places all streams have in common."""
    found: list[Found] = []
    inclusive = False
    while len(found) < limit:
        target = await streams[0].beyond(after, inclusive=inclusive)
        if target is None:
            break
        met = True
        for stream in streams[1:]:
            place = await stream.beyond(target, inclusive=True)
            if place is None:
                return found
            if place != target:
                after, inclusive, met = place, True, False
                break
        if met:
            found.append(streams[-1].entry)
            after, inclusive = target, False
    return found


async def join(streams: Sequence[Stream], after: Place | None, limit: int, *, newest: bool) -> list[Found]:
    """Up to `limit` entries beyond `after` that stand in any of the streams, in their order."""
    found: list[Found] = []
    while len(found) < limit:
        places = [await stream.beyond(after, inclusive=False) for stream in streams]
        standing = [(place, stream) for place, stream in zip(places, streams, strict=True) if place is not None]
        if not standing:
            break
        after, first = (max if newest else min)(standing, key=lambda one: one[0])
        found.append(first.entry)
    return found
