"""The stream of a user: their sessions as they come and go, each life whole, and nothing of anybody else's."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest

from holdfast import Change, Changes, Holdfast, Scope
from holdfast.errors import HoldfastError
from holdfast.handles.changes import After
from holdfast.kernel.commit import Moved, Retention
from holdfast.kernel.contract import Kernel
from holdfast.testing.clock import SeededIds
from holdfast.wrappers.around import Around, Verb
from holdfast.wrappers.faults import Faults
from tests.unit.stores import Stores

T = TypeVar("T")


class Held(Around):
    """A kernel whose `moved` answers only while the gate is open: a feed that does not get to look."""

    def __init__(self, inside: Kernel) -> None:
        super().__init__(inside)
        self.gate = asyncio.Event()
        self.gate.set()

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        await self.gate.wait()
        moved = await super().moved(after, limit=limit)
        if after is not None:
            await self.gate.wait()
        return moved


@pytest.fixture
async def held(stores: Stores) -> AsyncIterator[Held]:
    kernel = Held(await stores.kernel())
    yield kernel
    await kernel.close()


@pytest.fixture
async def watching(stores: Stores, held: Held) -> AsyncIterator[Holdfast]:
    """The opening that follows, beside `hold`, which writes."""
    async with Holdfast.over(held, clock=stores.clock, ids=SeededIds(99)) as opened:
        yield opened


@pytest.fixture
async def sure(stores: Stores) -> AsyncIterator[Kernel]:
    """A line to the store that loses nothing: once a log is trimmed, it does not show whether a lost commit landed."""
    kernel = await stores.kernel()
    yield kernel.inside if isinstance(kernel, Faults) else kernel
    await kernel.close()


async def live(hold: Holdfast, id: str, user: str, text: str) -> None:
    """One short life: created, written, deleted."""
    s = await hold.sessions.create(id=id, user=user)
    await s.state.set("text", text)
    await hold.sessions.delete(id)


def brief(change: Change) -> tuple[str | None, str, object]:
    key = None if change.op == "append" else change.key
    return (change.session, change.op, change.value if change.kind == "state" else key)


def begun(id: str) -> list[tuple[str, str, object]]:
    """What is told of a session's creation: its record, and the first entry of its event log."""
    return [(id, "set", id), (id, "append", None)]


def life(id: str, text: str) -> list[tuple[str, str, object]]:
    return [*begun(id), (id, "set", text), (id, "delete", id)]


async def take(changes: Changes, count: int) -> list[tuple[str | None, str, object]]:
    return [brief(await asyncio.wait_for(anext(changes), 10)) for _ in range(count)]


async def until_marked(changes: Changes, hold: Holdfast, user: str = "ada") -> list[tuple[str | None, str, object]]:
    """What comes before a change that is made now, and is read at last."""
    marker = await hold.state(Scope.user(user)).set("marker", 1)
    found: list[tuple[str | None, str, object]] = []
    while (change := await asyncio.wait_for(anext(changes), 10)).key != "marker" or change.seq < marker:
        found.append(brief(change))
    return found


async def is_silent(changes: Changes) -> bool:
    try:
        await asyncio.wait_for(anext(changes), 0.2)
    except TimeoutError:
        return True
    return False


async def test_a_session_that_came_and_went_between_two_looks_is_told_whole(
    hold: Holdfast, watching: Holdfast, held: Held
) -> None:
    async with watching.changes(user="ada") as changes:
        held.gate.clear()
        await live(hold, "x", "ada", "hers")
        await live(hold, "y", "bob", "his")
        held.gate.set()
        assert await take(changes, 4) == life("x", "hers")
        assert await is_silent(changes)


@pytest.mark.parametrize("users", [*itertools.product(("ada", "bob"), repeat=3)], ids="-".join)
async def test_of_several_lives_under_one_id_each_of_the_users_is_told_whole_and_no_others(
    hold: Holdfast, watching: Holdfast, held: Held, users: tuple[str, ...]
) -> None:
    async with watching.changes(user="ada") as changes:
        held.gate.clear()
        for n, user in enumerate(users[:2]):
            await live(hold, "x", user, f"{user}'s {n}")
        last = await hold.sessions.create(id="x", user=users[2])
        await last.state.set("text", f"{users[2]}'s 2")
        held.gate.set()
        owed = [one for n in range(2) if users[n] == "ada" for one in life("x", f"ada's {n}")]
        if users[2] == "ada":
            owed += life("x", "ada's 2")[:-1]
        assert await take(changes, len(owed)) == owed
        await last.state.set("text", "and on")
        assert await take(changes, 1) == [("x", "set", "and on")] if users[2] == "ada" else await is_silent(changes)


async def test_an_id_that_goes_back_and_forth_shows_each_user_their_own(
    hold: Holdfast, watching: Holdfast, held: Held
) -> None:
    async with watching.changes(user="ada") as adas, watching.changes(user="bob") as bobs:
        for n in range(6):
            if n % 2 == 0:
                held.gate.clear()
            await live(hold, "x", "ada" if n % 3 else "bob", str(n))
            held.gate.set()
        assert await take(adas, 16) == [one for n in (1, 2, 4, 5) for one in life("x", str(n))]
        assert await take(bobs, 8) == [one for n in (0, 3) for one in life("x", str(n))]
        assert await is_silent(adas)
        assert await is_silent(bobs)


@pytest.mark.parametrize("after", ["now", "beginning"])
async def test_what_ended_before_the_stream_began_is_not_told_however_its_id_moves_on(
    hold: Holdfast, watching: Holdfast, after: str
) -> None:
    """The stream is about present and future sessions: "beginning" is that of the present ones."""
    await live(hold, "x", "ada", "over")
    await live(hold, "y", "ada", "over")
    s = await hold.sessions.create(id="z", user="ada")
    began = begun("z") if after == "beginning" else []
    owed = [*life("y", "again"), *began, ("z", "set", "on")]
    async with watching.changes(user="ada", after=after) as changes:  # type: ignore[arg-type]
        await live(hold, "x", "bob", "his")
        await live(hold, "y", "ada", "again")
        await s.state.set("text", "on")
        found = await until_marked(changes, hold)
        while len(found) < len(owed):
            found += await take(changes, 1)
        assert await is_silent(changes)
    assert sorted(found, key=str) == sorted(owed, key=str)


async def test_while_a_stream_opens_a_session_of_then_is_told_from_there_or_whole_and_later_ones_whole(
    stores: Stores, hold: Holdfast, held: Held
) -> None:
    """Whatever comes and goes at each step of opening, what is written from then on is told, once and in order."""

    class Stepping(Around):
        """Another opening works before the answer to each call."""

        turn = 0
        stepping = True
        busy = asyncio.Lock()

        async def step(self) -> None:
            if self.busy.locked():
                return
            async with self.busy:
                self.turn += 1
                await live(hold, f"gone {self.turn}", "ada", "short")
                for id in ("old", "again"):
                    await hold.sessions.delete(id)
                    s = await hold.sessions.create(id=id, user="ada")
                    await s.state.set("text", str(self.turn))
                new = await hold.sessions.create(id=f"new {self.turn}", user="ada")
                await new.state.set("text", "new")

        async def call(self, verb: Verb, send: Callable[[], Awaitable[T]]) -> T:
            if verb in ("find", "moved", "read") and self.stepping:
                await self.step()
            return await send()

    for id in ("old", "again"):
        await hold.sessions.create(id=id, user="ada")
    kernel = Stepping(await stores.kernel())
    watching = Holdfast.over(kernel, clock=stores.clock, ids=SeededIds(99))
    found: dict[str, list[tuple[str | None, str, object]]] = {}
    async with watching, watching.changes(user="ada") as changes:
        kernel.stepping = False
        async with kernel.busy:
            turns = kernel.turn
        assert turns >= 4
        lasting = ["old", "again", *(f"new {turn + 1}" for turn in range(turns))]
        for id in lasting:
            await (await hold.sessions.open(id)).state.set("text", "after")
        await live(hold, "last", "ada", "last")
        while len(found.get("last", ())) < 4 or any((id, "set", "after") not in found.get(id, ()) for id in lasting):
            [one] = await take(changes, 1)
            found.setdefault(str(one[0]), []).append(one)
        assert await is_silent(changes)
    assert found.pop("last") == life("last", "last")
    for id, told in found.items():
        if id.startswith("gone"):  # whole, or from where it stood at the first look
            assert told == life(id, "short")[-len(told) :]
        elif id.startswith("new"):
            assert told in ([*begun(id), (id, "set", "new"), (id, "set", "after")], [(id, "set", "after")])
        else:
            assert told.count((id, "set", "after")) == 1
            assert told[-1] == (id, "set", "after")


@pytest.mark.parametrize("at", [1, 2])
async def test_a_session_that_is_written_while_a_stream_opens_is_not_taken_for_a_new_one(
    stores: Stores, hold: Holdfast, at: int
) -> None:
    """Its past is not told, though the feed reports the move before the opening is done."""

    class Reporting(Around):
        """Another opening writes at one of the looks, which goes on only when the feed has dealt with that."""

        finds = 0
        looks_to_come = 0
        dealt = asyncio.Event()

        async def call(self, verb: Verb, send: Callable[[], Awaitable[T]]) -> T:
            if verb == "moved":
                self.looks_to_come -= 1
                if self.looks_to_come == 0:
                    self.dealt.set()
            if verb == "find":
                self.finds += 1
                if self.finds == at:
                    await s.state.set("text", "meanwhile")
                    await live(hold, "new", "ada", "new")
                    if at == 2:
                        self.looks_to_come = 2  # the first tells of the writes; when the next begins it was dealt with
                        await self.dealt.wait()
            return await send()

    s = await hold.sessions.create(id="s", user="ada")
    await s.state.set("text", "past")
    kernel = Reporting(await stores.kernel())
    watching = Holdfast.over(kernel, clock=stores.clock, ids=SeededIds(99))
    async with watching, watching.changes(user="ada") as changes:
        await s.state.set("text", "after")
        owed: list[tuple[str, str, object]] = [("s", "set", "after")]
        if at == 2:  # the stream had begun
            owed = [*life("new", "new"), ("s", "set", "meanwhile"), *owed]
        assert sorted(await take(changes, len(owed)), key=str) == sorted(owed, key=str)
        assert await is_silent(changes)


async def test_a_session_named_beside_the_user_is_followed_whosever_it_is(hold: Holdfast) -> None:
    """A scope that is named is followed as such: through every life."""
    bobs = await hold.sessions.create(id="bobs", user="bob")
    hers = await hold.sessions.create(id="hers", user="ada")
    async with hold.changes([Scope.session("bobs"), Scope.session("hers")], user="ada") as changes:
        await bobs.state.set("text", 1)
        await hers.state.set("text", 2)
        assert sorted(await take(changes, 2)) == [("bobs", "set", 1), ("hers", "set", 2)]
        await hold.sessions.delete("hers")
        await live(hold, "hers", "bob", "taken")
        assert await take(changes, 5) == [("hers", "delete", "hers"), *life("hers", "taken")]


async def test_a_resumed_stream_ends_each_session_that_is_over_and_goes_on_with_the_users_later_ones(
    hold: Holdfast,
) -> None:
    """The cursor's own life is told to its end; of the lives after it the user's."""
    s = await hold.sessions.create(id="x", user="ada")
    await hold.sessions.create(id="y", user="ada")
    cursors: dict[Scope, str] = {}
    async with hold.changes(user="ada", after="beginning") as changes:
        for _ in range(4):
            change = await asyncio.wait_for(anext(changes), 10)
            cursors[change.scope] = change.cursor
    await s.state.set("text", "rest")
    await hold.sessions.delete("x")
    for n, user in enumerate(("bob", "ada", "bob")):
        await live(hold, "x", user, f"{user}'s {n}")
    async with hold.changes(user="ada", after=cursors) as changes:
        assert await take(changes, 6) == [("x", "set", "rest"), ("x", "delete", "x"), *life("x", "ada's 1")]
        await live(hold, "x", "ada", "new")
        assert await take(changes, 4) == life("x", "new")
        assert await is_silent(changes)


async def test_a_member_goes_on_after_a_version_too(hold: Holdfast) -> None:
    s = await hold.sessions.create(id="x", user="ada")
    version = await s.state.set("text", 1)
    await s.state.set("text", 2)
    dropped = version + 2
    async with hold.changes(user="ada", after={Scope.session("x"): version}) as changes:
        assert await take(changes, 1) == [("x", "set", 2)]
        await hold.sessions.delete("x")
        assert await take(changes, 1) == [("x", "delete", "x")]
    await live(hold, "x", "bob", "his")
    await live(hold, "x", "ada", "hers")
    async with hold.changes(user="ada", after={Scope.session("x"): version}) as changes:
        assert await take(changes, 6) == [("x", "set", 2), ("x", "delete", "x"), *life("x", "hers")]
        assert await is_silent(changes)
    async with hold.changes(user="ada", after={Scope.session("x"): dropped}) as changes:
        assert await take(changes, 4) == life("x", "hers")
        assert await is_silent(changes)


HERS = life("x", "hers")  # two at 1, and one each at 2 and 3
NEW = life("x", "new")  # after Bob's, which is at 4 to 6, and 7 if it is over


@pytest.mark.parametrize("is_over", [False, True], ids=["present", "over"])
@pytest.mark.parametrize(
    ("kept", "after", "owed"),
    [
        (None, "beginning", HERS),
        (None, 0, HERS),
        (None, 1, HERS[2:]),
        (None, 2, HERS[3:]),
        (None, 3, []),
        (None, 4, []),
        (None, 5, []),
        (None, 6, []),
        (None, "now", []),
        (2, "beginning", []),  # what is left of her session does not show whose it is
        (2, 1, HERS[2:]),
        (2, 2, HERS[3:]),
        (3, 2, HERS[3:]),
        (4, 3, []),
        (4, "beginning", []),
        (4, 4, []),
    ],
)
async def test_a_place_in_a_session_that_changed_hands_shows_each_user_their_own(
    stores: Stores,
    hold: Holdfast,
    sure: Kernel,
    is_over: bool,
    kept: int | None,
    after: After,
    owed: list[tuple[str, str, object]],
) -> None:
    """Ada's session, then Bob's under the same id, `kept` from there on: of his nothing is told to her, wherever her
    stream resumes, and of hers all that follows the place. The cursors resume as exactly as the place."""
    writing = Holdfast.over(sure, clock=stores.clock, ids=SeededIds(99))
    await live(writing, "x", "ada", "hers")
    his = await writing.sessions.create(id="x", user="bob")
    await his.state.set("text", "his")
    await his.state.set("text", "his too")
    if is_over:
        await writing.sessions.delete("x")
    if kept is not None:
        count = (7 if is_over else 6) - kept + 1
        await sure.sweep(now_us=stores.clock.now_us(), retention=Retention(count=count))
    scope = Scope.session("x")
    async with hold.changes(user="ada", after={scope: after}) as changes:
        cursors = changes.cursors
        assert await take(changes, len(owed)) == owed
    if after != "now":
        async with hold.changes(user="ada", after=cursors) as changes:
            assert await take(changes, len(owed)) == owed
    async with hold.changes(user="ada", after={scope: after}) as changes:
        if not is_over:
            await his.state.set("text", "his last")
            await writing.sessions.delete("x")
        await live(writing, "x", "ada", "new")
        assert await take(changes, len(owed) + len(NEW)) == [*owed, *NEW]
        assert await is_silent(changes)


@pytest.mark.parametrize("is_over", [False, True], ids=["present", "over"])
async def test_a_cursor_of_anothers_session_shows_nothing_of_it(hold: Holdfast, is_over: bool) -> None:
    his = await hold.sessions.create(id="x", user="bob")
    async with hold.changes(user="bob", after="beginning") as changes:
        cursor = (await anext(changes)).cursor
    await his.state.set("text", "his")
    if is_over:
        await hold.sessions.delete("x")
    async with hold.changes(user="ada", after={Scope.session("x"): cursor}) as changes:
        if not is_over:
            await hold.sessions.delete("x")
        await live(hold, "x", "ada", "new")
        assert await take(changes, len(NEW)) == NEW
        assert await is_silent(changes)


async def test_a_trimmed_log_shows_what_is_left_of_a_session_that_lives_and_nothing_of_one_that_went(
    stores: Stores, hold: Holdfast, watching: Holdfast, held: Held
) -> None:
    """Who begins beyond the log's reach cannot be told; nobody else's record is taken for theirs."""
    async with watching.changes(user="ada") as changes:
        held.gate.clear()
        await live(hold, "gone", "ada", "short")
        await live(hold, "taken", "ada", "short")
        await hold.sessions.create(id="taken", user="bob")
        s = await hold.sessions.create(id="lives", user="ada")
        await s.state.set("text", 1)
        while True:
            try:
                await held.inside.sweep(now_us=stores.clock.now_us(), retention=Retention(count=1))
                break
            except HoldfastError:
                continue
        held.gate.set()
        assert await take(changes, 1) == [("lives", "set", 1)]
        assert await is_silent(changes)


async def test_a_stream_resumed_by_what_was_seen_shows_what_came_meanwhile_from_the_beginning(hold: Holdfast) -> None:
    """G13: of a session that was created during the cut nothing was seen, so nothing of it may be passed over."""
    s = await hold.sessions.create(id="s", user="ada")
    async with hold.changes(user="ada") as changes:
        await s.state.set("n", 1)
        seen = {change.scope: change.cursor for change in [await anext(changes)]}
    await live(hold, "brief", "ada", "x")
    new = await hold.sessions.create(id="new", user="ada")
    await new.state.set("n", 2)
    await s.state.set("n", 3)
    async with hold.changes(user="ada", after=seen) as changes:
        found = await take(changes, 4)
        assert await until_marked(changes, hold) == []
    assert sorted(found, key=str) == sorted([*begun("new"), ("new", "set", 2), ("s", "set", 3)], key=str)


async def test_the_cursors_of_a_stream_resume_it_exactly_whatever_was_seen_of_each_scope(hold: Holdfast) -> None:
    """G13: also in the middle of a commit, and of scopes of which nothing came yet."""
    quiet = await hold.sessions.create(id="quiet", user="ada")
    await quiet.state.set("old", 0)
    s = await hold.sessions.create(id="s", user="ada")
    changes = hold.changes(user="ada")
    assert changes.cursors == {}
    found = []
    async with changes:
        await s.state.update({"a": 1, "b": 2, "c": 3})
        found += await take(changes, 2)
        cursors = changes.cursors
    assert changes.cursors == cursors, "also after its end"
    await quiet.state.set("new", 4)
    async with hold.changes(user="ada", after=cursors) as changes:
        assert changes.cursors == cursors, "before anything was read"
        found += await take(changes, 2)
        assert await until_marked(changes, hold) == []
    assert sorted(found, key=str) == [("quiet", "set", 4), ("s", "set", 1), ("s", "set", 2), ("s", "set", 3)]


async def test_a_session_of_which_nothing_is_left_does_not_keep_a_stream_from_resuming(
    stores: Stores, hold: Holdfast
) -> None:
    old = await hold.sessions.create(id="old", user="ada")
    lasting = await hold.sessions.create(id="lasting", user="ada")
    async with hold.changes(user="ada") as changes:
        await old.state.set("n", 1)
        await lasting.state.set("n", 1)
        await take(changes, 2)
        cursors = changes.cursors
    await hold.sessions.delete("old")
    stores.clock.advance(40 * 24 * 3600)
    await lasting.state.set("n", 2)
    await hold.sweep()
    async with hold.changes(user="ada", after=cursors) as changes:
        assert await take(changes, 1) == [("lasting", "set", 2)]
