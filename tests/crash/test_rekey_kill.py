"""A rekey that is killed at any moment is taken up by the next one, and loses nothing."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import Holdfast, KeyRing
from holdfast.errors import WrongKey
from tests.crash.places import STORES, files, place

OLD = KeyRing({"old": b"o" * 32}, active="old")
NEW = KeyRing({"new": b"n" * 32}, active="new")

REKEY = """
import asyncio, sys
from holdfast import Holdfast, KeyRing

async def main():
    ring = KeyRing({"old": b"o" * 32, "new": b"n" * 32}, active="new")
    async with Holdfast.open(sys.argv[1], keys=ring) as hold:
        done = await hold.rekey(lambda done: print(done.changed, flush=True))
        print("done" if done.scrubbed else "left", flush=True)

asyncio.run(main())
"""

ENDS = {"sqlite": "done", "postgres": "left"}
"""What a rekey that ended says: the log of a PostgreSQL server is its own, and may hold what was replaced."""


def rekey(url: str, *, kill_after: int | None) -> list[str]:
    """Rekey in a process of its own, killed after so many steps; what it said."""
    program = [sys.executable, "-c", REKEY, url]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line.strip())
            if len(said) == kill_after:
                process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    assert process.returncode == (0 if said[-1] in ENDS.values() else -signal.SIGKILL)
    return said


async def picture(hold: Holdfast) -> list[object]:
    """What is in the store, with its versions and its past."""
    shown: list[object] = []
    for s in (await hold.sessions.list(user="ada")).items:
        snapshot = await s.state.snapshot()
        history = [(past.version, past.value) for past in (await s.state.history("n", limit=50)).items]
        messages = [message.content for message in await s.messages.list(limit=50)]
        shown.append((s.id, snapshot.values, snapshot.version, history, messages))
    return shown


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("steps", [(1,), (2, 3), (5, 9, 1)])
async def test_a_rekey_killed_again_and_again_is_finished_by_the_next(
    store: str, steps: tuple[int, ...], tmp_path: Path
) -> None:
    """G21: each page is rewritten whole or not at all, and what is done is known by its key ids."""
    url = await asyncio.to_thread(place, store, tmp_path)
    async with Holdfast.open(url, keys=OLD) as hold:
        for number in range(6):
            s = await hold.sessions.create(id=f"s{number}", user="ada")
            for turn in range(5):
                await s.state.set("n", turn)
                await s.messages.add("user", f"message {turn}")
        before = await picture(hold)
    for step in steps:
        rekey(url, kill_after=step)
        with pytest.raises(WrongKey):
            await Holdfast.open(url, keys=NEW)
    assert rekey(url, kill_after=None)[-1] == ENDS[store]
    async with Holdfast.open(url, keys=NEW) as hold:
        assert await picture(hold) == before
    assert not any(b"\x02\x03old" in path.read_bytes() for path in await files(store, tmp_path))
