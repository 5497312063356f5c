"""A process that stands still inside a turn for longer than its ttl, and then goes on: its session has gone to another.

The parent stops it (SIGSTOP) when it says over a pipe that it is inside, lets another opening of the store take the
session over and finish a turn, and only then lets it go on. So it wakes into a turn that was fenced, at the very
same place every time.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from holdfast import Holdfast, LeaseLost
from tests.servers import afresh, postgres, schema

SPACE = "stalled"
TTL_S = 0.3
STORES = ("sqlite", "postgres")


async def _stall(url: str) -> dict[str, Any]:
    """Stand still in a turn that has written and finished a step; what it was told at each write since, and after."""
    told: dict[str, Any] = {}
    async with Holdfast.open(url, space=SPACE, background=False) as hold:
        session = await hold.sessions.get("s")
        assert session is not None
        try:
            async with session.turn(request_id="r", ttl=TTL_S) as turn:
                await turn.step("first", lambda: "kept")
                await turn.state.set("count", 100)
                await turn.messages.add("user", "of the one that stood still")
                print("inside", flush=True)
                sys.stdin.readline()  # stopped here, with the loop and the beats; goes on when the parent has said so
                for name, write in {
                    "step": lambda: turn.step("second", lambda: "late"),
                    "state": lambda: turn.state.set("late", 1),
                    "message": lambda: turn.messages.add("user", "late"),
                }.items():
                    try:
                        await write()
                        told[name] = "written"
                    except LeaseLost:
                        told[name] = "LeaseLost"
                turn.output = "of the one that stood still"
            told["end"] = "written"
        except LeaseLost:
            told["end"] = "LeaseLost"
        async with session.turn(request_id="r", busy="queue", wait="20s") as again:
            told["again"] = [again.replayed, again.output]
            if not again.replayed:
                again.output = told["again"][1] = await again.step("first", lambda: "ran anew")
    return told


class Stalling:
    """That process, from its start to its end."""

    def __init__(self, url: str) -> None:
        root = Path(__file__).parents[2]
        paths = os.pathsep.join([str(root / "src"), str(root)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.test_stalled_turn", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=root,
            env={**os.environ, "PYTHONPATH": paths},
            text=True,
        )

    def stop_inside(self) -> Self:
        """Return when it stands still inside its turn."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "inside\n"
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)
        return self

    def go_on(self) -> dict[str, Any]:
        """Let it go on to its end; what it was told."""
        os.kill(self._process.pid, signal.SIGCONT)
        said, _ = self._process.communicate("on\n", timeout=60)
        assert self._process.returncode == 0
        return dict(json.loads(said))

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}?durability=process"
    afresh()
    return postgres().url(schema=schema(), durability="process")


@pytest.fixture
def stalling(url: str) -> Iterator[Stalling]:
    async def begin() -> None:
        async with Holdfast.open(url, space=SPACE) as hold:
            session = await hold.sessions.create(id="s")
            await session.state.set("count", 1)

    asyncio.run(begin())
    process = Stalling(url)
    yield process
    process.end()


def _is_of_the_others(found: dict[str, Any], count: int) -> None:
    assert found["state"] == {"count": count}, "what a fenced turn wrote is in the store"
    assert found["said"] == ["of the other"]


async def _found(session: Any) -> dict[str, Any]:
    said = [message.content for message in await session.messages.list()]
    return {"state": {key: await session.state.get(key) for key in await session.state.keys()}, "said": said}


@pytest.mark.parametrize("request_id", ["r", "another"])
def test_a_turn_that_wakes_after_its_session_was_taken_over_writes_nothing_and_is_told(
    url: str, stalling: Stalling, request_id: str
) -> None:
    """Every write of a fenced turn is LeaseLost, and its end too; nothing of it is in the store.

    Its request, repeated, is answered by the turn of the other that answered it, or else runs anew, once, from its
    finished step.
    """

    async def take_over() -> None:
        stalling.stop_inside()
        async with Holdfast.open(url, space=SPACE, background=False) as hold:
            session = await hold.sessions.get("s")
            assert session is not None
            async with session.turn(request_id=request_id, busy="queue", wait="20s", ttl=TTL_S) as turn:
                count = await turn.state.get("count", int)
                await turn.state.set("count", count + 1)
                await turn.messages.add("user", "of the other")
                turn.output = "of the other"
            told = await asyncio.to_thread(stalling.go_on)
            answered = [True, "of the other"] if request_id == "r" else [False, "kept"]
            assert told.pop("again") == answered
            assert set(told.values()) == {"LeaseLost"}, told
            _is_of_the_others(await _found(session), 2)
            async with session.turn(request_id="r") as again:
                assert (again.replayed, again.output) == (True, answered[1])

    asyncio.run(take_over())


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_stall(sys.argv[1]))), flush=True)
