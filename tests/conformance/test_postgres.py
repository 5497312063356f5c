"""The PostgreSQL backend keeps every guarantee."""

from pathlib import Path

from holdfast.backends.postgres import PostgresKernel
from holdfast.testing import conformance_tests
from holdfast.testing.conformance import Open
from tests.servers import afresh


def opener(_path: Path) -> Open:
    settings = afresh()
    return lambda space: PostgresKernel.open(settings, space=space)


test_postgres_conforms = conformance_tests(opener)
