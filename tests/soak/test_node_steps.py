"""A service that works off runs for as long as a million node steps: memory and store are as flat at the end as at the
beginning.

    HOLDFAST_SOAK_STEPS=50000 .venv/bin/python -m pytest -q -m soak tests/soak/test_node_steps.py

Nobody helps it: what ended leaves by the limits that are configured, through the sweeper of the store. Sessions end and
come back under their names, for what is left of a name that is gone for good is kept for a month.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import pytest

from holdfast import AtomicStep, ChangesConfig, Config, Holdfast, NodeSpec, Retry, RunsConfig, SweepConfig
from holdfast.handles.run import Run
from tests.crash.running import diamond
from tests.soak.test_steady import resident_mib

STEPS = int(os.environ.get("HOLDFAST_SOAK_STEPS", "1_000_000"))
"""Nodes that are completed, each with a step that is remembered."""

LANES = 16
"""Runs under way at once, each in a session of its own."""

SAMPLES = 24
LIFE = 20
"""Runs of a session before it is deleted."""

GRAPH = diamond(4)
FAILS = "n1.0"
"""The node that has to be tried again."""

PLAIN = frozenset(name for name in GRAPH if name != FAILS and not name.endswith(".2"))
"""Nodes that are done in the cheapest way; the others in a block, with an atomic step and a message."""

CONFIG = Config(
    runs=RunsConfig(finished_ttl="3s", history_max=3),
    changes=ChangesConfig(retention_age=None, retention_count=100),
    sweep=SweepConfig(every="1s"),
)


class Unlucky(Exception):
    """What a node fails with now and then, at its first try."""


class Sample:
    """What was seen when so many nodes were done."""

    def __init__(self, stats: dict[str, int], folder: Path) -> None:
        gc.collect()
        self.memory_mib = resident_mib()
        self.objects = len(gc.get_objects())
        self.file_mib = stats["file_bytes"] / 2**20
        self.used_mib = (stats["file_bytes"] - stats["free_bytes"]) / 2**20
        self.journal_mib = (folder / "store.db-wal").stat().st_size / 2**20
        self.cells, self.records, self.entries = stats["cells"], stats["records"], stats["entries"]

    def __str__(self) -> str:
        return (
            f"memory {self.memory_mib:6.1f} MiB ({self.objects:,} objects)  store {self.used_mib:6.1f} of "
            f"{self.file_mib:6.1f} MiB, journal {self.journal_mib:5.1f}  {self.cells:,} cells, "
            f"{self.entries:,} entries, {self.records:,} records"
        )


class Service:
    """Runs in sequence in every lane, until so many nodes are done."""

    def __init__(self, hold: Holdfast) -> None:
        self.hold = hold
        self.done = 0
        self.runs = 0

    async def lane(self, name: str) -> None:
        for life in itertools.count():
            session = await self.hold.sessions.create(id=name, user=f"u{name}")
            for number in range(LIFE):
                if self.done >= STEPS:
                    return
                run = await session.runs.start("diamond", nodes=nodes(), input={"life": life, "number": number})
                await self._work_off(run, asks=number % 10 == 3)
            assert await session.state.get("done", int) == LIFE * len(GRAPH.keys() - PLAIN)
            assert await self.hold.sessions.delete(name)

    async def _work_off(self, run: Run, *, asks: bool) -> None:
        async with run.claim(worker="w"):
            if asks:
                question = await run.ask("Go on?", payload={"run": run.id})
                await self.hold.interactions.answer(question.id, "approved", by="bo")
                await question.wait()
            while not run.is_done:
                for node in run.ready_nodes():
                    await self._do(run, node)
                await asyncio.sleep(0)
            await run.complete(len(run.nodes))
        self.runs += 1

    async def _do(self, run: Run, name: str) -> None:
        if name in PLAIN:
            await run.progress(name, "completed", output=await run.step("ask", partial(str, name), key=name))
        elif not await self._in_a_block(run, name):
            return  # it is ready again
        self.done += 1

    async def _in_a_block(self, run: Run, name: str) -> bool:
        """Do a node with all there is; whether it was done."""
        try:
            async with run.node(name, input={"for": name}) as node:
                node.output = await run.step("ask", partial(str, name), key=name)
                await run.atomic("count", _count, key=name)
                await node.messages.add("assistant", name)
                if name == FAILS and node.attempt == 1:
                    raise Unlucky(name)
        except Unlucky:
            return False
        return True


async def _count(step: AtomicStep) -> None:
    await step.state.set("done", await step.state.get("done", int, default=0) + 1)


def nodes() -> dict[str, NodeSpec]:
    return {
        name: NodeSpec(tuple(after), retry=Retry(1, delay=0.000_001) if name == FAILS else None)
        for name, after in GRAPH.items()
    }


async def serve(folder: Path, report: Callable[[str], None]) -> list[Sample]:
    samples: list[Sample] = []
    async with Holdfast.open(f"sqlite:///{folder}/store.db", config=CONFIG) as hold:
        service = Service(hold)
        began = time.monotonic()
        lanes = [asyncio.create_task(service.lane(f"s{n}")) for n in range(LANES)]
        try:
            for number in range(1, SAMPLES + 1):
                while service.done < STEPS * number // SAMPLES:
                    done, _ = await asyncio.wait(lanes, timeout=0.2, return_when=asyncio.FIRST_EXCEPTION)
                    assert not [task for task in done if task.exception()], [task.exception() for task in done]
                stats = await hold.stats()
                samples.append(Sample({**stats.store, "cells": stats.cells, "records": stats.records}, folder))  # type: ignore[arg-type]
                rate = service.done / (time.monotonic() - began)
                report(f"{service.done:9,} nodes  {service.runs:6,} runs  {rate:5.0f}/s  {samples[-1]}")
            sweeper = (await hold.stats()).sweeper
            report(f"the sweeper: {sweeper.done}, {sweeper.failures} failures in {sweeper.steps} steps")
            assert sweeper.failures == 0
        finally:
            for task in lanes:
                task.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
    return samples


@pytest.mark.soak
def test_a_million_node_steps_leave_memory_and_store_as_they_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once each limit has been reached nothing grows any more: no memory, no page, no cell, entry or record."""

    def report(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)

    samples = asyncio.run(serve(tmp_path, report))
    third = len(samples) // 3

    def growth(figure: str, of: Callable[[list[float]], float]) -> float:
        seen = [getattr(one, figure) for one in samples]
        return round(of(seen[-third:]) / of(seen[third : 2 * third]), 3)

    held = {figure: growth(figure, median) for figure in ("memory_mib", "objects")}
    kept = {figure: growth(figure, max) for figure in ("used_mib", "file_mib", "cells", "entries", "records")}
    report(f"grown by {held}, {kept}")
    assert max(held.values()) < 1.05
    assert max(kept.values()) < 1.25, "more than sweeps that come a little sooner or later make of it"
