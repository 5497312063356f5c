"""A batch on its way to `commit.sql` and back: commits as numbered lists, and the answer as outcomes.

Whatever the function may be asked for in one call it decides in order, as if the commits came one by one. `batches`
cuts where it could not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    SELECT * FROM holdfast.commit_batch(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
        $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40)"""
_COLUMNS = (
    *("lane", "n", "at", "cause", "last_part"),
    *("p_commit", "p_scope", "p_need", "p_epoch", "p_op", "p_check", "p_write", "p_puts", "p_appends", "p_body"),
    *("k_kind", "k_cell", "k_prefix", "k_since", "x_scope", "x_key"),
    *("w_part", "w_cell", "w_ordinal", "w_key", "w_value", "w_expires", "w_indexed"),
    *("e_write", "e_list", "e_place", "e_name", "e_value", "e_sort", "e_payload"),
)
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
    """One call of the function. `args` are what `STATEMENT` takes, `outcomes` makes of its answer what it means."""

    def __init__(self, space: int, commits: Sequence[Commit]) -> None:
        self._space = space
        self._commits = commits
        self._parts: list[ScopeCommit] = []
        self._checks: list[Check] = []
        self._writes: list[Put | Append | None] = []
        self._lists: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        self._cells: dict[tuple[int, str], int] = {}
        self._made: set[int] = set()  # cells that a commit of the batch writes
        self._overlay = False
        names = sorted({part.scope for commit in commits for part in commit.scopes})
        self._scopes = {name: number for number, name in enumerate(names, 1)}
        self._make = [False] * len(names)
        self._lanes: dict[str, int] = {}
        for number, commit in enumerate(commits, 1):
            self._add(number, commit)

    @property
    def args(self) -> tuple[Any, ...]:
        """What the statement takes."""
        lists = self._lists
        names = [raw(name) for name in self._scopes]
        head = [lists[name] for name in _COLUMNS[:5]]
        middle = [lists[name] for name in _COLUMNS[5:21]]
        tail = [lists[name] for name in _COLUMNS[21:]]
        lanes = [raw(name) for name in self._lanes]
        return (self._space, lanes, *head, names, self._make, *middle, self._overlay, *tail)

    # --- there ----------------------------------------------------------------------------------------

    def _add(self, number: int, commit: Commit) -> None:
        lists = self._lists
        lists["lane"].append(self._lanes.setdefault(commit.id.writer, len(self._lanes) + 1))
        lists["n"].append(commit.id.n)
        lists["at"].append(commit.at_us)
        lists["cause"].append(commit.cause)
        for part in commit.scopes:
            self._add_part(number, part)
        lists["last_part"].append(len(self._parts))

    def _add_part(self, commit: int, part: ScopeCommit) -> None:
        lists = self._lists
        self._parts.append(part)
        scope = self._scopes[part.scope]
        writes = part.writes
        if writes and part.need != "must_exist":
            self._make[scope - 1] = True
        for check in part.checks:
            self._add_check(scope, check)
        first = len(self._writes)
        if part.puts or part.appends or part.deletes:
            self._add_writes(scope, part)
        lists["p_commit"].append(commit)
        lists["p_scope"].append(scope)
        lists["p_need"].append(_NEEDS[part.need])
        lists["p_epoch"].append(part.epoch)
        lists["p_op"].append(2 if part.drop else int(writes))
        lists["p_check"].append(len(self._checks))
        lists["p_write"].append(len(self._writes))
        lists["p_puts"].append(len(part.puts))
        lists["p_appends"].append(len(part.appends))
        lists["p_body"].append(part.body)
        if len(self._writes) > first:
            self._made.update(cell for cell in lists["w_cell"][first:] if cell)

    def _add_check(self, scope: int, check: Check) -> None:
        lists = self._lists
        self._checks.append(check)
        cell, prefix, since = 0, b"", 0
        if isinstance(check, HeadAt):
            since = check.seq
        elif isinstance(check, Untouched):
            prefix, since = raw(check.prefix), check.since
        else:
            cell = self._cell(scope, check.key)
            self._overlay = self._overlay or cell in self._made
            if isinstance(check, Unchanged):
                since = check.since
        lists["k_kind"].append(_KINDS[type(check)])
        lists["k_cell"].append(cell)
        lists["k_prefix"].append(prefix)
        lists["k_since"].append(since)

    def _cell(self, scope: int, key: str) -> int:
        cell = self._cells.get((scope, key))
        if cell is None:
            cell = self._cells[scope, key] = len(self._cells) + 1
            self._lists["x_scope"].append(scope)
            self._lists["x_key"].append(raw(key))
        return cell

    def _add_writes(self, scope: int, part: ScopeCommit) -> None:
        for put in part.puts:
            self._add_write(scope, part, put, put.key, self._cell(scope, put.key), _PUT)
        for ordinal, append in enumerate(part.appends):
            self._add_write(scope, part, append, append.prefix, 0, ordinal)
        for key in part.deletes:
            self._add_write(scope, part, None, key, self._cell(scope, key), _DELETE)

    def _add_write(
        self, scope: int, part: ScopeCommit, write: Put | Append | None, key: str, cell: int, ordinal: int
    ) -> None:
        lists = self._lists
        self._writes.append(write)
        lists["w_part"].append(len(self._parts))
        lists["w_cell"].append(cell)
        lists["w_ordinal"].append(ordinal)
        lists["w_key"].append(raw(key))
        lists["w_value"].append(write.value if write is not None else None)
        lists["w_expires"].append(write.expires_us if write is not None else None)
        lists["w_indexed"].append(write is not None and bool(write.entries))
        if write is not None and write.entries:
            for entry in write.entries:
                lists["e_write"].append(len(self._writes))
                lists["e_list"].append(list_of(self._space, entry.index, entry.value))
                lists["e_place"].append(place_of(entry.order, part.scope, key, ended=ordinal == _PUT))
                lists["e_name"].append(raw(entry.index))
                lists["e_value"].append(raw(entry.value))
                lists["e_sort"].append(raw(entry.order))
                lists["e_payload"].append(entry.payload)

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
