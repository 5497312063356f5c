"""`holdfast conform`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from holdfast.cli.output import OutputOption, note, write_rows
from holdfast.cli.store import file_of, keys, open_place, run
from holdfast.cli.where import Where, to_url, where
from holdfast.kernel.commit import Commit, Retention, ScopeCommit
from holdfast.kernel.contract import Kernel
from holdfast.kernel.writer import Writer
from holdfast.model.config import Config
from holdfast.opening import SERVERS, open_kernel, parse_url
from holdfast.system import SystemClock, SystemIds
from holdfast.testing import GUARANTEES, Report, Result, Subject
from holdfast.testing import conform as run_kit
from holdfast.testing.conformance.run import select
from holdfast.wrappers.ring import SCOPE

COLUMNS = ("guarantee", "name", "result", "checks", "seconds", "promise")


def conform(
    ctx: typer.Context,
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]", help="The store, where it is not named before the command.", show_default=False
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this guarantee (G5), check, or group of checks. May be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Repeat a run that printed this seed.")] = None,
    output: OutputOption = None,
) -> None:
    """Prove on a live store that its backend keeps every guarantee; with HOLDFAST_KEYS, that it does so encrypted.

    Works in spaces of its own with random names and removes them; what is in the store is not touched. A file that was
    not there before is gone afterwards. Exit code 1 if a guarantee is not kept.

    \b
    holdfast -s app.db conform
    holdfast conform memory:// --only G5 -o json
    """
    url = _chosen_store(ctx, url)
    ring = keys()
    try:
        checks, _ = select(only or [])
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="--only") from problem
    path = file_of(url)
    is_new = path is not None and not path.exists()

    run(_reach(url))
    used: set[str] = set()

    async def open_space(space: str) -> Kernel:
        if ring is None:
            return await open_kernel(url, space=space)
        used.add(space)
        return await open_place(Where(url, space), ring, Config())

    # A memory store is gone when it is closed, and each opening makes another.
    is_kept = path is not None or parse_url(url).scheme in SERVERS
    subject = Subject(open_space, frozenset() if is_kept else frozenset(("second", "reopen")))
    try:
        report = run(_run(subject, only or [], seed, total=len(checks)))
        if is_kept and used:
            run(_forget_rings(url, used))
    finally:
        if is_new and path is not None:
            _remove(path)
    rows = [_row(report, *guarantee) for guarantee in GUARANTEES if guarantee.number in report.wanted]
    write_rows(rows, output, columns=COLUMNS)
    _tell(report)
    if not report.passed:
        raise typer.Exit(1)


async def _reach(url: str) -> None:
    """Raise the one error that every check would fail with, where the store cannot be opened at all."""
    kernel = await open_kernel(url, space="default")
    await kernel.close()


def _chosen_store(ctx: typer.Context, own: str | None) -> str:
    """The store of the argument, or that of every other command. Naming two on the command line is wrong usage."""
    if own is None:
        return where(ctx).url
    source = ctx.find_root().get_parameter_source("store")
    before = where(ctx).store if source is not None and source.name == "COMMANDLINE" else None
    if before and to_url(own) != to_url(before):
        raise typer.BadParameter(f"two stores are named, {before} and {own}: name one", param_hint="URL")
    return to_url(own)


async def _forget_rings(url: str, spaces: set[str]) -> None:
    """Remove what encrypted spaces say of their keys, which no verb of an encrypted kernel shows or drops."""
    everything = Retention(age_us=0, count=0, tombstone_us=0)
    for space in spaces:
        kernel = await open_kernel(url, space=space)
        writer = Writer(kernel, clock=SystemClock(), ids=SystemIds())
        await writer.commit(Commit((ScopeCommit(SCOPE, drop=True),), writer.clock.now_us()))
        while (await kernel.sweep(now_us=2**53 - 1, retention=everything)).more:
            pass
        await writer.close()
        await kernel.close()


async def _run(subject: Subject, only: list[str], seed: int | None, *, total: int) -> Report:
    if not sys.stderr.isatty():
        return await run_kit(subject, only=only, seed=seed, clean=True)
    ended = 0
    with Console(stderr=True).status("") as status:

        def show(result: Result) -> None:
            nonlocal ended
            ended += 1
            status.update(f"{ended} of {total} checks: {result.check}")

        return await run_kit(subject, only=only, seed=seed, clean=True, done=show)


def _row(report: Report, number: str, name: str, promise: str) -> dict[str, Any]:
    results = report.of(number)
    failed = [result.check for result in results if result.ended == "failed"]
    passed = sum(result.ended == "passed" for result in results)
    return {
        "guarantee": number,
        "name": name,
        "result": "FAILED" if failed else "kept" if passed else "not proved",
        "checks": f"{passed} of {len(results)}",
        "failed": failed,
        "seconds": round(sum(result.seconds for result in results), 3),
        "promise": promise,
    }


def _tell(report: Report) -> None:
    """What failed and what was left out, and how to repeat it."""
    for result in report.failed:
        note(f"failed: {result.check}: {result.sentence}")
        for line in result.error.splitlines():
            note(f"        {line}")
    for space in report.left:
        note(f"the space {space} could not be emptied")
    if report.not_owed:
        note(f"{len(report.not_owed)} checks were left out: a memory store cannot be opened twice")
    passed = sum(result.ended == "passed" for result in report.results)
    note(f"{passed} of {len(report.results)} checks passed; seed {report.seed}")


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-lock"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
