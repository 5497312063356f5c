"""What sweeps did: which sessions' time was over, and what nobody could see any more."""

from __future__ import annotations

from msgspec import Struct


class SweepReport(Struct, frozen=True):
    """What a sweep removed or, of a dry run, would remove of sessions.

    expired     sessions that had expired
    retired     sessions that had ended, and were kept as long as their retention says
    cells       expired values, and what sessions that are gone had left
    records     log records beyond `Config.changes`
    scopes      scopes of which no trace is left
    more        whether something was left to another sweep
    displaced   sessions that it ended since there were more than `Config.session.live_max`
    runs        runs that had ended, and were kept as long and as many as `Config.runs` says
    unfinished  checkpoints and forks that were begun and never finished
    timed_out   questions that nobody answered in time
    """

    expired: int = 0
    retired: int = 0
    cells: int = 0
    records: int = 0
    scopes: int = 0
    more: bool = False
    displaced: int = 0
    runs: int = 0
    unfinished: int = 0
    timed_out: int = 0


def added(one: SweepReport, other: SweepReport) -> SweepReport:
    """Both together; `more` is that of the later one."""
    return SweepReport(
        one.expired + other.expired,
        one.retired + other.retired,
        one.cells + other.cells,
        one.records + other.records,
        one.scopes + other.scopes,
        other.more,
        one.displaced + other.displaced,
        one.runs + other.runs,
        one.unfinished + other.unfinished,
        one.timed_out + other.timed_out,
    )


class SweeperStats(Struct, frozen=True, kw_only=True):
    """The sweeper that a store has in the background.

    running     whether there is one: the store was opened with `background`, and is not closed
    steps       how many steps it made
    failures    how many of them the store did not let it make
    in_a_row    how many of these came one after the other, up to the last step
    last_error  why the last of them failed
    done        what it did altogether
    """

    running: bool = False
    steps: int = 0
    failures: int = 0
    in_a_row: int = 0
    last_error: str | None = None
    done: SweepReport = SweepReport()
