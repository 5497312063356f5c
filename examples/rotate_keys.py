"""An encrypted store whose key is changed while somebody writes to it, and which then needs the new key alone.

In life the keys come from a secret store, by the environment: `KeyRing.parse(os.environ["APP_KEYS"])`.
"""

import asyncio
import os
from pathlib import Path
from uuid import uuid4

from holdfast import Holdfast, KeyRing
from holdfast.errors import WrongKey

STORE = "sqlite:///vault.db"
SPACE = uuid4().hex  # each run has one of its own: every space has its own keys


async def note_down(hold: Holdfast, count: int) -> None:
    """What an application does all day."""
    s = await hold.sessions.open("trip", user="ada")
    for number in range(count):
        await s.messages.add("user", f"passport X1234567, note {number}")
        await s.state.set("notes", number + 1)


async def main() -> None:
    october, november = os.urandom(32), os.urandom(32)

    async with Holdfast.open(STORE, space=SPACE, keys=KeyRing({"2026-10": october}, active="2026-10")) as hold:
        await note_down(hold, 20)

    # Both keys in every process, the new one active; then everything that is there already.
    both = KeyRing({"2026-11": november, "2026-10": october}, active="2026-11")
    async with Holdfast.open(STORE, space=SPACE, keys=both) as hold:
        s = await hold.sessions.get("trip")
        before = await s.state.snapshot()
        done, _ = await asyncio.gather(hold.rekey(), note_down(hold, 20))
        print(f"{done.changed} of {done.seen} encrypted anew; old bytes left in the files: {not done.scrubbed}")
        assert (await s.state.history("notes", limit=40)).items[-1].version < before.version  # the past is all there

    # The old key can go.
    async with Holdfast.open(STORE, space=SPACE, keys=KeyRing({"2026-11": november}, active="2026-11")) as hold:
        s = await hold.sessions.get("trip")
        print(
            f"{len(await s.messages.list(limit=100))} messages, {await s.state.get('notes')} notes, under {both.active}"
        )

    try:
        await Holdfast.open(STORE, space=SPACE, keys=KeyRing({"2026-10": october}, active="2026-10"))
    except WrongKey as refused:
        print(f"with the old key alone: {refused}")

    assert not any(b"X1234567" in path.read_bytes() for path in Path().glob("vault.db*"))


asyncio.run(main())
