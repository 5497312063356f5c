"""Reads of a store as it is now: what other units wrote, and nothing of what this one staged; they make no condition.

A read that meets Unavailable is asked again, as the writer sends a commit again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeVar

from holdfast.errors import Unavailable
from holdfast.kernel.commit import Found, Read, Record, View
from holdfast.kernel.contract import Kernel
from holdfast.kernel.keeping import Keeper, asking, lapsed
from holdfast.kernel.limits import TIME_US_MAX, check_time
from holdfast.kernel.writer import Writer

T = TypeVar("T")


class Reads:
    """What can be read of one kernel, at the time of a clock that is never seen to go back."""

    __slots__ = ("_keeper", "_kernel", "_latest_us", "_writer")

    def __init__(self, writer: Writer, keeper: Keeper | None) -> None:
        self._writer = writer
        self._kernel: Kernel = writer.kernel
        self._keeper = keeper
        self._latest_us = 0

    @property
    def now_us(self) -> int:
        """The time now, or the latest seen here if the clock was set back. Raises InvalidValue: it is out of range."""
        now_us = self._writer.clock.now_us()
        if type(now_us) is not int or not 0 <= now_us <= TIME_US_MAX:
            check_time(now_us)
        if now_us > self._latest_us:
            self._latest_us = now_us
        return self._latest_us

    async def peek(self, reads: Sequence[Read], *, of_lapsed: Literal["nothing", "all"] = "nothing") -> list[View]:
        """Heads, cells and ranges as the store has them now; see `Kernel.read`.

        Of a scope whose cell has expired that kept it alive (see `keeping`) there is nothing, or "all" that is stored.
        """
        keeper = self._keeper
        if keeper is not None:
            reads = [asking(read, keeper.key) if read.scope.startswith(keeper.prefix) else read for read in reads]
        try:
            views = await self._kernel.read(reads, now_us=self.now_us)
        except Unavailable:
            views = await self._writer.again(lambda: self._kernel.read(reads, now_us=self.now_us))
        if keeper is None:
            return views
        for place, view in enumerate(views):
            if view.scope.startswith(keeper.prefix):
                cell = view.cells.get(keeper.key)
                keeper.learn(view.scope, cell)
                if cell is None and of_lapsed == "nothing":
                    views[place] = lapsed(view)
        return views

    async def find(
        self,
        index: str,
        value: str,
        *,
        lo: str | None = None,
        hi: str | None = None,
        after: tuple[str, str, str] | None = None,
        limit: int = 100,
        reverse: bool = False,
    ) -> tuple[Found, ...]:
        """Index entries as the store has them now; see `Kernel.find`. Makes no condition."""
        return await self._ask(
            lambda: self._kernel.find(
                index, value, now_us=self.now_us, lo=lo, hi=hi, after=after, limit=limit, reverse=reverse
            )
        )

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Log records as the store has them now; see `Kernel.log`. Makes no condition."""
        return await self._ask(
            lambda: self._kernel.log(scope, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
        )

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except Unavailable:
            return await self._writer.again(call)
