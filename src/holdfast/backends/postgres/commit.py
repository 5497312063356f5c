"""A batch on its way to `commit.sql` and back: commits as numbered lists, and the answer as outcomes.

Whatever the function may be asked for in one call it decides in order, as if the commits came one by one. `batches`
cuts where it could not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

from holdfast.backends.postgres.connections import Row
from holdfast.backends.postgres.places import list_of, place_of
from holdfast.backends.postgres.text import raw
from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import (
    Absent,
    Append,
    Cell,
    Check,
    Commit,
    Committed,
    Conflict,
    Entry,
    Head,
    HeadAt,
    Outcome,
    Present,
    Put,
    ScopeCommit,
    Unchanged,
    Untouched,
)

BATCH_MAX = 128
"""Commits in one call: with more, plans that were made for any number of rows become the slow ones."""

BATCH_BYTES_MAX = 16 * 1024 * 1024

STATEMENT = """
    SELECT * FROM holdfast.commit_batch($1, $2,
        $3::text::int[], $4::text::bigint[], $5::text::bigint[], $6::text::int[], $7,
        $8, $9::text::boolean[],
        $10::text::int[], $11::text::int[], $12::text::int[], $13::text::bigint[], $14::text::int[],
        $15::text::int[], $16::text::int[], $17::text::int[], $18::text::int[], $19,
        $20::text::int[], $21::text::int[], $22::text::bigint[], $23,
        $24::text::int[], $25, $26,
        $27::text::int[], $28::text::int[], $29::text::int[], $30::text::bigint[], $31::text::boolean[], $32, $33,
        $34::text::int[], $35, $36, $37, $38, $39, $40)"""
"""Lists of numbers go as text, which the server reads faster than the driver writes them one by one."""
_NEEDS = {"must_exist": 0, "must_not_exist": 1, "create": 2}
_KINDS: dict[type, int] = {Absent: 0, Present: 1, Unchanged: 2, Untouched: 3, HeadAt: 4}
_PUT, _DELETE = -1, -2


def batches(commits: Sequence[Commit]) -> Iterator[Sequence[Commit]]:
    """The commits in order, in pieces that the function can decide by itself: see `commit.sql`."""
    start = size = 0
    ids: dict[str, int] = {}
    written: set[str] = set()
    prefixes: set[tuple[str, str]] = set()
    for at, commit in enumerate(commits):
        weight = _weight(commit)
        if at > start and (
            at - start >= BATCH_MAX
            or size + weight > BATCH_BYTES_MAX
            or commit.id.n <= ids.get(commit.id.writer, 0)
            or any(_looks_back(part, written, prefixes) for part in commit.scopes if part.checks)
        ):
            yield commits[start:at]
            start, size = at, 0
            ids.clear()
            written.clear()
            prefixes.clear()
        size += weight
        ids[commit.id.writer] = commit.id.n
        for part in commit.scopes:
            if part.writes:
                written.add(part.scope)
                prefixes.update((part.scope, append.prefix) for append in part.appends)
    if start < len(commits):
        yield commits[start:]


def _looks_back(part: ScopeCommit, written: set[str], prefixes: set[tuple[str, str]]) -> bool:
    """Whether a condition asks for what only an earlier commit of the batch can tell."""
    if part.scope not in written:
        return False
    for check in part.checks:
        if isinstance(check, Untouched):
            return True
        if not isinstance(check, HeadAt) and prefixes:
            key = check.key
            if any(scope == part.scope and key.startswith(prefix) for scope, prefix in prefixes):
                return True
    return False


def _weight(commit: Commit) -> int:
    size = 0
    for part in commit.scopes:
        size += len(part.body)
        for put in part.puts:
            size += len(put.value)
        for append in part.appends:
            size += len(append.value)
    return size


class Batch:
    """One call of the function. `args` are what `STATEMENT` takes, `outcomes` makes of its answer what it means.

    Each kind of row is gathered in two lists, of numbers and of bytes, and turned into columns at the end.
    """

    def __init__(self, space: int, commits: Sequence[Commit]) -> None:
        self._space = space
        self._commits = commits
        self._parts: list[ScopeCommit] = []
        self._checks: list[Check] = []
        self._writes: list[Put | Append | None] = []
        self._cells: dict[tuple[int, str], int] = {}  # what is looked at before anything is written
        self._overlay = False
        names = sorted({part.scope for commit in commits for part in commit.scopes})
        self._scopes = {name: number for number, name in enumerate(names, 1)}
        self._make = [False] * len(names)
        self._lanes: dict[str, int] = {}
        self._commit_rows: list[tuple[int, int, int, int]] = []
        self._part_rows: list[tuple[int | None, ...]] = []
        self._checked = 0
        self._check_rows: list[tuple[int, int, int]] = []
        self._prefixes: list[bytes] = []
        self._write_rows: list[tuple[int, int, int, int | None, bool]] = []
        self._write_keys: list[bytes] = []
        self._entry_rows: list[tuple[int, bytes, bytes, bytes, bytes, bytes, bytes]] = []
        for commit in commits:
            self._add_checks(commit)
        for number, commit in enumerate(commits, 1):
            self._add(number, commit)

    @property
    def args(self) -> tuple[Any, ...]:
        """What the statement takes."""
        return (
            self._space,
            [raw(name) for name in self._lanes],
            *_numbers(self._commit_rows, 4),
            [commit.cause for commit in self._commits],
            [raw(name) for name in self._scopes],
            _number_list(self._make),
            *_numbers(self._part_rows, 9),
            [part.body for part in self._parts],
            *_numbers(self._check_rows, 3),
            self._prefixes,
            _number_list([scope for scope, _ in self._cells]),
            [raw(key) for _, key in self._cells],
            self._overlay,
            *_numbers(self._write_rows, 5),
            self._write_keys,
            [write.value if write is not None else None for write in self._writes],
            *_entry_columns(self._entry_rows),
        )

    # --- there ----------------------------------------------------------------------------------------

    def _add_checks(self, commit: Commit) -> None:
        for part in commit.scopes:
            if part.checks:
                scope = self._scopes[part.scope]
                for check in part.checks:
                    self._add_check(scope, check)

    def _add_check(self, scope: int, check: Check) -> None:
        self._checks.append(check)
        cell = since = 0
        if isinstance(check, HeadAt):
            since = check.seq
        elif isinstance(check, Untouched):
            self._prefixes.append(raw(check.prefix))
            cell, since = -len(self._prefixes), check.since
        else:
            cell = self._cell(scope, check.key)
            if isinstance(check, Unchanged):
                since = check.since
        self._check_rows.append((_KINDS[type(check)], cell, since))

    def _cell(self, scope: int, key: str) -> int:
        return self._cells.setdefault((scope, key), len(self._cells) + 1)

    def _add(self, number: int, commit: Commit) -> None:
        lane = self._lanes.setdefault(commit.id.writer, len(self._lanes) + 1)
        for part in commit.scopes:
            self._add_part(number, part)
        self._commit_rows.append((lane, commit.id.n, commit.at_us, len(self._parts)))

    def _add_part(self, commit: int, part: ScopeCommit) -> None:
        self._parts.append(part)
        scope = self._scopes[part.scope]
        writes = part.writes
        if writes and part.need != "must_exist":
            self._make[scope - 1] = True
        self._checked += len(part.checks)
        if part.puts or part.appends or part.deletes:
            self._add_writes(scope, part)
        op = 2 if part.drop else int(writes)
        counts = (self._checked, len(self._writes), len(part.puts), len(part.appends))
        self._part_rows.append((commit, scope, _NEEDS[part.need], part.epoch, op, *counts))

    def _add_writes(self, scope: int, part: ScopeCommit) -> None:
        number = len(self._parts)
        for put in part.puts:
            # A cell that nobody checks and that gets no entries is looked at only if it turns out to have had some.
            cell = self._cell(scope, put.key) if put.entries else self._cells.get((scope, put.key), 0)
            self._overlay = self._overlay or cell > 0
            self._writes.append(put)
            self._write_rows.append((number, cell, _PUT, put.expires_us, bool(put.entries)))
            self._write_keys.append(raw(put.key))
            if put.entries:
                self._add_entries(part.scope, put.key, put.entries, ended=True)
        for ordinal, append in enumerate(part.appends):
            self._writes.append(append)
            self._write_rows.append((number, 0, ordinal, append.expires_us, bool(append.entries)))
            self._write_keys.append(raw(append.prefix))
            if append.entries:
                self._add_entries(part.scope, append.prefix, append.entries, ended=False)
        for key in part.deletes:
            self._overlay = True
            self._writes.append(None)
            self._write_rows.append((number, self._cell(scope, key), _DELETE, None, False))
            self._write_keys.append(raw(key))

    def _add_entries(self, scope: str, key: str, entries: Sequence[Entry], *, ended: bool) -> None:
        for entry in entries:
            place = place_of(entry.order, scope, key, ended=ended)
            index = list_of(self._space, entry.index, entry.value)
            told = (raw(entry.index), raw(entry.value), raw(entry.order), entry.payload)
            self._entry_rows.append((len(self._writes), index, place, *told))

    # --- and back -------------------------------------------------------------------------------------

    def outcomes(self, answer: Row) -> list[Outcome]:
        """What became of each commit."""
        seqs, ends = answer["seqs"], answer["ends"]
        conflicts = iter(range(len(answer["f_commit"])))
        outcomes: list[Outcome] = []
        place = 0
        for commit, end in zip(self._commits, ends, strict=True):
            parts = commit.scopes
            if end == 0 and len(parts) == 1:
                seq = seqs[place]
                outcomes.append(Committed({parts[0].scope: seq} if seq else {}))
            elif end == 0 or end == 2:
                taken = zip(parts, seqs[place : place + len(parts)], strict=True)
                outcomes.append(Committed({part.scope: abs(seq) for part, seq in taken if seq}, replayed=end == 2))
            elif end == 1:
                outcomes.append(self._conflict(answer, next(conflicts)))
            elif end == 3:
                outcomes.append(Unavailable(f"commit {commit.id} was never applied and its id is used up", burnt=True))
            else:
                outcomes.append(Indeterminate(f"a log was trimmed: whether {commit.id} was applied is not known"))
            place += len(parts)
        return outcomes

    def _conflict(self, answer: Row, i: int) -> Conflict:
        part = self._parts[answer["f_part"][i] - 1]
        condition = answer["f_check"][i]
        head = Head(
            *(answer[name][i] for name in ("f_seq", "f_epoch", "f_live", "f_floor", "f_at", "f_cause")),
        )
        if condition == 0:
            return Conflict(part.scope, "need", None, part.need, head, head)
        if condition < 0:
            return Conflict(part.scope, "epoch", None, part.epoch, head, head)
        check = self._checks[condition - 1]
        what: Any = type(check).__name__.lower()
        if isinstance(check, HeadAt):
            return Conflict(part.scope, what, None, check.seq, head, head)
        if isinstance(check, Untouched):
            return Conflict(part.scope, what, check.prefix, check.since, head, head)
        expected = check.since if isinstance(check, Unchanged) else None
        return Conflict(part.scope, what, check.key, expected, self._found(answer, i, check.key), head)

    def _found(self, answer: Row, i: int, key: str) -> Cell | None:
        version = answer["f_version"][i]
        if not version:
            return None
        write = answer["f_write"][i]
        value = self._written(write) if write else answer["f_value"][i]
        return Cell(key, value, version, answer["f_expires"][i])

    def _written(self, number: int) -> bytes:
        write = self._writes[number - 1]
        assert write is not None
        return write.value


def _numbers(rows: Sequence[tuple[int | None, ...]], width: int) -> Iterator[str]:
    """The columns of rows of numbers."""
    return map(_number_list, zip(*rows, strict=True)) if rows else repeat("{}", width)


def _number_list(column: Iterable[int | None]) -> str:
    """Numbers, truths and gaps as the server reads a list of them."""
    return f"{{{str([*column])[1:-1]}}}".replace("None", "NULL")


def _entry_columns(rows: Sequence[tuple[int, bytes, bytes, bytes, bytes, bytes, bytes]]) -> tuple[Any, ...]:
    if not rows:
        return ("{}", [], [], [], [], [], [])
    writes, *columns = zip(*rows, strict=True)
    return (_number_list(writes), *columns)
