"""The stores on which processes are killed, each reached by its URL."""

from __future__ import annotations

from pathlib import Path

from tests.servers import afresh, postgres, schema

STORES = ("sqlite", "postgres")


def place(store: str, folder: Path) -> str:
    """The URL of a store that is new, and good enough: the processes die, the machine does not."""
    if store == "sqlite":
        return f"sqlite:///{folder / 'store.db'}?durability=process"
    afresh()
    return postgres().url(schema=schema(), durability="process")
