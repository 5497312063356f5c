"""Many cells of a scope as of one moment, however many there are and whoever is writing meanwhile.

    whole       pages, each of another moment; then again what the log says was written since the first of them, and so
                on: each round is shorter, until one read has all that is left, and nothing came after it
    since n     the same, beginning with what the log says was written after n

What a round has read stays true unless the log names it in a later one. So it never is a mixture of two moments, and
nobody is kept from writing. (`Work.all` is for what fits some pages: it begins anew whenever the scope moved.)
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from holdfast.errors import Compacted, Conflict, Gone
from holdfast.kernel.commit import Cell, Head, Range, Read, View
from holdfast.kernel.limits import PAGE_BYTES, PAGE_MAX, may_go_on
from holdfast.kernel.reads import Reads

RECORDS = 1000
"""Log records read at once, up to PAGE_BYTES."""

ROUNDS = 100
"""A scope that still moves after so many has no moment to be read at."""


class Since(Struct, frozen=True):
    """A moment of one life of a scope."""

    seq: int
    epoch: int


class Wanted(Struct, frozen=True):
    """The cells of a scope under some prefixes and keys: all or, if it can be told, those written `since`.

    `along` is a key to be asked for with each read and not to be told: one for which no cache answers that may be old,
    or the log would be followed to a head of before.
    """

    scope: str
    prefixes: tuple[str, ...]
    keys: tuple[str, ...] = ()
    since: Since | None = None
    along: str | None = None


class Cut(Struct, frozen=True):
    """The cells of a scope at one moment: right after the commit `head.seq`, at that time.

    `whole` says that they are all there are. If not, they are those that were written since; None is one that is gone.
    A scope that is not there has none, and is whole.
    """

    scope: str
    head: Head
    at_us: int
    cells: dict[str, Cell | None]
    whole: bool


async def cut(reads: Reads, wanted: Sequence[Wanted], heads: Sequence[Head]) -> list[Cut]:
    """The cells of several scopes; all of the same moment where one read of them is. `heads` are as seen before.

    Raises Conflict if they move too fast for it.
    """
    growing = [_Growing(one, head) for one, head in zip(wanted, heads, strict=True)]
    for _ in range(ROUNDS):
        for one in growing:
            await one.follow(reads)
        at_us = reads.now_us
        asked = [tuple(sorted(one.unread)[:PAGE_MAX]) for one in growing]
        views = await reads.peek([one.read(keys) for one, keys in zip(growing, asked, strict=True)])
        settled = [one.take(view, keys) for one, view, keys in zip(growing, views, asked, strict=True)]
        if all(settled):
            return [one.cut(at_us) for one in growing]
    scope = growing[0].scope
    raise Conflict(f"{scope} changed while it was read", scope=scope, what="headat", found=growing[0].head)


class _Growing:
    """What was read of one scope so far: true up to `place`, but for what is `unread`."""

    def __init__(self, wanted: Wanted, head: Head) -> None:
        since = wanted.since
        told = since is not None and head.live and since.epoch == head.epoch and since.seq <= head.seq
        self.scope = wanted.scope
        self.head = head
        self.unread: set[str] = set()
        self._wanted = wanted
        self._cells: dict[str, Cell | None] = {}
        self._place = since.seq if since is not None and told else 0
        self._whole = not told
        self._anew = not told  # nothing that was read is of use: to be read from the beginning

    async def follow(self, reads: Reads) -> None:
        """Find out what was written up to the head, by the log."""
        while self._anew or self._place < self.head.seq:
            if self._anew:
                await self._read_all(reads)
                continue
            limit = min(RECORDS, self.head.seq - self._place)
            try:
                records = await reads.log(self.scope, after=self._place, limit=limit, bytes_max=PAGE_BYTES)
            except (Compacted, Gone):
                records = ()
            self._anew = not records or records[0].epoch != self.head.epoch
            for record in records:
                self._place = record.seq
                self.unread.update(filter(self._wants, record.touched))

    async def _read_all(self, reads: Reads) -> None:
        """All there is, page by page: of the moment of the first page or a later one."""
        self._whole, self._anew, self._place = True, False, self.head.seq
        self._cells, self.unread = {}, set(self._wanted.keys)
        pages: dict[str, str | None] = dict.fromkeys(self._wanted.prefixes) if self.head.live else {}
        while pages:
            ranges = [Range(prefix, PAGE_MAX, after, bytes_max=PAGE_BYTES) for prefix, after in pages.items()]
            view = (await reads.peek([Read(self.scope, (), tuple(ranges))]))[0]
            for prefix, cells in zip([*pages], view.ranges, strict=True):
                self._cells.update({cell.key: cell for cell in cells})
                if may_go_on(cells, PAGE_MAX, PAGE_BYTES):
                    pages[prefix] = cells[-1].key
                else:
                    del pages[prefix]

    def read(self, keys: tuple[str, ...]) -> Read:
        """What asks for these keys."""
        along = self._wanted.along
        return Read(self.scope, keys if along is None else (*keys, along))

    def take(self, view: View, keys: tuple[str, ...]) -> bool:
        """Take what was read of these keys; whether nothing is left, and nothing came after."""
        before, self.head = self.head, view.head
        if (before.epoch, before.live) != (view.head.epoch, view.head.live):
            self._anew = True  # another life, or none
            return False
        self._cells.update({key: view.cells.get(key) for key in keys})
        self.unread.difference_update(keys)
        return not self.unread and self._place == self.head.seq

    def _wants(self, key: str) -> bool:
        return key.startswith(self._wanted.prefixes) or key in self._wanted.keys

    def cut(self, at_us: int) -> Cut:
        """What was read, now that it is of one moment."""
        cells = self._cells
        if self._whole:
            cells = {key: cell for key, cell in cells.items() if cell is not None}
        return Cut(self.scope, self.head, at_us, cells, self._whole)
