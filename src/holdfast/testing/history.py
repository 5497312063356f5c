"""A checker of histories: whether what concurrent clients saw can have happened, one operation at a time.

Clients note what each operation was about to write, what it read, and when it began and ended (`recording`). The
logs of the scopes are the witness: they claim one order of all commits of a scope, and which operation made each. The
checker believes nothing but that claim, and holds everything against it:

    gap        the log of a scope counts 1, 2, 3, …
    invented   a record, or a value read, that no operation wrote
    doubled    one operation stands twice in the log of a scope
    altered    a record says something else than its operation meant to write
    lost       an acknowledged write is missing, or was acknowledged at another seq
    refused    an operation that was refused is in a log all the same
    half       an operation is in the log of one of its scopes and not in that of another
    read       what a committed operation read is not what stood before its own record
    order      no single order of the operations explains the logs, the reads, and who ended before who began

The last is strict serialisability over all scopes together: a graph of "must come before" (the log's order; a value
is written before it is read, and read before it is overwritten; an end comes before a later beginning) must have no
cycle. Since the logs fix the order of versions the check is complete, not a sample. For that, values written to one key
must differ from each other; what is read as absent is told apart by time where it can be, and else left alone.

A read of several scopes is one operation only where the backend promises one cut over them. An empty list that was
read counts as absent. What the metadata of a session's record hold under "life" can be read as the key `life`: so an
operation can claim which of several sessions of one id it wrote to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from msgspec import Struct, json

from holdfast.testing.precedence import Precedence


class Effect(Struct, frozen=True, array_like=True):
    """What one operation does to one key of a scope. "drop" ends the scope with all it holds; its key is ""."""

    op: Literal["set", "append", "delete", "drop"]
    key: str
    value: Any = None


Reads = dict[str, dict[str, Any]]
"""scope -> key -> the value read: None if absent, a list if the key is appended to."""

Writes = dict[str, list[Effect]]
"""scope -> what is written to it, in order."""


class Operation(Struct):
    """One operation of one client: what it read and meant to write, in its last attempt.

    `began` and `ended` come from one clock for all clients and differ from each other; `ended` is None if it never
    returned. outcome: "ok" (acknowledged), "refused" (surely not applied), "unknown". `seqs` are those acknowledged,
    `at_seq` those as of which a read said it was.
    """

    id: str
    client: str
    began: int
    ended: int | None = None
    outcome: Literal["ok", "refused", "unknown"] = "unknown"
    reads: Reads = {}
    writes: Writes = {}
    seqs: dict[str, int] = {}
    at_seq: dict[str, int] = {}


class Entry(Struct, frozen=True):
    """One record of a scope's log: its seq, the operation it names, and what it says was done."""

    seq: int
    operation: str
    effects: tuple[Effect, ...]


class Violation(NamedTuple):
    """One thing that cannot be: the rule it breaks, and what was seen."""

    rule: str
    detail: str


Logs = Mapping[str, Sequence[Entry]]
"""scope -> its whole log."""

Stream = Mapping[str, Sequence[tuple[int, Effect]]]
"""scope -> what a follower received of it from the beginning: (seq, effect), in the order of arrival."""


def violations(operations: Iterable[Operation], logs: Logs) -> list[Violation]:
    """Everything in this history that cannot be; an empty list means that it is strictly serialisable."""
    return _Check({operation.id: operation for operation in operations}, logs).run()


def stream_violations(received: Stream, logs: Logs) -> list[Violation]:
    """Where a follower's stream is not the log itself: something missing, doubled, invented or out of order."""
    found = []
    for scope in sorted({*received, *logs}):
        expected = [(entry.seq, effect) for entry in logs.get(scope, ()) for effect in entry.effects]
        seen = list(received.get(scope, ()))
        if seen != expected:
            place = next((n for n, pair in enumerate(zip(seen, expected, strict=False)) if pair[0] != pair[1]), None)
            place = min(len(seen), len(expected)) if place is None else place
            detail = f"change {place} of {scope}: received {seen[place : place + 3]}, the log has "
            found.append(Violation("stream", f"{detail}{expected[place : place + 3]} ({len(seen)} of {len(expected)})"))
    return found


def segment_violations(
    scope: str, segments: Sequence[Sequence[tuple[int, Effect]]], log: Sequence[Entry]
) -> list[Violation]:
    """Where a follower that was told of gaps got something else than stretches of the log, one after the other."""
    whole = [(entry.seq, effect) for entry in log for effect in entry.effects]
    start = 0
    for segment in segments:
        if not segment:
            continue
        first = next((n for n in range(start, len(whole)) if whole[n] == segment[0]), len(whole))
        expected = whole[first : first + len(segment)]
        if list(segment) != expected:
            place = next((n for n, pair in enumerate(zip(segment, expected, strict=False)) if pair[0] != pair[1]), 0)
            detail = f"{scope}: received {segment[place : place + 3]}, the log has {expected[place : place + 3]}"
            return [Violation("stream", detail)]
        start = first + len(segment)
    return []


class _Version(NamedTuple):
    """A key's value from one entry of the log (by its place; -1: from the beginning) until the next version."""

    place: int
    value: Any


class _Prefix(NamedTuple):
    """The value of a key that is appended to: so many of these elements."""

    elements: list[Any]
    length: int


class _ScopeVersions:
    """Every version of every key of one scope, as its log tells it."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._versions: dict[str, list[_Version]] = defaultdict(lambda: [_Version(-1, None)])
        self._by_value: dict[tuple[str, bytes | int], list[int]] = defaultdict(list)
        for place, entry in enumerate(entries):
            for effect in entry.effects:
                self._apply(place, effect)

    def _apply(self, place: int, effect: Effect) -> None:
        if effect.op == "drop":
            for key in list(self._versions):
                if self._versions[key][-1].value is not None:
                    self._add(key, _Version(place, None))
            return
        value = effect.value if effect.op == "set" else None
        if effect.op == "append":
            before = self._versions[effect.key][-1].value
            elements = before.elements if isinstance(before, _Prefix) else []
            elements.append(effect.value)
            value = _Prefix(elements, len(elements))
        self._add(effect.key, _Version(place, value))
        if effect.key == "session" and isinstance(value, dict):
            self._add("life", _Version(place, value.get("life")))

    def _add(self, key: str, version: _Version) -> None:
        versions = self._versions[key]
        if versions[-1].place == version.place:
            versions.pop()  # the last of several writes by one commit is what others see
        self._by_value[(key, _named(version.value))].append(len(versions))
        versions.append(version)

    def before(self, key: str, place: int) -> Any:
        """The key's value just before that entry of the log."""
        return next(version.value for version in reversed(self._versions[key]) if version.place < place)

    def holding(self, key: str, value: Any) -> list[tuple[int, int | None]]:
        """The versions with this value, each as (place it begins at, place it ends at)."""
        versions = self._versions[key]
        numbers = list(dict.fromkeys(self._by_value.get((key, _named(value)), ())))
        if value is None:
            numbers.insert(0, 0)
        return [
            (versions[n].place, versions[n + 1].place if n + 1 < len(versions) else None)
            for n in numbers
            if n < len(versions) and _equal(versions[n].value, value)
        ]


def _named(value: Any) -> bytes | int:
    """What versions are looked up by: lists by their length, so that long ones cost little."""
    if isinstance(value, _Prefix):
        return value.length
    return len(value) if isinstance(value, list) else json.encode(value)


def _equal(kept: Any, value: Any) -> bool:
    if isinstance(kept, _Prefix):
        return isinstance(value, list) and kept.elements[: kept.length] == value
    return bool(kept == value)


class _Check:
    def __init__(self, operations: dict[str, Operation], logs: Logs) -> None:
        self.operations = operations
        self.logs = logs
        self.found: list[Violation] = []
        self.places: dict[tuple[str, str], int] = {}  # (scope, operation) -> place in the scope's log
        self.applied: set[str] = set()
        self.versions = {scope: _ScopeVersions(entries) for scope, entries in logs.items()}

    def run(self) -> list[Violation]:
        for scope, entries in self.logs.items():
            self._hold_log(scope, entries)
        for operation in self.operations.values():
            self._hold_writes(operation)
        graph = self._precedence()
        for operation in self.operations.values():
            if operation.id in self.applied or (operation.outcome == "ok" and not operation.writes):
                self._hold_reads(operation, graph)
        if (cycle := graph.cycle()) is not None:
            self._complain("order", " -> ".join(cycle))
        return self.found

    def _complain(self, rule: str, detail: str) -> None:
        self.found.append(Violation(rule, detail))

    # --- logs and writes --------------------------------------------------------------------------

    def _hold_log(self, scope: str, entries: Sequence[Entry]) -> None:
        for place, entry in enumerate(entries):
            name = entry.operation
            if entry.seq != place + 1:
                self._complain("gap", f"{scope}: place {place + 1} of the log has seq {entry.seq}")
            operation = self.operations.get(name)
            if operation is None:
                self._complain("invented", f"{scope} at {entry.seq}: no operation {name!r} was ever begun")
                continue
            if (scope, name) in self.places:
                first = entries[self.places[scope, name]].seq
                self._complain("doubled", f"{scope}: {name} at {first} and again at {entry.seq}")
                continue
            self.places[scope, name] = place
            self.applied.add(name)
            if operation.outcome == "refused":
                self._complain("refused", f"{scope} at {entry.seq}: {name} was refused")
            if list(entry.effects) != operation.writes.get(scope, []):
                self._complain(
                    "altered",
                    f"{scope} at {entry.seq}: {name} meant {operation.writes.get(scope)}, the log has {entry.effects}",
                )

    def _hold_writes(self, operation: Operation) -> None:
        name = operation.id
        there = [scope for scope in operation.writes if (scope, name) in self.places]
        missing = [scope for scope in operation.writes if (scope, name) not in self.places]
        if there and missing:
            self._complain("half", f"{name} is in the log of {', '.join(there)}, not of {', '.join(missing)}")
        elif missing and operation.outcome == "ok":
            self._complain("lost", f"{name} was acknowledged and is not in the log of {', '.join(missing)}")
        if operation.outcome != "ok":
            return
        for scope, seq in operation.seqs.items():
            place = self.places.get((scope, name))
            if place is not None and self.logs[scope][place].seq != seq:
                self._complain(
                    "lost", f"{name} was acknowledged at {seq} of {scope} and stands at {self.logs[scope][place].seq}"
                )

    # --- reads and order --------------------------------------------------------------------------

    def _precedence(self) -> Precedence:
        graph = Precedence()
        for entries in self.logs.values():
            names = [entry.operation for entry in entries]
            for earlier, later in pairwise(names):
                graph.add(earlier, later)
        graph.add_times(
            (operation.id, operation.began, operation.ended if operation.outcome == "ok" else None)
            for operation in self.operations.values()
            if operation.id in self.applied or operation.outcome == "ok"
        )
        return graph

    def _hold_reads(self, operation: Operation, graph: Precedence) -> None:
        for scope, values in operation.reads.items():
            versions = self.versions.get(scope) or _ScopeVersions(())
            place = self.places.get((scope, operation.id))
            if place is None and (place := operation.at_seq.get(scope)) is not None:
                self._order_at(operation, scope, place, graph)
            for key, value in values.items():
                if place is not None:
                    self._hold_placed_read(operation, scope, key, versions.before(key, place))
                    continue
                spans = versions.holding(key, value if value != [] else None)
                if not spans:
                    self._complain("invented", f"{operation.id} read {value!r} in {key} of {scope}, which never was")
                    continue
                self._order_read(operation, scope, spans, graph)

    def _hold_placed_read(self, operation: Operation, scope: str, key: str, before: Any) -> None:
        """What wrote the scope read what stood just before its own record; what names a seq read what stood then."""
        value = operation.reads[scope][key]
        if not _equal(before, None if value == [] else value):
            seen = before.elements[: before.length] if isinstance(before, _Prefix) else before
            self._complain("read", f"{operation.id} read {value!r} in {key} of {scope}; before it stood {seen!r}")

    def _order_at(self, operation: Operation, scope: str, seq: int, graph: Precedence) -> None:
        """The operation read as of that seq: between the records on either side."""
        entries = self.logs.get(scope, ())
        if seq > len(entries):
            self._complain("invented", f"{operation.id} read {scope} as of {seq}; its log ends at {len(entries)}")
        for place, entry in enumerate(entries[max(seq - 1, 0) : seq + 1], start=max(seq - 1, 0)):
            if place < seq:
                graph.add(entry.operation, operation.id)
            else:
                graph.add(operation.id, entry.operation)

    def _order_read(
        self, operation: Operation, scope: str, spans: list[tuple[int, int | None]], graph: Precedence
    ) -> None:
        """The operation comes after the writer of what it read, and before whoever overwrote that."""
        entries = self.logs.get(scope, ())
        if len(spans) > 1:
            spans = [span for span in spans if self._can_be(operation, entries, span)]
            if len(spans) > 1:
                return  # absent at several times, and time does not tell which of them was seen
            if not spans:
                self._complain("order", f"{operation.id} read in {scope} what was no longer, or not yet, there")
                return
        begin, end = spans[0]
        if begin >= 0 and entries[begin].operation != operation.id:
            graph.add(entries[begin].operation, operation.id)
        if end is not None and entries[end].operation != operation.id:
            graph.add(operation.id, entries[end].operation)

    def _can_be(self, reader: Operation, entries: Sequence[Entry], span: tuple[int, int | None]) -> bool:
        writer = self.operations.get(entries[span[0]].operation) if span[0] >= 0 else None
        over = self.operations.get(entries[span[1]].operation) if span[1] is not None else None
        written_later = writer is not None and reader.ended is not None and writer.began > reader.ended
        gone_before = over is not None and over.outcome == "ok" and over.ended is not None and over.ended < reader.began
        return not written_later and not gone_before


__all__ = [
    "Effect",
    "Entry",
    "Logs",
    "Operation",
    "Reads",
    "Stream",
    "Violation",
    "Writes",
    "segment_violations",
    "stream_violations",
    "violations",
]
