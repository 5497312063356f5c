"""Which store a command works on, as it was named. Opening it is `store`."""

from __future__ import annotations

import shlex
from typing import NamedTuple
from urllib.parse import quote

import typer

DEFAULT_SPACE = "default"


class Where(NamedTuple):
    """What was named with --store (or HOLDFAST_URL), --space and --config (or HOLDFAST_CONFIG)."""

    store: str | None
    space: str
    config: str | None = None

    @property
    def url(self) -> str:
        """The store's URL. A usage error if none was named."""
        if not self.store:
            raise typer.BadParameter(
                "no store was named: put --store app.db (or a URL such as sqlite:///app.db) before the command, "
                "or set HOLDFAST_URL"
            )
        return to_url(self.store)


def to_url(store: str) -> str:
    """The URL of a store that is named by a URL or by a file's path."""
    if "://" in store:
        return store
    return "sqlite:///" + quote(store)


def where(ctx: typer.Context) -> Where:
    """What the global options named."""
    found = ctx.obj
    assert isinstance(found, Where)
    return found


def command_line(ctx: typer.Context, *words: str) -> str:
    """A command on the same store as it is to be typed, quoted for the shell. A password in the URL is left out."""
    # Imported here: it needs what keeps stores, and --help does not.
    from holdfast.opening import discreet_url

    top = ctx.find_root()
    line = ["holdfast"]
    for option, name in (("-s", "store"), ("--space", "space"), ("--config", "config")):
        source = top.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            given = str(top.params[name])
            line += [option, discreet_url(given) if "://" in given else given]
    return shlex.join([*line, *words])
