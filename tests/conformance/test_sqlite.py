"""The SQLite backend keeps every guarantee."""

from pathlib import Path

from holdfast.backends.sqlite import SqliteKernel
from holdfast.testing import conformance_tests
from holdfast.testing.conformance import Open


def opener(path: Path) -> Open:
    return lambda space: SqliteKernel.open(path / "store.db", space=space)


test_sqlite_conforms = conformance_tests(opener)
