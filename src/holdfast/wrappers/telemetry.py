"""Counting what is asked of a kernel, outermost: what the cache answered is a call like any other, and a quick one.

`read` and `commit` are counted in place, for they are the hot path; the others by way of `call`. The writer calls
`commit` once for a batch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import TypeVar

from holdfast.kernel.commit import Commit, Outcome, Read, View
from holdfast.kernel.contract import Kernel
from holdfast.wrappers.around import Around, Verb
from holdfast.wrappers.meter import Meters

T = TypeVar("T")


class Telemetry(Around):
    """The kernel inside, with its verbs counted in `meters`."""

    def __init__(self, inside: Kernel, meters: Meters) -> None:
        super().__init__(inside)
        self._meters = meters
        self._read = meters.verb("read")
        self._commit = meters.verb("commit")

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """See `Kernel.read`."""
        if self._meters.spans is not None:
            return await super().read(reads, now_us=now_us)
        begun_s = perf_counter()
        try:
            views = await self.inside.read(reads, now_us=now_us)
        except BaseException as problem:
            self._read.add(perf_counter() - begun_s, problem)
            raise
        self._read.add(perf_counter() - begun_s)
        return views

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """See `Kernel.commit`."""
        if self._meters.spans is not None:
            return await super().commit(commits)
        begun_s = perf_counter()
        try:
            outcomes = await self.inside.commit(commits)
        except BaseException as problem:
            self._commit.add(perf_counter() - begun_s, problem)
            raise
        self._commit.add(perf_counter() - begun_s)
        return outcomes

    async def call(self, verb: Verb, send: Callable[[], Awaitable[T]]) -> T:
        """Count one call of one verb, and tell the traces of it."""
        meter, spans = self._meters.verb(verb), self._meters.spans
        span = None if spans is None else spans.begin(f"kernel.{verb}")
        raised: BaseException | None = None
        begun_s = perf_counter()
        try:
            return await send()
        except BaseException as problem:
            raised = problem
            raise
        finally:
            elapsed_s = perf_counter() - begun_s
            meter.add(elapsed_s, raised)
            if spans is not None:
                spans.end(span, elapsed_s, raised)
