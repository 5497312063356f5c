"""Real servers for tests, from packages of the package index: no root, no containers, no fixed port."""

from holdfast.testing.servers.postgres import PostgresServer

__all__ = ["PostgresServer"]
