"""The follower: a process of its own that follows the work's change stream live, and keeps account of every change.

What it has seen and the cursor to go on from are one value in one commit. So it may be cut off anywhere: what it
received and did not store, it receives again; what it stored, never.
"""

from __future__ import annotations

import asyncio
import os
import sys

from holdfast import Change, Holdfast, HoldfastError
from holdfast.cli.demo.leash import Leash, lead
from holdfast.cli.demo.ledger import Ledger, is_last, ledger_of
from holdfast.cli.store import keys

PAUSE_S = 0.02
"""Between two commits, so that a batch can gather: the work's own commits go first."""


class Account:
    """The changes received and not yet stored."""

    def __init__(self) -> None:
        self._waiting: list[Change] = []
        self._arrived = asyncio.Event()
        self._problem: HoldfastError | None = None

    async def receive(self, ledger: Ledger, after: str) -> None:
        """Take every change until the work is finished."""
        try:
            async with ledger.work.changes(after=after) as changes:
                async for change in changes:
                    self._waiting.append(change)
                    self._arrived.set()
                    if is_last(change):
                        return
        except HoldfastError as problem:
            self._problem = problem
            self._arrived.set()

    async def take(self) -> list[Change]:
        """Wait for changes and take all there are. Raises what ended the stream."""
        await self._arrived.wait()
        self._arrived.clear()
        if self._problem is not None:
            raise self._problem
        taken, self._waiting = self._waiting, []
        return taken


async def follow(url: str, space: str, session_id: str, leash: Leash) -> None:
    """Follow from the last stored cursor to the end of the work."""
    async with Holdfast.open(url, space=space, keys=keys(), background=False) as hold:
        with hold.acting(by=f"follower {os.getpid()}"):
            ledger = await ledger_of(hold, session_id)
            seen = await ledger.seen()
            version = await version_of_seen(ledger)
            account = Account()
            receiving = asyncio.create_task(account.receive(ledger, seen.cursor or "beginning"))
            while not seen.ended:
                changes = await account.take()
                for change in changes:
                    seen = seen.plus(change)
                # A second follower would be refused here: nobody keeps account of another's changes.
                version = await ledger.follower.state.set("seen", seen, if_version=version)
                leash.tell()
                await asyncio.sleep(0 if seen.ended else PAUSE_S)
            await receiving


async def version_of_seen(ledger: Ledger) -> int:
    """The version of what was stored last; 0 if nothing was."""
    history = await ledger.follower.state.history("seen", limit=1)
    return history.items[0].version if history.items else 0


def main(url: str, space: str, session_id: str) -> int:
    """The process: its exit code."""
    leash = Leash()
    return lead(leash, follow(url, space, session_id, leash))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
