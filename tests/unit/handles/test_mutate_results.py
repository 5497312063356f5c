"""What a mutation returns is what is stored, so it is looked at before."""

import dataclasses
from typing import Any

import pytest

from holdfast import Holdfast, NotFound, Scope
from holdfast.errors import InvalidValue, TooLarge, TypeMismatch


@pytest.mark.parametrize(
    ("change", "kind", "saying"),
    [
        (lambda cart: cart.append("eggs"), list[str], "returned None"),
        (lambda cart: cart.append("eggs"), None, "returned None"),
        (lambda cart: "eggs", list[str], "not list"),
        (lambda cart: [1], list[str], "not list"),
    ],
)
async def test_a_mutation_that_returns_something_else_stores_nothing(change: Any, kind: Any, saying: str) -> None:
    """A forgotten return must not destroy the value."""
    async with Holdfast.open("memory://") as hold:
        s = await hold.sessions.create()
        await s.state.set("cart", ["milk"])
        with pytest.raises(TypeMismatch, match=saying):
            await s.state.mutate("cart", change, kind, default=[])
        assert await s.state.get("cart") == ["milk"]


@dataclasses.dataclass(eq=False)
class Ticket:
    """Equal to every other of its id."""

    id: int
    seat: Any = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ticket) and other.id == self.id

    def __hash__(self) -> int:
        return self.id


async def test_a_change_that_a_types_equality_does_not_see_is_written_all_the_same() -> None:
    async with Holdfast.open("memory://") as hold:
        s = await hold.sessions.create()
        await s.state.set("ticket", Ticket(1))
        changed = await s.state.mutate("ticket", lambda ticket: Ticket(ticket.id, "12A"), Ticket)
        assert changed.seat == "12A"
        assert await s.state.get("ticket") == {"id": 1, "seat": "12A"}
        await s.state.merge("map", {"n": 1})
        before = (await s.state.snapshot()).version
        for value in (True, 1.0):
            await s.state.merge("map", {"n": value})
            assert repr(await s.state.get("map")) == repr({"n": value})
        assert (await s.state.snapshot()).version == before + 2


async def test_a_loss_that_a_types_equality_does_not_see_is_refused_and_stores_nothing() -> None:
    async with Holdfast.open("memory://") as hold:
        s = await hold.sessions.create()
        await s.state.set("ticket", Ticket(1))
        for call in (
            lambda: s.state.set("ticket", Ticket(1, (12, "A"))),
            lambda: s.state.mutate("ticket", lambda ticket: Ticket(1, (12, "A")), Ticket),
            lambda: s.state.merge("map", {"ticket": Ticket(1, (12, "A"))}),
        ):
            with pytest.raises(InvalidValue) as refused:
                await call()
            assert refused.value.path.endswith("seat")
        assert (await s.state.snapshot()).values == {"ticket": {"id": 1, "seat": None}}


async def test_an_async_change_is_refused_and_never_left_unawaited() -> None:
    async with Holdfast.open("memory://") as hold:
        s = await hold.sessions.create()

        async def change(n: Any) -> int:
            return 1

        with pytest.raises(TypeMismatch, match="plain function"):
            await s.state.mutate("n", change)
        assert not await s.state.has("n")


async def test_a_value_that_is_too_large_is_named_and_measured() -> None:
    async with Holdfast.open("memory://") as hold:
        s = await hold.sessions.create()
        for length in (262_143, 300_000):
            with pytest.raises(TooLarge, match="the value of 'x'") as refused:
                await s.state.set("x", "y" * length)
            assert refused.value.size > refused.value.limit


async def test_the_state_of_a_session_that_is_gone_is_not_found_among_many() -> None:
    async with Holdfast.open("memory://") as hold:
        s = await hold.sessions.create(id="here")
        assert await hold.state_many([Scope.session("here"), Scope.user("nobody")]) == {
            Scope.session("here"): {},
            Scope.user("nobody"): {},
        }
        await hold.sessions.delete(s.id)
        with pytest.raises(NotFound):
            await hold.state_many([Scope.session("here")])
