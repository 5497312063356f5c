"""`python -m benchmarks`: what Holdfast is held to, measured beside hand-written code in the same run.

Nothing here passes or fails. A goal is *met* or *not met* only when the whole 95 % interval of the median says so,
and *undecided* otherwise. Everything takes about half an hour, most of it for the million sessions; name what you
want to see, or take fewer rounds. `benchmarks.reference_sqlite` and `benchmarks.sqlite_shapes` are run by themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import apsw

from benchmarks import (
    blocking,
    cached_get,
    checkpoint,
    encryption,
    follow,
    interactions,
    langgraph_put,
    memory_size,
    percentiles,
    postgres_set,
    runs,
    runtime,
    session_length,
    session_stats,
    sessions_scale,
    state_get,
    state_set,
    templates,
    turn,
    workflow_tails,
)
from benchmarks.effort import QUICK, Effort
from benchmarks.finding import Finding, show
from benchmarks.pace import pace

BENCHMARKS = {
    "blocking": blocking,
    "state_set": state_set,
    "state_get": state_get,
    "cached_get": cached_get,
    "checkpoint": checkpoint,
    "sessions_scale": sessions_scale,
    "encryption": encryption,
    "follow": follow,
    "interactions": interactions,
    "langgraph_put": langgraph_put,
    "memory_size": memory_size,
    "percentiles": percentiles,
    "postgres_set": postgres_set,
    "runs": runs,
    "runtime": runtime,
    "templates": templates,
    "turn": turn,
    "workflow_tails": workflow_tails,
    "session_length": session_length,
    "session_stats": session_stats,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run what was named, print a table after each and the summary of the goals at the end."""
    asked = _parser().parse_args(argv)
    effort = _effort(asked)
    print(machine())
    found: dict[str, list[Finding]] = {}
    for name in asked.names or BENCHMARKS:
        print(f"\n{name}: {(BENCHMARKS[name].__doc__ or '').partition(chr(10))[0]}", flush=True)
        begun, before = time.perf_counter(), pace()
        found[name] = BENCHMARKS[name].measure(effort)
        took_s, after = time.perf_counter() - begun, pace()
        show(found[name], title=f"{name}, {took_s:,.0f} s, Python at {before:.2f} to {after:.2f} of its pace")
    goals = [finding for findings in found.values() for finding in findings if str(finding.goal)]
    print()
    show(goals, title=f"Goals: {counted(goals)}")
    if asked.json is not None:
        write_json(asked.json, found)


def machine() -> str:
    """Where the figures come from."""
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"SQLite {apsw.sqlite_lib_version()}, apsw {apsw.apsw_version()}"
    )


def counted(goals: Sequence[Finding]) -> str:
    """How many of them are met, not met and undecided."""
    verdicts = [finding.verdict for finding in goals]
    return (
        f"{verdicts.count('goal met')} met, {verdicts.count('goal not met')} not met, "
        f"{verdicts.count('undecided')} undecided"
    )


def write_json(path: Path, found: dict[str, list[Finding]]) -> None:
    """Everything found, with the machine."""
    document = {"machine": machine(), "findings": {name: [asdict(f) for f in many] for name, many in found.items()}}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="see that everything runs; the figures say nothing")
    parser.add_argument("--rounds", type=int, help=f"rounds of each alternation ({Effort.rounds})")
    parser.add_argument("--run-s", type=float, help=f"seconds of each run of a closed loop ({Effort.run_s})")
    parser.add_argument("--sessions", type=int, help=f"sessions in the large store ({Effort.sessions:,})")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    return parser


def _effort(asked: argparse.Namespace) -> Effort:
    given = {name: getattr(asked, name) for name in ("rounds", "run_s", "sessions") if getattr(asked, name) is not None}
    return replace(QUICK if asked.quick else Effort(), **given)


if __name__ == "__main__":
    main()
