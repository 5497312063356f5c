"""A test that waits for a day in no time: the clock and the ids are the test's own."""

import asyncio
from functools import partial

from holdfast import Config, Holdfast, Session, StateConfig
from holdfast.testing import ManualClock, SeededIds


async def sign_in(s: Session, code: str) -> bool:
    """The application under test: a code is good once, for ten minutes."""
    async with s.transaction() as tx:
        if await tx.temp.get("code", str) != code:
            return False
        await tx.temp.delete("code")
        await tx.log("signed_in")
    return True


async def main() -> None:
    clock = ManualClock()
    config = Config(state=StateConfig(temp_ttl="10m"))
    open_with = partial(Holdfast.open, "memory://", config=config, background=False)  # the test sweeps, and nobody else
    async with open_with(clock=clock, ids=SeededIds(1)) as hold:
        s = await hold.sessions.create(user="ada")

        await s.temp.set("code", "1234")
        clock.advance(599)
        assert await sign_in(s, "1234")
        assert not await sign_in(s, "1234")
        print("A code is good once.")

        await s.temp.set("code", "5678")
        clock.advance(600)
        assert not await sign_in(s, "5678")
        print("After ten minutes it is not.")

        before = (await hold.stats()).cells
        clock.advance(86_400)
        await hold.sweep()
        after = (await hold.stats()).cells
        assert after == before - 1
        print(f"A day later: {before} cells before the sweep, {after} after; nothing else to see.")

        event = (await s.events(types="signed_in")).items[0]
        assert event.at.timestamp() == (clock.now_us() - (600 + 86_400) * 1_000_000) / 1_000_000
        print(f"Signed in at {event.at}, with the id {event.id}, in every run.")

    async with open_with(clock=ManualClock(), ids=SeededIds(1)) as again:
        assert (await again.sessions.create()).id == s.id


if __name__ == "__main__":
    asyncio.run(main())
