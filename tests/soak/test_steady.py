"""A hundred sessions at work for ten minutes: memory, store and latency are as flat at the end as at the beginning."""

import asyncio
import itertools
import resource
import time
from pathlib import Path
from random import Random
from statistics import median, quantiles

import pytest

from holdfast import Config, Holdfast
from holdfast.model.config import ChangesConfig

SESSIONS = 100
MINUTES = 10
LIFE = 400
"""Rounds that a session lives before it is deleted and another takes its place."""


def resident_mib() -> float:
    """The memory of this process that is in use now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


class Sample:
    """What was seen in one stretch of the run."""

    def __init__(self, latencies_s: list[float], folder: Path) -> None:
        self.rounds = len(latencies_s)
        self.p50_ms = median(latencies_s) * 1000
        self.p99_ms = quantiles(latencies_s, n=100)[98] * 1000
        self.memory_mib = resident_mib()
        self.store_mib = (folder / "store.db").stat().st_size / 2**20
        self.journal_mib = (folder / "store.db-wal").stat().st_size / 2**20

    def __str__(self) -> str:
        return (
            f"{self.rounds:8,} rounds  p50 {self.p50_ms:6.1f} ms  p99 {self.p99_ms:6.1f} ms  "
            f"memory {self.memory_mib:6.1f} MiB  store {self.store_mib:6.1f} MiB  journal {self.journal_mib:6.1f} MiB"
        )


async def life(hold: Holdfast, name: str, chance: Random, took: list[float]) -> None:
    """Sessions one after the other: each is made, worked with and deleted."""
    for n in itertools.count():
        s = await hold.sessions.create(id=f"{name}.{n}", user=name, tags=["soak"])
        for turn in range(LIFE):
            began = time.perf_counter()
            async with s.transaction() as tx:
                seen = await tx.state.get("turns", int, default=0)
                await tx.state.set("turns", seen + 1)
                await tx.messages.add("user", "x" * chance.randint(10, 400))
                await tx.log("turn", {"n": turn})
            if turn % 10 == 0:
                async with s.turn(request_id=f"r{turn}") as request:
                    request.output = await request.step("work", chance.random)
            await s.state.set(f"key{chance.randrange(20)}", chance.random())
            await s.runtime.set("step", turn)
            await s.temp.set("draft", turn)
            await s.user_state.mutate("turns", lambda n: n + 1, int, default=0)
            assert len(await s.messages.last(10)) == min(turn + 1, 10)
            took.append(time.perf_counter() - began)
        assert await hold.sessions.delete(s.id)


async def run(folder: Path, report) -> list[Sample]:
    samples: list[Sample] = []
    config = Config(changes=ChangesConfig(retention_age="20s"))
    async with Holdfast.open(f"sqlite:///{folder}/store.db", config=config) as hold:
        took: list[float] = []
        works = [asyncio.create_task(life(hold, f"u{n}", Random(n), took)) for n in range(SESSIONS)]
        try:
            for stretch in range(MINUTES * 2):
                until = time.monotonic() + 30
                while time.monotonic() < until:
                    done, _ = await asyncio.wait(works, timeout=5, return_when=asyncio.FIRST_COMPLETED)
                    assert not done, [task.exception() for task in done]
                    await hold.sweep()
                samples.append(Sample(took, folder))
                took.clear()
                report(f"{(stretch + 1) / 2:4.1f} min {samples[-1]}")
        finally:
            for task in works:
                task.cancel()
            await asyncio.gather(*works, return_exceptions=True)
    return samples


@pytest.mark.soak
def test_a_hundred_sessions_run_for_ten_minutes_without_growing(tmp_path, capsys):
    """Memory and store stay where they were once every session had one life; the latencies are printed beside."""

    def report(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)

    samples = asyncio.run(run(tmp_path, report))
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[-third:]

    def growth(figure: str) -> float:
        return median(getattr(one, figure) for one in last) / median(getattr(one, figure) for one in middle)

    report(", ".join(f"{figure} {growth(figure):.2f}" for figure in ("p50_ms", "p99_ms", "memory_mib", "store_mib")))
    assert growth("memory_mib") < 1.1
    assert growth("store_mib") < 1.1
