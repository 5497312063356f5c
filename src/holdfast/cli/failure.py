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
from holdfast.errors import HoldfastError

EXIT_CODES: dict[type[HoldfastError], int] = {
    errors.InvalidId: 2,
    errors.InvalidValue: 2,
    errors.TooLarge: 2,
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

REMEDIES: dict[type[HoldfastError], str] = {
    errors.InvalidValue: "See the command's --help.",
    errors.TooLarge: "Split it into several keys.",
    errors.WrongKey: "Set HOLDFAST_KEYS to the keys of those ids, as id=BASE64 with commas between them, and "
    "HOLDFAST_KEY_ACTIVE to the id of the one to encrypt with.",
    errors.NotFound: "Check the id with `holdfast session list`; it may have been deleted.",
    errors.AlreadyExists: "Choose another id.",
    errors.AlreadyAnswered: "`holdfast inbox show ID` shows the answer that it has.",
    errors.NotAssignee: "Say who answers: --by one of its assignees.",
    errors.InteractionExpired: "`holdfast inbox show ID` shows what counted as the answer.",
    errors.InteractionCancelled: "`holdfast inbox list` shows those that wait.",
    errors.Conflict: "Read it again with `holdfast state get` and repeat.",
    errors.Gone: "See what exists now with `holdfast session list`.",
    errors.Compacted: "See what is there now with `holdfast session show`, and go on from its version or from now.",
    errors.Diverged: "See what is there now with `holdfast session show`, and go on from its version or from now.",
}
"""What to do at a command line, where the remedy of the class speaks of calls."""

REMEDIES_BY_OPTION: dict[str, str] = {
    "after": "Give a version, the cursor of a change as `tail` prints it, beginning, or now.",
    "cursor": "Give what an earlier list of the same order named at its end, in quotes.",
    "kinds": "Name one of those; for several, give --kind more than once.",
}
"""Of an InvalidValue, by what it is about: of options whose values this program prints itself."""

NAMED_BY = "A store is named by the path of a file, such as app.db, or by a URL, such as sqlite:///app.db."

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
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), 1)


def remedy_of(error: HoldfastError) -> str:
    """What to do about this error at a command line. A remedy of this very occurrence stands as it is,
    but for that of an option."""
    if error.remedy == errors.STORABLE:
        return "A stored value is JSON: finite numbers, integers of 64 bits."
    about = error.facts.get("path") if isinstance(error, errors.InvalidValue) else None
    if about in REMEDIES_BY_OPTION:
        return REMEDIES_BY_OPTION[about]
    if "remedy" in vars(error):
        return error.remedy
    if about == "url":
        return NAMED_BY
    return REMEDIES.get(type(error), error.remedy)


def message_of(error: HoldfastError) -> str:
    """What happened, in words of the command line. On it there are no handles: what is not there is just not there."""
    if type(error) is errors.NotFound and set(error.facts) == {"scope"}:
        kind, _, id = str(error.scope).partition("/")
        return f"{kind} {id!r} does not exist"
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
