"""Time and chance that a test owns: a clock that stands still until it is told, and ids that repeat from a seed.

`ManualClock` keeps two readings, as a machine does: the wall (`now_us`), which may be set, and the monotonic time,
which only grows. Sleepers wait by the monotonic one, so a jump of the wall wakes nobody.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from random import Random

from holdfast.errors import InvalidValue, shown
from holdfast.kernel.limits import check_time

EPOCH_US = 1_800_000_000_000_000
"""Where a manual clock's wall starts: a Friday in January 2027."""


class ManualClock:
    """A `Clock` that moves only by `advance` and `elapse` (both readings) and `jump` (the wall alone).

    Any thread may move it; sleepers of any event loop wake in the order of the times they wait for. Where the wall
    would leave the times that a store takes, 1970 to 2286, InvalidValue is raised and the clock stays where it is.
    """

    def __init__(self, now_us: int = EPOCH_US) -> None:
        self._now_us = check_time(now_us)
        self._monotonic_us = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()

    def now_us(self) -> int:
        """The wall's reading, microseconds since the epoch."""
        return self._now_us

    def monotonic_s(self) -> float:
        """Seconds since this clock was made; jumps of the wall do not show in it."""
        return self._monotonic_us / 1_000_000

    @property
    def sleepers(self) -> int:
        """How many tasks wait for this clock."""
        with self._lock:
            return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved that far; for no time or less, let the other tasks run once."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            due_us = self._monotonic_us + round(seconds * 1_000_000)
            heapq.heappush(self._sleepers, (due_us, next(self._order), future))
        await future

    def advance(self, seconds: float) -> None:
        """Move both readings at once and wake who is due. Whoever then sleeps again, sleeps from the new time."""
        forward_us = _forward_us(seconds)
        with self._lock:
            check_time(self._now_us + forward_us)
            self._move_to(self._monotonic_us + forward_us)

    async def elapse(self, seconds: float) -> None:
        """Move both readings through every time somebody waits for, letting the woken tasks run at each.

        So a task that sleeps ten times for a second wakes ten times in ten seconds, each time at its own second.
        """
        forward_us = _forward_us(seconds)
        check_time(self._now_us + forward_us)
        end_us = self._monotonic_us + forward_us
        await settle()
        while (due_us := self._next_due_us()) is not None and due_us <= end_us:
            with self._lock:
                self._move_to(due_us)
            await settle()
        with self._lock:
            self._move_to(end_us)
        await settle()

    def jump(self, seconds: float) -> None:
        """Set the wall forward, or back where negative, as an operator or a time server does; nobody wakes."""
        with self._lock:
            self._now_us = check_time(self._now_us + _to_us(seconds))

    def _next_due_us(self) -> int | None:
        with self._lock:
            while self._sleepers and self._sleepers[0][2].done():  # cancelled
                heapq.heappop(self._sleepers)
            return self._sleepers[0][0] if self._sleepers else None

    def _move_to(self, monotonic_us: int) -> None:
        """Under the lock: move on to that time, unless it is past already, and wake who is due."""
        self._now_us += max(0, monotonic_us - self._monotonic_us)
        self._monotonic_us = max(monotonic_us, self._monotonic_us)
        while self._sleepers and self._sleepers[0][0] <= self._monotonic_us:
            _, _, future = heapq.heappop(self._sleepers)
            loop = future.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_wake, future)


class LeapingClock(ManualClock):
    """A clock on which every sleep ends at once, and time has passed all the same.

    For what waits by itself and has nobody to move the clock for it, such as a simulated network's latency.
    """

    async def sleep(self, seconds: float) -> None:
        """Let the other tasks run, then move the clock to where this sleep ends, if it is not there yet."""
        due_us = self._monotonic_us + max(0, round(seconds * 1_000_000))
        await asyncio.sleep(0)
        with self._lock:
            self._move_to(due_us)


class StillClock(ManualClock):
    """A clock that only its owner moves; a pause ends all the same, after a millisecond of real time at most.

    For what waits for others, who are about to come, and has no time of its own: what is due is due when it is moved.
    """

    async def sleep(self, seconds: float) -> None:
        """Let the others go on for a moment; time does not move."""
        await asyncio.sleep(min(max(seconds, 0), 0.001))


class SeededIds:
    """`Ids` that repeat from a seed: the same calls give the same ids. Two seeds give different ones.

    Chance is drawn from a sequence of its own: how often something was tried again shows in no id.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(seed)
        self._chance = Random(f"chance {seed}")
        self._count = itertools.count(1)

    def uuid7(self, now_us: int) -> str:
        """A UUIDv7 for that time; those of one time sort in the order they were made."""
        milliseconds, fraction_us = divmod(now_us, 1000)
        number = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76 | fraction_us * 4096 // 1000 << 64
        number |= 2 << 62 | (next(self._count) & 0x3FFFFFFF) << 32 | self._random.getrandbits(32)
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def writer(self) -> str:
        """A writer id of 16 hexadecimal digits."""
        return f"{self._random.getrandbits(64):016x}"

    def random(self) -> float:
        """The next number of the seeded sequence, from 0 up to but not including 1."""
        return self._chance.random()


async def settle(turns: int = 20) -> None:
    """Let every task that can run do so, for that many turns of the loop; time does not move."""
    for _ in range(turns):
        await asyncio.sleep(0)


def _forward_us(seconds: float) -> int:
    if seconds < 0:
        raise ValueError("a clock is advanced, never moved back; jump() sets the wall")
    return _to_us(seconds)


def _to_us(seconds: float) -> int:
    try:
        return round(seconds * 1_000_000)
    except (OverflowError, ValueError):
        raise InvalidValue(f"a clock cannot be moved by {shown(seconds)} seconds", path="seconds") from None


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
