"""The work of a run: who has it, and what is remembered of it once it is done."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar, overload

from holdfast.errors import Conflict, InvalidValue, UseTransaction
from holdfast.handles.atomic_step import AtomicStep
from holdfast.handles.fence import carry
from holdfast.handles.lease import terms
from holdfast.handles.measured import measured
from holdfast.handles.run_claim import RunClaim
from holdfast.handles.run_writes import RunWrites
from holdfast.handles.step_queue import queued
from holdfast.handles.unit import ATTEMPTS, Alone, check_attempts, check_callable, explain, pause
from holdfast.kernel import codec
from holdfast.kernel.commit import Committed
from holdfast.kernel.identity import step_identity
from holdfast.kernel.keys import check_name
from holdfast.model import cause
from holdfast.model.claim import Busy
from holdfast.model.duration import Duration
from holdfast.services import run, step

T = TypeVar("T")


@measured("run", store="_store")
class RunSteps(RunWrites):
    """A run that can be worked on."""

    def claim(
        self,
        *,
        worker: str | None = None,
        ttl: Duration = "30s",
        busy: Busy = "queue",
        wait: Duration | None = "30s",
    ) -> RunClaim:
        """Exclusive use: one worker at a time, in any process: `async with run.claim(worker="w1")`.

        `busy` says what to do while another worker holds it: "queue" waits in the order of arrival, `wait` at most
        (None: without a limit), then raises Busy; "reject" raises it at once; "supersede" takes the run away. `ttl` is
        how long a worker is believed in whose process is not heard of any more. See `RunClaim`.
        """
        self._check_alone("claim")
        name = None if worker is None else check_name(worker, "a worker")
        return RunClaim(self._store, self._target, terms(busy, wait, ttl, worker=name), self.id, took=self._is_held_by)

    async def _is_held_by(self, token: int) -> None:
        if token and not self._follows(token):
            await self.refresh()  # first: where it fails, the claim is given back
        if token:
            self._check_session()
        self._hold(token)

    def idempotency_key(self, name: str, *args: Any, key: Any = None, version: Any = None) -> str:
        """What tells this step of this run from every other, for systems outside that can be told: the same however
        often it is tried, and in any process."""
        arguments, salt = [*args] if key is None else key, f"{self._record.salt}/{self.id}"
        return step_identity(name, arguments=arguments, version=version, salt=salt)

    def _identity(self, name: str, args: Sequence[Any], key: Any, version: Any) -> str:
        """What tells it from every other of this run, and of those that were forked from it: they remember it too."""
        arguments = [*args] if key is None else key
        return step_identity(name, arguments=arguments, version=version, salt=self._record.salt)

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
        """Run `fn(*args)` unless it finished before in this run, and return what it came to: in any process.

        Durable when it returns. The same step is one of the same name, arguments (or `key`, in loops, and where
        arguments are no plain values) and `version`: changed code is the same step, until its version says otherwise.
        The result comes back as from the store the first time too: plain values, or what `returns` says. A step that
        was cut by a crash runs again; of two that ran at once one result is kept, and both return that.

        Raises what `fn` raises, and keeps nothing then; InvalidTransition, and runs nothing, while the run is paused or
        once it has ended, and for a step inside of itself; InvalidValue for arguments or a result that cannot be kept;
        LeaseLost.
        """
        self._check_alone("step")
        check_callable(fn, "fn")
        if returns is not None:
            codec.check_type(returns)
        identity = self._identity(name, args, key, version)
        async with self._queued(identity, name):
            raw = await self._look_up(step.key_of(self.id, identity))
            if raw is None:
                await self._regain()
                self._check_works()
                raw = await self._do(identity, name, fn, args)
        return _decoded(raw, returns, name)

    def atomic_step(self, name: str, *, key: Any = None, version: Any = None) -> AtomicStep:
        """A step whose effects commit with it, as a block: `async with run.atomic_step("pay") as step`.

        It is told from others by its name, `key` and `version`. See `AtomicStep`.
        """
        self._check_alone("atomic_step")
        told = self.idempotency_key(name, key=key, version=version)
        return AtomicStep(self, name, self._identity(name, (), key, version), told)

    @overload
    async def atomic(
        self,
        name: str,
        fn: Callable[[AtomicStep], Awaitable[Any]],
        *,
        key: Any = None,
        version: Any = None,
        returns: type[T],
        attempts: int = 20,
    ) -> T: ...
    @overload
    async def atomic(
        self,
        name: str,
        fn: Callable[[AtomicStep], Awaitable[T]],
        *,
        key: Any = None,
        version: Any = None,
        attempts: int = 20,
    ) -> T: ...
    async def atomic(
        self,
        name: str,
        fn: Callable[[AtomicStep], Awaitable[Any]],
        *,
        key: Any = None,
        version: Any = None,
        returns: Any = None,
        attempts: int = 20,
    ) -> Any:
        """Run `fn(step)` unless that step is done, and return what it came to: the step's effects are there once.

        What `fn` writes through `step` commits with its completion; on Conflict it runs again, after a jittered pause,
        up to `attempts` times in all, so it must have no other effects. Its result is what `fn` returned, or what
        `step.result` was set to if it returned None; None if it rolled back. Raises as `AtomicStep` does.
        """
        check_attempts(attempts)
        check_callable(fn, "fn")
        if returns is not None:
            codec.check_type(returns)
        identity = self._identity(name, (), key, version)
        attempt = 0
        while True:
            block = self.atomic_step(name, key=key, version=version)
            block._has_begun = attempt > 0
            try:
                async with self._queued(identity, name), block:
                    if not block.done:
                        await _run(fn, block)
            except Conflict:
                attempt += 1
                if attempt == attempts:
                    raise
                await pause(self._store, attempt)
            else:
                return _decoded(block._result, returns, name) if block.done or block._is_kept else None

    def _queued(self, identity: str, name: str) -> AbstractAsyncContextManager[None]:
        key = step.key_of(self.id, identity)
        return queued(self._store, self._target.scope, key, name, token=self._token)

    async def _do(self, identity: str, name: str, fn: Callable[..., Any], args: Sequence[Any]) -> bytes:
        with cause.acting(run=self.id):
            result = fn(*args)
            if inspect.isawaitable(result):
                result = await result
            limit = self._store.limits.value_bytes_max
            raw = codec.encode(result, bytes_max=limit, what=f"the result of {name}", path="result")
            return await self._keep(identity, name, raw)

    async def _keep(self, identity: str, name: str, result: bytes) -> bytes:
        """Commit what a step came to; returns what is kept, which is another's result if that was faster."""
        attempt, key = 0, step.key_of(self.id, identity)
        while True:
            work = self._store.work()
            work.ask(self._target.scope, "must_exist", epoch=self._target.epoch)
            staged = await self._goes_on(work)
            step.put(work, self._target.scope, key, name=name, result=result)
            carry(self._store, work)
            outcome = await self._store.commit(work)
            if isinstance(outcome, Committed):
                self._took(staged, outcome.seqs[self._target.scope])
                return result
            attempt += 1
            if outcome.key not in (key, *run.end_keys(self.id)) or attempt == ATTEMPTS:
                raise explain(outcome)
            await pause(self._store, attempt)
            kept = await self._look_up(key)
            if kept is not None:
                return kept

    def _check_alone(self, what: str) -> None:
        if not isinstance(self._unit, Alone):
            raise UseTransaction(
                f"{what} commits by itself, and this run is bound to a transaction",
                remedy="Take the run outside: `await hold.runs.get(id)`; or `turn.step`, inside a turn.",
                scope=self._target.scope,
            )


def _decoded(raw: bytes, returns: Any, name: str) -> Any:
    return codec.decode(raw) if returns is None else codec.decode_as(raw, returns, key=name)


async def _run(fn: Callable[[AtomicStep], Awaitable[Any]], step: AtomicStep) -> None:
    answer = fn(step)
    if not inspect.isawaitable(answer):
        raise InvalidValue("fn must be an async function: it returned no awaitable", path="fn")
    result = await answer
    if result is not None:
        step.result = result
