"""Fixtures for the public surface: every test of it runs on memory, on the weakest kernel there is, and on SQLite; as a
soak on PostgreSQL too, whose openings take their time, and what processes do to each other there in every run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast import Holdfast
from holdfast.testing.clock import ManualClock
from tests.unit.stores import Stores

IN_EVERY_RUN = {"test_claim", "test_turn"}
"""The files that no run leaves PostgreSQL out of: claims and turns are for stores that processes share."""


def pytest_itemcollected(item: pytest.Item) -> None:
    on = item.callspec.params.get("stores") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    if on == "postgres" and item.path.stem not in IN_EVERY_RUN:
        item.add_marker(pytest.mark.soak)


@pytest.fixture(params=["memory", "weakest", "sqlite", "postgres"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    made = Stores(request.param, tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def spanning(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    """A store whose commits span any scopes."""
    made = Stores("memory", tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def hold(stores: Stores) -> Holdfast:
    return await stores.open()


@pytest.fixture
def clock(stores: Stores) -> ManualClock:
    return stores.clock
