"""Isolation, method by method: whatever a handle of a principal can be asked, it shows and changes nothing of others.

A method that comes later has to be entered in `verbs` before the tests pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from holdfast import Claim, Holdfast, NotFound, Scope, Session, SessionTransaction, Turn
from holdfast.errors import UseTransaction
from holdfast.handles.face import Face, Principal
from holdfast.handles.iteration import Iterating
from holdfast.testing.clock import settle
from tests.unit.handles.verbs import NOT_TRIED, NOUNS, SESSION, SURFACE, verbs
from tests.unit.stores import Stores

SECRET = "hidden-3b1e"


@pytest.fixture(params=["memory", *(pytest.param(name, marks=pytest.mark.soak) for name in ("weakest", "sqlite"))])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    """On memory, for what is tried here is above every kernel; on the others as a soak."""
    made = Stores(request.param, tmp_path)
    yield made
    await made.close()


@pytest.mark.parametrize("kind", NOUNS)
def test_every_method_of_every_handle_is_tried(kind: type) -> None:
    assert verbs(kind) - SURFACE.keys() - SESSION.keys() - NOT_TRIED == set()


def test_what_is_tried_is_there() -> None:
    assert SURFACE.keys() | SESSION.keys() <= {verb for kind in NOUNS for verb in verbs(kind)}


def test_what_a_block_gives_has_no_door_of_its_own() -> None:
    """They act on the session that the block was entered for, which was tried."""
    own = {kind: {name.partition(".")[2] for name in verbs(kind)} for kind in (SessionTransaction, Turn, Claim)}
    assert own == {
        SessionTransaction: {"update"},
        Turn: {"step", "output", "request_id", "rollback"} & own[Turn],
        Claim: {"worker", "token", "check"},
    }
    assert verbs(Iterating) == set()


def test_what_belongs_to_the_operator_is_not_on_a_principals_face() -> None:
    """Also not to erase herself: it looks at what everybody's sessions have left, and holds up every writer."""
    names = {name for name in dir(Holdfast) if not name.startswith("_")}
    face = {name for name in dir(Principal) if not name.startswith("_")}
    assert face == {name for name in dir(Face) if not name.startswith("_")}
    assert names - face == {
        "as_principal", "close", "erase", "health", "open", "over", "rekey", "stats", "sweep",
    }  # fmt: skip


async def filled(hold: Holdfast, id: str, user: str | None) -> Session:
    s = await hold.sessions.create(id=id, user=user, agent="guide", metadata={"secret": SECRET}, ttl="1d")
    await s.state.update({"secret": SECRET, "field": {"secret": SECRET}})
    await s.runtime.set("secret", SECRET)
    await s.variables.set("secret", SECRET)
    await s.messages.add("user", SECRET)
    await s.log("noted", {"secret": SECRET})
    await s.area("a").write({"k": SECRET.encode()})
    await s.runs.start("trip", id="r1", input={"secret": SECRET}, variables={"secret": SECRET})
    return s


async def picture(hold: Holdfast, id: str) -> Any:
    """All that is stored of a session, with its log."""
    kernel = hold._store.kernel
    return await kernel.stored(f"session/{id}"), await kernel.log(f"session/{id}")


@pytest.mark.parametrize("verb", SURFACE)
async def test_what_a_transaction_says_of_anothers_session_is_what_it_says_of_none(hold: Holdfast, verb: str) -> None:
    for id, user in (("bos", "bo"), ("nobodys", None)):
        await filled(hold, id, user)
    before = [await picture(hold, id) for id in ("bos", "nobodys")]
    ada = hold.as_principal(user="ada")
    told = set()
    for id in ("bos", "nobodys", "none"):
        with pytest.raises(NotFound) as error:
            async with ada.transaction() as tx:
                await SURFACE[verb](tx.session(id))
        told.add(str(error.value).replace(id, "…"))
    assert len(told) == 1
    assert SECRET not in told.pop()
    assert [await picture(hold, id) for id in ("bos", "nobodys")] == before


@pytest.mark.parametrize("verb", [verb for verb in SURFACE if verb.startswith("State.")])
async def test_nor_does_its_state(hold: Holdfast, verb: str) -> None:
    class ByItself:
        state = hold.as_principal(user="ada").state(Scope.session("bos"))

    await filled(hold, "bos", "bo")
    before = await picture(hold, "bos")
    with pytest.raises(NotFound):
        await SURFACE[verb](ByItself)
    assert await picture(hold, "bos") == before


@pytest.mark.parametrize("verb", [verb for verb in SURFACE | SESSION if verb != "SessionSurface.emit"])
async def test_a_handle_does_not_follow_its_id_to_somebody_else(hold: Holdfast, verb: str) -> None:
    """G11: it is of one life, and says of the next one that it does not exist."""
    s = await hold.as_principal(user="ada").sessions.create(id="s")
    await hold.sessions.delete("s")
    await filled(hold, "s", "bo")
    before = await picture(hold, "s")
    with pytest.raises(NotFound) as error:
        await (SURFACE | SESSION)[verb](s)
    assert SECRET not in str(error.value)
    assert await picture(hold, "s") == before


async def test_what_a_handle_emits_that_outlived_its_session_nobody_elses_followers_hear(hold: Holdfast) -> None:
    """It asks nobody, so it does not raise; it says which life it was of."""
    s = await hold.as_principal(user="ada").sessions.create(id="s")
    await hold.sessions.delete("s")
    bos = await hold.sessions.create(id="s", user="bo")
    bo = hold.as_principal(user="bo")
    streams = (bos.changes(), bo.changes(user="bo"), bo.changes([Scope.session("s")]))
    async with streams[0], streams[1], streams[2]:
        waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
        await settle()
        await s.emit("k", SECRET)
        await bos.state.set("k", 1)
        assert [(await told).op for told in waiting] == ["set"] * 3


async def test_a_handle_of_a_principal_is_caught_inside_a_transaction_of_any_face(hold: Holdfast) -> None:
    """A write past a transaction is refused, whichever face the transaction and the handle came from."""
    ada = hold.as_principal(user="ada")
    s = await ada.sessions.create(id="s")
    same = await hold.sessions.get("s")
    assert same is not None
    for face, mine in ((hold, s), (ada, same), (ada, s), (hold.as_principal(user="ada"), s)):
        async with face.transaction() as tx:
            await tx.session("s").state.set("k", 1)
            with pytest.raises(UseTransaction):
                await mine.state.set("k", 2)
            with pytest.raises(UseTransaction):
                await mine.messages.add("user", "x")
    async with same.transaction():
        with pytest.raises(UseTransaction):
            await s.state.set("k", 3)
    assert await s.state.get("k") == 1
