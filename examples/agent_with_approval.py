"""An agent loop of one's own: a model, tools, a payment that a person must allow, and a process that dies meanwhile.

The model is scripted, so this runs anywhere; put your own call in its place. What it said is remembered step by step:
the second process asks it nothing again, finds the question that the first one asked, and goes on with the answer.
"""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from holdfast import Holdfast, Run, Session

STORE = "sqlite:///agent.db"
CALLS = Path("model-calls.log")

SCRIPT: list[dict[str, Any]] = [
    {"say": "Let me look for flights.", "tool": "search", "argument": "KIX"},
    {"say": "There is one for 900 €. I book it.", "tool": "pay", "argument": 900},
    {"say": "Done: you fly on Monday.", "tool": None, "argument": None},
]


async def model(heard: list[str]) -> dict[str, Any]:
    """What a model answers to what was said so far. Each call costs money, so each leaves a trace here."""
    with CALLS.open("a") as calls:
        calls.write(f"{len(heard)} messages\n")
    return SCRIPT[len(heard) - 1]


async def search(to: str) -> dict[str, Any]:
    """A tool that may be called at any time."""
    return {"to": to, "price": 900, "day": "Monday"}


async def pay(run: Run, amount: int) -> str:
    """A tool that a person must allow. The account changes together with the end of the step: once, or not at all."""
    answer = await run.ask_and_wait(
        f"Pay {amount} €?", key="pay", payload={"amount": amount}, timeout="2h", on_timeout="reject", assignees=["bo"]
    )
    if answer.decision != "approved":
        return "not allowed"

    async def book(step) -> str:
        await step.state.mutate("account", lambda left: left - amount, int, default=2000)
        return "paid"

    return await run.atomic("pay", book)


async def agent(s: Session, run: Run) -> None:
    """The loop: think, act, tell, until the model calls no tool any more."""
    heard = [run.input]
    for turn in range(len(SCRIPT)):
        thought = await run.step("think", model, heard, key=turn)
        heard.append(thought["say"])
        await s.emit("thinking", thought["say"])  # live, to whoever watches
        result = None
        if thought["tool"] == "search":
            result = await run.step("search", search, thought["argument"])
        elif thought["tool"] == "pay":
            result = await pay(run, thought["argument"])

        async def tell(step, said: str = heard[-1], result: Any = result) -> None:
            await step.messages.add("assistant", said, metadata={"result": result})

        await run.atomic("tell", tell, key=turn)
    await run.complete("booked")


async def work(session_id: str, run_id: str) -> None:
    """What the worker does: first, and again after it died."""
    async with Holdfast.open(STORE) as hold:
        s = await hold.sessions.get(session_id)
        run = await s.runs.get(run_id)
        async with run.claim(worker="agent", ttl="1s"):
            await agent(s, run)


async def main() -> None:
    CALLS.write_text("")
    async with Holdfast.open(STORE) as hold:
        s = await hold.sessions.create(user="ada", task="Book a flight to Osaka")
        run = await s.runs.start("book", input="I want to go to Osaka.")
        worker = [sys.executable, __file__, s.id, run.id]
        async with s.changes(kinds={"runtime", "interaction"}) as changes:
            first = subprocess.Popen(worker)
            async for change in changes:  # what a page would show while the agent works
                if change.op == "emit":
                    print(f"  the agent: {change.value}")
                elif change.kind == "interaction":
                    break
            first.kill()
            assert first.wait() == -signal.SIGKILL

        [question] = (await hold.interactions.pending(assignee="bo")).items
        print(f"The agent has asked {question.prompt!r} and was killed. Bo says yes.")
        await hold.interactions.answer(question.id, "approved", by="bo")

        second = subprocess.Popen(worker)
        assert await asyncio.to_thread(second.wait) == 0
        await run.refresh()
        said = [message.content for message in await s.messages.list()]
        account, calls = await s.state.get("account", int), CALLS.read_text().split("\n")[:-1]
        print(
            f"The run is {run.status}: {run.output}. {len(said)} messages, {account} € left, {len(calls)} model calls."
        )
        assert said == [thought["say"] for thought in SCRIPT]
        assert (run.output, account) == ("booked", 1100)
        assert len(calls) == len(SCRIPT)  # none was made twice, though the process died in between


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]) if sys.argv[1:] else main())
