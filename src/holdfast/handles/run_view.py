"""A run as it was last seen: its record, its nodes, and what follows from both."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.handles.store import Store
from holdfast.kernel import codec
from holdfast.model.graph import Board
from holdfast.model.moment import to_datetime
from holdfast.model.node import DONE, Node, NodeStatus
from holdfast.model.run import RunRecord, RunStatus
from holdfast.services import interaction
from holdfast.services.run import Loaded


class RunView:
    """What is known of a run without asking anybody."""

    def __init__(self, store: Store, loaded: Loaded) -> None:
        self._store = store
        self._token = 0
        self._saw(loaded)

    def _saw(self, loaded: Loaded) -> None:
        self._record: RunRecord = loaded.record
        self._version = loaded.version
        self._seq = loaded.seq  # that of its scope as of which all this is known; 0: not known
        self._versions = dict(loaded.versions)
        self._end = loaded.end
        ended_us = loaded.record.ended_us
        if ended_us is None and self._end is not None:
            ended_us = self._end.at_us
        asked = [(interaction.decode(cell).met(ended_us), cell.version) for cell in loaded.beside]
        self._questions = {record.id: (record, version) for record, version in asked}
        self._board = Board(loaded.specs, loaded.nodes, token=self._token, resumed=self._record.resumed)

    def __repr__(self) -> str:
        return f"<Run {self.id!r} of {self.workflow!r} {self.status} version={self.version}>"

    @property
    def id(self) -> str:
        """The run's id."""
        return self._record.id

    @property
    def workflow(self) -> str:
        """The workflow it is a run of."""
        return self._record.workflow

    @property
    def session(self) -> str | None:
        """The id of the session it belongs to; None for one that is alone."""
        return self._record.session

    @property
    def user(self) -> str | None:
        """Whose run it is."""
        return self._record.user

    @property
    def status(self) -> RunStatus:
        """Where it is in its life."""
        return self._record.status

    @property
    def input(self) -> Any:
        """What it was started with."""
        return codec.decode(bytes(self._record.input))

    @property
    def output(self) -> Any:
        """What it came to; None until it is completed."""
        return codec.decode(bytes(self._record.output))

    @property
    def error(self) -> Any:
        """Why it failed."""
        return codec.decode(bytes(self._record.error))

    @property
    def started_at(self) -> datetime:
        """When it was started."""
        return to_datetime(self._record.started_us)

    @property
    def updated_at(self) -> datetime:
        """When it, or one of its nodes, was last written."""
        times = [record.ended_us or record.started_us or 0 for record in self._board.records.values()]
        return to_datetime(max(self._record.updated_us, *times, 0))

    @property
    def ended_at(self) -> datetime | None:
        """When it was completed, failed or was cancelled."""
        return None if self._record.ended_us is None else to_datetime(self._record.ended_us)

    @property
    def pause_reason(self) -> str | None:
        """Why it is paused."""
        return self._record.pause_reason

    @property
    def resumable(self) -> bool:
        """Whether it can go on after a pause or a crash: `Config.runs.resumable` when it was started, and it has not
        ended."""
        return self._record.resumable and self._record.status.is_open and self._end is None

    @property
    def version(self) -> int:
        """The version of what was last seen of it: the seq of the last commit that wrote it or one of its nodes."""
        return max([self._version, *self._versions.values()])

    @property
    def current_node(self) -> str | None:
        """The node that began last; of those that run, if any does."""
        return self._board.current

    @property
    def nodes(self) -> dict[str, Node]:
        """Every node, by its id."""
        return {name: self._node(name) for name in self._board.specs}

    def _node(self, name: str) -> Node:
        board, record = self._board, self._board.record(name)
        done = [other for other in board.dependents(name) if board.statuses[other] is NodeStatus.COMPLETED]
        return Node(
            id=name,
            status=self._status(name),
            attempt=record.attempt,
            next_at=_moment(record.next_us),
            started_at=_moment(record.started_us),
            ended_at=_moment(record.ended_us),
            input=codec.decode(bytes(record.input)),
            output=codec.decode(bytes(record.output)),
            error=codec.decode(bytes(record.error)),
            depends_on=board.specs[name].after,
            dependents_done=tuple(done),
            round=record.round,
        )

    def _status(self, name: str) -> NodeStatus:
        """What a node is: paused too, where the run is paused at it, for what it is besides shows once it goes on."""
        status = self._board.statuses[name]
        is_there = self.status is RunStatus.PAUSED and self._record.paused_at == name
        return NodeStatus.PAUSED if is_there and status not in DONE else status

    def ready_nodes(self) -> list[str]:
        """The frontier: the nodes that may begin now, those first that others may wait for. Empty unless the run is
        pending or running."""
        if self._end is not None or self.status not in (RunStatus.PENDING, RunStatus.RUNNING):
            return []
        return self._board.ready(self._store.now_us())

    @property
    def next_at(self) -> datetime | None:
        """When the next of the nodes that pause before another try may begin; None if none does."""
        return _moment(self._board.next_us)

    @property
    def _has_work(self) -> bool:
        """Whether there is something to do for who takes it up: a node that may begin now or that somebody was at, or
        to complete it."""
        board = self._board
        return board.is_done or NodeStatus.RUNNING in board.statuses.values() or bool(self.ready_nodes())

    @property
    def is_done(self) -> bool:
        """Whether every node is completed, failed or skipped: `complete` is what is left to do."""
        return self._board.is_done


def _moment(at_us: int | None) -> datetime | None:
    return None if at_us is None else to_datetime(at_us)
