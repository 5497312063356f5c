"""Every feature of the table of costs, as the calls that are counted.

Each feature is a function of a stage: a session `s1` of ada with three tags, twenty keys of state, one of them
`cart`, fifty messages and fifty events, and a second account. What a function does before it calls `stage.begin()` is
not counted.
"""

import contextlib
from collections.abc import Awaitable, Callable

import msgspec

from holdfast import (
    AtomicStep,
    CacheConfig,
    ChangesConfig,
    Config,
    Holdfast,
    Interaction,
    Run,
    RuntimeConfig,
    Scope,
    Session,
    SessionConfig,
    Usage,
)
from holdfast.backends.memory import MemoryKernel
from holdfast.testing.clock import ManualClock, SeededIds, settle
from tests.docs.counting import Count, CountingKernel

VALUE = "x" * 98
"""A text whose JSON has 100 bytes."""

Feature = Callable[["Stage"], Awaitable[object]]


class Stage:
    """What the features play on."""

    def __init__(self, hold: Holdfast, kernel: CountingKernel, session: Session) -> None:
        self.hold = hold
        self.s = session
        self._kernel = kernel

    def again(self, config: Config) -> Holdfast:
        """The same store as another process has it, with another configuration."""
        config = msgspec.structs.replace(config, cache=CacheConfig(enabled=False))
        return Holdfast.over(self._kernel, config=config, clock=ManualClock(), ids=SeededIds(1))

    async def batched(self) -> Session:
        """The same session in a process that batches runtime state; count from here."""
        hold = self.again(Config(runtime=RuntimeConfig(persistence="batched", batch_size=50)))
        session = await hold.sessions.get("s1")
        assert session is not None
        self.begin()
        return session

    def begin(self, count: Count | None = None) -> None:
        """Count from here, or on from what was counted."""
        self._kernel.count = Count() if count is None else count

    def stop(self) -> Count:
        """What was counted; what comes now is not."""
        counted, self._kernel.count = self._kernel.count, Count()
        return counted


async def cost_of(feature: Feature) -> Count:
    """What one feature costs on a stage of its own."""
    kernel = CountingKernel(MemoryKernel())
    config = Config(cache=CacheConfig(enabled=False))  # what a kernel is asked when nothing is remembered
    async with Holdfast.over(kernel, clock=ManualClock(), ids=SeededIds(), config=config) as hold:
        session = await hold.sessions.create(
            id="s1", user="ada", agent="guide", tags=["vip", "eu", "beta"], metadata={"plan": "pro"}
        )
        await session.state.update({"cart": ["milk"], **{f"key{i:02}": i for i in range(19)}})
        for i in range(5):
            await session.messages.add_many([{"role": "user", "content": f"message {i * 10 + j}"} for j in range(10)])
            async with session.transaction() as tx:
                for j in range(10):
                    await tx.log("noted", {"i": i * 10 + j})
        for i in range(3):
            await hold.sessions.create(id=f"other{i}", user="ada")
        await hold.state(Scope.user("bo")).set("balance", 10)
        stage = Stage(hold, kernel, session)
        stage.begin()
        await feature(stage)
        return kernel.count


FEATURES: dict[str, Feature] = {}


def feature(name: str) -> Callable[[Feature], Feature]:
    """Enter a function under the name of its row."""

    def enter(function: Feature) -> Feature:
        assert name not in FEATURES
        FEATURES[name] = function
        return function

    return enter


# --- sessions -------------------------------------------------------------------------------------


@feature("sessions.create, with user, app, mode and a tag")
async def _(stage: Stage) -> None:
    await stage.hold.sessions.create(id="new", user="ada", app="travel", mode="planner", tags=["vip"])


@feature("sessions.get")
async def _(stage: Stage) -> None:
    await stage.hold.sessions.get("s1")


@feature("sessions.open, the session exists")
async def _(stage: Stage) -> None:
    await stage.hold.sessions.open("s1", user="ada")


@feature("sessions.open, it does not")
async def _(stage: Stage) -> None:
    await stage.hold.sessions.open("new", user="ada")


@feature("sessions.list, one filter, a page of 3")
async def _(stage: Stage) -> None:
    await stage.hold.sessions.list(user="ada", limit=3)


@feature("sessions.list, two filters that meet once")
async def _(stage: Stage) -> None:
    await stage.hold.sessions.list(user="ada", tag="vip", limit=3)


@feature('sessions.list(order="recent", user=…), a page of 3')
async def _(stage: Stage) -> None:
    await stage.hold.sessions.list(user="ada", order="recent", limit=3)


@feature("sessions.create under max_per_user, and one makes way")
async def _(stage: Stage) -> None:
    hold = stage.again(Config(session=SessionConfig(max_per_user=4)))
    stage.begin()
    await hold.sessions.create(id="new", user="ada")


@feature("sessions.create under live_max, and one makes way")
async def _(stage: Stage) -> None:
    hold = stage.again(Config(session=SessionConfig(live_max=4)))
    stage.begin()
    await hold.sessions.create(id="new", user="ada")


@feature("s.update(tags=…), 3 tags")
async def _(stage: Stage) -> None:
    await stage.s.update(tags=["vip", "eu", "beta"])


@feature("s.pause, .resume, .cancel")
async def _(stage: Stage) -> None:
    await stage.s.pause()


@feature("s.complete, 100 bytes")
async def _(stage: Stage) -> None:
    await stage.s.complete(VALUE)


@feature("s.end, 1 temporary value and 2 of runtime state")
async def _(stage: Stage) -> None:
    await stage.s.temp.set("draft", 1)
    await stage.s.runtime.update({"step": 1, "of": 2})
    stage.begin()
    await stage.s.end()


@feature("s.extend")
async def _(stage: Stage) -> None:
    s = await stage.hold.sessions.create(id="new", ttl="1h")
    stage.begin()
    await s.extend("1h")


@feature("s.touch, and it makes no difference")
async def _(stage: Stage) -> None:
    await stage.s.touch()


@feature("s.refresh")
async def _(stage: Stage) -> None:
    await stage.s.refresh()


@feature("sessions.delete")
async def _(stage: Stage) -> None:
    await stage.hold.sessions.delete("s1")


@feature("s.context")
async def _(stage: Stage) -> None:
    await stage.s.context()


@feature("s.size")
async def _(stage: Stage) -> None:
    await stage.s.size()


@feature("sessions.create(template=…), 2 values of state")
async def _(stage: Stage) -> None:
    await stage.hold.sessions.templates.add("review", mode="code_review", state={"open": [], "done": []})
    stage.begin()
    await stage.hold.sessions.create(id="new", template="review")


@feature("sessions.templates.add")
async def _(stage: Stage) -> None:
    await stage.hold.sessions.templates.add("review", mode="code_review", tags=["ci"])


@feature("sessions.stats, 4 sessions")
async def _(stage: Stage) -> None:
    await stage.hold.sessions.stats()


@feature("sessions.stats(user=…), 4 of its sessions")
async def _(stage: Stage) -> None:
    await stage.hold.sessions.stats(user="ada")


@feature("await s.iterate(reserve=…)")
async def _(stage: Stage) -> None:
    await stage.s.iterate(reserve=Usage(tokens=4000))


@feature("async with s.iterate(reserve=…)")
async def _(stage: Stage) -> None:
    async with stage.s.iterate(reserve=Usage(tokens=4000)) as it:
        it.spent(tokens=3120)


@feature("s.log_tool_call")
async def _(stage: Stage) -> None:
    await stage.s.log_tool_call("search", arguments={"q": "ryokan"})


# --- state ----------------------------------------------------------------------------------------


@feature("state.get, .has")
async def _(stage: Stage) -> None:
    await stage.s.state.get("cart")


@feature("state.set, 100 bytes")
async def _(stage: Stage) -> None:
    await stage.s.state.set("key00", VALUE)


@feature("state.set, 100 bytes, keys only in the log")
async def _(stage: Stage) -> None:
    hold = stage.again(Config(changes=ChangesConfig(values="keys")))
    session = await hold.sessions.get("s1")
    assert session is not None
    await session.state.set("other", 1)
    stage.begin()
    await session.state.set("cart", VALUE)


@feature("state.set, 100 bytes, the first write in a minute")
async def _(stage: Stage) -> None:
    s = await stage.again(Config()).sessions.get("s1")
    assert s is not None
    stage.begin()
    await s.state.set("new", VALUE)


@feature("state.set(if_version=…)")
async def _(stage: Stage) -> None:
    version = await stage.s.state.set("key00", 1)
    stage.begin()
    await stage.s.state.set("key00", VALUE, if_version=version)


@feature("state.update, 5 keys of 100 bytes")
async def _(stage: Stage) -> None:
    await stage.s.state.update({f"key{i:02}": VALUE for i in range(5)})


@feature("state.mutate, .merge")
async def _(stage: Stage) -> None:
    await stage.s.state.mutate("key00", lambda _: VALUE)


@feature("state.delete, 2 keys")
async def _(stage: Stage) -> None:
    await stage.s.state.delete("key00", "key01")


@feature("state.clear, 20 keys")
async def _(stage: Stage) -> None:
    await stage.s.state.clear()


@feature("state.snapshot, .keys, 20 keys")
async def _(stage: Stage) -> None:
    await stage.s.state.snapshot()


@feature("state.history, 500 records at once")
async def _(stage: Stage) -> None:
    await stage.s.state.history("cart")


@feature("state.why, 500 records at once")
async def _(stage: Stage) -> None:
    await stage.s.state.why("cart")


@feature("s.at(version).state.get, 500 records at once, written since")
async def _(stage: Stage) -> None:
    version = await stage.s.state.set("key00", VALUE)
    await stage.s.state.set("key00", 2)
    stage.begin()
    await stage.s.at(version).state.get("key00")


@feature("s.at(version).state.get, not written since")
async def _(stage: Stage) -> None:
    await stage.s.at(stage.s.version + 2).state.get("cart")


@feature("state.diff, 500 records at once")
async def _(stage: Stage) -> None:
    await stage.s.state.diff(since=2)


@feature("user_state.set, agent_state.set, hold.state(…).set")
async def _(stage: Stage) -> None:
    await stage.s.user_state.set("key00", VALUE)


@feature("temp.set")
async def _(stage: Stage) -> None:
    await stage.s.temp.set("key00", VALUE)


@feature("hold.state_many, 3 scopes")
async def _(stage: Stage) -> None:
    await stage.hold.state_many([Scope.session("s1"), Scope.user("ada"), Scope.user("bo")])


@feature("hold.set_many, 3 scopes, 100 bytes each")
async def _(stage: Stage) -> None:
    scopes = [Scope.session("s1"), Scope.user("ada"), Scope.user("bo")]
    await stage.hold.set_many({scope: {"key00": VALUE} for scope in scopes})


@feature("as_principal: sessions.get")
async def _(stage: Stage) -> None:
    await stage.hold.as_principal(user="ada").sessions.get("s1")


@feature("as_principal: state.set in a session named by its id, the first time")
async def _(stage: Stage) -> None:
    await stage.hold.as_principal(user="ada").state(Scope.session("s1")).set("key00", VALUE)


# --- messages, events, runtime --------------------------------------------------------------------


@feature("messages.add, 100 bytes")
async def _(stage: Stage) -> None:
    await stage.s.messages.add("user", VALUE)


@feature("messages.add_many, 10 of 100 bytes")
async def _(stage: Stage) -> None:
    await stage.s.messages.add_many([{"role": "user", "content": VALUE}] * 10)


@feature("messages.last(10), .list(limit=10)")
async def _(stage: Stage) -> None:
    await stage.s.messages.last(10)


@feature("s.log")
async def _(stage: Stage) -> None:
    await stage.s.log("noted", {"text": VALUE})


@feature("s.events(limit=10)")
async def _(stage: Stage) -> None:
    await stage.s.events(limit=10)


@feature("s.events(types=…), 500 events at once")
async def _(stage: Stage) -> None:
    await stage.s.events(types={"lost"}, limit=10)


@feature("area.write, 2 keys of 100 bytes")
async def _(stage: Stage) -> None:
    await stage.s.area("mine").write({f"key{n}": VALUE.encode() for n in range(2)})


@feature("area.version")
async def _(stage: Stage) -> None:
    await stage.s.area("mine").version()


@feature("area.get, 2 keys")
async def _(stage: Stage) -> None:
    await stage.s.area("mine").get(["key0", "key1"])


@feature("area.page")
async def _(stage: Stage) -> None:
    await stage.s.area("mine").page("key")


# --- variables ------------------------------------------------------------------------------------


@feature("variables.set, 100 bytes, of a run")
async def _(stage: Stage) -> None:
    await stage.s.variables.set("city", VALUE, level="run", run="r1")


@feature("variables.get, nearest of session, user and global")
async def _(stage: Stage) -> None:
    await stage.s.variables.set("city", VALUE)
    stage.begin()
    await stage.s.variables.get("city")


@feature("variables.resolve, 3 variables, 1 key of state")
async def _(stage: Stage) -> None:
    await stage.s.variables.set_many({"a": 1, "b": 2, "c": 3})
    stage.begin()
    await stage.s.variables.resolve("{{ a }} {{ b }} {{ c }} {{ $flow.state.cart }}", run="r1")


@feature("variables.list, 3 variables")
async def _(stage: Stage) -> None:
    await stage.s.variables.set_many({"a": 1, "b": 2, "c": 3})
    stage.begin()
    await stage.s.variables.list()


@feature("variables.clear, 3 variables")
async def _(stage: Stage) -> None:
    await stage.s.variables.set_many({"a": 1, "b": 2, "c": 3})
    stage.begin()
    await stage.s.variables.clear()


# --- questions ------------------------------------------------------------------------------------


async def question(stage: Stage) -> Interaction:
    run = await stage.s.runs.start("trip", id="r1", nodes=["pay"])
    await run.progress("pay", "running")
    stage.begin()
    return await run.ask(VALUE, node="pay", assignees=["bo"], timeout="2h")


@feature("run.ask, for one person, with a timeout")
async def _(stage: Stage) -> None:
    await question(stage)


@feature("interactions.answer, of which the run is paused")
async def _(stage: Stage) -> None:
    asked = await question(stage)
    stage.begin()
    await stage.hold.interactions.answer(asked.id, "approved", by="bo")


@feature("interactions.pending, one of one person")
async def _(stage: Stage) -> None:
    await question(stage)
    stage.begin()
    await stage.hold.interactions.pending(assignee="bo")


@feature("question.wait, answered already")
async def _(stage: Stage) -> None:
    asked = await question(stage)
    await stage.hold.interactions.answer(asked.id, "approved", by="bo")
    stage.begin()
    await asked.wait()


@feature("runtime.set, 100 bytes")
async def _(stage: Stage) -> None:
    await stage.s.runtime.set("step", VALUE)


@feature("runtime.set, 100 bytes, while a batch takes in")
async def _(stage: Stage) -> None:
    await (await stage.batched()).runtime.set("step", VALUE)


@feature("runtime.flush, 50 writes of 5 keys")
async def _(stage: Stage) -> None:
    session = await stage.batched()
    for n in range(50):
        await session.runtime.set(f"step{n % 5}", VALUE)
    await session.runtime.flush()


@feature("state.set that carries 10 batched writes of 5 keys")
async def _(stage: Stage) -> None:
    session = await stage.batched()
    for n in range(10):
        await session.runtime.set(f"step{n % 5}", VALUE)
    await session.state.set("key00", VALUE)


@feature("runtime.get")
async def _(stage: Stage) -> None:
    await stage.s.runtime.get("step")


# --- transactions ---------------------------------------------------------------------------------


@feature("s.claim, free: to take it and give it back")
async def _(stage: Stage) -> None:
    async with stage.s.claim():
        pass


@feature("s.turn: 2 messages of 100 bytes, 2 keys, an output")
async def _(stage: Stage) -> None:
    async with stage.s.turn(request_id="req-17") as turn:
        await turn.messages.add("user", VALUE)
        await turn.state.set("a", VALUE)
        await turn.state.set("b", VALUE)
        await turn.messages.add("assistant", VALUE)
        turn.output = VALUE


@feature("turn.step, 100 bytes")
async def _(stage: Stage) -> None:
    async with stage.s.turn(request_id="req-17") as turn:
        stage.begin()
        await turn.step("price", lambda: VALUE)
        counted = stage.stop()
    stage.begin(counted)


@feature("s.turn, a request that was answered before")
async def _(stage: Stage) -> None:
    async with stage.s.turn(request_id="req-17") as turn:
        turn.output = VALUE
    stage.begin()
    async with stage.s.turn(request_id="req-17") as turn:
        assert turn.replayed


async def _run(stage: Stage) -> Run:
    """A run of a hundred nodes, of which ten are done; count from here."""
    run = await stage.s.runs.start("agent", id="r", nodes=[f"n{n:02}" for n in range(100)])
    await run.progress({f"n{n:02}": {"status": "completed", "output": n} for n in range(10)})
    stage.begin()
    return run


@feature("runs.start, 3 nodes")
async def _(stage: Stage) -> None:
    await stage.s.runs.start("agent", nodes={"search": [], "pay": ["search"], "tell": ["pay"]})


@feature("hold.runs.get, 100 nodes, 10 of them done")
async def _(stage: Stage) -> None:
    await _run(stage)
    await stage.hold.runs.get("r")


@feature("hold.runs.list, one filter, a page of 1")
async def _(stage: Stage) -> None:
    await _run(stage)
    await stage.hold.runs.list(status="running")


@feature("run.progress, an output of 100 bytes")
async def _(stage: Stage) -> None:
    await (await _run(stage)).progress("n50", "completed", output=VALUE)


@feature("run.node: a key of 100 bytes and an output")
async def _(stage: Stage) -> None:
    async with (await _run(stage)).node("n50") as node:
        await node.state.set("a", VALUE)
        node.output = VALUE


@feature("run.step, 100 bytes, for the first time")
async def _(stage: Stage) -> None:
    await (await _run(stage)).step("price", lambda: VALUE)


@feature("run.step, a remembered one")
async def _(stage: Stage) -> None:
    await (await _run(stage)).step("price", lambda: VALUE)
    again = await stage.hold.runs.get("r")
    assert again is not None
    stage.begin()
    await again.step("price", lambda: VALUE)


@feature("run.atomic: get and set a key")
async def _(stage: Stage) -> None:
    async def change(step: AtomicStep) -> None:
        await step.state.set("cart", [*await step.state.get("cart", list[str], default=[]), "eggs"])

    await (await _run(stage)).atomic("change", change)


@feature("run.claim, free and just seen: to take it, and give it back")
async def _(stage: Stage) -> None:
    async with (await _run(stage)).claim():
        pass


@feature("run.claim, free: to take it, look at 100 nodes, and give it back")
async def _(stage: Stage) -> None:
    run = await _run(stage)
    await stage.s.state.set("cart", VALUE)
    stage.begin()
    async with run.claim():
        pass


@feature("run.resume, just seen")
async def _(stage: Stage) -> None:
    run = await (await _run(stage)).pause()
    stage.begin()
    await run.resume()


@feature("hold.runs.recoverable, one that nobody holds")
async def _(stage: Stage) -> None:
    await _run(stage)
    assert [run.id async for run in stage.hold.runs.recoverable()] == ["r"]


@feature("s.checkpoint, the first: 21 cells")
async def _(stage: Stage) -> None:
    await stage.s.checkpoint()


@feature("s.checkpoint, 3 values of 100 bytes were written since")
async def _(stage: Stage) -> None:
    await stage.s.checkpoint()
    await stage.s.state.update({"cart": VALUE, "key01": VALUE, "new": VALUE})
    stage.begin()
    await stage.s.checkpoint()


@feature("s.checkpoints, 3 of them")
async def _(stage: Stage) -> None:
    for _ in range(3):
        await stage.s.checkpoint()
    stage.begin()
    await stage.s.checkpoints()


@feature("s.diff(id), to what there is now")
async def _(stage: Stage) -> None:
    taken = await stage.s.checkpoint()
    await stage.s.state.set("cart", VALUE)
    stage.begin()
    await stage.s.diff(taken.id)


@feature("s.restore, 2 values differ and a message came")
async def _(stage: Stage) -> None:
    taken = await stage.s.checkpoint()
    await stage.s.state.update({"cart": VALUE, "new": VALUE})
    await stage.s.messages.add("user", "more")
    stage.begin()
    await stage.s.restore(taken.id)


@feature("s.fork, 20 values and 50 messages")
async def _(stage: Stage) -> None:
    await stage.s.fork()


@feature("hold.drop_checkpoint, the newest of 2")
async def _(stage: Stage) -> None:
    await stage.s.checkpoint()
    newest = await stage.s.checkpoint()
    stage.begin()
    await stage.hold.drop_checkpoint(newest.id)


@feature("s.emit")
async def _(stage: Stage) -> None:
    await stage.s.emit("token", "Your")


@feature("a transaction: get, set, messages.add")
async def _(stage: Stage) -> None:
    async with stage.s.transaction() as tx:
        await tx.state.get("cart")
        await tx.state.set("cart", VALUE)
        await tx.messages.add("user", VALUE)


@feature("a transaction that only reads one key")
async def _(stage: Stage) -> None:
    async with stage.s.transaction() as tx:
        await tx.state.get("cart")


@feature("a transfer between two scopes: get and set in each")
async def _(stage: Stage) -> None:
    async with stage.hold.transaction() as tx:
        for scope in (Scope.session("s1"), Scope.user("bo")):
            await tx.state(scope).get("balance")
            await tx.state(scope).set("balance", 5)


@feature("a transaction that lists messages and adds one")
async def _(stage: Stage) -> None:
    async with stage.s.transaction() as tx:
        await tx.messages.list(limit=10)
        await tx.messages.add("user", VALUE)


# --- changes, upkeep ------------------------------------------------------------------------------


@feature('s.changes(after="now"): to begin')
async def _(stage: Stage) -> None:
    async with stage.s.changes():
        pass


@feature("changes.read, of a change without its value")
async def _(stage: Stage) -> None:
    session = await stage.again(Config(changes=ChangesConfig(values="keys"))).sessions.get("s1")
    assert session is not None
    async with session.changes() as changes:
        await session.state.set("cart", VALUE)
        change = await anext(changes)
    stage.begin()
    assert await changes.read(change) == VALUE


@feature("s.changes(after=cursor): to begin, and 1 change missed")
async def _(stage: Stage) -> None:
    async with stage.s.changes() as changes:
        await stage.s.state.set("key00", 1)
        cursor = (await anext(changes)).cursor
    await stage.s.state.set("key00", 2)
    stage.begin()
    async with stage.s.changes(after=cursor) as changes:
        assert (await anext(changes)).value == 2


@feature("one state.set delivered to 100 followers")
async def _(stage: Stage) -> None:
    async with contextlib.AsyncExitStack() as stack:
        followers = [await stack.enter_async_context(stage.s.changes()) for _ in range(100)]
        for value in ("first, which each follower reads for itself", VALUE):
            await settle()
            stage.begin()
            await stage.s.state.set("key00", value)
            for follower in followers:
                assert (await anext(follower)).value == value


@feature("hold.sweep, nothing left over")
async def _(stage: Stage) -> None:
    await stage.hold.sweep()


@feature("hold.erase, a user of 4 sessions")
async def _(stage: Stage) -> None:
    await stage.hold.erase(user="ada")


@feature("hold.erase, a user of whom there is nothing")
async def _(stage: Stage) -> None:
    await stage.hold.erase(user="cy")


@feature("hold.stats")
async def _(stage: Stage) -> None:
    await stage.hold.stats()
