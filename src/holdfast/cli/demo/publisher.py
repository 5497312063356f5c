"""The publisher: a process of its own that asks a person whether the figures may be published, and does as they say.

Three nodes: the summary, the approval, the publication. It knows nothing of being killed: started again it finds what
was done, asks the same question, which is the one that stands in the store already, and goes on with the answer.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from holdfast import Holdfast
from holdfast.cli.demo.count import Totals
from holdfast.cli.demo.leash import Leash, lead
from holdfast.cli.store import keys
from holdfast.errors import NotFound

RUN = "publish"
"""The id of its run."""

NODES = {"summary": (), "approval": ("summary",), "publication": ("approval",)}
"""What waits for what."""


def text_of(totals: Totals) -> str:
    """What is published."""
    return f"{totals.files:,} files, {totals.lines:,} lines, {totals.words:,} words, {totals.bytes:,} bytes"


async def publish(url: str, space: str, session_id: str, timeout_s: float, leash: Leash) -> None:
    """From wherever the run is to its end."""
    async with Holdfast.open(url, space=space, keys=keys(), background=False) as hold:
        session = await hold.sessions.get(session_id)
        run = None if session is None else await session.runs.get(RUN)
        if run is None:
            raise NotFound(f"the demo has lost the run of its session {session_id}", scope=f"session/{session_id}")
        async with run.claim(worker=f"publisher {os.getpid()}", ttl="2s"):
            await run.atomic("summary", summarise)
            if "summary" in run.ready_nodes():
                await run.progress("summary", "completed")
            question = await run.ask(
                f"Publish this: {run.input}?",
                kind="approval",
                node="approval",
                key="publish",
                payload=run.input,
                timeout=timeout_s,
                on_timeout="approve",
            )
            leash.tell()
            answer = await question.wait()
            approved = answer.decision == "approved"
            await run.refresh()
            if "approval" in run.ready_nodes():
                await run.progress("approval", "completed", output=answer.decision)

            async def act(step: Any) -> None:
                await step.state.set("published", run.input if approved else None)
                await step.log("published" if approved else "held back", {"text": run.input})

            await run.atomic("publication", act)
            await run.progress("publication", "completed" if approved else "skipped")
            await run.complete(answer.decision)


async def summarise(step: Any) -> None:
    """The first node: an entry in the log, once."""
    await step.log("summarised")


def main(url: str, space: str, session_id: str, timeout_s: str) -> int:
    """The process: its exit code."""
    leash = Leash()
    return lead(leash, publish(url, space, session_id, float(timeout_s), leash))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
