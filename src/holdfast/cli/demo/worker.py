"""The worker: a process of its own that counts the files of the list that have no mark yet, one transaction each.

It knows nothing of being killed, and prepares for nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys

from holdfast import Holdfast
from holdfast.cli.demo.count import count_file
from holdfast.cli.demo.files import unspell
from holdfast.cli.demo.leash import Leash, lead
from holdfast.cli.demo.ledger import file_key, ledger_of, settle
from holdfast.cli.store import keys


async def work(url: str, space: str, session_id: str, leash: Leash) -> None:
    """Count every file that is not counted."""
    async with Holdfast.open(url, space=space, keys=keys(), background=False) as hold:
        with hold.acting(by=f"worker {os.getpid()}"):
            ledger = await ledger_of(hold, session_id)
            session = ledger.work
            plan = await ledger.plan()
            root = unspell(plan.root)
            done = set(await session.state.keys())
            await session.log("started", {"pid": os.getpid(), "done": (await ledger.totals()).files})
            for number, name in enumerate(await ledger.names(plan)):
                if file_key(number) not in done:
                    count = await asyncio.to_thread(count_file, root, name)
                    await settle(session, number, count, may_commit=leash.may_commit)


def main(url: str, space: str, session_id: str) -> int:
    """The process: its exit code."""
    leash = Leash()
    return lead(leash, work(url, space, session_id, leash))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
