"""One schema of a database, opened in one process: its private loop, the line that commits and those that read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from holdfast.backends.postgres.commit import STATEMENT, Batch, batches
from holdfast.backends.postgres.connections import Connection, Line, Outage, Readers
from holdfast.backends.postgres.driver import Driver
from holdfast.backends.postgres.errors import DRIVER_ERRORS, is_lost, translated
from holdfast.backends.postgres.hints import Hints, channel_of
from holdfast.backends.postgres.schema import durability_of, ensure_schema
from holdfast.backends.postgres.settings import Settings
from holdfast.backends.postgres.signals import Signals
from holdfast.backends.postgres.statements import placed
from holdfast.backends.postgres.text import raw
from holdfast.errors import HoldfastError, Indeterminate
from holdfast.kernel.commit import Commit, Outcome
from holdfast.kernel.limits import Durability

T = TypeVar("T")

_FIND_SPACE = "SELECT id FROM holdfast.spaces WHERE name = $1"
_MAKE_SPACE = "INSERT INTO holdfast.spaces(name) VALUES ($1) ON CONFLICT DO NOTHING"


class PostgresStore:
    """One space of the open schema. Everything but `run` and `driver` belongs to the private loop."""

    readers: Readers
    hints: Hints
    signals: Signals
    durability: Durability
    space: int

    def __init__(self, settings: Settings, space: str) -> None:
        self.settings = settings
        self.driver = Driver()
        self._name = space
        self._outage = Outage(settings.timeout_s)
        self._commits = Line(settings, synchronous_commit="off" if settings.durability == "process" else "on")
        self._turn = asyncio.Lock()
        self._statement = placed(STATEMENT, settings.schema)

    async def open(self) -> None:
        """Reach the server, make what is missing there."""
        self.driver.start()
        try:
            await self.driver.run(self._open)
        except asyncio.CancelledError:
            self.driver.post(lambda: self.driver.keep(self.driver.end(self._close)))
            raise
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        settings = self.settings
        self.readers = Readers(settings, self._outage)
        self.hints = Hints(settings, channel_of(settings.schema, self._name))
        self.signals = Signals(settings, channel_of(settings.schema, self._name, of="signals_"))
        try:
            connection = await self._commits.ready()
            self.durability = await durability_of(connection, settings)
            await ensure_schema(connection, settings)
            find = placed(_FIND_SPACE, settings.schema)
            space = await connection.fetchval(find, raw(self._name))
            if space is None:
                await connection.execute(placed(_MAKE_SPACE, settings.schema), raw(self._name))
                space = await connection.fetchval(find, raw(self._name))
            self.space = space
            self._commits.outage = self._outage  # who opens is told at once, who is at work waits
        except DRIVER_ERRORS as error:
            raise translated(error, settings.shown) from error
        self.hints.start()

    async def look(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        """Read over one of the reading lines."""

        async def work() -> T:
            return await self.readers.use(read)

        return await self.driver.run(work)

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Commit in order; an outcome for each."""

        async def work() -> list[Outcome]:
            outcomes: list[Outcome] = []
            async with self._turn:
                for batch in batches(commits):
                    outcomes += await self._send(batch)
            self.hints.moved()
            return outcomes

        return await self.driver.run(work)

    async def _send(self, commits: Sequence[Commit]) -> list[Outcome]:
        """One call. What the server refuses as a whole is taken apart, so that each commit fails for itself."""
        shown = self.settings.shown
        try:
            batch = Batch(self.space, commits)
            arguments = batch.args
            connection = await self._commits.ready()
        except (HoldfastError, *DRIVER_ERRORS) as error:
            if isinstance(error, HoldfastError) and len(commits) > 1:
                return await self._send_apart(commits)
            return [translated(error, shown)] * len(commits)
        self._commits.warned = False
        try:
            answer = await connection.fetchrow(self._statement, *arguments)
        except (*DRIVER_ERRORS, OverflowError) as error:
            if is_lost(error):
                await self._fence()
            elif len(commits) > 1:
                return await self._send_apart(commits)
            return [translated(error, shown, sent=True)] * len(commits)
        assert answer is not None
        if self._commits.warned:
            unknown = Indeterminate(f"{shown} did not wait for its standby: a failover may lose this commit")
            return [unknown] * len(commits)
        return batch.outcomes(answer)

    async def _send_apart(self, commits: Sequence[Commit]) -> list[Outcome]:
        return [outcome for commit in commits for outcome in await self._send([commit])]

    async def _fence(self) -> None:
        """Have what was sent over the lost line ended before anybody is told. If the server cannot be reached, whoever
        commits next does it first, and the lane's last number settles what is sent again."""
        self._commits.drop()
        try:
            await self._commits.ready()
        except DRIVER_ERRORS:
            return

    async def close(self) -> None:
        """Finish what was sent, close every line, end the loop."""
        await self.driver.stop(self._close)

    async def _close(self) -> None:
        await self._commits.close()
        if hasattr(self, "hints"):
            await self.hints.close()
            await self.signals.close()
            await self.readers.close()
