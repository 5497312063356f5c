"""The PostgreSQL that the tests of one run share, each in a schema or with spaces of its own."""

from __future__ import annotations

import asyncio
import atexit
import os
from functools import cache

from holdfast.backends.postgres import Settings
from holdfast.backends.postgres.connections import connect
from holdfast.testing.servers import PostgresServer


@cache
def postgres() -> PostgresServer:
    """The server, started by the first process of the run that asks."""
    server = PostgresServer.shared(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())))
    atexit.register(server.release)
    return server


@cache
def schema() -> str:
    """The schema of this process of the run."""
    return f"holdfast_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


def settings(server: PostgresServer | None = None, **changes: object) -> Settings:
    """How a test reaches the server."""
    given = {"schema": schema(), **changes}
    return Settings((server or postgres()).url(), "the test's server", **given)  # type: ignore[arg-type]


async def fresh() -> Settings:
    """The settings, of a schema that is as good as new: no space of before is found by its name."""
    given = await asyncio.to_thread(settings)  # the first to ask waits for the server
    connection = await connect(given, "a test", None)
    try:
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f"{given.schema}.spaces"):
            await connection.execute(f"DELETE FROM {given.schema}.spaces")
    finally:
        await connection.close(timeout=1)
    return given


def afresh() -> Settings:
    """The same where no loop runs."""
    return asyncio.run(fresh())
