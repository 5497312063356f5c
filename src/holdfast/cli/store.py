"""Opening the store that a command works on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import typer

from holdfast.cli.output import note
from holdfast.cli.where import DEFAULT_SPACE, Where, where
from holdfast.errors import InvalidValue, NotFound
from holdfast.hold import Holdfast
from holdfast.kernel.contract import Kernel
from holdfast.model.config import Config
from holdfast.model.keyring import KeyRing
from holdfast.opening import discreet_url, is_there, open_framed, parse_url
from holdfast.system import SystemClock, SystemIds, default_keys, random_bytes
from holdfast.wrappers.framing import Framing

T = TypeVar("T")


class NoStore(NotFound):
    """A command that only reads was given a store that is not there."""

    remedy = "Check the path. Whatever writes first makes a store: `Holdfast.open`, `holdfast state set`."


def file_of(url: str) -> Path | None:
    """The file in which a store is kept; None if it is kept elsewhere."""
    address = parse_url(url)
    return Path(address.path[1:]) if address.scheme == "sqlite" else None


NAME_A_FILE = "Name a file that is kept, such as -s app.db."

NO_SCHEMA = (
    "Check the database, and the schema of the URL (?schema=NAME; holdfast without it). Whatever writes first makes a "
    "store: `Holdfast.open`, `holdfast state set`."
)


@asynccontextmanager
async def opened(ctx: typer.Context, *, make: bool = False, strict: bool = True) -> AsyncIterator[Holdfast]:
    """The store a command works on. Only with `make` is a missing file made; else it is NotFound.

    A space without anything in it may be a name that was mistyped, so a note on stderr says so. Raises InvalidValue for
    a store in memory, from which no other command could read.
    """
    place = where(ctx)
    if parse_url(place.url).scheme == "memory":
        raise InvalidValue("a store in memory ends with this command", remedy=NAME_A_FILE, path="url")
    if not make:
        await require(place.url)
    config = await asyncio.to_thread(configured, place.config)
    kernel = await open_place(place, keys(strict=strict), config)
    async with Holdfast.over(kernel, config=config) as hold:
        await _tell_if_empty(kernel, make=make)
        yield hold


async def open_place(place: Where, ring: KeyRing | None, config: Config) -> Framing:
    """The kernel of that space, encrypted if there are keys."""
    return await open_framed(
        place.url,
        ring,
        space=place.space,
        config=config,
        clock=SystemClock(),
        ids=SystemIds(),
        entropy=random_bytes,
    )


async def _tell_if_empty(kernel: Kernel, *, make: bool) -> None:
    """Say that there is nothing in a space; of what is about to be written only where the space was named."""
    if (make and kernel.space == DEFAULT_SPACE) or await kernel.scopes(after="", limit=1):
        return
    note(f"the space {kernel.space!r} is new" if make else f"there is nothing in the space {kernel.space!r}")


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
        is_empty = await asyncio.to_thread(path.exists)
        raise NoStore(f"{path} is an empty file" if is_empty else f"there is no store at {path}", path=str(path))
    shown = discreet_url(url)
    raise NoStore(f"there is no store at {shown}", remedy=NO_SCHEMA, url=shown)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do a command's work. Ctrl-C cancels it, and it ends as every cancelled task does."""
    return asyncio.run(work)
