"""A session as people hold it: an id, and the record it last saw."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import Conflict, Holdfast, NotFound, Session
from holdfast.testing.clock import ManualClock
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada", metadata={"a": 1}, tags=["t"])


async def test_only_refresh_brings_what_others_changed(stores: Stores, s: Session) -> None:
    theirs = await (await stores.open()).sessions.open("s")
    await theirs.update(metadata={"b": 2}, tags=[])
    assert (s.metadata, s.tags, s.version) == ({"a": 1}, ("t",), 1)
    assert await s.refresh() is s
    assert (s.metadata, s.tags, s.version) == ({"a": 1, "b": 2}, (), 2)


async def test_a_committing_update_replaces_the_record_and_returns_the_session(s: Session, clock: ManualClock) -> None:
    clock.advance(1)
    assert await s.update(metadata={"b": 2}) is s
    assert (s.metadata, s.tags, s.version) == ({"a": 1, "b": 2}, ("t",), 2)
    assert s.updated_at > s.created_at


async def test_an_update_in_a_transaction_shows_once_it_has_committed(s: Session) -> None:
    async with s.transaction() as tx:
        await tx.update(tags=["x"])
        await tx.update(metadata={"b": 2})
        assert (s.tags, s.metadata) == (("t",), {"a": 1})
    assert (s.tags, s.metadata, s.version) == (("x",), {"a": 1, "b": 2}, 2)
    with pytest.raises(ZeroDivisionError):
        async with s.transaction() as tx:
            await tx.update(tags=["y"])
            raise ZeroDivisionError
    assert s.tags == ("x",)


async def test_an_update_on_a_version_that_is_no_longer_the_last_fails_at_once(hold: Holdfast, s: Session) -> None:
    """Trying again cannot help, so nothing is sent, neither once nor a hundred times."""
    await s.update(metadata={"b": 2})
    sent = (await hold.stats()).writer.commits
    with pytest.raises(Conflict, match="after version 1") as raised:
        await s.update(tags=[], if_version=1)
    assert (raised.value.what, raised.value.expected, raised.value.found.version) == ("unchanged", 1, 2)
    assert (await hold.stats()).writer.commits == sent


async def test_a_failed_update_leaves_the_record_as_it_was(stores: Stores, s: Session) -> None:
    theirs = await (await stores.open()).sessions.open("s")
    await theirs.update(tags=["theirs"])
    with pytest.raises(Conflict):
        await s.update(tags=["mine"], if_version=s.version)
    assert (s.tags, s.version) == (("t",), 1)


async def test_activity_is_the_last_write_to_anything_in_it(s: Session, clock: ManualClock) -> None:
    clock.advance(60)
    await s.messages.add("user", "hello")
    assert s.last_activity == s.created_at
    await s.refresh()
    assert (s.last_activity - s.created_at).total_seconds() == 60
    assert s.updated_at == s.created_at


async def test_it_says_what_it_is(s: Session) -> None:
    assert repr(s) == "<Session 's' active version=1>"


@pytest.mark.parametrize(
    "bad",
    [{"metadata": []}, {"metadata": "x"}, {"metadata": 3}, {"metadata": {"a": {1}}}, {"metadata": [("a", 1)]},
     {"tags": "vip"}, {"tags": 3}, {"tags": [""]}, {"tags": [3]}, {"tags": {"a": 1}}, {"if_version": "1"},
     {"if_version": -1}, {"if_version": True}, {"if_version": 1.0}],
)  # fmt: skip
async def test_a_bad_update_is_refused_and_changes_nothing(hold: Holdfast, s: Session, bad: dict[str, Any]) -> None:
    async def in_transaction() -> None:
        async with s.transaction() as tx:
            await tx.update(**bad)

    async def in_any() -> None:
        async with hold.transaction() as tx:
            await tx.sessions.update("s", **bad)

    for call in (s.update(**bad), hold.sessions.update("s", **bad), in_transaction(), in_any()):
        with pytest.raises(ValueError, match=r"metadata|tag|version"):
            await call
    assert (await s.refresh()).version == 1


async def test_a_handle_outlives_nothing(hold: Holdfast, s: Session) -> None:
    await hold.sessions.delete("s")
    with pytest.raises(NotFound):
        await s.refresh()
    assert s.metadata == {"a": 1}
