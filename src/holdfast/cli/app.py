"""The tree of commands, and the options that all of them share."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli.conform import conform
from holdfast.cli.demo.command import demo
from holdfast.cli.doctor import doctor
from holdfast.cli.failure import Program
from holdfast.cli.session.list import list_sessions
from holdfast.cli.session.rm import remove_sessions
from holdfast.cli.session.show import show_session
from holdfast.cli.session.tail import tail_session
from holdfast.cli.state.diff import diff_state
from holdfast.cli.state.get import get_state
from holdfast.cli.state.history import show_history
from holdfast.cli.state.negative import TakesNegativeNumbers
from holdfast.cli.state.set import set_state
from holdfast.cli.stats import stats
from holdfast.cli.store import Where
from holdfast.cli.version import own_version

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

program = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    context_settings=SETTINGS,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
session = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Sessions: list, show, follow, remove.")
state = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="State of any scope, written kind/id: session/7f0c, user/ada, agent/helper, global/flags.",
)
program.add_typer(session, name="session")
program.add_typer(state, name="state")

program.command()(demo)
program.command()(stats)
program.command()(conform)
program.command()(doctor)
session.command("list")(list_sessions)
session.command("show")(show_session)
session.command("tail")(tail_session)
session.command("rm")(remove_sessions)
state.command("get")(get_state)
state.command("set", cls=TakesNegativeNumbers)(set_state)
state.command("diff")(diff_state)
state.command("history")(show_history)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"holdfast {own_version() or '(run from source)'}")
        raise typer.Exit


@program.callback()
def options(
    ctx: typer.Context,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            "-s",
            envvar="HOLDFAST_URL",
            metavar="URL",
            help="The store: a URL, or the path of a file. `demo` does not use HOLDFAST_URL.",
        ),
    ] = None,
    space: Annotated[str, typer.Option("--space", metavar="NAME", help="The space in it.")] = "default",
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and leave.")
    ] = False,
) -> None:
    """Holdfast: sessions and state for agents and workflows.

    Data goes to stdout (tables on a terminal, JSON lines elsewhere, or as -o says), everything else to stderr.
    Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 conflict, 5 not allowed, 6 unavailable, 130 interrupted.

    Try it: holdfast demo
    """
    ctx.obj = Where(store, space)
