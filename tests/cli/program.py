"""Running `holdfast` as its users do: as a process, and in this one through typer's runner."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from holdfast.cli.app import program

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
DEADLINE_S = 100


class Ended(NamedTuple):
    """How a run ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[Any]:
        """What it printed, one JSON document to the line."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: these sources, and no store that is named by accident."""
    kept = {name: value for name, value in os.environ.items() if name != "HOLDFAST_URL"}
    return kept | {"PYTHONPATH": str(SRC), "NO_COLOR": "1"} | more


def start(*args: str | bytes, cwd: Path | None = None, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """A process of `holdfast`, with pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "holdfast.cli", *args],
        cwd=cwd,
        env=environment(**env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def execute(*args: str | bytes, cwd: Path | None = None, env: dict[str, str] | None = None) -> Ended:
    """Run `holdfast` as a process to its end."""
    with start(*args, cwd=cwd, env=env) as process:
        out, err = process.communicate(timeout=DEADLINE_S)
    return Ended(process.returncode, out, err)


def invoke(*args: str, stdin: str | None = None, url: str | None = None) -> Ended:
    """Run `holdfast` in this process, its output being no terminal; `url` is what HOLDFAST_URL says."""
    result = CliRunner(env={"HOLDFAST_URL": url}).invoke(program, args, input=stdin, prog_name="holdfast")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)
