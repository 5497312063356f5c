"""The weakest kernel promises the least, and refuses what is beyond it."""

import asyncio
from random import Random

from holdfast.backends.memory import MemoryKernel
from holdfast.errors import Indeterminate, TooLarge, Unavailable, Unsupported
from holdfast.kernel.commit import Commit, CommitId, Committed, Outcome, Put, Read, ScopeCommit
from holdfast.kernel.contract import Kernel
from holdfast.kernel.keys import bucket
from holdfast.kernel.limits import COMMIT_BYTES_MAX, OPERATIONS_MAX, VALUE_BYTES_MAX, Traits
from holdfast.testing.clock import LeapingClock
from holdfast.wrappers.weakest import WEAKEST, Weakened, weakest


def commit(n: int, *parts: ScopeCommit) -> Commit:
    return Commit(parts, 0, b"", CommitId("w", n))


def create(scope: str, *puts: Put) -> ScopeCommit:
    return ScopeCommit(scope, "create", puts=puts, body=b"x")


def test_its_traits_are_the_least_and_still_hold_the_default_limits() -> None:
    kernel = weakest(MemoryKernel(), clock=LeapingClock(), random=Random(1))
    assert kernel.traits == WEAKEST
    assert (WEAKEST.span, WEAKEST.cache, WEAKEST.operations_max) == ("bucket", "bounded", 98)
    assert WEAKEST.value_bytes_max >= VALUE_BYTES_MAX
    assert WEAKEST.operations_max >= OPERATIONS_MAX
    assert WEAKEST.commit_bytes_max >= COMMIT_BYTES_MAX


def test_its_durability_is_that_of_the_kernel_inside() -> None:
    inside = MemoryKernel(traits=Traits(durability="fsync"))
    assert weakest(inside, clock=LeapingClock(), random=Random(1)).traits.durability == "fsync"


async def test_what_is_beyond_its_traits_is_refused_in_its_place_and_not_sent() -> None:
    kernel = Weakened(MemoryKernel(), random=Random(1))
    names = [f"s/{number}" for number in range(10)]
    assert len({bucket(name) for name in names}) > 1
    outcomes = await kernel.commit(
        [
            commit(1, create("s/a")),
            commit(2, *(create(name) for name in names)),
            commit(3, create("s/a", Put("k", bytes(380 * 1024 + 1)))),
            commit(4, ScopeCommit("s/a", deletes=tuple(map(str, range(99))))),
            commit(5, create("s/a")),
        ]
    )
    kinds = [outcome.seqs if isinstance(outcome, Committed) else type(outcome) for outcome in outcomes]
    assert kinds == [{"s/a": 1}, Unsupported, TooLarge, TooLarge, {"s/a": 2}]


async def test_a_read_of_several_scopes_is_not_one_cut() -> None:
    kernel: Kernel = Weakened(MemoryKernel(), random=Random(5))
    first = next(f"s/{n}" for n in range(999))
    second = next(f"s/{n}" for n in range(1, 999) if bucket(f"s/{n}") == bucket(first))
    torn = 0
    await kernel.commit([commit(1, create(first), create(second))])
    for n in range(2, 40):
        reading = asyncio.ensure_future(kernel.read([Read(first), Read(second)], now_us=0))
        await asyncio.sleep(0)
        await kernel.commit([commit(n, create(first), create(second))])
        views = await reading
        assert [view.scope for view in views] == [first, second]
        torn += views[0].head.seq != views[1].head.seq
    assert torn > 0


async def test_moves_come_in_any_order_and_more_than_once_within_the_limit() -> None:
    kernel = Weakened(MemoryKernel(), random=Random(2))
    names = [f"s/{number}" for number in range(10)]
    await kernel.commit([commit(n + 1, create(name)) for n, name in enumerate(names)])
    pages = [(await kernel.moved("", limit=15)).scopes for _ in range(20)]
    assert all({scope for scope, _ in page} == set(names) for page in pages)
    assert max(map(len, pages)) > 10
    assert max(map(len, pages)) <= 15
    assert len({page[:3] for page in pages}) > 1


async def test_its_line_loses_requests_replies_and_hints() -> None:
    inside = MemoryKernel()
    kernel = weakest(inside, clock=LeapingClock(), random=Random(3))
    hints: list[int] = []
    kernel.watch(lambda: hints.append(1))
    told: list[type] = []
    landed = 0
    for n in range(1, 400):
        try:
            outcomes: list[Outcome] = await kernel.commit([commit(n, create("s/a"))])
            told += [type(outcome) for outcome in outcomes]
        except (Indeterminate, Unavailable) as lost:
            told.append(type(lost))
            landed += await inside.outcome("s/a", CommitId("w", n)) is not None
    assert set(told) == {Committed, Indeterminate, Unavailable}
    assert 0 < landed < len(told) - told.count(Committed)
    assert 0 < len(hints) < len(told)
