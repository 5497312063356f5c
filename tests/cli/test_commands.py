"""The tree of commands: each is imported when it is asked for, and what the lists say of them is so."""

import subprocess
import sys

import pytest

from holdfast.cli.app import Checkpoints, Main, Runs, Sessions, States, Variables
from holdfast.cli.commands import Entry, load
from tests.cli.program import environment, invoke

TABLES = {
    "": Main.table,
    "session": Sessions.table,
    "state": States.table,
    "run": Runs.table,
    "var": Variables.table,
    "checkpoint": Checkpoints.table,
}
ENTRIES = [entry for table in TABLES.values() for entry in table.values()]

IMPORTED = """
import sys
sys.argv = ["holdfast", *sys.argv[1:]]
from holdfast.cli import main
try:
    main()
except SystemExit:
    print(*sorted(sys.modules), sep="\\n", file=sys.stderr)
"""


def imported(*args: str) -> set[str]:
    """What a run of `holdfast` imports."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *args], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.stdout
    return set(done.stderr.splitlines())


@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_what_needs_no_store_imports_nothing_that_keeps_one(flag: str) -> None:
    """Nor asyncio, a driver or a table: what everybody runs first answers at once."""
    found = imported(flag)
    assert not found & {"asyncio", "msgspec", "apsw", "rich", "holdfast.hold", "holdfast.testing", "holdfast.opening"}


def test_a_command_pays_for_no_other(store: str) -> None:
    found = imported("-s", store, "session", "list")
    assert "holdfast.cli.session.list" in found
    assert not found & {"holdfast.testing", "holdfast.cli.demo", "holdfast.cli.state.get", "rich"}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.function)
def test_every_entry_leads_to_a_command_with_help_of_its_own(entry: Entry) -> None:
    command = load("name", entry)
    assert command.name == "name"
    assert command.help


@pytest.mark.parametrize("group", TABLES)
def test_a_list_shows_every_command_with_its_whole_line(group: str) -> None:
    """Also where lines are short: 80 columns cut nothing off."""
    out = invoke(*group.split(), "--help").out
    for name, entry in TABLES[group].items():
        assert f"  {name} " in out
        assert entry.help in out


def test_a_command_that_does_not_exist_is_answered_with_one_that_may_be_meant(store: str) -> None:
    ended = invoke("-s", store, "session", "lst")
    assert ended.code == 2
    assert "'list'" in ended.err


@pytest.mark.parametrize(
    ("args", "meant"), [(["tail", "trip"], "session tail"), (["get", "user/ada"], "state get"), (["rm"], "session rm")]
)
def test_a_command_that_is_looked_for_at_the_top_is_found_in_its_group(store: str, args: list[str], meant: str) -> None:
    ended = invoke("-s", store, *args)
    assert ended.code == 2
    assert f"Did you mean: holdfast {meant} …\n" in ended.err


@pytest.mark.parametrize("command", [["state", "get"], ["state", "diff"], ["session", "rm"], ["demo"]])
def test_the_usage_shows_what_may_be_left_out_in_one_pair_of_brackets(command: list[str]) -> None:
    usage = invoke(*command, "--help").out.splitlines()[0]
    assert "[[" not in usage
    assert "...}" not in usage
