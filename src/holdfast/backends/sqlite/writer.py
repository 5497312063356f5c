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
from collections.abc import Callable, Iterator, Sequence

import apsw

from holdfast.backends.sqlite.bulk import Cursor
from holdfast.backends.sqlite.commit import Batch, Call
from holdfast.backends.sqlite.connection import WRITER_CACHE_KIB, Opening, Waiting, abandon, connect, release, tune
from holdfast.backends.sqlite.errors import is_full, translated
from holdfast.backends.sqlite.heads import Heads
from holdfast.backends.sqlite.place import Place, file_id
from holdfast.backends.sqlite.schema import ensure_schema
from holdfast.backends.sqlite.turns import Turns
from holdfast.backends.sqlite.writes import StaleHead
from holdfast.errors import Closed, HoldfastError, Indeterminate, StoreFull, StoreLocked, Unavailable
from holdfast.kernel.commit import Outcome

WAITS_AT_CLOSE_S = 1.0

Failpoint = Callable[[str], None]
"""Called with the name of the place that is reached: batch.begun, batch.decided, batch.written, batch.committed,
sweep.begun, sweep.written, sweep.committed, checkpoint.begun, checkpoint.done. It may raise (the batch fails) or end
the process."""


class Writer:
    """Opened and used by one thread."""

    def __init__(self, opening: Opening, failpoint: Failpoint | None) -> None:
        self.broken: BaseException | None = None
        self.lost: Closed | None = None  # then `broken` too
        self._opening = opening
        self._failpoint = failpoint
        self._turns = Turns(opening.path)
        try:
            self.connection = connect(opening, waits_s=opening.busy_timeout_s)
        except BaseException:
            self._turns.close()
            raise
        try:
            if (identity := file_id(opening.path)) is not None:  # before anything of it is read
                self._turns.hold_file(identity)
            ensure_schema(self.connection, opening, self._turns)
            tune(self.connection, opening, cache_kib=WRITER_CACHE_KIB)
            self.place = Place.of(self.connection, opening.path)
        except Unavailable:  # what stands under its names by now may be somebody else's
            abandon(self.connection)
            self._turns.close()
            raise
        except BaseException:
            release(self.connection)
            self._turns.close()
            raise
        self.cursor: Cursor = self.connection.cursor()
        self.heads = Heads(self.connection, self.cursor)

    def apply(self, calls: Sequence[Call]) -> None:
        """Apply the calls behind one barrier and fill in their outcomes. What it raises holds for all of them."""
        try:
            self._apply_together(calls)
        except Exception as error:
            failure = translated(error, self._opening.path, self.connection)
            failure.__cause__ = error if failure is not error else None
            if self.broken is not None or not _may_lie_in_one(error, failure):
                raise failure from error
            if sum(len(call.commits) for call in calls) > 1:
                self._apply_singly(calls)
            else:
                calls[0].outcomes = [failure]

    @contextlib.contextmanager
    def transaction(self, name: str) -> Iterator[Cursor]:
        """A write transaction for anything but commits. Remembered heads are forgotten after it."""
        try:
            with self._turns.held():
                self.check_place()
                self.cursor.execute("BEGIN IMMEDIATE")
                try:
                    self._reach(f"{name}.begun")
                    yield self.cursor
                    self._reach(f"{name}.written")
                    self._commit()
                    if self.lost is not None:
                        raise self.lost  # nothing that anybody sees was to change
                    self.heads.distrust()
                except BaseException:
                    self._roll_back()
                    raise
            self._reach(f"{name}.committed")
        except apsw.Error as error:
            raise translated(error, self._opening.path, self.connection) from error

    def check_place(self) -> None:
        """Raise Closed if the path does not lead to the open files any more; then the store must be closed."""
        self._lose(self.lost or self.place.lost_lately())
        if self.lost is not None:
            raise self.lost

    def close(self) -> None:
        """Release the connection; the last one of all processes checkpoints the log and removes it."""
        if self.broken is None:
            self._lose(self.place.lost())
        if self.lost is not None and self.broken is self.lost:
            self.connection.set_busy_handler(Waiting(WAITS_AT_CLOSE_S, on_loop=False))
            self.place.leave(self.connection)
        if self.broken is not None:
            abandon(self.connection)
        else:
            release(self.connection)
        self._turns.close()

    def _apply_together(self, calls: Sequence[Call]) -> None:
        try:
            self._attempt(calls)
        except (StaleHead, apsw.ConstraintError):
            self._attempt(calls)

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
                    outcomes.append(translated(error, self._opening.path, self.connection))
                else:
                    outcomes += single.outcomes
            call.outcomes = outcomes

    def _attempt(self, calls: Sequence[Call]) -> None:
        self._turns.enter()
        try:
            self.check_place()
            self.cursor.execute("BEGIN IMMEDIATE")
            self._reach("batch.begun")
            self.heads.refresh()
            batch = Batch(self.connection, self.cursor, self.heads)
            batch.decide(calls)
            self._reach("batch.decided")
            batch.write()
            self._reach("batch.written")
            self._commit()
            if self.lost is not None:
                raise Indeterminate(
                    f"{self.lost}; it had written the commit by then, which may be found again where the file went",
                    remedy=self.lost.remedy,
                    path=str(self._opening.path),
                ) from self.lost
            self.heads.settle()
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._turns.leave()
        self._reach("batch.committed")

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
        try:
            if self.connection.in_transaction:
                self.cursor.execute("ROLLBACK")
        except apsw.Error as error:
            self.broken = self.broken or error

    def _reach(self, name: str) -> None:
        if self._failpoint is not None:
            self._failpoint(name)


def _may_lie_in_one(error: Exception, failure: HoldfastError) -> bool:
    """Whether the other commits of the batch may do without the one that failed."""
    if isinstance(failure, StoreLocked):
        return False
    return isinstance(failure, StoreFull) or not isinstance(error, (HoldfastError, apsw.Error))
