"""Concurrent clients of one store: nothing lost, nothing invented, totals preserved, one order that explains it all.

Guarantees G1 to G6, G8, G10, G11, G17 as people meet them: on tasks, on threads with event loops of their own, and on
several processes with one SQLite file; on PostgreSQL too. What each client did and saw is held against the logs by the
history checker.
"""

import asyncio
import threading
from collections import Counter

import pytest

from holdfast import Holdfast
from holdfast.backends.memory import MemoryKernel
from holdfast.backends.postgres import PostgresKernel
from holdfast.backends.sqlite import SqliteKernel
from holdfast.testing.place import place_in_one_bucket
from holdfast.testing.recording import read_log
from tests.concurrency.clients import Listener, found, run_tasks, verdict
from tests.servers import fresh

PLACE = place_in_one_bucket(sessions=2, accounts=3)


async def open_kernel(name, path):
    if name == "memory":
        return MemoryKernel()
    if name == "postgres":
        return await PostgresKernel.open(await fresh())
    return await SqliteKernel.open(path / "store.db", durability=name)


@pytest.mark.parametrize("backend", ["memory", "process", "fsync", "postgres"])
async def test_many_tasks_on_one_store_make_a_strictly_serialisable_history(backend, tmp_path):
    kernel = await open_kernel(backend, tmp_path)
    lines: list[bytes] = []
    async with Holdfast.over(kernel) as hold:
        await found(hold, PLACE, lines=lines)
        clients = await run_tasks(hold, PLACE, tasks=16, steps=40, seed=1, lines=lines)
        assert await verdict(kernel, PLACE, lines) == []
    done = sum((client.done for client in clients), Counter())
    assert set(done) >= {"count", "put", "say", "transfer", "audit", "both", "snapshot", "end", "revive"}
    assert done["transfer"] >= 20
    assert sum((client.refused for client in clients), Counter()).keys() <= {"Conflict", "NotFound", "AlreadyExists"}


@pytest.mark.parametrize("backend", ["memory", "process", "fsync", "postgres"])
async def test_followers_get_every_change_once_and_in_order_while_clients_write(backend, tmp_path):
    kernel = await open_kernel(backend, tmp_path)
    lines: list[bytes] = []
    async with Holdfast.over(kernel) as hold:
        await found(hold, PLACE, lines=lines)
        whole, cut = Listener(hold, PLACE), Listener(hold, PLACE)
        live = asyncio.create_task(whole.listen(until=10**9))
        for n in range(1, 4):
            listening = asyncio.create_task(cut.listen(until=30 * n))
            await run_tasks(hold, PLACE, tasks=8, steps=12, seed=n, lines=lines, recorder_place=n)
            await asyncio.wait_for(listening, timeout=20)  # cut off in the middle, and resumed by its cursors
        logs = {scope: await read_log(kernel, scope) for scope in PLACE.scopes}
        total = sum(len(entry.effects) for log in logs.values() for entry in log)
        await asyncio.wait_for(cut.listen(until=total), timeout=20)
        await asyncio.wait_for(whole.heard(total), timeout=20)
        live.cancel()
        assert whole.verdict(logs) == []
        assert cut.verdict(logs) == []
        assert await verdict(kernel, PLACE, lines) == []


@pytest.mark.parametrize("backend", ["process", "fsync", "postgres"])
async def test_threads_with_loops_of_their_own_share_one_store(backend, tmp_path):
    """One `Holdfast` serves any thread and any event loop."""
    kernel = await open_kernel(backend, tmp_path)
    lines: list[bytes] = []
    problems: list[BaseException] = []
    async with Holdfast.over(kernel) as hold:
        await found(hold, PLACE, lines=lines)

        def work(n: int) -> None:
            try:
                asyncio.run(run_tasks(hold, PLACE, tasks=4, steps=20, seed=2, lines=lines, recorder_place=n))
            except BaseException as problem:
                problems.append(problem)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        await run_tasks(hold, PLACE, tasks=4, steps=20, seed=2, lines=lines, recorder_place=9)
        await asyncio.to_thread(lambda: [thread.join() for thread in threads])
        assert problems == []
        assert await verdict(kernel, PLACE, lines) == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 130))
@pytest.mark.parametrize("backend", ["memory", "process", "fsync", "postgres"])
async def test_long_histories_of_many_tasks_and_loops_are_strictly_serialisable(backend, seed, tmp_path):
    kernel = await open_kernel(backend, tmp_path)
    lines: list[bytes] = []
    async with Holdfast.over(kernel) as hold:
        await found(hold, PLACE, lines=lines)

        def work(n: int) -> None:
            asyncio.run(run_tasks(hold, PLACE, tasks=8, steps=60, seed=seed, lines=lines, recorder_place=n))

        await asyncio.gather(*(asyncio.to_thread(work, n) for n in range(1 if backend == "memory" else 5)))
        assert await verdict(kernel, PLACE, lines) == []
