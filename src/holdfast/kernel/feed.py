"""The reader loop: follows the logs of the scopes that somebody in this event loop follows.

    hint or poll -> moved(position) -> log(scope, after) for the moved scopes that are followed -> fan-out

The log is read once for each moved scope and handed to all its followers (`follower`): a bounded queue and one wake-up
each. Signals of live changes take the short way: hear -> fan-out, in turn with what else arrives, and at most so many
that wait. There is one `Feed` per event loop and store, alive only while it has followers. It outlives a store that is
out of reach for a while; what else goes wrong it tells every follower, so that nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Mapping, Sequence

from holdfast.errors import Closed, Compacted, HoldfastError, Unavailable
from holdfast.kernel.beginning import GLANCE
from holdfast.kernel.commit import Moved
from holdfast.kernel.contract import Clock, Ids, Kernel
from holdfast.kernel.follower import PAGE, PAUSE_MAX_S, PAUSE_S, QUEUE_MAX, Follower
from holdfast.kernel.limits import PAGE_BYTES
from holdfast.kernel.live import LIVE_BYTES_MAX, LIVE_MAX, decode_live
from holdfast.kernel.lives import Admission

GIVE_WAY_AFTER = 50
"""Moves looked at before everything else on the loop gets its turn."""


class Feed:
    """The reader loop of one event loop."""

    def __init__(self, kernel: Kernel, *, clock: Clock, ids: Ids) -> None:
        self.kernel = kernel
        self.clock = clock
        self.ids = ids
        self._followers: dict[str, list[Follower]] = {}
        self._scouts: list[Follower] = []
        self._arriving: dict[Follower, asyncio.Event] = {}  # scouts to be, until what moved before them is told
        self._tips: dict[str, int] = {}  # scope -> the seq its log was read up to
        self._task: asyncio.Task[None] | None = None
        self._started = asyncio.Event()  # of the present task
        self._wake = asyncio.Event()
        self._closed = False
        self._heard: deque[tuple[str, bytes]] = deque()  # signals that the loop has yet to look at
        self._heard_bytes = 0
        self._heard_lock = threading.Lock()

    def follow(self, *, admission: Admission | None = None, queue_max: int = QUEUE_MAX) -> Follower:
        """A follower of no scope yet; see `Follower.add`.

        With `admission`, it is asked about every scope that moves and that the follower does not follow; every life
        that it admits is followed from its beginning to its end, also one that was over before it was asked.
        """
        self._check_open()
        return Follower(self, admission=admission, queue_max=queue_max)

    def end(self) -> None:
        """End every follower with Closed, and the loop; to be called in its event loop."""
        self._closed = True
        self._fail_everyone(Closed("this store is closed"))
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """`end`, and wait until the loop has ended."""
        self.end()
        if self._task is not None:
            await asyncio.wait([self._task])
            self._task = None

    # --- what followers call ----------------------------------------------------------------------

    def enter(self, follower: Follower, scope: str) -> None:
        """Report moves of this scope to the follower from now on."""
        self._followers.setdefault(scope, []).append(follower)

    async def scout(self, follower: Follower) -> None:
        """Report every move of an unknown scope to the follower from now on, and none of before.

        So it is seated only once a look that began after it arrived has told the others everything.
        """
        seated = self._arriving[follower] = asyncio.Event()
        await self.start()
        if not seated.is_set():
            self._wake.set()
        await seated.wait()
        self._check_open()

    def leave(self, follower: Follower, scopes: Sequence[str], *, altogether: bool) -> None:
        """Report nothing more of these scopes; or nothing at all, which ends the loop with the last follower."""
        for scope in scopes:
            same = self._followers.get(scope, [])
            if follower in same:
                same.remove(follower)
            if not same:
                self._followers.pop(scope, None)
                self._tips.pop(scope, None)
        if altogether and follower in self._scouts:
            self._scouts.remove(follower)
        if altogether:
            self._arriving.pop(follower, None)
        if not (self._followers or self._scouts or self._arriving) and self._task is not None:
            self._task.cancel()
            self._task = None

    async def start(self) -> None:
        """Run the loop if it does not run yet; returns once it has a position: what moves from now on is reported."""
        self._check_open()
        if self._task is None or self._task.done():
            self._started = asyncio.Event()
            self._tips.clear()
            run = self._run(self._started)
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(run, context=contextvars.Context(), name="holdfast feed")
        await self._started.wait()
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("this store is closed")

    # --- the loop ---------------------------------------------------------------------------------

    async def _run(self, started: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed; its feed is gone with it
                loop.call_soon_threadsafe(self._wake.set)

        def hear(scope: str, payload: bytes) -> None:
            if scope in self._followers and self._is_first_heard(scope, payload):
                with contextlib.suppress(RuntimeError):  # as above
                    loop.call_soon_threadsafe(self._tell_heard)

        ticker = loop.create_task(self._tick(), name="holdfast feed ticker")
        ends = []
        try:
            ends.append(self.kernel.watch(wake))
            ends.append(self.kernel.listen(hear))
            await self._follow_moves(started)
        except HoldfastError as problem:
            self._fail_everyone(problem)
        except Exception as defect:  # not in the kernel's contract
            ended = Unavailable(f"the reader loop ended: {defect!r}")
            ended.__cause__ = defect
            self._fail_everyone(ended)
        finally:
            for end in ends:
                end()
            ticker.cancel()
            started.set()
            for seated in self._arriving.values():
                seated.set()

    def _is_first_heard(self, scope: str, payload: bytes) -> bool:
        """Keep a signal for the loop, unless too many wait; whether it is the first of those."""
        with self._heard_lock:
            if len(self._heard) == LIVE_MAX or self._heard_bytes + len(payload) > LIVE_BYTES_MAX:
                return False
            self._heard.append((scope, payload))
            self._heard_bytes += len(payload)
            return len(self._heard) == 1

    def _tell_heard(self) -> None:
        """Hand every signal that was heard to the followers of its scope."""
        with self._heard_lock:
            heard, self._heard, self._heard_bytes = self._heard, deque(), 0
        for scope, payload in heard:
            if (live := decode_live(payload)) is not None:
                for follower in tuple(self._followers.get(scope, ())):
                    follower.hear(scope, live)

    async def _tick(self) -> None:
        while True:
            await self.clock.sleep(self.kernel.traits.poll_s)
            self._wake.set()

    async def _follow_moves(self, started: asyncio.Event) -> None:
        position: str | None = None
        missed = False  # positions expired while nobody looked
        pause = PAUSE_S
        while True:
            arrived = tuple(self._arriving)
            try:
                moved = await self.kernel.moved(position)
                if missed:
                    await self._look_everywhere()
                    missed = False
                await self._on_moves(moved)
            except Compacted:
                position, missed = None, True
                continue
            except Unavailable:
                await self.clock.sleep(pause)
                pause = min(2 * pause, PAUSE_MAX_S)
                continue
            position = moved.position
            started.set()
            pause = PAUSE_S
            if not moved.more:
                self._seat(arrived)
                await self._wake.wait()
                self._wake.clear()

    def _seat(self, arrived: Sequence[Follower]) -> None:
        for scout in arrived:
            seated = self._arriving.pop(scout, None)
            if seated is not None:
                self._scouts.append(scout)
                seated.set()

    async def _on_moves(self, moved: Moved) -> None:
        for place, (scope, seq) in enumerate(moved.scopes, start=1):
            if scope in self._followers:
                await self._on_move(scope, seq)
            if place % GIVE_WAY_AFTER == 0:
                await asyncio.sleep(0)  # a backend that reads in place never gives way to the readers by itself
        if self._scouts and moved.scopes:
            await self._let_scouts_consider(moved.since())

    async def _on_move(self, scope: str, seq: int) -> None:
        after = self._tips.get(scope)
        if after is None:
            after = min(follower.expected[scope] for follower in self._followers[scope]) - 1
            after = max(after, seq - 1 - PAGE)
        if seq < after:
            self._rouse(scope)  # its count began anew, or an old move was repeated
        while after < seq and scope in self._followers:
            try:
                limit = GLANCE if seq - after <= GLANCE else PAGE
                records = await self.kernel.log(scope, after=after, limit=limit, bytes_max=PAGE_BYTES)
            except Unavailable:
                raise
            except HoldfastError:
                self._tips.pop(scope, None)
                return self._rouse(scope)  # they will meet the same and say so to their users
            if not records:
                return None
            after = self._tips[scope] = records[-1].seq
            for follower in tuple(self._followers.get(scope, ())):
                follower.offer(scope, records)
        return None

    async def _let_scouts_consider(self, moves: Mapping[str, int | None]) -> None:
        for scout in tuple(self._scouts):
            try:
                await scout.consider(moves)
            except Unavailable:
                raise
            except HoldfastError as problem:
                scout.fail(problem)

    async def _look_everywhere(self) -> None:
        """What moved since the last position cannot be told: everybody looks at what they follow, scouts at everything.

        A life that came and went meanwhile, in a scope that nobody followed, is not told.
        """
        for scope in tuple(self._followers):
            self._tips.pop(scope, None)
            self._rouse(scope)
        after = ""
        while self._scouts:
            page = await self.kernel.scopes(after=after)
            if not page:
                break
            await self._let_scouts_consider(dict.fromkeys(page))
            after = page[-1]

    def _rouse(self, scope: str) -> None:
        for follower in self._followers.get(scope, ()):
            follower.rouse(scope)

    def _fail_everyone(self, problem: HoldfastError) -> None:
        everyone = {id(one): one for many in self._followers.values() for one in many}
        everyone.update({id(one): one for one in (*self._scouts, *self._arriving)})
        for follower in everyone.values():
            follower.fail(problem)


__all__ = ["PAGE", "QUEUE_MAX", "Feed", "Follower"]
