"""Another process on a store: it does what it is told, line by line, and answers once that is acknowledged.

{"do": "set", "scope": "user/ada", "key": "k", "value": 3}     also get, delete, create and drop (of a session)
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from holdfast import Holdfast, Scope


class Peer:
    """The other process, as the test has it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, url: str) -> Peer:
        """Start it and wait until the store is open there."""
        root = Path(__file__).parents[2]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.concurrency.peer",
            url,
            cwd=root,
            env={**os.environ, "PYTHONPATH": f"{root / 'src'}"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        peer = cls(process)
        assert await peer._answer() == "open"
        return peer

    async def do(self, what: str, **arguments: Any) -> Any:
        """Have it do something; its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
        return await self._answer()

    async def end(self) -> None:
        """Let it close the store and end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert await self._process.wait() == 0

    async def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 60)
        assert line, "the other process ended"
        return json.loads(line)


async def serve(url: str) -> None:
    async with Holdfast.open(url) as hold:
        tell("open")
        while line := await asyncio.to_thread(sys.stdin.readline):
            tell(await obey(hold, json.loads(line)))


async def obey(hold: Holdfast, order: dict[str, Any]) -> Any:
    kind, _, name = order["scope"].partition("/")
    match order["do"]:
        case "set":
            return await hold.state(Scope(kind, name)).set(order["key"], order["value"])
        case "get":
            return await hold.state(Scope(kind, name)).get(order["key"])
        case "delete":
            return await hold.state(Scope(kind, name)).delete(order["key"])
        case "create":
            await hold.sessions.create(id=name)
        case "drop":
            return await hold.sessions.delete(name)


def tell(answer: Any) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
