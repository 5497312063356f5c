"""URLs to kernels: the only module that picks a backend."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from holdfast.errors import InvalidValue, MissingExtra, shown
from holdfast.kernel.contract import Clock, Ids, Kernel
from holdfast.kernel.keys import check_name
from holdfast.model.config import Config
from holdfast.model.keyring import KeyRing
from holdfast.wrappers.framing import Framing, all_but
from holdfast.wrappers.ring import refuse_sealed

if TYPE_CHECKING:
    from holdfast.backends.postgres import Settings

SERVERS = frozenset({"postgresql"})
"""Schemes whose URLs name a host, and a role with a password before it."""

_DRIVERS_OPTIONS = (
    *("host", "port", "user", "password", "database", "passfile", "service", "servicefile"),
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "ssl_min_protocol_version"),
    *("ssl_max_protocol_version", "target_session_attrs", "krbsrvname", "gsslib"),
)
"""What a URL may say to PostgreSQL's driver, as libpq knows it."""


class Address(NamedTuple):
    """A store's URL, taken apart."""

    url: str
    scheme: str
    path: str
    options: Mapping[str, str]


def parse_url(url: object) -> Address:
    """Take a URL apart. Raises InvalidValue for an unknown scheme (naming the known ones) or a malformed one."""
    if not isinstance(url, str):
        hint = "; write sqlite:/// and the path" if isinstance(url, os.PathLike) else ""
        raise TypeError(f"a URL is text, not {shown(url)}{hint}")
    try:
        parts = urlsplit(url)
    except ValueError as problem:
        raise InvalidValue(f"{_told(url)} is not a URL: {problem}", path="url") from problem
    if parts.scheme not in _OPENERS:
        known = ", ".join(f"{scheme}://" for scheme in _OPENERS)
        hint = f"; for a file write {_told(f'sqlite:///{url}')}" if "://" not in url and url else ""
        if parts.scheme == "postgres":
            hint = "; write postgresql:// for postgres://"
        raise InvalidValue(f"{_told(url)} names no store that is known; URLs begin with {known}{hint}", path="url")
    if parts.netloc and parts.scheme not in SERVERS:
        host = parts.netloc.rpartition("@")[2]
        example = f"{parts.scheme}:///{host}{parts.path}" if parts.scheme != "memory" else "memory://"
        raise InvalidValue(f"{_told(url)} has a host part; did you mean {_told(example)}?", path="url")
    if parts.scheme in SERVERS:
        _check_port(url, parts)
    if parts.fragment or url.endswith("#"):
        raise InvalidValue(f"{_told(url)} has a fragment; write a # in a path as %23", path="url")
    return Address(url, parts.scheme, unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True)))


def _check_port(url: str, parts: SplitResult) -> None:
    try:
        _ = parts.port
    except ValueError:  # what it says may be a piece of the password
        raise InvalidValue(
            f"{_told(url)} is not a URL: what follows the host's colon is no port; write /, ?, # and @ in a name or "
            "password as %2F, %3F, %23 and %40",
            path="url",
        ) from None


def discreet_url(url: str) -> str:
    """A URL for people: without the name and the password that one for a server may have, before its host or after."""
    url = re.sub(r"(?s)://(?!/).*@", "://…@", url)
    return re.sub(r"(?i)([?&](?:user|password|sslpassword)=)[^&]*", r"\1…", url)


def told_url(url: str) -> str:
    """The same without any option."""
    return discreet_url(url).partition("?")[0]


def _told(url: str) -> str:
    """A URL as an error shows it."""
    return shown(discreet_url(url))


async def open_kernel(url: str, *, space: str) -> Kernel:
    """Open one space of the store at `url`, made when missing.

    Raises InvalidValue for a URL or option that is not known, InvalidId for the space, and what the backend's own
    opening raises.
    """
    address = parse_url(url)
    return await _OPENERS[address.scheme](address, check_name(space, "a space"))


async def is_there(url: str) -> bool:
    """Whether a store is at `url`, looked up without making one; yes too where only opening can tell what is wrong.

    A file without a byte in it is no store: opening it would make one. Raises InvalidValue for a URL that
    is not known, and what reaching a server raises.
    """
    address = parse_url(url)
    if address.scheme == "postgresql":
        settings = _postgres_settings(address)
        from holdfast.backends.postgres.schema import is_made

        return await is_made(settings)
    if address.scheme == "sqlite":
        return await asyncio.to_thread(_is_something, address.path.removeprefix("/"))
    return True


def _is_something(path: str) -> bool:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return status.st_size > 0 or not stat.S_ISREG(status.st_mode)


async def open_framed(
    url: str,
    keys: KeyRing | None,
    *,
    space: str,
    config: Config,
    clock: Clock,
    ids: Ids,
    entropy: Callable[[int], bytes],
) -> Framing:
    """The same, encrypted where keys are given, and compressing as the configuration says.

    Raises WrongKey if the keys are not those of the store, or there are none and it is encrypted.
    """
    kernel = await open_kernel(url, space=space)
    try:
        if keys is None:
            await refuse_sealed(kernel, clock.now_us())
            return framed(kernel, config)
        from holdfast.wrappers.sealing import Sealing

        compresses = all_but(uncompressed(config))
        return await Sealing.open(kernel, keys, clock=clock, ids=ids, entropy=entropy, compresses=compresses)
    except BaseException:
        await kernel.close()
        raise


def framed(kernel: Kernel, config: Config) -> Framing:
    """A kernel that compresses as the configuration says; one that is framed already stays as it is."""
    return kernel if isinstance(kernel, Framing) else Framing(kernel, compresses=all_but(uncompressed(config)))


def uncompressed(config: Config) -> frozenset[str]:
    """The areas of a scope in which nothing is compressed."""
    state = frozenset({"state", "temp"}) if config.state.compression == "off" else frozenset[str]()
    return state | {"runtime"} if config.runtime.compression == "off" else state


async def _open_memory(address: Address, space: str) -> Kernel:
    from holdfast.backends.memory import MemoryKernel

    _refuse_unknown(address, known=())
    if address.path not in ("", "/"):
        raise InvalidValue(f"{_told(address.url)} has a path; a memory store has no name: memory://", path="url")
    return MemoryKernel(space=space)


async def _open_sqlite(address: Address, space: str) -> Kernel:
    from holdfast.backends.sqlite import SqliteKernel

    _refuse_unknown(address, known=("durability",))
    path = address.path.removeprefix("/")
    if path == ":memory:":
        raise InvalidValue(
            f"{_told(address.url)} would be a file of that name; a store in memory is memory://", path="url"
        )
    if not path or path.endswith("/") or "\0" in path:
        raise InvalidValue(f"{_told(address.url)} names no file; write sqlite:///rel.db", path="url")
    durability = address.options.get("durability", "fsync")
    if durability not in ("fsync", "process"):
        raise InvalidValue(f"durability must be fsync or process, not {shown(durability)}", path="url")
    return await SqliteKernel.open(path, space=space, durability=durability)  # type: ignore[arg-type]


async def _open_postgres(address: Address, space: str) -> Kernel:
    settings = _postgres_settings(address)
    from holdfast.backends.postgres import PostgresKernel

    return await PostgresKernel.open(settings, space=space)


def _postgres_settings(address: Address) -> Settings:
    try:
        from holdfast.backends.postgres import OPTIONS, settings_of
    except ImportError as missing:
        raise MissingExtra(
            "a PostgreSQL store needs a driver that is not installed",
            remedy='Install it: pip install "holdfast[postgres]"',
            extra="postgres",
        ) from missing

    _refuse_unknown(address, known=(*OPTIONS, *_DRIVERS_OPTIONS))
    query = urlencode([(name, value) for name, value in address.options.items() if name in _DRIVERS_OPTIONS])
    dsn = address.url.partition("?")[0] + (f"?{query}" if query else "")
    return settings_of(dsn, told_url(address.url), address.options)


def _refuse_unknown(address: Address, known: tuple[str, ...]) -> None:
    unknown = sorted(set(address.options) - set(known))
    if unknown:
        there = f"known are {', '.join(known)}" if known else "it has none"
        raise InvalidValue(f"{_told(address.url)} has the unknown option {', '.join(unknown)}; {there}", path="url")


_OPENERS: dict[str, Callable[[Address, str], Awaitable[Kernel]]] = {
    "memory": _open_memory,
    "sqlite": _open_sqlite,
    "postgresql": _open_postgres,
}
