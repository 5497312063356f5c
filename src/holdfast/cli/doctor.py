"""`holdfast doctor`."""

from __future__ import annotations

import platform
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import msgspec
import typer

from holdfast.cli.failure import exit_code
from holdfast.cli.finding import Finding, Verdict
from holdfast.cli.held import held_sessions
from holdfast.cli.keys_found import examine_keys
from holdfast.cli.output import Format, OutputOption, chosen, note, write_rows, write_text
from holdfast.cli.progress import working
from holdfast.cli.remedies import remedy_of
from holdfast.cli.store import NoStore, file_of, keys, open_place, require, run
from holdfast.cli.store_file import examine_file
from holdfast.cli.version import own_version
from holdfast.cli.where import Where, where
from holdfast.errors import Corrupt, HoldfastError, Unavailable
from holdfast.hold import Holdfast
from holdfast.kernel.commit import Read
from holdfast.kernel.contract import Kernel
from holdfast.kernel.limits import PAGE_BYTES
from holdfast.kernel.writer import Writer
from holdfast.model.config import Config
from holdfast.model.health import Status
from holdfast.opening import discreet_url
from holdfast.operations.health import Probe
from holdfast.system import SystemClock, SystemIds

SCOPES_MAX = 2_000
"""Of so many scopes the whole log is read …"""

RECORDS_MAX = 200_000
"""… as long as there are no more records than this in them."""

TOLD_BEFORE = frozenset(("schema", "sqlite", "driver", "file_bytes"))
"""Figures of the store that stand with the environment and the file."""

VERDICTS: dict[Status, Verdict] = {"healthy": "ok", "degraded": "note", "unhealthy": "problem"}

COLUMNS = ("name", "value", "verdict", "remedy")

REMEDIES = {
    Unavailable: "See that the server runs, and that host and port are those of the URL; then ask again.",
    Corrupt: "Stop writing, keep the file, and restore a backup.",
}
"""Of what elsewhere sends to this command."""


def doctor(ctx: typer.Context, output: OutputOption = None) -> None:
    """Examine the store and where it lives, and say what is wrong and what to do about it.

    Exit code 1 if there is a problem, or that of the error if the store cannot be opened.

    \b
    holdfast -s app.db doctor
    """
    place = where(ctx)
    run(_require(place.url))
    findings = list(_environment())
    with working("examining the store"):
        if (path := file_of(place.url)) is not None and _is_file(path):
            findings += examine_file(path)
        more, failure = run(_examine(place))
    findings += more
    _write(findings, output)
    problems = sum(finding.verdict == "problem" for finding in findings)
    note(f"problems found: {problems}" if problems else "no problem found")
    if failure is not None or problems:
        raise typer.Exit(exit_code(failure) if failure is not None else 1)


async def _require(url: str) -> None:
    """See that there is a store. What keeps one from looking is a finding like others."""
    try:
        await require(url)
    except NoStore:
        raise
    except HoldfastError:
        return


def _write(findings: list[Finding], output: Format | None) -> None:
    """For people a table for each area: fewer columns leave the values room."""
    if chosen(output) is not Format.TABLE:
        return write_rows([finding._asdict() for finding in findings], output)
    for number, area in enumerate(dict.fromkeys(finding.area for finding in findings)):
        write_text(f"\n{area}" if number else area)
        rows = [finding._asdict() for finding in findings if finding.area == area]
        write_rows(rows, output, columns=COLUMNS)


def _is_file(path: Path) -> bool:
    """Whether there is a file to examine; what else it may be, opening it says."""
    try:
        return path.is_file()
    except OSError:
        return False


async def _examine(place: Where) -> tuple[list[Finding], HoldfastError | None]:
    findings: list[Finding] = []
    ring = keys()
    try:
        kernel = await open_place(place, ring, Config())
    except HoldfastError as failure:
        findings.append(_broken("store", "opens", failure))
        return findings, failure
    async with Holdfast.over(kernel) as hold:
        findings += _traits(place, kernel)
        findings += await _health(kernel)
        try:
            now_us = SystemClock().now_us()
            findings += [finding async for finding in examine_keys(kernel.inside, ring, now_us=now_us)]
            findings += [finding async for finding in _contents(hold, kernel)]
        except HoldfastError as failure:
            findings.append(_broken("contents", "reads", failure))
            return findings, failure
    return findings, None


def _environment() -> Iterator[Finding]:
    if (holdfast := own_version()) is not None:
        yield Finding("environment", "holdfast", holdfast)
    else:
        remedy = "Fine in a clone; elsewhere: pip install holdfast."
        yield Finding("environment", "holdfast", "run from source", "note", remedy)
    for name, value in {
        "python": sys.version.split()[0],
        "system": platform.platform(terse=True),
        "apsw": apsw.apsw_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "msgspec": msgspec.__version__,
    }.items():
        yield Finding("environment", name, value)


def _traits(place: Where, kernel: Kernel) -> Iterator[Finding]:
    yield Finding("store", "url", discreet_url(place.url))
    yield Finding("store", "space", kernel.space)
    traits = msgspec.structs.asdict(kernel.traits)
    durability = traits.pop("durability")
    weak = durability in ("none", "process")
    remedy = "An acknowledged commit may be lost with the machine; leave ?durability out where that matters."
    yield Finding("store", "durability", durability, "note" if weak else "ok", remedy if weak else "")
    for name, value in traits.items():
        yield Finding("store", name.replace("_", " "), value)


async def _health(kernel: Kernel) -> list[Finding]:
    """A round trip that leaves nothing behind."""
    writer = Writer(kernel, clock=SystemClock(), ids=SystemIds())
    health = await Probe(kernel, writer, "off").health(version="", writes=False)
    await writer.close()
    findings = [Finding("store", "health", health.status, VERDICTS[health.status], "; ".join(health.details))]
    if health.skew is not None:
        findings.append(Finding("store", "clock ahead ms", round(health.skew * 1000, 1)))
    for name, took_s in health.latency.items():
        findings.append(Finding("store", f"{name} ms", round(took_s * 1000, 3)))
    return findings


async def _contents(hold: Holdfast, kernel: Kernel) -> AsyncIterator[Finding]:
    for name, figure in (await kernel.stats()).items():
        if name not in TOLD_BEFORE and "/" not in name:
            yield Finding("contents", name.replace("_", " "), figure)
    sessions = 0
    async for _ in hold.sessions.iterate():
        sessions += 1
    yield Finding("contents", "sessions", sessions)
    yield Finding("contents", "held sessions", await held_sessions(kernel, scopes_max=SCOPES_MAX))
    scopes, records, whole = await read_logs(kernel)
    part = f"{records:,} records of {scopes:,} scopes are without a gap; more were not read"
    yield Finding("contents", "logs", "all read, without a gap" if whole else part)


async def read_logs(kernel: Kernel) -> tuple[int, int, bool]:
    """Read logs from floor to head: how many scopes and records, and whether that was all. Raises Corrupt for a gap."""
    scopes = records = 0
    after = ""
    while names := await kernel.scopes(after=after, limit=500):
        for name in names:
            if scopes == SCOPES_MAX or records >= RECORDS_MAX:
                return scopes, records, False
            records += await _read_log(kernel, name)
            scopes += 1
        after = names[-1]
    return scopes, records, True


async def _read_log(kernel: Kernel, scope: str) -> int:
    head = (await kernel.read([Read(scope)], now_us=0))[0].head
    after = first = max(head.floor - 1, 0)
    while after < head.seq:
        page = await kernel.log(scope, after=after, bytes_max=PAGE_BYTES)
        for record in page:
            if record.seq != after + 1:
                raise Corrupt(f"the log of {scope} has a gap after {after}", scope=scope, seq=after)
            after = record.seq
        if not page:
            raise Corrupt(f"the log of {scope} ends at {after}, its head is at {head.seq}", scope=scope, seq=after)
    return after - first


def _broken(area: str, name: str, failure: HoldfastError) -> Finding:
    own = None if "remedy" in vars(failure) else REMEDIES.get(type(failure))
    return Finding(area, name, f"[{failure.code}] {failure.args[0]}", "problem", own or remedy_of(failure))
