"""The tree of commands, and the options that all of them share."""

from __future__ import annotations

from typing import Annotated, ClassVar

import typer

from holdfast.cli.commands import Commands, Entry
from holdfast.cli.failure import Program
from holdfast.cli.state.negative import TakesNegativeNumbers
from holdfast.cli.version import own_version
from holdfast.cli.where import DEFAULT_SPACE, Where

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Main(Program):
    """`holdfast`."""

    table: ClassVar = {
        "demo": Entry("holdfast.cli.demo.command", "demo", "See it work: real files, real kills, four proofs."),
        "sweep": Entry("holdfast.cli.sweep", "sweep", "End sessions whose time is over, remove what nobody can see."),
        "stats": Entry("holdfast.cli.stats", "stats", "Show counts and bytes of the store."),
        "rekey": Entry("holdfast.cli.rekey", "rekey", "Encrypt everything under the active key."),
        "conform": Entry("holdfast.cli.conform", "conform", "Prove on a live store that every guarantee is kept."),
        "doctor": Entry("holdfast.cli.doctor", "doctor", "Say what is wrong with the store, and what to do about it."),
    }


class Sessions(Commands):
    """`holdfast session`."""

    table: ClassVar = {
        "list": Entry("holdfast.cli.session.list", "list_sessions", "List sessions, newest first."),
        "show": Entry("holdfast.cli.session.show", "show_session", "Show a session with what is in it."),
        "tail": Entry("holdfast.cli.session.tail", "tail_session", "Follow its changes as they are committed."),
        "pause": Entry("holdfast.cli.session.move", "pause_session", "Pause one that is active."),
        "resume": Entry("holdfast.cli.session.move", "resume_session", "Let one go on that is paused or timed out."),
        "cancel": Entry("holdfast.cli.session.move", "cancel_session", "End one as given up."),
        "fork": Entry("holdfast.cli.session.fork", "fork_session", "Make a new one with its past."),
        "rm": Entry("holdfast.cli.session.rm", "remove_sessions", "Delete sessions, each with everything in it."),
    }


class States(Commands):
    """`holdfast state`."""

    table: ClassVar = {
        "get": Entry("holdfast.cli.state.get", "get_state", "Show one value, or all of a scope's state."),
        "set": Entry("holdfast.cli.state.set", "set_state", "Store one value.", TakesNegativeNumbers),
        "diff": Entry("holdfast.cli.state.diff", "diff_state", "Show which keys differ between two versions."),
        "history": Entry("holdfast.cli.state.history", "show_history", "Show earlier values of a key, newest first."),
    }


class Runs(Commands):
    """`holdfast run`."""

    table: ClassVar = {
        "list": Entry("holdfast.cli.run.list", "list_runs", "List runs, newest first."),
        "show": Entry("holdfast.cli.run.show", "show_run", "Show a run with its nodes."),
        "nodes": Entry("holdfast.cli.run.show", "show_nodes", "Show how far its nodes came."),
        "tail": Entry("holdfast.cli.run.tail", "tail_run", "Follow one as it goes on."),
        "recover": Entry("holdfast.cli.run.list", "recoverable_runs", "List those that nobody works on."),
        "pause": Entry("holdfast.cli.run.move", "pause_run", "Let nothing of one begin."),
        "resume": Entry("holdfast.cli.run.move", "resume_run", "Let one go on that is paused."),
        "cancel": Entry("holdfast.cli.run.move", "cancel_run", "End one as given up."),
    }


class Variables(Commands):
    """`holdfast var`."""

    table: ClassVar = {
        "list": Entry("holdfast.cli.var.list", "list_variables", "List those that are seen from a scope."),
        "get": Entry("holdfast.cli.var.get", "get_variable", "Show the value of one at the nearest level."),
        "set": Entry("holdfast.cli.var.set", "set_variable", "Set one.", TakesNegativeNumbers),
        "rm": Entry("holdfast.cli.var.rm", "remove_variables", "Remove some of one level."),
    }


class Inbox(Commands):
    """`holdfast inbox`."""

    table: ClassVar = {
        "list": Entry("holdfast.cli.inbox.list", "list_questions", "List the questions that wait for an answer."),
        "show": Entry("holdfast.cli.inbox.show", "show_question", "Show one; exit code 7: it waits for a person."),
        "answer": Entry("holdfast.cli.inbox.answer", "answer_question", "Answer one.", TakesNegativeNumbers),
        "cancel": Entry("holdfast.cli.inbox.withdraw", "cancel_question", "Withdraw one."),
        "reassign": Entry("holdfast.cli.inbox.withdraw", "reassign_question", "Give one to others to answer."),
    }


class Checkpoints(Commands):
    """`holdfast checkpoint`."""

    table: ClassVar = {
        "create": Entry("holdfast.cli.checkpoint.create", "create_checkpoint", "Keep what a scope is now."),
        "list": Entry("holdfast.cli.checkpoint.list", "list_checkpoints", "List those of a scope, newest first."),
        "diff": Entry("holdfast.cli.checkpoint.diff", "diff_checkpoint", "Show what changed since, as JSON Patch."),
        "restore": Entry("holdfast.cli.checkpoint.restore", "restore_checkpoint", "Make the scope what it was."),
        "rm": Entry("holdfast.cli.checkpoint.rm", "remove_checkpoints", "Drop some; others stay whole."),
    }


program = typer.Typer(
    cls=Main,
    no_args_is_help=True,
    context_settings=SETTINGS,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _add_group(commands: type[Commands], name: str, *, short_help: str, help: str) -> None:
    """Commands that belong together: `holdfast NAME COMMAND`."""
    group = typer.Typer(cls=commands, no_args_is_help=True, rich_markup_mode=None)
    program.add_typer(group, name=name, short_help=short_help, help=help)


_add_group(
    Sessions,
    "session",
    short_help="Sessions: list, show, follow, pause, resume, cancel, fork, remove.",
    help="Sessions: list, show, follow, pause, resume, cancel, fork, remove.\n\n"
    "\b\nholdfast -s app.db session list\nholdfast -s app.db session show ID",
)
_add_group(
    States,
    "state",
    short_help="State of any scope: get, set, compare, history.",
    help="State of any scope, written kind/id: session/7f0c, user/ada, agent/helper, global/flags.\n\n"
    "\b\nholdfast -s app.db state get user/ada\nholdfast -s app.db state set user/ada name --text Ada",
)
_add_group(
    Runs,
    "run",
    short_help="Runs of workflows: list, show, follow, recover, pause, resume, cancel.",
    help="Runs of workflows: list, show, follow, recover, pause, resume, cancel.\n\n"
    "\b\nholdfast -s app.db run list --status paused\nholdfast -s app.db run nodes RUN",
)
_add_group(
    Variables,
    "var",
    short_help="Variables: list, get, set, remove.",
    help="Variables of a session, a user, a global namespace or a run: list, get, set, remove.\n\n"
    "\b\nholdfast -s app.db var list session/ID\nholdfast -s app.db var set user/ada city --text Kyoto",
)
_add_group(
    Inbox,
    "inbox",
    short_help="What runs ask people: list, show, answer, withdraw, reassign.",
    help="What runs ask people: list, show, answer, withdraw, reassign.\n\n"
    "\b\nholdfast -s app.db inbox list --assignee bo\nholdfast -s app.db inbox answer ID approved --by bo",
)
_add_group(
    Checkpoints,
    "checkpoint",
    short_help="Checkpoints: take, list, compare, restore, drop.",
    help="Checkpoints of any scope: take, list, compare, restore, drop.\n\n"
    "\b\nholdfast -s app.db checkpoint create session/ID\nholdfast -s app.db checkpoint restore CHECKPOINT",
)


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
    space: Annotated[str, typer.Option("--space", metavar="NAME", help="The space in it.")] = DEFAULT_SPACE,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            envvar="HOLDFAST_CONFIG",
            metavar="FILE",
            help="The configuration, .toml or .json. HOLDFAST_<PART>__<FIELD> in the environment goes before it.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and leave.")
    ] = False,
) -> None:
    """Holdfast: sessions and state for agents and workflows.

    Data goes to stdout (tables on a terminal, JSON lines elsewhere, or as -o says), everything else to stderr.
    Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 conflict, 5 not allowed, 6 unavailable,
    7 waiting for a person, 130 interrupted, 141 the reader of the output has left.

    \b
    holdfast demo
    holdfast -s app.db session list
    holdfast -s app.db state get user/ada
    """
    ctx.obj = Where(store, space, config)
