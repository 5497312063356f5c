"""Every kernel does what an obviously right model does, whatever is asked of it in whatever order.

Commits of all shapes over several scopes and two spaces, reads, ranges, finds, logs, moves, repeated sends, drops,
sweeps, purges and passing time. After every step all that a kernel shows is compared with the model. The SQLite store
is open twice on one file, as two processes have it, and each call goes to either.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.sqlite import SqliteKernel, SqliteStore
from holdfast.errors import Compacted, Diverged, Gone, Indeterminate, Unavailable
from holdfast.kernel.commit import (
    Absent,
    Append,
    Commit,
    CommitId,
    Committed,
    Conflict,
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
from holdfast.kernel.limits import Traits
from tests.model_based.kernel_model import KernelModel

SCOPES = ("session/a", "session/b", "user/é", "session/a/1")
KEYS = ("k", "state//a", "state//b", "state/n/a", "stat", "\U0001f600", "\ud7ff")
PREFIXES = ("state//", "state/", "m/", "", "\ud7ff")
INDEXES = (("i", ""), ("i", "v"), ("j", "v"))
ORDERS = ("", "1", "2", "10")
SPACES = ("one", "two")

small = st.integers(0, 12)
values = st.binary(max_size=8)
entries = st.lists(
    st.builds(
        lambda pair, order, payload: Entry(*pair, order, payload),
        st.sampled_from(INDEXES),
        st.sampled_from(ORDERS),
        st.binary(max_size=3),
    ),
    max_size=2,
    unique_by=lambda entry: (entry.index, entry.value, entry.order),
).map(tuple)
lifetimes = st.sampled_from([None, None, None, -5, 1, 10, 30])


@st.composite
def writes(draw, scope, need="create", *, epoch=None, checks=()):
    """What a commit writes to one scope; times to live are relative and made absolute by the rule."""
    written = draw(st.lists(st.sampled_from(KEYS), max_size=3, unique=True))
    cut = draw(st.integers(0, min(1, len(written))))
    puts = tuple(Put(key, draw(values), draw(lifetimes), draw(entries)) for key in written[cut:])
    appends = tuple(Append("m/", draw(values), draw(lifetimes), draw(entries)) for _ in range(draw(st.integers(0, 2))))
    return ScopeCommit(
        scope, need, epoch, checks, puts, appends, tuple(written[:cut]), draw(st.sampled_from([b"", b"x"]))
    )


@st.composite
def checks_near(draw, seq):
    """A condition about what is likely to be there, at seqs about the present one."""
    key, since = draw(st.sampled_from(KEYS)), max(0, seq - draw(st.integers(-1, 4)))
    return draw(
        st.sampled_from(
            [
                Absent(key),
                Present(key),
                Unchanged(key, since),
                Untouched(draw(st.sampled_from(PREFIXES)), since),
                HeadAt(since),
            ]
        )
    )


@st.composite
def parts(draw, scope, model):
    """Any part: conditions of all kinds, drops, what only checks."""
    here = model.scope(scope)
    need = draw(st.sampled_from(["create", "create", "must_exist", "must_exist", "must_exist", "must_not_exist"]))
    epoch = draw(st.sampled_from([None, None, here.epoch, here.epoch, here.epoch + 1]))
    checks = tuple(draw(st.lists(checks_near(here.seq), max_size=2)))
    shape = draw(st.sampled_from(["write", "write", "write", "check", "drop"]))
    if shape == "write":
        return draw(writes(scope, need, epoch=epoch, checks=checks))
    body = draw(st.sampled_from([b"", b"x"])) if shape == "drop" else b""
    return ScopeCommit(scope, need, epoch, checks, body=body, drop=shape == "drop")


def at_time(part: ScopeCommit, now_us: int) -> ScopeCommit:
    """The part with its times to live counted from now."""

    def absolute(write):
        expires_us = None if write.expires_us is None else now_us + write.expires_us
        rest = {"key": write.key} if isinstance(write, Put) else {"prefix": write.prefix}
        return type(write)(**rest, value=write.value, expires_us=expires_us, entries=write.entries)

    return ScopeCommit(
        part.scope, part.need, part.epoch, part.checks, tuple(map(absolute, part.puts)),
        tuple(map(absolute, part.appends)), part.deletes, part.body, part.drop,
    )  # fmt: skip


class KernelMachine(RuleBasedStateMachine):
    """One kernel beside the model. Subclasses open the kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.models = {space: KernelModel() for space in SPACES}
        self.now_us = 1_000
        self.lanes: dict[str, int] = {}
        self.sent: list[tuple[str, Commit, Kernel]] = []
        self.positions: dict[str, list[tuple[str, int]]] = {space: [] for space in SPACES}
        self.turn = 0
        self.handles = self.run(self.open())  # each a mapping from space to kernel

    async def open(self):
        raise NotImplementedError

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def kernel(self, space: str):
        self.turn += 1
        return self.handles[self.turn * 7 % 11 % len(self.handles)][space]

    def teardown(self) -> None:
        for handle in self.handles:
            for kernel in handle.values():
                self.run(kernel.close())
        self.loop.close()

    # --- writing ----------------------------------------------------------------------------------

    @rule(space=st.sampled_from(SPACES), data=st.data(), writer=st.sampled_from(["w1", "w2"]))
    def write(self, space, data, writer):
        """Blind writes to one scope or two."""
        scopes = data.draw(st.lists(st.sampled_from(SCOPES), min_size=1, max_size=2, unique=True))
        self.send(space, [tuple(data.draw(writes(scope)) for scope in scopes)], writer)

    @rule(space=st.sampled_from(SPACES), data=st.data(), writer=st.sampled_from(["w1", "w2"]))
    def write_on_condition(self, space, data, writer):
        """One commit that rests on what is there."""
        scopes = data.draw(st.lists(st.sampled_from(SCOPES), min_size=1, max_size=2, unique=True))
        self.send(space, [tuple(data.draw(parts(scope, self.models[space])) for scope in scopes)], writer)

    @rule(space=st.sampled_from(SPACES), data=st.data(), scope=st.sampled_from(SCOPES))
    def rewrite(self, space, data, scope):
        """Conditions that hold: whatever is there is as old as it is."""
        model = self.models[space]
        here = model.scope(scope)
        kept = model.cells(scope, self.now_us)
        known = [
            Unchanged(key, cell.version) if data.draw(st.booleans()) else Present(key) for key, cell in kept.items()
        ]
        absent = [Absent(key) for key in KEYS if key not in kept]
        checks = data.draw(st.lists(st.sampled_from([*known, *absent, HeadAt(here.seq)]), max_size=3, unique_by=str))
        need = "must_exist" if here.live else "must_not_exist"
        self.send(space, [(data.draw(writes(scope, need, epoch=here.epoch, checks=tuple(checks))),)], "w1")

    @rule(space=st.sampled_from(SPACES), scope=st.sampled_from(SCOPES), again=st.booleans(), data=st.data())
    def drop(self, space, scope, again, data):
        """The end of a scope, and perhaps its new beginning in the same batch."""
        here = self.models[space].scope(scope)
        batch = [(ScopeCommit(scope, "must_exist" if here.live else "create", drop=True),)]
        if again:
            batch.append((data.draw(writes(scope, "must_not_exist", epoch=here.epoch + 1)),))
        self.send(space, batch, "w2")

    @rule(space=st.sampled_from(SPACES), data=st.data(), writer=st.sampled_from(["w1", "w2"]))
    def write_batch(self, space, data, writer):
        """Several commits behind one barrier: each is judged against what the earlier ones left."""
        model = self.models[space]
        batch = []
        for _ in range(data.draw(st.integers(2, 4))):
            scopes = data.draw(st.lists(st.sampled_from(SCOPES), min_size=1, max_size=2, unique=True))
            plain = data.draw(st.booleans())
            batch.append(tuple(data.draw(writes(one) if plain else parts(one, model)) for one in scopes))
        self.send(space, batch, writer)

    def send(self, space, batch, writer):
        """Each commit of a batch is judged and applied in order; a conflict says exactly what was found."""
        sent = []
        for scopes in batch:
            self.lanes[writer] = self.lanes.get(writer, 0) + 1
            made = tuple(at_time(part, self.now_us) for part in scopes)
            cause = b"why" if self.lanes[writer] % 2 else b""
            sent.append(Commit(made, self.now_us, cause, CommitId(writer, self.lanes[writer])))
        kernel = self.kernel(space)
        outcomes = self.run(kernel.commit(sent))
        for commit, outcome in zip(sent, outcomes, strict=True):
            expected = self.models[space].commit(commit)
            if isinstance(expected, Conflict):
                assert outcome == expected
            else:
                assert outcome == Committed(expected)
            self.sent.append((space, commit, kernel))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data):
        """A commit id sent twice is never applied twice; what was not applied is burnt in the store it was sent to."""
        space, commit, kernel = data.draw(st.sampled_from(self.sent[-20:]))
        model = self.models[space]
        first = model.first_time(commit)
        written = [part.scope for part in commit.scopes if part.writes]
        if model.forgotten & set(written):
            return  # the scope's last trace was swept, long after any repeat
        sent_to = kernel
        if first or kernel not in [handle[space] for handle in self.handles]:
            kernel = self.kernel(space)
        (outcome,) = self.run(kernel.commit([commit]))
        trimmed = any(model.head(scope).floor > 1 for scope in written)
        if first and len(first) == len(written):
            assert outcome == Committed(first, replayed=True)
        elif trimmed:
            assert isinstance(outcome, Indeterminate) or outcome == Committed(first, replayed=True)
        elif isinstance(outcome, Unavailable):
            assert outcome.burnt
        else:
            assert kernel is not sent_to, "what had not been applied was tried a second time"
            expected = model.commit(commit)
            assert outcome == (expected if isinstance(expected, Conflict) else Committed(expected))
            return
        for scope in written:
            if not isinstance(outcome, Indeterminate):
                self.settles(space, scope, commit, first.get(scope))

    def settles(self, space, scope, commit, seq):
        try:
            found = self.run(self.kernel(space).outcome(scope, commit.id))
        except Indeterminate:
            assert seq is None
            assert self.models[space].head(scope).floor > 1
        else:
            assert found == (None if seq is None else Committed({scope: seq}, replayed=True))

    @rule(elapsed_us=st.integers(1, 20))
    def pass_time(self, elapsed_us):
        self.now_us += elapsed_us

    @rule(
        space=st.sampled_from(SPACES), age_us=st.sampled_from([None, 0, 10, 30, 60]),
        count=st.sampled_from([None, 0, 1, 3, 6]), tombstone_us=st.sampled_from([None, 0, 30, 60]),
        budget=st.sampled_from([1, 3, 10_000]),
    )  # fmt: skip
    def sweep(self, space, age_us, count, tombstone_us, budget):
        """Whatever the budget, what sweeps remove in the end is exactly what nobody can see, and beyond retention."""
        retention = Retention(age_us, count, tombstone_us)
        for _ in range(1000):
            swept = self.run(self.kernel(space).sweep(now_us=self.now_us, retention=retention, budget=budget))
            assert swept.cells + swept.records + swept.scopes <= budget
            if not swept.more:
                break
        else:
            raise AssertionError("a sweep never comes to its end")
        self.models[space].sweep(self.now_us, retention)

    @rule(space=st.sampled_from(SPACES), scope=st.sampled_from(SCOPES), budget=st.sampled_from([1, 3, 10_000]))
    def purge(self, space, scope, budget):
        """Whatever the budget, of ended lives the last drop is left, and nothing else changes."""
        for _ in range(1000):
            purged = self.run(self.kernel(space).purge(scope, budget=budget))
            assert purged.cells + purged.records <= budget
            if not purged.more:
                break
        else:
            raise AssertionError("a purge never comes to its end")
        self.models[space].purge(scope)

    # --- reading ----------------------------------------------------------------------------------

    @rule(space=st.sampled_from(SPACES), data=st.data())
    def look(self, space, data):
        """A range, a find and a stretch of log, from anywhere in either direction."""
        kernel, model = self.kernel(space), self.models[space]
        scope, limit, reverse = (
            data.draw(st.sampled_from(SCOPES)),
            data.draw(st.integers(1, 5)),
            data.draw(st.booleans()),
        )
        bytes_max = data.draw(st.one_of(st.none(), st.integers(1, 60)))
        wanted = Range(
            data.draw(st.sampled_from(PREFIXES)), limit, data.draw(st.sampled_from([None, *KEYS])), reverse, bytes_max
        )
        (view,) = self.run(kernel.read([Read(scope, KEYS[:2], (wanted,))], now_us=self.now_us))
        assert view.ranges == (model.range(scope, wanted, self.now_us),)

        bounds = st.sampled_from([None, None, *ORDERS])
        after = st.tuples(st.sampled_from(ORDERS), st.sampled_from((*SCOPES, "")), st.sampled_from((*KEYS, "")))
        asked = {"now_us": self.now_us, "lo": data.draw(bounds), "hi": data.draw(bounds), "limit": limit}
        asked |= {"after": data.draw(st.one_of(st.none(), after)), "reverse": reverse}
        index = data.draw(st.sampled_from(INDEXES))
        assert self.run(kernel.find(*index, **asked)) == model.find(*index, **asked)

        self.read_log(kernel, scope, model, after=data.draw(small), limit=limit, reverse=reverse, bytes_max=bytes_max)

    def read_log(self, kernel, scope, model, **asked):
        """The log is contiguous, and what it can no longer answer truly it refuses."""
        try:
            seen = self.run(kernel.log(scope, **asked))
        except (Gone, Diverged, Compacted) as refusal:
            seen = type(refusal).__name__
        assert seen == model.log(scope, **asked)

    @rule(space=st.sampled_from(SPACES))
    def take_position(self, space):
        moved = self.run(self.kernel(space).moved())
        assert moved.scopes == ()
        self.positions[space].append((moved.position, len(self.models[space].moves)))

    @rule(space=st.sampled_from(SPACES), data=st.data(), limit=st.integers(1, 4))
    def follow_moves(self, space, data, limit):
        """Every scope that committed after the position is reported at the seq it reached; or the position expired."""
        model = self.models[space]
        position, since = data.draw(st.sampled_from([*self.positions[space], ("", None)]))
        reached: dict[str, int] = {}
        try:
            while True:
                moved = self.run(self.kernel(space).moved(position, limit=limit))
                for scope, seq in moved.scopes:
                    assert (scope, seq) in model.moves
                    reached[scope] = max(seq, reached.get(scope, 0))
                position = moved.position
                if not moved.more:
                    break
        except Compacted:
            assert self.forgotten, "a position expired though no scope was forgotten"
            return
        if since is None:  # the oldest position kept: what it still covers is known only while nothing was forgotten
            since = len(model.moves) if self.forgotten else 0
        for scope in {scope for scope, _ in model.moves[since:]}:
            if scope in model.scopes:
                assert reached[scope] == model.scopes[scope].seq
        assert self.run(self.kernel(space).moved(position)).scopes == ()

    @property
    def forgotten(self) -> bool:
        """Whether any scope was, in any space: the spaces of a store may share their positions."""
        return any(model.forgotten for model in self.models.values())

    # --- everything, after every step --------------------------------------------------------------

    @initialize()
    def start(self):
        for space in SPACES:
            self.take_position(space)

    @invariant()
    def everything_shows_as_in_the_model(self):
        for space in SPACES:
            kernel, model = self.kernel(space), self.models[space]
            reads = [Read(scope, KEYS, (Range("", 100),)) for scope in SCOPES]
            for scope, view in zip(SCOPES, self.run(kernel.read(reads, now_us=self.now_us)), strict=True):
                cells = model.cells(scope, self.now_us)
                assert view.head == model.head(scope)
                assert view.ranges == (tuple(cells.values()),)
                assert view.cells == {key: cell for key, cell in cells.items() if key in KEYS}
                floor = view.head.floor
                if scope in model.scopes:
                    assert self.run(kernel.log(scope, after=max(0, floor - 1))) == tuple(model.scopes[scope].records)
            assert self.run(kernel.scopes()) == model.live()
            assert self.run(kernel.ended()) == model.ended()
            figures = self.run(kernel.stats())
            assert figures["scopes"] == len(model.live())


class MemoryMachine(KernelMachine):
    async def open(self):
        store = MemoryStore()
        return [{space: MemoryKernel(store, space=space) for space in SPACES}]


class WeakTraitsMachine(KernelMachine):
    """Low limits that nothing here reaches change nothing."""

    async def open(self):
        store, traits = MemoryStore(), Traits(operations_max=98, value_bytes_max=380_000)
        return [{space: MemoryKernel(store, space=space, traits=traits) for space in SPACES} for _ in range(2)]


class SqliteMachine(KernelMachine):
    """Two stores on one file."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-model-"))
        super().__init__()

    async def open(self):
        self.stores = [await SqliteStore.open(self.folder / "a.db", durability="process") for _ in range(2)]
        return [{space: await SqliteKernel.on(store, space=space) for space in SPACES} for store in self.stores]

    @rule(which=st.integers(0, 1))
    def reopen(self, which):
        """A store that is closed and opened again shows what it showed."""

        async def again():
            await self.stores[which].close()
            store = self.stores[which] = await SqliteStore.open(self.folder / "a.db", durability="process")
            self.handles[which] = {space: await SqliteKernel.on(store, space=space) for space in SPACES}

        self.run(again())

    def teardown(self) -> None:
        for store in self.stores:
            self.run(store.close())
        super().teardown()
        shutil.rmtree(self.folder)


quick = settings(
    derandomize=True,
    deadline=None,
    database=None,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

TestMemoryKernel = MemoryMachine.TestCase
TestMemoryKernel.settings = settings(quick, max_examples=50)
TestWeakTraits = WeakTraitsMachine.TestCase
TestWeakTraits.settings = settings(quick, max_examples=30)
TestSqliteKernel = SqliteMachine.TestCase
TestSqliteKernel.settings = settings(quick, max_examples=20)


@pytest.mark.soak
@pytest.mark.parametrize("machine", [MemoryMachine, SqliteMachine])
def test_thousands_of_random_histories_show_as_in_the_model(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(quick, derandomize=False, max_examples=1500, stateful_step_count=60, print_blob=True),
    )
