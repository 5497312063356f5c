"""What can be read and written in a session: the part that a `Session` and a transaction on it have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self

from holdfast.errors import Conflict, InvalidValue, NotFound, Unavailable, shown
from holdfast.handles.event_log import EventLog
from holdfast.handles.iteration import Iterating, counting, reserved_of
from holdfast.handles.levels import Standpoint
from holdfast.handles.measured import measured
from holdfast.handles.messages import Messages
from holdfast.handles.own_area import Area
from holdfast.handles.runs import SessionRuns
from holdfast.handles.runtime import Runtime
from holdfast.handles.state import State, state_of
from holdfast.handles.store import Store
from holdfast.handles.unit import Alone, Target, Together, Unit
from holdfast.handles.variables import Variables
from holdfast.handles.winding_up import means_of, wind_up_now
from holdfast.kernel.codec import mapping
from holdfast.kernel.commit import stamp
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import check_version
from holdfast.kernel.live import encode_live
from holdfast.kernel.part import missing
from holdfast.kernel.work import Work
from holdfast.model.budget import Account, Budget, Usage, bounds_of
from holdfast.model.change import ChangeKind
from holdfast.model.duration import Duration, to_seconds, to_us
from holdfast.model.end import KEY
from holdfast.model.event import ITERATION, TOOL_CALL, Event
from holdfast.model.scope import Scope
from holdfast.model.session import SessionRecord
from holdfast.model.status import SessionStatus
from holdfast.operations.count import Wanted, call_tool
from holdfast.operations.extend import extend
from holdfast.operations.move import Move, end, move
from holdfast.operations.wind_up import RESERVED, clear
from holdfast.services import change, event, session
from holdfast.services.state import Place


@measured("session", store="_unit.store")
class SessionSurface(EventLog):
    """What can be read and written in a session, by itself or inside a transaction."""

    def __init__(self, unit: Unit, target: Target, *, user: str | None, agent: str | None) -> None:
        self._unit = unit
        self._target = target
        self._user = user
        self._agent = agent
        config = unit.store.config.state
        scope = target.scope
        self.state = State(unit, target, Place(scope, "state", "", config.value_bytes_max))
        """The session's own state."""
        self.temp = State(unit, target, Place(scope, "temp", "", config.value_bytes_max, unit.store.temp_ttl_us))
        """Temporary state: each value is gone `state.temp_ttl` after it was last set."""
        self.runtime = Runtime(unit, target)
        """What the session shows to followers while it runs."""
        self.messages = Messages(unit, target)
        """The conversation."""
        self.runs = SessionRuns(unit, target, user=user)
        """The runs of workflows."""

    @property
    def id(self) -> str:
        """The session's id."""
        return session.id_of(self._target.scope)

    def area(self, name: str) -> Area:
        """Bytes of your own in this session, under keys of your own. See `Area`."""
        return Area(self._unit, self._target, name)

    @property
    def variables(self) -> Variables:
        """Its variables, and those that are seen from it."""
        return Variables(self._unit, self._target, Standpoint(self._target.scope, user=self._user))

    @property
    def user_state(self) -> State:
        """The state of the session's user, across sessions. Raises NotFound for a session without a user."""
        if self._user is None:
            raise NotFound(
                f"{self._target.scope} has no user that is known here",
                remedy="If it has one, use `s.transaction()` of the session or `tx.state(Scope.user(…))`; else create "
                "the session with user=….",
                scope=self._target.scope,
            )
        return state_of(self._unit, Scope.user(self._user))

    @property
    def agent_state(self) -> State:
        """The state of the session's agent, across sessions. Raises NotFound for a session without an agent."""
        if self._agent is None:
            raise NotFound(
                f"{self._target.scope} has no agent that is known here",
                remedy="If it has one, use `s.transaction()` of the session or `tx.state(Scope.agent(…))`; else create "
                "the session with agent=….",
                scope=self._target.scope,
            )
        return state_of(self._unit, Scope.agent(self._agent))

    async def emit(self, key: str, value: Any, *, kind: ChangeKind = "runtime") -> None:
        """Tell whoever follows the session now, in any process: a `Change` with op "emit", kept nowhere.

        At once, also inside a transaction or turn, whatever becomes of it. It may be lost, and who comes later never
        hears of it. Raises InvalidId for the key, InvalidValue for a value that cannot be shown as it is, TooLarge for
        one of more than 64 KiB; NotFound of a session that this process knows to be over; Closed after the
        transaction, LeaseLost in a turn that is known to be over.
        """
        self._unit.check()
        told = change.emitted(kind, key, value)
        target, store = self._target, self._unit.store
        if target.epoch is None or not store.deadlines.are_ahead(target.scope, store.now_us()):
            await self._unit.read(target, lambda work: work.look_for(target.scope))
        payload = encode_live(target.epoch or 0, store.now_us(), store.cause(), told)
        with suppress(Unavailable):
            await store.kernel.signal(target.scope, payload)

    async def pause(self, reason: str | None = None) -> Self:
        """Pause it: `pause_reason` says why. Raises InvalidTransition unless it is active.

        Like every move of its status (`resume`, `complete`, `fail`, `cancel`, `end`), this is one commit with the entry
        in its event log that tells of it. Of two that race one is made, and the other judged by what it made.
        """
        return await self._move(SessionStatus.PAUSED, reason=reason)

    async def resume(self, *, budget: Budget | None = None) -> Self:
        """Let it go on, with another `budget` if one is given; what that leaves out stays as it is.

        Raises InvalidTransition unless it is paused or initializing, or has timed out and its budget is higher than it
        was then, by this or by an `update` since.
        """
        return await self._move(SessionStatus.ACTIVE, budget=checked_budget(budget))

    async def complete(self, result: Any = None) -> Self:
        """End it as done, with its `result`: any value. Raises InvalidTransition unless it is active or paused."""
        limit = self._unit.store.limits.value_bytes_max
        return await self._move(SessionStatus.COMPLETED, result=session.checked_result(result, "result", limit))

    async def fail(self, error: Any) -> Self:
        """End it as failed, with its `error`: any value, or an exception, whose type and message are kept.

        Raises InvalidTransition if it has ended.
        """
        limit = self._unit.store.limits.value_bytes_max
        return await self._move(SessionStatus.FAILED, error=session.checked_error(error, limit))

    async def cancel(self, reason: str | None = None) -> Self:
        """End it as given up: `ended_reason` says why. Raises InvalidTransition if it has ended."""
        return await self._move(SessionStatus.CANCELLED, reason=reason)

    async def end(self) -> Self:
        """Be done with it: it completes if it is open (or is cancelled, if it never started), and its temporary and
        runtime state, its variables, and its runs with their questions are gone: what was open of those is cancelled.
        May be called again.

        One commit, unless there are more values than a commit may write: then the first one ends it, and what a crash
        leaves of the rest is removed by a sweep, or the next call. So is what a transaction leaves, which has one
        commit: it removes as much as half the room goes that is left in it then.
        """
        store, scope = self._unit.store, self._target.scope
        id = store.ids.uuid7(store.now_us())
        means, together = means_of(store), isinstance(self._unit, Together)

        async def stage(work: Work) -> tuple[SessionRecord, int, bool]:
            record, version, writes, has_runs = await end(work, scope, id=id)
            room = means.operations_max - writes
            if together:  # half: whoever has it may write on
                room = (means.operations_max - work.operations - RESERVED) // 2
            return record, version, await clear(work, scope, means, room=max(room, 1), has_runs=has_runs) or together

        await store.buffers.settle(scope, self._target.epoch)
        done = False
        while not done:
            (record, version, done), seq = await self._unit.change(self._target, stage)
            self._saw(record, version or seq)
        return self

    async def extend(self, by: Duration) -> Self:
        """Let it live longer than it would, by that much; access may prolong that further, and never shortens it. One
        that does not expire is left as it is."""
        by_us = to_us(by, "by")
        await self._unit.change(self._target, lambda work: extend(work, self._target.scope, by_us))
        return self

    async def touch(self) -> Self:
        """Access it, and nothing else: where access prolongs its life, and by enough to matter, that is a commit; else
        one read. Raises NotFound if it is gone."""
        scope, store = self._target.scope, self._unit.store
        await self._unit.read(self._target, lambda work: work.look_for(scope))
        if store.deadlines.are_to_move(scope, store.now_us()):
            await self._unit.write(self._target, lambda work: work.touch(scope))
        return self

    async def _move(
        self,
        to: SessionStatus,
        *,
        reason: str | None = None,
        result: Any = None,
        error: Any = None,
        budget: Budget | None = None,
    ) -> Self:
        store, scope = self._unit.store, self._target.scope
        reason = session.checked_text(reason, "reason", store.limits.value_bytes_max)
        ranked = store.config.session.max_per_user is not None
        wanted = Move(store.ids.uuid7(store.now_us()), to, reason, result, error, budget, ranked)
        (record, reopened, lingers), seq = await self._unit.change(self._target, lambda work: move(work, scope, wanted))
        self._saw(record, seq)
        if reopened:
            await self._reopened(record)
        if lingers and seq:
            await wind_up_now(store, scope, KEY)
        return self

    async def _reopened(self, record: SessionRecord) -> None:
        """Have those end that are too many since this session is open again, once it is."""
        if isinstance(self._unit, Together):
            self._unit.along.arrived.append(record)

    def _saw(self, record: SessionRecord, version: int) -> None:
        """Take note of the record that a call of this surface made, at that version (0: not committed yet)."""

    def iterate(self, *, data: Any = None, reserve: Usage | None = None) -> Iterating:
        """One round of the work, counted against the budget: `async with s.iterate() as it`, or `await s.iterate()`.

        The block is let in by one commit, which counts it and reserves what `reserve` says, and settled by another when
        it ends, however it ends: with what `it.spent(…)` was told, and the time it took. Its entry in the event log,
        with `data`, comes with the first and is completed by the second; an exception is told there too. Time counts
        for the phase that `data` name: `{"phase": "search"}`. Awaited, it is one commit that spends what it reserves.

        Raises BudgetExceeded, and ends the session as timed out, if the budget does not cover it; if only what others
        have reserved is in the way, the session goes on. However many iterate at once, in any process, no limit is
        passed by work that spends no more than it reserved. Raises InvalidTransition unless the session is active.

        A crash leaves the reservation counted, for nobody knows what was spent of it: raise the budget, if need be.
        In a transaction both are part of its commit, and BudgetExceeded leaves the session as it is.
        """
        entry = self._entry(ITERATION, data)
        return Iterating(self._unit, self._target, Wanted(entry, reserved_of(reserve)), self._counted)

    async def log_tool_call(
        self,
        name: str,
        *,
        arguments: Mapping[str, Any] | None = None,
        result: Any = None,
        duration: Duration | None = None,
    ) -> Event:
        """Append an entry that tells of a call of a tool, and count it: type "tool_call", data `name`, and what is
        given of `arguments`, `result` and `duration_s`.

        Raises BudgetExceeded, and ends the session as timed out, if the budget of tool calls is used up: then the call
        is not in the log. In a transaction that leaves the session as it is.
        """
        data: dict[str, Any] = {"name": check_name(name, "the name of a tool")}
        if arguments is not None:
            data["arguments"] = mapping(arguments, "arguments")
        if result is not None:
            data["result"] = result
        if duration is not None:
            data["duration_s"] = to_seconds(duration, "duration") if duration not in (0, timedelta(0)) else 0.0
        entry = self._entry(TOOL_CALL, data)
        alone = isinstance(self._unit, Alone)
        _, seq = await counting(
            self._unit,
            self._target,
            lambda work: call_tool(work, self._target.scope, entry, ends_session=alone),
            self._counted,
        )
        return event.as_event(entry, stamp(seq, 0) if seq else None)

    def _counted(self, account: Account, record: SessionRecord | None, seq: int) -> None:
        """Take note of what was counted, and of the record if that changed too, at that version (0: not committed)."""
        if record is not None:
            self._saw(record, seq)


class Update:
    """A change of a session's record, checked when it is made, that can be staged as often as need be."""

    def __init__(
        self,
        store: Store,
        *,
        metadata: Mapping[str, Any] | None,
        tags: Iterable[str] | None,
        budget: Budget | None,
        if_version: int | None,
    ) -> None:
        limit = store.limits.value_bytes_max
        self._metadata = None if metadata is None else session.checked_metadata(metadata, limit)
        self._tags = None if tags is None else session.checked_tags(tags)
        self._budget = checked_budget(budget)
        check_version(if_version)
        self._if_version = if_version

    async def stage(self, work: Work, id: str) -> SessionRecord:
        """Read the record, stage the changed one and return it."""
        scope = session.scope_of(id)
        cell = await work.get(scope, session.CELL)
        if cell is None:
            raise missing(scope)
        if self._if_version is not None and cell.version > self._if_version:
            raise Conflict(  # at once: the commit would say the same, and trying again cannot help
                f"{scope} was written after version {self._if_version}",
                scope=scope,
                what="unchanged",
                key=session.CELL,
                expected=self._if_version,
                found=cell,
            )
        work.require_version(scope, session.CELL, self._if_version)
        before = session.decode(cell)
        bounds = None if self._budget is None else bounds_of(self._budget.over(before.budget.budget))
        record = before.updated(at_us=work.now_us, metadata=self._metadata, tags=self._tags, budget=bounds)
        session.put(work, record)
        return record


def checked_budget(budget: Budget | None) -> Budget | None:
    """The budget if it is one, or none; raises InvalidValue."""
    if budget is None or isinstance(budget, Budget):
        return budget
    raise InvalidValue(f"budget must be a Budget, not {shown(budget)}", path="budget")
