"""How a command fails: a message and its remedy on stderr, and an exit code that a script can tell apart.

0 ok    1 failure    2 usage    3 not found    4 conflict    5 not allowed    6 unavailable    7 waiting for a person
130 interrupted    141 the reader of the output has left
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import typer

from holdfast import errors
from holdfast.cli.commands import Commands
from holdfast.cli.printable import printable
from holdfast.cli.remedies import remedy_of
from holdfast.errors import HoldfastError
from holdfast.model.status import SessionStatus

EXIT_CODES: dict[type[HoldfastError], int] = {
    errors.InvalidId: 2,
    errors.InvalidValue: 2,
    errors.TooLarge: 2,
    errors.TypeMismatch: 2,
    errors.NotFound: 3,
    errors.Gone: 3,
    errors.AlreadyExists: 4,
    errors.Busy: 4,
    errors.Conflict: 4,
    errors.InvalidTransition: 4,
    errors.AlreadyAnswered: 4,
    errors.InteractionExpired: 4,
    errors.InteractionCancelled: 4,
    errors.NotAssignee: 5,
    errors.ReadOnlyStore: 5,
    errors.WrongKey: 5,
    errors.StoreLocked: 6,
    errors.Unavailable: 6,
}
"""Every other error is a plain failure: 1."""

USAGE: type[Exception] = typer.BadParameter.__mro__[1]
"""What every mistake in the arguments is; typer does not give it a public name."""

STORE_OPTIONS = ("-s", "--store", "--space")

LOOKS_LIKE_A_STORE = re.compile(r"unexpected extra argument.*\(([^ ()]*(?:://|\.db|\.sqlite)[^ ()]*)")

BROKEN_PIPE = 141
"""What the shell shows for a program that SIGPIPE ended."""


def exit_code(error: HoldfastError) -> int:
    """The exit code that stands for this error."""
    if error.facts.get("foreign"):  # no store was damaged: a file was named that is none
        return 2
    found = next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), 1)
    return 5 if found == 1 and isinstance(error, PermissionError) else found


def message_of(error: HoldfastError) -> str:
    """What happened, in words of the command line. On it there are no handles: what is not there is just not there."""
    if type(error) is errors.NotFound and set(error.facts) == {"scope"}:
        kind, _, id = str(error.scope).partition("/")
        return f"{kind} {id!r} does not exist"
    if isinstance(error, errors.InvalidTransition) and SessionStatus.CLEANUP in error.facts.get("allowed", ()):
        moves = ", ".join(move for move in error.allowed if move is not SessionStatus.CLEANUP)
        return f"a session that is {error.status} cannot become {error.to}; it may become {moves or 'nothing else'}"
    return str(error.args[0]) if error.args else str(error)


def report(error: HoldfastError) -> None:
    """Tell of an error and its remedy, on stderr."""
    print(
        f"error: {printable(message_of(error))} [{error.code}]\n       {printable(remedy_of(error))}", file=sys.stderr
    )


def explain(error: Any) -> None:
    """Say a mistake in the arguments in plain words, and where a store that was named in the wrong place belongs."""
    message = str(error.message).replace("Value error, ", "").replace("Input should be", "it must be")
    message = re.sub(r", (unable to parse|unable to interpret|input is) .*", "", message)
    message = re.sub(r"it must be a valid datetime.*", "a time is written 2026-11-01 or 2026-11-01T09:30", message)
    message = _where_it_is(message, error.ctx)
    option = getattr(error, "option_name", None)
    argument = LOOKS_LIKE_A_STORE.search(message)
    if option in STORE_OPTIONS or argument:
        named = option if option in STORE_OPTIONS else "-s"
        example = argument[1] if argument else "NAME" if named == "--space" else "app.db"
        message += f"\nPut {named} before the command: holdfast {named} {example} {_path(error.ctx)}"
    error.message = message


def _where_it_is(message: str, ctx: Any) -> str:
    """The message, and the group in which a command is that was looked for at the top."""
    wanted = re.search(r"No such command '([a-z]+)'", message)
    if wanted is None or ctx is None:
        return message
    groups = [name for name, group in ctx.command.commands.items() if wanted[1] in getattr(group, "table", ())]
    return message + "".join(f"\nDid you mean: holdfast {group} {wanted[1]} …" for group in groups)


def _path(ctx: Any) -> str:
    """The command as it is written after `holdfast`."""
    names: list[str] = []
    while ctx is not None and ctx.parent is not None:
        names.insert(0, ctx.info_name)
        ctx = ctx.parent
    return " ".join([*names, "…"])


class Program(Commands):
    """The outermost command: turns errors into messages and exit codes, and is quiet when its reader has left."""

    def invoke(self, ctx: Any) -> Any:
        """Run what was asked for."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except HoldfastError as error:
            report(error)
            raise typer.Exit(exit_code(error)) from error
        except USAGE as error:
            explain(error)
            raise
        except BrokenPipeError as gone:
            _close_stdout()
            raise typer.Exit(BROKEN_PIPE) from gone
        return result


def _close_stdout() -> None:
    """Let what is still buffered go nowhere, or the interpreter would complain of it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
