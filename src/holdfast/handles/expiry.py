"""Sessions whose time is over: what has expired does not exist, makes way for a new one, and is swept in the end; and
runs, which leave when they have ended long enough ago."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from holdfast.errors import Closed, NotFound
from holdfast.handles.crowding import thin_out
from holdfast.handles.erasure import carry_on
from holdfast.handles.interaction import time_out
from holdfast.handles.keeper import remove_dead_beats
from holdfast.handles.store import Store
from holdfast.handles.unit import Target
from holdfast.handles.winding_up import means_of
from holdfast.kernel.commit import Found, Retention, Swept
from holdfast.kernel.work import Work
from holdfast.model.duration import to_us
from holdfast.model.moment import order_of
from holdfast.model.sweep import SweepReport, added
from holdfast.operations import checkpoint, fork, sweep
from holdfast.operations.leave import leave
from holdfast.operations.wind_up import wind_up
from holdfast.services import interaction

AGAIN_US = 3_600_000_000
"""Ends of runs are looked at again for so long: those of others may be told late, by clocks that differ."""


class LookedAt:
    """Up to where this process has looked for sessions in which too many runs have ended: later it looks for new ends
    only."""

    def __init__(self) -> None:
        self.until: str | None = None

    async def close(self) -> None:
        """There is nothing to close."""


async def make_way(store: Store, scope: str) -> bool:
    """Whether no session stands there now: one that has expired is removed, by a commit of its own.

    On the condition that it has expired, so what it removes nobody could see any more.
    """
    head, has_expired = await sweep.look(store.work(of_expired="all"), scope)
    if has_expired:
        await sweep.remove(store.work(of_expired="all"), scope, head.epoch)
    return has_expired or not head.live


class Step(NamedTuple):
    """What a step of a sweep did; the first thing that failed, if any did; and whether a whole part of it failed, as
    where the store does not answer, and not only what was to be done about single things."""

    report: SweepReport
    problem: Exception | None = None
    blocked: bool = False


async def sweep_step(store: Store, *, retention_us: int | None) -> Step:
    """One step of a sweep: up to the configured budget of whatever is to be swept; `more`: another one is needed. What
    fails holds up nothing else.

    Harmless at any time and in any number of processes: each thing is done by a commit on the condition that it is to
    be done still.
    """
    report = SweepReport()
    problems: list[Exception] = []
    blocked = False
    for part in (
        _expire,
        partial(_retire, retention_us=retention_us),
        _let_runs_leave,
        _wind_up,
        _time_out,
        _remove_dead_beats,
        _thin_out,
        _carry_on,
        _give_up,
        _sweep_store,
    ):
        try:
            done = await part(store, problems)
        except Closed:
            raise
        except Exception as problem:  # for the caller to raise, when everything had its turn
            problems.append(problem)
            blocked = True
        else:
            report = replace(added(report, done), more=report.more or done.more)
    return Step(report, next(iter(problems), None), blocked)


async def _expire(store: Store, problems: list[Exception]) -> SweepReport:
    now_us, most = store.now_us(), store.config.sweep.budget
    expired, more = await sweep.each(
        _works(store), "session", sweep.expire_due, until_us=now_us, most=most, problems=problems
    )
    return SweepReport(expired, more=more)


async def _retire(store: Store, problems: list[Exception], *, retention_us: int | None) -> SweepReport:
    if retention_us is None:
        return SweepReport()
    until_us, most = store.now_us() - retention_us, store.config.sweep.budget
    retired, more = await sweep.each(
        _works(store), "ended", sweep.retire_due, until_us=until_us, most=most, problems=problems
    )
    return SweepReport(retired=retired, more=more)


async def _let_runs_leave(store: Store, problems: list[Exception]) -> SweepReport:
    config, most, left, more = store.config.runs, store.config.sweep.budget, 0, False
    operations_max = store.limits.operations_max
    if config.finished_ttl is not None:
        until_us = store.now_us() - to_us(config.finished_ttl, "runs.finished_ttl")
        take = partial(leave, operations_max=operations_max)
        left, more = await sweep.each(_works(store), "run", take, until_us=until_us, most=most, problems=problems)
    if config.history_max is not None:
        looked = store.of_loop(LookedAt, LookedAt, LookedAt.close)
        too_many, following = await sweep.beyond(_works(store)(), config.history_max, lo=looked.until, limit=most)
        for found in too_many[:most]:
            try:
                left += await leave(_works(store), found, operations_max=operations_max)
            except Closed:
                raise
            except Exception as problem:
                problems.append(problem)
        if len(too_many) < most:  # else there may be more of the same
            looked.until = order_of(max(store.now_us() - AGAIN_US, 0)) if following is None else following
        goes_on = len(too_many) >= most or following is not None
        more = more or (goes_on and (left > 0 or not problems))  # what fails is not tried for ever
    return SweepReport(runs=left, more=more)


async def _time_out(store: Store, problems: list[Exception]) -> SweepReport:
    """Questions that nobody answered in time. One that is gone meanwhile, or was answered, is left."""

    async def take(_: Callable[[], Work], found: Found) -> bool:
        target = Target(found.scope, "must_exist")
        try:
            return await time_out(store, target, interaction.run_of(found.key), found.key.rpartition("/")[2])
        except NotFound:
            return False

    now_us, most = store.now_us(), store.config.sweep.budget
    done, more = await sweep.each(_works(store), "interaction", take, until_us=now_us, most=most, problems=problems)
    return SweepReport(timed_out=done, more=more)


async def _wind_up(store: Store, problems: list[Exception]) -> SweepReport:
    """What has ended, and of which whoever ended it has left something open."""
    means = replace(means_of(store), work=_works(store))

    async def take(_: Callable[[], Work], found: Found) -> bool:
        return await wind_up(means, found.scope, found.key)

    now_us, most = store.now_us(), store.config.sweep.budget
    _, more = await sweep.each(_works(store), "ending", take, until_us=now_us, most=most, problems=problems)
    return SweepReport(more=more)


async def _remove_dead_beats(store: Store, _: list[Exception]) -> SweepReport:
    await remove_dead_beats(store)
    return SweepReport()


async def _thin_out(store: Store, _: list[Exception]) -> SweepReport:
    return SweepReport(displaced=await thin_out(store))


async def _carry_on(store: Store, _: list[Exception]) -> SweepReport:
    """An erasure that was interrupted: `more` if there is another one."""
    return SweepReport(more=await carry_on(store))


async def _give_up(store: Store, problems: list[Exception]) -> SweepReport:
    """Checkpoints and forks that were begun, and with which nobody went on."""
    now_us, most = store.now_us(), store.config.sweep.budget
    checkpoints, more = await sweep.each(
        _works(store), "checkpoint", checkpoint.give_up, until_us=now_us, most=most, problems=problems
    )
    forks, more_forks = await sweep.each(
        _works(store), "fork", fork.give_up, until_us=now_us, most=most, problems=problems
    )
    return SweepReport(unfinished=checkpoints + forks, more=more or more_forks)


async def _sweep_store(store: Store, _: list[Exception]) -> SweepReport:
    swept = await sweep_store(store, budget=store.config.sweep.budget)
    return SweepReport(cells=swept.cells, records=swept.records, scopes=swept.scopes, more=swept.more)


async def count_due(store: Store, *, retention_us: int | None) -> SweepReport:
    """How many sessions a sweep would end, how many questions, and how many runs would leave since they ended long
    enough ago."""
    now_us, kept_for = store.now_us(), store.config.runs.finished_ttl
    work = _works(store)
    report = SweepReport(await sweep.count(work, "session", until_us=now_us))
    report = replace(report, timed_out=await sweep.count(work, "interaction", until_us=now_us))
    if retention_us is not None:
        report = replace(report, retired=await sweep.count(work, "ended", until_us=now_us - retention_us))
    if kept_for is not None:
        until_us = now_us - to_us(kept_for, "runs.finished_ttl")
        report = replace(report, runs=await sweep.count(work, "run", until_us=until_us))
    return report


async def sweep_store(store: Store, *, budget: int) -> Swept:
    """Let the kernel remove up to `budget` rows of what nobody can see any more."""
    changes = store.config.changes
    age_us = None if changes.retention_age is None else to_us(changes.retention_age, "changes.retention_age")
    retention = Retention(age_us=age_us, count=changes.retention_count)
    return await store.patiently(lambda: store.kernel.sweep(now_us=store.now_us(), retention=retention, budget=budget))


def _works(store: Store) -> partial[Work]:
    return partial(store.work, of_expired="all")
