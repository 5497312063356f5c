"""Closing a store from one event loop ends what it has in the others, and waits for nothing that cannot end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest

from holdfast import Holdfast
from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.handles import loops, store
from holdfast.kernel.commit import Read
from holdfast.testing.clock import ManualClock, SeededIds
from tests.unit.handles.exclusive import until


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def opened(store: MemoryStore) -> Holdfast:
    """A store whose sweeper sleeps in the running loop, by a clock that never moves."""
    hold = Holdfast.over(MemoryKernel(store), clock=ManualClock(), ids=SeededIds(), background=True)
    await asyncio.sleep(0)
    return hold


def asleep(loop: asyncio.AbstractEventLoop) -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks(loop) if task.get_name().startswith("holdfast")]


def test_closing_in_another_loop_ends_the_sweeper_in_its_own() -> None:
    """Who opens, closes: nothing of the store is left in any loop, once `close` returns."""
    with running_loop() as loop:
        hold = asyncio.run_coroutine_threadsafe(opened(MemoryStore()), loop).result(30)
        assert asleep(loop) == ["holdfast sweeper"]
        asyncio.run(hold.close())
        assert asleep(loop) == []
        assert not hold._sweeper.stats().running


def test_closing_in_another_loop_removes_the_beats_of_a_lease_there() -> None:
    """What a process leaves of itself goes with it, in whichever loop it held a session."""
    store = MemoryStore()

    async def held() -> Holdfast:
        clock = ManualClock()
        hold = Holdfast.over(MemoryKernel(store), clock=clock, ids=SeededIds())
        s = await hold.sessions.create(id="s")
        await s.claim(ttl=30).__aenter__()
        await clock.elapse(10)
        return hold

    def beats() -> list[str]:
        return [name for name in store.space("default").scopes if name.startswith("beat/")]

    async def live() -> list[bool]:
        views = await MemoryKernel(store).read([Read(name) for name in beats()], now_us=0)
        return [view.head.live for view in views]

    with running_loop() as loop:
        hold = asyncio.run_coroutine_threadsafe(held(), loop).result(30)
        assert asyncio.run(live()) == [True]
        asyncio.run(hold.close())
        assert asyncio.run(live()) == [False]
        assert asleep(loop) == []


def test_closing_does_not_wait_for_a_loop_that_is_closed_or_does_not_run(caplog: pytest.LogCaptureFixture) -> None:
    """The one has ended its tasks, the other ends them when it runs again; nothing is said of either."""
    loop = asyncio.new_event_loop()
    hold = loop.run_until_complete(opened(MemoryStore()))
    asyncio.run(hold.close())
    loop.run_until_complete(until(lambda: not asleep(loop)))
    assert not hold._sweeper.stats().running
    hold = loop.run_until_complete(opened(MemoryStore()))
    loop.close()
    asyncio.run(hold.close())
    assert caplog.messages == []


def test_closing_does_not_wait_for_a_loop_that_closes_meanwhile() -> None:
    """Its tasks were told to end, and end with it or not at all."""
    loop, stopped = asyncio.new_event_loop(), threading.Event()
    hold = loop.run_until_complete(opened(MemoryStore()))
    loop.call_soon(stopped.wait, 30)  # holds it up until the store is being closed
    loop.call_soon(loop.stop)

    def run() -> None:
        loop.run_forever()
        loop.close()

    async def close() -> None:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        await until(loop.is_running)
        asyncio.get_running_loop().call_later(0.01, stopped.set)
        await hold.close()
        thread.join(30)

    began_s = monotonic()
    asyncio.run(close())
    assert monotonic() - began_s < loops.WAIT_S


def test_closing_does_not_wait_for_ever_for_a_loop_that_is_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be held up by whoever closes the store: a call that blocks it until that is done."""
    monkeypatch.setattr(loops, "WAIT_S", 0.1)

    async def main() -> Holdfast:
        hold = await opened(MemoryStore())
        thread = threading.Thread(target=lambda: asyncio.run(hold.close()), daemon=True)
        thread.start()
        thread.join(30)  # as no program should
        assert not thread.is_alive()
        await until(lambda: not hold._sweeper.stats().running)
        return hold

    assert asyncio.run(main())._store.closed


async def test_what_a_cancelled_close_left_open_the_next_one_closes() -> None:
    """Whoever is cut off while something is closed calls again, which waits for it."""
    things = loops.Loops()
    asked: list[str] = []
    goes_on = asyncio.Event()

    async def close(thing: str) -> None:
        asked.append(thing)
        await goes_on.wait()

    things.of_this(str, lambda: "lease", close)
    closing = asyncio.create_task(things.close())
    await until(lambda: asked == ["lease"])
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    goes_on.set()
    await things.close()
    assert asked == ["lease", "lease"]
    await things.close()
    assert len(asked) == 2


def test_a_forked_child_asks_nothing_of_loops_that_only_its_parent_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would answer there, and to ask is to write into the parent's pipe."""
    with running_loop() as loop:
        hold = asyncio.run_coroutine_threadsafe(opened(MemoryStore()), loop).result(30)
        with monkeypatch.context() as child:
            child.setattr(store, "_forks", store._forks + 1)
            asyncio.run(hold.close())
        assert asleep(loop) == ["holdfast sweeper"]
        asyncio.run(hold.close())
        assert asleep(loop) == []
