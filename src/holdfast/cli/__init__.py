"""The command line: one command, one file. `holdfast --help` lists them.

Needs the extra `cli` (typer and rich); without it `main` says how to get it.
"""

from __future__ import annotations

import sys

from holdfast.cli.interrupt import INTERRUPTED, LeavingAtOnce, leave_the_rest_to_the_system

NEEDS = frozenset(("typer", "rich", "click", "shellingham"))
"""What the extra brings."""


def main() -> None:
    """The entry point of `holdfast`. Ends the process with the exit code of the command."""
    with LeavingAtOnce():
        try:
            from holdfast.cli.app import program
        except ImportError as problem:
            if (problem.name or "").partition(".")[0] not in NEEDS:
                raise
            print(
                f"error: the command line needs {problem.name}, which is not installed [missing_extra]\n"
                '       Install it with: pip install "holdfast[cli]"',
                file=sys.stderr,
            )
            sys.exit(1)
    try:
        program(prog_name="holdfast")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        leave_the_rest_to_the_system()
