"""The identity of a store's schema: new, current, or too new; and what the server is fit for.

Processes that open a new store at once take turns by an advisory lock; whoever comes second finds it made.
"""

from __future__ import annotations

import asyncio

from holdfast.backends.postgres.connections import Connection, connect
from holdfast.backends.postgres.errors import DRIVER_ERRORS, translated
from holdfast.backends.postgres.settings import Settings
from holdfast.backends.postgres.statements import FUNCTIONS, placed, script
from holdfast.errors import StoreTooNew, Unsupported
from holdfast.kernel.limits import Durability

VERSION = 1
SERVER_VERSION_MIN = 140_000
_LOCK = 0x686F6C64  # "hold"

_SERVER = (
    "SELECT current_setting('server_version_num')::int, current_setting('fsync') = 'on', "
    "current_setting('synchronous_standby_names') <> '', current_setting('synchronous_commit')"
)
# Of what is visible now. `to_regclass` answers from the names that the connection remembers, and who waited for
# the lock while another made the tables remembers that there are none.
_MADE = "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = $1 AND tablename = 'meta')"


async def ensure_schema(connection: Connection, settings: Settings) -> None:
    """Make the tables and functions if they are missing, else see that they are not too new. Raises StoreTooNew."""
    if await _is_current(connection, settings.schema):
        return
    scripts = await asyncio.to_thread(lambda: [script(name, settings.schema) for name in ("schema", *FUNCTIONS)])
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        if not await _is_current(connection, settings.schema):
            for each in scripts:
                await connection.execute(each)


async def is_made(settings: Settings) -> bool:
    """Whether a store is there, looked up over a connection for that alone. Raises what opening it would, of the server
    and the address."""
    try:
        connection = await connect(settings, "holdfast looks", None)
        try:
            return bool(await connection.fetchval(_MADE, settings.schema))
        finally:
            connection.terminate()
    except DRIVER_ERRORS as error:
        raise translated(error, settings.shown) from error


async def _is_current(connection: Connection, schema: str) -> bool:
    if not await connection.fetchval(_MADE, schema):
        return False
    version = await connection.fetchval(placed("SELECT version FROM holdfast.meta", schema))
    if version is None or version > VERSION:
        raise StoreTooNew(
            f"the schema {schema} has version {version}; this Holdfast knows versions up to {VERSION}", version=version
        )
    return True


async def durability_of(connection: Connection, settings: Settings) -> Durability:
    """What an acknowledged commit survives there. Raises Unsupported if the settings want more, or the server is too
    old."""
    version, syncs, replicates, waits = tuple(await connection.fetchrow(_SERVER) or ())
    if version < SERVER_VERSION_MIN:
        raise Unsupported(
            f"{settings.shown} is PostgreSQL {version // 10_000}; at least {SERVER_VERSION_MIN // 10_000} is needed"
        )
    given: Durability = "process"
    if waits != "off" and syncs:
        given = "replicated" if replicates and waits in ("on", "remote_apply") else "fsync"
    strength = ("process", "fsync", "replicated")
    if settings.durability is not None and strength.index(settings.durability) > strength.index(given):
        raise Unsupported(
            f"{settings.shown} gives the durability {given}, not {settings.durability}: "
            f"fsync is {'on' if syncs else 'off'}, synchronous_commit is {waits}, "
            f"and {'a' if replicates else 'no'} standby is waited for",
            remedy="Change the server's settings, or ask for less durability in the URL.",
        )
    return given
