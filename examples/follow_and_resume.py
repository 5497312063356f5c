"""A follower in another process is killed in the middle, starts again from its cursor, and misses and doubles nothing.

It keeps the cursor in the same line as what it saw, so that a kill cannot come between the two, and goes on after the
last whole line. The store and the follower's lines are in a temporary folder, gone at the end.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from holdfast import Holdfast

COUNT = 200


def store(folder: Path) -> str:
    """Where both processes keep it."""
    return f"sqlite:///{(folder / 'followed.db').as_posix()}"


def lines(seen: Path) -> list[dict[str, object]]:
    """What the follower wrote down so far; a torn last line does not count, and is cut off."""
    text = seen.read_text() if seen.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    seen.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


async def follow(folder: Path) -> None:
    """The follower: goes on after the last change it wrote down, and ends with the last step."""
    seen = folder / "seen.jsonl"
    before = lines(seen)
    after = str(before[-1]["cursor"]) if before else "beginning"
    async with Holdfast.open(store(folder)) as hold:
        s = await hold.sessions.get("job")
        assert s is not None
        with seen.open("a") as file:
            async with s.changes(after=after, kinds={"state"}) as changes:
                async for change in changes:
                    file.write(json.dumps({"cursor": change.cursor, "key": change.key, "value": change.value}) + "\n")
                    file.flush()
                    if change.key == "done":
                        return


def wait_for_lines(seen: Path, count: int) -> None:
    """Wait until the follower has begun."""
    while not seen.exists() or seen.read_text().count("\n") < count:
        time.sleep(0.01)


async def main(folder: Path) -> None:
    seen = folder / "seen.jsonl"
    command = [sys.executable, __file__, str(folder)]
    async with Holdfast.open(store(folder)) as hold:
        s = await hold.sessions.create(id="job")
        follower = subprocess.Popen(command)
        for i in range(COUNT):
            await s.state.update({"step": i, "square": i * i})  # one commit, two changes
            if i == COUNT // 2:
                await asyncio.to_thread(wait_for_lines, seen, 5)  # so that the kill lands in the middle
                follower.kill()
                follower.wait()
                print(f"The follower was killed after {len(lines(seen))} changes, and is started again.")
                follower = subprocess.Popen(command)
        await s.state.set("done", value=True)
        assert await asyncio.to_thread(follower.wait) == 0

    told = lines(seen)
    steps = [line["value"] for line in told if line["key"] == "step"]
    assert steps == list(range(COUNT)), "missed, doubled or out of order"
    assert len(told) == 2 * COUNT + 1
    assert len({line["cursor"] for line in told}) == len(told)
    print(f"It saw all {len(told)} changes, each once and in order.")


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(follow(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(main(Path(made)))
