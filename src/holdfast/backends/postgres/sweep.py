"""One sweep of one space: expired cells, what dropped scopes left, then records and tombstones; see `sweep.sql`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.backends.postgres.connections import Row
from holdfast.kernel.commit import Retention, Swept

STEP = 500
"""Rows removed in one transaction: a few milliseconds."""

PAGE = 1_000

EXPIRED = "SELECT holdfast.sweep_expired($1, $2, $3)"
GARBAGE = "SELECT holdfast.sweep_garbage($1, $2)"
DUE = "SELECT * FROM holdfast.find_trims($1, $2, $3, $4, $5, $6, $7)"
TRIM = "SELECT * FROM holdfast.trim_scope($1, $2, $3, $4)"

Ask = Callable[..., Awaitable[list[Row]]]
"""Send a statement and return its rows."""


class Sweep:
    """One sweep; used once."""

    def __init__(self, ask: Ask, space: int, now_us: int, retention: Retention, budget: int) -> None:
        self._ask = ask
        self._space = space
        self._now_us = now_us
        self._retention = retention
        self._left = budget
        self._cells = self._records = self._scopes = 0

    async def run(self) -> Swept:
        """Remove until the budget is used up or nothing is left."""
        await self._sweep_cells(EXPIRED, self._space, self._now_us)
        await self._sweep_cells(GARBAGE, self._space)
        await self._sweep_logs()
        return Swept(self._cells, self._records, self._scopes, more=self._left <= 0)

    async def _sweep_cells(self, statement: str, *arguments: Any) -> None:
        while self._left > 0:
            count = min(STEP, self._left)
            ((removed,),) = await self._ask(statement, *arguments, count)
            self._cells += removed
            self._left -= removed
            if removed < count:
                return

    async def _sweep_logs(self) -> None:
        bounds = (self._retention.age_us, self._retention.count, self._retention.tombstone_us)
        after: bytes | None = b""
        while after is not None and self._left > 0:
            due = await self._ask(DUE, self._space, after, self._now_us, *bounds, PAGE)
            for row in due:
                await self._trim(row)
            after = due[-1]["name"] if due and due[-1]["looked"] == PAGE else None

    async def _trim(self, row: Row) -> None:
        while self._left > 0:
            count = min(STEP, self._left)
            ((records, scopes),) = await self._ask(TRIM, row["id"], row["keep"], row["over"], count)
            if not row["over"]:
                self._records += records
            self._scopes += scopes
            self._left -= records + scopes
            if records < count:
                return
