"""Many guarantees at once: random histories on the kernel under test and on the specification, side by side.

The memory backend is the executable specification. Whatever is done to both, batch by batch, must come out alike: every
outcome, and every answer of every verb. What the other checks do not think of, a random history may.
"""

from __future__ import annotations

from random import Random
from typing import Literal

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.errors import HoldfastError, Indeterminate, Unavailable
from holdfast.kernel.commit import (
    Absent,
    Append,
    Check,
    Commit,
    CommitId,
    Committed,
    Entry,
    HeadAt,
    Outcome,
    Present,
    Put,
    Range,
    Read,
    Record,
    Retention,
    ScopeCommit,
    Unchanged,
    Untouched,
    stamp,
)
from holdfast.kernel.contract import Kernel
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, Lane
from holdfast.testing.conformance.check import proves

KEYS = ("a", "a/1", "a/2", "b/\U0001f600", "b/\uffee", "l/k")
PREFIXES = ("", "a", "a/", "b/", "l/", "none")
VALUES = ("x", "y")
ORDERS = ("1", "2", "\uffee", "\U0001f600")


class Author:
    """Writes random commits over a few scopes, by what the specification holds at the time.

    It sends again what was `applied`, or "any" commit, and then sometimes under an id that comes too late. Through
    several kernels it must be the former: one that left no record may be forgotten with the kernel that judged it.
    """

    def __init__(
        self, scopes: list[str], random: Random, *, now_us: int, lane: Lane, repeats: Literal["any", "applied"]
    ) -> None:
        self.scopes = scopes
        self.random = random
        self.now_us = now_us
        self._lane = lane
        self._repeats = repeats
        self._sent: list[Commit] = []

    def batch(self, seqs: dict[str, int]) -> list[Commit]:
        """One to four commits: new ones, and at times one sent again or an id that came too late."""
        random = self.random
        self.now_us += random.choice((0, 1, 1, 2, 5, -3))
        commits = []
        for _ in range(random.randint(1, 4)):
            if self._sent and random.random() < 0.15:
                commits.append(random.choice(self._sent))
                continue
            scopes = random.sample(self.scopes, random.choice((1, 1, 1, 2, 3)))
            parts = tuple(self._part(scope, seqs[scope]) for scope in scopes)
            id = self._lane.next()
            if self._repeats == "any" and random.random() < 0.03:
                id = CommitId(id.writer, max(1, id.n - random.randint(1, 4)))
            commits.append(Commit(parts, self.now_us, random.choice((b"", b"cause", b"\x00\xff")), id))
        return commits

    def learn(self, commits: list[Commit], outcomes: list[Outcome]) -> None:
        """Remember what may be sent again."""
        for commit, outcome in zip(commits, outcomes, strict=True):
            if self._repeats == "any" or (isinstance(outcome, Committed) and outcome.seqs):
                self._sent.append(commit)

    def _part(self, scope: str, seq: int) -> ScopeCommit:
        random = self.random
        part = ScopeCommit(
            scope,
            random.choice(("create", "create", "create", "must_exist", "must_not_exist")),
            random.choice((None, None, None, None, 0, 1)),
            tuple(self._check(seq) for _ in range(random.choice((0, 0, 1, 1, 2)))),
        )
        if random.random() < 0.07:
            return replace(part, drop=True, body=self._value())
        if random.random() < 0.08:
            return part
        keys = random.sample(KEYS, random.randint(0, 4))
        cut = random.randint(0, len(keys))
        return replace(
            part,
            puts=tuple(Put(key, self._value(), self._expiry(), self._entries()) for key in keys[:cut]),
            appends=tuple(
                Append("l/", self._value(), self._expiry(), self._entries()) for _ in range(random.choice((0, 0, 1, 2)))
            ),
            deletes=(*keys[cut:], *self._stamped(seq)),
            body=self._value(),
        )

    def _check(self, seq: int) -> Check:
        random = self.random
        since = max(0, seq - random.choice((0, 0, 0, 1, 2, 5)))
        return random.choice(
            (
                Absent(random.choice(KEYS)),
                Present(random.choice(KEYS)),
                Unchanged(random.choice(KEYS), since),
                Untouched(random.choice(PREFIXES), since),
                Untouched(random.choice(("none", "a/2")), max(0, seq - random.randrange(4))),
                HeadAt(since),
            )
        )

    def _stamped(self, seq: int) -> tuple[str, ...]:
        """At times a key that an earlier commit may have appended; never one of the commit's own."""
        return (f"l/{stamp(self.random.randint(1, seq), 0)}",) if seq and self.random.random() < 0.2 else ()

    def _value(self) -> bytes:
        return self.random.choice((b"", b"\x00", b"v", b"%d" % self.random.randrange(100)))

    def _expiry(self) -> int | None:
        return self.random.choice((None, None, self.now_us + self.random.randrange(-1, 8)))

    def _entries(self) -> tuple[Entry, ...]:
        random = self.random
        names = {(random.choice(VALUES), random.choice(ORDERS)) for _ in range(random.choice((0, 0, 1, 2)))}
        return tuple(Entry("tag", value, order, self._value()) for value, order in sorted(names))


def _told(outcome: Outcome) -> object:
    """An outcome to compare: of an error its class. A repeat that is not found may be told in either way: once scopes
    were forgotten, one kernel knows that evidence may be gone and another does not."""
    if isinstance(outcome, Unavailable | Indeterminate):
        return "not found"
    return type(outcome) if isinstance(outcome, HoldfastError) else outcome


def _record(record: Record) -> Record:
    return replace(record, touched=tuple(sorted(record.touched)))


async def _shown(kernel: Kernel, scopes: list[str], *, now_us: int, random: Random) -> dict[str, object]:
    """What the verbs show, by questions drawn alike for both kernels."""
    after, limit, order = random.choice((None, *KEYS, "m")), random.randint(1, 6), random.choice((None, *ORDERS))
    ranges = tuple(
        Range(prefix, size, after=start, reverse=reverse)
        for prefix in PREFIXES
        for size, start in ((100, None), (limit, after))
        for reverse in (False, True)
    )
    shown: dict[str, object] = {"scopes": await kernel.scopes()}
    views = await kernel.read([Read(scope, KEYS, ranges) for scope in scopes], now_us=now_us)
    for view in views:
        shown[f"head of {view.scope}"], shown[f"cells of {view.scope}"] = view.head, view.cells
        shown |= {f"{wanted} of {view.scope}": cells for wanted, cells in zip(ranges, view.ranges, strict=True)}
        log = await kernel.log(view.scope, after=max(0, view.head.floor - 1), limit=limit)
        back = await kernel.log(view.scope, limit=limit, reverse=True)
        shown[f"log of {view.scope}"] = [[_record(record) for record in page] for page in (log, back)]
    for value in VALUES:
        for lo, size in ((None, 1000), (order, limit)):
            for reverse in (False, True):
                found = await kernel.find("tag", value, now_us=now_us, lo=lo, limit=size, reverse=reverse)
                shown[f"{size} entries of {value} from {lo!r}, reverse={reverse}"] = found
    return shown


async def _swept(kernel: Kernel, *, now_us: int, retention: Retention) -> None:
    for _ in range(1000):
        if not (await kernel.sweep(now_us=now_us, retention=retention, budget=50)).more:
            return


async def _seqs(kernel: Kernel, scopes: list[str]) -> dict[str, int]:
    return {view.scope: view.head.seq for view in await kernel.read([Read(scope) for scope in scopes], now_us=0)}


async def _history(bench: Bench, kernels: list[Kernel], truth: Kernel, *, seed: int, batches: int) -> None:
    """One history, in scopes of its own; each batch, sweep and question goes to any one of the kernels."""
    random, scopes = Random(seed), bench.together(4, kind=f"h{seed}")
    repeats: Literal["any", "applied"] = "any" if len(kernels) == 1 else "applied"
    author = Author(scopes, random, now_us=bench.now_us, lane=bench.lane(), repeats=repeats)
    for number in range(batches):
        where = f"in batch {number} of the history of seed {seed}"
        commits = author.batch(await _seqs(truth, scopes))
        wanted, found = await truth.commit(commits), await random.choice(kernels).commit(commits)
        for commit, one, two in zip(commits, wanted, found, strict=True):
            expect.same(_told(two), _told(one), f"the outcome of {commit!r} {where}")
        author.learn(commits, wanted)
        if random.random() < 0.1:
            count, age_us = random.choice(((None, None), (3, None), (None, 20), (2, 10)))
            retention = Retention(age_us, count, random.choice((None, None, 10)))
            for kernel in (truth, random.choice(kernels)):
                await _swept(kernel, now_us=author.now_us, retention=retention)
        if number % 4 == 3:
            now_us, questions = author.now_us + random.randrange(4), random.randrange(2**32)
            told, shown = [
                await _shown(kernel, scopes, now_us=now_us, random=Random(questions))
                for kernel in (truth, random.choice(kernels))
            ]
            for part in told:
                expect.same(shown[part], told[part], f"{part} {where}")


@proves("G1", "G2", "G3", "G4", "G5", "G7", "G10", "G11", "G12", "G13", "G15", "G16", "G17", "G18")
async def random_histories_come_out_as_specified(bench: Bench) -> None:
    """Random batches over a few scopes, with conditions of every kind, expiry, drops, repeats, late ids and sweeps,
    give the outcomes and leave the answers of every verb that the specification gives and leaves."""
    truth = MemoryKernel()
    for _ in range(8):
        await _history(bench, [bench.kernel], truth, seed=bench.pick(2**32), batches=40)


@proves("G2", "G4", "G5", "G6", "G10", "G11", "G13", "G16", needs=("second",))
async def random_histories_through_two_kernels_come_out_as_specified(bench: Bench) -> None:
    """The same where each batch, sweep and question goes through any of two kernels on the space: whatever one
    remembers of scopes, the other may have changed, dropped, made again, trimmed or forgotten."""
    truth, kernels = MemoryKernel(), [bench.kernel, await bench.second()]
    for _ in range(8):
        await _history(bench, kernels, truth, seed=bench.pick(2**32), batches=40)
