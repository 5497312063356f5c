"""What the memory backend does beyond the contract: hints at once, bounded moves, small limits."""

import pytest

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.memory.store import MOVES_KEPT
from holdfast.errors import InvalidValue, TooLarge
from holdfast.kernel.commit import Commit, CommitId, Committed, Put, Retention, ScopeCommit
from holdfast.kernel.limits import Traits

KEEP = Retention(tombstone_us=None)


def commit(n: int, part: ScopeCommit) -> Commit:
    return Commit((part,), 0, b"", CommitId("w", n))


async def test_a_hint_comes_with_every_commit_to_every_kernel_of_the_space_and_to_no_other() -> None:
    store = MemoryStore()
    one, two, other = MemoryKernel(store), MemoryKernel(store), MemoryKernel(store, space="other")
    heard: list[str] = []
    ends = [
        kernel.watch(lambda name=name: heard.append(name)) for kernel, name in ((one, "1"), (two, "2"), (other, "3"))
    ]
    await one.commit([commit(1, ScopeCommit("a", "create", body=b"x"))])
    assert sorted(heard) == ["1", "2"]
    ends[0]()
    await two.close()
    await one.commit([commit(2, ScopeCommit("a", body=b"x"))])
    assert sorted(heard) == ["1", "2"]


async def test_the_same_wake_can_watch_twice_and_end_once() -> None:
    kernel = MemoryKernel()
    heard: list[int] = []

    def wake() -> None:
        heard.append(1)

    end = kernel.watch(wake)
    kernel.watch(wake)
    end()
    end()
    await kernel.commit([commit(1, ScopeCommit("a", "create", body=b"x"))])
    assert len(heard) == 1


async def test_sweeps_bound_what_is_kept_of_moves() -> None:
    store = MemoryStore()
    kernel = MemoryKernel(store)
    for n in range(1, 1001):
        await kernel.commit([commit(n, ScopeCommit(f"s/{n % 5}", "create", body=b"x"))])
    position = (await kernel.moved("", limit=3)).position
    assert len(store.space("default").moves) == 1000
    await kernel.sweep(now_us=0, retention=KEEP)
    assert len(store.space("default").moves) == 5
    assert dict((await kernel.moved(position)).scopes) == {f"s/{n}": 200 for n in range(5)}


async def test_what_is_kept_of_moves_is_bounded_without_sweeps() -> None:
    """G14: and yet every scope is told of from every position that was ever handed out."""
    store = MemoryStore()
    kernel = MemoryKernel(store)
    positions = [(await kernel.moved("")).position]
    for n in range(1, 3 * MOVES_KEPT):
        await kernel.commit([commit(n, ScopeCommit(f"s/{n % 5}", "create", body=b"x"))])
        if n % 100 == 0:
            positions.append((await kernel.moved("", limit=3)).position)
    assert len(store.space("default").moves) <= MOVES_KEPT + 2 * 5
    for position in positions:
        assert set(dict((await kernel.moved(position)).scopes)) == {f"s/{n}" for n in range(5)}


async def test_the_oldest_position_tells_of_every_living_scope_after_tombstones_went() -> None:
    kernel = MemoryKernel()
    parts = [ScopeCommit("old", "create", body=b"x"), ScopeCommit("gone", "create", drop=True)]
    await kernel.commit(
        [commit(n, part) for n, part in enumerate([*parts, ScopeCommit("new", "create", body=b"x")], 1)]
    )
    await kernel.sweep(now_us=10, retention=Retention(tombstone_us=0))
    first = await kernel.moved("", limit=1)
    rest = await kernel.moved(first.position)
    assert {scope for scope, _ in (*first.scopes, *rest.scopes)} == {"old", "new"}


async def test_it_keeps_lower_limits_when_it_is_given_them() -> None:
    kernel = MemoryKernel(traits=Traits(value_bytes_max=3))
    outcomes = await kernel.commit([commit(n, ScopeCommit("a", "create", puts=(Put("k", bytes(n)),))) for n in (3, 4)])
    assert outcomes[0] == Committed({"a": 1})
    assert isinstance(outcomes[1], TooLarge)


async def test_a_position_of_endless_digits_is_none() -> None:
    with pytest.raises(InvalidValue, match="not a position"):
        await MemoryKernel().moved("9" * 5_000)
