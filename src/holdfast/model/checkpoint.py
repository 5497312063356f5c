"""A checkpoint: what a scope was at one moment, kept so that it can be compared, brought back and forked.

What it keeps, `AREAS` and `KEYS` say; its messages and events it knows by their place alone. A restore makes the scope
what the checkpoint says, by the rules of `restored_*`: what was asked of people, and what was spent, stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from holdfast.model.cause import decode_cause
from holdfast.model.message import Interval
from holdfast.model.moment import to_datetime
from holdfast.model.scope import Scope
from holdfast.model.session import SessionRecord

AREAS = (
    "area/", "graph/", "interaction/", "node/", "run/", "runtime/", "state/", "step/", "temp/", "variable/",
)  # fmt: skip
"""What the keys of all cells start with that a checkpoint keeps."""

KEYS = ("hidden", "session")
"""The other cells that it keeps: which messages were hidden, and the record of the session."""

OF_USER = ("state/", "variable/")
"""What it keeps of the scope of the session's user."""

DEPTH_MAX = 31
"""So many checkpoints at most rest on one that has everything; the next has everything again."""

BEFORE_RESTORE = "before restore"
"""The label of the checkpoint that a restore takes beforehand."""

Included = Literal["session", "user"]
"""What may be restored: what is in the session, and the state of its user."""

INCLUDED: frozenset[str] = frozenset({"session", "user"})


class UserPosition(Struct, frozen=True, array_like=True):
    """Of which moment a checkpoint has the state of the session's user."""

    scope: str
    seq: int
    epoch: int


class CheckpointRecord(Struct, frozen=True, omit_defaults=True):
    """A checkpoint as the store keeps it; what it keeps stands in `parts` cells beside it.

    seq         it shows the scope right after that commit, of the life `epoch`
    base        the checkpoint with everything that it rests on, or it is itself; `depth` steps away, each of which has
                what was written since the one before
    cells       how many it keeps itself, in so many `bytes`; `reach`: how many those hold that it rests on, with it
    cause       why it was taken
    dropped     it is kept for those that rest on it, and shown to nobody
    """

    id: str
    seq: int
    epoch: int
    at_us: int
    base: str
    depth: int = 0
    parts: int = 0
    cells: int = 0
    bytes: int = 0
    reach: int = 0
    label: str | None = None
    by: str | None = None
    user: UserPosition | None = None
    dropped: bool = False

    def as_dropped(self) -> CheckpointRecord:
        """The same, kept for others only."""
        return replace(self, dropped=True)


class Checkpoint(Struct, frozen=True):
    """What a scope was at one moment.

    id          by which it is restored
    scope       of what
    label       as it was called
    version     the scope's version that it shows
    at, by      when and by whom it was taken
    cells       how many cells it keeps itself, in `bytes`: what was written since the checkpoint before it or, if it is
                `whole`, all there was
    includes    what can be restored of it
    """

    id: str
    scope: Scope
    label: str | None
    version: int
    at: datetime
    by: str | None
    cells: int
    bytes: int
    whole: bool
    includes: tuple[Included, ...] = ("session",)


def as_checkpoint(record: CheckpointRecord, scope: str) -> Checkpoint:
    """The public form of a record."""
    includes: tuple[Included, ...] = ("session",) if record.user is None else ("session", "user")
    return Checkpoint(
        record.id,
        Scope.parse(scope),
        record.label,
        record.seq,
        to_datetime(record.at_us),
        record.by,
        record.cells,
        record.bytes,
        record.depth == 0,
        includes,
    )


def by_of(cause: bytes) -> str | None:
    """Who takes it, as the commit says."""
    return decode_cause(cause).by if cause else None


def removable(records: Collection[CheckpointRecord]) -> list[CheckpointRecord]:
    """Those that were dropped and on which none rests any more that is shown."""
    needed: dict[str, int] = {}
    for record in records:
        if not record.dropped:
            needed[record.base] = max(record.depth, needed.get(record.base, 0))
    return [record for record in records if record.dropped and record.depth > needed.get(record.base, -1)]


def newest(records: Collection[CheckpointRecord]) -> CheckpointRecord | None:
    """The one on which the next may rest: the last that was taken."""
    return max(records, key=lambda record: (record.epoch, record.seq, record.at_us, record.id), default=None)


# --- what a restore makes of what there is ---------------------------------------------------------


def restored_session(then: SessionRecord, now: SessionRecord, *, at_us: int) -> SessionRecord:
    """The record of a session after a restore: its metadata and tags of then.

    Status, deadline, budget and what was used of it stay: a restore gives back nothing that was spent, and opens
    nothing that has ended.
    """
    if (then.metadata, then.tags) == (now.metadata, now.tags):
        return now
    return replace(now, updated_us=at_us, metadata=then.metadata, tags=then.tags)


Stand = Literal["absent", "open", "closed"]
"""Of a question to a person: it is not there, may be answered yet, or is answered, timed out or cancelled."""

Fate = Literal["keep", "withdraw", "put_back"]


def fate_of_question(then: Stand, now: Stand, *, run_stays: bool) -> Fate:
    """What a restore makes of a question: one that was asked since is withdrawn, and so is one whose run goes; one that
    came to its end since then stays so, and is never open again.

    One that was open and is gone is not put back, for nobody knows whether it was answered: its run asks it again.
    """
    if now == "absent":
        return "put_back" if then == "closed" else "keep"
    return "withdraw" if not run_stays or (now == "open" and then == "absent") else "keep"


def hidden_after(then: Collection[Interval], interval: Interval | None) -> tuple[Interval, ...]:
    """The intervals of then and one more, in order, none touching another."""
    joined: list[Interval] = []
    for after, until in sorted([*then, *(() if interval is None else (interval,))]):
        if joined and after <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(until, joined[-1][1]))
        else:
            joined.append((after, until))
    return tuple(joined)


class Difference(Struct, frozen=True):
    """How to make one mapping of cells another one."""

    puts: dict[str, bytes]
    deletes: tuple[str, ...]


def difference(
    now: Mapping[str, bytes], then: Mapping[str, bytes], *, renewed: Collection[str] = frozenset()
) -> Difference:
    """What is to be written, and what removed, to make what is `now` what was `then`. Written anew is also what is as
    it was and has another time to live: the keys that are `renewed`."""
    puts = {key: value for key, value in sorted(then.items()) if now.get(key) != value or key in renewed}
    return Difference(puts, tuple(sorted([key for key in now if key not in then])))
