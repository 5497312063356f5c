"""A follower in another process is killed in the middle, starts again from its cursor, and misses and doubles nothing.

It keeps the cursor in the same line as what it saw, so that a kill cannot come between the two, and goes on after the
last whole line.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

from holdfast import Holdfast

STORE = "sqlite:///followed.db"
SEEN = Path("seen.jsonl")
COUNT = 200


def lines() -> list[dict[str, object]]:
    """What the follower wrote down so far; a torn last line does not count."""
    text = SEEN.read_text() if SEEN.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    SEEN.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


async def follow() -> None:
    """The follower: goes on after the last change it wrote down, and ends with the last step."""
    seen = lines()
    after = str(seen[-1]["cursor"]) if seen else "beginning"
    async with Holdfast.open(STORE) as hold:
        s = await hold.sessions.get("job")
        assert s is not None
        with SEEN.open("a") as file:
            async with s.changes(after=after, kinds={"state"}) as changes:
                async for change in changes:
                    file.write(json.dumps({"cursor": change.cursor, "key": change.key, "value": change.value}) + "\n")
                    file.flush()
                    if change.key == "done":
                        return


def wait_for_lines(count: int) -> None:
    """Wait until the follower has begun."""
    while not SEEN.exists() or SEEN.read_text().count("\n") < count:
        time.sleep(0.01)


async def main() -> None:
    async with Holdfast.open(STORE) as hold:
        s = await hold.sessions.create(id="job")
        follower = subprocess.Popen([sys.executable, __file__, "follow"])
        for i in range(COUNT):
            await s.state.update({"step": i, "square": i * i})  # one commit, two changes
            if i == COUNT // 2:
                await asyncio.to_thread(wait_for_lines, 5)  # so that the kill lands in the middle
                follower.kill()
                follower.wait()
                print(f"The follower was killed after {len(lines())} changes, and is started again.")
                follower = subprocess.Popen([sys.executable, __file__, "follow"])
        await s.state.set("done", value=True)
        assert await asyncio.to_thread(follower.wait) == 0

    seen = lines()
    steps = [line["value"] for line in seen if line["key"] == "step"]
    assert steps == list(range(COUNT)), "missed, doubled or out of order"
    assert len(seen) == 2 * COUNT + 1
    assert len({line["cursor"] for line in seen}) == len(seen)
    print(f"It saw all {len(seen)} changes, each once and in order.")


if __name__ == "__main__":
    asyncio.run(follow() if sys.argv[1:] else main())
