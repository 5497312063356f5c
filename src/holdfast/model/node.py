"""Nodes: the parts of a run, what each waits for, and how far it came.

What is kept is what a node did: that it runs, completed, failed, was skipped or paused, or is to be tried again. That
it waits, is ready, or is skipped because of another follows from those it depends on; see `graph`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from holdfast.errors import InvalidTransition, InvalidValue, shown
from holdfast.model.node_spec import NodeSpec

NULL = Raw(b"null")


class NodeStatus(StrEnum):
    """How far a node came. Raises InvalidValue, naming all, for a word that is none."""

    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    PAUSED = "paused"

    @classmethod
    def _missing_(cls, value: object) -> NodeStatus:
        raise InvalidValue(f"{shown(value)} is no status of a node; there are {', '.join(cls)}", path="status")


DONE = (NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.SKIPPED)
"""The statuses of a node of which nothing is left to do."""


Trial = tuple[int, int, int | None, int]
"""A try of a node: its round and attempt, when it began, and by which claim."""


class NodeRecord(Struct, frozen=True, omit_defaults=True, gc=False):
    """What is kept of a node that did something.

    attempt     the how manieth try this is, from 1; 0: none yet
    round       how often it was gone through, from 1: a loop begins another
    seen        of those it depends on, in which round each was when this one began; those in their first are left out
    next_us     not before then is it to be tried
    asks        the open questions that it waits for; one that runs may have asked them in a try before
    token       of the claim under which it was begun: who holds the run by another knows that it was interrupted
    resumed     how often the run had been resumed when this was paused: the next time lets it go on
    """

    status: NodeStatus
    attempt: int = 0
    round: int = 1
    seen: Mapping[str, int] = {}
    next_us: int | None = None
    started_us: int | None = None
    ended_us: int | None = None
    asks: tuple[str, ...] = ()
    token: int = 0
    resumed: int = 0
    input: Raw = NULL
    output: Raw = NULL
    error: Raw = NULL

    @property
    def is_open(self) -> bool:
        """Whether its last try began and did not end: it may have been paused in the midst of it."""
        return self.started_us is not None and self.ended_us is None

    @property
    def trial(self) -> Trial:
        """What tells its last try from any other of it."""
        return self.round, self.attempt, self.started_us, self.token

    def with_questions(self, open: Container[str]) -> NodeRecord:
        """It waits for those of its questions that are open, and for no others: without any it is ready."""
        asks = tuple([id for id in self.asks if id in open])
        if asks == self.asks:
            return self
        ready = self.status is NodeStatus.PAUSED and not asks
        return replace(self, asks=asks, status=NodeStatus.READY if ready else self.status)

    def begun(self, *, at_us: int, token: int, input: bytes | None) -> NodeRecord:
        """It runs: another try; or the same again, if it was paused in the midst of it. What it asked is open still."""
        same = self.is_open and self.status is not NodeStatus.RUNNING
        return replace(
            self,
            status=NodeStatus.RUNNING,
            attempt=self.attempt if same else self.attempt + 1,
            next_us=None,
            started_us=at_us,
            ended_us=None,
            token=token,
            input=self.input if input is None else Raw(input),
            output=NULL,
        )

    def completed(self, *, at_us: int, output: bytes | None) -> NodeRecord:
        """It is done."""
        return replace(
            self,
            status=NodeStatus.COMPLETED,
            attempt=max(self.attempt, 1),
            next_us=None,
            started_us=at_us if self.started_us is None else self.started_us,
            ended_us=at_us,
            output=NULL if output is None else Raw(output),
            error=NULL,
            asks=(),
        )

    def failed(self, spec: NodeSpec, *, at_us: int, error: bytes) -> NodeRecord:
        """This try failed: it is ready for the next once its pause is over, and has its answers; or failed for good."""
        attempt = max(self.attempt, 1)
        more = spec.retry is not None and attempt <= spec.retry.times
        return replace(
            self,
            status=self._goes_on if more else NodeStatus.FAILED,
            attempt=attempt,
            next_us=at_us + spec.retry.pause_us(attempt) if more and spec.retry is not None else None,
            ended_us=at_us,
            error=Raw(error),
            asks=self.asks if more else (),
        )

    @property
    def _goes_on(self) -> NodeStatus:
        """What it is between two tries."""
        return NodeStatus.PAUSED if self.asks else NodeStatus.READY

    def given_back(self) -> NodeRecord:
        """It is as before this try, which counts for nothing."""
        return replace(self, status=self._goes_on, attempt=self.attempt - 1, started_us=None, token=0)

    def again(self) -> NodeRecord:
        """It begins another round, with all its tries."""
        return NodeRecord(NodeStatus.READY, round=self.round + 1, seen=self.seen)

    def asking(self, question: str) -> NodeRecord:
        """It waits for one more answer. A try that is under way goes on when it begins again."""
        asks = self.asks if question in self.asks else (*self.asks, question)
        return replace(self, status=NodeStatus.PAUSED, asks=asks, next_us=None)

    def set_to(self, status: NodeStatus, *, at_us: int) -> NodeRecord:
        """It is skipped, or ready after a pause; it waits for no answer."""
        ended = at_us if status is NodeStatus.SKIPPED else self.ended_us
        return replace(self, status=status, ended_us=ended, next_us=None, asks=())

    def paused(self, *, resumed: int) -> NodeRecord:
        """It is paused in a run that was resumed so often."""
        return replace(self, status=NodeStatus.PAUSED, next_us=None, resumed=resumed)

    def goes_on(self, resumed: int) -> bool:
        """Whether it was paused, and the run was resumed since: so often altogether. One that waits for an answer does
        not go on with that."""
        return self.status is NodeStatus.PAUSED and not self.asks and self.resumed < resumed


_MOVES: Mapping[NodeStatus, frozenset[NodeStatus]] = {
    NodeStatus.WAITING: frozenset({NodeStatus.SKIPPED, NodeStatus.PAUSED}),
    NodeStatus.READY: frozenset(NodeStatus) - {NodeStatus.WAITING, NodeStatus.READY},
    NodeStatus.RUNNING: frozenset(NodeStatus) - {NodeStatus.WAITING},
    NodeStatus.PAUSED: frozenset(NodeStatus) - {NodeStatus.WAITING, NodeStatus.PAUSED},
    NodeStatus.COMPLETED: frozenset({NodeStatus.READY}),
    NodeStatus.FAILED: frozenset({NodeStatus.READY}),
    NodeStatus.SKIPPED: frozenset({NodeStatus.READY}),
}


def check_move(node: str, status: NodeStatus, to: NodeStatus) -> None:
    """Raise InvalidTransition unless a node of that status may become the other.

    From completed, failed and skipped it may become ready: another round of a loop. A running one that becomes ready
    is given back untried.
    """
    if to in _MOVES[status]:
        return
    moves = [each for each in NodeStatus if each in _MOVES[status]]
    remedy = "Refresh the run to see how far it is: `await run.refresh()`."
    if status is NodeStatus.WAITING:
        remedy = "Wait until the nodes it depends on are done: `run.ready_nodes()` names those that may begin."
    raise InvalidTransition(
        f"the node {shown(node)} is {status} and cannot become {to}; it may become {', '.join(moves)}",
        remedy=remedy,
        node=node,
        status=status,
        to=to,
        allowed=tuple(moves),
    )


class Node(Struct, frozen=True):
    """A node as it was seen.

    attempt             the how manieth try that is or was, from 1; 0: none yet
    next_at             not before then is it tried again; None: at once
    started_at          when its last try began; `ended_at` when that ended
    error               of the last try that failed: `{"type": …, "message": …}` of an exception, or what was given
    depends_on          the nodes it waits for
    dependents_done     those that depend on it and are completed
    round               how often it was gone through, from 1
    """

    id: str
    status: NodeStatus
    attempt: int
    next_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    input: Any
    output: Any
    error: Any
    depends_on: tuple[str, ...]
    dependents_done: tuple[str, ...]
    round: int = 1
