"""A chat that remembers: messages and state in one session, and a restart in the middle of the conversation.

The "model" is a few rules, so that the example runs anywhere. Put a real one in `reply`.
"""

import asyncio
from uuid import uuid4

from holdfast import Holdfast, Session

STORE = "sqlite:///chat.db"


async def reply(s: Session, text: str) -> str:
    """What the assistant says, by what it knows."""
    city = await s.state.get("city", str)
    if city is None:
        return "Where to?"
    nights = await s.state.get("nights", int)
    if nights is None:
        return f"{city}, good. How many nights?"
    heard = len(await s.messages.list(limit=100))
    return f"{nights} nights in {city}. I read that in {heard} messages, and did not forget."


async def turn(s: Session, text: str) -> str:
    """One exchange: what was said, what was learnt and what is answered are committed together."""
    async with s.transaction() as tx:
        await tx.messages.add("user", text)
        if text.istitle():
            await tx.state.set("city", text)
        if text.isdigit():
            await tx.state.set("nights", int(text))
    answer = await reply(s, text)
    await s.messages.add("assistant", answer)
    return answer


async def talk(trip: str, *lines: str) -> str:
    """Open the store, say these lines in the session of that trip, close it again."""
    answer = ""
    async with Holdfast.open(STORE) as hold:
        s = await hold.sessions.open(trip, user="ada", task="Plan a trip")
        for line in lines:
            answer = await turn(s, line)
            print(f"  ada: {line}\n  bot: {answer}")
    return answer


async def main() -> None:
    trip = f"trip-{uuid4()}"  # run again, this is another conversation in the same store

    print("The first process:")
    assert await talk(trip, "hello", "Kyoto") == "Kyoto, good. How many nights?"

    print("It ended. The next one:")
    assert await talk(trip, "2") == "2 nights in Kyoto. I read that in 5 messages, and did not forget."

    async with Holdfast.open(STORE) as hold:
        s = await hold.sessions.open(trip, user="ada")
        last = await s.messages.last(2)
        assert [message.role for message in last] == ["user", "assistant"]
        snapshot = await s.state.snapshot()
        assert snapshot.values == {"city": "Kyoto", "nights": 2}
        print(f"{s.task!r} has {len(await s.messages.list(limit=100))} messages, at version {snapshot.version}.")


if __name__ == "__main__":
    asyncio.run(main())
