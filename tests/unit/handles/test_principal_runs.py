"""Isolation of runs and questions: a principal finds their own, and by no verb, id or error anything of others'."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast import AlreadyExists, Holdfast, NotFound, Scope
from holdfast.errors import NotAssignee
from holdfast.handles.face import Principal
from holdfast.handles.interactions import Interactions
from holdfast.handles.run import Run
from holdfast.handles.runs import Runs
from tests.unit.handles.test_principal import came_of


@pytest.fixture
async def bos(hold: Holdfast) -> Run:
    """A run of bo's, in no session, that asks him something."""
    run = await hold.as_principal(user="bo").runs.start("pay", id="bos", nodes=["a"], input={"card": "hidden"})
    await run.ask("Pay?", node="a", assignees=["bo"])
    return run


@pytest.fixture
def ada(hold: Holdfast, bos: Run) -> Principal:
    """The face of somebody else."""
    return hold.as_principal(user="ada")


Try = Callable[[Principal, str], Awaitable[Any]]

RUNS: dict[str, tuple[Try, Any]] = {
    "start": (lambda ada, _: ada.runs.start("pay", id="bos", on_exists="return"), AlreadyExists),
    "get": (lambda ada, _: ada.runs.get("bos"), None),
    "list": (lambda ada, _: _items(ada.runs.list(user="bo")), ()),
    "recoverable": (lambda ada, _: _all(ada.runs.recoverable(user="bo")), []),
}

QUESTIONS: dict[str, tuple[Try, Any]] = {
    "answer": (lambda ada, id: ada.interactions.answer(id, "approved"), NotFound),
    "get": (lambda ada, id: ada.interactions.get(id), None),
    "cancel": (lambda ada, id: ada.interactions.cancel(id), NotFound),
    "reassign": (lambda ada, id: ada.interactions.reassign(id, "ada"), NotFound),
    "pending": (lambda ada, _: _items(ada.interactions.pending(run="bos")), ()),
    "history": (lambda ada, _: ada.interactions.history("bos"), []),
}


async def _items(page: Awaitable[Any]) -> Any:
    return (await page).items


async def _all(found: Any) -> list[Any]:
    return [one async for one in found]


@pytest.mark.parametrize(("kind", "tried"), [(Runs, RUNS), (Interactions, QUESTIONS)])
def test_every_verb_is_tried_on_anothers_run(kind: type, tried: dict[str, Any]) -> None:
    """A verb that comes later has to be entered above, with what a principal gets for what is another's."""
    assert {name for name in dir(kind) if not name.startswith("_")} == tried.keys()


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [pytest.param(*one, id=f"{of}.{verb}") for of in ("RUNS", "QUESTIONS") for verb, one in globals()[of].items()],
)
async def test_the_run_of_another_is_not_there(
    hold: Holdfast, ada: Principal, bos: Run, attempt: Try, expected: Any
) -> None:
    """Also not to `start` with on_exists="return", which answers as for any id that is taken."""
    [question] = bos.interactions.pending
    assert await came_of(lambda: attempt(ada, question.id)) == expected
    assert (await bos.refresh()).interactions.pending_count == 1


@pytest.mark.parametrize("on_exists", ["fail", "return"])
async def test_that_an_id_is_taken_says_nothing_of_whose_it_is(hold: Holdfast, ada: Principal, on_exists: Any) -> None:
    """The words and facts are those for a run of one's own."""
    await ada.runs.start("pay", id="adas")
    with pytest.raises(AlreadyExists) as own:
        await ada.runs.start("pay", id="adas")
    with pytest.raises(AlreadyExists) as other:
        await ada.runs.start("pay", id="bos", on_exists=on_exists)
    assert str(other.value) == str(own.value).replace("adas", "bos")
    assert other.value.facts == {"run": "bos"}


async def test_ids_that_others_have_in_their_sessions_too_do_not_show(hold: Holdfast, ada: Principal) -> None:
    """Two runs of one id are a Conflict only for who may find both."""
    bo = hold.as_principal(user="bo")
    for face in (ada, bo):
        s = await face.sessions.create()
        await (await s.runs.start("pay", id="same", nodes=["a"])).ask("Pay?", node="a")
    found = await ada.runs.get("same")
    assert found is not None
    assert found.user == "ada"
    [question] = await ada.interactions.history("same")
    assert question.session == found.session
    assert [q.id for q in (await ada.interactions.pending(run="same")).items] == [question.id]


async def test_ones_own_run_that_is_alone_is_all_there(hold: Holdfast, ada: Principal) -> None:
    """It is found by its id as it is by the list, and started again where that is asked for."""
    run = await ada.runs.start("pay", id="adas", nodes=["a"])
    found = await ada.runs.get("adas")
    assert found is not None
    assert (found.id, found.user) == ("adas", "ada")
    async with found.node("a") as node:
        node.output = 1
    again = await ada.runs.start("pay", id="adas", on_exists="return")
    assert again.nodes["a"].output == 1
    assert (await run.refresh()).is_done


async def test_scopes_of_runs_of_others_are_closed(hold: Holdfast, ada: Principal) -> None:
    """Their state, variables, checkpoints and changes too."""
    scope = Scope.run("bos")
    kept = await hold.checkpoint(scope)
    tries: list[Callable[[], Any]] = [
        lambda: ada.checkpoint(scope),
        lambda: ada.checkpoints(scope),
        lambda: ada.restore(kept.id),
        lambda: ada.diff(kept.id),
        lambda: ada.drop_checkpoint(kept.id),
        lambda: ada.state_many([scope]),
        lambda: ada.set_many({scope: {"a": 1}}),
    ]
    for attempt in tries:
        assert await came_of(attempt) is NotFound
    for made in (lambda: ada.state(scope), lambda: ada.variables(scope), lambda: ada.changes([scope])):
        with pytest.raises(NotFound):
            made()


async def test_who_is_only_asked_answers_and_hands_on_and_withdraws_nothing(hold: Holdfast, ada: Principal) -> None:
    """Withdrawing lets the node go on without a yes: that is for whose run it is."""
    s = await hold.sessions.create(user="bo")
    run = await s.runs.start("pay", nodes=["a"])
    q = await run.ask("Pay?", node="a", assignees=["ada"])
    with pytest.raises(NotAssignee, match="not to withdraw"):
        await ada.interactions.cancel(q.id)
    assert (await ada.interactions.reassign(q.id, "cy")).assignees == ("cy",)
    assert (await hold.as_principal(user="bo").interactions.cancel(q.id)).status == "cancelled"
