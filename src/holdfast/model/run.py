"""Runs: one execution of a workflow, and where it is in its life.

    pending     created, and nobody has taken it up yet
      ↓ running    completed, failed, cancelled
      ↕ paused     completed, failed, cancelled

From each status of a line to each to the right of it; a pending run may be paused as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from holdfast.errors import InvalidTransition, InvalidValue, shown
from holdfast.model.end import End

NULL = Raw(b"null")


class RunStatus(StrEnum):
    """Where a run is in its life. Raises InvalidValue, naming all, for a word that is none."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """Whether work on the run may go on, now or later."""
        return self in OPEN

    @classmethod
    def _missing_(cls, value: object) -> RunStatus:
        raise InvalidValue(f"{shown(value)} is no status of a run; there are {', '.join(cls)}", path="status")


_PENDING, _RUNNING, _PAUSED = RunStatus.PENDING, RunStatus.RUNNING, RunStatus.PAUSED
_ENDS = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)

WAITS = "it waits for an answer"
"""Why a run is paused whose questions are open, while nothing else of it can go on."""

OPEN = frozenset((_PENDING, _RUNNING, _PAUSED))
"""The statuses of a run that has not ended."""

MOVES: Mapping[RunStatus, tuple[RunStatus, ...]] = {
    _PENDING: (_RUNNING, _PAUSED, *_ENDS),
    _RUNNING: (_PENDING, _PAUSED, *_ENDS),
    _PAUSED: (_PENDING, _RUNNING, *_ENDS),
    **dict.fromkeys(_ENDS, ()),
}
"""Where a run may go from each status. Back to pending it goes when a question was answered, or when it is resumed and
nobody holds it: whoever takes it up makes it running."""


class Asked(Struct, frozen=True):
    """What there is of the questions of a run when it is restored: which are `open`, whether something that waited for
    others `goes_on`, and how many it had `asked`."""

    open: frozenset[str] = frozenset()
    goes_on: bool = False
    asked: int = 0


class RunRecord(Struct, frozen=True, omit_defaults=True):
    """What is kept of a run as a whole; what its nodes did stands with each of them.

    nodes       how many it has; their specifications stand in `parts` cells beside the record
    tracks      whether what its nodes do is kept; `keeps_outputs`: and what they came to
    leaving     it has left, and what it consisted of is being removed
    lingers     it has ended, and questions of it are stored that are still to be withdrawn
    waits       it is paused since it waits for answers, and goes on with the next one
    paused_at   the node at which somebody paused it
    resumed     how often it was resumed: what was paused before the last time goes on
    asked       how many questions it put to people
    salt        makes the identities of its steps, and the ids of its questions, which stand in keys, unlike those of
                other runs, but for its forks
    """

    id: str
    workflow: str
    status: RunStatus
    started_us: int
    updated_us: int
    session: str | None = None
    user: str | None = None
    input: Raw = NULL
    output: Raw = NULL
    error: Raw = NULL
    ended_us: int | None = None
    pause_reason: str | None = None
    resumable: bool = True
    tracks: bool = True
    keeps_outputs: bool = True
    nodes: int = 0
    parts: int = 0
    leaving: bool = False
    waits: bool = False
    paused_at: str | None = None
    resumed: int = 0
    asked: int = 0
    salt: str = ""
    lingers: bool = False

    def moved(
        self,
        to: RunStatus,
        *,
        at_us: int,
        reason: str | None = None,
        output: bytes | None = None,
        error: bytes | None = None,
        waits: bool = False,
        node: str | None = None,
    ) -> RunRecord:
        """The record after a move; a pause may be at a `node`. Raises InvalidTransition, naming the moves there are."""
        check_move(self, to)
        return replace(
            self,
            status=to,
            updated_us=at_us,
            ended_us=None if to.is_open else at_us,
            pause_reason=reason if to is _PAUSED else None,
            waits=waits,
            paused_at=node if to is _PAUSED else None,
            output=self.output if output is None else Raw(output),
            error=self.error if error is None else Raw(error),
        )

    def met(self, end: End | None) -> RunRecord:
        """The record as it counts where its session ended so (None: it goes on): cancelled, written already or not,
        unless the session may go on, and this run with it."""
        if end is None or not end.is_final or not self.status.is_open:
            return self
        return self.moved(RunStatus.CANCELLED, at_us=max(end.at_us, self.started_us))

    def forked(self, id: str, *, session: str, at_us: int) -> RunRecord:
        """The run as a fork of its session has it, under an id of its own: one that is open is paused, so that nobody
        takes it up who was not asked to."""
        record = replace(self, id=id, session=session, updated_us=at_us, waits=False, lingers=False)
        if self.status in (_PENDING, _RUNNING) or self.waits:
            record = replace(record, status=_PAUSED, pause_reason=FORKED)
        return record

    def resumed_once_more(self, *, held: bool, at_us: int) -> RunRecord:
        """The run with its pause over, running if it is held and else pending, and that of its nodes; one that is not
        paused itself stays as it is but for these."""
        record = self.moved(_RUNNING if held else _PENDING, at_us=at_us) if self.status is _PAUSED else self
        return replace(record, updated_us=at_us, resumed=self.resumed + 1)

    def restored(self, of: Asked) -> RunRecord:
        """The run as a restore brings it back: one that waited goes on where an answer that came since lets it, and
        counts on from all that it asked."""
        record = replace(self, asked=max(self.asked, of.asked))
        return replace(record, status=_PENDING, waits=False, pause_reason=None) if self.waits and of.goes_on else record


FORKED = "forked"
"""Why a run is paused that was open when its session was forked."""


def check_move(record: RunRecord, to: RunStatus) -> None:
    """Raise InvalidTransition unless the run may become that."""
    status, moves = record.status, MOVES[record.status]
    if status is _PAUSED and not record.resumable:
        moves = _ENDS
    elif record.waits:  # somebody may pause it besides: then no answer lets it go on
        moves = (_PAUSED, *moves)
    if to in moves:
        return
    remedy = "Refresh the run to see where it is, and make one of the moves that the message names."
    if not moves:
        remedy = "Start another run: this one has ended, and keeps what it came to."
    elif status is _PAUSED and not record.resumable:
        remedy = "Start another run: this one was started with `Config.runs.resumable` off."
    raise InvalidTransition(
        f"a run that is {status} cannot become {to}; it may become {', '.join(moves) or 'nothing else'}",
        remedy=remedy,
        status=status,
        to=to,
        allowed=moves,
    )


def check_resumes(record: RunRecord, *, paused: Collection[str]) -> None:
    """Raise InvalidTransition unless the run is paused, or goes on and has nodes that are."""
    if record.status is not _PAUSED and not (paused and record.status.is_open and record.resumable):
        raise InvalidTransition(
            f"the run {record.id} is {record.status}; only one that is paused, or has nodes that are, is resumed",
            remedy="Refresh the run to see where it is: `await run.refresh()`.",
            status=record.status,
            to=_RUNNING,
            allowed=MOVES[record.status],
        )


def check_works(record: RunRecord, open: Sequence[str] = ()) -> None:
    """Raise InvalidTransition unless work of the run may be kept: it is pending or running. One that waits for answers
    names the questions that are `open`."""
    if record.status in (_PENDING, _RUNNING):
        return
    if record.waits and open:
        raise unanswered(f"the run {record.id} is paused: it", open, status=record.status, to=_RUNNING)
    paused = f": {record.pause_reason}" if record.pause_reason else ""
    raise InvalidTransition(
        f"the run {record.id} is {record.status}{paused}; what its nodes do is kept while it is running",
        remedy="Resume it: `await run.resume()`."
        if record.status is _PAUSED
        else "Start another run: this one has ended, and keeps what it came to.",
        status=record.status,
        to=_RUNNING,
        allowed=MOVES[record.status],
    )


def unanswered(who: str, open: Sequence[str], **facts: Any) -> InvalidTransition:
    """The error that says that a run, or a node, goes on only with answers to those questions."""
    others = f" and {len(open) - 1} others" if len(open) > 1 else ""
    return InvalidTransition(
        f"{who} waits for an answer to the question {open[0]}{others}",
        remedy=f"Answer it, `await hold.interactions.answer({open[0]!r}, …)`, or withdraw it: `.cancel({open[0]!r})`.",
        interactions=tuple(open),
        allowed=(),
        **facts,
    )


def session_ended(id: str, status: RunStatus, end: End) -> InvalidTransition:
    """The error that says that nothing of a run goes on, since its session has ended."""
    return InvalidTransition(
        f"the run {id} does not go on: its session is {end.status}",
        remedy="Start it in another session: this one has ended."
        if end.is_final
        else "Let the session go on: `s.resume(budget=…)` with a higher budget; then its runs do.",
        status=status,
        allowed=(),
    )
