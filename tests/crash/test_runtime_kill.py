"""A process killed with runtime state waiting: what survives is what was written up to some moment, and what is lost is
two batches of a session at most.

It counts, says each number when the store has taken it in, and stands still after a given one, where it is killed:
before the first batch is full, and amid one of many.
"""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import Buffered, Config, Holdfast, RuntimeConfig

BATCH = 8
BATCHES_MAX = 2


def _config(persistence: str) -> Config:
    return Config(
        runtime=RuntimeConfig(persistence=persistence, batch_size=BATCH, checkpoint_every=BATCH, flush_every="1h")  # type: ignore[arg-type]
    )


async def _count(url: str, persistence: str, last: int) -> None:
    async with Holdfast.open(url, config=_config(persistence), background=False) as hold:
        session = await hold.sessions.get("s")
        assert session is not None
        for number in range(1, last + 1):
            answer = await session.runtime.update({"count": number, f"n{number:03}": number})
            assert isinstance(answer, Buffered)
            print(number, answer.pending, flush=True)
        sys.stdin.readline()  # killed here: the loop stands still, and sends nothing more


def _killed_after(url: str, persistence: str, last: int) -> int:
    """Let a process count so far and kill it; how many of its writes waited when the last was taken in."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.test_runtime_kill", url, persistence, str(last)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = [tuple(map(int, process.stdout.readline().split())) for _ in range(last)]
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert [number for number, _ in said] == list(range(1, last + 1))
    return said[-1][1]


@pytest.mark.parametrize("persistence", ["batched", "checkpoint"])
@pytest.mark.parametrize("last", [BATCH - 1, 5 * BATCH + 3])
async def test_of_runtime_state_that_waited_at_a_kill_a_beginning_survives_and_two_batches_at_most_are_lost(
    tmp_path: Path, persistence: str, last: int
) -> None:
    """No write is there without those before it, none is half there, and those that are lost were said to wait."""
    url = f"sqlite:///{tmp_path}/store.db?durability=process"
    async with Holdfast.open(url) as hold:
        session = await hold.sessions.create(id="s")
        waiting = await asyncio.to_thread(_killed_after, url, persistence, last)
        left = await session.runtime.all()
        count = left.pop("count", 0)
        assert left == {f"n{number:03}": number for number in range(1, count + 1)}
        assert last - count <= waiting <= BATCHES_MAX * BATCH
        if last < BATCH:
            assert (count, waiting) == (0, last)


if __name__ == "__main__":
    asyncio.run(_count(sys.argv[1], sys.argv[2], int(sys.argv[3])))
