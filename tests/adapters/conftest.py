"""Where an adapter is tried: on every backend, PostgreSQL included."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import afresh, postgres, schema


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    return store(request.param, tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store that another process finds too."""
    return store(request.param, tmp_path)


def store(backend: str, folder: Path) -> str:
    if backend == "postgres":
        afresh()
        return postgres().url(schema=schema())
    return "memory://" if backend == "memory" else f"sqlite:///{folder / 'store.db'}"
