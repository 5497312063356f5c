"""Running the clients of a workload side by side, and holding what they noted against the logs."""

import asyncio
import itertools
import time
from random import Random

from holdfast import Holdfast, Scope
from holdfast.kernel.contract import Kernel
from holdfast.testing.history import Violation, stream_violations, violations
from holdfast.testing.place import Place
from holdfast.testing.recording import Recorder, effect_of, load, read_log
from holdfast.testing.workload import Client

IDS = itertools.count()


async def verdict(kernel: Kernel, place: Place, lines: list[bytes]) -> list[Violation]:
    """What is wrong with the history that these lines and the store's logs tell together."""
    logs = {scope: await read_log(kernel, scope) for scope in place.scopes}
    return violations(load(lines), logs)


async def run_tasks(
    hold: Holdfast, place: Place, *, tasks: int, steps: int, seed: int, lines: list[bytes], recorder_place: int = 0
) -> list[Client]:
    """So many tasks of this loop, each doing so many operations."""
    recorder = Recorder(time.monotonic_ns, place=recorder_place, sink=lines.append)
    clients = [
        Client(f"{recorder_place}.{n}", hold, place, recorder, Random(f"{seed} {recorder_place} {n}"))
        for n in range(tasks)
    ]

    async def work(client: Client) -> None:
        for _ in range(steps):
            await client.step()

    await asyncio.gather(*map(work, clients))
    return clients


async def found(hold: Holdfast, place: Place, *, lines: list[bytes]) -> None:
    """Make the accounts and sessions."""
    await Client("founder", hold, place, Recorder(time.monotonic_ns, place=99, sink=lines.append), Random(0)).found()


class Listener:
    """Follows every scope from the beginning, and resumes by its cursors after each cut."""

    def __init__(self, hold: Holdfast, place: Place) -> None:
        self.received = {scope: [] for scope in place.scopes}
        self.cursors = {}
        self._hold = hold
        self._scopes = place.scopes
        self._arrived = asyncio.Event()

    @property
    def count(self) -> int:
        """How many changes have arrived."""
        return sum(map(len, self.received.values()))

    async def heard(self, count: int) -> None:
        """Wait until so many changes have arrived, while `listen` runs elsewhere."""
        while self.count < count:
            self._arrived.clear()
            await self._arrived.wait()

    async def listen(self, *, until: int) -> None:
        """Until so many changes have arrived in all."""
        after = {Scope.parse(scope): "beginning" for scope in self._scopes} | self.cursors
        count = self.count
        if count >= until:
            return
        async with self._hold.changes(list(after), after=after) as changes:
            async for change in changes:
                self.received[str(change.scope)].append((change.seq, effect_of(change)))
                self.cursors[change.scope] = change.cursor
                self._arrived.set()
                count += 1
                if count >= until:
                    return

    def verdict(self, logs) -> list[Violation]:
        return stream_violations(self.received, logs)
