"""Runtime state: what a running session shows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast import Config, Holdfast, Session
from holdfast.errors import InvalidValue, TooLarge, TypeMismatch
from holdfast.model.config import StateConfig
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s")


async def test_values_are_set_read_and_cleared(s: Session) -> None:
    assert (await s.runtime.get("step"), await s.runtime.get("step", default=7), await s.runtime.all()) == (None, 7, {})
    version = await s.runtime.set("step", 3)
    assert await s.runtime.update({"b": None, "a": [1]}) == version + 1
    assert await s.runtime.get("step", int) == 3
    assert await s.runtime.get("b", default=1) is None
    assert list((await s.runtime.all()).items()) == [("a", [1]), ("b", None), ("step", 3)]
    assert await s.runtime.clear("a", "missing", "a") == 1
    assert await s.runtime.clear() == 2
    assert await s.runtime.clear() == 0
    with pytest.raises(TypeMismatch):
        await s.runtime.set("step", "x")
        await s.runtime.get("step", int)


async def test_it_is_apart_from_state_and_durable_on_return(stores: Stores) -> None:
    hold = await stores.open()
    s = await hold.sessions.create(id="s")
    await s.runtime.set("a", 1)
    await s.state.set("a", 2)
    other = await (await stores.open()).sessions.get("s")
    assert other is not None
    assert (await other.runtime.all(), await other.state.keys()) == ({"a": 1}, ["a"])


async def test_writes_of_different_keys_never_conflict(stores: Stores) -> None:
    holds = [await stores.open() for _ in range(2)]
    await holds[0].sessions.create(id="s")
    sessions = [await hold.sessions.open("s") for hold in holds]
    await asyncio.gather(*[sessions[n % 2].runtime.set(f"k{n}", n) for n in range(20)])
    assert len(await sessions[0].runtime.all()) == 20


async def test_a_value_at_its_limit_is_kept_and_one_byte_more_refused(stores: Stores) -> None:
    s = await (await stores.open(config=Config(state=StateConfig(value_bytes_max=10)))).sessions.create(id="s")
    await s.runtime.set("a", "x" * 8)
    with pytest.raises(TooLarge):
        await s.runtime.set("a", "x" * 9)


@pytest.mark.parametrize("values", [None, 3, "ab", [("a", 1)], {"a": {1}}, {"a": float("inf")}])
async def test_what_cannot_be_stored_is_refused_whole(s: Session, values: Any) -> None:
    with pytest.raises(InvalidValue):
        await s.runtime.update(values)
    assert await s.runtime.all() == {}
