"""Templates: what sessions of one sort begin with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from holdfast import AlreadyExists, Budget, Config, Holdfast, NotFound, Scope, Template
from holdfast.errors import InvalidId, InvalidValue
from tests.unit.stores import Stores


async def test_a_template_comes_back_as_it_was_added_in_any_process(stores: Stores) -> None:
    one, other = await stores.open(), await stores.open()
    budget = Budget(iterations=None, cost="1.50", wall_time="2h")
    added = await one.sessions.templates.add(
        "review", mode="code_review", app="forge", agent="guide", channel="web", task="Review it", ttl="2h",
        tags=["ci", "ci"], metadata={"plan": "pro"}, budget=budget, state={"open": [], "limit": 2**60},
    )  # fmt: skip
    assert added == Template(
        "review", "code_review", "forge", "guide", "web", "Review it", timedelta(hours=2), ("ci",), {"plan": "pro"},
        budget, {"open": [], "limit": 2**60},
    )  # fmt: skip
    assert await other.sessions.templates.get("review") == added
    bare = await other.sessions.templates.add("a")
    assert await one.sessions.templates.list() == [bare, added]


async def test_a_name_is_taken_unless_it_is_to_be_replaced(hold: Holdfast) -> None:
    templates = hold.sessions.templates
    await templates.add("review", mode="a")
    with pytest.raises(AlreadyExists):
        await templates.add("review", mode="b")
    assert (await templates.add("review", mode="b", on_exists="replace")).mode == "b"
    assert [await templates.remove("review"), await templates.remove("review")] == [True, False]
    assert await templates.get("review") is None
    await templates.add("review")


async def test_a_session_begins_with_what_its_template_says_and_the_caller_does_not(stores: Stores) -> None:
    """Argument over template over configuration."""
    hold = await stores.open(config=Config(budget=Budget(tool_calls=9)))
    await hold.sessions.templates.add(
        "review", mode="code_review", app="forge", tags=["ci"], metadata={"plan": "pro", "n": 1},
        budget=Budget(tokens=500, iterations=3), state={"open": [], "done": None},
    )  # fmt: skip
    s = await hold.sessions.create(
        template="review", user="ada", app="mine", metadata={"n": 2}, budget=Budget(tokens=7)
    )
    found = await hold.sessions.get(s.id)
    assert found is not None
    assert (found.mode, found.app, found.user, found.tags) == ("code_review", "mine", "ada", ("ci",))
    assert found.metadata == {"plan": "pro", "n": 2}
    assert found.budget == Budget(iterations=3, tokens=7, cost=None, tool_calls=9, wall_time=None)
    assert (await found.state.snapshot()).values == {"open": [], "done": None}
    assert (await found.state.snapshot()).version == 1
    other = await hold.sessions.create(template="review", tags=[], mode="x", task="t")
    assert (other.tags, other.mode, other.task) == ((), "x", "t")


async def test_a_session_lives_as_long_as_its_template_says_unless_it_is_told(hold: Holdfast) -> None:
    await hold.sessions.templates.add("review", ttl="2h")
    s = await hold.sessions.create(template="review")
    assert s.expires_at == s.created_at + timedelta(hours=2)
    s = await hold.sessions.create(template="review", ttl="1h")
    assert s.expires_at == s.created_at + timedelta(hours=1)


async def test_opening_and_transactions_take_a_template_too(hold: Holdfast) -> None:
    """With its state, in the commit that creates the session; one that is there stays as it is."""
    await hold.sessions.templates.add("review", mode="code_review", tags=["ci"], state={"open": []})
    opened = await hold.sessions.open("a", template="review")
    assert (opened.mode, opened.tags, await opened.state.get("open")) == ("code_review", ("ci",), [])
    await opened.state.set("open", [1])
    assert await (await hold.sessions.open("a", template="review")).state.get("open") == [1]
    async with hold.transaction() as tx:
        inside = await tx.sessions.create(id="b", template="review", mode="planner")
        assert await inside.state.get("open") == []
    made = await hold.sessions.open("b")
    assert (made.mode, made.tags, await made.state.get("open")) == ("planner", ("ci",), [])
    with pytest.raises(NotFound, match="no template"):
        await hold.sessions.open("c", template="none")
    with pytest.raises(NotFound, match="no template"):
        async with hold.transaction() as tx:
            await tx.sessions.create(id="c", template="none")


async def test_what_was_created_stays_as_it_is_when_its_template_changes(hold: Holdfast) -> None:
    await hold.sessions.templates.add("review", state={"open": ["a"]}, metadata={"x": [1]})
    s = await hold.sessions.create(template="review")
    await hold.sessions.templates.add("review", state={"open": []}, on_exists="replace")
    await s.state.mutate("open", lambda found: [*found, "b"])
    assert await s.state.get("open") == ["a", "b"]
    assert s.metadata == {"x": [1]}


async def test_a_template_that_is_not_there_is_named(hold: Holdfast) -> None:
    with pytest.raises(NotFound, match="no template 'review'"):
        await hold.sessions.create(id="s", template="review")
    assert await hold.sessions.get("s") is None


async def test_templates_are_not_among_the_state_of_their_scope(hold: Holdfast) -> None:
    await hold.sessions.templates.add("review")
    state = hold.state(Scope.global_("templates"))
    await state.set("review", 1)
    await state.clear()
    assert [found.name for found in await hold.sessions.templates.list()] == ["review"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("", {}),
        ("a\n", {}),
        ("a", {"mode": ""}),
        ("a", {"tags": "ci"}),
        ("a", {"metadata": {1: 2}}),
        ("a", {"budget": 100}),
        ("a", {"state": [1]}),
        ("a", {"state": {"": 1}}),
        ("a", {"state": {"x": {1}}}),
        ("a", {"state": {f"k{n}": n for n in range(46)}}),
        ("a", {"task": 3}),
        ("a", {"on_exists": "keep"}),
        ("a", {"ttl": 0}),
    ],
)
async def test_what_no_session_could_begin_with_is_refused(hold: Holdfast, name: str, fields: dict[str, Any]) -> None:
    with pytest.raises((InvalidId, InvalidValue)):
        await hold.sessions.templates.add(name, **fields)
    assert await hold.sessions.templates.list() == []


async def test_a_session_begins_with_the_variables_of_its_template(hold: Holdfast) -> None:
    await hold.sessions.templates.add("review", variables={"city": "Kyoto", "n": 1}, state={"a": 1})
    s = await hold.sessions.create(template="review")
    assert await s.variables.resolve("{{ city }} {{ n }} {{ $flow.state.a }}") == "Kyoto 1 1"
    with pytest.raises(InvalidValue):
        await hold.sessions.templates.add("wrong", variables={"$vars": 1})
    assert await hold.sessions.templates.get("wrong") is None
