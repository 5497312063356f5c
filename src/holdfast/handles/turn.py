"""The turn: one request to an agent as one atomic, idempotent, exclusive unit of a session.

    entering        one read: answered before? free? what is left of an attempt that crashed? then one commit, the claim
    turn.step       runs a function and commits what it came to, under the fence
    the end         one commit: all that was staged, the answer, the end of the claim and of the steps

A turn is a transaction that holds its session: its reads are conditions of the last commit. The claim keeps other
turns out, not writers that take none; where one of those changed what the turn had read, the last commit is a Conflict,
nothing of it is kept but the finished steps, and the same request may be sent again.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, overload

from holdfast.errors import Closed, Conflict, HoldfastError
from holdfast.handles.claim import refuse_held
from holdfast.handles.fence import hold, let_go, why_lost
from holdfast.handles.lease import Lease, Standing, Taking, Terms
from holdfast.handles.measured import measured
from holdfast.handles.store import Store
from holdfast.handles.transaction import SessionTransaction
from holdfast.handles.unit import Called, Target, check_callable, explain, refuse_inside
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Committed
from holdfast.kernel.commit import Conflict as Refusal
from holdfast.kernel.identity import step_identity
from holdfast.kernel.work import Work
from holdfast.model import cause
from holdfast.model.budget import Account
from holdfast.model.session import SessionRecord
from holdfast.services import claim, turn

T = TypeVar("T")

_NOTHING = b"null"


@measured("turn", store="_store", block=True)
class Turn(SessionTransaction):
    """One request, in a block: `async with s.turn(request_id="req-17") as turn`.

    Turns of one session never overlap, in any process. What is written through it commits as one with its `output` at
    the end of the block, or not at all; finished steps are kept, and the same request takes up there. A request that
    was answered before is `replayed`: its `output` is there, and nothing can be written. Every commit of the block, by
    whatever handle, has the request in its cause.

    Raises Busy and NotFound where the block begins; LeaseLost at the next write once the session was taken away or the
    claim could not be renewed for its ttl; at the end of the block what `SessionTransaction` does.
    """

    _called = Called("turn", "s.turn(request_id=…)", "turn")

    def __init__(
        self,
        store: Store,
        target: Target,
        terms: Terms,
        *,
        request: str,
        user: str | None,
        agent: str | None,
        on_commit: Callable[[SessionRecord | None, Account | None, int], None],
    ) -> None:
        super().__init__(store, target, user=user, agent=agent, on_commit=on_commit)
        self._terms = terms
        self._request = request
        self._beginning = turn.beginning(request)
        self._lease: Lease | None = None
        self._given_back = False
        self._request_before: str | None = None
        self._steps: dict[str, turn.Finished] = {}
        self._places: dict[str, str] = {}  # of the steps of this attempt, by their identities
        self._output = _NOTHING
        self.replayed = False
        """Whether this request was answered before."""

    def __repr__(self) -> str:
        return f"<Turn {self._request!r} of {self._target.scope}{' replayed' if self.replayed else ''}>"

    @property
    def request_id(self) -> str:
        """The request this turn answers."""
        return self._request

    @property
    def output(self) -> Any:
        """The answer: set it in the block; of a replayed request it is the one that was given."""
        return codec.decode(self._output)

    @output.setter
    def output(self, value: Any) -> None:
        self._current()
        limit = self._store.limits.value_bytes_max
        self._output = codec.encode(value, bytes_max=limit, what="the output", path="output")

    @overload
    async def step(
        self, name: str, fn: Callable[..., Any], *args: Any, key: Any = None, version: Any = None, returns: type[T]
    ) -> T: ...
    @overload
    async def step(
        self, name: str, fn: Callable[..., Awaitable[T] | T], *args: Any, key: Any = None, version: Any = None
    ) -> T: ...
    async def step(
        self, name: str, fn: Callable[..., Any], *args: Any, key: Any = None, version: Any = None, returns: Any = None
    ) -> Any:
        """Run `fn(*args)` unless it finished before in this request, and return what it came to.

        Durable when it returns, whatever becomes of the turn. The same step is one of the same name, arguments (or
        `key`, where arguments are no plain values) and `version`. The result comes back as from the store the first
        time too: plain values, or what `returns` says. A step that was cut by a crash runs again.

        Raises what `fn` raises, and keeps nothing then; InvalidValue for arguments or a result that cannot be kept.
        """
        self._current()
        check_callable(fn, "fn")
        if returns is not None:
            codec.check_type(returns)
        identity = step_identity(name, arguments=list(args) if key is None else key, version=version)
        async with self._store.queue(self._work, identity):
            finished = self._steps.get(identity)
            if finished is not None:
                raw = finished.result
            else:
                result = fn(*args)
                if inspect.isawaitable(result):
                    result = await result
                limit = self._store.limits.value_bytes_max
                raw = codec.encode(result, bytes_max=limit, what=f"the result of {name}", path="result")
                await self._keep(identity, name, raw)
        return codec.decode(raw) if returns is None else codec.decode_as(raw, returns, key=name)

    async def _keep(self, identity: str, name: str, result: bytes) -> None:
        self._current()
        # Once for each: a step that is sent again, since nobody knows of the first time, stands in the same place.
        key = self._places.get(identity)
        if key is None:
            taken = [*self._places.values(), *(finished.key for finished in self._steps.values())]
            key = self._places[identity] = turn.next_step(self._request, taken)
        store, lease = self._store, self._held()
        work = store.work()
        work.ask(lease.scope, "must_exist", epoch=self._target.epoch)
        claim.fence(work, lease.scope, lease.token)
        turn.step(work, lease.scope, key, name=name, identity=identity, result=result, ttl_us=store.answers_ttl_us)
        outcome = await work.commit()
        if not isinstance(outcome, Committed):
            if (why := why_lost(outcome)) is not None:
                lease.is_lost(why)
            raise explain(outcome)
        self._steps[identity] = turn.Finished(key, result)

    # --- the block --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise Closed(f"a {self._called.what} is used once; begin another")
        refuse_held(self._store, self._target.scope)
        refuse_inside(self._store, self._target.scope)
        self._request_before = cause.set_request(self._request)
        try:
            await self._take()
        except BaseException:
            cause.set_request(self._request_before)
            raise
        if self.replayed:
            cause.set_request(self._request_before)
        return self

    async def _take(self) -> None:
        taking = Taking(self._store, self._target, self._terms, more=self._beginning)
        self._lease, standing = await taking.run(unless=_is_answered)
        if self._lease is None:
            self._state = "ended"
            self._output = turn.answer_in(standing.more) or _NOTHING
            self.replayed = True
            return
        try:
            self._steps = turn.steps_in(await self._all(standing.more))
            self._begin()
        except BaseException:
            await self._lease.give_back()
            raise
        hold(self._lease)

    async def _all(self, cells: tuple[Cell, ...]) -> Sequence[Cell]:
        """Everything that is kept of the request: now that the session is held, nobody adds to it."""
        if len(cells) < turn.READ_AT_ONCE:
            return cells
        return await self._store.work().all(self._held().scope, self._beginning.prefix)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self.replayed:
            return False
        lease = self._held()
        let_go(lease)
        try:
            return await super().__aexit__(kind, error, trace)
        finally:
            try:
                if not self._given_back:
                    await lease.give_back()
            finally:
                cause.set_request(self._request_before)

    async def _commit(self, work: Work) -> None:
        lease, store = self._held(), self._store
        lease.check()
        claim.fence(work, lease.scope, lease.token)
        claim.give_back(work, lease.scope)
        turn.answer(work, lease.scope, self._request, self._output, ttl_us=store.answers_ttl_us)
        room = max(store.limits.operations_max - work.operations, 0)
        for finished in [*self._steps.values()][:room]:  # what finds no room goes when it expires
            work.delete(lease.scope, finished.key)
        await super()._commit(work)

    def _explain(self, conflict: Refusal, *, asked: bool) -> HoldfastError:
        error = super()._explain(conflict, asked=asked)
        if not isinstance(error, Conflict):
            return error
        again = "Send the same request again, in a new turn: what it read has changed. Its finished steps are kept."
        return Conflict(*error.args, remedy=again, **error.facts)

    def _finish(self, outcome: Committed) -> None:
        self._given_back = True
        self._held().end()
        super()._finish(outcome)

    def _check(self) -> None:
        super()._check()
        if self._lease is not None:
            self._lease.check()

    def _held(self) -> Lease:
        assert self._lease is not None
        return self._lease

    def _closed(self) -> Closed:
        if self.replayed:
            return Closed(
                f"the request {self._request} was answered before",
                remedy="Return `turn.output` where `turn.replayed` is true; write nothing then.",
            )
        return super()._closed()

    def rollback(self) -> NoReturn:
        """Leave the block and write nothing: the request counts as never answered, its finished steps are kept."""
        super().rollback()


def _is_answered(standing: Standing) -> bool:
    return turn.answer_in(standing.more) is not None
