"""Several processes iterate in one session on one file and are killed at any moment, and the account stays right."""

import asyncio
from decimal import Decimal
from pathlib import Path
from random import Random

from holdfast import Budget, Holdfast, Usage
from holdfast.backends.sqlite import SqliteKernel
from tests.crash.nursery import Nursery, child

SIGKILLED = -9
RESERVED = 10
ROOM = 60
"""How many iterations the budget has room for …"""

TRIES = 7
"""… and how many each of the four tasks of a process asks for: 28 a process."""


def found(path: Path, budget: Budget) -> None:
    async def work() -> None:
        async with Holdfast.over(await SqliteKernel.open(path)) as hold:
            await hold.sessions.create(id="s", budget=budget)

    asyncio.run(work())


def seen(path: Path):
    """The progress of the session, and the iterations in its log."""

    async def work():
        async with Holdfast.over(await SqliteKernel.open(path)) as hold:
            s = await hold.sessions.get("s")
            entries = (await s.events(types="iteration", limit=10_000)).items
            return s.progress, [entry.data for entry in entries], s.status

    return asyncio.run(work())


def test_processes_that_iterate_at_once_never_pass_a_limit(tmp_path):
    """Each is let in by a commit that checks what all others were let in for: exactly as many as fit are. Any two of
    them together ask too seldom to use it up, so all three have a part in it however the machine runs them."""
    path = tmp_path / "store.db"
    found(path, Budget(iterations=None, tokens=ROOM * RESERVED))
    with Nursery() as nursery:
        jobs = [
            child("tests.crash.children:iterating", path=str(path), notes=str(tmp_path / f"{n}"), tasks=4, tries=TRIES)
            for n in range(3)
        ]
        assert nursery.run(*jobs) == [0, 0, 0]
    let_in = [int((tmp_path / f"{n}").read_text()) for n in range(3)]
    progress, entries, status = seen(path)
    assert sum(let_in) == progress.used.iterations == len(entries) == ROOM
    assert (progress.used.tokens, progress.reserved, status) == (ROOM * RESERVED, Usage(), "timed_out")
    assert sorted(entry["iteration"] for entry in entries) == list(range(1, ROOM + 1))
    assert min(let_in) >= ROOM - 2 * 4 * TRIES


def test_a_process_killed_between_reservation_and_settlement_leaves_the_reservation_counted(tmp_path):
    """Nobody knows what it spent, so nothing of it is given back; its entry shows that it never ended."""
    path = tmp_path / "store.db"
    found(path, Budget(tokens=5000))
    with Nursery() as nursery:
        assert nursery.run(child("tests.crash.children:killed_in_an_iteration", path=str(path))) == [SIGKILLED]
    progress, entries, status = seen(path)
    assert (progress.used, progress.reserved) == (Usage(iterations=1), Usage(tokens=4000))
    assert entries == [{"iteration": 1, "reserved": {"tokens": 4000}}]
    assert status == "active"


def test_after_kills_at_any_moment_the_account_is_what_the_log_tells(tmp_path):
    """Reservation and entry are one commit, and settlement and completed entry are one: never the one without the
    other, whenever the process dies."""
    path, chance = tmp_path / "store.db", Random(1)
    found(path, Budget(iterations=None))
    rounds = cut = 0
    with Nursery() as nursery:
        while rounds < 12 or (cut <= 5 and rounds < 60):
            rounds += 1
            alive = tmp_path / "alive"
            alive.unlink(missing_ok=True)
            jobs = [
                child("tests.crash.children:iterating", path=str(path), notes=str(alive), tasks=4, tries=100_000)
                for _ in range(2)
            ]
            ends = nursery.run(*jobs, kill_after_s=0.02 + 0.3 * chance.random(), alive_when=str(alive))
            assert ends == [SIGKILLED, SIGKILLED]
            progress, entries, _ = seen(path)
            assert progress.used.iterations == len(entries)
            unended = [entry for entry in entries if "duration_s" not in entry]
            assert progress.reserved == Usage(tokens=RESERVED * len(unended), cost=Decimal("0.1") * len(unended))
            ended = len(entries) - len(unended)
            assert (progress.used.tokens, progress.used.cost) == (RESERVED * ended, Decimal("0.1") * ended)
            cut = len(unended)
    assert cut > 5, f"hardly any process died inside one of {len(entries)} iterations"
