"""Which store a command works on, as it was named. Opening it is `store`."""

from __future__ import annotations

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
