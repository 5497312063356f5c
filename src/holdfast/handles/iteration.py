"""An iteration as people make it: `async with s.iterate(…) as it`, or `await s.iterate(…)`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import nullcontext
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from holdfast.errors import Closed, HoldfastError, InvalidValue, shown
from holdfast.handles.background import to_its_end
from holdfast.handles.measured import measured
from holdfast.handles.unit import Alone, Target, Unit
from holdfast.kernel.commit import stamp
from holdfast.kernel.work import Work
from holdfast.model.budget import NOTHING, Account, Amounts, Cost, Usage, amounts_of
from holdfast.model.session import SessionRecord, failure
from holdfast.operations import count
from holdfast.operations.count import Begun, Ended, Refused, Wanted

T = TypeVar("T")

Counted = Callable[[Account, SessionRecord | None, int], None]
"""Who takes note of what a commit counted: the account, the record if that was written too, and the seq (0: not
committed yet)."""


class Iteration:
    """One iteration under way. `number` counts those of the session, from 1."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._spent = NOTHING
        self._is_over = False

    def __repr__(self) -> str:
        return f"<Iteration {self.number}>"

    def spent(self, *, tokens: int = 0, cost: Cost = 0) -> None:
        """Add what was used. It is settled when the block ends, however it ends; more than was reserved counts too.

        Raises InvalidValue for what is negative or no number, Closed once the block has ended.
        """
        if self._is_over:
            raise Closed(
                f"iteration {self.number} is over, and what it used is settled",
                remedy="Call `it.spent(…)` inside `async with s.iterate(…) as it`, as soon as it is known.",
            )
        self._spent = self._spent.plus(amounts_of(Usage(tokens=tokens, cost=cost)))


@measured("iteration", store="_unit.store", block=True)
class Iterating:
    """An iteration to be made, once."""

    def __init__(self, unit: Unit, target: Target, wanted: Wanted, counted: Counted) -> None:
        self._unit = unit
        self._target = target
        self._wanted = wanted
        self._counted = counted
        self._place: str | None = None
        self._under_way: Iteration | None = None
        self._used = False
        self._since_s = 0.0

    def __await__(self) -> Generator[Any, Any, Iteration]:
        return self._at_once().__await__()

    async def __aenter__(self) -> Iteration:
        self._use()
        scope = self._target.scope
        alone = isinstance(self._unit, Alone)

        async def stage(work: Work) -> Begun | Refused:
            return await count.begin(work, scope, self._wanted, told=alone, ends_session=alone)

        begun, seq = await counting(self._unit, self._target, stage, self._counted)
        self._place = stamp(seq, 0) if alone else None
        self._under_way = Iteration(begun.number)
        self._since_s = self._unit.store.clock.monotonic_s()
        return self._under_way

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        iteration = self._under_way
        if iteration is None:
            raise Closed("use an iteration as `async with s.iterate(…) as it`")
        iteration._is_over = True
        time_us = max(round((self._unit.store.clock.monotonic_s() - self._since_s) * 1_000_000), 0)
        spent = msgspec.structs.replace(iteration._spent, wall_us=time_us)
        settling = self._settle(iteration.number, self._ended(spent, error))
        try:
            await (to_its_end(settling) if isinstance(self._unit, Alone) else settling)
        except HoldfastError as problem:
            if error is None:
                raise
            error.add_note(f"what the iteration used was not settled, so its reservation stands: {problem}")

    def _ended(self, spent: Amounts, error: BaseException | None) -> Ended:
        if error is None:
            return Ended(spent)
        store = self._unit.store
        return Ended(spent, failure(error), store.ids.uuid7(store.now_us()))

    async def _settle(self, number: int, ended: Ended) -> None:
        async def stage(work: Work) -> tuple[Account, SessionRecord | None]:
            return await count.finish(work, self._target.scope, self._wanted, number, ended, place=self._place)

        async with in_turn(self._unit, self._target):
            (account, record), seq = await self._unit.change(self._target, stage)
        self._counted(account, record, seq)

    async def _at_once(self) -> Iteration:
        """Begun and ended in one commit: what it reserves is what it spent."""
        self._use()
        scope, wanted = self._target.scope, self._wanted
        ends_session = isinstance(self._unit, Alone)

        async def stage(work: Work) -> Begun | Refused:
            begun = await count.begin(work, scope, wanted, told=False, ends_session=ends_session)
            if isinstance(begun, Refused):
                return begun
            account, record = await count.finish(work, scope, wanted, begun.number, Ended(wanted.reserves), place=None)
            return Begun(begun.number, account, record)

        begun, _ = await counting(self._unit, self._target, stage, self._counted)
        iteration = Iteration(begun.number)
        iteration._is_over = True
        return iteration

    def _use(self) -> None:
        if self._used:
            raise Closed("an iteration is made once; call `iterate` for another")
        self._used = True


def reserved_of(reserve: Usage | None) -> Amounts:
    """What an iteration reserves. Raises InvalidValue for what is no Usage, or counts by itself."""
    if reserve is None:
        return NOTHING
    if not isinstance(reserve, Usage):
        raise InvalidValue(f"reserve must be a Usage, not {shown(reserve)}", path="reserve")
    if reserve.iterations or reserve.tool_calls:
        raise InvalidValue("an iteration counts itself, and tool calls do when they are logged", path="reserve")
    return amounts_of(reserve)


async def counting(
    unit: Unit, target: Target, stage: Callable[[Work], Awaitable[Begun | Refused]], counted: Counted
) -> tuple[Begun, int]:
    """Let `stage` count something, and tell who keeps the figures. Raises what it was refused for, once the end of the
    session that this means is committed."""
    async with in_turn(unit, target):
        result, seq = await unit.change(target, stage)
    counted(result.account, result.record, seq)
    if isinstance(result, Refused):
        raise result.error
    return result, seq


def in_turn(unit: Unit, target: Target) -> asyncio.Lock | nullcontext[None]:
    """What lets tasks of this process count one after the other instead of colliding; other processes are met by the
    version check."""
    return unit.store.queue(target.scope, "budget") if isinstance(unit, Alone) else nullcontext()
