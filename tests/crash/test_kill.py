"""A process killed at any moment: everything acknowledged is there, nothing is half, and every log is without a gap.

Clients, sweeps and checkpoints run in a forked child until SIGKILL: at a failpoint, or at random. Then the store is
opened as the next process would, SQLite checks the file, and the history checker holds what all clients of all lives
were told against the logs, and the logs against the cells and indexes.
"""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from holdfast import Holdfast
from holdfast.backends.sqlite import SqliteKernel
from holdfast.testing.history import Violation
from holdfast.testing.place import place_in_one_bucket
from tests.concurrency.clients import found as found_place
from tests.crash.aftermath import Aftermath
from tests.crash.children import FAILPOINTS
from tests.crash.nursery import Nursery, child

PLACE = place_in_one_bucket(sessions=2, accounts=3)
LIVES = 8
"""Deaths that one store goes through before a new one is begun, so that histories stay short."""

SIGKILLED = -9
WRITING = ("batch.decided", "batch.written")
"""The last failpoint of a process that died between a batch's first write and its barrier."""


class Store:
    """One store and the children that die on it."""

    def __init__(self, folder: Path, durability: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.durability = durability
        self.lives = 0
        self.aftermath = Aftermath(folder / "store.db", PLACE, folder / "notes.jsonl")
        asyncio.run(self._begin())

    async def _begin(self) -> None:
        lines: list[bytes] = []
        async with Holdfast.over(await SqliteKernel.open(self.aftermath.path)) as hold:
            await found_place(hold, PLACE, lines=lines)
        self.aftermath.notes.write_bytes(b"".join(lines))

    def kill(
        self, nursery: Nursery, *, at: str | None, count: int, after_s: float | None, seed: int, who: str = "doomed"
    ) -> tuple[str, list[Violation]]:
        """Let a child live and die; the last failpoint it reached, and what is wrong with the store then."""
        self.lives += 1
        marks = self.folder / "marks"
        marks.unlink(missing_ok=True)
        ends = nursery.run(
            child(
                f"tests.crash.children:{who}",
                path=str(self.aftermath.path),
                notes=str(self.aftermath.notes),
                marks=str(marks),
                at=at,
                count=count,
                sessions=PLACE.sessions,
                accounts=PLACE.accounts,
                place=self.lives,
                tasks=6,
                seed=seed,
                durability=self.durability,
            ),
            kill_after_s=after_s,
            alive_when=str(marks),
        )
        last = marks.read_bytes()[0]
        raised = [] if ends == [SIGKILLED] else [Violation("client", f"a client raised (exit code {ends})")]
        return FAILPOINTS[last - 1], raised + asyncio.run(self.aftermath.examine())


def deaths(tmp_path: Path, plans, *, durability: str = "fsync", enough=lambda ends: False) -> Counter[str]:
    """Kill one child for each plan (failpoint, count, seconds) until it is `enough`; how often each failpoint was the
    last."""
    ends: Counter[str] = Counter()
    with Nursery() as nursery:
        for n, (at, count, after_s) in enumerate(plans):
            if n % LIVES == 0:
                store = Store(tmp_path / f"{n // LIVES}", durability)
            last, found = store.kill(nursery, at=at, count=count, after_s=after_s, seed=n)
            assert found == [], f"plan {n} ({at}, {count}, {after_s}) ended at {last}"
            ends[last] += 1
            if enough(ends):
                break
    return ends


def at_failpoints(chance: Random, count: int):
    """Mostly between a batch's first write and its barrier, now and then elsewhere."""
    names = ["batch.written"] * 18 + [*FAILPOINTS]
    for _ in range(count):
        name = chance.choice(names)
        yield name, chance.randint(1, 12 if name.startswith("batch") else 2), None


def at_random(chance: Random, count: int):
    return ((None, 0, 0.06 * chance.random()) for _ in range(count))


@pytest.mark.parametrize("durability", ["fsync", "process"])
def test_killed_at_a_failpoint_a_store_has_everything_acknowledged_and_nothing_half(durability, tmp_path):
    """G1, G4, G6. The process's end loses nothing in either mode."""
    ends = deaths(tmp_path, at_failpoints(Random(durability), 40), durability=durability)
    assert ends["batch.written"] > 0.5 * ends.total(), f"most died elsewhere: {ends}"
    assert len(ends) >= 6


@pytest.mark.parametrize("durability", ["fsync", "process"])
def test_killed_at_random_a_store_has_everything_acknowledged_and_nothing_half(durability, tmp_path):
    """Killed until enough died while they wrote: where a process is at a given moment, the machine's load decides."""

    def enough(ends: Counter[str]) -> bool:
        return ends.total() >= 24 and sum(ends[name] for name in WRITING) >= 3

    ends = deaths(tmp_path, at_random(Random(durability), 240), durability=durability, enough=enough)
    assert enough(ends), f"most died elsewhere: {ends}"


@pytest.mark.parametrize("who", ["forgetful", "hasty"])
def test_a_store_that_answers_before_its_barrier_or_writes_half_is_found(who, tmp_path):
    """The deaths prove something: a writer that acknowledges what it does not keep does not survive them."""
    store = Store(tmp_path / who, "fsync")
    rules = set()
    with Nursery() as nursery:
        for n in range(40):
            if rules & {"lost", "half", "gap", "client"}:
                break
            # After twenty batches: two at least of which the writer kept less than it said.
            _, found = store.kill(nursery, at="batch.written", count=20, after_s=None, seed=n, who=who)
            rules |= {rule for rule, _ in found}
    assert rules & {"lost", "half", "gap", "client"}


@pytest.mark.soak
@pytest.mark.parametrize("durability", ["fsync", "process"])
@pytest.mark.parametrize("seed", range(10))
def test_killed_hundreds_of_times(seed, durability, tmp_path):
    chance = Random(f"{seed} {durability}")
    deaths(tmp_path, [*at_failpoints(chance, 100), *at_random(chance, 100)], durability=durability)
