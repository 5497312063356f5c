"""Fixtures for the public surface: every test of it runs on memory, on the weakest kernel there is, and on SQLite; as a
soak on PostgreSQL too, whose openings take their time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast import Holdfast
from holdfast.testing.clock import ManualClock
from tests.unit.stores import Stores


@pytest.fixture(params=["memory", "weakest", "sqlite", pytest.param("postgres", marks=pytest.mark.soak)])
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
