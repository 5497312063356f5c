"""Isolation: a principal finds only what its user owns, on every verb; everything else does not exist."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast import AlreadyExists, Conflict, Holdfast, NotFound, Scope, Session, SessionStats, Transaction
from holdfast.errors import InvalidValue, UseTransaction
from holdfast.handles.face import Principal
from holdfast.handles.sessions import Sessions
from holdfast.handles.transaction import SessionsInTransaction
from holdfast.testing.clock import settle
from tests.unit.stores import Stores

BO = Scope.session("bos")
FOREIGN = (Scope.user("bo"), Scope.agent("guide"), Scope.global_("flags"), Scope.run("r"))


@pytest.fixture
async def ada(hold: Holdfast) -> Principal:
    """Ada's face of a store in which bo has a session and everybody has state."""
    await hold.sessions.create(id="adas", user="ada", agent="guide", app="travel")
    bos = await hold.sessions.create(id="bos", user="bo", agent="guide", app="travel")
    nobodys = await hold.sessions.create(id="nobodys")
    for s in (bos, nobodys):
        await s.state.set("secret", "hidden")
        await s.messages.add("user", "hidden")
    for scope in FOREIGN:
        await hold.state(scope).set("secret", "hidden")
    return hold.as_principal(user="ada")


async def everything(hold: Holdfast) -> list[Any]:
    """All that others have, with the versions."""
    seen: list[Any] = []
    for id in ("bos", "nobodys"):
        s = await hold.sessions.get(id)
        assert s is not None
        seen += [s.version, s.metadata, await s.state.snapshot(), await s.messages.list()]
    return seen + [await hold.state(scope).snapshot() for scope in FOREIGN]


# --- every verb, tried on another's things ---------------------------------------------------------------------------

Try = Callable[[Any], Awaitable[Any]]

SESSIONS: dict[str, tuple[Try, Any]] = {
    "create": (lambda on: on.create(id="bos"), AlreadyExists),
    "get": (lambda on: on.get("bos"), None),
    "open": (lambda on: on.open("bos"), AlreadyExists),
    "list": (lambda on: _ids(on.list(user="bo")), []),
    "iterate": (lambda on: _iterated(on.iterate(app="travel")), ["adas"]),
    "update": (lambda on: on.update("bos", metadata={"a": 1}), NotFound),
    "delete": (lambda on: on.delete("bos"), False),
    "stats": (lambda on: _count(on.stats(user="bo")), 0),
    "work": (lambda on: on.work(id="bos").__aenter__(), AlreadyExists),
    "templates": (lambda on: on.templates.add("theirs", on_exists="replace"), NotFound),
}
"""Verb -> what is tried, and what comes of it: an error or an answer. A new verb has to be entered here."""

IN_TRANSACTION: dict[str, tuple[Try, Any]] = {
    "create": (lambda on: on.create(id="bos"), AlreadyExists),
    "update": (lambda on: on.update("bos", metadata={"a": 1}), NotFound),
    "delete": (lambda on: on.delete("bos"), False),
}

TRANSACTION: dict[str, tuple[Try, Any]] = {
    "state": (lambda tx: tx.state(BO).get("secret"), NotFound),
    "variables": (lambda tx: tx.variables(BO).get("secret"), NotFound),
    "session": (lambda tx: tx.session("bos").messages.list(), NotFound),
}

FACE: dict[str, tuple[Try, Any]] = {
    "state": (lambda ada: ada.state(BO).get("secret"), NotFound),
    "variables": (lambda ada: ada.variables(BO).get("secret"), NotFound),
    "state_many": (lambda ada: ada.state_many([Scope.session("adas"), BO]), NotFound),
    "set_many": (lambda ada: ada.set_many({BO: {"secret": 1}}), NotFound),
    "transact": (lambda ada: ada.transact(lambda tx: tx.session("bos").state.set("secret", 1)), NotFound),
    "checkpoint": (lambda ada: ada.checkpoint(BO), NotFound),
    "checkpoints": (lambda ada: ada.checkpoints(BO), NotFound),
    "restore": (lambda ada: ada.restore("theirs"), NotFound),
    "diff": (lambda ada: ada.diff("theirs"), NotFound),
    "drop_checkpoint": (lambda ada: ada.drop_checkpoint("theirs"), NotFound),
    "changes": (lambda ada: _first(ada.changes([BO], after="beginning")), NotFound),
}

NOT_TRIED = {
    "sessions", "transaction",  # their own verbs are
    "acting",  # names who acts, and finds nothing
    "rollback", "version", "is_open", "covers",  # of the transaction itself
}  # fmt: skip


def verbs(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")} - NOT_TRIED


@pytest.mark.parametrize(
    ("kind", "tried"),
    [
        (Sessions, SESSIONS),
        (SessionsInTransaction, IN_TRANSACTION),
        (Transaction, TRANSACTION),
        (Principal, FACE),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_every_public_verb_is_tried_on_anothers_things(kind: type, tried: dict[str, Any]) -> None:
    """A verb that comes later cannot be forgotten: enter it above, with what a principal gets for another's thing."""
    assert verbs(kind) - tried.keys() == set()


async def came_of(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except (NotFound, AlreadyExists) as error:
        return type(error)


@pytest.mark.parametrize("verb", FACE)
async def test_the_face_finds_nothing_of_others(hold: Holdfast, ada: Principal, verb: str) -> None:
    before = await everything(hold)
    attempt, expected = FACE[verb]
    assert await came_of(lambda: attempt(ada)) == expected
    assert await everything(hold) == before


@pytest.mark.parametrize("verb", SESSIONS)
async def test_sessions_of_others_do_not_exist(hold: Holdfast, ada: Principal, verb: str) -> None:
    before = await everything(hold)
    attempt, expected = SESSIONS[verb]
    assert await came_of(lambda: attempt(ada.sessions)) == expected
    assert await everything(hold) == before


@pytest.mark.parametrize("verb", [*IN_TRANSACTION, *TRANSACTION])
async def test_nor_in_a_transaction(hold: Holdfast, ada: Principal, verb: str) -> None:
    before = await everything(hold)

    async def call() -> Any:
        async with ada.transaction() as tx:
            attempt = IN_TRANSACTION.get(verb) or TRANSACTION[verb]
            return await attempt[0](tx.sessions if verb in IN_TRANSACTION else tx)

    expected = (IN_TRANSACTION | TRANSACTION)[verb][1]
    assert await came_of(call) == expected
    assert await everything(hold) == before


@pytest.mark.parametrize("scope", FOREIGN, ids=str)
async def test_scopes_of_others_agents_and_globals_do_not_exist(ada: Principal, scope: Scope) -> None:
    with pytest.raises(NotFound):
        ada.state(scope)
    with pytest.raises(NotFound):
        await ada.state_many([scope])
    with pytest.raises(NotFound):
        await ada.set_many({scope: {"a": 1}})
    with pytest.raises(NotFound):
        ada.changes([scope])
    with pytest.raises(NotFound):
        ada.changes(after={scope: 0}, user="ada")
    async with ada.transaction() as tx:
        with pytest.raises(NotFound):
            tx.state(scope)


async def test_the_way_through_ones_own_session_leads_to_nobody_else(ada: Principal) -> None:
    s = await ada.sessions.get("adas")
    assert s is not None
    with pytest.raises(NotFound):
        _ = s.agent_state
    async with s.transaction() as tx:
        with pytest.raises(NotFound):
            _ = tx.agent_state
    await s.user_state.set("a", 1)
    assert await ada.state(Scope.user("ada")).get("a") == 1


# --- what is hers ----------------------------------------------------------------------------------------------------


async def test_what_is_hers_is_all_there(hold: Holdfast, ada: Principal) -> None:
    made = await ada.sessions.create(id="new")
    opened = await ada.sessions.open("opened", user="ada")
    assert (made.user, opened.user) == ("ada", "ada")
    assert {s.id async for s in ada.sessions.iterate()} == {"adas", "new", "opened"}
    assert (await ada.sessions.create(id="new", on_exists="return")).id == "new"
    await ada.set_many({Scope.session("adas"): {"a": 1}})
    assert await ada.state_many([Scope.session("adas")]) == {Scope.session("adas"): {"a": 1}}
    async with ada.transaction() as tx:
        await tx.session("adas").state.set("b", await tx.state(Scope.session("adas")).get("a"))
    assert await ada.state(Scope.session("adas")).get("b") == 1
    async with ada.transaction() as tx:
        inside = await tx.sessions.create(id="inside")
        await inside.state.set("a", 1)
        await tx.session("inside").messages.add("user", "hi")
    found = await hold.sessions.get("inside")
    assert found is not None
    assert found.user == "ada"
    assert await ada.sessions.delete("inside") is True
    with pytest.raises(InvalidValue):
        await ada.sessions.create(user="bo")
    async with ada.transaction() as tx:
        with pytest.raises(InvalidValue):
            await tx.sessions.create(user="bo")


async def test_scopes_can_be_named_that_it_may_use_as_well(hold: Holdfast, ada: Principal) -> None:
    wide = hold.as_principal(user="ada", also=[Scope.agent("guide"), Scope.global_("flags")])
    assert await wide.state(Scope.global_("flags")).get("secret") == "hidden"
    s = await wide.sessions.get("adas")
    assert s is not None
    assert await s.agent_state.get("secret") == "hidden"
    with pytest.raises(NotFound):
        wide.state(Scope.run("r"))
    for scope in (Scope.user("bo"), BO):
        with pytest.raises(InvalidValue):
            hold.as_principal(user="ada", also=[scope])


async def test_an_id_that_is_taken_says_the_same_whosever_it_is(ada: Principal) -> None:
    told = set()
    for id in ("adas", "bos", "nobodys"):
        with pytest.raises(AlreadyExists) as taken:
            await ada.sessions.create(id=id)
        told.add((str(taken.value).replace(id, "…"), taken.value.remedy))
        if id != "adas":
            for call in (ada.sessions.open(id), ada.sessions.create(id=id, on_exists="return")):
                with pytest.raises(AlreadyExists) as taken:
                    await call
                told.add((str(taken.value).replace(id, "…"), taken.value.remedy))
    assert len(told) == 1


# --- races: an id that changes hands ---------------------------------------------------------------------------------


async def test_a_handle_never_follows_its_id_to_another_user(hold: Holdfast, ada: Principal) -> None:
    """G11: a handle is of one life of its session."""
    handles = [await ada.sessions.get("adas"), ada.state(Scope.session("adas"))]
    assert await handles[1].get("a") is None  # bound by its first use
    unused = ada.state(Scope.session("adas"))
    await hold.sessions.delete("adas")
    await (await hold.sessions.create(id="adas", user="bo")).state.set("secret", "hidden")
    for call in (
        handles[0].refresh(),
        handles[0].state.get("secret"),
        handles[0].state.set("secret", 1),
        handles[0].messages.add("user", "x"),
        handles[0].why("secret"),
        handles[0].at(1).state.get("secret"),
        handles[1].get("secret"),
        handles[1].set("secret", 1),
        unused.get("secret"),
        unused.set("secret", 1),
        unused.delete("secret"),
    ):
        with pytest.raises(NotFound):
            await call
    assert await ada.sessions.get("adas") is None
    assert await hold.state(Scope.session("adas")).get("secret") == "hidden"


async def test_a_transaction_rests_on_whose_the_session_was(hold: Holdfast, ada: Principal) -> None:
    """And what the commit says of it tells nothing of whose it is now."""
    with pytest.raises((Conflict, NotFound)) as error:
        async with ada.transaction() as tx:
            await tx.session("adas").state.set("a", 1)
            await asyncio.create_task(_change_hands(hold))
    assert await hold.state(Scope.session("adas")).get("a") is None
    assert error.value.facts["found"] is None
    assert "version" not in str(error.value)
    with pytest.raises((Conflict, NotFound)) as error:
        async with ada.transaction() as tx:
            assert await tx.sessions.delete("none") is False
            await asyncio.create_task(_change_hands(hold, "none"))
    assert error.value.facts.get("found") is None


async def _change_hands(hold: Holdfast, id: str = "adas") -> None:
    from holdfast.handles.unit import open_transactions

    open_transactions.set(())
    with hold.acting(by="bo"):
        await hold.sessions.delete(id)
        await hold.sessions.create(id=id, user="bo")


async def test_a_principals_transaction_is_guarded_against_writes_past_it(hold: Holdfast, ada: Principal) -> None:
    async with ada.transaction() as tx:
        await tx.session("adas").state.set("a", 1)
        with pytest.raises(UseTransaction):
            await hold.state(Scope.session("adas")).set("a", 2)


# --- streams ---------------------------------------------------------------------------------------------------------


async def test_a_stream_tells_only_of_what_is_hers(hold: Holdfast, ada: Principal) -> None:
    async with ada.changes(user="ada") as changes:
        await hold.state(Scope.session("bos")).set("secret", 1)
        await hold.state(Scope.session("adas")).set("a", 1)
        assert (await anext(changes)).value == 1
        await hold.sessions.delete("adas")
        assert (await anext(changes)).op == "delete"
        await (await hold.sessions.create(id="adas", user="bo")).state.set("secret", 2)
        mine = await ada.sessions.create(id="mine")
        told = [await anext(changes), await anext(changes)]
        assert [(one.kind, one.session) for one in told] == [("session", "mine"), ("event", "mine")]
        await mine.state.set("b", 1)
        assert (await anext(changes)).value == 1


async def test_a_stream_of_a_named_session_ends_to_tell_when_it_changes_hands(hold: Holdfast, ada: Principal) -> None:
    scope = Scope.session("adas")
    async with ada.changes([scope, Scope.user("ada")], after={scope: 0, Scope.user("ada"): 0}) as changes:
        assert [(await anext(changes)).kind for _ in range(2)] == ["session", "event"]
        await hold.sessions.delete("adas")
        assert (await anext(changes)).op == "delete"
        await (await hold.sessions.create(id="adas", user="bo")).state.set("secret", 2)
        await hold.state(Scope.user("ada")).set("a", 1)
        assert (await anext(changes)).scope == Scope.user("ada")
        await settle()
    with pytest.raises(NotFound):
        await _first(ada.changes([scope], after="beginning"))
    with pytest.raises(NotFound):
        await _first(ada.changes([Scope.session("none")]))


async def test_a_place_in_anothers_session_tells_nothing(hold: Holdfast, ada: Principal) -> None:
    """Neither of the present life nor of one that is over."""
    await (await hold.sessions.create(id="over", user="bo")).state.set("secret", "hidden")
    await hold.sessions.delete("over")
    after = {BO: 0, Scope.session("over"): 0, Scope.session("none"): 0, Scope.user("ada"): 0}
    async with ada.changes(user="ada", after=after) as changes:
        await hold.state(Scope.user("ada")).set("a", 1)
        told = [await anext(changes)]
        while told[-1].kind != "state" or told[-1].scope != Scope.user("ada"):
            told.append(await anext(changes))
    assert {change.scope for change in told} <= {Scope.user("ada"), Scope.session("adas")}


async def test_principals_of_one_store_share_it_and_nothing_else(stores: Stores) -> None:
    hold = await stores.open()
    faces = {name: hold.as_principal(user=name) for name in ("ada", "bo", "cy")}

    async def live(name: str, face: Principal) -> None:
        for n in range(5):
            s = await face.sessions.create(id=f"{name}{n}")
            await s.state.set("whose", name)
        async for s in face.sessions.iterate(limit=2):
            assert await s.state.get("whose") == name

    await asyncio.gather(*[live(name, face) for name, face in faces.items()])
    assert [len((await face.sessions.list()).items) for face in faces.values()] == [5, 5, 5]


async def _count(stats: Awaitable[SessionStats]) -> int:
    return (await stats).count


async def _ids(listing: Awaitable[Any]) -> list[str]:
    return [s.id for s in (await listing).items]


async def _iterated(sessions: Any) -> list[str]:
    return [s.id async for s in sessions]


async def _first(changes: Any) -> Session:
    async with changes:
        return await anext(changes)


async def test_what_a_principal_is_refused_tells_what_would_let_it(ada: Principal) -> None:
    """A remedy never advises the call that failed."""
    with pytest.raises(NotFound, match="for this principal") as refused:
        await ada.sessions.templates.list()
    assert "also=[Scope.parse('global/templates')]" in refused.value.remedy
    for call in (ada.sessions.open("bos"), ada.sessions.create(id="bos", on_exists="return")):
        with pytest.raises(AlreadyExists) as taken:
            await call
        assert "open" not in taken.value.remedy
