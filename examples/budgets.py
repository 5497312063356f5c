"""Three workers share one session and one budget. Each reserves before it asks the model; nobody passes the limit."""

import asyncio
import random

from holdfast import Budget, BudgetExceeded, Holdfast, Usage


async def ask_model(chance: random.Random) -> int:
    """Stands for a model: answers after a while, and says how many tokens that took."""
    await asyncio.sleep(chance.random() / 100)
    return chance.randint(200, 1_000)


async def work(hold: Holdfast, id: str, name: str) -> int:
    """Iterate until the budget is used up; returns how often it was let in."""
    s = await hold.sessions.open(id)
    chance = random.Random(name)
    done = 0
    try:
        while True:
            try:
                async with s.iterate(data={"phase": name}, reserve=Usage(tokens=1_000)) as it:
                    it.spent(tokens=await ask_model(chance))
                    done += 1
            except BudgetExceeded:
                # If only what the others have reserved is in the way, the session goes on.
                if not (await s.refresh()).status.is_open:
                    return done
                await asyncio.sleep(0.01)
    finally:
        print(f"  {name} was let in {done} times")


async def main() -> None:
    async with Holdfast.open("memory://") as hold:
        s = await hold.sessions.create(task="Read the reports", budget=Budget(iterations=None, tokens=20_000))
        done = await asyncio.gather(*[work(hold, s.id, name) for name in ("ada", "bo", "eve")])

        await s.refresh()
        used = s.progress.used
        print(f"{used.iterations} iterations used {used.tokens:,} of 20,000 tokens; {s.status}, {s.ended_reason}.")
        assert used.iterations == sum(done)
        assert 19_000 < used.tokens <= 20_000
        assert s.progress.reserved == Usage()

        await s.resume(budget=Budget(tokens=21_000))
        await s.iterate(reserve=Usage(tokens=500))
        await s.complete()
        stats = await hold.sessions.stats()
        print(f"Phases: {', '.join(sorted(stats.phases))}; {stats.tokens:,} tokens altogether.")


if __name__ == "__main__":
    asyncio.run(main())
