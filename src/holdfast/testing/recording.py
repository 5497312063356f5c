"""Noting what clients do, and reading the witness: what `history` checks.

    with recorder.operation("client 3") as operation:
        with hold.acting(by="client 3", trace_id=operation.id):      # so that the log names the operation
            async with hold.transaction() as tx:
                n = await tx.state(scope).get("n", default=0)
                operation.attempt(reads={…: {"state//n": n}}, writes={…: [Effect("set", "state//n", n + 1)]})
                await tx.state(scope).set("n", n + 1)
        operation.acknowledged({…: tx.version(scope)})

Every note is one line of JSON and given to a sink at once, so that what a process noted before it was killed is there
afterwards; `load` puts the lines of all processes together. Moments come from one clock for all of them, read in
nanoseconds and shared out so that no two are the same. Where a reading cannot tell which of two was first, operations
are taken to overlap: the checker may miss an order, it never invents one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from msgspec import UNSET, DecodeError, Struct, json

from holdfast.errors import Diverged, HoldfastError, Indeterminate
from holdfast.kernel import codec
from holdfast.kernel.commit import Record
from holdfast.kernel.contract import Kernel
from holdfast.kernel.line import Line, decode_lines
from holdfast.model.cause import decode_cause
from holdfast.model.change import Change
from holdfast.testing.history import Effect, Entry, Operation, Reads, Writes

PAGE = 1000
"""Records read from one log at once."""

CLIENTS_MAX = 100
"""Recorders that may write one history: each owns the moments with one remainder of this."""


class Note(Struct, omit_defaults=True):
    """One line: an operation began, is about to send what it wrote, or ended."""

    what: Literal["began", "attempt", "ended"]
    id: str
    at: int = 0
    client: str = ""
    outcome: Literal["ok", "refused", "unknown"] = "unknown"
    reads: Reads = {}
    writes: Writes = {}
    at_seq: dict[str, int] = {}
    seqs: dict[str, int] = {}


class Recording:
    """One operation while it goes on."""

    def __init__(self, id: str, emit: Callable[[Note], None]) -> None:
        self.id = id
        self._emit = emit
        self._seqs: dict[str, int] = {}

    def attempt(
        self, *, reads: Reads | None = None, writes: Writes | None = None, at_seq: dict[str, int] | None = None
    ) -> None:
        """Note what was read (and as of which seq, where the store said so) and what is about to be written.

        The last attempt counts.
        """
        self._emit(Note("attempt", self.id, reads=reads or {}, writes=writes or {}, at_seq=at_seq or {}))

    def acknowledged(self, seqs: dict[str, int]) -> None:
        """Note at which seq of each scope the commit was acknowledged."""
        self._seqs = seqs


class Recorder:
    """Notes the operations of one client or process. `place` tells recorders of one history apart."""

    def __init__(self, now_ns: Callable[[], int], *, place: int = 0, sink: Callable[[bytes], object]) -> None:
        if not 0 <= place < CLIENTS_MAX:
            raise ValueError(f"a history has at most {CLIENTS_MAX} recorders")
        self._now_ns = now_ns
        self._place = place
        self._sink = sink
        self._last = 0
        self._count = 0

    @contextmanager
    def operation(self, client: str) -> Iterator[Recording]:
        """Note the block as one operation; what it raises says whether it was refused or is unknown."""
        self._count += 1
        name = f"{client}:{self._place}:{self._count}"
        recording = Recording(name, self._emit)
        self._emit(Note("began", name, at=self._moment(), client=client))
        outcome: Literal["ok", "refused", "unknown"] = "unknown"
        try:
            yield recording
            outcome = "ok"
        except HoldfastError as problem:
            outcome = "unknown" if isinstance(problem, (Indeterminate, Diverged)) else "refused"
            raise
        finally:
            self._emit(Note("ended", name, at=self._moment(later_ns=1), outcome=outcome, seqs=recording._seqs))

    def _moment(self, *, later_ns: int = 0) -> int:
        self._last = max(self._now_ns() + later_ns, self._last + 1)
        return self._last * CLIENTS_MAX + self._place

    def _emit(self, note: Note) -> None:
        self._sink(json.encode(note) + b"\n")


def load(lines: Iterable[bytes]) -> list[Operation]:
    """The operations that these lines tell of. A line that was cut off by the end of its process is left out."""
    operations: dict[str, Operation] = {}
    for line in lines:
        try:
            note = json.decode(line, type=Note)
        except (DecodeError, UnicodeDecodeError):
            continue
        if note.what == "began":
            operations[note.id] = Operation(note.id, note.client, note.at)
            continue
        operation = operations[note.id]
        if note.what == "attempt":
            operation.reads, operation.writes, operation.at_seq = note.reads, note.writes, note.at_seq
        else:
            operation.ended, operation.outcome, operation.seqs = note.at, note.outcome, note.seqs
    return list(operations.values())


async def read_log(kernel: Kernel, scope: str) -> list[Entry]:
    """The whole log of a scope, as entries. Raises Compacted if its beginning was trimmed."""
    entries: list[Entry] = []
    while records := await kernel.log(scope, after=len(entries), limit=PAGE):
        entries += [entry_of(record) for record in records]
    return entries


def entry_of(record: Record) -> Entry:
    """What one record says was done, and by which operation.

    The keys of effects are those of the cells (`state//cart`, `runtime/step`, `message`); a session's record counts
    as the value of its metadata under `session`, and an event as its data; as its type, if it has none.
    """
    effects = tuple(effect_of(line) for line in decode_lines(record.body))
    return Entry(record.seq, decode_cause(record.cause).trace_id or "", effects)


def effect_of(change: Line | Change) -> Effect:
    """What one line of a record, or one change as a follower got it, says was done.

    Raises ValueError for one without its value: a history is told by a store with `changes.values` "inline".
    """
    kind, op = change.kind, change.op
    if change.value is UNSET or getattr(change, "bare", False):
        raise ValueError(f"a change of {kind} came without its value; a history needs Config.changes.values 'inline'")
    value: Any = change.value if isinstance(change, Change) else codec.decode(bytes(change.value))
    if kind == "session":
        return Effect("drop", "") if op == "delete" else Effect("set", "session", value.get("metadata", {}))
    if op == "append":
        return Effect("append", kind, value["content"] if kind == "message" else value.get("data", value["type"]))
    key = f"{kind}/{change.namespace}/{change.key}" if kind in ("state", "temp") else f"{kind}/{change.key}"
    if op == "delete":
        return Effect("delete", key)
    if op == "set":
        return Effect("set", key, value)
    raise ValueError(f"a history cannot tell what {op!r} of {kind} did; let its clients delete key by key")


__all__ = ["CLIENTS_MAX", "Note", "Recorder", "Recording", "effect_of", "entry_of", "load", "read_log"]
