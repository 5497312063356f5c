"""Where a transaction ends: it speaks for its own store only, and its surface only lives inside the block."""

import pytest

from holdfast import Holdfast
from holdfast.errors import Closed


async def test_a_transaction_of_one_store_says_nothing_about_another() -> None:
    """Two stores may hold a session of the same id; a block on one leaves the other free."""
    async with Holdfast.open("memory://") as here, Holdfast.open("memory://") as there:
        one = await here.sessions.create(id="x")
        other = await there.sessions.create(id="x")
        async with one.transaction() as tx:
            await tx.state.set("k", 1)
            await other.state.set("k", 2)
        assert (await one.state.get("k"), await other.state.get("k")) == (1, 2)


@pytest.mark.parametrize("part", ["state", "temp", "runtime", "messages"])
async def test_the_surface_of_a_transaction_is_closed_before_its_block_begins(part: str) -> None:
    async with Holdfast.open("memory://") as hold:
        s = await hold.sessions.create()
        with pytest.raises(Closed, match="async with"):
            getattr(s.transaction(), part)
        with pytest.raises(AttributeError):
            _ = s.transaction().nothing_of_this_name  # type: ignore[attr-defined]


async def test_a_stream_goes_on_after_the_version_of_a_snapshot() -> None:
    """G13: what the snapshot shows is not told again, and what came after it is."""
    async with Holdfast.open("memory://") as hold:
        s = await hold.sessions.create()
        await s.state.set("step", 1)
        snapshot = await s.state.snapshot()
        await s.state.set("step", 2)
        async with s.changes(after=snapshot.version) as changes:
            change = await anext(changes)
        assert (snapshot.values, change.seq, change.value) == ({"step": 1}, snapshot.version + 1, 2)
