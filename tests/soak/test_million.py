"""A million acknowledged commits through hundreds of kills: each is there once, in its place, and the file is sound."""

import asyncio
import time
from pathlib import Path
from random import Random

import pytest

from holdfast import Holdfast
from holdfast.backends.sqlite import SqliteKernel
from tests.crash.aftermath import integrity
from tests.crash.nursery import Nursery, child
from tests.soak.writers import KEPT, PAIR

PROCESSES = 2
TASKS = 32
SHARED = "everybody"


class Ledger:
    """What the tasks of one process were told, in a file that outlives it."""

    def __init__(self, path: Path, ids: list[str]) -> None:
        self.path = path
        self.ids = ids
        path.write_bytes(bytes(PAIR.size * len(ids)))

    def told(self) -> dict[str, tuple[int, int]]:
        """Of each session the last number sent, and the last acknowledged."""
        raw = self.path.read_bytes()
        return {id: PAIR.unpack_from(raw, place * PAIR.size) for place, id in enumerate(self.ids)}

    def settle(self, found: dict[str, int]) -> None:
        """Go on from what is there."""
        raw = b"".join(PAIR.pack(found[id], found[id]) for id in self.ids)
        self.path.write_bytes(raw)


async def examine(path: Path, ledgers: list[Ledger]) -> int:
    """Hold the store against what was acknowledged; returns how many commits it holds."""
    total = 0
    async with Holdfast.over(await SqliteKernel.open(str(path))) as hold:
        everybody = await hold.sessions.get(SHARED)
        assert everybody is not None
        notes: dict[str, list[int]] = {}
        after = None
        while page := await everybody.messages.list(limit=10_000, after=after):
            for message in page:
                id, _, number = message.content.partition(" ")
                notes.setdefault(id, []).append(int(number))
            after = page[-1]
        for ledger in ledgers:
            found: dict[str, int] = {}
            for id, (sent, acknowledged) in ledger.told().items():
                session = await hold.sessions.get(id)
                assert session is not None, f"{id} is lost"
                count = await session.state.get("count", int, default=0)
                assert count in (acknowledged, sent), f"{id}: {acknowledged} acknowledged, {sent} sent, {count} there"
                assert notes.get(id, []) == [*range(10, count + 1, 10)], f"{id}: a transaction is half, or twice"
                found[id] = count
            ledger.settle(found)
            total += sum(found.values())
        heads = [
            record.seq
            for record in await hold._store.kernel.log(f"session/{ledgers[0].ids[0]}", after=0, limit=1, reverse=True)
        ]
        assert heads
    assert integrity(path) == []
    return total


async def found(path: Path, ids: list[str]) -> None:
    async with Holdfast.over(await SqliteKernel.open(str(path))) as hold:
        for id in [SHARED, *ids]:
            await hold.sessions.create(id=id)


@pytest.mark.soak
def test_a_million_commits_survive_every_kill(tmp_path, capsys):
    """G1, G4, G5, G6: nothing acknowledged is lost, nothing is half, nothing happens twice."""
    chance, path = Random(1), tmp_path / "store.db"
    ledgers = [Ledger(tmp_path / f"told{p}", [f"s{p}.{t}" for t in range(TASKS)]) for p in range(PROCESSES)]
    asyncio.run(found(path, [id for ledger in ledgers for id in ledger.ids]))
    kills = total = 0
    began = time.monotonic()
    with Nursery() as nursery:
        while total < 1_000_000:
            ends = nursery.run(
                *[
                    child("tests.soak.writers:counting", path=str(path), told=str(one.path), ids=one.ids, shared=SHARED)
                    for one in ledgers
                ],
                kill_after_s=chance.uniform(1, 12),
            )
            assert ends == [-9] * PROCESSES
            kills += PROCESSES
            total = asyncio.run(examine(path, ledgers))
    took = time.monotonic() - began
    size = sum(file.stat().st_size for file in tmp_path.glob("store.db*"))
    with capsys.disabled():
        print(
            f"\n{total:,} commits, {kills} kills, {took:.0f} s, {total / took:,.0f} commits/s with opening and checking"
        )
        print(f"store {size / 2**20:.1f} MiB, logs kept to {KEPT} records a session")
