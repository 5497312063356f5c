"""The public surface as a type checker sees it. Read by mypy in test_usage.py; nothing of it is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, assert_type

import msgspec

from holdfast import (
    Budget,
    Change,
    Changes,
    Context,
    Event,
    History,
    Holdfast,
    Message,
    Page,
    Progress,
    Scope,
    Session,
    SessionStats,
    SessionStatus,
    SessionTransaction,
    Snapshot,
    State,
    Template,
    Transaction,
    Usage,
)
from holdfast.handles.iteration import Iteration
from holdfast.handles.surface import SessionSurface


class Item(msgspec.Struct):
    name: str


class Prefs(TypedDict):
    language: str


async def opening() -> None:
    async with Holdfast.open("memory://", space="acme") as hold:
        assert_type(hold, Holdfast)
    assert_type(await Holdfast.open("memory://"), Holdfast)


async def sessions(hold: Holdfast) -> None:
    s = await hold.sessions.create(id=None, user="ada", tags=["vip"], metadata={"a": 1}, on_exists="return")
    assert_type(s, Session)
    assert_type(await hold.sessions.get("s"), Session | None)
    assert_type(await hold.sessions.open("s", user="ada", mode="m"), Session)
    assert_type(await hold.sessions.list(status="active", order="oldest"), Page[Session])
    page = await hold.sessions.list(status=SessionStatus.ACTIVE)
    assert_type(page.items, tuple[Session, ...])
    assert_type(page.next, str | None)
    async for found in hold.sessions.iterate(user="ada"):
        assert_type(found, Session)
    assert_type(await s.update(tags=("a",), if_version=s.version), Session)
    assert_type(await hold.sessions.delete("s"), bool)
    assert_type((s.id, s.user, s.tags, s.metadata), tuple[str, str | None, tuple[str, ...], dict[str, Any]])
    await hold.sessions.create(colour="red")  # type: ignore[call-arg]
    await hold.sessions.open("s", colour="red")  # type: ignore[call-arg]
    await hold.sessions.create(on_exists="replace")  # type: ignore[arg-type]


async def reads(state: State, optional: type[int]) -> None:
    assert_type(await state.get("k"), Any)
    assert_type(await state.get("k", int), int | None)
    assert_type(await state.get("k", list[str]), list[str] | None)
    assert_type(await state.get("k", Item), Item | None)
    assert_type(await state.get("k", Prefs), Prefs | None)
    assert_type(await state.get("k", list[str], default=[]), list[str])
    assert_type(await state.get("k", dict[str, Item], default={}), dict[str, Item])
    assert_type(await state.get("k", int, default=0), int)
    cart = await state.get("k", list[str], default=[])
    assert_type(cart, list[str])
    assert_type(await state.get("k", int, default=None), int | None)
    assert_type(await state.get("k", default=3), Any)
    union: int | None = await state.get("k", int | None)
    other: int | str = await state.get("k", int | str, default=0)
    assert_type((union, other), tuple[int | None, int | str])
    assert_type(await state.has("k"), bool)
    assert_type(await state.keys(), list[str])
    assert_type(await state.snapshot(), Snapshot)
    assert_type(await state.history("k", limit=3), History)
    await state.get("k", "int")  # type: ignore[call-overload]


async def writes(state: State) -> None:
    assert_type(await state.set("k", ["milk"], if_version=None), int)
    assert_type(await state.update({"a": 1}), int)
    assert_type(await state.mutate("k", lambda n: n + 1, int, default=0), int)
    assert_type(await state.mutate("cart", lambda cart: [*cart, "eggs"], list[str], default=[]), list[str])
    assert_type(await state.mutate("item", lambda item: item or Item("milk"), Item), Item)
    assert_type(await state.mutate("k", lambda old: old), Any)
    union: int | None = await state.mutate("k", lambda old: old, int | None)
    assert_type(union, int | None)
    assert_type(await state.mutate("k", lambda old: old, default=3), Any)
    assert_type(await state.merge("k", {"a": 1}), dict[str, Any])
    assert_type(await state.delete("a", "b"), int)
    assert_type(await state.clear(), int)
    await state.set("k", 1, if_version="1")  # type: ignore[arg-type]
    await state.mutate("k", lambda n: str(n), int, default=0)  # type: ignore[arg-type, return-value]


async def session_surface(s: Session) -> None:
    assert_type(s.state, State)
    assert_type(s.user_state, State)
    assert_type(await s.messages.add("user", "hello", metadata={"a": 1}), Message)
    assert_type(await s.messages.list(limit=3, order="newest"), list[Message])
    assert_type(await s.messages.last(3), list[Message])
    assert_type(await s.log("note", {"a": 1}), Event)
    assert_type(await s.events(types=["note"], after=None), Page[Event])
    assert_type(await s.runtime.get("k", int), int | None)
    assert_type(await s.runtime.get("k", list[str], default=[]), list[str])
    assert_type(await s.runtime.get("k"), Any)
    assert_type(await s.runtime.all(), dict[str, Any])
    assert_type(s.changes(after="now", kinds={"state"}), Changes)
    async for change in s.changes():
        assert_type(change, Change)
        assert_type((change.seq, change.cursor, change.key), tuple[int, str, str | None])
    s.messages.list(order="up")  # type: ignore[arg-type, unused-coroutine]


async def transactions(hold: Holdfast, s: Session) -> None:
    async with s.transaction() as tx:
        assert_type(tx, SessionTransaction)
        assert_type(await tx.state.get("k", list[str]), list[str] | None)
        assert_type(tx.version(Scope.session("s")), int | None)
    async with hold.transaction() as many:
        assert_type(many, Transaction)
        assert_type(many.state(Scope.user("ada"), "prefs"), State)
        assert_type(await many.sessions.create(id="x"), SessionSurface)

    async def count(tx: SessionTransaction) -> int:
        return await tx.state.set("n", 1)

    async def count_many(tx: Transaction) -> str:
        return "done"

    assert_type(await s.transact(count, attempts=3), int)
    assert_type(await hold.transact(count_many), str)
    await s.transact(count_many)  # type: ignore[arg-type]


async def many_scopes(hold: Holdfast) -> None:
    scopes = [Scope.user("ada"), Scope.global_("flags")]
    assert_type(await hold.state_many(scopes), dict[Scope, dict[str, Any]])
    assert_type(await hold.set_many({Scope.user("ada"): {"a": 1}}), dict[Scope, int])
    assert_type(hold.state(scopes[0], namespace="prefs"), State)
    cursors: Mapping[Scope, str] = {}
    assert_type(hold.changes(scopes, after=cursors), Changes)
    assert_type(hold.changes(user="ada"), Changes)
    with hold.acting(by="ada", trace_id="t"):
        pass


async def budgets(hold: Holdfast, s: Session) -> None:
    async with s.iterate(data={"phase": "search"}, reserve=Usage(tokens=1, cost=0.5, wall_time="1m")) as it:
        assert_type(it.number, int)
        it.spent(tokens=1, cost="0.1")
    assert_type(await s.iterate(), Iteration)
    assert_type(s.iterations, int)
    assert_type(s.progress, Progress)
    assert_type(s.progress.per_budget, dict[str, float])
    assert_type(s.budget, Budget)
    assert_type(await s.log_tool_call("search", arguments={"q": 1}, duration=0.5), Event)
    assert_type(await s.context(), Context)
    assert_type(await s.size(), dict[str, int])
    await s.update(budget=Budget(tokens=None, cost=1))
    assert_type(await s.resume(budget=Budget(iterations=5)), Session)
    assert_type(await hold.sessions.templates.add("review", budget=Budget()), Template)
    assert_type(await hold.sessions.stats(mode="planner"), SessionStats)
    async with hold.sessions.work("Fix the bug", template="review") as made:
        assert_type(made, Session)
    async with s.transaction() as tx, tx.iterate() as inside:
        assert_type(inside, Iteration)
