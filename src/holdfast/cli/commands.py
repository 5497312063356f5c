"""A group of commands of which each is imported when it is asked for, and not before.

What a group lists, and what the shell completes, is a table of names with a line of help each. So `--version` and
`--help` import nothing of Holdfast, and no command pays for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from holdfast.cli.interrupt import LeavingAtOnce


class Entry(NamedTuple):
    """Where a command is, and its line in the list."""

    module: str
    function: str
    help: str
    cls: type[TyperCommand] | None = None


class Commands(TyperGroup):
    """A group with a table of commands."""

    table: ClassVar[Mapping[str, Entry]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        subgroups, self.commands = self.commands, {}
        for name, entry in self.table.items():
            self.add_command(TyperCommand(name, short_help=entry.help))
        self.commands |= subgroups

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is asked for, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and (entry := self.table.get(name)) is not None:
            command = load(name, entry)
        return name, command, rest


def load(name: str, entry: Entry) -> Any:
    """The command itself."""
    with LeavingAtOnce():
        function = getattr(import_module(entry.module), entry.function)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        alone.command(name, cls=entry.cls)(function)
        return typer.main.get_command(alone)
