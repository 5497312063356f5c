"""`holdfast conform`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from holdfast.cli.output import OutputOption, note, write_rows
from holdfast.cli.store import file_of, run
from holdfast.cli.where import to_url
from holdfast.kernel.contract import Kernel
from holdfast.opening import SERVERS, open_kernel, parse_url
from holdfast.testing import GUARANTEES, Report, Result, Subject
from holdfast.testing import conform as run_kit
from holdfast.testing.conformance.run import select

COLUMNS = ("guarantee", "name", "result", "checks", "seconds", "promise")


def conform(
    url: Annotated[str, typer.Argument(metavar="URL", help="The store: a URL, or the path of a file.")],
    only: Annotated[
        list[str] | None, typer.Option(help="Only this guarantee (G5), check, or group of checks. May be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Repeat a run that printed this seed.")] = None,
    output: OutputOption = None,
) -> None:
    """Prove on a live store that its backend keeps every guarantee.

    Works in spaces of its own with random names and removes them; what is in the store is not touched. A file that was
    not there before is gone afterwards. Exit code 1 if a guarantee is not kept.

    \b
    holdfast conform sqlite:///app.db
    holdfast conform memory:// --only G5 -o json
    """
    url = to_url(url)
    try:
        checks, _ = select(only or [])
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="--only") from problem
    path = file_of(url)
    is_new = path is not None and not path.exists()

    async def open_space(space: str) -> Kernel:
        return await open_kernel(url, space=space)

    # A memory store is gone when it is closed, and each opening makes another.
    is_kept = path is not None or parse_url(url).scheme in SERVERS
    subject = Subject(open_space, frozenset() if is_kept else frozenset(("second", "reopen")))
    try:
        report = run(_run(subject, only or [], seed, total=len(checks)))
    finally:
        if is_new and path is not None:
            _remove(path)
    rows = [_row(report, *guarantee) for guarantee in GUARANTEES if guarantee.number in report.wanted]
    write_rows(rows, output, columns=COLUMNS)
    _tell(report)
    if not report.passed:
        raise typer.Exit(1)


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
