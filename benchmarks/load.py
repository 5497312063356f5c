"""The load of every write benchmark: small durable puts into sessions of twenty keys, from N tasks in a closed loop.

Each task waits for its put before it sends the next, as a request handler does. The session and the key are drawn at
random from a fixed seed; the value differs every time, because SQLite does not rewrite a row that is already the same.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.pairs import Sample

KEYS = 20
VALUE_BYTES = 100
PADDING = b"v" * (VALUE_BYTES - 10)

Put = Callable[[str, str, bytes], Awaitable[object]]


@dataclass(frozen=True)
class Load:
    """How much to do: `tasks` closed loops over `sessions` sessions, measured for `run_s` after `warm_s`."""

    tasks: int
    sessions: int = 1_000
    warm_s: float = 0.2
    run_s: float = 1.0
    seed: int = 1
    busy: bool = False  # half of the loop's time goes to other work, in pieces of 200 µs: a server's own code


def session_name(number: int) -> str:
    return f"session-{number:07d}"


def key_name(number: int) -> str:
    return f"key-{number:02d}"


def value_of(number: int) -> bytes:
    return b"%010d" % number + PADDING


async def drive(put: Put, load: Load) -> Sample:
    """Rate and latencies of the puts that finished inside the measured window, which goes on until there is one."""
    pick = random.Random(load.seed)
    targets = [(session_name(pick.randrange(load.sessions)), key_name(pick.randrange(KEYS))) for _ in range(50_021)]
    clock = time.perf_counter
    sent = 0
    latencies: list[float] = []
    gc.collect()
    begins = clock() + load.warm_s
    ends = begins + load.run_s

    async def task() -> None:
        nonlocal sent
        while (before := clock()) < ends or not latencies:
            sent += 1
            session, key = targets[sent % 50_021]
            await put(session, key, value_of(sent))
            if (after := clock()) >= begins:
                latencies.append(after - before)

    async def other_work() -> None:
        while (now := clock()) < ends:
            while clock() < now + 200e-6:
                pass
            await asyncio.sleep(200e-6)

    others = [other_work()] if load.busy else []
    await asyncio.gather(*others, *(task() for _ in range(load.tasks)))
    return Sample.of(latencies, elapsed_s=clock() - begins)
