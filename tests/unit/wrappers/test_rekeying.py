"""Rekeying: everything under the active key, in place, and nobody notices."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.errors import Indeterminate, Unavailable, WrongKey
from holdfast.kernel.commit import Append, Entry, Put, Read, Retention, ScopeCommit
from holdfast.kernel.contract import Kernel
from holdfast.kernel.frame import parse_sealed
from holdfast.model.keyring import KeyRing, Rekeyed
from holdfast.testing.clock import LeapingClock
from holdfast.wrappers.around import Around
from holdfast.wrappers.faults import Chances, Faults
from holdfast.wrappers.framing import Framing
from holdfast.wrappers.ring import SCOPE, find_ring
from tests.unit.wrappers.rings import BOTH, FIRST, LAX, NEW, OLD, SECOND, A, B, fill, seal, send, shown


async def key_ids(inside: Kernel) -> set[str]:
    """The keys under which anything is kept, of every scope that ever moved."""
    kept: list[bytes] = []
    for scope, _ in (await inside.moved("")).scopes:
        if scope != SCOPE:
            stored = await inside.stored(scope)
            kept += [one.cell.value for one in stored]
            kept += [entry.payload for one in stored for entry in one.entries]
            kept += [part for record in await inside.log(scope) for part in (record.body, record.cause)]
    return {parse_sealed(frame).key_id for frame in kept if frame}


async def test_afterwards_the_old_key_is_needed_for_nothing() -> None:
    inside = MemoryKernel()
    first = await seal(inside)
    await fill(first)
    before = await shown(first)
    with pytest.raises(WrongKey):
        await seal(inside, SECOND)
    done = await (await seal(inside, BOTH)).rekey()
    assert done.scrubbed is True
    assert (done.seen, done.changed) == (10, 9)  # cells and records; one of these has neither body nor cause
    assert await key_ids(inside) == {"new"}
    assert await shown(await seal(inside, SECOND)) == before


async def test_no_version_seq_or_position_moves() -> None:
    """G21: what follows from the cells and records is as it was, for readers and streams."""
    inside = MemoryKernel()
    await fill(await seal(inside))
    kernel = await seal(inside, BOTH)
    position = (await kernel.moved()).position
    before = await shown(kernel)
    await kernel.rekey()
    assert (await kernel.moved(position)).scopes == ()
    assert await shown(kernel) == before


async def test_its_progress_ends_at_its_total() -> None:
    """Where nobody else writes, what is counted at first is what is seen in the end: the ring's own cell is neither."""
    inside = MemoryKernel()
    await fill(await seal(inside))
    told: list[Rekeyed] = []
    await (await seal(inside, BOTH)).rekey(told.append)
    assert [one.seen for one in told] == sorted({one.seen for one in told})
    assert {one.total for one in told} == {10}
    assert told[-1].seen == 10


async def test_a_second_rekey_changes_nothing() -> None:
    inside = MemoryKernel()
    await fill(await seal(inside))
    kernel = await seal(inside, BOTH)
    first = await kernel.rekey()
    again = await kernel.rekey()
    assert (again.seen, again.changed, again.scrubbed) == (first.seen, 0, True)


async def test_a_plain_store_is_sealed_with_its_indexes() -> None:
    inside = MemoryKernel()
    plain = Framing(inside)
    await fill(plain)
    before = await shown(plain)
    lax = await seal(inside, LAX)
    assert await shown(lax) == before
    await lax.rekey()
    assert await key_ids(inside) == {"old"}
    strict = await seal(inside, FIRST)
    assert await shown(strict) == before
    assert await inside.find("tag", "x", now_us=0) == ()
    with pytest.raises(WrongKey):
        await plain.read([Read(A, ("k",))], now_us=0)


async def test_records_of_dropped_scopes_are_renewed_and_what_nobody_sees_is_gone() -> None:
    inside = MemoryKernel()
    first = await seal(inside)
    await fill(first)
    await send(first, ScopeCommit(A, drop=True, body=b'["end"]'))
    kernel = await seal(inside, BOTH)
    await kernel.rekey()
    assert await key_ids(inside) == {"new"}
    only = await seal(inside, SECOND)
    assert [record.body for record in await only.log(A)] == [b'["body"]', b"[1]", b'["end"]']


class Cut(Exception):
    """The end of a process, as far as its kernel goes."""


class Stopping(Around):
    """A kernel that is cut off before one of its calls, for good."""

    def __init__(self, inside: Kernel, before: int) -> None:
        super().__init__(inside)
        self.left = before

    async def call(self, verb, send):
        self.left -= 1
        if self.left < 0:
            raise Cut
        return await send()


async def test_it_may_be_interrupted_before_any_call_and_run_again() -> None:
    calls = 0
    finished = False
    while not finished:
        inside = MemoryKernel()
        first = await seal(inside)
        await fill(first)
        before = await shown(first)
        try:
            await (await seal(Stopping(inside, calls + 4), BOTH)).rekey()
            finished = True
        except (Cut, Indeterminate):
            calls += 1
        assert await shown(await seal(inside, BOTH)) == before
        await (await seal(inside, BOTH)).rekey()
        assert await shown(await seal(inside, SECOND)) == before
    assert calls > 10


async def test_a_bad_line_makes_it_no_less_whole() -> None:
    inside = MemoryKernel()
    first = await seal(inside)
    await fill(first)
    before = await shown(first)
    chances = Chances(Random(3), unavailable=0.2)
    line = Faults(inside, plan=chances, clock=LeapingClock())
    kernel = None
    while kernel is None:
        try:
            kernel = await seal(line, BOTH)
        except Unavailable:
            continue
    await kernel.rekey()
    assert await shown(await seal(inside, SECOND)) == before


async def test_writers_beside_it_lose_nothing() -> None:
    """Every commit stays, and is under the active key, however the two come together."""
    store = MemoryStore()
    inside = MemoryKernel(store)
    first = await seal(inside)
    for number in range(20):
        puts = (Put("n", b"0", entries=(Entry("t", "x", f"{number:02}"),)),)
        await send(first, ScopeCommit(f"s/{number:02}", "create", puts=puts, body=b"[0]"))
    writer, kernel = await seal(Yielding(MemoryKernel(store)), BOTH), await seal(Yielding(inside), BOTH)

    async def write(seed: int) -> None:
        random = Random(seed)
        for turn in range(30):
            scope = f"s/{random.randrange(20):02}"
            part = ScopeCommit(scope, puts=(Put(f"w{seed}", b"%d" % turn),), appends=(Append("l/", b"1"),), body=b"[1]")
            await send(writer, part, cause=b"{}")
            await asyncio.sleep(0)

    await asyncio.gather(kernel.rekey(), *(write(seed) for seed in range(3)))
    only = await seal(inside, SECOND)
    lines = 0
    for number in range(20):
        stored = await only.stored(f"s/{number:02}")
        log = await only.log(f"s/{number:02}")
        assert [record.seq for record in log] == list(range(1, len(log) + 1))
        assert sum(one.cell.key.startswith("l/") for one in stored) == len(log) - 1
        lines += len(log) - 1
    assert lines == 90
    assert [found.order for found in await only.find("t", "x", now_us=0)] == [f"{number:02}" for number in range(20)]


class Yielding(Around):
    """A kernel whose calls let others go first."""

    async def call(self, verb, send):
        await asyncio.sleep(0)
        return await send()


async def test_two_at_once_come_to_the_same() -> None:
    inside = MemoryKernel()
    first = await seal(inside)
    await fill(first)
    before = await shown(first)
    one, two = await seal(Yielding(inside), BOTH), await seal(Yielding(inside), BOTH)
    await asyncio.gather(one.rekey(), two.rekey())
    assert await shown(await seal(inside, SECOND)) == before


async def test_two_to_different_keys_leave_the_store_saying_which_it_needs() -> None:
    """Against what is asked of who rekeys: but the store never says that it needs none."""
    inside, keys = MemoryKernel(), {"old": OLD, "new": NEW, "third": bytes(32)}
    await fill(await seal(inside))
    other = await seal(inside, KeyRing(keys, active="third"))

    class Meeting(Around):
        async def scrub(self) -> bool:
            await other.rekey()
            return await super().scrub()

    await (await seal(Meeting(inside), KeyRing(keys, active="new"))).rekey()
    ring, _ = await find_ring(inside, 0)
    assert ring is not None
    assert await key_ids(inside) <= ring.ids.keys() == {"new", "third"}


async def test_progress_tells_how_far_it_is() -> None:
    inside = MemoryKernel()
    await fill(await seal(inside))
    told: list[Rekeyed] = []
    done = await (await seal(inside, BOTH)).rekey(told.append)
    assert [one.seen for one in told] == sorted(one.seen for one in told)
    assert told[-1].seen == done.seen
    assert told[0].total >= done.seen
    assert told[-1].scrubbed is None


async def test_without_keys_there_is_nothing_to_encrypt_with() -> None:
    with pytest.raises(WrongKey):
        await Framing(MemoryKernel()).rekey()


async def test_a_trimmed_log_is_renewed_from_where_it_begins() -> None:
    inside = MemoryKernel()
    first = await seal(inside)
    await fill(first)
    await first.sweep(now_us=0, retention=Retention(count=1))
    await (await seal(inside, BOTH)).rekey()
    only = await seal(inside, SECOND)
    assert [record.seq for record in await only.log(A, after=1)] == [2]
    assert [record.seq for record in await only.log(B, after=1)] == [2]
