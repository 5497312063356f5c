"""Forks: a new session with the past of another, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from holdfast import AlreadyExists, Budget, Config, Holdfast, NotFound, RuntimeConfig, Session, SessionConfig, Usage
from holdfast.errors import Unavailable
from holdfast.kernel.commit import Commit, Outcome
from holdfast.kernel.contract import Kernel
from holdfast.wrappers.around import Around
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(
        id="s", user="ada", app="travel", mode="planner", task="Plan", tags=["vip"], metadata={"plan": "pro"},
        ttl="1d", budget=Budget(iterations=5),
    )  # fmt: skip


async def contents(s: Session) -> list[str]:
    return [one.content for one in await s.messages.list(limit=1000)]


async def test_a_fork_is_a_new_session_with_that_past(s: Session) -> None:
    await s.state.update({"cart": ["milk"], "n": 1})
    await s.runtime.set("step", 2)
    await s.temp.set("draft", 1)
    await s.area("mine").write({"k": b"\x00"})
    await s.messages.add_many([{"role": "user", "content": f"m{n}", "metadata": {"n": n}} for n in range(5)])
    await s.iterate(reserve=Usage(tokens=3))
    taken = await s.checkpoint()
    await s.state.set("n", 2)
    await s.messages.add("user", "later")
    await s.update(tags=["x"])
    fork = await s.fork(at=taken.id)
    assert (fork.user, fork.app, fork.mode, fork.task, fork.tags, fork.status) == (
        "ada", "travel", "planner", "Plan", ("vip",), "active",
    )  # fmt: skip
    origin = {"session": "s", "checkpoint": taken.id, "version": taken.version}
    assert fork.metadata == {"plan": "pro", "forked_from": origin}
    assert (fork.budget.iterations, fork.iterations) == (5, 0)
    assert fork.expires_at is not None
    assert (await fork.state.snapshot()).values == {"cart": ["milk"], "n": 1}
    assert await fork.runtime.all() == {"step": 2}
    assert await fork.temp.get("draft") == 1
    assert await fork.area("mine").get(["k"]) == {"k": b"\x00"}
    here = {one.id: one for one in await s.messages.list()}
    for told in await fork.messages.list():
        assert (told.content, told.at, told.metadata) == (
            here[told.id].content, here[told.id].at, here[told.id].metadata,
        )  # fmt: skip
    assert await contents(fork) == [f"m{n}" for n in range(5)]
    assert [(one.type, one.data) for one in (await fork.events()).items] == [("start", {"forked_from": origin})]
    assert await fork.checkpoints() == []


async def test_both_go_their_own_way(s: Session) -> None:
    await s.state.set("n", 1)
    await s.messages.add("user", "a")
    fork = await s.fork(id="other")
    assert fork.metadata["forked_from"]["checkpoint"] is None
    await fork.state.set("n", 2)
    await fork.messages.add("user", "b")
    await s.messages.add("user", "c")
    assert (await s.state.get("n"), await fork.state.get("n")) == (1, 2)
    assert (await contents(s), await contents(fork)) == (["a", "c"], ["a", "b"])
    deeper = await fork.fork()
    assert await contents(deeper) == ["a", "b"]
    assert deeper.metadata["forked_from"]["session"] == "other"


async def test_what_was_hidden_is_not_taken_over(s: Session) -> None:
    await s.messages.add("user", "a")
    first = await s.checkpoint()
    await s.messages.add("user", "b")
    undo = await s.restore(first.id)
    await s.messages.add("user", "c")
    assert await contents(await s.fork()) == ["a", "c"]
    assert await contents(await s.fork(at=undo.id)) == ["a", "b"]


async def test_one_that_has_ended_can_be_forked(s: Session) -> None:
    await s.state.set("n", 1)
    await s.complete("done")
    fork = await s.fork()
    assert (fork.status, fork.result, await fork.state.get("n")) == ("active", None, 1)


async def test_the_past_of_a_fork_is_in_its_log(s: Session) -> None:
    """Followers of the new session are told of all it begins with, and its history goes back to there."""
    await s.state.set("n", 1)
    await s.messages.add("user", "a")
    fork = await s.fork()
    version = fork.version
    await fork.state.set("n", 2)
    async with fork.changes(after="beginning") as changes:
        told = [await anext(changes) for _ in range(5)]
    assert [(one.kind, one.op) for one in told] == [
        ("session", "set"), ("event", "append"), ("state", "set"), ("message", "append"), ("state", "set"),
    ]  # fmt: skip
    assert await fork.at(version).state.get("n") == 1


async def test_runtime_state_that_waits_is_taken_over(stores: Stores) -> None:
    hold = await stores.open(config=Config(runtime=RuntimeConfig(persistence="checkpoint", checkpoint_every=100)))
    s = await hold.sessions.create(id="s")
    await s.runtime.set("step", 1)
    assert await (await s.fork()).runtime.all() == {"step": 1}


async def test_an_id_that_is_taken_is_refused(stores: Stores, hold: Holdfast, s: Session) -> None:
    await hold.sessions.create(id="there")
    with pytest.raises(AlreadyExists):
        await s.fork(id="there")
    await hold.sessions.create(id="old", ttl="1h")
    stores.clock.advance(3600)
    assert (await s.fork(id="old")).metadata["plan"] == "pro"
    with pytest.raises(NotFound):
        await s.fork(at="unknown")


async def test_a_fork_counts_among_the_sessions_of_its_user(stores: Stores) -> None:
    hold = await stores.open(config=Config(session=SessionConfig(max_per_user=2)))
    s = await hold.sessions.create(id="s", user="ada")
    first, second = await s.fork(), await s.fork()
    await s.refresh()
    assert (s.status, s.ended_reason) == ("cancelled", "max_per_user")
    open_ones = await hold.sessions.list(user="ada", status="active")
    assert {one.id for one in open_ones.items} == {first.id, second.id}


class Small(Around):
    """A kernel that takes commits of no more than so many operations."""

    def __init__(self, inside: Kernel, operations_max: int = 28) -> None:
        super().__init__(inside)
        self.traits = replace(inside.traits, operations_max=operations_max)


async def test_what_is_larger_than_a_commit_takes_several(stores: Stores) -> None:
    """Decision: it is filled before it is there, so nobody sees a part of it."""
    hold = Holdfast.over(Small(await stores.kernel(), 48), clock=stores.clock)
    s = await hold.sessions.create(id="s", user="ada")
    for start in range(0, 60, 30):
        await s.state.update({f"k{n:02}": n for n in range(start, start + 30)})
        await s.messages.add_many([{"role": "user", "content": f"m{n}"} for n in range(start, start + 30)])
    fork = await s.fork(id="f")
    assert fork.version == 3
    assert (await fork.state.snapshot()).values == (await s.state.snapshot()).values
    assert await contents(fork) == [f"m{n}" for n in range(60)]
    async with hold.changes(user="ada", after="beginning", kinds={"message"}) as changes:
        found = [(one.session, one.value["content"]) for one in [await anext(changes) for _ in range(120)]]
    assert [content for id, content in found if id == "f"] == [f"m{n}" for n in range(60)]
    await hold.close()


class Failing(Small):
    """One that takes so many commits of a fork and then none."""

    def __init__(self, inside: Kernel, after: int) -> None:
        super().__init__(inside)
        self.left = after

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        if any(part.scope == "session/f" for commit in commits for part in commit.scopes):
            self.left -= 1
            if self.left < 0:
                return [Unavailable("cut") for _ in commits]
        return await self.inside.commit(commits)


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_one_that_is_cut_short_is_never_seen_and_swept(tmp_path: Path, taken: int) -> None:
    """Wholly there or not at all, wherever it stopped."""
    stores = Stores("memory", tmp_path)
    hold = await stores.open()
    s = await hold.sessions.create(id="s", user="ada")
    await s.state.update({f"k{n:02}": n for n in range(60)})
    cut = Holdfast.over(Failing(await stores.plain(), taken), clock=stores.clock)
    same = await cut.sessions.get("s")
    assert same is not None
    with pytest.raises(Unavailable):
        await same.fork(id="f")
    assert await hold.sessions.get("f") is None
    assert [one.id for one in (await hold.sessions.list(user="ada")).items] == ["s"]
    assert [one.id for one in (await hold.sessions.list(expired=True)).items] == []
    stores.clock.advance(599)
    assert (await hold.sweep()).unfinished == 0
    stores.clock.advance(1)
    assert (await hold.sweep()).unfinished == (1 if taken else 0)
    assert await hold._store.kernel.scopes() == ("session/s",)
    assert (await s.fork(id="f")).id == "f"
    await cut.close()
    await stores.close()


async def test_one_that_is_being_made_is_erased_with_its_user(tmp_path: Path) -> None:
    """What it has of the user's is theirs already, though no session is there yet."""
    stores = Stores("memory", tmp_path)
    hold = await stores.open()
    s = await hold.sessions.create(id="s", user="ada")
    await s.state.update({f"k{n:02}": n for n in range(60)})
    cut = Holdfast.over(Failing(await stores.plain(), 1), clock=stores.clock)
    same = await cut.sessions.get("s")
    assert same is not None
    with pytest.raises(Unavailable):
        await same.fork(id="f")
    assert (await hold.erase(user="ada")).sessions == 2
    assert await hold._store.kernel.scopes() == ()
    assert {record.op for record in await hold._store.kernel.log("session/f", after=1)} == {"drop"}
    await cut.close()
    await stores.close()


async def test_one_that_was_given_up_cannot_be_finished(tmp_path: Path) -> None:
    """Whoever was slow, and not dead, is refused: no session appears of which a part is missing."""
    stores = Stores("memory", tmp_path)
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    await s.state.update({f"k{n:02}": n for n in range(60)})

    class Slow(Small):
        async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
            for commit in commits:
                if any(put.key == "alive" for part in commit.scopes for put in part.puts):
                    stores.clock.advance(3600)
                    assert (await hold.sweep()).unfinished == 1
            return await self.inside.commit(commits)

    slow = Holdfast.over(Slow(await stores.plain()), clock=stores.clock)
    same = await slow.sessions.get("s")
    assert same is not None
    with pytest.raises(NotFound):
        await same.fork(id="f")
    assert await hold.sessions.get("f") is None
    await slow.close()
    await stores.close()


async def test_its_runs_are_paused_under_ids_of_their_own(hold: Holdfast, s: Session) -> None:
    """Nobody takes up what goes on in the other session; resumed, a run is where it was then."""
    run = await s.runs.start("trip", nodes={"search": [], "pay": ["search"]}, input={"to": "KIX"})
    await run.progress("search", "completed", output=1)
    asked = []
    await run.step("price", lambda to: asked.append(to) or 900, "KIX")
    await s.variables.set("n", 1, level="run", run=run.id)
    await s.variables.set("n", 2, level="node", run=run.id, node="pay")
    taken = await s.checkpoint()
    await run.progress("pay", "completed")
    fork = await s.fork(at=taken.id)
    [copy] = (await fork.runs.list()).items
    assert copy.id != run.id
    assert (copy.session, copy.status, copy.pause_reason, copy.input) == (fork.id, "paused", "forked", {"to": "KIX"})
    assert (await fork.variables.get("n", run=copy.id), await s.variables.get("n", run=run.id)) == (1, 1)
    assert await fork.variables.get("n", run=copy.id, node="pay") == 2
    await copy.resume()
    assert copy.ready_nodes() == ["pay"]
    assert (await copy.step("price", lambda to: asked.append(to), "KIX"), asked) == (900, ["KIX"])
    assert copy.idempotency_key("book") != run.idempotency_key("book")  # the outside world is told of both
    await copy.progress("pay", "failed", error="x")
    assert (await run.refresh()).nodes["pay"].status == "completed"


async def test_what_waits_for_an_answer_asks_again_in_a_fork(hold: Holdfast, s: Session) -> None:
    """Questions stay behind: one answer is never taken for that to another's."""
    run = await s.runs.start("trip", nodes=["pay"])
    await run.progress("pay", "running")
    q = await run.ask("Pay?", node="pay")
    fork = await s.fork()
    [copy] = (await fork.runs.list()).items
    assert (copy.status, copy.pause_reason, copy.nodes["pay"].status) == ("paused", "forked", "ready")
    await copy.resume()
    assert copy.ready_nodes() == ["pay"]
    await copy.progress("pay", "running")
    assert (await copy.ask("Pay?", node="pay")).id != q.id
    assert [one.id for one in (await hold.interactions.pending(session="s")).items] == [q.id]


async def test_variables_for_a_run_that_there_is_not_yet_are_forked_as_they_are(s: Session) -> None:
    """They may be set before it starts, in the fork too."""
    await s.variables.set("city", "Nara", level="run", run="later")
    fork = await s.fork()
    run = await fork.runs.start("trip", id="later")
    assert await run.variables.get("city") == "Nara"


async def test_what_was_answered_is_asked_anew_in_a_fork(hold: Holdfast, s: Session) -> None:
    """What a person said, they said to the other one: a run that comes to it again asks again, and its nodes that are
    done are not done anew."""
    run = await s.runs.start("trip", nodes={"pay": [], "book": ["pay"]})
    q = await run.ask("Pay?", node="pay", key="pay")
    await hold.interactions.answer(q.id, "approved", by="bo")
    await run.refresh()
    await run.progress("pay", "completed", output="paid")
    asked = await run.ask("Really?", key="at the end")
    await hold.interactions.answer(asked.id, "approved", by="bo")
    [copy] = (await (await s.fork()).runs.list()).items
    assert await copy.interactions.history() == []
    await copy.resume()
    assert (copy.nodes["pay"].output, copy.ready_nodes()) == ("paid", ["book"])
    again = await copy.ask("Really?", key="at the end")
    assert (again.id != asked.id, again.status) == (True, "pending")
    assert [one.status for one in await run.interactions.history()] == ["answered", "answered"]


async def test_variables_of_a_run_that_there_is_not_are_taken_over_as_they_are(s: Session) -> None:
    await s.variables.set("n", 1, level="run", run="not started yet")
    await s.variables.set("n", 2, level="node", run="not started yet", node="pay")
    fork = await s.fork()
    assert await fork.variables.get("n", run="not started yet") == 1
    assert await fork.variables.get("n", run="not started yet", node="pay") == 2
