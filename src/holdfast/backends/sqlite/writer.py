"""The one connection that writes: a transaction per batch, and what to do when it fails.

    take turns, BEGIN IMMEDIATE, notice what others wrote, decide, write, COMMIT: the barrier

After any error the transaction is rolled back and everything remembered is forgotten. A stale head shows as a place
in the log that is taken, and the batch is decided once more. A batch that fails for a reason that may lie in one of
its commits (no space, a value that cannot be bound) is taken apart and its commits are sent alone. When COMMIT itself
fails for anything but a lack of space, the page cache may lie about what is on the disk: the batch is Indeterminate,
and the store must be closed (`broken` says why). So it is when the path does not lead to the written file any more
(`place`).
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import apsw

from holdfast.backends.sqlite.bulk import Cursor
from holdfast.backends.sqlite.commit import Batch, Call
from holdfast.backends.sqlite.connection import WRITER_CACHE_KIB, Opening, Waiting, abandon, connect, release, tune
from holdfast.backends.sqlite.errors import is_full, translated
from holdfast.backends.sqlite.heads import Heads
from holdfast.backends.sqlite.place import Place, file_id
from holdfast.backends.sqlite.reserve import Given, Reserve, What
from holdfast.backends.sqlite.schema import ensure_schema
from holdfast.backends.sqlite.turns import Turns
from holdfast.backends.sqlite.writes import StaleHead
from holdfast.errors import Closed, Corrupt, HoldfastError, Indeterminate, StoreFull, StoreLocked, Unavailable
from holdfast.kernel.commit import Commit, Outcome

WAITS_AT_CLOSE_S = 1.0

Failpoint = Callable[[str], None]
"""Called with the name of the place that is reached: batch.begun, batch.decided, batch.written, batch.committed,
sweep.begun, sweep.written, sweep.committed, the same of rewrite, scrub.begun, scrub.written, checkpoint.begun,
checkpoint.done. It may raise (the batch fails) or end
the process."""


Synchronous = Literal["FULL", "NORMAL"]

STAGES: dict[What, tuple[Given, ...]] = {"adds": ("growth",), "removes": ("growth", "all")}
"""What is given up of the reserve when no space is left, at the first and the second try to make some."""


class Writer:
    """Opened and used by one thread."""

    def __init__(
        self, opening: Opening, failpoint: Failpoint | None, begin_anew: Callable[[apsw.Connection], None]
    ) -> None:
        self.broken: BaseException | None = None
        self.lost: Closed | None = None  # then `broken` too
        self._opening = opening
        self._failpoint = failpoint
        self._begin_anew = begin_anew
        self._turns = Turns(opening.path)
        self.reserve = Reserve(opening.path, self._turns.fd, max_pages=opening.max_pages)
        self.was_full = False
        self._tried = 0  # how many of `STAGES` were tried since a transaction last succeeded
        self._synchronous: Synchronous = "FULL"
        try:
            self.connection = self._connect()
        except BaseException as error:
            if isinstance(error, Corrupt):
                self._turns.unmake()
            self._turns.close()
            raise
        self.cursor: Cursor = self.connection.cursor()
        self.heads = Heads(self.connection, self.cursor)

    def apply(self, calls: Sequence[Call]) -> None:
        """Apply the calls behind one barrier and fill in their outcomes. What it raises holds for all of them."""
        self._tried = 0
        try:
            self._apply_together(calls)
        except Exception as error:
            failure = self._translated(error)
            failure.__cause__ = error if failure is not error else None
            if self.broken is not None or not _may_lie_in_one(error, failure):
                raise failure from error
            if sum(len(call.commits) for call in calls) > 1:
                self._apply_singly(calls)
            else:
                calls[0].outcomes = [failure]

    @contextlib.contextmanager
    def transaction(self, name: str, what: What = "adds") -> Iterator[Cursor]:
        """A write transaction for anything but commits. Remembered heads are forgotten after it."""
        try:
            with self._turns.held():
                self.check_place()
                self._synchronise("FULL")
                self.cursor.execute("BEGIN IMMEDIATE")
                try:
                    self._reach(f"{name}.begun")
                    self.reserve.begin(self.connection)
                    yield self.cursor
                    self._reach(f"{name}.written")
                    self.reserve.admit(self.connection, what)
                    self._commit()
                    if self.lost is not None:
                        raise self.lost  # nothing that anybody sees was to change
                    self.heads.distrust()
                    self.reserve.forget()
                except BaseException:
                    self._roll_back()
                    raise
            self._reach(f"{name}.committed")
        except apsw.Error as error:
            raise self._translated(error) from error

    def check_place(self) -> None:
        """Raise Closed if the path does not lead to the open files any more; then the store must be closed."""
        self._lose(self.lost or self.place.lost_lately())
        if self.lost is not None:
            raise self.lost

    def make_room(self, given: Given) -> None:
        """On a full disk: give up so much of the reserve, and let the log be written again from its beginning."""
        self.was_full = True
        self.reserve.give_up(self.connection, given)
        self._begin_anew(self.connection)

    def write_anew(self) -> None:
        """Write every page of the file anew, and give the free ones back: VACUUM, in a turn of its own."""
        with self._turns.held():
            self.check_place()
            self._reach("scrub.begun")
            self.connection.execute("PRAGMA temp_store=FILE")
            try:
                self.connection.execute("VACUUM")
            finally:
                self.connection.execute("PRAGMA temp_store=MEMORY")
                self.heads.distrust()
                self.reserve.forget()
            self._reach("scrub.written")

    def disk_bytes(self) -> int:
        """What the file system has left; as good as endless where it does not say."""
        try:
            return shutil.disk_usage(self._opening.path.parent).free
        except OSError:
            return sys.maxsize

    def close(self) -> None:
        """Release the connection; the last one of all processes checkpoints the log and removes it."""
        if self.broken is None:
            self._lose(self.place.lost())
        if self.lost is not None and self.broken is self.lost:
            self.connection.set_busy_handler(Waiting(WAITS_AT_CLOSE_S, on_loop=False))
            self.place.leave(self.connection)
        elif self.broken is None and self.disk_bytes() < self.reserve.size():
            with contextlib.suppress(apsw.Error):  # so that the last checkpoint has what it may need of the disk
                self.make_room("growth")
        if self.broken is not None:
            abandon(self.connection)
        else:
            release(self.connection)

    def leave(self) -> None:
        """After the last connection of this store was closed: leave the side file as the next opening needs it. Allowed
        twice."""
        if self.broken is None and self._turns.fd >= 0:
            self.reserve.settle()
        self._turns.close()

    def _connect(self) -> apsw.Connection:
        self.reserve.lend()
        try:
            return self._connected()
        except StoreFull:
            self.reserve.lend("all")
            return self._connected()

    def _connected(self) -> apsw.Connection:
        connection = connect(self._opening, waits_s=self._opening.busy_timeout_s)
        try:
            if (identity := file_id(self._opening.path)) is not None:  # before anything of it is read
                self._turns.hold_file(identity)
            ensure_schema(connection, self._opening, self._turns)
            tune(connection, self._opening, cache_kib=WRITER_CACHE_KIB)
            self.place = Place.of(connection, self._opening.path, name=self._opening.name, lock=self._turns.file())
            self.reserve.refill(connection)
        except Unavailable:  # what stands under its names by now may be somebody else's
            abandon(connection)
            raise
        except BaseException as error:
            failure = translated(error, self._opening.path, connection) if isinstance(error, apsw.Error) else error
            release(connection)
            raise failure from (error if failure is not error else None)
        return connection

    def _apply_together(self, calls: Sequence[Call]) -> None:
        """Apply them; where no space is left, make some and do it again, at most twice."""
        what: What = "removes" if all(_removes(commit) for call in calls for commit in call.commits) else "adds"
        while True:
            try:
                self._apply_as_found(calls, what)
            except (StoreFull, apsw.Error) as error:
                if self.broken is not None or not is_full(error, self.connection) or self._tried >= len(STAGES[what]):
                    raise
                self.make_room(STAGES[what][self._tried])
                self._tried += 1
                if self.broken is not None:
                    raise
            else:
                break
        if self._tried:
            self._tried = 0
            self.reserve.refill(self.connection)

    def _apply_as_found(self, calls: Sequence[Call], what: What) -> None:
        try:
            self._attempt(calls, what)
        except (StaleHead, apsw.ConstraintError):
            self._attempt(calls, what)

    def _apply_singly(self, calls: Sequence[Call]) -> None:
        for call in calls:
            outcomes: list[Outcome] = []
            for commit in call.commits:
                single = Call(call.space, [commit])
                try:
                    self._apply_together([single])
                except Exception as error:
                    if self.broken is not None and self.lost is None:
                        raise
                    outcomes.append(self._translated(error))
                else:
                    outcomes += single.outcomes
            call.outcomes = outcomes

    def _attempt(self, calls: Sequence[Call], what: What) -> None:
        self._turns.enter()
        try:
            self.check_place()
            waits = any(commit.durable for call in calls for commit in call.commits)
            self._synchronise("FULL" if waits else "NORMAL")
            self.cursor.execute("BEGIN IMMEDIATE")
            self._reach("batch.begun")
            self.reserve.begin(self.connection)
            self.heads.refresh()
            batch = Batch(self.connection, self.cursor, self.heads)
            batch.decide(calls)
            self._reach("batch.decided")
            batch.write()
            self._reach("batch.written")
            self.reserve.admit(self.connection, what)
            self._commit()
            if self.lost is not None:
                raise Indeterminate(
                    f"{self.lost}; it had written the commit by then, which may be found again where the file went",
                    remedy=self.lost.remedy,
                    path=str(self._opening.path),
                ) from self.lost
            self.reserve.committed(self.connection)
            self.heads.settle()
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._turns.leave()
        self._reach("batch.committed")

    def _synchronise(self, how: Synchronous) -> None:
        """Let the next COMMIT wait for the disk (FULL) or not. One that does waits for all before it, whosever they
        are: they stand in one log."""
        if how != self._synchronous and self._opening.durability == "fsync":
            self.cursor.execute(f"PRAGMA synchronous={how}")
            self._synchronous = how

    def _commit(self) -> None:
        """COMMIT, and see where that went: nothing may be acknowledged if `lost` is set after it."""
        try:
            self.cursor.execute("COMMIT")
        except apsw.Error as error:
            if is_full(error, self.connection) or isinstance(error, apsw.BusyError):
                raise
            self.broken = error
            raise Indeterminate(
                f"{self._opening.path}: the commit could not be made durable ({error}); it may or may not have been "
                "applied, and the store is closed",
                path=str(self._opening.path),
            ) from error
        self._lose(self.place.lost())

    def _lose(self, lost: Closed | None) -> None:
        if lost is not None:
            self.lost = lost
            self.broken = self.broken or lost

    def _roll_back(self) -> None:
        self.heads.clear()
        self.reserve.forget()
        try:
            if self.connection.in_transaction:
                self.cursor.execute("ROLLBACK")
        except apsw.Error as error:
            self.broken = self.broken or error

    def _translated(self, error: BaseException) -> HoldfastError:
        if not isinstance(error, (apsw.BusyError, apsw.LockedError)):
            return translated(error, self._opening.path, self.connection)
        path, holder = str(self._opening.path), self._turns.holder()
        message = f"another process held {path} for more than {self._opening.busy_timeout_s:g} s: {error}"
        if not holder:  # it does not take turns, so nothing tells which one it is
            return StoreLocked(message, path=path)
        return StoreLocked(
            f"{message}; it is the turn of process {holder}",
            remedy=f"If process {holder} is stopped, let it go on (kill -CONT {holder}) or end it. If it waits too, "
            "find what else holds the file (a backup, a database browser).",
            path=path,
            process=holder,
        )

    def _reach(self, name: str) -> None:
        if self._failpoint is not None:
            self._failpoint(name)


def _removes(commit: Commit) -> bool:
    """Whether it only drops scopes and deletes cells: what frees a full store, once it is swept."""
    parts = [part for part in commit.scopes if part.writes]
    return bool(parts) and all((part.drop or part.deletes) and not (part.puts or part.appends) for part in parts)


def _may_lie_in_one(error: Exception, failure: HoldfastError) -> bool:
    """Whether the other commits of the batch may do without the one that failed."""
    if isinstance(failure, StoreLocked):
        return False
    return isinstance(failure, StoreFull) or not isinstance(error, (HoldfastError, apsw.Error))
