"""An approval that waits over night: the process that asks ends, a person answers, another process goes on.

The same program runs twice, as a scheduler would start it. What is done is not done again: the search is a step, and
asking again finds the question that was asked before, with its answer.
"""

import asyncio
import tempfile
from pathlib import Path

from holdfast import Holdfast, Run


async def search(to: str) -> int:
    """Ask the airlines."""
    print(f"asking what a flight to {to} costs")
    return 900


async def book(url: str, *, patience: float) -> str:
    """The workflow, as far as it gets: `patience` is how long this process waits for a person, in seconds."""
    async with Holdfast.open(url) as hold:
        trip = await hold.sessions.open("trip", user="ada")
        run: Run = await trip.runs.start("book", id="book-trip", nodes={"pay": []}, on_exists="return")
        price = await run.step("search", search, "Kyoto")
        question = await run.ask(
            "May the flight be paid?", key="pay", node="pay", assignees=["bo"], timeout="12h", payload={"price": price}
        )
        try:
            answer = await question.wait(timeout=patience)
        except TimeoutError:
            return "waiting for bo"
        async with run.claim(worker="morning"):
            await run.progress("pay", "running")
            paid = question.payload["price"] if answer.approved else 0
            await run.progress("pay", "completed", output=paid)
            await run.complete({"paid": paid})
        return f"{answer.decision} by {answer.by}: paid {paid}"


async def answer_in_the_morning(url: str) -> None:
    """What a person does, in a program of their own: an inbox, a chat, the command line."""
    async with Holdfast.open(url) as hold:
        for question in (await hold.interactions.pending(assignee="bo")).items:
            print(f"bo is asked: {question.prompt} {question.payload}")
            await hold.interactions.answer(question.id, "approved", by="bo", digest=question.digest)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'app.db'}"
        print(await book(url, patience=0.1))
        await answer_in_the_morning(url)
        print(await book(url, patience=10))


if __name__ == "__main__":
    asyncio.run(main())
