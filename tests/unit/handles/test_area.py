"""An area of one's own in a session: bytes under keys."""

from __future__ import annotations

import pytest

from holdfast import Conflict, Holdfast, NotFound
from holdfast.errors import InvalidId, InvalidValue, TooLarge


async def test_what_is_written_is_there_in_the_order_of_its_keys(hold: Holdfast) -> None:
    """One commit; pages from either end, each going on where the last one stopped."""
    s = await hold.sessions.create(id="s")
    area = s.area("mine")
    version = await area.write({f"k{n}": bytes([n]) for n in range(5)})
    assert version == 2, "the next commit of the session"
    await area.write({"k9": b""}, deletes=["k0", "k7"])
    assert await area.get(["k1", "k9", "k0"]) == {"k1": b"\1", "k9": b""}
    first = await area.page("k", limit=3)
    assert [key for key, _ in first.items] == ["k1", "k2", "k3"]
    rest = await area.page("k", limit=3, after=first.next)
    assert ([key for key, _ in rest.items], rest.next) == (["k4", "k9"], None)
    last = await area.page(limit=2, order="last")
    assert [key for key, _ in last.items] == ["k9", "k4"]
    assert [key for key, _ in (await area.page(order="last", after=last.next)).items] == ["k3", "k2", "k1"]


async def test_areas_and_sessions_do_not_reach_into_each_other(hold: Holdfast) -> None:
    """Nor into what the session keeps itself."""
    s, other = await hold.sessions.create(id="s"), await hold.sessions.create(id="t")
    await s.state.set("k", 1)
    for name in ("a", "a/b", "ab"):
        await s.area(name).write({"k": name.encode()})
    assert [dict((await s.area(name).page()).items) for name in ("a", "a/b", "ab")] == [
        {"k": b"a"},
        {"k": b"a/b"},
        {"k": b"ab"},
    ]
    assert (await other.area("a").page()).items == ()
    assert await s.state.get("k") == 1


async def test_a_key_that_must_be_new_is_a_conflict_if_it_is_there_and_nothing_is_stored(hold: Holdfast) -> None:
    """The condition is judged in the commit itself."""
    area = (await hold.sessions.create()).area("mine")
    await area.write({"a": b"1"}, new=["a"])
    with pytest.raises(Conflict):
        await area.write({"a": b"2", "b": b"2"}, new=["a", "b"])
    assert dict((await area.page()).items) == {"a": b"1"}


async def test_a_write_rests_on_what_is_there_and_on_what_nobody_touched(hold: Holdfast) -> None:
    """Judged in the commit itself: a key that is gone, or anything written or removed under a prefix, is a Conflict."""
    s = await hold.sessions.create()
    area = s.area("mine")
    await area.write({"a/1": b"", "b/1": b""})
    seen = await area.version()
    await s.state.set("n", 1)
    assert await area.write({"b/2": b""}, present=["a/1"], untouched={"a/": seen}) == seen + 2
    for refused in ({"present": ["a/2"]}, {"untouched": {"b/": seen}}, {"untouched": {"": seen}}):
        with pytest.raises(Conflict):
            await area.write({"c": b""}, **refused)  # type: ignore[arg-type]
    await area.write({}, deletes=["a/none"])
    with pytest.raises(Conflict):
        await area.write({"c": b""}, untouched={"a/": seen})
    assert await area.get(["c"]) == {}
    with pytest.raises(InvalidValue, match="no version"):
        await area.write({"c": b""}, untouched={"a/": -1})


async def test_in_a_transaction_it_is_part_of_the_one_commit(hold: Holdfast) -> None:
    """Reads see its own writes, an exception writes nothing."""
    s = await hold.sessions.create(id="s")
    async with s.transaction() as tx:
        await tx.area("mine").write({"a": b"1"})
        await tx.state.set("n", 1)
        assert await tx.area("mine").get(["a"]) == {"a": b"1"}
    with pytest.raises(ZeroDivisionError):
        async with s.transaction() as tx:
            await tx.area("mine").write({"a": b"2"})
            raise ZeroDivisionError
    assert await s.area("mine").get(["a"]) == {"a": b"1"}


async def test_it_goes_with_its_session_and_is_not_in_the_stream(hold: Holdfast) -> None:
    """A write to a deleted session does not bring it back, and what nobody can read is not told."""
    s = await hold.sessions.create(id="s")
    area = s.area("mine")
    async with s.changes() as changes:
        await area.write({"a": b"1"})
        await s.state.set("told", 1)
        assert (await anext(changes)).key == "told"
    await hold.sessions.delete("s")
    for verb in (area.write({"a": b"1"}), area.get(["a"]), area.page()):
        with pytest.raises(NotFound):
            await verb
    again = await hold.sessions.create(id="s")
    assert (await again.area("mine").page()).items == ()


async def test_what_cannot_be_kept_is_refused_before_anything_is(hold: Holdfast) -> None:
    """Names, keys, values and limits."""
    s = await hold.sessions.create(id="s")
    area = s.area("mine")
    with pytest.raises(InvalidId):
        s.area("")
    with pytest.raises(InvalidId):
        await area.write({"a\n": b""})
    with pytest.raises(InvalidValue):
        await area.write({"a": "text"})  # type: ignore[dict-item]
    with pytest.raises(InvalidValue):
        await area.page(order="up")  # type: ignore[arg-type]
    with pytest.raises(TooLarge):
        await area.write({"a": bytes(area.limits.value_bytes_max + 1)})
    await area.write({"a": bytes(area.limits.value_bytes_max)})
