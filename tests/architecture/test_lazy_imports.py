"""The core is small: what only some stores need is imported when it is used, and not before."""

import subprocess
import sys

PROGRAM = """
import asyncio, sys
from holdfast import Holdfast

async def main():
    async with Holdfast.open("sqlite:///" + sys.argv[1]) as hold:
        s = await hold.sessions.create()
        await s.state.set("k", 1)

asyncio.run(main())
heavy = {"cryptography", "zstandard", "typer", "rich", "pydantic", "click"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


def test_a_plain_store_imports_no_cryptography_no_compression_and_no_command_line(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "a.db")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


REOPENED = """
import asyncio, sys
from holdfast import Config, Holdfast

async def main():
    async with Holdfast.open("sqlite:///" + sys.argv[1], config=Config.load()) as hold:
        await hold.sessions.get("s")

asyncio.run(main())
print(sorted({"email", "importlib.metadata", "importlib.resources", "tomllib", "zipfile"} & set(sys.modules)))
"""


def test_opening_a_store_that_is_there_reads_no_package_and_no_file_of_settings(tmp_path) -> None:
    """They cost a command a tenth of its start; making a store needs them, and a store is made once."""
    for program in (PROGRAM, REOPENED):
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "a.db")], capture_output=True, text=True, check=True
        )
    assert done.stdout.strip() == "[]"
