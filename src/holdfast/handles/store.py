"""What every handle of one opened store shares: the kernel with its writer, the clock, the ids, the configuration."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from types import MappingProxyType
from typing import Literal, TypeVar
from weakref import WeakValueDictionary

from msgspec.structs import replace

from holdfast.errors import Closed, HoldfastError, Unavailable
from holdfast.handles.buffers import Buffers
from holdfast.handles.deadlines import Deadlines
from holdfast.handles.loops import Loops
from holdfast.handles.rights import Rights
from holdfast.kernel.commit import Committed, Conflict
from holdfast.kernel.contract import Clock, Ids
from holdfast.kernel.feed import Feed
from holdfast.kernel.limits import Traits, check_time
from holdfast.kernel.work import Work
from holdfast.kernel.writer import Writer
from holdfast.model import cause
from holdfast.model.config import Config, SessionConfig
from holdfast.model.duration import Duration, to_us
from holdfast.operations.health import Probe
from holdfast.services import session
from holdfast.wrappers.stack import Stack

T = TypeVar("T")

_forks = 0
"""How many forks lie between this process and the one that imported Holdfast: cheaper to ask than the process id."""


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class Store:
    """One opened space, as its handles see it. Any thread and event loop may use it."""

    def __init__(
        self,
        stack: Stack,
        *,
        clock: Clock,
        ids: Ids,
        config: Config,
        environment: Mapping[str, str] = MappingProxyType({}),
        encrypted: bool = False,
    ) -> None:
        self.kernel, self.cache, self.meters = stack
        self.spans = None if self.meters is None else self.meters.spans
        self.clock = clock
        self.ids = ids
        self.config = config
        self.environment = environment
        """Variables of the process's environment, as they are when they are looked at."""
        self.encrypted = encrypted
        self.limits = effective_limits(self.kernel.traits, config)
        self.writer = Writer(self.kernel, clock=clock, ids=ids)
        self.deadlines = Deadlines()
        self.life = _life(config.session)
        self.buffers = Buffers(config.runtime, clock=clock, limits=self.limits)
        self.temp_ttl_us = to_us(config.state.temp_ttl, "state.temp_ttl")
        ttl = config.turns.answers_ttl
        self.answers_ttl_us = None if ttl is None else to_us(ttl, "turns.answers_ttl")
        self._loops = Loops()
        self.probe = Probe(self.kernel, self.writer, "off" if self.cache is None else self.cache.kind)
        self._feeds: dict[asyncio.AbstractEventLoop, Feed] = {}
        self._queues: WeakValueDictionary[tuple[object, ...], asyncio.Lock] = WeakValueDictionary()
        self._forks = _forks
        self.closed = False
        self.principal: Rights | None = None
        """What the handles of this face may find; None: everything."""
        self.url: str | None = None
        """What it was opened by, without a password; None for one on a kernel of somebody's own."""

    def __repr__(self) -> str:
        named = "" if self.url is None else f"{self.url!r} "
        return f"<Store {named}space={self.kernel.space!r}>"

    @property
    def speaker(self) -> str | None:
        """Who speaks through this face, and for nobody else: its principal; None: whoever is named."""
        return None if self.principal is None else self.principal.user

    def limited(self, rights: Rights | None) -> Store:
        """The same store for the handles of one principal, or of none. Everything else is shared."""
        face = copy(self)
        face.principal = rights
        return face

    def check_open(self) -> None:
        """Raise Closed if the store is closed, or was opened in the process that this one was forked from."""
        if self.closed:
            raise Closed("this store is closed")
        if self._forks != _forks:
            raise Closed("this store was opened before the fork: open it after, or start the process with spawn")

    def work(
        self,
        *,
        of_expired: Literal["nothing", "all"] = "nothing",
        limits: Literal["configured", "kernel's"] = "configured",
    ) -> Work:
        """A new unit of work, with the cause of the current task. Expired sessions do not exist for it, unless it is
        to have "all" that is stored. What the library writes by itself may be as large as the kernel takes."""
        if self.closed or self._forks != _forks:
            self.check_open()
        keeper = self.deadlines if of_expired == "nothing" else None
        most = self.limits if limits == "configured" else self.kernel.traits
        work = Work(self.writer, limits=most, cause=self.cause(), keeper=keeper)
        work.values = self.config.changes.values
        return work

    def why(self) -> cause.Cause:
        """Why the current task does what it does."""
        why = cause.current.get()
        if self.spans is not None and why.trace_id is None:
            why = replace(why, trace_id=self.spans.trace_id())
        return why

    def cause(self) -> bytes:
        """The same, as a record keeps it."""
        why = self.why()
        return b"" if why is cause.NO_CAUSE else cause.encode_cause(why)

    def life_of(self, ttl: Duration | None) -> session.Life:
        """How long a session lives that is created with that ttl. Raises InvalidValue for what is none."""
        return self.life if ttl is None else replace(self.life, ttl_us=to_us(ttl, "ttl"))

    def commit(self, work: Work) -> Awaitable[Committed | Conflict]:
        """Commit a unit of work, with the runtime state that waits of the sessions that it writes to."""
        return self.buffers.commit(work) if self.buffers.takes_in else work.commit()

    def now_us(self) -> int:
        """The time of day. Raises InvalidValue for one that could not be stored: the clock is wrong."""
        return check_time(self.clock.now_us())

    async def patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call that does no harm when repeated; again while the store is unavailable, as reads are."""
        self.check_open()
        try:
            return await call()
        except Unavailable:
            return await self.writer.again(call)

    def feed(self) -> Feed:
        """The reader loop of the running event loop."""
        self.check_open()
        loop = asyncio.get_running_loop()
        for other in list(self._feeds):  # a copy: other threads open feeds too
            if other.is_closed():
                self._feeds.pop(other, None)
        feed = self._feeds.get(loop)
        if feed is None:
            feed = self._feeds[loop] = Feed(self.kernel, clock=self.clock, ids=self.ids)
        return feed

    def of_loop(self, kind: type[T], make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> T:
        """The one thing of that kind that the running event loop has of this store; closed with it, in that loop."""
        self.check_open()
        return self._loops.of_this(kind, make, close)

    def queue(self, *name: object) -> asyncio.Lock:
        """The lock in which this loop's tasks queue up to change one thing, so that they need not collide."""
        loop = asyncio.get_running_loop()
        key = (loop, *name)
        lock = self._queues.get(key)
        if lock is None:
            lock = asyncio.Lock()
            self._queues[key] = lock
        return lock

    async def close(self) -> None:
        """Commit what waits, finish what was submitted, end the followers, close the kernel.

        May be called again, which finishes what a cancelled call left open: every step is harmless when repeated.
        Raises, when all is closed, what kept runtime state from being committed.
        """
        problem: HoldfastError | None = None
        if not self.closed and self._forks == _forks:
            try:
                await self.buffers.close()
            except HoldfastError as unstored:
                problem = unstored
        self.closed = True
        here = asyncio.get_running_loop()
        for loop, feed in list(self._feeds.items()):
            if loop is here:
                await feed.close()
            elif self._forks == _forks:  # in a child there are no threads that run the others
                with contextlib.suppress(RuntimeError):  # that loop is closed, and nobody waits in it
                    loop.call_soon_threadsafe(feed.end)
        if self._forks == _forks:
            await self._loops.close()
        await self.writer.close()
        await self.kernel.close()
        if problem is not None:
            raise problem


def _life(config: SessionConfig) -> session.Life:
    """How long a session lives that is created without a ttl."""
    return session.Life(
        None if config.default_ttl is None else to_us(config.default_ttl, "session.default_ttl"),
        config.extend_on_access,
        None if config.idle_timeout is None else to_us(config.idle_timeout, "session.idle_timeout"),
    )


def effective_limits(traits: Traits, config: Config) -> Traits:
    """The backend's traits, with its limits lowered to the configured ones."""
    return replace(
        traits,
        value_bytes_max=min(traits.value_bytes_max, config.limits.value_bytes_max),
        operations_max=min(traits.operations_max, config.limits.operations_max),
        commit_bytes_max=min(traits.commit_bytes_max, config.limits.commit_bytes_max),
    )
