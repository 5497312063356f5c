"""How a command fails: a message and its remedy on stderr, and an exit code that a script can tell apart.

0 ok    1 failure    2 usage    3 not found    4 conflict    5 not allowed    6 unavailable    130 interrupted
"""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from holdfast import errors
from holdfast.cli.output import printable
from holdfast.errors import HoldfastError

EXIT_CODES: dict[type[HoldfastError], int] = {
    errors.InvalidId: 2,
    errors.InvalidValue: 2,
    errors.TooLarge: 2,
    errors.NotFound: 3,
    errors.Gone: 3,
    errors.AlreadyExists: 4,
    errors.Conflict: 4,
    errors.ReadOnlyStore: 5,
    errors.StoreLocked: 6,
    errors.Unavailable: 6,
}
"""Every other error is a plain failure: 1."""

BROKEN_PIPE = 141
"""What the shell shows for a program that SIGPIPE ended."""


def exit_code(error: HoldfastError) -> int:
    """The exit code that stands for this error."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), 1)


def report(error: HoldfastError) -> None:
    """Tell of an error and its remedy, on stderr."""
    message = str(error.args[0]) if error.args else str(error)
    print(f"error: {printable(message)} [{error.code}]\n       {error.remedy}", file=sys.stderr)


class Program(TyperGroup):
    """The outermost command: turns errors into messages and exit codes, and is quiet when its reader has left."""

    def invoke(self, ctx: Any) -> Any:
        """Run what was asked for."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except HoldfastError as error:
            report(error)
            raise typer.Exit(exit_code(error)) from error
        except BrokenPipeError as gone:
            _close_stdout()
            raise typer.Exit(BROKEN_PIPE) from gone
        return result


def _close_stdout() -> None:
    """Let what is still buffered go nowhere, or the interpreter would complain of it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
