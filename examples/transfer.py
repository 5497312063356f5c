"""Money moves between two accounts, twenty times at once, while somebody keeps looking. The sum never changes."""

import asyncio
import random

from holdfast import Holdfast, Scope, Transaction

ADA, BO = Scope.user("ada"), Scope.user("bo")


class TooLittle(Exception):
    """There is not enough in the account."""


async def transfer(tx: Transaction, source: Scope, target: Scope, amount: int) -> None:
    """Both accounts change, or neither."""
    left = await tx.state(source).get("balance", int, default=0) - amount
    if left < 0:
        raise TooLittle
    await tx.state(source).set("balance", left)
    await tx.state(target).mutate("balance", lambda balance: balance + amount, int, default=0)


async def main() -> None:
    async with Holdfast.open("sqlite:///bank.db") as hold:
        await hold.set_many({ADA: {"balance": 100}, BO: {"balance": 100}})
        chance = random.Random(1)
        done = refused = 0
        sums: set[int] = set()

        async def one() -> None:
            nonlocal done, refused
            source, target = chance.sample([ADA, BO], 2)
            amount = chance.randint(1, 90)
            try:
                await hold.transact(lambda tx: transfer(tx, source, target, amount), attempts=100)
                done += 1
            except TooLittle:
                refused += 1

        async def look() -> None:
            while done + refused < 20:
                both = await hold.state_many([ADA, BO])  # one moment, both accounts
                sums.add(both[ADA]["balance"] + both[BO]["balance"])
                await asyncio.sleep(0)

        await asyncio.gather(look(), *(one() for _ in range(20)))
        both = await hold.state_many([ADA, BO])
        print(f"{done} transfers, {refused} refused; ada has {both[ADA]['balance']}, bo has {both[BO]['balance']}.")
        print(f"The sums that were seen: {sums}")
        assert done + refused == 20
        assert sums == {200}
        assert min(both[ADA]["balance"], both[BO]["balance"]) >= 0


if __name__ == "__main__":
    asyncio.run(main())
