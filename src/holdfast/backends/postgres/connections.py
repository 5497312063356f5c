"""The connections of a store, on its private loop: one that commits, some that read, one that listens.

They are dedicated: the driver's own pool would send a RESET after each use, three times the cost of a small read. Each
bears a name of its own, by which a new connection ends the old one at the server before it commits anything: so what
was sent over the lost one cannot land after it.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import asyncpg

from holdfast.backends.postgres.errors import DRIVER_ERRORS, is_lost, translated
from holdfast.backends.postgres.settings import Settings
from holdfast.kernel.patience import TRIES

T = TypeVar("T")

PAUSE_S = 0.02
PAUSE_MAX_S = 0.5
_FENCE = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1"
_KEEP_ALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000))

Row = Any
"""A row as the driver returns it: its values by name and by number."""


class Connection(Protocol):
    """What is used of the driver's connections; it tells no types of its own."""

    async def fetch(self, statement: str, *arguments: object) -> list[Row]:
        """All rows."""
        ...

    async def fetchrow(self, statement: str, *arguments: object) -> Row | None:
        """The first row."""
        ...

    async def fetchval(self, statement: str, *arguments: object) -> Any:
        """The first value of the first row."""
        ...

    async def execute(self, script: str, *arguments: object) -> str:
        """Run it for its effect; several statements where there are no arguments."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """A transaction for a block."""
        ...

    def is_closed(self) -> bool:
        """Whether the connection is known to have ended."""
        ...

    def terminate(self) -> None:
        """End it at once."""
        ...

    async def close(self, *, timeout: float) -> None:
        """End it in order."""
        ...

    def add_log_listener(self, hear: Callable[[object, Any], None]) -> None:
        """Hear the server's warnings."""
        ...

    def add_termination_listener(self, hear: Callable[[object], None]) -> None:
        """Hear of the connection's end."""
        ...

    async def add_listener(self, channel: str, hear: Callable[..., None]) -> None:
        """Hear what is notified."""
        ...


class Outage:
    """Since when a store could not be reached, so that its callers share one wait: who comes after `timeout_s` of it is
    told at once, and not after as long again."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._since: float | None = None

    def left_s(self, now: float) -> float:
        """How long a connection may still be waited for."""
        return self._timeout_s if self._since is None else max(0.0, self._since + self._timeout_s - now)

    def lasts(self, since: float) -> None:
        """A connection that was begun then could not be made."""
        self._since = since if self._since is None else self._since

    def ends(self) -> None:
        """A connection was made."""
        self._since = None


async def connect(
    settings: Settings, name: str, synchronous_commit: str | None, *, outage: Outage | None = None
) -> Connection:
    """A new connection of that name. With an outage it is tried again as long as that has time left, else once."""
    options = {"application_name": name}
    if settings.statement_cache:  # a pooler refuses what it does not know
        options["jit"] = "off"
        if synchronous_commit is not None:
            options["synchronous_commit"] = synchronous_commit
    loop = asyncio.get_running_loop()
    began = loop.time()
    pause = PAUSE_S
    while True:
        left_s = settings.timeout_s if outage is None else outage.left_s(loop.time())
        try:
            made: Connection = await asyncpg.connect(
                settings.dsn,
                timeout=max(left_s, settings.timeout_s / TRIES),
                statement_cache_size=settings.statement_cache,
                server_settings=options,
            )
        except DRIVER_ERRORS as error:
            _name_the_socket(error, settings)
            if outage is None or not is_lost(error):
                raise
            outage.lasts(began)
            if outage.left_s(loop.time()) <= pause:
                raise
        else:
            if outage is not None:
                outage.ends()
            _keep_alive(made)
            return made
        await asyncio.sleep(pause)
        pause = min(pause * 2, PAUSE_MAX_S)


def _name_the_socket(error: BaseException, settings: Settings) -> None:
    """Have the error tell which file it missed: of a socket the driver does not say."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is None and settings.socket:
        error.filename = settings.socket


def _keep_alive(connection: Connection) -> None:
    """Have the system notice a peer that is gone without a word; there is no timeout on a commit."""
    transport: Any = getattr(connection, "_transport", None)
    plug = transport.get_extra_info("socket") if transport is not None else None
    if plug is not None and plug.family != socket.AF_UNIX:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE:
            if (number := getattr(socket, option, None)) is not None:
                plug.setsockopt(socket.IPPROTO_TCP, number, value)


class Line:
    """One connection that is opened again when it was lost, patiently where it is given the store's outage. Used by one
    task at a time. One that commits says how (`synchronous_commit`), and ends the one before it at the server."""

    def __init__(
        self, settings: Settings, *, outage: Outage | None = None, synchronous_commit: str | None = None
    ) -> None:
        self._settings = settings
        self.outage = outage
        self._synchronous_commit = synchronous_commit
        self._fenced = synchronous_commit is not None
        self._name = ""
        self.connection: Connection | None = None
        self.warned = False  # the server said of this statement that it did not wait for a standby

    async def ready(self) -> Connection:
        """The connection, open as far as this side knows. Raises what the driver raises."""
        connection = self.connection
        if connection is not None and not connection.is_closed():
            return connection
        before, self._name = self._name, f"holdfast {secrets.token_hex(8)}"
        try:
            connection = await connect(self._settings, self._name, self._synchronous_commit, outage=self.outage)
            if before and self._fenced:
                await connection.fetch(_FENCE, before)
        except BaseException:
            self._name = before or self._name  # what is to be ended still is
            if connection is not None and connection is not self.connection:
                connection.terminate()
            raise
        if self._fenced:
            connection.add_log_listener(self._hear)
        self.connection = connection
        return connection

    def _hear(self, _: object, message: Any) -> None:
        self.warned = self.warned or message.sqlstate == "01000"

    def drop(self) -> None:
        """Give the connection up, so that the next use opens another."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        """Close the connection, politely if it answers within a second."""
        connection, self.connection = self.connection, None
        if connection is not None:
            try:
                await connection.close(timeout=1)
            except DRIVER_ERRORS:
                connection.terminate()


class Readers:
    """Lines for reading, at most so many; whoever finds none waits."""

    def __init__(self, settings: Settings, outage: Outage) -> None:
        self._settings = settings
        self._free = [Line(settings, outage=outage) for _ in range(settings.pool)]
        self._all = tuple(self._free)
        self._room = asyncio.Semaphore(settings.pool)

    async def use(self, read: Callable[[Connection], Awaitable[T]]) -> T:
        """Read over a line; where it turns out to be lost, once more over a new one. For what changes nothing that a
        repeat would change twice."""
        async with self._room:
            line = self._free.pop()  # the one used last: its statements are prepared
            try:
                try:
                    return await read(await line.ready())
                except DRIVER_ERRORS as error:
                    if not is_lost(error):
                        raise
                    line.drop()
                    return await read(await line.ready())
            except (*DRIVER_ERRORS, OverflowError) as error:
                raise translated(error, self._settings.shown) from error
            finally:
                self._free.append(line)

    async def close(self) -> None:
        """Close all."""
        for line in self._all:
            await line.close()
