"""Steps whose effects commit with them: `async with run.atomic_step("pay") as step`."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from holdfast.errors import Closed, Conflict, HoldfastError
from holdfast.handles.measured import measured
from holdfast.handles.run_block import RunBlock
from holdfast.handles.run_writes import RunWrites, Staged
from holdfast.handles.unit import Called
from holdfast.kernel import codec
from holdfast.kernel.commit import Committed
from holdfast.kernel.commit import Conflict as Refusal
from holdfast.kernel.work import Work
from holdfast.services import step


@measured("atomic_step", store="_store", block=True)
class AtomicStep(RunBlock):
    """A step of a run in a block: what is written through it, and that it is done, are one commit.

    So its effects are there once, whatever is killed when. A step that was done before has `done` and its `result`, and
    refuses writes (Closed). Raises InvalidTransition where the run is paused or has ended; Conflict at the end of the
    block if what it read was changed by somebody else, or the step was done meanwhile, and then nothing was written;
    LeaseLost.
    """

    _called = Called("atomic step", "run.atomic_step(…)", "step")

    def __init__(self, of: RunWrites, name: str, identity: str, idempotency_key: str) -> None:
        super().__init__(of, name)
        self._identity = identity
        self._idempotency_key = idempotency_key
        self._key = step.key_of(of.id, identity)
        self._result = b"null"
        self._staged: Staged | None = None
        self._has_begun = False  # it is tried again: what has begun may end while the run is paused
        self._is_kept = False
        self.done = False
        """Whether it was done before."""

    @property
    def result(self) -> Any:
        """What it came to: set it in the block; of a step that was done before it is what that came to."""
        return codec.decode(self._result)

    @result.setter
    def result(self, value: Any) -> None:
        self._result = self._encoded(value, "result")

    @property
    def idempotency_key(self) -> str:
        """What tells this step from every other, for systems outside that can be told: the same however often it is
        tried."""
        return self._idempotency_key

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise Closed("an atomic step is used once; begin another")
        result = await self._run._look_up(self._key)
        if result is not None:
            self.done, self._result, self._state = True, result, "ended"
            return self
        await self._run._regain()
        self._run._check_session()
        if not (self._has_begun and self._run._record.status.is_open):
            self._run._check_works()
        self._acts()
        try:
            return await super().__aenter__()
        except BaseException:
            self._acts_no_more()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self.done:
            return False
        try:
            return await super().__aexit__(kind, error, trace)
        finally:
            self._acts_no_more()

    async def _complete(self, work: Work) -> None:
        await self._run._look_up(self._key)
        self._staged = await self._run._goes_on(work)
        step.put(work, self._run._target.scope, self._key, name=self._name, result=self._result)

    def _explain(self, conflict: Refusal, *, asked: bool) -> HoldfastError:
        if conflict.key != self._key:
            return super()._explain(conflict, asked=asked)
        return Conflict(
            f"the step {self._name!r} of the run {self._run.id!r} was done by somebody else meanwhile",
            remedy="Begin it again: it is done, and has its result. `run.atomic` does that by itself.",
            scope=conflict.scope,
            what=conflict.what,
            key=conflict.key,
        )

    def _finish(self, outcome: Committed) -> None:
        assert self._staged is not None
        self._run._took(self._staged, self._seq_of(outcome))
        self._is_kept = True

    def _closed(self) -> Closed:
        if self.done:
            return Closed(
                f"the step {self._name!r} was done before",
                remedy="Use `step.result` where `step.done` is true; write nothing then.",
            )
        return super()._closed()
