"""Several processes iterate in one session of one store and are killed at any moment, and the account stays right."""

import asyncio
from decimal import Decimal
from random import Random

import pytest

from holdfast import Budget, BudgetExceeded, Holdfast, Usage
from tests.crash.nursery import Nursery, child
from tests.crash.places import STORES, place

SIGKILLED = -9
RESERVED = 10
ROOM = 60
"""How many iterations the budget has room for …"""

TRIES = 7
"""… and how many each of the four tasks of a process asks for: 28 a process."""


def found(url: str, budget: Budget) -> None:
    async def work() -> None:
        async with Holdfast.open(url, background=False) as hold:
            await hold.sessions.create(id="s", budget=budget)

    asyncio.run(work())


def refused_once_more(url: str) -> None:
    """One that asks when all have settled."""

    async def work() -> None:
        async with Holdfast.open(url, background=False) as hold:
            s = await hold.sessions.get("s")
            with pytest.raises(BudgetExceeded):
                await s.iterate(reserve=Usage(tokens=RESERVED))

    asyncio.run(work())


def seen(url: str):
    """The progress of the session, and the iterations in its log."""

    async def work():
        async with Holdfast.open(url, background=False) as hold:
            s = await hold.sessions.get("s")
            entries = (await s.events(types="iteration", limit=10_000)).items
            return s.progress, [entry.data for entry in entries], s.status

    return asyncio.run(work())


@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.soak)])
def test_processes_that_iterate_at_once_never_pass_a_limit(store, tmp_path):
    """Each is let in by a commit that checks what all others were let in for: exactly as many as fit are. Any two of
    them together ask too seldom to use it up, so all three have a part in it however the machine runs them."""
    url = place(store, tmp_path)
    found(url, Budget(iterations=None, tokens=ROOM * RESERVED))
    with Nursery() as nursery:
        jobs = [
            child("tests.crash.children:iterating", url=url, notes=str(tmp_path / f"{n}"), tasks=4, tries=TRIES)
            for n in range(3)
        ]
        assert nursery.run(*jobs) == [0, 0, 0]
    refused_once_more(url)  # whom a reservation under way kept out, ended nothing
    let_in = [int((tmp_path / f"{n}").read_text()) for n in range(3)]
    progress, entries, status = seen(url)
    assert sum(let_in) == progress.used.iterations == len(entries) == ROOM
    assert (progress.used.tokens, progress.reserved, status) == (ROOM * RESERVED, Usage(), "timed_out")
    assert sorted(entry["iteration"] for entry in entries) == list(range(1, ROOM + 1))
    assert min(let_in) >= ROOM - 2 * 4 * TRIES


@pytest.mark.parametrize("store", STORES)
def test_a_process_killed_between_reservation_and_settlement_leaves_the_reservation_counted(store, tmp_path):
    """Nobody knows what it spent, so nothing of it is given back; its entry shows that it never ended."""
    url = place(store, tmp_path)
    found(url, Budget(tokens=5000))
    with Nursery() as nursery:
        assert nursery.run(child("tests.crash.children:killed_in_an_iteration", url=url)) == [SIGKILLED]
    progress, entries, status = seen(url)
    assert (progress.used, progress.reserved) == (Usage(iterations=1), Usage(tokens=4000))
    assert entries == [{"iteration": 1, "reserved": {"tokens": 4000}}]
    assert status == "active"


@pytest.mark.parametrize("store", STORES)
def test_after_kills_at_any_moment_the_account_is_what_the_log_tells(store, tmp_path):
    """Reservation and entry are one commit, and settlement and completed entry are one: never the one without the
    other, whenever the process dies."""
    url, chance = place(store, tmp_path), Random(1)
    found(url, Budget(iterations=None))
    rounds = cut = 0
    with Nursery() as nursery:
        while rounds < 12 or (cut <= 5 and rounds < 60):
            rounds += 1
            alive = tmp_path / "alive"
            alive.unlink(missing_ok=True)
            jobs = [
                child("tests.crash.children:iterating", url=url, notes=str(alive), tasks=4, tries=100_000)
                for _ in range(2)
            ]
            ends = nursery.run(*jobs, kill_after_s=0.02 + 0.3 * chance.random(), alive_when=str(alive))
            assert ends == [SIGKILLED, SIGKILLED]
            progress, entries, _ = seen(url)
            assert progress.used.iterations == len(entries)
            unended = [entry for entry in entries if "duration_s" not in entry]
            assert progress.reserved == Usage(tokens=RESERVED * len(unended), cost=Decimal("0.1") * len(unended))
            ended = len(entries) - len(unended)
            assert (progress.used.tokens, progress.used.cost) == (RESERVED * ended, Decimal("0.1") * ended)
            cut = len(unended)
    assert cut > 5, f"hardly any process died inside one of {len(entries)} iterations"
