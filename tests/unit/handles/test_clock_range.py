"""Clocks that are wrong: from 1970 to 2286 everything works, in whatever order the times come; beyond, every verb says
so, and nothing is stored that could not be read again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from holdfast import Config, Holdfast, Scope, Session
from holdfast.backends.memory import MemoryKernel
from holdfast.errors import Indeterminate, InvalidValue, Unavailable
from holdfast.kernel.commit import Commit, CommitId, Put, ScopeCommit
from holdfast.kernel.limits import TIME_US_MAX
from holdfast.model.config import ChangesConfig, StateConfig
from tests.unit.stores import Stores

WRONG = [
    -1,
    TIME_US_MAX + 1,
    -(10**17),
    253_402_300_800_000_000,
    2**63,
    -(2**63) - 1,
    2**200,
    10**5000,
    1.5,
    None,
    True,
]
SCOPE = Scope.global_("flags")


async def in_a_transaction(s: Session, _: Holdfast) -> None:
    async with s.transaction() as tx:
        await tx.state.set("a", 1)


async def first_change(s: Session, _: Holdfast) -> None:
    async with s.changes(after="beginning") as changes:
        await asyncio.wait_for(anext(changes), 10)


async def first_of_a_user(_: Session, hold: Holdfast) -> None:
    async with hold.changes(user="ada", after="beginning") as changes:
        await asyncio.wait_for(anext(changes), 10)


VERBS: dict[str, Callable[[Session, Holdfast], Awaitable[Any]]] = {
    "sessions.create": lambda s, hold: hold.sessions.create(),
    "sessions.open": lambda s, hold: hold.sessions.open("s"),
    "sessions.get": lambda s, hold: hold.sessions.get("s"),
    "sessions.list": lambda s, hold: hold.sessions.list(),
    "sessions.update": lambda s, hold: hold.sessions.update("s", tags=["t"]),
    "refresh": lambda s, hold: s.refresh(),
    "state.set": lambda s, hold: s.state.set("a", 1),
    "state.get": lambda s, hold: s.state.get("a"),
    "state.mutate": lambda s, hold: s.state.mutate("n", lambda n: n + 1, int, default=0),
    "state.snapshot": lambda s, hold: s.state.snapshot(),
    "state.history": lambda s, hold: s.state.history("a"),
    "state.diff": lambda s, hold: s.state.diff(),
    "temp.set": lambda s, hold: s.temp.set("a", 1),
    "hold.state": lambda s, hold: hold.state(SCOPE).set("a", 1),
    "state_many": lambda s, hold: hold.state_many([SCOPE]),
    "runtime.set": lambda s, hold: s.runtime.set("a", 1),
    "messages.add": lambda s, hold: s.messages.add("user", "hello"),
    "messages.list": lambda s, hold: s.messages.list(),
    "log": lambda s, hold: s.log("seen"),
    "events": lambda s, hold: s.events(),
    "transaction": in_a_transaction,
    "changes": first_change,
    "changes of a user": first_of_a_user,
    "sweep": lambda s, hold: hold.sweep(),
    "sessions.delete": lambda s, hold: hold.sessions.delete("gone"),
}


def config() -> Config:
    return Config(state=StateConfig(temp_ttl=timedelta(days=36_600)), changes=ChangesConfig(retention_age=None))


def set_wall(stores: Stores, now_us: Any) -> None:
    """As the host does: whatever it is, without asking."""
    stores.clock._now_us = now_us


async def reads_well(hold: Holdfast) -> None:
    """Whatever is stored can be read: in lists, history, snapshots and streams."""
    s = await hold.sessions.get("s")
    assert s is not None
    assert s.created_at <= datetime.max.replace(tzinfo=UTC)
    assert (await s.state.snapshot()).values
    assert (await s.state.history("a")).items
    assert (await s.state.diff()).items
    await s.messages.list()
    await s.events()
    assert {one.id for one in (await hold.sessions.list()).items} >= {"s"}
    async with s.changes(after="beginning") as changes:
        seen = 0
        while seen < (await s.refresh()).version:
            seen = (await asyncio.wait_for(anext(changes), 10)).seq


@pytest.mark.parametrize("turns", [[0], [TIME_US_MAX], [TIME_US_MAX, 0, 1, TIME_US_MAX - 1, 0]], ids=str)
async def test_every_verb_works_at_both_ends_of_the_range_and_when_time_jumps_between_them(
    stores: Stores, turns: list[int]
) -> None:
    hold = await stores.open(config=config())
    s = await hold.sessions.create(id="s", user="ada")
    for now_us in turns:
        set_wall(stores, now_us)
        for verb in VERBS.values():
            await verb(s, hold)
        made = await hold.sessions.create(id=f"made at {now_us}")
        assert (made.created_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == now_us
        assert await s.temp.get("a") == 1
        await hold.sessions.delete(made.id)
    await reads_well(hold)


@pytest.mark.parametrize("name", VERBS)
async def test_a_clock_out_of_range_is_named_by_every_verb_and_leaves_no_trace(stores: Stores, name: str) -> None:
    hold = await stores.open(config=config())
    s = await hold.sessions.create(id="s", user="ada")
    await s.state.set("a", 0)
    good_us, before = stores.clock.now_us(), await hold.stats()
    for now_us in WRONG:
        set_wall(stores, now_us)
        with pytest.raises(InvalidValue, match="clock") as refused:
            await VERBS[name](s, hold)
        assert refused.value.path == "clock"
        assert "clock" in refused.value.remedy
    set_wall(stores, good_us)
    after = await hold.stats()
    assert (after.scopes, after.cells, after.records) == (before.scopes, before.cells, before.records)
    await VERBS[name](s, hold)
    await reads_well(hold)


@pytest.mark.parametrize("ttl", [timedelta.max, timedelta(days=36_601), 1e300, float("inf"), "99999999w"])
def test_a_time_to_live_beyond_all_times_is_refused(ttl: Any) -> None:
    with pytest.raises(InvalidValue, match="100 years"):
        Holdfast.over(MemoryKernel(), config=Config(state=StateConfig(temp_ttl=ttl)))


async def test_times_to_filter_by_may_be_any_there_are(hold: Holdfast) -> None:
    """A filter is no time of the store's: what lies beyond the range stands at its ends."""
    await hold.sessions.create(id="s")
    far = timezone(timedelta(hours=-23))
    for early in (datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=timezone(timedelta(hours=23)))):
        assert len((await hold.sessions.list(created_after=early)).items) == 1
        assert (await hold.sessions.list(created_before=early)).items == ()
    for late in (datetime.max.replace(tzinfo=UTC), datetime.max.replace(tzinfo=far)):
        assert len((await hold.sessions.list(created_before=late)).items) == 1
        assert (await hold.sessions.list(created_after=late)).items == ()


@pytest.mark.parametrize("field", ["at_us", "expires_us"])
async def test_a_kernel_refuses_a_commit_at_a_time_it_could_not_give_back(stores: Stores, field: str) -> None:
    kernel = await stores.kernel()
    limit = TIME_US_MAX if field == "at_us" else 2**63 - 1

    def commit(time_us: Any, n: int) -> Commit:
        put = Put("k", b"", expires_us=time_us if field == "expires_us" else None)
        part = ScopeCommit(f"user/{n}", "create", puts=(put,))
        return Commit((part,), time_us if field == "at_us" else 0, id=CommitId("0" * 16, n))

    try:
        for n, time_us in enumerate([-1, limit + 1, 2**63, 2**200, 1.5, "3", True]):
            [outcome] = [refused] = await kernel_outcomes(kernel.commit, commit(time_us, n + 1))
            assert isinstance(refused, InvalidValue), outcome
        for n, time_us in enumerate([0, limit]):
            await kernel_outcomes(kernel.commit, commit(time_us, n + 100))
    finally:
        await kernel.close()


async def kernel_outcomes(call: Callable[[list[Commit]], Awaitable[list[Any]]], commit: Commit) -> list[Any]:
    """Sent again while the line is bad."""
    while True:
        try:
            outcomes = await call([commit])
        except (Indeterminate, Unavailable):
            continue
        if not isinstance(outcomes[0], (Indeterminate, Unavailable)):
            return outcomes
