"""Checkpoints: taken at one moment, for what changed; listed, compared and dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from holdfast import Config, Holdfast, NotFound, RuntimeConfig, Scope, Session
from holdfast.errors import InvalidId
from holdfast.handles import checkpointing
from holdfast.handles.restoring import PARTS_MAX
from holdfast.kernel.commit import Commit, Outcome, Read, View
from holdfast.model.checkpoint import DEPTH_MAX
from holdfast.model.config import CacheConfig, ChangesConfig
from holdfast.model.patch import PatchOperation
from holdfast.services import checkpoint
from holdfast.services.checkpoint import LAST
from holdfast.wrappers.around import Around
from tests.unit.handles.canary import CANARY
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada", tags=["vip"], metadata={"plan": "pro"})


def pointed(patch: list[PatchOperation]) -> dict[str, object]:
    """A patch by its paths: what becomes of each, None for what is removed."""
    return {step.path: None if step.op == "remove" else step.value for step in patch}


async def test_a_checkpoint_keeps_what_there_is_under_a_label(hold: Holdfast, s: Session) -> None:
    await s.state.update({"cart": ["milk"], "n": 1})
    with hold.acting(by="bo"):
        taken = await s.checkpoint(label="before paying")
    assert (taken.label, taken.by, taken.scope, taken.whole) == ("before paying", "bo", Scope.session("s"), True)
    assert taken.cells == 3  # two values and the record
    assert taken.includes == ("session", "user")
    assert await s.checkpoints() == [taken] == await hold.checkpoints(Scope.session("s"))


async def test_the_next_one_keeps_what_was_written_since(s: Session) -> None:
    """What it costs follows what changed, not what there is."""
    await s.state.update({f"key{n}": n for n in range(40)})
    first = await s.checkpoint()
    await s.state.update({"key3": "x", "new": 1})
    await s.state.delete("key7")
    await s.messages.add("user", "hello")
    second = await s.checkpoint()
    assert (second.cells, second.whole) == (3, False)
    assert pointed(await s.diff(first.id, second.id)) == {"/state/key3": "x", "/state/key7": None, "/state/new": 1}
    assert pointed(await s.diff(second.id, first.id)) == {"/state/key3": 3, "/state/key7": 7, "/state/new": None}
    assert (await s.checkpoint()).cells == 0


async def test_of_every_thirty_two_one_has_everything(s: Session) -> None:
    taken = []
    for n in range(DEPTH_MAX + 3):
        await s.state.set("n", n)
        taken.append(await s.checkpoint())
    assert [n for n, one in enumerate(taken) if one.whole] == [0, DEPTH_MAX + 1]
    assert pointed(await s.diff(taken[DEPTH_MAX].id, taken[-1].id)) == {"/state/n": DEPTH_MAX + 2}
    assert pointed(await s.diff(taken[5].id)) == {"/state/n": DEPTH_MAX + 2}


async def test_where_the_log_was_trimmed_it_has_everything(stores: Stores) -> None:
    hold = await stores.open(config=Config(changes=ChangesConfig(retention_age=None, retention_count=1)))
    s = await hold.sessions.create(id="s")
    await s.state.update({"a": 1, "b": 2})
    await s.checkpoint()
    for n in range(3):
        await s.state.set("a", n)
    await hold.sweep()
    taken = await s.checkpoint()
    assert taken.whole
    assert taken.cells == 3


async def test_a_diff_shows_every_kind_of_value(s: Session) -> None:
    await s.state.set("trip", {"to": "Oslo", "days": 2})
    before = await s.checkpoint()
    await s.state.set("trip", {"to": "Oslo", "days": 3, "by": "train"})
    await s.temp.set("draft", 1)
    await s.runtime.set("step", 4)
    await s.area("mine").write({"k": b"\x00\xff"})
    await s.update(metadata={"plan": None}, tags=[])
    await s.user_state.set("name", "Ada")
    found = pointed(await s.diff(before.id))
    assert found.pop("/area").keys() == {"mine/k"}  # by its size and digest
    assert found == {
        "/runtime": {"step": 4},
        "/session/metadata/plan": None,
        "/session/tags": [],
        "/state/trip/by": "train",
        "/state/trip/days": 3,
        "/temp": {"draft": 1},
        "/user/state": {"name": "Ada"},
    }


async def test_a_patch_is_json_as_rfc_6902_has_it(s: Session) -> None:
    before = await s.checkpoint()
    await s.state.set("a/b", 1)
    assert msgspec.json.encode(await s.diff(before.id)) == b'[{"op":"add","path":"/state","value":{"a/b":1}}]'


async def test_runtime_state_that_waits_is_committed_with_a_checkpoint(stores: Stores) -> None:
    """Persistence "checkpoint": what was written is kept when `s.checkpoint()` returns."""
    hold = await stores.open(config=Config(runtime=RuntimeConfig(persistence="checkpoint", checkpoint_every=100)))
    s = await hold.sessions.create(id="s")
    await s.runtime.set("step", 1)
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    assert await other.runtime.all() == {}
    await s.checkpoint()
    assert await other.runtime.all() == {"step": 1}


async def test_a_checkpoint_is_of_one_moment_whoever_is_writing(stores: Stores) -> None:
    """Never an inconsistent mix: two keys that are always written together are alike in every checkpoint."""
    hold, other = await stores.open(), await stores.open()
    s = await hold.sessions.create(id="s")
    same = await other.sessions.get("s")
    assert same is not None
    await s.state.update({"a": 0, "z": 0, **{f"m{n}": n for n in range(60)}})
    done = asyncio.Event()

    async def write() -> None:
        n = 0
        while not done.is_set() and n < 500:
            n += 1
            await same.state.update({"a": n, "z": n})

    writing = asyncio.ensure_future(write())
    taken = [await s.checkpoint() for _ in range(6)]
    done.set()
    await writing
    await s.state.update({"a": -1, "z": -1})
    for one in taken:
        found = pointed(await s.diff(one.id))
        assert found == {"/state/a": -1, "/state/z": -1}
        back = pointed(await s.diff(taken[-1].id, one.id))
        assert back.get("/state/a") == back.get("/state/z")


async def test_two_that_are_taken_at_once_are_both_whole(stores: Stores) -> None:
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    await s.state.set("n", 1)
    taken = await asyncio.gather(*(s.checkpoint(label=f"c{n}") for n in range(4)))
    await s.state.set("n", 2)
    assert {one.label for one in await s.checkpoints()} == {"c0", "c1", "c2", "c3"}
    for one in taken:
        assert pointed(await s.diff(one.id)) == {"/state/n": 2}


async def test_what_is_larger_than_a_commit_is_taken_in_several(hold: Holdfast) -> None:
    """More than 4 MiB: the last commit shows it, and it is like any other."""
    s = await hold.sessions.create(id="s")
    for n in range(24):
        await s.state.set(f"k{n:02}", f"{n:02}" * 100_000)
    taken = await s.checkpoint()
    await s.state.set("k03", "short")
    assert taken.bytes > 4_800_000
    assert (await s.checkpoint()).cells == 1
    assert pointed(await s.diff(taken.id)) == {"/state/k03": "short"}


async def test_a_change_of_any_size_is_kept_whole(hold: Holdfast, s: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Around one piece, what a restore takes along, what one commit carries, and two of those: what is more than a
    commit carries rests on none."""
    monkeypatch.setattr(checkpoint, "PART_BYTES", 1000)
    monkeypatch.setattr(checkpointing, "CHUNK", 12)
    await s.state.set("v", "x" * 900)
    around_all = (await s.checkpoint()).bytes - 900
    await s.state.set("v", "y" * 900)
    around_one = (await s.checkpoint()).bytes - 900
    for parts in (1, PARTS_MAX, 12, 24):
        sides = set()
        around = around_one if parts <= 12 else around_all
        for more in (-3, 0, 1, 4):
            value = "z" * (parts * 1000 - around + more)
            await s.state.set("v", value)
            taken = await s.checkpoint()
            sides.add(taken.bytes > parts * 1000)
            assert taken.whole or taken.bytes <= 12_000
            await s.state.set("v", "")
            await s.restore(taken.id)
            assert await s.state.get("v") == value
            assert await (await s.fork(at=taken.id)).state.get("v") == value
        assert sides == {False, True}


async def test_any_scope_has_checkpoints(hold: Holdfast) -> None:
    for scope in (Scope.user("ada"), Scope.agent("helper"), Scope.global_("flags"), Scope.run("r")):
        with pytest.raises(NotFound):
            await hold.checkpoint(scope)
        state = hold.state(scope)
        await state.set("n", 1)
        first = await hold.checkpoint(scope, label="one")
        await state.update({"n": 2, "m": 3})
        undo = await hold.restore(first.id)
        assert (await state.snapshot()).values == {"n": 1}
        await hold.restore(undo.id)
        assert (await state.snapshot()).values == {"n": 2, "m": 3}
        assert len(await hold.checkpoints(scope)) == 3


async def test_a_dropped_one_is_gone_and_those_that_rest_on_it_stay_whole(hold: Holdfast, s: Session) -> None:
    taken = []
    for n in range(6):
        await s.state.update({"n": n, f"k{n}": n})
        taken.append(await s.checkpoint(label=f"c{n}"))
    for n in (0, 2, 3):
        await hold.drop_checkpoint(taken[n].id)
    assert [one.label for one in await s.checkpoints()] == ["c5", "c4", "c1"]
    assert pointed(await s.diff(taken[1].id)) == {"/state/n": 5, **{f"/state/k{n}": n for n in range(2, 6)}}
    assert pointed(await s.diff(taken[4].id)) == {"/state/n": 5, "/state/k5": 5}
    for gone in (taken[0].id, taken[2].id, "unknown"):
        with pytest.raises(NotFound):
            await s.restore(gone)
        with pytest.raises(NotFound):
            await hold.drop_checkpoint(gone)


async def test_when_the_last_is_dropped_nothing_is_left(hold: Holdfast, s: Session) -> None:
    taken = []
    for n in range(3):
        await s.state.set("n", n)
        taken.append(await s.checkpoint())
    for n in (0, 2, 1):
        await hold.drop_checkpoint(taken[n].id)
        assert len([key for key in await keys(hold) if key.startswith("checkpoint/")]) == (3, 2, 0)[(0, 2, 1).index(n)]
    assert [key for key in await keys(hold) if key.startswith("checkpoint")] == []
    assert (await s.checkpoint()).whole


async def test_the_next_rests_on_the_newest_that_is_left(hold: Holdfast, s: Session) -> None:
    await s.state.set("n", 0)
    first = await s.checkpoint()
    await s.state.set("n", 1)
    second = await s.checkpoint()
    await hold.drop_checkpoint(second.id)
    await s.state.set("m", 2)
    third = await s.checkpoint()
    assert (third.whole, third.cells) == (False, 2)
    assert pointed(await s.diff(first.id, third.id)) == {"/state/n": 1, "/state/m": 2}


async def test_checkpoints_go_with_their_session(hold: Holdfast, s: Session) -> None:
    taken = await s.checkpoint()
    await hold.sessions.delete("s")
    await hold.sessions.create(id="s", user="ada")
    assert await hold.checkpoints(Scope.session("s")) == []
    with pytest.raises(NotFound):
        await hold.restore(taken.id)
    with pytest.raises(NotFound):
        await s.checkpoint()


async def test_followers_hear_of_each(hold: Holdfast, s: Session) -> None:
    taken = await s.checkpoint(label="one")
    undo = await s.restore(taken.id)
    await hold.drop_checkpoint(taken.id)
    async with s.changes(after="beginning", kinds={"checkpoint"}) as changes:
        told = [await anext(changes) for _ in range(4)]
    assert [(one.key, one.op, one.value and one.value["restored"]) for one in told] == [
        (taken.id, "set", False),
        (undo.id, "set", False),
        (taken.id, "set", True),
        (taken.id, "delete", None),
    ]


async def test_nobody_elses_are_found_by_a_principal(hold: Holdfast, s: Session) -> None:
    taken = await s.checkpoint()
    user = await hold.checkpoint(Scope.user("ada")) if await s.user_state.set("a", 1) else None
    assert user is not None
    bo, ada = hold.as_principal(user="bo"), hold.as_principal(user="ada")
    for id in (taken.id, user.id, "unknown"):
        with pytest.raises(NotFound, match=f"there is no checkpoint {id}"):
            await bo.restore(id)
        with pytest.raises(NotFound):
            await bo.drop_checkpoint(id)
    for scope in (Scope.session("s"), Scope.user("ada")):
        with pytest.raises(NotFound):
            await bo.checkpoint(scope)
        with pytest.raises(NotFound):
            await bo.checkpoints(scope)
    assert [one.id for one in await ada.checkpoints(Scope.session("s"))] == [taken.id]
    await ada.restore(taken.id)
    await ada.drop_checkpoint(user.id)


async def test_no_old_answer_of_a_cache_gets_into_a_checkpoint(tmp_path: Path) -> None:
    """Where a cache is only bounded, what another process wrote a moment ago is there all the same."""
    stores = Stores("weakest", tmp_path)
    lazy = Config(cache=CacheConfig(ttl="1h"))
    here, there = await stores.open(), await stores.open(config=lazy)
    scope = Scope.user("ada")
    await here.state(scope).set("n", 0)
    await there.checkpoint(scope)
    for n in range(1, 4):
        seen = [await there.state(scope).get("n"), await there.state(scope).get("n")]
        await here.state(scope).update({"n": n, f"k{n}": n})
        assert await there.state(scope).get("n") == seen[1], "it is not remembered"
        taken = await there.checkpoint(scope)
        assert taken.cells == 2
        await here.state(scope).set("n", -1)
        await there.restore(taken.id)
        assert await here.state(scope).get("n") == n
        assert (await there.checkpoint(scope)).cells == 1  # what the restore wrote
    await stores.close()


async def test_nor_while_this_process_writes_elsewhere(tmp_path: Path) -> None:
    """What is read meanwhile is not remembered; what was remembered before is not taken for it."""
    stores = Stores("weakest", tmp_path)
    here, scope = await stores.open(), Scope.user("ada")

    class Elsewhere(Around):
        async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
            if LAST in reads[0].keys:
                await there.state(Scope.user("bo")).set("n", now_us)
            return await self.inside.read(reads, now_us=now_us)

    kernel = Elsewhere(await stores.kernel())
    there = Holdfast.over(kernel, config=Config(cache=CacheConfig(ttl="1h")), clock=stores.clock)
    await here.state(scope).set("n", 0)
    await there.checkpoint(scope)
    for n in range(1, 4):
        assert await there.state(scope).get("n") == 0
        await here.state(scope).set("n", n)
        assert (await there.checkpoint(scope)).cells == 1
        await here.state(scope).set("n", 0)
        await there.checkpoint(scope)
    await there.close()
    await stores.close()


async def test_what_is_kept_is_encrypted_like_anything_else(tmp_path: Path) -> None:
    """No value that a checkpoint keeps is in the clear, nor its label."""
    stores = Stores("encrypted", tmp_path)
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    await s.state.set("secret", CANARY)
    taken = await s.checkpoint(label=CANARY)
    await s.state.set("secret", "other")
    await s.restore(taken.id)
    assert await s.state.get("secret") == CANARY
    plain = await stores.plain()
    stored = [one.cell.value for one in await plain.stored("session/s")]
    assert any(b"checkpoint" in one.cell.key.encode() for one in await plain.stored("session/s"))
    assert not [value for value in stored if CANARY.encode() in value]
    assert not [record for record in await plain.log("session/s") if CANARY.encode() in record.body]
    await stores.close()


async def test_one_that_was_given_up_is_taken_anew(tmp_path: Path) -> None:
    """Whoever was slow, and not dead, is refused by what the sweep removed: no checkpoint lacks a part."""
    stores = Stores("memory", tmp_path)
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    for n in range(24):
        await s.state.set(f"k{n:02}", f"{n:02}" * 100_000)
    swept: list[int] = []

    class Slow(Around):
        async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
            last = [put for commit in commits for part in commit.scopes for put in part.puts if put.key == LAST]
            if last and not swept:
                stores.clock.advance(3600)
                swept.append((await hold.sweep()).unfinished)
            return await self.inside.commit(commits)

    slow = Holdfast.over(Slow(await stores.plain()), clock=stores.clock)
    same = await slow.sessions.get("s")
    assert same is not None
    taken = await same.checkpoint()
    assert swept == [1]
    assert [one.id for one in await s.checkpoints()] == [taken.id]
    await s.state.clear()
    await s.restore(taken.id)
    assert await s.state.get("k07") == "07" * 100_000
    await slow.close()
    await stores.close()


async def test_a_label_is_a_name(s: Session) -> None:
    for label in ("", "x" * 257, "a\nb"):
        with pytest.raises(InvalidId):
            await s.checkpoint(label=label)
    assert (await s.checkpoint(label="x" * 256)).label == "x" * 256


async def keys(hold: Holdfast) -> list[str]:
    """The keys of all cells of the session."""
    return [stored.cell.key for stored in await hold._store.kernel.stored("session/s")]
