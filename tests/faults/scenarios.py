"""Every public operation once: what it needs, what it does. It happens or it does not.

Each is one commit at most, but for those that hold the session: a turn keeps its claim and its finished steps by
commits of their own, and what it writes is one commit. Of these, what a caller was promised is looked at (`visible`).
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from holdfast import Config, Holdfast, Scope
from holdfast.handles.session import Session
from holdfast.kernel.commit import Range, Read
from holdfast.kernel.contract import Kernel
from holdfast.model.config import ChangesConfig
from holdfast.testing.clock import EPOCH_US, SeededIds

CONFIG = Config(changes=ChangesConfig(retention_age=None))


class Still:
    """A clock whose wall stands still, so that the same operation writes the same bytes whenever it runs."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.sleep = sleep

    def now_us(self) -> int:
        return EPOCH_US

    def monotonic_s(self) -> float:
        return 0.0


class Steady(SeededIds):
    """Ids that do not depend on how often somebody had to try again."""

    def random(self) -> float:
        return 0.5


class Stage(NamedTuple):
    """What an operation finds: an opened store with some content, and a handle of its session."""

    hold: Holdfast
    session: Session


Act = Callable[[Stage], Awaitable[Any]]


def opened(kernel: Kernel, sleep: Callable[[float], Awaitable[None]]) -> Holdfast:
    return Holdfast.over(kernel, clock=Still(sleep), ids=Steady(3), config=CONFIG)


async def set_up(hold: Holdfast) -> Stage:
    """The content that every operation finds."""
    await hold.sessions.create(id="other", user="ada", tags=["x"])
    session = await hold.sessions.create(id="s", user="ada", agent="bot", tags=["x", "y"], metadata={"k": 1})
    await session.state.update({"a": 1, "b": [1], "m": {"x": 1}})
    await session.messages.add_many([{"role": "user", "content": str(n)} for n in range(3)])
    await session.log("began", {"n": 1})
    await session.runtime.set("step", 1)
    await session.user_state.set("name", "Ada")
    await hold.sessions.templates.add("known", task="t")
    await (await hold.sessions.create(id="asleep")).pause()
    return Stage(hold, session)


async def visible(kernel: Kernel, act: Act) -> dict[str, Any]:
    """All that the store shows: every scope's cells, and what its log says was done.

    After an operation that holds the session, only what was done in it: neither who holds it, nor finished steps, nor
    the numbers of versions, which the commits of the claim use up.
    """
    shown: dict[str, Any] = {}
    for scope in await kernel.scopes():
        (view,) = await kernel.read([Read(scope, (), (Range("", 1000),))], now_us=EPOCH_US)
        records = await kernel.log(scope)
        if act in HOLDING:
            if not scope.startswith("beat/"):
                cells = {cell.key: cell.value for cell in view.ranges[0] if not _of_holding(cell.key)}
                shown[scope] = cells, [record.body for record in records if record.body]
            continue
        shown[scope] = (
            {cell.key: (cell.value, cell.version) for cell in view.ranges[0]},
            [(record.seq, record.touched, record.body) for record in records],
        )
    return shown


def _of_holding(key: str) -> bool:
    return key == "claim" or key.startswith("ticket") or "/step/" in key


async def transaction(stage: Stage) -> None:
    async with stage.session.transaction() as tx:
        a = await tx.state.get("a", int)
        await tx.state.keys()
        await tx.state.set("a", a + 1)
        await tx.messages.add("assistant", "more")
        await tx.log("counted", {"a": a + 1})
        await tx.runtime.set("step", 2)
        await tx.update(metadata={"k": 2})


async def wide_transaction(stage: Stage) -> None:
    async with stage.hold.transaction() as tx:
        name = await tx.state(Scope.user("ada")).get("name")
        await tx.state(Scope.global_("g")).set("seen", name)
        await tx.session("s").messages.add("user", "hello")
        await tx.sessions.create(id="new", user="bo")
        await tx.sessions.delete("other")


async def transact(stage: Stage) -> None:
    async def body(tx):
        await tx.state.set("a", await tx.state.get("a", int) + 1)

    await stage.session.transact(body)


async def iterate(stage: Stage) -> None:
    assert [found.id async for found in stage.hold.sessions.iterate(limit=1, user="ada")] == ["s", "other"]


async def follow(stage: Stage) -> None:
    async with stage.session.changes(after="beginning") as changes:
        assert [(await anext(changes)).seq for _ in range(3)] == [1, 1, 2]


async def follow_user(stage: Stage) -> None:
    async with stage.hold.changes(user="ada", after="beginning") as changes:
        assert {(await anext(changes)).kind for _ in range(5)} <= {"session", "event", "state"}


async def follow_live(stage: Stage) -> None:
    async with stage.session.changes() as changes:
        await stage.session.state.set("a", 2)
        assert (await anext(changes)).value == 2


async def turn(stage: Stage) -> None:
    async with stage.session.turn(request_id="r") as turn:
        await turn.state.set("a", await turn.step("two", lambda: 2))
        await turn.messages.add("assistant", "two")
        turn.output = 2


async def claim(stage: Stage) -> None:
    async with stage.session.claim(worker="w"):
        await stage.session.state.set("a", 2)


async def iteration(stage: Stage) -> None:
    await stage.session.iterate(data={"phase": 1})


async def work(stage: Stage) -> None:
    """Its beginning; its end is `session.complete`."""
    await stage.hold.sessions.work("t", id="new").__aenter__()


async def resume(stage: Stage) -> None:
    asleep = await stage.hold.sessions.get("asleep")
    assert asleep is not None
    await asleep.resume()


HOLDING: set[Act] = {turn, claim}

ACTS: dict[str, Act] = {
    "sessions.create": lambda at: at.hold.sessions.create(id="new", user="bo", tags=["z"]),
    "sessions.create again": lambda at: at.hold.sessions.create(id="s", on_exists="return"),
    "sessions.get": lambda at: at.hold.sessions.get("s"),
    "sessions.open known": lambda at: at.hold.sessions.open("s", user="ada"),
    "sessions.open new": lambda at: at.hold.sessions.open("new", user="ada"),
    "sessions.list": lambda at: at.hold.sessions.list(user="ada", tag="x", limit=1),
    "sessions.iterate": iterate,
    "sessions.update": lambda at: at.hold.sessions.update("s", metadata={"k": 2}, tags=["z"]),
    "sessions.delete": lambda at: at.hold.sessions.delete("s"),
    "sessions.stats": lambda at: at.hold.sessions.stats(),
    "sessions.work": work,
    "templates.add": lambda at: at.hold.sessions.templates.add("new", mode="m"),
    "templates.list": lambda at: at.hold.sessions.templates.list(),
    "templates.remove": lambda at: at.hold.sessions.templates.remove("known"),
    "session.refresh": lambda at: at.session.refresh(),
    "session.update": lambda at: at.session.update(metadata={"k": 3}),
    "session.log": lambda at: at.session.log("noted", [1]),
    "session.events": lambda at: at.session.events(types={"began"}),
    "session.transaction": transaction,
    "session.transact": transact,
    "session.turn": turn,
    "session.claim": claim,
    "session.iterate": iteration,
    "session.pause": lambda at: at.session.pause("x"),
    "session.resume": resume,
    "session.complete": lambda at: at.session.complete({"r": 1}),
    "session.fail": lambda at: at.session.fail("e"),
    "session.cancel": lambda at: at.session.cancel("e"),
    "session.end": lambda at: at.session.end(),
    "session.extend": lambda at: at.session.extend("1h"),
    "session.touch": lambda at: at.session.touch(),
    "session.emit": lambda at: at.session.emit("k", 1),
    "session.log_tool_call": lambda at: at.session.log_tool_call("search"),
    "session.log_learning": lambda at: at.session.log_learning("x"),
    "session.context": lambda at: at.session.context(),
    "session.size": lambda at: at.session.size(),
    "session.why": lambda at: at.session.why("a"),
    "session.at": lambda at: at.session.at(2).state.get("a"),
    "area.write": lambda at: at.session.area("z").write({"k": b"1"}),
    "area.page": lambda at: at.session.area("z").page(),
    "session.changes": follow,
    "session.changes live": follow_live,
    "state.get": lambda at: at.session.state.get("a", int),
    "state.set": lambda at: at.session.state.set("a", 2),
    "state.set if_version": lambda at: at.session.state.set("new", 2, if_version=0),
    "state.mutate": lambda at: at.session.state.mutate("b", lambda b: [*b, 2], list[int]),
    "state.update": lambda at: at.session.state.update({"a": 2, "c": 3}),
    "state.merge": lambda at: at.session.state.merge("m", {"y": 2}),
    "state.delete": lambda at: at.session.state.delete("a", "absent"),
    "state.clear": lambda at: at.session.state.clear(),
    "state.has": lambda at: at.session.state.has("a"),
    "state.keys": lambda at: at.session.state.keys(),
    "state.snapshot": lambda at: at.session.state.snapshot(),
    "state.history": lambda at: at.session.state.history("a"),
    "temp.set": lambda at: at.session.temp.set("t", 1),
    "user_state.set": lambda at: at.session.user_state.set("name", "Bo"),
    "agent_state.set": lambda at: at.session.agent_state.set("new", 1),
    "runtime.update": lambda at: at.session.runtime.update({"step": 2, "more": 3}),
    "runtime.all": lambda at: at.session.runtime.all(),
    "runtime.clear": lambda at: at.session.runtime.clear(),
    "messages.add": lambda at: at.session.messages.add("user", "hi", metadata={"k": 1}),
    "messages.add_many": lambda at: at.session.messages.add_many([{"role": "user", "content": "1"}] * 2),
    "messages.list": lambda at: at.session.messages.list(limit=2),
    "messages.last": lambda at: at.session.messages.last(2),
    "hold.transaction": wide_transaction,
    "hold.state_many": lambda at: at.hold.state_many([Scope.user("ada"), Scope.session("s")]),
    "hold.set_many": lambda at: at.hold.set_many({Scope.user("ada"): {"a": 1}, Scope.global_("g"): {"b": 2}}),
    "hold.changes of a user": follow_user,
    "hold.sweep": lambda at: at.hold.sweep(),
    "hold.stats": lambda at: at.hold.stats(),
}

LIKE_OTHERS = {
    *("sessions.stats", "sessions.work", "templates.add", "templates.list", "templates.remove", "session.pause"),
    *("session.resume", "session.fail", "session.cancel", "session.extend", "session.touch", "session.emit"),
    *("session.log_tool_call", "session.log_learning", "session.context", "session.size", "session.why", "session.at"),
    *("area.write", "area.page"),
    *("sessions.create again", "sessions.open known", "session.update", "session.log", "session.events", "session.end"),
    *("session.complete", "state.set if_version", "state.update", "state.merge", "state.has", "state.delete"),
    *("temp.set", "user_state.set", "agent_state.set", "runtime.all", "messages.add_many", "messages.list"),
    *("session.transact", "hold.state_many"),
}
"""What calls a kernel as another one does: where a kernel is slow to open, they are left for a soak."""
