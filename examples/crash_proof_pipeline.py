"""A pipeline over real files whose worker is killed again and again: every file is read once, and the sum is right.

Three stages for each file (read, count, add to the ledger), then a report. The worker knows nothing of being killed and
prepares for nothing: what it finished is remembered, and whoever takes the run up goes on there.
"""

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

from holdfast import Holdfast

STORE = "sqlite:///pipeline.db"
FOLDER = Path("letters")
FILES = 12
KILLS = 3


def write_letters() -> int:
    """The files that the pipeline reads; returns how many words they have."""
    FOLDER.mkdir(exist_ok=True)
    for number in range(FILES):
        (FOLDER / f"{number:02d}.txt").write_text("word " * (number + 1))
    return sum(range(FILES + 1))


def count(name: str) -> int:
    """The slow part: with a trace outside of the store of each time that it is done."""
    with (FOLDER / "calls.log").open("a") as calls:
        calls.write(f"{name}\n")
    return len((FOLDER / name).read_text().split())


async def one_file(run, name: str) -> None:
    """Counted once, and added to the sum once, whatever becomes of the process in between."""
    words = await run.step("count", asyncio.to_thread, count, name, key=name)

    async def add(step) -> None:
        await step.state.mutate("words", lambda total: total + words, int, default=0)
        await step.log("counted", {"file": name, "words": words})

    await run.atomic("add", add, key=name)
    await run.progress(name, "completed", output=words)


async def work(run_id: str) -> None:
    """What the worker does, from wherever the run is."""
    async with Holdfast.open(STORE) as hold:
        run = await hold.runs.get(run_id)
        async with run.claim(worker="pipeline", ttl="1s"):
            while ready := run.ready_nodes():
                for node in ready:
                    if node == "report":
                        await run.progress("report", "completed")
                    else:
                        await one_file(run, node)
            await run.complete()


async def main() -> None:
    words = write_letters()
    (FOLDER / "calls.log").write_text("")
    names = sorted(path.name for path in FOLDER.glob("*.txt"))
    chance, kills = random.Random(7), 0
    async with Holdfast.open(STORE) as hold:
        s = await hold.sessions.create(task="Count the words")
        run = await s.runs.start("pipeline", nodes={**{name: [] for name in names}, "report": names})
        async with s.changes(kinds={"run"}) as changes:
            while (await run.refresh()).status.is_open:
                worker = subprocess.Popen([sys.executable, __file__, run.id])
                if kills < KILLS:
                    for _ in range(chance.randint(1, 4)):
                        await anext(changes)  # it is at work: something of the run has moved
                    worker.kill()
                    kills += 1
                assert await asyncio.to_thread(worker.wait) in (0, -signal.SIGKILL)
        counted = await s.events(types={"counted"}, limit=100)
        calls = (FOLDER / "calls.log").read_text().split()
        total = await s.state.get("words", int)
        print(f"Killed {kills} times. {len(names)} files, {total} words; {len(calls)} files were read.")
        assert total == words
        assert sorted(event.data["file"] for event in counted.items) == names  # each once
        assert set(calls) == set(names)
        assert len(calls) <= len(names) + kills  # only what was cut in the middle was read again


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]) if sys.argv[1:] else main())
