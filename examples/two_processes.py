"""Two processes share one session: both change one number by `mutate`, both add messages, and nothing is lost."""

import asyncio
import subprocess
import sys
from itertools import pairwise
from uuid import uuid4

from holdfast import Holdfast

STORE = "sqlite:///shared.db"
EACH = 50


async def work(session_id: str, name: str) -> None:
    """What each process does."""
    async with Holdfast.open(STORE) as hold:
        s = await hold.sessions.open(session_id, task="Count together")  # whoever comes first makes it
        for i in range(EACH):
            n = await s.state.mutate("n", lambda n: n + 1, int, default=0)
            await s.messages.add(name, f"my {i}, ours {n}")


async def main() -> None:
    session_id = f"shared-{uuid4()}"  # run again, they count from nought in a session of their own
    workers = [subprocess.Popen([sys.executable, __file__, session_id, name]) for name in ("ada", "bo")]
    assert [worker.wait() for worker in workers] == [0, 0]

    async with Holdfast.open(STORE) as hold:
        s = await hold.sessions.open(session_id)
        n = await s.state.get("n", int)
        messages = await s.messages.list(limit=1000)
        print(f"Two processes, {EACH} times each: n is {n}, and there are {len(messages)} messages.")
        assert n == len(messages) == 2 * EACH

        turns = sum(a.role != b.role for a, b in pairwise(messages))
        print(f"They took turns {turns} times. Each one's messages are in its order:")
        for name in ("ada", "bo"):
            own = [message.content.split(",")[0] for message in messages if message.role == name]
            assert own == [f"my {i}" for i in range(EACH)]
            print(f"  {name}: {own[0]} … {own[-1]}")


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]) if sys.argv[1:] else main())
