"""A worker shows its progress a thousand times; a follower sees it move, and the store commits it a few times."""

import asyncio

from holdfast import Buffered, Config, Holdfast, RuntimeConfig, Session

STEPS = 1000


async def work(s: Session) -> None:
    for step in range(1, STEPS + 1):
        answer = await s.runtime.set("progress", step / STEPS)
        assert isinstance(answer, Buffered)
        if step % 250 == 0:
            await s.log("milestone", {"step": step})  # carries what waits
            await asyncio.sleep(0)
    await s.runtime.flush()


async def main() -> None:
    config = Config(runtime=RuntimeConfig(persistence="batched", batch_size=100, flush_every="1s"))
    async with Holdfast.open("memory://", config=config) as hold:
        s = await hold.sessions.create(task="Index the library")
        async with s.changes(kinds={"runtime"}) as changes:
            await work(s)
            told = 0
            async for change in changes:
                told += 1
                if change.value == 1.0:
                    break
        version = (await s.state.snapshot()).version
        print(f"{STEPS} writes, {told} changes, {version} commits")
        assert told < STEPS / 10


asyncio.run(main())
