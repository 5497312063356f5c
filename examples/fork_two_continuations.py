"""One conversation, two continuations: a fork for each idea, and the better one goes on."""

import asyncio

from holdfast import Holdfast, Session

IDEAS = {
    "by train": ["Take the night train.", "It stops in Nara."],
    "by plane": ["Fly.", "It lands at noon.", "Rent a car."],
}


async def think(s: Session, idea: str) -> int:
    """What an agent makes of an idea: here a script, elsewhere a model. Returns what it takes in hours."""
    hours = 0
    for step in IDEAS[idea]:
        await s.messages.add("assistant", step)
        hours += len(step) // 5
    await s.state.update({"plan": idea, "hours": hours})
    return hours


async def main() -> None:
    async with Holdfast.open("memory://") as hold:
        s = await hold.sessions.create(user="ada", task="Get to Nara")
        await s.messages.add("user", "How do I get to Nara?")
        await s.state.set("budget", 900)
        asked = await s.checkpoint(label="asked")

        forks = {idea: await s.fork(at=asked.id) for idea in IDEAS}
        hours = await asyncio.gather(*(think(fork, idea) for idea, fork in forks.items()))
        best = min(zip(hours, IDEAS, strict=True))[1]

        # In what they differ, as a JSON Patch that makes the one the other.
        first, second = [(await fork.checkpoint()).id for fork in forks.values()]
        print([(step.path, step.value) for step in await hold.diff(first, second)])

        for idea, fork in forks.items():
            if idea != best:
                await fork.cancel(f"{best} is better")
        chosen = forks[best]
        print(f"{best}: {await chosen.state.get('hours')} hours")
        print([m.content for m in await chosen.messages.list()])

        # The conversation they came from knows nothing of it: that can be tried once more, in place.
        assert await s.state.keys() == ["budget"]
        await think(s, "by plane")
        undo = await s.restore(asked.id)
        assert [m.content for m in await s.messages.list()] == ["How do I get to Nara?"]
        print([(step.op, step.path) for step in await s.diff(asked.id, undo.id)])


asyncio.run(main())
