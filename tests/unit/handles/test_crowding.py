"""Sessions that are too many: of one user the oldest are ended, of all those that were least recently active."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import Budget, BudgetExceeded, Config, Holdfast, Session, SessionConfig, SessionStatus
from holdfast.kernel.commit import Found
from holdfast.kernel.work import Work
from holdfast.operations import displace
from holdfast.operations.displace import least_active
from tests.unit.entries import logged
from tests.unit.handles.exclusive import process
from tests.unit.stores import StillClock, Stores


async def crowded(stores: Stores, **limits: int) -> Holdfast:
    return await stores.open(config=Config(session=SessionConfig(**limits)))  # type: ignore[arg-type]


async def still_open(hold: Holdfast, user: str | None = None) -> list[str]:
    return [one.id for one in (await hold.sessions.list(user=user, status="active", order="oldest")).items]


# --- max_per_user -----------------------------------------------------------------------------------


async def test_the_oldest_sessions_of_a_user_end_beyond_so_many(stores: Stores) -> None:
    """Cancelled, and told why in the record and the event log; other users' are left."""
    hold = await crowded(stores, max_per_user=3)
    for n in range(5):
        stores.clock.advance(1)
        assert (await hold.sessions.create(id=f"s{n}", user="ada")).status == "active"
        await hold.sessions.create(id=f"bo{n % 2}-{n}", user=f"bo{n % 2}")
    assert await still_open(hold, "ada") == ["s2", "s3", "s4"]
    assert (len(await still_open(hold, "bo0")), len(await still_open(hold, "bo1"))) == (3, 2)
    ended = await hold.sessions.get("s0")
    assert ended is not None
    assert (ended.status, ended.ended_reason) == (SessionStatus.CANCELLED, "max_per_user")
    entries = [(entry.type, entry.data) for entry in await logged(ended)]
    assert entries == [("cancel", {"reason": "max_per_user"})]


async def test_of_sessions_made_at_once_by_several_processes_the_newest_are_left(stores: Stores) -> None:
    """Whoever ends what, none of the newest so many is ended."""
    holds = [await crowded(stores, max_per_user=2) for _ in range(3)]
    made = await asyncio.gather(*(holds[n % 3].sessions.create(user="ada") for n in range(9)))
    records = [one for hold in holds[:1] for one in (await hold.sessions.list(user="ada")).items]
    by_arrival = sorted(records, key=lambda one: (one._record.arrival_us or one._record.created_us, one.id))
    assert [one.id for one in by_arrival if one.status == "active"] == [one.id for one in by_arrival[-2:]]
    assert len(made) == len(records) == 9


async def test_a_new_session_is_the_newest_though_the_clock_was_set_back(stores: Stores) -> None:
    hold = await crowded(stores, max_per_user=1)
    await hold.sessions.create(id="a", user="ada")
    stores.clock.jump(-3600)
    for id in ("b", "c", "d"):
        assert (await hold.sessions.create(id=id, user="ada")).status == "active"
        assert await still_open(hold, "ada") == [id]
    assert await hold.sessions.update("d", tags=["t"])
    await hold.sessions.create(id="e", user="ada")
    assert await still_open(hold, "ada") == ["e"]


async def test_sessions_that_ended_or_expired_do_not_count(stores: Stores) -> None:
    hold = await crowded(stores, max_per_user=2)
    await hold.sessions.create(id="kept", user="ada")
    await (await hold.sessions.create(id="done", user="ada")).complete()
    await hold.sessions.create(id="short", user="ada", ttl=1)
    stores.clock.advance(1)
    await hold.sessions.create(id="new", user="ada")
    assert await still_open(hold, "ada") == ["kept", "new"]
    await (await hold.sessions.create(id="newer", user="ada")).pause()
    await hold.sessions.create(id="newest", user="ada")
    assert await still_open(hold, "ada") == ["newest"]
    paused = await hold.sessions.get("newer")
    assert paused is not None
    assert paused.status == "paused"


async def test_open_and_transactions_make_room_too(stores: Stores) -> None:
    hold = await crowded(stores, max_per_user=1)
    await hold.sessions.create(id="a", user="ada")
    await hold.sessions.open("b", user="ada")
    assert await still_open(hold, "ada") == ["b"]
    await hold.sessions.open("b", user="ada")
    async with hold.transaction() as tx:
        await tx.sessions.create(id="c", user="ada")
        assert await still_open(hold, "ada") == ["b"]
    assert await still_open(hold, "ada") == ["c"]
    face = hold.as_principal(user="ada")
    await face.sessions.create(id="d")
    assert await still_open(hold, "ada") == ["d"]


async def use_up(s: Session) -> None:
    with pytest.raises(BudgetExceeded):
        while True:
            await s.iterate()


async def test_one_that_timed_out_and_is_resumed_makes_room_as_the_newest(stores: Stores) -> None:
    """By itself or in a transaction; one that is only paused keeps its place."""
    hold = await crowded(stores, max_per_user=2)
    s = await hold.sessions.create(id="s", user="ada", budget=Budget(iterations=1))
    await use_up(s)
    for id in ("a", "b"):
        await hold.sessions.create(id=id, user="ada")
    assert (await s.resume(budget=Budget(iterations=2))).status == "active"
    assert sorted(await still_open(hold, "ada")) == ["b", "s"]
    b = await hold.sessions.open("b")
    await (await b.pause()).resume()
    await hold.sessions.create(id="c", user="ada")
    assert sorted(await still_open(hold, "ada")) == ["c", "s"]
    await use_up(s)
    await hold.sessions.create(id="d", user="ada")
    async with s.transaction() as tx:
        await tx.resume(budget=Budget(iterations=3))
    assert sorted(await still_open(hold, "ada")) == ["d", "s"]


async def test_one_that_is_resumed_counts_among_all(stores: Stores) -> None:
    hold = await crowded(stores, live_max=1)
    s = await hold.sessions.create(id="s", budget=Budget(iterations=1))
    await use_up(s)
    await hold.sessions.create(id="a")
    await s.resume(budget=Budget(iterations=2))
    assert await still_open(hold) == ["s"]


@pytest.mark.parametrize("most", [1, 70])
async def test_any_number_that_was_there_before_the_limit_is_made_good(stores: Stores, most: int) -> None:
    """More than one page of them."""
    before = await stores.open()
    await asyncio.gather(*(before.sessions.create(id=f"s{n:03}", user="ada") for n in range(140)))
    hold = await crowded(stores, max_per_user=most)
    stores.clock.advance(1)
    await hold.sessions.create(id="t", user="ada")
    left = [one.id async for one in hold.sessions.iterate(user="ada", status="active")]
    assert len(left) == most
    assert left[0] == "t"


# --- live_max ---------------------------------------------------------------------------------------


async def test_the_least_recently_active_session_makes_way(stores: Stores) -> None:
    hold = await crowded(stores, live_max=3)
    made: list[Session] = []
    for n in range(3):
        stores.clock.advance(60)
        made.append(await hold.sessions.create(id=f"s{n}"))
    stores.clock.advance(60)
    await made[0].state.set("n", 1)
    await hold.sessions.create(id="s3")
    assert await still_open(hold) == ["s0", "s2", "s3"]
    ended = await hold.sessions.get("s1")
    assert ended is not None
    assert (ended.status, ended.ended_reason) == (SessionStatus.CANCELLED, "live_max")


async def test_a_session_in_a_turn_never_makes_way(stores: Stores) -> None:
    """In whatever process: the next one does."""
    hold, other = await crowded(stores, live_max=2), await stores.open()
    for n in range(2):
        await hold.sessions.create(id=f"s{n}")
        stores.clock.advance(60)
    theirs = await other.sessions.get("s0")
    assert theirs is not None
    async with theirs.turn(request_id="r") as turn:
        stores.clock.advance(60)
        await hold.sessions.create(id="s2")
        assert await still_open(hold) == ["s0", "s2"]
        async with (await hold.sessions.open("s2")).claim():
            await hold.sessions.create(id="s3")  # all others are held: one too many for now
        turn.output = 1
    assert await still_open(hold) == ["s0", "s2", "s3"]
    stores.clock.advance(60)
    assert (await hold.sweep()).displaced == 1
    assert len(await still_open(hold)) == 2


async def test_a_session_of_which_a_worker_has_a_run_never_makes_way(stores: Stores) -> None:
    """A claim of one of its runs holds it like one of its own, in whatever process; one of a dead worker does not."""
    hold, other = await crowded(stores, live_max=1), await stores.open()
    s = await hold.sessions.create(id="s0")
    for id in ("a", "b"):
        await s.runs.start("trip", id=id, nodes=["go"])
    holder = await process(stores, StillClock(), seed=7)
    dead, alive = await holder.runs.get("a"), await other.runs.get("b")
    assert dead is not None
    assert alive is not None
    lost = dead.claim(ttl=30)
    await lost.__aenter__()  # and then it is killed
    async with alive.claim(ttl=30):
        stores.clock.advance(60)
        await hold.sessions.create(id="s1")
        assert await still_open(hold) == ["s0", "s1"]
        stores.clock.advance(31)
        assert (await hold.sweep()).displaced == 1
        assert await still_open(hold) == ["s0"]
    await hold.sessions.create(id="s2")
    assert await still_open(hold) == ["s2"]
    await lost.__aexit__(None, None, None)
    await holder.close()


async def test_one_that_a_dead_process_held_makes_way_once_that_is_known(stores: Stores) -> None:
    hold = await crowded(stores, live_max=1)
    await hold.sessions.create(id="s0")
    holder = await process(stores, StillClock(), seed=7)
    theirs = await holder.sessions.get("s0")
    assert theirs is not None
    claim = theirs.claim(ttl=30)
    await claim.__aenter__()  # and then it is killed
    stores.clock.advance(60)
    await hold.sessions.create(id="s1")
    assert await still_open(hold) == ["s0", "s1"]
    stores.clock.advance(31)
    assert (await hold.sweep()).displaced == 1
    assert await still_open(hold) == ["s1"]
    await claim.__aexit__(None, None, None)
    await holder.close()


async def test_what_has_expired_takes_no_room(stores: Stores) -> None:
    hold = await crowded(stores, live_max=2)
    await hold.sessions.create(id="s0")
    stores.clock.advance(60)
    await hold.sessions.create(id="short", ttl=1)
    stores.clock.advance(60)
    await hold.sessions.create(id="s1")
    assert await still_open(hold) == ["s0", "s1"]


async def test_a_clock_that_was_set_back_ends_no_session_that_was_just_made(stores: Stores) -> None:
    hold = await crowded(stores, live_max=1)
    await hold.sessions.create(id="a")
    stores.clock.jump(-3600)
    assert (await hold.sessions.create(id="b")).status == "active"
    assert await still_open(hold) == ["b"]


async def test_several_processes_together_keep_to_it(stores: Stores) -> None:
    holds = [await crowded(stores, live_max=5) for _ in range(3)]
    for n in range(20):
        stores.clock.advance(60)
        await holds[n % 3].sessions.create(id=f"s{n:02}")
    assert await still_open(holds[0]) == [f"s{n:02}" for n in range(15, 20)]


async def test_sessions_made_at_once_end_as_many_as_are_too_many_and_no_more(stores: Stores) -> None:
    """In several tasks and processes: one that somebody else has ended since it was counted is not made up for."""
    holds = [await crowded(stores, live_max=20) for _ in range(2)]
    for n in range(20):
        await holds[0].sessions.create(id=f"a{n:02}")
    for round in range(3):
        stores.clock.advance(60)
        made = await asyncio.gather(*(holds[n % 2].sessions.create(id=f"{round}-{n}") for n in range(8)))
        left = await still_open(holds[0])
        assert len(left) == 20
        assert {s.id for s in made} <= {*left}


async def test_one_that_was_written_to_since_they_were_counted_does_not_make_way(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then another one was least recently active."""
    other, hold = await stores.open(), await crowded(stores, live_max=3)
    for n in range(3):
        await hold.sessions.create(id=f"s{n}")
        stores.clock.advance(60)
    counts: list[int] = []

    async def count(work: Work, most: int) -> tuple[int, list[Found]]:
        counted = await least_active(work, most)
        if not counts:
            written = await other.sessions.get("s0")
            assert written is not None
            await written.state.set("n", 1)
        counts.append(counted[0])
        return counted

    monkeypatch.setattr(displace, "least_active", count)
    await hold.sessions.create(id="s3")
    assert await still_open(hold) == ["s0", "s2", "s3"]
    assert counts == [1, 1]


async def test_a_session_that_was_displaced_goes_on_in_no_list_of_open_ones(stores: Stores) -> None:
    """Ended like any other: it does not expire, and waits for its retention."""
    hold = await crowded(stores, live_max=1)
    s = await hold.sessions.create(id="a", ttl="1h")
    stores.clock.advance(60)
    await hold.sessions.create(id="b")
    assert (await s.refresh()).expires_at is None
    await s.state.set("still", "writable")
    stores.clock.advance(60)
    await s.state.set("still", "ended")
    assert (await hold.sweep()).displaced == 0
    assert [one.id for one in (await hold.sessions.list(order="recent")).items] == ["a", "b"]
