"""The SQLite backend keeps every guarantee."""

import asyncio
from pathlib import Path

from holdfast.backends.sqlite import SqliteKernel
from holdfast.testing import conform, conformance_tests
from holdfast.testing.conformance import CHECKS, Open


def opener(path: Path) -> Open:
    return lambda space: SqliteKernel.open(path / "store.db", space=space)


test_sqlite_conforms = conformance_tests(opener)


def test_a_store_in_use_can_be_tested_time_and_again_and_is_left_as_it_was(tmp_path: Path) -> None:
    only = {check.name for check in CHECKS if {"G9", "G14", "G16"} & {*check.proves} and "histories" not in check.name}

    async def main() -> None:
        for _ in range(2):
            report = await conform(opener(tmp_path), only=only, clean=True)
            assert report.passed, str(report)
            assert report.left == ()
        kernel = await SqliteKernel.open(tmp_path / "store.db")
        stats = await kernel.stats()
        assert (stats["scopes"], stats["cells"], stats["records"]) == (0, 0, 0)
        await kernel.close()

    asyncio.run(main())
