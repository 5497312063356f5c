"""A node of a run as a block: `async with run.node("pay") as node`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

from holdfast.errors import Closed, Conflict, HoldfastError, TooLarge
from holdfast.handles.background import to_its_end
from holdfast.handles.measured import measured
from holdfast.handles.node_clock import NodeClock
from holdfast.handles.run_block import RunBlock
from holdfast.handles.run_writes import RunWrites, Staged
from holdfast.handles.trials import Tried, WaitsError, trials
from holdfast.handles.unit import Called
from holdfast.kernel import codec
from holdfast.kernel.commit import Committed
from holdfast.kernel.work import Work
from holdfast.model.duration import to_seconds
from holdfast.model.node import Trial


class Telling(NamedTuple):
    """How a run is told of a node."""

    begins: Callable[[str, Any], Awaitable[None]]
    """Commits that a try of the node begins, with that input."""
    ends: Callable[[Work, str, Trial, bytes], Awaitable[Staged | None]]
    """Stages that it is completed, with that output; None where nothing is kept of nodes."""
    has_ended: Callable[[str, bytes], Awaitable[None]]
    """What is to be done once that has committed."""
    breaks_off: Callable[[str, Trial, Exception | None], Awaitable[None]]
    """Commits that the try failed with that error; without one, that the node is given back untried. Does nothing if
    that try is not the node's last any more."""


@measured("node", store="_store", block=True)
class RunNode(RunBlock):
    """One try of a node: running where the block begins, and completed with its `output` where it ends.

    What is written through it commits with the completion, or not at all. Where it asked a person, and did not wait for
    the answer, it ends without either: the node waits, and once it is answered it is ready to be done from its
    beginning, as the same try. An exception ends the try as failed, and goes
    on out of the block; so does TimeoutError, once it takes longer than the node's timeout, without the time that it
    waits for a person. A cancellation, `rollback`
    and a Conflict give the node back: it is ready again, and the try counts for nothing. Every commit of the block, by
    whatever handle, has the run, the node and the try in its cause.

    Raises InvalidTransition where the node may not begin, or the run has ended meanwhile; Conflict at the end of the
    block if what it read was changed by somebody else; LeaseLost, also if somebody else began the node anew meanwhile:
    then this try is over, and nothing is told of it.
    """

    _called = Called("node", "run.node(…)", "node")

    def __init__(self, of: RunWrites, name: str, input: Any, telling: Telling) -> None:
        super().__init__(of, name)
        self._node = name
        self._telling = telling
        self._input = input
        self._output = b"null"
        self._staged: Staged | None = None
        self._clock: NodeClock | None = None
        self._tried = Tried(of._store, of.id, name, (0, 0, None, 0))

    def __repr__(self) -> str:
        return f"<RunNode {self._name!r} of run {self._run.id!r}>"

    @property
    def id(self) -> str:
        """The node's id."""
        return self._name

    @property
    def attempt(self) -> int:
        """The how manieth try this is, from 1."""
        return self._run._board.record(self._name).attempt

    @property
    def input(self) -> Any:
        """What it was begun with."""
        return self._input

    @property
    def output(self) -> Any:
        """What it comes to: set it in the block."""
        return codec.decode(self._output)

    @output.setter
    def output(self, value: Any) -> None:
        self._output = self._encoded(value, "output")

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise Closed("a node's block is used once; begin another")
        await self._telling.begins(self._name, self._input)
        self._tried.trial = self._run._board.record(self._name).trial
        self._acts(self._name, self.attempt or 1)
        try:
            await super().__aenter__()
        except BaseException:
            self._acts_no_more()
            raise
        self._start_clock()
        self._inside = trials.set((*trials.get(), self._tried))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        trials.reset(self._inside)
        late = self._stop_clock(error)
        if late is not None:
            kind, error = TimeoutError, late
        try:
            left = await super().__aexit__(kind, error, trace)
            if left or error is not None:
                await self._break_off(None if left else error)
        except Conflict:
            await self._break_off(None)
            raise
        except (TooLarge, ExceptionGroup) as problem:
            await self._break_off(problem)
            raise
        finally:
            self._acts_no_more()
        if late is not None:
            raise late
        return left

    async def _break_off(self, error: BaseException | None) -> None:
        """Tell what became of it, to the end, however often this task is cancelled. What cannot be told any more keeps
        no exception from leaving the block."""
        if error is not None and not isinstance(error, (Exception, asyncio.CancelledError)):
            return  # the process ends
        failed = error if isinstance(error, Exception) else None
        try:
            await to_its_end(self._tell(failed))
        except HoldfastError as problem:
            if error is not None:
                error.add_note(f"what became of the node {self._name!r} could not be kept: {problem}")

    async def _tell(self, failed: Exception | None) -> None:
        await self._telling.breaks_off(self._name, self._tried.trial, failed)

    # --- the end of it ----------------------------------------------------------------------------

    async def _complete(self, work: Work) -> None:
        self._staged = await self._telling.ends(work, self._name, self._tried.trial, self._output)

    async def _commit(self, work: Work) -> None:
        try:
            await super()._commit(work)
        except WaitsError:
            return
        await self._telling.has_ended(self._name, self._output)

    def _finish(self, outcome: Committed) -> None:
        if self._staged is not None and self._run._target.scope in outcome.seqs:  # else there was nothing to write
            self._run._took(self._staged, self._seq_of(outcome))

    # --- its timeout ------------------------------------------------------------------------------

    def _start_clock(self) -> None:
        timeout = self._run._board.specs[self._name].timeout
        if timeout is not None:
            self._timeout_s = to_seconds(timeout, "timeout")
            self._clock = NodeClock(self._store.clock, self._timeout_s)

    def _stop_clock(self, error: BaseException | None) -> TimeoutError | None:
        """What ended the try if that was its timeout: it was interrupted or, where that cannot be, is over it."""
        clock = self._clock
        if clock is None:
            return None
        is_over = clock.is_over
        clock.stop()
        was_cancelled = isinstance(error, asyncio.CancelledError)
        if clock.has_interrupted:
            body = asyncio.current_task()
            if body is not None and body.uncancel() > self._cancelled and was_cancelled:
                return None  # somebody else cancelled it too
        elif error is not None or not is_over:
            return None
        if error is not None and not was_cancelled:
            return None
        return TimeoutError(f"the node {self._name!r} took longer than its timeout of {self._timeout_s:g} s")
