"""The blocking face as a type checker sees it. Read by mypy in test_usage.py; nothing of it is run."""

from __future__ import annotations

from typing import Any, assert_type

from holdfast.sync import (
    Change,
    Changes,
    Event,
    Holdfast,
    Message,
    Page,
    Scope,
    Session,
    SessionSurface,
    SessionTransaction,
    Snapshot,
    State,
    Transaction,
    timeout,
)


def opening() -> None:
    with Holdfast.open("memory://", space="acme") as hold:
        assert_type(hold, Holdfast)
    assert_type(Holdfast.open("memory://"), Holdfast)
    hold.close()


def sessions(hold: Holdfast) -> None:
    s = hold.sessions.create(id=None, user="ada", tags=["vip"])
    assert_type(s, Session)
    assert_type(hold.sessions.get("s"), Session | None)
    assert_type(hold.sessions.open("s", user="ada"), Session)
    assert_type(hold.sessions.list(status="active"), Page[Session])
    for found in hold.sessions.iterate(user="ada"):
        assert_type(found, Session)
    assert_type(s.update(tags=("a",)), Session)
    assert_type(hold.sessions.delete("s"), bool)
    hold.sessions.create(colour="red")  # type: ignore[call-arg]


def surface(s: Session, state: State) -> None:
    assert_type(state.get("k"), Any)
    assert_type(state.get("k", list[str], default=[]), list[str])
    assert_type(state.mutate("k", lambda n: n + 1, int, default=0), int)
    assert_type(state.snapshot(), Snapshot)
    assert_type(s.state, State)
    assert_type(s.user_state, State)
    assert_type(s.messages.add("user", "hello"), Message)
    assert_type(s.messages.list(limit=3), list[Message])
    assert_type(s.log("note"), Event)
    assert_type(s.runtime.get("k", int), int | None)
    state.get("k", "int")  # type: ignore[call-overload]


def streams(hold: Holdfast, s: Session) -> None:
    assert_type(hold.changes(user="ada"), Changes)
    with timeout("1s"), s.changes() as changes:
        for change in changes:
            assert_type(change, Change)
        assert_type(next(changes), Change)
    changes.close()


def transactions(hold: Holdfast, s: Session) -> None:
    with s.transaction() as tx, hold.acting(by="ada"):
        assert_type(tx, SessionTransaction)
        assert_type(tx.state.get("k", int), int | None)
        assert_type(tx.version(Scope.session("s")), int | None)
    with hold.transaction() as many:
        assert_type(many, Transaction)
        assert_type(many.sessions.create(id="x"), SessionSurface)

    def count(tx: SessionTransaction) -> int:
        return tx.state.set("n", 1)

    assert_type(s.transact(count, attempts=3), int)
    assert_type(hold.transact(lambda tx: "done"), str)
    hold.transact(count)  # type: ignore[arg-type]
