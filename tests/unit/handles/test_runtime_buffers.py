"""Runtime state that waits: batched and checkpoint persistence, and what becomes of it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import TypeVar

import pytest

from holdfast import Buffered, Config, Conflict, Holdfast, LeaseLost, NotFound, RuntimeConfig, Session
from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.errors import Closed, TooLarge, Unavailable, UseTransaction
from holdfast.kernel.commit import Commit, Outcome
from holdfast.model.config import Limits
from holdfast.testing.clock import ManualClock, SeededIds, settle
from holdfast.wrappers.around import Around
from tests.unit.handles.exclusive import apart
from tests.unit.stores import StillClock, Stores

T = TypeVar("T")


class TimedClock(StillClock):
    """Ten seconds and more pass only when the test moves it; the pauses of retries and polls end by themselves."""

    async def sleep(self, seconds: float) -> None:
        await (ManualClock.sleep(self, seconds) if seconds >= 9 else StillClock.sleep(self, seconds))


@pytest.fixture
async def stores(request: pytest.FixtureRequest, stores: Stores) -> AsyncIterator[Stores]:
    stores.clock = TimedClock()
    return stores


BATCHED = RuntimeConfig(persistence="batched", batch_size=4, flush_every="10s")
CHECKPOINT = RuntimeConfig(persistence="checkpoint", checkpoint_every=4)


async def opened(stores: Stores, runtime: RuntimeConfig) -> tuple[Session, Session]:
    """A session as the process has it that buffers, and as another one sees it."""
    hold = await stores.open(config=Config(runtime=runtime))
    s = await hold.sessions.create(id="s", user="ada")
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    return s, other


async def committed(other: Session, expected: dict[str, object]) -> None:
    """Wait until another process sees that, for as long as tasks of this loop have something to do."""
    for _ in range(500):
        if await other.runtime.all() == expected:
            return
        await asyncio.sleep(0.001)
    assert await other.runtime.all() == expected


@pytest.mark.parametrize("runtime", [BATCHED, CHECKPOINT], ids=["batched", "checkpoint"])
async def test_what_waits_is_visible_here_at_once_and_nowhere_else(stores: Stores, runtime: RuntimeConfig) -> None:
    s, other = await opened(stores, runtime)
    answer = await s.runtime.set("step", 1)
    assert isinstance(answer, Buffered)
    assert (answer, answer.pending, repr(answer)) == (0, 1, "Buffered(pending=1)")
    assert (await s.runtime.update({"a": 1, "step": 2})).pending == 2  # type: ignore[attr-defined]
    assert await s.runtime.all() == {"a": 1, "step": 2}
    assert await s.runtime.get("step", int) == 2
    assert await other.runtime.all() == {}
    await s.runtime.flush()
    assert await other.runtime.all() == {"a": 1, "step": 2} == await s.runtime.all()


async def test_every_handle_of_the_session_sees_what_waits(stores: Stores) -> None:
    hold = await stores.open(config=Config(runtime=BATCHED))
    s = await hold.sessions.create(id="s")
    await s.runtime.set("step", 1)
    again = await hold.sessions.open("s")
    assert await again.runtime.get("step") == 1
    async with again.transaction() as tx:
        assert await tx.runtime.get("step") == 1
        assert await tx.runtime.all() == {"step": 1}


@pytest.mark.parametrize("runtime", [BATCHED, CHECKPOINT], ids=["batched", "checkpoint"])
async def test_so_many_writes_are_committed_together(stores: Stores, runtime: RuntimeConfig) -> None:
    """batch_size and checkpoint_every count writes, whatever keys they go to."""
    s, other = await opened(stores, runtime)
    before = (await s.refresh()) and (await s.state.snapshot()).version
    for n in range(3):
        await s.runtime.set("step", n)
    assert await other.runtime.all() == {}
    await s.runtime.set("last", 3)
    await committed(other, {"step": 2, "last": 3})
    assert (await s.state.snapshot()).version == before + 1


async def test_a_batch_waits_no_longer_than_flush_every(stores: Stores) -> None:
    s, other = await opened(stores, BATCHED)
    await s.runtime.set("step", 1)
    await settle()
    stores.clock.advance(9.9)
    await settle()
    assert await other.runtime.all() == {}
    stores.clock.advance(0.1)
    await committed(other, {"step": 1})


async def test_a_checkpoint_waits_for_no_time(stores: Stores) -> None:
    s, other = await opened(stores, CHECKPOINT)
    await s.runtime.set("step", 1)
    await settle()
    stores.clock.advance(10_000)
    await settle()
    await s.state.set("a", 1)
    assert await other.runtime.all() == {}
    await s.runtime.flush()
    assert await other.runtime.all() == {"step": 1}


async def test_any_other_commit_of_the_session_carries_what_waits(stores: Stores) -> None:
    """The order within the session is that of the calls: what waits comes first in the commit."""
    s, other = await opened(stores, BATCHED)
    async with other.changes() as changes:
        for n, write in enumerate((s.state.set("a", 1), s.messages.add("user", "hi"), s.log("noted"))):
            await s.runtime.set("step", n)
            await write
            told = [await anext(changes), await anext(changes)]
            assert (told[0].kind, told[0].value) == ("runtime", n)
            assert told[0].seq == told[1].seq
        await s.runtime.set("step", 9)
        async with s.transaction() as tx:
            await tx.state.set("a", 2)
            await tx.runtime.set("step", 10)
        told = [await anext(changes) for _ in range(3)]
        assert [(change.kind, change.value) for change in told] == [("runtime", 9), ("state", 2), ("runtime", 10)]
        assert len({change.seq for change in told}) == 1
    assert await other.runtime.all() == {"step": 10} == await s.runtime.all()


async def test_a_commit_that_is_refused_carries_nothing_and_loses_nothing(stores: Stores) -> None:
    s, other = await opened(stores, BATCHED)
    await s.state.set("a", 1)
    await s.runtime.set("step", 1)
    with pytest.raises(Conflict):
        await s.state.set("a", 2, if_version=0)
    assert await s.runtime.get("step") == 1
    assert await other.runtime.all() == {}
    await s.runtime.flush()
    assert await other.runtime.all() == {"step": 1}


@pytest.mark.parametrize("runtime", [BATCHED, CHECKPOINT], ids=["batched", "checkpoint"])
async def test_a_transaction_comes_after_what_was_written_before_it(stores: Stores, runtime: RuntimeConfig) -> None:
    """Nothing that waits overwrites what a later commit made."""
    hold = await stores.open(config=Config(runtime=runtime))
    s = await hold.sessions.create(id="s")
    await s.runtime.set("step", 1)
    async with hold.transaction() as tx:
        await tx.session("s").runtime.set("step", 2)
    await s.runtime.flush()
    assert await s.runtime.get("step") == 2
    await s.runtime.set("step", 3)
    assert await s.runtime.clear("step", "missing") == 1
    await s.runtime.flush()
    assert await s.runtime.all() == {}
    await s.runtime.set("a", 1)
    assert await s.runtime.clear() == 1
    assert await s.runtime.all() == {}


async def test_a_transaction_that_read_loses_no_write_made_meanwhile(stores: Stores) -> None:
    hold = await stores.open(config=Config(runtime=BATCHED))
    s = await hold.sessions.create(id="s")
    await s.runtime.set("n", 1)

    async def meanwhile() -> None:
        await s.runtime.set("n", 100)

    with pytest.raises(Conflict):
        async with hold.transaction() as tx:
            surface = tx.session("s")
            n = await surface.runtime.get("n")
            await asyncio.get_running_loop().create_task(_outside(meanwhile))
            await surface.runtime.set("n", n + 1)
    assert await s.runtime.get("n") == 100


async def _outside(call) -> None:
    from holdfast.handles.unit import open_transactions

    open_transactions.set(())
    await call()


async def test_a_write_past_the_transaction_of_its_task_is_refused(stores: Stores) -> None:
    s, _ = await opened(stores, BATCHED)
    async with s.transaction():
        with pytest.raises(UseTransaction):
            await s.runtime.set("step", 1)
    assert await s.runtime.all() == {}


async def test_closing_commits_what_waits(stores: Stores) -> None:
    for runtime in (BATCHED, CHECKPOINT):
        hold = await stores.open(config=Config(runtime=runtime))
        s = await hold.sessions.open("s")
        await s.runtime.set(runtime.persistence, 1)
        await hold.close()
        with pytest.raises(Closed):
            await s.runtime.set("late", 1)
    other = await (await stores.open()).sessions.open("s")
    assert await other.runtime.all() == {"batched": 1, "checkpoint": 1}


async def test_deleting_the_session_discards_what_waits(stores: Stores) -> None:
    hold = await stores.open(config=Config(runtime=BATCHED))
    s = await hold.sessions.create(id="s")
    await s.runtime.set("step", 1)
    assert await hold.sessions.delete("s")
    await s.runtime.flush()
    again = await hold.sessions.create(id="s")
    await again.runtime.flush()
    assert await again.runtime.all() == {}
    await again.runtime.set("step", 2)
    async with hold.transaction() as tx:
        assert await tx.sessions.delete("s")
    await again.runtime.flush()
    assert await hold.sessions.get("s") is None


@pytest.mark.parametrize("runtime", [BATCHED, CHECKPOINT], ids=["batched", "checkpoint"])
async def test_ending_the_session_leaves_no_runtime_state_and_nothing_waiting(
    stores: Stores, runtime: RuntimeConfig
) -> None:
    s, other = await opened(stores, runtime)
    await s.runtime.set("step", 1)
    await s.end()
    await s.runtime.flush()
    assert await s.runtime.all() == {} == await other.runtime.all()


async def test_what_can_never_be_committed_is_told_by_the_next_call_once(stores: Stores) -> None:
    """A session deleted by another process: nothing is lost silently."""
    s, _ = await opened(stores, BATCHED)
    await (await stores.open()).sessions.delete("s")
    await s.runtime.set("step", 1)
    await s.runtime.set("other", 1)
    with pytest.raises(NotFound) as told:
        await s.runtime.flush()
    assert told.value.lost == 2
    await s.runtime.flush()
    with pytest.raises(NotFound):
        await s.runtime.get("step")


async def test_a_principal_hears_nothing_of_what_others_lost(stores: Stores) -> None:
    """Nor does she take the news away from whose it is."""
    hold = await stores.open(config=Config(runtime=BATCHED))
    s = await hold.sessions.create(id="s", user="ada")
    await (await stores.open()).sessions.delete("s")
    await s.runtime.set("step", 1)
    async with hold.as_principal(user="mallory").transaction() as tx:
        with pytest.raises(NotFound) as told:
            await tx.session("s").runtime.flush()
        assert "lost" not in told.value.facts
        tx.rollback()
    with pytest.raises(NotFound) as told:
        await s.runtime.flush()
    assert told.value.lost == 1


async def test_what_was_given_up_in_the_background_is_told_by_the_next_write(stores: Stores) -> None:
    s, _ = await opened(stores, BATCHED)
    await (await stores.open()).sessions.delete("s")
    await s.runtime.set("step", 1)
    await settle()
    stores.clock.advance(10)
    for _ in range(200):
        await asyncio.sleep(0.001)
        if not s._store.buffers._buffers[("session/s", 0)].batches:
            break
    with pytest.raises(NotFound) as told:
        await s.runtime.set("step", 2)
    assert told.value.lost == 1


async def test_a_store_that_closes_forgets_the_writes_of_a_session_that_is_gone(stores: Stores) -> None:
    s, _ = await opened(stores, BATCHED)
    await (await stores.open()).sessions.delete("s")
    await s.runtime.set("step", 1)
    await s._store.close()


async def test_streaming_off_keeps_runtime_state_out_of_the_stream(stores: Stores) -> None:
    for persistence in ("immediate", "batched"):
        runtime = RuntimeConfig(persistence=persistence, streaming=False)  # type: ignore[arg-type]
        hold = await stores.open(config=Config(runtime=runtime))
        s = await hold.sessions.create(id=persistence)
        async with s.changes() as changes:
            await s.runtime.update({"a": 1, "b": 2})
            await s.state.set("x", 1)
            await s.runtime.clear("a")
            await s.runtime.clear()
            async with s.transaction() as tx:
                await tx.runtime.set("a", 1)
                await tx.state.set("x", 2)
            assert [(await anext(changes)).kind for _ in range(2)] == ["state", "state"]
        assert await s.runtime.all() == {"a": 1}


async def test_a_write_too_large_to_wait_is_committed_at_once_after_what_waits(stores: Stores) -> None:
    config = Config(runtime=BATCHED, limits=Limits(commit_bytes_max=60_000))
    hold = await stores.open(config=config)
    s = await hold.sessions.create(id="s")
    await s.runtime.set("a", 1)
    version = await s.runtime.set("big", "x" * 20_000)
    assert version == (await s.state.snapshot()).version > 0
    assert await (await (await stores.open()).sessions.open("s")).runtime.get("a") == 1
    with pytest.raises(TooLarge):
        await s.runtime.set("big", "x" * 40_000)


async def test_many_keys_never_make_a_batch_that_no_commit_can_hold(stores: Stores) -> None:
    config = Config(
        runtime=RuntimeConfig(persistence="checkpoint", checkpoint_every=1000), limits=Limits(operations_max=5)
    )
    hold = await stores.open(config=config)
    s = await hold.sessions.create(id="s")
    for n in range(23):
        await s.runtime.set(f"k{n:02}", n)
    await s.runtime.flush()
    assert len(await (await (await stores.open()).sessions.open("s")).runtime.all()) == 23


async def test_a_cancelled_caller_takes_nothing_with_it(stores: Stores) -> None:
    s, other = await opened(stores, BATCHED)
    await s.runtime.set("step", 1)
    writing = asyncio.ensure_future(s.state.set("a", 1))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await s.runtime.flush()
    assert await other.runtime.all() == {"step": 1}


@pytest.mark.parametrize("runtime", [BATCHED, CHECKPOINT], ids=["batched", "checkpoint"])
async def test_a_write_under_a_claim_does_not_wait_and_carries_the_fence(
    stores: Stores, runtime: RuntimeConfig
) -> None:
    """What waits is committed with it or before. Once the session was taken away the write is refused, and with it
    nothing of what waits is lost; without the claim it waits again."""
    s, other = await opened(stores, runtime)
    await s.runtime.set("waits", 1)
    with pytest.raises(LeaseLost, match="it was given back, or taken by somebody"):
        async with s.claim():
            assert not isinstance(await s.runtime.set("step", 1), Buffered)
            assert await other.runtime.all() == {"step": 1, "waits": 1}
            await apart(s.runtime.set("waits", 2))
            await apart(_taken(other))
            with pytest.raises(LeaseLost):
                await s.runtime.set("step", 2)
            with pytest.raises(LeaseLost):
                await s.runtime.clear("step")
    assert isinstance(await s.runtime.set("step", 3), Buffered)
    await s.runtime.flush()
    assert await other.runtime.all() == {"step": 3, "waits": 2}


async def _taken(session: Session) -> None:
    async with session.claim(busy="supersede"):
        pass


def test_a_loop_that_ends_while_runtime_state_waits_says_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """Neither of the batch, which another loop commits, nor of the beats for a session that was held."""
    store = MemoryStore()
    config = Config(runtime=RuntimeConfig(persistence="batched"))

    def run(write: Callable[[], Coroutine[object, object, T]]) -> T:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(write())
        finally:
            loop.close()

    opened: list[Session] = []

    async def begin() -> None:
        s = await Holdfast.over(MemoryKernel(store), config=config).sessions.create(id="s")
        async with s.turn(request_id="r"):
            pass
        await s.runtime.set("step", 1)
        opened.append(s)

    async def end() -> object:
        await opened[0].runtime.flush()
        return await opened[0].runtime.get("step")

    run(begin)
    assert run(end) == 1
    opened.clear()
    gc.collect()
    assert caplog.messages == []


async def test_threads_and_loops_share_one_buffer(stores: Stores) -> None:
    """Every thread sees every write, and what is committed in the end is the last of each key."""
    hold = await stores.open(config=Config(runtime=BATCHED))
    s = await hold.sessions.create(id="s")

    def work(name: str) -> None:
        async def write() -> None:
            for n in range(30):
                await s.runtime.set(name, n)
                assert await s.runtime.get(name) == n
                if n % 7 == 0:
                    await s.state.set(name, n)

        asyncio.run(write())

    async def here() -> None:
        for n in range(30):
            await s.runtime.set("here", n)

    await asyncio.gather(here(), *[asyncio.to_thread(work, f"t{n}") for n in range(3)])
    await s.runtime.flush()
    expected = dict.fromkeys(("here", "t0", "t1", "t2"), 29)
    assert await (await (await stores.open()).sessions.open("s")).runtime.all() == expected


class Gate(Around):
    """Commits wait at a gate, or are refused, as long as the test wants it."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(MemoryKernel(store))
        self.open = asyncio.Event()
        self.open.set()
        self.refusal: Exception | None = None
        self.commits = 0

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        await self.open.wait()
        if self.refusal is not None:
            raise self.refusal
        self.commits += len(commits)
        return await super().commit(commits)


@pytest.fixture
async def gate() -> Gate:
    return Gate(MemoryStore())


async def gated(gate: Gate, runtime: RuntimeConfig) -> tuple[Holdfast, Session]:
    hold = Holdfast.over(gate, config=Config(runtime=runtime), clock=TimedClock(), ids=SeededIds())
    return hold, await hold.sessions.create(id="s")


async def test_a_buffer_is_bounded_and_pushes_back(gate: Gate) -> None:
    """Two batches wait at most: one on its way, one that takes in."""
    hold, s = await gated(gate, BATCHED)
    gate.open.clear()
    for n in range(8):
        assert (await s.runtime.set("step", n)).pending == n + 1  # type: ignore[attr-defined]
    ninth = asyncio.ensure_future(s.runtime.set("step", 8))
    await settle()
    assert not ninth.done()
    assert await s.runtime.get("step") == 7
    gate.open.set()
    assert isinstance(await ninth, Buffered)
    await s.runtime.flush()
    assert await s.runtime.get("step") == 8
    await hold.close()


async def test_while_the_store_is_out_of_reach_what_waits_stays(gate: Gate) -> None:
    hold, s = await gated(gate, BATCHED)
    gate.refusal = Unavailable("away")
    await s.runtime.set("step", 1)
    with pytest.raises(Unavailable):
        await s.runtime.flush()
    assert await s.runtime.get("step") == 1
    for n in range(7):
        await s.runtime.set("n", n)
    with pytest.raises(Unavailable):  # no room
        await s.runtime.set("n", 7)
    gate.refusal = None
    await s.runtime.flush()
    assert await s.runtime.all() == {"n": 6, "step": 1}
    await hold.close()


async def test_closing_a_store_that_is_out_of_reach_says_what_was_lost(gate: Gate) -> None:
    hold, s = await gated(gate, BATCHED)
    gate.refusal = Unavailable("away")
    await s.runtime.set("step", 1)
    await s.runtime.set("step", 2)
    with pytest.raises(Unavailable) as lost:
        await hold.close()
    assert lost.value.lost == 2
    await hold.close()


async def test_writes_of_one_key_are_one_in_the_commit(gate: Gate) -> None:
    hold, s = await gated(gate, RuntimeConfig(persistence="batched", batch_size=1000, flush_every="10s"))
    before = gate.commits
    async with s.changes() as changes:
        for n in range(500):
            await s.runtime.set("progress", n)
        await s.runtime.flush()
        assert (await anext(changes)).value == 499
    assert gate.commits == before + 1
    await hold.close()


async def test_what_waits_is_told_under_the_name_of_who_wrote_it(stores: Stores) -> None:
    """Whoever wrote next, to runtime state or to anything else, by a method or in a transaction; in the order of the
    calls, and in one commit where it is one cause."""
    s, other = await opened(stores, BATCHED)
    hold = stores._opened[0]
    async with other.changes(kinds={"state", "runtime"}) as changes:
        with hold.acting(by="ada", trace_id="t1"):
            await s.runtime.set("step", 1)
            await s.runtime.set("step", 2)
        with hold.acting(by="bo", trace_id="t2"):
            await s.runtime.set("step", 3)
        with hold.acting(by="cy"):
            await s.state.set("a", 1)
            await s.runtime.set("step", 4)
            await s.state.set("b", 1)
            await s.runtime.set("step", 5)
        with hold.acting(by="di"):
            async with s.transaction() as tx:
                await tx.state.set("c", 1)
        async with asyncio.timeout(10):
            told = [await anext(changes) for _ in range(7)]
    assert [(change.by, change.cause.trace_id, change.key, change.value) for change in told] == [
        ("ada", "t1", "step", 2),
        ("bo", "t2", "step", 3),
        ("cy", None, "a", 1),
        ("cy", None, "step", 4),
        ("cy", None, "b", 1),
        ("cy", None, "step", 5),
        ("di", None, "c", 1),
    ]
    assert told[3].seq == told[4].seq


async def test_immediate_is_durable_on_return_and_never_buffered(stores: Stores) -> None:
    s, other = await opened(stores, RuntimeConfig())
    version = await s.runtime.set("step", 1)
    assert not isinstance(version, Buffered)
    assert await other.runtime.all() == {"step": 1}
    await s.runtime.flush()
