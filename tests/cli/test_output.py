"""What commands print: JSON that parses wherever it goes, tables that a terminal survives."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from holdfast.cli.printable import printable
from holdfast.cli.shown import shown
from tests.cli.program import environment, invoke

NASTY: dict[str, Any] = {
    "nul": "a\0b",
    "escape": "\x1b[31mred\x1b]0;title\x07",
    "newline": "one\ntwo\r\n",
    "mark": "\u202eoverride\u200b",
    "emoji": "👩‍👩‍👧 é",
    "markup": "[bold]not bold[/bold] [/]",
    "numbers": [0, -1, 1.5, 2**63 - 1, -0.0],
    "deep": {"a": [{"b": None}, True]},
    "long": "x" * 5000,
    "none": None,
}


@pytest.fixture
def nasty(store: str) -> str:
    """A store whose state holds whatever a terminal or a parser may dislike."""
    for key, value in NASTY.items():
        ended = invoke("-s", store, "state", "set", "global/nasty", key, "-", stdin=json.dumps(value))
        assert ended.code == 0
    return store


READS = [
    ["session", "list"],
    ["session", "show", "trip"],
    ["state", "get", "global/nasty"],
    ["state", "get", "global/nasty", "escape"],
    ["state", "history", "global/nasty", "escape"],
    ["state", "diff", "global/nasty"],
    ["stats"],
    ["doctor"],
]


@pytest.mark.parametrize("command", READS)
def test_json_is_one_document_and_jsonl_one_to_the_line_and_what_a_pipe_gets(nasty: str, command: list[str]) -> None:
    whole = invoke("-s", nasty, *command, "-o", "json")
    lines = invoke("-s", nasty, *command, "-o", "jsonl")
    assert (whole.code, lines.code) == (0, 0)
    assert whole.out.count("\n") == 1
    document = json.loads(whole.out)
    if isinstance(document, list) and command[:2] != ["state", "get"]:
        assert len(lines.rows) == len(document) > 0
    else:
        assert len(lines.rows) == 1
    piped = invoke("-s", nasty, *command)
    assert len(piped.rows) == len(lines.rows)


def test_json_gives_back_exactly_what_was_stored(nasty: str) -> None:
    assert invoke("-s", nasty, "state", "get", "global/nasty", "-o", "json").rows == [NASTY]
    for key, value in NASTY.items():
        assert invoke("-s", nasty, "state", "get", "global/nasty", key).rows == [value]


@pytest.mark.parametrize("command", READS)
def test_no_control_character_of_what_is_stored_reaches_a_table(nasty: str, command: list[str]) -> None:
    out = invoke("-s", nasty, *command, "-o", "table").out
    assert out
    assert printable(out, keep="\n") == out


def test_a_terminal_gets_a_table_and_notes_stay_off_stdout(store: str) -> None:
    """On a pseudo-terminal the default is a table; the same command into a pipe prints JSON."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "holdfast.cli", "-s", store, "session", "list", "--limit", "1"],
        env=environment(TERM="dumb", COLUMNS="120"),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert done.returncode == 0
    assert shown.split()[:3] == ["id", "status", "user"]
    assert "bare" in shown
    assert "{" not in shown
    assert "--cursor" in done.stderr
    assert "--cursor" not in shown


def test_a_table_leaves_out_columns_that_no_row_fills(store: str) -> None:
    header = invoke("-s", store, "session", "list", "-o", "table").out.splitlines()[0]
    assert "task" in header
    assert "channel" not in header


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (9999, "9999"),
        (1234567, "1,234,567"),
        (1.5, "1.5"),
        (["a", "b"], "a, b"),
        ({"a": 1}, '{"a":1}'),
        ([1, 2], "[1,2]"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02 03:04:05"),
        ("a\tb\x7f", "a\\tb\\x7f"),
        ("x" * 401, "x" * 399 + "…"),
        ("x" * 400, "x" * 400),
    ],
)
def test_a_value_is_shown_short_and_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text
