"""Which store a command works on, and opening it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import typer

from holdfast.errors import NotFound
from holdfast.hold import Holdfast
from holdfast.opening import parse_url

T = TypeVar("T")


class NoStore(NotFound):
    """A command that only reads was given a store that is not there."""

    remedy = "Check the path. Whatever writes first makes a store: `Holdfast.open`, `holdfast state set`."


class Where(NamedTuple):
    """What was named with --store (or HOLDFAST_URL) and --space."""

    store: str | None
    space: str

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


def file_of(url: str) -> Path | None:
    """The file in which a store is kept; None if it is kept elsewhere."""
    address = parse_url(url)
    return Path(address.path[1:]) if address.scheme == "sqlite" else None


def where(ctx: typer.Context) -> Where:
    """What the global options named."""
    found = ctx.obj
    assert isinstance(found, Where)
    return found


@asynccontextmanager
async def opened(ctx: typer.Context, *, make: bool = False) -> AsyncIterator[Holdfast]:
    """The store a command works on. Only with `make` is a missing file made; else it is NotFound."""
    place = where(ctx)
    if not make:
        await asyncio.to_thread(require, place.url)
    async with Holdfast.open(place.url, space=place.space) as hold:
        yield hold


def require(url: str) -> None:
    """Raise NotFound if the store's file does not exist: a command that reads makes no store."""
    path = file_of(url)
    if path is not None and not path.exists():
        raise NoStore(f"there is no store at {path}", path=str(path))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do a command's work. Ctrl-C cancels it, and it ends as every cancelled task does."""
    return asyncio.run(work)
