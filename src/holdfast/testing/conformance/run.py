"""Running the kit: every check on a fresh space of the kernel under test, one after the other."""

from __future__ import annotations

import asyncio
import secrets
import time
import traceback
from collections.abc import Callable, Iterable

from holdfast.errors import HoldfastError
from holdfast.kernel.commit import Committed, Retention, ScopeCommit
from holdfast.testing.conformance import (
    atomicity,
    checkpoints,
    claims,
    conditions,
    cuts,
    durability,
    ending,
    exact_bytes,
    expiry,
    finding,
    histories,
    ids,
    indexes,
    interactions,
    limits,
    logs,
    marks,
    moves,
    no_trace,
    nodes,
    ordering,
    phantoms,
    purging,
    racing,
    ranges,
    resurrection,
    rewriting,
    settling,
    signals,
    spaces,
    stamps,
    steps,
    sweeping,
    variables,
)
from holdfast.testing.conformance.bench import Bench, Open, Subject
from holdfast.testing.conformance.check import Check, checks_of
from holdfast.testing.conformance.expect import Broken
from holdfast.testing.conformance.report import Report, Result
from holdfast.testing.guarantees import BY_NUMBER

CHECKS: tuple[Check, ...] = checks_of(
    *(atomicity, conditions, racing, ordering, ids, settling, durability, no_trace, cuts, spaces, phantoms),
    *(
        resurrection,
        expiry,
        logs,
        marks,
        moves,
        indexes,
        finding,
        sweeping,
        purging,
        rewriting,
        stamps,
        exact_bytes,
        ranges,
        limits,
        ending,
        signals,
        histories,
    ),
    *(steps, nodes, claims, interactions, variables, checkpoints),
)
"""Every check of the kit: those of the kernel, then those of the domain on it."""

DEADLINE_S = 60.0
"""How long one check may take before it counts as failed: a kernel that never answers breaks its word too."""


async def conform(
    subject: Subject | Open,
    *,
    only: Iterable[str] = (),
    seed: int | None = None,
    clean: bool = False,
    deadline_s: float = DEADLINE_S,
    done: Callable[[Result], None] | None = None,
) -> Report:
    """Run the kit on a kernel; what fails stands in the report, nothing is raised.

    `subject` opens kernels on spaces of one store (see `Subject`); a plain function that does so claims every
    capability. `only` takes guarantees ("G5"), names of checks ("ids.a_repeat_is_not_judged_again") and of groups of
    them ("ids"); by default everything runs. `clean` drops and sweeps every space that was used. `done` hears of each
    result as it comes. Without a `seed` a random one is taken, so that a store may be tested again and again.

    A kernel that declares durability may not be declared to be without "reopen": ValueError, as for names unknown.
    """
    subject = subject if isinstance(subject, Subject) else Subject(subject)
    checks, wanted = select(only)
    seed = secrets.randbits(32) if seed is None else seed
    results, left = [], []
    for place, check in enumerate(checks):
        bench = Bench(subject, seed=seed * 1_000 + place)
        result = await _run(check, bench, deadline_s=deadline_s)
        results.append(result)
        if done is not None:
            done(result)
        if clean and result.ended != "not owed":
            left += [space for space in bench.spaces if not await _emptied(space, bench)]
    return Report(tuple(results), wanted, seed, tuple(left))


def select(only: Iterable[str]) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """The checks that these names mean, and the guarantees that are thereby to be proved."""
    names = set(only)
    if not names:
        return CHECKS, tuple(BY_NUMBER)
    known = set(BY_NUMBER) | {name for check in CHECKS for name in (check.name, check.group)}
    if unknown := names - known:
        raise ValueError(f"no guarantee, check or group of checks is called {', '.join(sorted(unknown))}")
    checks = tuple(check for check in CHECKS if names & {check.name, check.group, *check.proves})
    return checks, tuple(number for number in BY_NUMBER if number in names)


async def run_check(check: Check, subject: Subject | Open, *, seed: int, deadline_s: float = DEADLINE_S) -> None:
    """Run one check on a fresh space and close what it opened; raises what the check raises."""
    subject = subject if isinstance(subject, Subject) else Subject(subject)
    bench = Bench(subject, seed=seed)
    await _on(bench, check, deadline_s=deadline_s)


async def _run(check: Check, bench: Bench, *, deadline_s: float) -> Result:
    if lacking := sorted(check.needs & bench.subject.without):
        return Result(
            check.name, check.proves, check.sentence, "not owed", f"it is declared to be without {', '.join(lacking)}"
        )
    began = time.perf_counter()
    error, broken = "", False
    try:
        await _on(bench, check, deadline_s=deadline_s)
    except Exception as raised:
        error, broken = _told(raised, deadline_s), isinstance(raised, Broken | HoldfastError)
    seconds = time.perf_counter() - began
    return Result(check.name, check.proves, check.sentence, "failed" if error else "passed", error, broken, seconds)


async def _on(bench: Bench, check: Check, *, deadline_s: float) -> None:
    async with asyncio.timeout(deadline_s):
        try:
            await bench.start()
            if bench.traits.durability != "none" and "reopen" in bench.subject.without:
                raise ValueError(
                    "a kernel that declares durability owes what outlives close: it cannot be without reopen"
                )
            await check.run(bench)
        finally:
            await bench.stop()


def _told(raised: Exception, deadline_s: float) -> str:
    if isinstance(raised, Broken):
        return str(raised)
    if isinstance(raised, TimeoutError) and not raised.args:
        return f"it did not come to an end within {deadline_s:g} s"
    frames = [f for f in traceback.extract_tb(raised.__traceback__) if "/conformance/" not in f.filename]
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(raised).__name__}: {raised}{place}"


async def _emptied(space: str, bench: Bench) -> bool:
    """Drop and sweep all that a check left in a space; whether that worked."""
    everything = Retention(age_us=0, count=0, tombstone_us=0)
    try:
        kernel = await bench.open(space)
        lane = bench.lane()
        for _ in range(1000):
            if not (names := await kernel.scopes(limit=50)):
                break
            outcomes = await kernel.commit(
                [bench.build(ScopeCommit(name, drop=True), at_us=0, id=lane.next()) for name in names]
            )
            if not all(isinstance(outcome, Committed) for outcome in outcomes):
                return False
        for _ in range(1000):
            if not (await kernel.sweep(now_us=2**53 - 1, retention=everything)).more:
                break
        await kernel.close()
    except Exception:  # a kernel that failed a check may well fail here too; the report names the space
        return False
    return True
