"""Opening the store that a command works on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import typer

from holdfast.cli.where import where
from holdfast.errors import InvalidValue, NotFound
from holdfast.hold import Holdfast
from holdfast.model.config import Config
from holdfast.model.keyring import KeyRing
from holdfast.opening import discreet_url, is_there, parse_url
from holdfast.system import default_keys

T = TypeVar("T")


class NoStore(NotFound):
    """A command that only reads was given a store that is not there."""

    remedy = "Check the path. Whatever writes first makes a store: `Holdfast.open`, `holdfast state set`."


def file_of(url: str) -> Path | None:
    """The file in which a store is kept; None if it is kept elsewhere."""
    address = parse_url(url)
    return Path(address.path[1:]) if address.scheme == "sqlite" else None


NO_SCHEMA = (
    "Check the database, and the schema of the URL (?schema=NAME; holdfast without it). Whatever writes first makes a "
    "store: `Holdfast.open`, `holdfast state set`."
)


@asynccontextmanager
async def opened(ctx: typer.Context, *, make: bool = False, strict: bool = True) -> AsyncIterator[Holdfast]:
    """The store a command works on. Only with `make` is a missing file made; else it is NotFound."""
    place = where(ctx)
    if not make:
        await require(place.url)
    config = await asyncio.to_thread(configured, place.config)
    ring = keys(strict=strict)
    async with Holdfast.open(place.url, space=place.space, config=config, keys=ring, background=False) as hold:
        yield hold


def configured(path: str | None) -> Config:
    """The configuration from the environment and the file that was named. Raises NotFound if that is not there."""
    try:
        return Config.load(path)
    except FileNotFoundError as problem:
        remedy = "Check the path in --config or HOLDFAST_CONFIG."
        raise NotFound(f"there is no file {path}", remedy=remedy, path=path) from problem
    except InvalidValue as problem:
        problem.remedy = "Correct it there; every setting is in docs/reference/config.md."
        raise


def keys(*, strict: bool = True) -> KeyRing | None:
    """The ring that the environment describes, if it does: HOLDFAST_KEYS="2026-11=BASE64,…", HOLDFAST_KEY_ACTIVE."""
    found = default_keys()
    if found is None:
        return None
    text, active = found
    return KeyRing.parse(text, active=active, strict=strict)


async def require(url: str) -> None:
    """Raise NotFound if there is no store: a command that reads makes none."""
    if await is_there(url):
        return
    path = file_of(url)
    if path is not None:
        raise NoStore(f"there is no store at {path}", path=str(path))
    shown = discreet_url(url)
    raise NoStore(f"there is no store at {shown}", remedy=NO_SCHEMA, url=shown)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do a command's work. Ctrl-C cancels it, and it ends as every cancelled task does."""
    return asyncio.run(work)
