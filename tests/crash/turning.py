"""What a process does that runs turns until it is killed: each request a little ledger in its session.

A request reads the count, asks a world outside in a step, and writes the count and a message that names the request,
with the new count as its answer. So a session whose turns were serial has as many messages as its count, each request
once. What it does to the world outside stands in a file, in the order in which it happened: an attempt `began`, it
`asked`, and the result of that step was `kept`.
"""

import asyncio
import time
import uuid
from pathlib import Path
from random import Random

from holdfast import Busy, Conflict, Holdfast, LeaseLost, Session

SPACE = "turns"

TTL_S = 0.4
"""How long a turn is believed in whose process is not heard of."""

STALL_S = 2.5 * TTL_S
"""A stall: the whole process stands still for longer, its beats too. All but the last one are killed meanwhile."""


def turns(*, url: str, asked: str, sessions: list[str], requests: int, place: int, seed: int) -> None:
    """Send every request, in an order of one's own, until this process is killed or all are answered."""
    chance = Random(f"{seed} {place}")
    todo = [(session, f"r{number}") for session in sessions for number in range(requests)]
    chance.shuffle(todo)

    async def work() -> None:
        async with Holdfast.open(url, space=SPACE, background=False) as hold:
            lanes = [todo[lane::4] for lane in range(4)]
            await asyncio.gather(*(_send_all(hold, lane, Path(asked), chance) for lane in lanes))

    asyncio.run(work())


async def _send_all(hold: Holdfast, todo: list[tuple[str, str]], asked: Path, chance: Random) -> None:
    for id, request in todo:
        session = await hold.sessions.get(id)
        assert session is not None
        answered = False
        while not answered:
            answered = await _answered(session, request, asked, chance)


async def _answered(session: Session, request: str, asked: Path, chance: Random) -> bool:
    busy = "supersede" if chance.random() < 0.3 else "queue"
    attempt = uuid.uuid4().hex
    _tell(asked, "began", session.id, request, attempt)
    try:
        async with session.turn(request_id=request, busy=busy, wait="20s", ttl=TTL_S) as turn:  # type: ignore[arg-type]
            if turn.replayed:
                return True
            count = await session.state.get("count", int, default=0)  # past the turn: no condition of its end
            await turn.step("ask", _ask, asked, session.id, request, attempt, key=request)
            _tell(asked, "kept", session.id, request, attempt)
            await turn.messages.add("user", request)
            await asyncio.sleep(0.02 * chance.random())
            if chance.random() < 0.02:
                time.sleep(STALL_S)  # the process stands still
            await turn.state.set("count", count + 1)
            turn.output = count + 1
    except (Busy, LeaseLost, Conflict):
        return False
    return True


def _ask(asked: Path, session: str, request: str, attempt: str) -> str:
    """The world outside: one line for each time it was asked."""
    _tell(asked, "asked", session, request, attempt)
    return request


def _tell(asked: Path, *words: str) -> None:
    """A line that outlives this process, after those that any process wrote before."""
    with open(asked, "ab", buffering=0) as lines:
        lines.write(f"{' '.join(words)}\n".encode())
