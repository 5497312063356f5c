"""What a careful engineer writes by hand with apsw: the yardstick of Holdfast's SQLite backend.

One connection, one writer, WAL, synchronous=FULL, group commit. No checks, no commit ids, no second process: what is
left out here is what a session layer adds. Three shapes of the same small put:

    trees    three B-trees: head, cell and log, each WITHOUT ROWID, the log keyed by (session, seq)
    blob     one row with the whole session as a blob, and a log in rowid order
    log      a log in rowid order, nothing else

Statements go either through executemany (`each`) or as VALUES of many rows in fixed sizes (`bulk`); checkpoints run on
the writer (`inline`, SQLite's default of 1,000 pages) or on a connection and thread of their own (`aside`, at 4,000).
The yardstick of a shape is the faster of the two ways to send statements; the table shows both.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import apsw

from benchmarks.load import KEYS, Load, drive, key_name, session_name, value_of
from benchmarks.pairs import Goal, Sample, alternate, judge, show
from benchmarks.pumps import PUMPS

Op = tuple[str, str, bytes]
SIZES = (256, 64, 16, 4, 1)
CHECKPOINT_PAGES = 4_000


def connect(path: Path) -> apsw.Connection:
    db = apsw.Connection(str(path), statementcachesize=300)
    db.set_busy_timeout(10_000)
    db.execute("PRAGMA journal_mode=WAL").fetchall()  # in one text, the row it returns would stop the rest
    db.execute("PRAGMA synchronous=FULL")
    return db


class Bulk:
    """INSERT … VALUES of many rows: as few steps as the sizes allow, for the GIL changes hands at every step.

    Use OR FAIL and no NOT NULL on columns that an upsert sets. Otherwise a statement of many rows may abort half-way
    and SQLite keeps a statement journal for it: every page the statement touches is copied, beyond 64 KiB to a file.
    """

    def __init__(self, insert: str, columns: int, tail: str = "") -> None:
        row = "(" + ",".join("?" * columns) + ")"
        self.statements = [(n, f"{insert} VALUES {','.join([row] * n)} {tail}") for n in SIZES]

    def run(self, db: apsw.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        at, left = 0, len(rows)
        for size, sql in self.statements:
            while left >= size:
                db.execute(sql, tuple(itertools.chain.from_iterable(rows[at : at + size])))
                at, left = at + size, left - size


class Checkpointer:
    """Checkpoints mostly aside: PASSIVE passes on a thread and connection of their own, the rest by the writer.

    A pass aside never reaches the end of a WAL that is being written, and a WAL that is not checkpointed to its end
    never starts over: left to itself it grew by 200 MB a second, and each barrier then extends the file. So the passes
    aside go on until few frames are left, and the writer copies those between two batches.
    """

    PASSES_MAX = 4
    REST_PAGES = 200

    def __init__(self, path: Path, writer: apsw.Connection, *, pages: int = CHECKPOINT_PAGES) -> None:
        self.path, self.writer, self.pages = path, writer, pages
        self.grown, self.asked, self.rest = 0, False, False
        self.bell: SimpleQueue[bool] = SimpleQueue()
        writer.wal_autocheckpoint(0)
        writer.set_wal_hook(self._grown)
        self.thread = Thread(target=self._work, daemon=True)
        self.thread.start()

    def between_batches(self) -> None:
        """On the writer's thread, outside a transaction."""
        if self.rest:
            self.rest = False
            passive(self.writer)
            self.asked = False

    def close(self) -> None:
        self.bell.put(False)
        self.thread.join()

    def _grown(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self.grown = pages
        if pages >= self.pages and not self.asked:
            self.asked = True
            self.bell.put(True)
        return apsw.SQLITE_OK

    def _work(self) -> None:
        db = connect(self.path)
        while self.bell.get():
            for _ in range(self.PASSES_MAX):
                if self.grown - passive(db) <= self.REST_PAGES:
                    break
            self.rest = True
        db.close()


def passive(db: apsw.Connection) -> int:
    """Frames copied so far. When another process is at it there is nothing to do: the next hook asks again."""
    try:
        return db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)[1]
    except apsw.BusyError:
        return 0


class Shape:
    """One way to lay the puts out. `fill` makes the sessions, `apply` writes one batch in one transaction."""

    schema = ""

    def __init__(self, db: apsw.Connection, *, bulk: bool) -> None:
        self.db, self.bulk = db, bulk
        self.heads: dict[str, int] = {}
        self.checkpointer: Checkpointer | None = None

    def fill(self, sessions: int, *, grow: bool = True) -> None:
        """Make the sessions; with `grow` also a WAL of the size it has in a long run."""
        self.db.execute(self.schema)
        self.heads = {session_name(n): 1 for n in range(sessions)}
        with self.db:
            self.db.execute("PRAGMA cache_size=-65536")
            self._fill()
        if not grow:
            return
        grown = random.Random(0)  # the WAL at its working size, then written again from its start, as in a long run
        while self.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)[0] < CHECKPOINT_PAGES:
            self.db.wal_autocheckpoint(0)
            while self.wal_pages() < CHECKPOINT_PAGES:
                ops = [(session_name(grown.randrange(sessions)), key_name(grown.randrange(KEYS)), value_of(-n))
                       for n in range(256)]  # fmt: skip
                self.apply(ops)

    def wal_pages(self) -> int:
        return Path(self.db.filename_wal).stat().st_size // 4_120

    def apply(self, ops: Sequence[Op]) -> Sequence[int]:
        if self.checkpointer is not None:
            self.checkpointer.between_batches()
        self.db.execute("BEGIN IMMEDIATE")
        try:
            seqs = self._write(ops)
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise
        return seqs

    def _next(self, session: str) -> int:
        self.heads[session] = seq = self.heads[session] + 1
        return seq

    def _put(self, bulk: Bulk, rows: Iterable[tuple[Any, ...]]) -> None:
        if self.bulk:
            bulk.run(self.db, list(rows))
        else:
            self.db.executemany(bulk.statements[-1][1], rows)

    def _fill(self) -> None: ...
    def _write(self, ops: Sequence[Op]) -> Sequence[int]:
        raise NotImplementedError


class Trees(Shape):
    schema = """
        CREATE TABLE head(session TEXT PRIMARY KEY, seq INTEGER) WITHOUT ROWID;
        CREATE TABLE cell(session TEXT, key TEXT, version INTEGER, value BLOB,
                          PRIMARY KEY(session, key)) WITHOUT ROWID;
        CREATE TABLE log(session TEXT, seq INTEGER, at INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
                         PRIMARY KEY(session, seq)) WITHOUT ROWID;
    """
    head = Bulk("INSERT OR FAIL INTO head", 2, "ON CONFLICT DO UPDATE SET seq=excluded.seq")
    cell = Bulk(
        "INSERT OR FAIL INTO cell",
        4,
        "ON CONFLICT DO UPDATE SET version=excluded.version, value=excluded.value",
    )
    log = Bulk("INSERT OR FAIL INTO log", 5)

    def _fill(self) -> None:
        self.db.executemany("INSERT INTO head VALUES(?, 1)", ((s,) for s in self.heads))
        self.db.executemany("INSERT INTO cell VALUES(?, ?, 1, ?)", cells(self.heads))
        self.db.executemany("INSERT INTO log VALUES(?, 1, 0, 'created', x'')", ((s,) for s in self.heads))

    def _write(self, ops: Sequence[Op]) -> Sequence[int]:
        now = time.time_ns() // 1_000
        seqs = [self._next(session) for session, _, _ in ops]
        puts = {(op[0], op[1]): (op[0], op[1], seq, op[2]) for op, seq in zip(ops, seqs, strict=True)}
        heads = {op[0]: (op[0], seq) for op, seq in zip(ops, seqs, strict=True)}
        self._put(self.head, [heads[name] for name in sorted(heads)])
        self._put(self.cell, [puts[name] for name in sorted(puts)])
        self._put(self.log, sorted((op[0], seq, now, op[1], op[2]) for op, seq in zip(ops, seqs, strict=True)))
        return seqs


class BlobAndLog(Shape):
    schema = """
        CREATE TABLE session(id INTEGER PRIMARY KEY, name TEXT UNIQUE, seq INTEGER, state BLOB);
        CREATE TABLE log(id INTEGER PRIMARY KEY, session INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
                         key TEXT NOT NULL, value BLOB NOT NULL);
    """
    log = Bulk("INSERT OR FAIL INTO log(session, seq, at, key, value)", 5)
    state = Bulk(
        "INSERT OR FAIL INTO session",
        4,
        "ON CONFLICT(id) DO UPDATE SET seq=excluded.seq, state=excluded.state",
    )

    def _fill(self) -> None:
        self.ids = {name: n for n, name in enumerate(self.heads, 1)}
        self.states = {name: {key_name(k): value_of(k) for k in range(KEYS)} for name in self.heads}
        rows = ((self.ids[s], s, b"".join(self.states[s].values())) for s in self.heads)
        self.db.executemany("INSERT INTO session VALUES(?, ?, 1, ?)", rows)

    def _write(self, ops: Sequence[Op]) -> Sequence[int]:
        now = time.time_ns() // 1_000
        seqs = [self._next(session) for session, _, _ in ops]
        for session, key, value in ops:
            self.states[session][key] = value
        last = {self.ids[op[0]]: (op[0], seq) for op, seq in zip(ops, seqs, strict=True)}
        self._put(self.log, [(self.ids[op[0]], seq, now, op[1], op[2]) for op, seq in zip(ops, seqs, strict=True)])
        rows = [(n, *last[n], b"".join(self.states[last[n][0]].values())) for n in sorted(last)]
        self._put(self.state, rows)
        return seqs


class LogOnly(Shape):
    schema = """
        CREATE TABLE log(id INTEGER PRIMARY KEY, session TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
                         key TEXT NOT NULL, value BLOB NOT NULL);
    """
    log = Bulk("INSERT OR FAIL INTO log(session, seq, at, key, value)", 5)

    def _write(self, ops: Sequence[Op]) -> Sequence[int]:
        now = time.time_ns() // 1_000
        seqs = [self._next(session) for session, _, _ in ops]
        self._put(self.log, [(op[0], seq, now, op[1], op[2]) for op, seq in zip(ops, seqs, strict=True)])
        return seqs


SHAPES: dict[str, type[Shape]] = {"trees": Trees, "blob": BlobAndLog, "log": LogOnly}


def cells(sessions: Iterable[str]) -> Iterator[tuple[str, str, bytes]]:
    return ((s, key_name(k), value_of(k)) for s in sessions for k in range(KEYS))


def measure(
    shape: Callable[..., Shape],
    load: Load,
    *,
    pump: str = "tick",
    bulk: bool = True,
    checkpoints: str = "aside",
    grow: bool = True,
) -> Sample:
    """One run on a new file, which is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="reference-"))
    try:
        db = connect(folder / "reference.db")
        layout = shape(db, bulk=bulk)
        layout.fill(load.sessions, grow=grow)
        aside = layout.checkpointer = Checkpointer(folder / "reference.db", db) if checkpoints == "aside" else None
        if aside is None:
            db.wal_autocheckpoint(1_000)

        async def run() -> Sample:
            writer = PUMPS[pump](layout.apply)
            sample = await drive(lambda session, key, value: writer.submit((session, key, value)), load)
            await writer.close()
            return sample

        sample = asyncio.run(run())
        if aside is not None:
            aside.close()
        db.close()
        return sample
    finally:
        shutil.rmtree(folder)


def measure_point_reads(*, sessions: int = 1_000, reads: int = 50_000) -> Sample:
    """One cell by its key, on the calling thread with a cached statement: the yardstick of `state.get`."""
    folder = Path(tempfile.mkdtemp(prefix="reference-"))
    try:
        db = connect(folder / "reference.db")
        Trees(db, bulk=True).fill(sessions)
        pick, latencies, clock = random.Random(1), [], time.perf_counter
        targets = [(session_name(pick.randrange(sessions)), key_name(pick.randrange(KEYS))) for _ in range(reads)]
        begun = clock()
        for target in targets:
            before = clock()
            db.execute("SELECT version, value FROM cell WHERE session=? AND key=?", target).fetchone()
            latencies.append(clock() - before)
        sample = Sample.of(latencies, elapsed_s=clock() - begun)
        db.close()
        return sample
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, nargs="*", default=[1, 16, 64, 256])
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--pump", default="tick", choices=PUMPS)
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--run-s", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = []
    for shape, tasks in itertools.product(asked.shapes, asked.tasks):
        load = Load(tasks, sessions=asked.sessions, run_s=asked.run_s)
        bulk = partial(measure, SHAPES[shape], load, pump=asked.pump)
        each = partial(measure, SHAPES[shape], load, pump=asked.pump, bulk=False)
        samples = alternate(bulk, each, pairs=asked.pairs)
        names = (f"{shape}, {tasks} tasks", "bulk", "each")
        found.append(judge(names, samples, goal=Goal()))
    show(found, title="Hand-written group commit on SQLite", json_path=asked.json)
    read = measure_point_reads()
    print(f"point read: p50 {read.p50_us:.1f} µs, p99 {read.p99_us:.1f} µs")


if __name__ == "__main__":
    main()
