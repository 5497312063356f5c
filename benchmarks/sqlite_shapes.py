"""Prototypes of the kernel's write on SQLite, to choose its shape by measurement.

Unlike the references these do what the kernel owes a put: heads found by a scope's name, a check where one is asked,
a commit id in the log row, the writer's row once per batch, foreign commits noticed inside BEGIN IMMEDIATE, an upsert
that leaves cells with index entries to a second look. They are measured in turn with the hand-written loops and with
each other; docs/decisions/sqlite-write-shape.md quotes the figures. Each variant changes one thing of `chosen`.
"""

from __future__ import annotations

import argparse
import fcntl
import itertools
import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import apsw

from benchmarks.load import KEYS, Load, key_name, value_of
from benchmarks.pairs import NO_GOAL, Comparison, Goal, Sample, alternate, judge, show
from benchmarks.pumps import PUMPS
from benchmarks.reference_sqlite import SHAPES, SIZES, Bulk, Op, Shape, measure

EPOCH = 1
WRITER = 7
PACKED = struct.Struct("<BqqHH")


@dataclass(frozen=True)
class Layout:
    """The choices. The defaults are the chosen shape."""

    cells: Literal["rowid", "clustered"] = "rowid"
    log: Literal["columns", "packed", "by_scope"] = "columns"
    head: Literal["follows", "row"] = "follows"
    put: Literal["upsert", "guarded", "replace"] = "guarded"
    failure: Literal["fail", "abort"] = "fail"  # abort: SQLite's default, with a statement journal for bulk statements
    checks: Literal["none", "version"] = "none"
    bulk: bool = True
    fair: bool = True
    expiry_index: bool = False


SCOPES = """
    CREATE TABLE scopes(id INTEGER PRIMARY KEY, space INTEGER NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL,
                        floor INTEGER NOT NULL, seq INTEGER, UNIQUE(space, name));
    CREATE TABLE writers(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
    INSERT INTO writers VALUES(7, 0);
"""
CELLS = {
    "clustered": """
        CREATE TABLE cells(scope INTEGER, epoch INTEGER, key TEXT, version INTEGER, expires INTEGER, entries BLOB,
                           value BLOB, PRIMARY KEY(scope, epoch, key)) WITHOUT ROWID;""",
    "rowid": """
        CREATE TABLE cells(id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, epoch INTEGER NOT NULL, key TEXT NOT NULL,
                           version INTEGER, expires INTEGER, entries BLOB, value BLOB);
        CREATE UNIQUE INDEX cells_key ON cells(scope, epoch, key);""",
}
LOGS = {
    "columns": """
        CREATE TABLE log(id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, seq INTEGER NOT NULL, epoch INTEGER NOT NULL,
                         writer INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, cause BLOB, touched BLOB,
                         body BLOB);
        CREATE UNIQUE INDEX log_position ON log(scope, seq);""",
    "packed": """
        CREATE TABLE log(id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, seq INTEGER NOT NULL, record BLOB NOT NULL);
        CREATE UNIQUE INDEX log_position ON log(scope, seq);""",
    "by_scope": """
        CREATE TABLE log(scope INTEGER, seq INTEGER, epoch INTEGER NOT NULL,
                         writer INTEGER NOT NULL, n INTEGER NOT NULL,
                         at INTEGER NOT NULL, cause BLOB, touched BLOB, body BLOB,
                         PRIMARY KEY(scope, seq)) WITHOUT ROWID;""",
}
EXPIRY = "CREATE INDEX cells_expiring ON cells(expires) WHERE expires IS NOT NULL;"
UPSERT = "ON CONFLICT DO UPDATE SET version=excluded.version, expires=excluded.expires, value=excluded.value"


class KernelShape(Shape):
    def __init__(self, db: apsw.Connection, *, bulk: bool, layout: Layout) -> None:
        super().__init__(db, bulk=bulk and layout.bulk)
        self.layout = layout
        self.schema = SCOPES + CELLS[layout.cells] + LOGS[layout.log] + (EXPIRY if layout.expiry_index else "")
        self.names: dict[int, str] = {}  # of the known scopes, for the head row only
        self.known: dict[str, list[int]] = {}  # name -> [id, seq]; exact until another process commits
        self.n = self.foreign = self.data_version = 0
        tail = {"upsert": UPSERT, "guarded": UPSERT + " WHERE entries IS NULL", "replace": ""}[layout.put]
        insert = "INSERT OR FAIL" if layout.failure == "fail" else "INSERT"
        verb = "REPLACE" if layout.put == "replace" else insert
        self.cell = Bulk(f"{verb} INTO cells(scope, epoch, key, version, expires, entries, value)", 7, tail)
        columns = (
            "scope, seq, record" if layout.log == "packed" else "scope, seq, epoch, writer, n, at, cause, touched, body"
        )
        self.log = Bulk(f"{insert} INTO log({columns})", columns.count(",") + 1)
        self.head = Bulk(f"{insert} INTO scopes(id, space, name, epoch, floor, seq)", 6,
                         "ON CONFLICT(id) DO UPDATE SET seq=excluded.seq")  # fmt: skip
        self.side = os.open(db.filename + "-lock", os.O_CREAT | os.O_RDWR)

    def _fill(self) -> None:
        names = list(enumerate(self.heads, 1))
        self.db.executemany("INSERT INTO scopes VALUES(?, 1, ?, 1, 0, 1)", names)
        rows = ((n, EPOCH, key_name(k), 1, None, None, value_of(k)) for n, _ in names for k in range(KEYS))
        self.db.executemany(self.cell.statements[-1][1], rows)
        commit = (EPOCH, WRITER, 0, 0, b"", b"", b"")
        if self.layout.log == "packed":
            self.db.executemany(self.log.statements[-1][1], ((n, 1, b"") for n, _ in names))
        else:
            self.db.executemany(self.log.statements[-1][1], ((n, 1, *commit) for n, _ in names))

    def apply(self, ops: Sequence[Op]) -> Sequence[int]:
        if not self.layout.fair:
            return super().apply(ops)
        fcntl.flock(self.side, fcntl.LOCK_EX)
        try:
            return super().apply(ops)
        finally:
            fcntl.flock(self.side, fcntl.LOCK_UN)

    def _write(self, ops: Sequence[Op]) -> Sequence[int]:
        self._notice_foreign_commits()
        self._learn({op[0] for op in ops})
        versions = self._versions(ops) if self.layout.checks == "version" else None
        now = time.time_ns() // 1_000
        cells: dict[tuple[int, str], tuple[Any, ...]] = {}
        records: list[tuple[Any, ...]] = []
        seqs: list[int] = []
        for name, key, value in ops:
            head = self.known[name]
            scope, seq = head[0], head[1] + 1
            if versions is not None and not versions.get((scope, key), 0) < seq:
                raise AssertionError("a cell is newer than its scope")
            head[1] = seq
            self.n += 1
            cells[scope, key] = (scope, EPOCH, key, seq, None, None, value)
            records.append(self._record((scope, seq), now, key.encode(), value))
            seqs.append(seq)
        self._store(cells, records)
        return seqs

    def _store(self, cells: dict[tuple[int, str], tuple[Any, ...]], records: list[tuple[Any, ...]]) -> None:
        if self.layout.log == "by_scope":
            records.sort()
        self._put(self.log, records)
        before = self.db.total_changes()
        self._put(self.cell, [cells[place] for place in sorted(cells)])
        if self.layout.put == "guarded" and self.db.total_changes() - before != len(cells):
            raise AssertionError("this load has no index entries")
        if self.layout.head == "row":
            heads = sorted((self.known[name][0], name) for name in {self.names[c[0]] for c in cells.values()})
            self._put(self.head, [(n, 1, name, 1, 0, self.known[name][1]) for n, name in heads])
        self.db.execute("UPDATE writers SET n=? WHERE id=7", (self.n,))

    def _record(self, place: tuple[int, int], now: int, key: bytes, value: bytes) -> tuple[Any, ...]:
        cause, body = b'{"by":"ada","request":"req-0000017"}', b'{"op":"set","value":"' + value + b'"}'
        if self.layout.log == "packed":
            return (*place, PACKED.pack(EPOCH, self.n, now, len(cause), len(key)) + cause + key + body)
        return (*place, EPOCH, WRITER, self.n, now, cause, key, body)

    def _notice_foreign_commits(self) -> None:
        [(moved,)] = self.db.execute("PRAGMA data_version").fetchall()
        found = cast(int, moved)
        if found != self.data_version:
            self.data_version = found
            self.foreign += 1
            self.known.clear()

    def _learn(self, names: set[str]) -> None:
        unknown = sorted(names - self.known.keys())
        seq = "s.seq" if self.layout.head == "row" else "(SELECT max(seq) FROM log WHERE scope=s.id)"
        tail = f") SELECT w.name, s.id, {seq} FROM w CROSS JOIN scopes s ON s.space=1 AND s.name=w.name"
        for name, scope, found in fetch(self.db, "WITH w(name) AS (VALUES ", tail, [(name,) for name in unknown]):
            self.known[name] = [scope, found]
        if self.layout.head == "row" and unknown:
            self.names = {head[0]: name for name, head in self.known.items()}

    def _versions(self, ops: Sequence[Op]) -> dict[tuple[int, str], int]:
        wanted = sorted({(self.known[op[0]][0], EPOCH, op[1]) for op in ops})
        tail = """) SELECT c.scope, c.key, c.version FROM w CROSS JOIN cells c
                    ON c.scope=w.scope AND c.epoch=w.epoch AND c.key=w.key"""
        rows = fetch(self.db, "WITH w(scope, epoch, key) AS (VALUES ", tail, wanted)
        return {(scope, key): version for scope, key, version in rows}


def fetch(db: apsw.Connection, head: str, tail: str, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows joined to a VALUES list, in fixed sizes, the last one filled up by repeating its last row."""
    found: dict[tuple[Any, ...], None] = {}
    at = 0
    while at < len(rows):
        left = len(rows) - at
        size = next((n for n in reversed(SIZES) if n >= left), SIZES[0])
        part = list(rows[at : at + size])
        part += [part[-1]] * (size - len(part))
        one = "(" + ",".join("?" * len(rows[0])) + ")"
        sql = head + ",".join([one] * size) + tail
        found.update(dict.fromkeys(db.execute(sql, tuple(itertools.chain.from_iterable(part))).fetchall()))
        at += size
    return list(found)


CHOSEN = Layout()
VARIANTS = {
    "chosen": CHOSEN,
    "cells clustered by key": replace(CHOSEN, cells="clustered"),
    "log packed in one blob": replace(CHOSEN, log="packed"),
    "log clustered by scope": replace(CHOSEN, log="by_scope"),
    "head row per commit": replace(CHOSEN, head="row"),
    "head row, log by scope": replace(CHOSEN, head="row", log="by_scope"),
    "plain upsert": replace(CHOSEN, put="upsert"),
    "REPLACE": replace(CHOSEN, put="replace"),
    "statement journal": replace(CHOSEN, failure="abort"),
    "executemany": replace(CHOSEN, bulk=False),
    "partial index on expiry": replace(CHOSEN, expiry_index=True),
    "no lock file": replace(CHOSEN, fair=False),
    "every put checked": replace(CHOSEN, checks="version"),
}


def of(layout: Layout) -> Callable[..., Shape]:
    return lambda db, bulk: KernelShape(db, bulk=bulk, layout=layout)


def compare(name: str, load: Load, *, pump: str, pairs: int) -> list[Comparison]:
    """One variant beside `chosen`; or, for "chosen" itself, `chosen` beside the three hand-written trees."""

    def chosen() -> Sample:
        return measure(of(CHOSEN), load, pump=pump)

    def other() -> Sample:
        return measure(SHAPES["trees"] if name == "chosen" else of(VARIANTS[name]), load, pump=pump)

    a, b, goals = (other, chosen, (NO_GOAL, NO_GOAL))
    if name == "chosen":
        a, b, goals = (chosen, other, (Goal(at_least=1.0), Goal(at_most=1.7)))
    samples = alternate(a, b, pairs=pairs)
    names = (
        f"{load.tasks} tasks",
        "chosen" if name == "chosen" else name,
        "trees" if name == "chosen" else "chosen",
    )
    return [
        judge(names, samples, figure="rate", goal=goals[0]),
        judge(names, samples, figure="p50_us", goal=goals[1]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--tasks", type=int, nargs="*", default=[1, 64])
    parser.add_argument("--pump", default="tick", choices=PUMPS)
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--run-s", type=float, default=0.6)
    parser.add_argument("--busy", action="store_true", help="keep the loop's thread busy with other work")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found: list[Comparison] = []
    for name, tasks in itertools.product(asked.variants, asked.tasks):
        load = Load(tasks, sessions=asked.sessions, run_s=asked.run_s, busy=asked.busy)
        found += compare(name, load, pump=asked.pump, pairs=asked.pairs)
    show(found, title="Write shapes on SQLite", json_path=asked.json)


if __name__ == "__main__":
    main()
