"""Processes work on runs, are killed amid them, and take them from each other: each node and step has its effects once,
and in order."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from holdfast import Holdfast
from tests.crash.nursery import Nursery, child
from tests.crash.places import STORES, place
from tests.crash.running import SPACE, WIDEST, diamond


async def _begin(url: str, *, runs: int, widest: int) -> None:
    async with Holdfast.open(url, space=SPACE) as hold:
        for number in range(runs):
            session = await hold.sessions.create(id=f"s{number}")
            await session.state.update({"a": 1_000, "b": 0})
            await session.runs.start("diamond", id=f"r{number}", nodes=diamond(widest))


async def _check(url: str, *, runs: int, widest: int) -> None:
    nodes = diamond(widest)
    async with Holdfast.open(url, space=SPACE) as hold:
        for number in range(runs):
            session, run = await hold.sessions.get(f"s{number}"), await hold.runs.get(f"r{number}")
            assert session is not None
            assert run is not None
            assert (run.status, run.output) == ("completed", len(nodes))
            ledger = [message.content for message in await session.messages.list(limit=1000)]
            assert sorted(ledger) == sorted(nodes), "a node is in the ledger twice, or not at all"
            at = {name: where for where, name in enumerate(ledger)}
            assert all(at[other] < at[name] for name, after in nodes.items() for other in after), "out of order"
            moved = [event.data["for"] for event in (await session.events(types="moved", limit=1000)).items]
            assert sorted(moved) == sorted(nodes), "a step had its effects twice, or not at all"
            assert (await session.state.snapshot()).values == {"a": 1_000 - len(nodes), "b": len(nodes)}
            for name, node in run.nodes.items():
                assert node.output == await run.step("ask", lambda: "asked again", key=name)


def _work(url: str, *, processes: int, kills: int, seed: int, runs: int = 1, widest: int = WIDEST) -> None:
    chance = Random(seed)
    asyncio.run(_begin(url, runs=runs, widest=widest))
    with Nursery() as nursery:
        for life in range(kills):
            workers = [
                child("tests.crash.running:work", url=url, place=number, seed=seed * 100 + life)
                for number in range(processes)
            ]
            nursery.run(*workers, kill_after_s=0.2 + 0.4 * chance.random())
        workers = [
            child("tests.crash.running:work", url=url, place=90 + number, seed=seed, polite=True)
            for number in range(processes)
        ]
        assert nursery.run(*workers) == [0] * processes
    asyncio.run(_check(url, runs=runs, widest=widest))


@pytest.mark.parametrize("store", STORES)
def test_a_graph_whose_workers_die_is_done_once_and_in_order(store: str, tmp_path: Path) -> None:
    """Two hundred nodes: every one once in the ledger, after those it waits for; the accounts balance."""
    assert len(diamond()) == 200
    _work(place(store, tmp_path), processes=2, kills=3, seed=3)


@pytest.mark.parametrize("store", STORES)
def test_workers_that_race_for_the_same_runs_do_each_node_once(store: str, tmp_path: Path) -> None:
    """They supersede each other, and die; several runs, each in a session of its own."""
    _work(place(store, tmp_path), processes=3, kills=2, seed=4, runs=2, widest=3)


@pytest.mark.soak
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("seed", range(100, 120))
def test_runs_are_done_once_through_many_deaths(store: str, tmp_path: Path, seed: int) -> None:
    """The same for longer."""
    _work(place(store, tmp_path), processes=3, kills=12, seed=seed, runs=2)
