"""A thousand live sessions of twenty keys and fifty messages each in the memory backend.

Measured in a process of its own. Keys hold 100 bytes, messages 200 characters. "Live" means that the program holds a
handle of each. Two figures are held to the goal of 100 MB: the whole process, of which Python and the library's code
take some 28, and what the sessions with their log added to it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.finding import Finding, absolute
from benchmarks.load import KEYS, key_name, session_name, value_of
from benchmarks.memory import peak_bytes, resident_bytes
from benchmarks.pairs import Goal
from holdfast import Holdfast
from holdfast.handles.session import Session

MESSAGES = 50
TEXT = "m" * 200
ROOT = Path(__file__).parent.parent
GOAL_MB = Goal(at_most=100)


def measure(effort: Effort) -> list[Finding]:
    """The whole process at its largest, and what the sessions added to it."""
    sessions = effort.size(1_000, quick=5)
    rounds = [_child(sessions) for _ in range(effort.size(7, quick=1))]
    what = f"{sessions:,} sessions in memory://"
    payload = sessions * (KEYS * len(value_of(0)) + MESSAGES * len(TEXT)) / 1e6
    return [
        absolute(what, "the whole process, peak", [one["peak"] / 1e6 for one in rounds], unit="MB", goal=GOAL_MB,
                 theirs=f"{payload:,.1f} MB of values"),
        absolute(what, "what they added", [(one["after"] - one["before"]) / 1e6 for one in rounds], unit="MB",
                 goal=GOAL_MB, theirs=f"{payload:,.1f} MB of values"),
    ]  # fmt: skip


def _child(sessions: int) -> dict[str, int]:
    command = [sys.executable, "-m", "benchmarks.memory_size", str(sessions)]
    found: dict[str, int] = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)
    return found


async def _live(sessions: int) -> dict[str, int]:
    async with Holdfast.open("memory://") as hold:
        before = resident_bytes()
        live: list[Session] = []
        for number in range(sessions):
            session = await hold.sessions.create(id=session_name(number), user=f"user-{number % 100}")
            for key in range(KEYS):
                await session.state.set(key_name(key), value_of(key).decode())
            for _ in range(MESSAGES):
                await session.messages.add("user", TEXT)
            live.append(session)
        return {"before": before, "after": resident_bytes(), "peak": peak_bytes(), "sessions": len(live)}


def main() -> None:
    """In the process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sessions", type=int)
    print(json.dumps(asyncio.run(_live(parser.parse_args().sessions))))


if __name__ == "__main__":
    main()
