"""The SQLite backend answers what the memory backend answers, which is the executable specification.

Random histories over few names, so that everything collides: conditions of every kind, drops and revivals, expiry,
index entries that move, commit ids sent twice, sweeps, several commits in one batch, two stores on one file taking
turns, and a reopening now and then. After every step all that can be seen is compared.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from holdfast.backends.memory import MemoryKernel
from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import Compacted, HoldfastError
from holdfast.kernel.commit import (
    Absent,
    Append,
    Commit,
    CommitId,
    Entry,
    HeadAt,
    Present,
    Put,
    Range,
    Read,
    Retention,
    ScopeCommit,
    Unchanged,
    Untouched,
)
from holdfast.kernel.contract import Kernel

SCOPES = ("s/1", "s/2", "s/3", "ü/𝄞")
KEYS = ("a", "a/1", "a/2", "b", "b/\uffff", "b/\U0001f600", "c\x00d", "m/0000000000000009.0000")
INDEXES = (("by", "x"), ("by", "y"), ("due", ""))
ORDERS = ("1", "2", "2\x00", "é")


class History:
    """Draws commits, knowing only what a caller could know."""

    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)
        self.now_us = 1_000_000
        self.n = {"w1": 0, "w2": 0}
        self.sent: tuple[list[Commit], list[Commit]] = ([], [])

    def commits(self, place: int) -> list[Commit]:
        """A batch; now and then one that was sent to the same store before."""
        batch = []
        for _ in range(self.pick.choice((1, 1, 2, 5, 40))):
            if self.sent[place] and self.pick.random() < 0.05:
                batch.append(self.pick.choice(self.sent[place][-30:]))
                continue
            batch.append(self.commit())
            self.sent[place].append(batch[-1])
        return batch

    def commit(self) -> Commit:
        pick = self.pick
        writer = pick.choice(("w1", "w2"))
        self.n[writer] += 1
        self.now_us += pick.choice((0, 1, 5))
        names = pick.sample(SCOPES, pick.choice((1, 1, 1, 2, 3)))
        parts = tuple(self.part(name) for name in names)
        return Commit(parts, self.now_us, pick.choice((b"", b"cause")), CommitId(writer, self.n[writer]))

    def part(self, scope: str) -> ScopeCommit:
        pick = self.pick
        need: Any = pick.choice(("create", "create", "create", "must_exist", "must_not_exist"))
        epoch = pick.choice((None, None, None, 0, 1, 2))
        checks = tuple(self.check() for _ in range(pick.choice((0, 0, 0, 1, 2))))
        if pick.random() < 0.04:
            return ScopeCommit(scope, need, epoch, checks, drop=True, body=pick.choice((b"", b"bye")))
        keys = pick.sample(KEYS, pick.randrange(4))
        puts = tuple(Put(key, self.value(), self.expiry(), self.entries()) for key in keys if pick.random() < 0.7)
        written = {put.key for put in puts}
        deletes = tuple(key for key in keys if key not in written)
        appends = tuple(
            Append("m/", self.value(), self.expiry(), self.entries()) for _ in range(pick.choice((0, 0, 0, 1, 2)))
        )
        return ScopeCommit(scope, need, epoch, checks, puts, appends, deletes, pick.choice((b"", b"body")))

    def check(self) -> Any:
        pick = self.pick
        since = pick.randrange(60)
        return pick.choice(
            (
                Absent(pick.choice(KEYS)),
                Present(pick.choice(KEYS)),
                Unchanged(pick.choice(KEYS), since),
                Untouched(pick.choice(("", "a", "b/", "m/", "zz")), since),
                HeadAt(since),
            )
        )

    def value(self) -> bytes:
        return self.pick.randbytes(self.pick.choice((0, 1, 60, 61, 700, 701, 5_000)))

    def expiry(self) -> int | None:
        return self.now_us + self.pick.randrange(60) if self.pick.random() < 0.2 else None

    def entries(self) -> tuple[Entry, ...]:
        pick = self.pick
        if pick.random() < 0.6:
            return ()
        places = {(*pick.choice(INDEXES), pick.choice(ORDERS)) for _ in range(pick.choice((1, 2)))}
        return tuple(Entry(*place, pick.choice((b"", b"payload"))) for place in sorted(places))

    def retention(self) -> Retention:
        pick = self.pick
        return Retention(pick.choice((None, 20, 200)), pick.choice((None, 1, 5)), pick.choice((None, 100)))


async def seen(kernel: Kernel, now_us: int) -> list[Any]:
    """Everything the verbs show, in a form that compares."""
    wanted = (Range("", 1_000), Range("a/", 2), Range("b", 3, after="b/\uffff"), Range("", 3, reverse=True))
    reads = [Read(scope, KEYS, (*wanted, Range("a", 2, after="a/2", reverse=True))) for scope in SCOPES]
    found: list[Any] = [await kernel.read(reads, now_us=now_us)]
    found += [await kernel.read([Read(scope, ("a",))], now_us=now_us) for scope in SCOPES]
    for index, value in INDEXES:
        for reverse in (False, True):
            everything = await kernel.find(index, value, now_us=now_us, reverse=reverse)
            pages = [*await kernel.find(index, value, now_us=now_us, reverse=reverse, limit=2)]
            while len(pages) < len(everything):
                after = pages[-1].cursor
                pages += await kernel.find(index, value, now_us=now_us, reverse=reverse, limit=2, after=after)
            assert tuple(pages) == everything
            bounded = await kernel.find(index, value, now_us=now_us, lo="2", hi="2\x00", reverse=reverse)
            found += [everything, bounded]
    found += [await kernel.scopes(), await kernel.scopes(after="s/2", limit=1)]
    for scope in SCOPES:
        for after in (0, 3, 40, 10_000):
            for reverse in (False, True):
                found.append(await refused(kernel.log(scope, after=after, limit=50, reverse=reverse)))
    return found


async def refused(verb: Any) -> Any:
    """What a verb answers, or the class and facts of what it raises."""
    try:
        return await verb
    except HoldfastError as error:
        return type(error), error.facts.get("floor")


def comparable(outcomes: list[Any]) -> list[Any]:
    """Outcomes with errors reduced to their class."""
    return [type(outcome) if isinstance(outcome, HoldfastError) else outcome for outcome in outcomes]


async def moved_since(kernel: Kernel, position: str) -> dict[str, int] | None:
    """What moved after a position, page by page; None if the position expired."""
    found: dict[str, int] = {}
    more = True
    while more:
        try:
            page = await kernel.moved(position, limit=3)
        except Compacted:
            return None
        found.update(page.scopes)
        position, more = page.position, page.more
    return found


async def nothing_left(kernel: SqliteKernel, memory: MemoryKernel, now_us: int) -> None:
    """Once all scopes are dropped and swept, no row of theirs is left in any table."""
    for each in (kernel, memory):
        drops = tuple(ScopeCommit(scope, drop=True) for scope in await each.scopes())
        if drops:
            await each.commit([Commit(drops, now_us, b"", CommitId("last", 1))])
        await each.sweep(now_us=now_us, retention=Retention(0, 0, 0))
    assert await seen(kernel, now_us) == await seen(memory, now_us)
    for table in ("cells", "apart", "entries", "log", "scopes", "garbage"):
        assert await rows_of(kernel, table) == 0, table


async def rows_of(kernel: SqliteKernel, table: str) -> int:
    """How many rows a table has."""
    return await kernel._store.look(lambda cursor: cursor.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


@pytest.mark.parametrize("seed", range(12))
async def test_every_answer_is_that_of_the_memory_backend(seed: int, tmp_path: Path) -> None:
    """G1 to G5, G7, G10 to G18: a random history shows the same on both backends after every step."""
    history = History(seed)
    path = tmp_path / "store.db"
    memory = MemoryKernel()
    kernels = [await SqliteKernel.open(path, durability="process") for _ in range(2)]
    other = await SqliteKernel.open(path, space="other", durability="process")
    position = (await kernels[0].moved()).position
    for step in range(60):
        place = history.pick.randrange(2)
        kernel = kernels[place]
        batch = history.commits(place)
        expected = comparable(await memory.commit(batch))
        assert comparable(await kernel.commit(batch)) == expected, step
        if history.pick.random() < 0.1:
            retention = history.retention()
            swept = [await each.sweep(now_us=history.now_us, retention=retention) for each in (memory, kernel)]
            assert swept[0].records == swept[1].records
            assert swept[0].scopes == swept[1].scopes
        if history.pick.random() < 0.1:
            history.sent[place].clear()
            await kernels[place].close()
            kernels[place] = await SqliteKernel.open(path, durability="process")
        for each in kernels:
            assert await seen(each, history.now_us) == await seen(memory, history.now_us), step
        heads = {view.scope: view.head.seq for view in await memory.read([Read(scope) for scope in SCOPES], now_us=0)}
        known = {scope: seq for scope, seq in heads.items() if seq}
        assert await moved_since(kernels[0], "") == known
        assert await moved_since(kernels[1], position) in (known, None)
    await nothing_left(kernels[0], memory, history.now_us)
    assert (await other.read([Read(scope, KEYS) for scope in SCOPES], now_us=0))[0].head.seq == 0
    assert await other.scopes() == ()
    for each in (*kernels, other, memory):
        await each.close()
