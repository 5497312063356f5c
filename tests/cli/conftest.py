"""What the tests of the command line share: a store in a file with something in it."""

import asyncio
from pathlib import Path

import pytest

from holdfast import Holdfast, Scope


async def fill(url: str) -> None:
    """Two sessions, some state, messages and events."""
    async with Holdfast.open(url) as hold:
        with hold.acting(by="ada", trace_id="t-1"):
            trip = await hold.sessions.create(
                id="trip", user="ada", app="travel", mode="planner", task="Plan a trip", tags=["vip", "eu"]
            )
            await trip.state.update({"cart": ["milk"], "city": "Kyoto"})
            await trip.state.set("cart", ["milk", "eggs"])
            await trip.runtime.set("step", 3)
            await trip.messages.add("user", "hello", metadata={"api_calls": 1})
            await trip.log("note", {"n": 1})
        await hold.sessions.create(id="bare", user="bo")
        await hold.state(Scope.user("ada"), "prefs").set("name", "Ada")


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The path of a store with content."""
    path = tmp_path / "app.db"
    asyncio.run(fill(f"sqlite:///{path}"))
    return str(path)
