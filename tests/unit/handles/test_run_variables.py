"""Variables of runs: bound to the run and its nodes, with what came of the nodes, and gone with the run."""

import pytest

from holdfast import Budget, BudgetExceeded, Config, Holdfast, NodeSpec, Scope
from holdfast.errors import InvalidId, InvalidTransition, NotFound, TypeMismatch
from holdfast.kernel.commit import Range, Read
from holdfast.model.config import RunsConfig
from tests.unit.stores import Stores


async def test_a_run_begins_with_variables_and_sees_those_farther_away(hold: Holdfast) -> None:
    s = await hold.sessions.create(user="ada")
    await s.variables.set("city", "Osaka")
    await s.variables.set("plan", "book", level="workflow", workflow="trip")
    await hold.variables(Scope.user("ada")).set("far", "user")
    run = await s.runs.start("trip", id="r1", nodes={"search": []}, variables={"city": "Kyoto", "n": 1})
    assert await run.variables.resolve("{{ city }} {{ n }} {{ plan }} {{ far }}") == "Kyoto 1 book user"
    await run.variables.set("city", "Nara")
    other = await s.runs.start("trip", id="r2", nodes={"search": []})
    assert await other.variables.resolve("{{ city }} {{ n | default('none') }} {{ plan }}") == "Osaka none book"
    assert [one.level for one in await run.variables.list()] == ["run", "run", "workflow", "session", "user"]


async def test_what_came_of_a_node_stands_in_templates(hold: Holdfast) -> None:
    """A variable of the same name is nearer."""
    s = await hold.sessions.create()
    run = await s.runs.start("trip", id="r1", nodes={"search": [], "pay": ["search"]})
    async with run.node("search", input={"to": "KIX"}) as node:
        node.output = {"price": 12.5, "seats": ["1A"]}
    text = "{{ search.output.price }} {{ search.output.seats[0] }} {{ search.input.to }} "
    text += "{{ search.status }} {{ pay.output }}"
    assert await run.variables.resolve(text, missing="empty") == "12.5 1A KIX completed "
    assert await run.variables.value("{{ search.output }}") == {"price": 12.5, "seats": ["1A"]}
    assert await run.variables.resolve("{{search.output.price}}", syntax="mustache") == "12.5"
    assert await s.variables.resolve("{{ search.output.price | default('not here') }}") == "not here"
    await run.variables.set("search", "a variable")
    assert await run.variables.resolve("{{ search }}") == "a variable"


async def test_what_a_node_sets_commits_with_it_and_is_seen_by_no_other(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    run = await s.runs.start("trip", id="r1", nodes={"search": NodeSpec(optional=True), "pay": []})
    with pytest.raises(ZeroDivisionError):
        async with run.node("search") as node:
            await node.variables.set("draft", 1)
            raise ZeroDivisionError
    assert await run.variables.list() == []
    async with run.node("pay") as node:
        await node.variables.set("draft", 2)
        await node.variables.set("paid", True, level="run")
        assert await node.variables.resolve("{{ draft }} {{ paid }}") == "2 true"
    assert await run.variables.resolve("{{ draft | default('none') }} {{ paid }}") == "none true"
    assert await s.variables.get("draft", run="r1", node="pay") == 2


async def test_a_run_that_is_alone_keeps_its_variables_in_its_own_scope(hold: Holdfast) -> None:
    await hold.variables(Scope.user("ada")).set("far", "user")
    run = await hold.runs.start("trip", id="r1", nodes={"a": []}, variables={"near": 1}, user="ada")
    assert await run.variables.resolve("{{ near }} {{ far }}") == "1 user"
    assert await hold.variables(Scope.run("r1")).get("near") == 1


async def test_a_run_that_cannot_begin_with_its_variables_does_not_begin(hold: Holdfast) -> None:
    s = await hold.sessions.create()
    for variables, error in (({"": 1}, InvalidId), ({"a": {1}}, ValueError), ("ab", ValueError)):
        with pytest.raises(error):
            await s.runs.start("trip", id="r1", variables=variables)
    assert await s.runs.get("r1") is None
    run = await s.runs.start("trip", id="r1")
    with pytest.raises(TypeMismatch):
        await run.variables.set("v", 1, type="string")


async def test_variables_of_a_run_are_gone_once_it_has_left(stores: Stores) -> None:
    hold = await stores.open(config=Config(runs=RunsConfig(finished_ttl="1h")))
    s = await hold.sessions.create(id="s")
    run = await s.runs.start("trip", id="r1", nodes={"a": []}, variables={"v": 1})
    async with run.node("a") as node:
        await node.variables.set("w", 1)
    await s.variables.set("stays", 1)
    await run.complete()
    stores.clock.advance(3_601)
    await hold.sweep()
    view = (await hold._store.work().peek([Read("session/s", (), (Range("variable/", 10),))]))[0]
    assert [cell.key for cell in view.ranges[0]] == ["variable/session/stays"]


@pytest.mark.parametrize("timed_out", [False, True])
async def test_no_variable_of_a_run_is_set_in_a_session_that_has_ended(stores: Stores, timed_out: bool) -> None:
    """It would stay, and no run uses it; those of the session may be set, and those of a run that is yet to come."""
    hold = await stores.open()
    s = await hold.sessions.create(id="s", budget=Budget(iterations=1))
    run = await s.runs.start("trip", id="r")
    await s.variables.set("n", 1, level="node", run="later", node="a")
    await s.variables.clear("n", level="node", run="later", node="a")
    if timed_out:
        await s.iterate()
        with pytest.raises(BudgetExceeded):
            await s.iterate()
    else:
        await s.end()
    for refused in (
        lambda: run.variables.set("n", 1),
        lambda: run.variables.set_many({"n": 1}),
        lambda: s.variables.set("n", 1, level="run", run="r"),
        lambda: s.variables.set("n", 1, level="node", run="later", node="a"),
    ):
        with pytest.raises(InvalidTransition, match="its session has ended"):
            await refused()
    await s.variables.set("mine", 1)
    assert await names(hold, "session/s") == ["variable/session/mine"]
    if timed_out:
        await s.resume(budget=Budget(iterations=5))
        await run.variables.set("n", 1)


async def test_no_variable_of_a_run_is_set_by_the_transaction_that_ends_its_session(hold: Holdfast) -> None:
    """What it set before goes with the rest."""
    s = await hold.sessions.create(id="s")
    await s.runs.start("trip", id="r")
    async with s.transaction() as tx:
        run = await tx.runs.get("r")
        new = await tx.runs.start("trip", id="new")
        assert run is not None
        await run.variables.set("n", 1)
        await new.variables.set("n", 1)
        await tx.end()
        for one in (run, new):
            with pytest.raises(InvalidTransition, match="its session has ended"):
                await one.variables.set("n", 1)
    assert await names(hold, "session/s") == []


async def test_a_run_that_has_left_sets_no_variable(stores: Stores, hold: Holdfast) -> None:
    """Whoever has it in hand still."""
    s = await hold.sessions.create(id="s")
    run = await s.runs.start("trip", id="r")
    await run.complete()
    await run.variables.set("n", 1)
    stores.clock.advance(2 * 86_400)
    assert (await hold.sweep()).runs == 1
    with pytest.raises(NotFound, match="there is no run 'r'"):
        await run.variables.set("n", 1)
    assert await names(hold, "session/s") == []


async def names(hold: Holdfast, scope: str) -> list[str]:
    """The keys of the variables that are kept in a scope."""
    views = await hold._store.work().peek([Read(scope, (), (Range("variable/", 100),))])
    return [cell.key for cell in views[0].ranges[0]]
