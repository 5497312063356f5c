"""How commands fail: nothing on stdout, a message with code and remedy on stderr, a telling exit code."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import errors
from holdfast.cli.failure import BROKEN_PIPE, EXIT_CODES, exit_code
from holdfast.cli.inbox.show import WAITING
from holdfast.cli.interrupt import INTERRUPTED
from tests.cli.program import ROOT, environment, execute, invoke, start


@pytest.mark.parametrize(
    ("args", "code", "word"),
    [
        (["session", "show", "nobody"], 3, "not_found"),
        (["session", "tail", "nobody"], 3, "not_found"),
        (["session", "rm", "nobody"], 3, "nobody"),
        (["state", "get", "user/ada", "nothing"], 3, "not_found"),
        (["state", "get", "session/nobody"], 3, "not_found"),
        (["state", "set", "session/nobody", "k", "1"], 3, "not_found"),
        (["state", "set", "session/trip", "city", "1", "--if-version", "1"], 4, "conflict"),
        (["state", "set", "session/trip", "city", "1", "--if-version", "0"], 4, "conflict"),
        (["state", "get", "planet/mars"], 2, "invalid_id"),
        (["state", "get", "user/"], 2, "invalid_id"),
        (["state", "get", "user/a\nb"], 2, "invalid_id"),
        (["state", "diff", "session/trip", "--from", "99"], 2, "--from"),
        (["state", "diff", "session/trip", "--from", "99", "--to", "100"], 2, "--to"),
        (["session", "tail", "trip", "--after", "soon"], 2, "invalid_value"),
        (["session", "tail", "trip", "--kind", "weather"], 2, "invalid_value"),
        (["session", "list", "--cursor", "soon"], 2, "invalid_value"),
    ],
)
def test_an_error_has_its_exit_code_its_code_and_its_remedy_on_stderr(
    store: str, args: list[str], code: int, word: str
) -> None:
    ended = invoke("-s", store, *args)
    assert ended.code == code
    assert ended.err.startswith("error: ")
    assert word in ended.err
    assert ended.err.count("\n") == 2, "a message and a remedy"
    assert "Traceback" not in ended.err
    if args[:2] != ["session", "rm"]:
        assert ended.out == ""


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["session", "nonsense"],
        ["session", "list", "--limit", "0"],
        ["session", "list", "--status", "asleep"],
        ["session", "tail", "trip", "-o", "json"],
        ["state", "set", "user/ada", "k", "not json"],
        ["state", "set", "user/ada", "k", "NaN"],
        ["state", "set", "user/ada", "k", '{"a": 1, "a": 2}'],
        ["state", "set", "user/ada", "k", "[" * 100_000],
        ["state", "set", "user/ada"],
        ["state", "diff", "user/ada", "--from", "2", "--to", "1"],
        ["conform", "memory://", "--only", "G99"],
        ["demo", "no/such/folder"],
        ["demo", "--store", "memory://"],
        ["stats", "-o", "xml"],
    ],
)
def test_wrong_usage_is_exit_code_2_with_a_hint_where_help_is(store: str, args: list[str]) -> None:
    ended = invoke("-s", store, *args)
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: holdfast" in ended.err
    assert "Try 'holdfast" in ended.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.HoldfastError, 1),
        (errors.Corrupt, 1),
        (errors.TypeMismatch, 2),
        (errors.Compacted, 1),
        (errors.Indeterminate, 1),
        (errors.InvalidId, 2),
        (errors.TooLarge, 2),
        (errors.NotFound, 3),
        (errors.Gone, 3),
        (errors.Conflict, 4),
        (errors.AlreadyExists, 4),
        (errors.ReadOnlyStore, 5),
        (errors.Unavailable, 6),
        (errors.StoreLocked, 6),
    ],
)
def test_each_kind_of_error_has_an_exit_code(error: type[errors.HoldfastError], code: int) -> None:
    assert exit_code(error("what happened")) == code


def test_the_help_and_the_reference_name_every_exit_code_there_is() -> None:
    """Neither one too few nor one too many."""
    there_are = {0, 1, WAITING, BROKEN_PIPE, INTERRUPTED, *EXIT_CODES.values()}
    said = invoke("--help").out.partition("Exit codes:")[2].partition("holdfast demo")[0]
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert {int(number) for number in re.findall(r"\d+", said)} == there_are
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == there_are


@pytest.mark.parametrize(
    ("args", "remedy"),
    [
        (["session", "tail", "trip", "--after", "soon"], "Give a version, the cursor of a change"),
        (["session", "tail", "trip", "--kind", "weather"], "Name one of those"),
        (["session", "list", "--cursor", "soon"], "Give what an earlier list"),
    ],
)
def test_an_option_that_is_not_understood_is_met_with_what_it_takes(store: str, args: list[str], remedy: str) -> None:
    assert remedy in invoke("-s", store, *args).err


def test_a_file_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database at all, but long enough to look like one " * 20)
    before = path.read_bytes()
    ended = invoke("-s", str(path), "session", "list")
    assert (ended.code, ended.out) == (2, "")
    assert "[corrupt]" in ended.err
    assert path.read_bytes() == before


def test_an_error_writes_out_control_characters_of_what_it_quotes(store: str) -> None:
    ended = invoke("-s", store, "session", "show", "a\x1b[2Jb")
    assert ended.code == 2
    assert "\x1b" not in ended.err


def test_arguments_that_are_no_text_are_refused_clearly(store: str) -> None:
    ended = execute("-s", store, "session", "show", b"caf\xe9")
    assert (ended.code, ended.out) == (2, "")
    assert "[invalid_id]" in ended.err


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    """A core install has no typer: `holdfast` says which extra brings it, and exits with 1."""
    hidden = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('typer', 'rich'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        "from holdfast.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden], env=environment(), capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert 'pip install "holdfast[cli]"' in done.stderr
    assert "missing_extra" in done.stderr


def test_any_other_failing_import_is_not_taken_for_a_missing_extra(tmp_path: Path) -> None:
    broken = "import sys\nsys.modules['holdfast.cli.app'] = None\nfrom holdfast.cli import main\nmain()\n"
    done = subprocess.run(
        [sys.executable, "-c", broken], env=environment(), capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
    assert "pip install" not in done.stderr


def test_a_reader_that_has_left_is_met_in_silence(store: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-m", "holdfast.cli", "-s", store, "session", "list"],
        env=environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (141, "")


def test_an_interrupt_ends_a_stream_cleanly(store: str) -> None:
    with start("-s", store, "session", "tail", "trip", "--after", "beginning") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert '"seq":1' in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read() == ""
    assert process.returncode == 130


@pytest.mark.parametrize(
    "module",
    [
        "typer",
        "holdfast.cli.app",
        "holdfast.cli.session.list",
        "asyncio",
        "holdfast.hold",
        "holdfast.backends.sqlite",
    ],
)
def test_an_interrupt_while_a_command_is_still_imported_ends_it_with_130_and_no_word(store: str, module: str) -> None:
    """Whichever import it meets: before the command line is there, before the command is, and while it begins."""
    interrupted = (
        "import os, signal, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            sys.meta_path.remove(self)\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from holdfast.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", interrupted, "-s", store, "session", "list"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_whoever_ignores_interrupts_goes_on_ignoring_them_while_modules_are_imported() -> None:
    """A job that a shell started in the background is not ended by a Ctrl-C that was meant for another."""
    ignoring = (
        "import os, signal\n"
        "from holdfast.cli.interrupt import LeavingAtOnce, leave_the_rest_to_the_system\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "with LeavingAtOnce():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "leave_the_rest_to_the_system()\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print('done')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", ignoring], env=environment(), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize(
    "command",
    [
        [],
        ["session"],
        ["state"],
        *(["session", name] for name in ("list", "show", "tail", "rm")),
        *(["state", name] for name in ("get", "set", "diff", "history")),
        *([name] for name in ("demo", "stats", "conform", "doctor")),
    ],
)
def test_every_command_has_help_with_an_example(command: list[str], flag: str) -> None:
    ended = invoke(*command, flag)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: {' '.join(['holdfast', *command])}")
    if command not in ([], ["session"], ["state"]):
        assert any(line.startswith("  holdfast ") for line in ended.out.splitlines())


def test_no_command_at_all_shows_the_help() -> None:
    ended = invoke()
    assert ended.code in (0, 2)
    assert "demo" in ended.out + ended.err


def test_the_version_is_told() -> None:
    assert invoke("--version").out.startswith("holdfast ")


@pytest.mark.parametrize(
    "args",
    [
        ["session", "list"],
        ["session", "show", "trip"],
        ["session", "tail", "trip", "--after", "beginning"],
        ["state", "history", "session/trip", "cart"],
        ["state", "diff", "session/trip"],
    ],
)
@pytest.mark.parametrize("at_us", [10**18, -(10**18), 2**63 - 1])
def test_a_file_with_a_time_that_is_none_is_damaged_and_no_traceback(store: str, args: list[str], at_us: int) -> None:
    """As another program may have left it: Holdfast writes none."""
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE log SET at_us = ?", [at_us])
    connection.close()
    ended = invoke("-s", store, *args)
    assert "Traceback" not in ended.err + ended.out
    assert ended.code == 0 or "corrupt" in ended.err, ended
