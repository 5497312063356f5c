"""A piece of a run's work as a block: what is written through it commits as one with its completion, or not at all."""

from __future__ import annotations

from abc import abstractmethod
from typing import NoReturn

from holdfast.errors import NotFound
from holdfast.handles.block import Block
from holdfast.handles.event_log import EventLog
from holdfast.handles.messages import Messages
from holdfast.handles.run_variables import variables_of_run
from holdfast.handles.run_writes import BLOCKS, RunWrites
from holdfast.handles.runtime import Runtime
from holdfast.handles.state import State, state_of
from holdfast.handles.unit import Target, Together, pause, refuse_inside
from holdfast.handles.variables import Variables
from holdfast.kernel import codec
from holdfast.kernel.commit import Committed
from holdfast.kernel.commit import Conflict as Refusal
from holdfast.kernel.work import Work
from holdfast.model import cause
from holdfast.model.scope import Scope
from holdfast.services import interaction, run
from holdfast.services.state import Place

ATTEMPTS = 10
"""How often the completion of a block is judged, where others keep writing of its run."""


class _Together(Together):
    """The unit of such a block, which may stand in another."""

    __slots__ = ()
    _beside = BLOCKS


class RunBlock(Block, EventLog):
    """What can be written in a block of a run: state, messages and events of its session or, of a run that is alone,
    of its own scope.

    The run itself may be written beside it, which is durable at once.
    """

    _node: str | None = None
    """The node that it is a try of."""

    def __init__(self, of: RunWrites, name: str) -> None:
        super().__init__(of._store)
        self._run = of
        self._name = name
        self._cause_before: cause.Cause | None = None

    def __getattr__(self, name: str) -> NoReturn:
        # Only what is missing comes here: the surface that the block's beginning brings, and what that rests on.
        if name in ("state", "temp", "runtime", "messages", "_unit", "_target"):
            self._current()
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    @abstractmethod
    async def _complete(self, work: Work) -> None:
        """Stage that it is done, judged by the run, its nodes and its questions as they are stored now."""

    async def _send(self, work: Work) -> Committed | Refusal:
        """Where somebody wrote of the run meanwhile, it was paused or another node ended say, only its completion is
        judged anew."""
        scope, attempt = self._run._target.scope, 0
        while True:
            undo = work.savepoint(scope)
            await self._complete(work)
            outcome = await super()._send(work)
            attempt += 1
            if isinstance(outcome, Committed) or not self._judged_by(outcome) or attempt == ATTEMPTS:
                return outcome
            undo()
            work.reopen()
            await pause(self._store, attempt)

    def _judged_by(self, refusal: Refusal) -> bool:
        """Whether what was written meanwhile is what the completion is judged by: nothing else here rests on it."""
        id, key = self._run.id, refusal.key or ""
        if refusal.scope != self._run._target.scope:
            return False
        return key == run.key_of(id) or key.startswith((run.node_prefix(id), interaction.prefix_of(id)))

    def _begin(self) -> None:
        target = self._run._target
        refuse_inside(self._store, target.scope, beside=BLOCKS)
        super()._begin()
        self._current().ask(target.scope, "must_exist", epoch=target.epoch)
        self._target = Target(target.scope, "must_exist", target.epoch)
        self._unit = _Together(self._store, self._current(), self._along)
        config = self._store.config.state
        self.state = State(self._unit, self._target, Place(target.scope, "state", "", config.value_bytes_max))
        """State of the session, or of the run that is alone."""
        self.temp = State(
            self._unit,
            self._target,
            Place(target.scope, "temp", "", config.value_bytes_max, self._store.temp_ttl_us),
        )
        """Temporary state: each value is gone `state.temp_ttl` after it was last set."""
        self.runtime = Runtime(self._unit, self._target)
        """What is shown to followers."""
        self.messages = Messages(self._unit, self._target)
        """The conversation."""

    @property
    def variables(self) -> Variables:
        """The variables that are seen from here: of the node, if it is one, and from the run."""
        return variables_of_run(self._unit, self._target, self._run._record, self._node)

    @property
    def user_state(self) -> State:
        """The state of the run's user, across sessions. Raises NotFound for a run without a user."""
        self._current()
        if self._run.user is None:
            raise NotFound(
                f"the run {self._run.id!r} has no user",
                remedy="Start it in a session that has one or, alone, with user=….",
                run=self._run.id,
            )
        return state_of(self._unit, Scope.user(self._run.user))

    def _acts(self, node: str | None = None, attempt: int | None = None) -> None:
        """Let what is committed from now on be of this run."""
        self._cause_before = cause.set_run(self._run.id, node, attempt)

    def _acts_no_more(self) -> None:
        if self._cause_before is not None:
            cause.set_back(self._cause_before)
            self._cause_before = None

    def _encoded(self, value: object, what: str) -> bytes:
        self._current()
        limit = self._store.limits.value_bytes_max
        return codec.encode(value, bytes_max=limit, what=f"the {what} of {self._name}", path=what)

    def _seq_of(self, outcome: Committed) -> int:
        return outcome.seqs[self._run._target.scope]
