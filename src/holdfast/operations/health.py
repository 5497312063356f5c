"""Asking a store how it is: one read and one write, bounded in time. What is wrong is said and not raised.

The read is of a range, which no cache answers. The write is a record in a scope of its own, `health/probe`, which
nobody follows. It stays in the log like any other, so it is made at most once in `WRITE_EVERY_S`, and where it is not,
a commit that only checks goes the same way through queue, thread and lock. A full disk shows in the write alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from holdfast.errors import HoldfastError
from holdfast.kernel.commit import Commit, Conflict, Range, Read, ScopeCommit
from holdfast.kernel.contract import Kernel
from holdfast.kernel.writer import WAITING_MAX, Writer
from holdfast.model.health import Cached, Health, Status
from holdfast.wrappers.around import backend_name

SCOPE = "health/probe"
PATIENCE_S = 5.0
"""How long read and write may take together."""

WRITE_EVERY_S = 60.0
SLOW_S = 1.0
"""A read or write that takes longer is said to be slow."""

SKEW_S = 1.0
"""Clocks that differ by more are said to."""


class Probe:
    """Looks after one opened store."""

    def __init__(self, kernel: Kernel, writer: Writer, cached: Cached) -> None:
        self._kernel = kernel
        self._writer = writer
        self._clock = writer.clock
        self._cached = cached
        self._wrote_s: float | None = None
        self._skew_s: float | None = None

    async def health(self, *, version: str, writes: bool = True) -> Health:
        """How the store is now. Without `writes` nothing is left behind, and a full disk may go unnoticed."""
        latency: dict[str, float] = {}
        details: list[str] = []
        status: Status = "healthy"
        trip = asyncio.ensure_future(self._round_trip(latency, writes=writes))
        if await self._in_time(trip):
            try:
                trip.result()
            except HoldfastError as problem:
                status = "unhealthy"
                details.append(f"[{problem.code}] {problem.args[0]}")
            except Exception as defect:
                status = "unhealthy"
                details.append(f"{type(defect).__name__}: {defect}")
        else:
            status = "unhealthy"
            missing = "write" if "read" in latency else "read"
            details.append(f"the {missing} was not answered within {PATIENCE_S:g} s")
        if status == "healthy" and (strains := self._strains(latency)):
            status = "degraded"
            details += strains
        traits = msgspec.structs.asdict(self._kernel.traits)
        return Health(
            status=status,
            version=version,
            store=backend_name(self._kernel),
            durability=traits.pop("durability"),
            traits=traits,
            latency=latency,
            skew=self._skew_s,
            cached=self._cached,
            details=tuple(details),
        )

    async def _in_time(self, trip: asyncio.Future[None]) -> bool:
        """Whether it ended before the patience did, by the injected clock."""
        alarm = asyncio.ensure_future(self._patience())
        try:
            await asyncio.wait([trip, alarm], return_when=asyncio.FIRST_COMPLETED)
            return trip.done()
        finally:
            for task in (trip, alarm):
                task.cancel()

    async def _patience(self) -> None:
        until_s = self._clock.monotonic_s() + PATIENCE_S
        while (left_s := until_s - self._clock.monotonic_s()) > 0:
            await self._clock.sleep(left_s)

    async def _round_trip(self, latency: dict[str, float], *, writes: bool) -> None:
        self._skew_s = None
        await self._timed(latency, "read", self._read)
        self._skew_s = await self._skew()
        await self._timed(latency, "write", lambda: self._write(leaves_record=writes and self._is_due()))

    async def _skew(self) -> float | None:
        """By how much this host's clock is ahead, as of the middle of the round trip."""
        before_us = self._clock.now_us()
        there_us = await self._kernel.clock_us()
        return None if there_us is None else ((before_us + self._clock.now_us()) / 2 - there_us) / 1_000_000

    async def _timed(self, latency: dict[str, float], what: str, call: Callable[[], Awaitable[None]]) -> None:
        begun_s = self._clock.monotonic_s()
        await call()
        latency[what] = self._clock.monotonic_s() - begun_s

    def _is_due(self) -> bool:
        return self._wrote_s is None or self._clock.monotonic_s() - self._wrote_s >= WRITE_EVERY_S

    async def _read(self) -> None:
        await self._kernel.read([Read(SCOPE, (), (Range("", 1),))], now_us=self._clock.now_us())

    async def _write(self, *, leaves_record: bool) -> None:
        part = ScopeCommit(SCOPE, "create", body=b"[]") if leaves_record else ScopeCommit(SCOPE, "create")
        outcome = await self._writer.commit(Commit((part,), self._clock.now_us()))
        assert not isinstance(outcome, Conflict), outcome
        if leaves_record:
            self._wrote_s = self._clock.monotonic_s()

    def _strains(self, latency: dict[str, float]) -> list[str]:
        strains = [f"a {what} took {took:.1f} s" for what, took in latency.items() if took >= SLOW_S]
        if self._skew_s is not None and abs(self._skew_s) >= SKEW_S:
            than = "ahead of" if self._skew_s > 0 else "behind"
            strains.append(f"this host's clock is {abs(self._skew_s):.1f} s {than} the store's, and deadlines with it")
        waiting = self._writer.stats()["waiting"]
        if waiting * 2 >= WAITING_MAX:
            strains.append(f"{waiting} commits wait to be sent, and from {WAITING_MAX} on callers are made to wait")
        return strains
