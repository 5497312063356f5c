"""A turn on PostgreSQL whose process is killed amid it: exclusive until nothing is heard of it, then taken up where its
finished steps end, then replayed.
"""

import asyncio
import time
from pathlib import Path

import pytest

from holdfast import Busy, Holdfast
from tests.crash.nursery import Nursery, child
from tests.servers import afresh, postgres, schema

TTL_S = 0.4
SPACE = "turn-killed"


def _ask(world: Path) -> int:
    """The world outside, which writes down that it was asked."""
    with open(world, "ab", buffering=0) as lines:
        lines.write(b"asked\n")
    return 42


def begin_and_hang(*, url: str, world: str, alive: str) -> None:
    """What the process does that is killed: it finishes a step, says so and stands still in its turn."""

    async def work() -> None:
        async with Holdfast.open(url, space=SPACE) as hold:
            session = await hold.sessions.get("s")
            assert session is not None
            async with session.turn(request_id="r", ttl=TTL_S) as turn:
                await turn.step("ask", _ask, Path(world), key="once")
                await turn.state.set("lost", True)
                Path(alive).write_bytes(b"1")
                time.sleep(60)

    asyncio.run(work())


async def test_a_turn_of_a_killed_process_is_exclusive_then_taken_up_after_its_step_then_replayed(
    tmp_path: Path,
) -> None:
    """On PostgreSQL, across processes: Busy while the claim may live, no finished step twice, one answer."""
    await asyncio.to_thread(afresh)
    url, world, alive = postgres().url(schema=schema()), tmp_path / "world", tmp_path / "alive"
    async with Holdfast.open(url, space=SPACE) as hold:
        session = await hold.sessions.create(id="s")
        doomed = child("tests.crash.test_turn_killed:begin_and_hang", url=url, world=str(world), alive=str(alive))
        with Nursery() as nursery:
            ends = await asyncio.to_thread(nursery.run, doomed, kill_after_s=0, alive_when=str(alive))
        assert ends == [-9]
        with pytest.raises(Busy):
            async with session.turn(request_id="r", busy="reject", ttl=TTL_S):
                pass
        async with session.turn(request_id="r", busy="queue", wait="20s", ttl=TTL_S) as turn:
            assert not turn.replayed
            turn.output = await turn.step("ask", _ask, world, key="once")
        async with session.turn(request_id="r") as again:
            assert (again.replayed, again.output) == (True, 42)
        assert world.read_text() == "asked\n"
        assert await session.state.get("lost") is None
