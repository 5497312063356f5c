"""`holdfast demo` as a whole: processes that are really killed, on a real file, and the figures at the end."""

import asyncio
import base64
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast import Holdfast
from holdfast.cli.demo import ledger as ledgers
from holdfast.cli.demo.files import list_files
from holdfast.cli.demo.ledger import Ledger
from holdfast.cli.demo.lock import alone
from tests.cli.demo.trees import look, plant
from tests.cli.program import Ended, environment, execute, invoke, start

FIGURES = 4


def holding(ended: Ended) -> int:
    """How many figures hold."""
    return len(re.findall(r"^\d\. .*: holds$", ended.out, re.MULTILINE))


async def events(hold: Holdfast, ledger: Ledger) -> list[tuple[str, Any]]:
    """What happened, in order."""
    page = await ledger.work.events(limit=1000)
    return [(event.type, event.data) for event in page.items]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished demo of the twelve files in its `tree`."""
    folder = tmp_path_factory.mktemp("finished")
    plant(folder / "tree", files=12)
    assert execute("demo", "tree", "--store", "demo.db", cwd=folder).code == 0
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A folder and store as after a finished demo, to be changed."""
    root, store = finished / "tree", Path(shutil.copy(finished / "demo.db", tmp_path / "demo.db"))
    return root, store


@pytest.mark.parametrize(
    "files", [1, pytest.param(3, marks=pytest.mark.soak), pytest.param(60, marks=pytest.mark.soak)]
)
def test_the_worker_is_killed_twice_the_follower_cut_off_once_and_every_figure_holds(
    tmp_path: Path, files: int
) -> None:
    root, store = plant(tmp_path / "tree", files=files), tmp_path / "demo.db"
    ended = execute("demo", str(root), "--store", str(store), "--seed", "7")
    assert (ended.code, ended.err) == (0, ""), ended.err
    assert "; seed 7\n" in ended.out
    assert holding(ended) == FIGURES
    assert ended.out.count("killed with SIGKILL in the midst of its work") == 2
    assert ended.out.count("cut off after") == 1
    happened = look(store, root, events)
    names = [name for name, _ in happened]
    assert [names.count(name) for name in ("started", "killed", "cut", "resumed", "finished")] == [3, 2, 1, 1, 1]
    assert names[-1] == "finished"
    assert all(data["done"] < files for name, data in happened if name == "killed")


def test_with_keys_every_process_of_it_works_encrypted(tmp_path: Path) -> None:
    """As for every other command, by HOLDFAST_KEYS; without them it is refused what it kept, and says what it needs."""
    plant(tmp_path / "tree", files=1)
    keys = {"HOLDFAST_KEYS": f"k={base64.b64encode(b'k' * 32).decode()}"}
    ended = execute("demo", "tree", "--store", "demo.db", cwd=tmp_path, env=keys)
    assert (ended.code, holding(ended)) == (0, FIGURES), ended.err
    refused = execute("demo", "tree", "--store", "demo.db", cwd=tmp_path)
    assert (refused.code, "HOLDFAST_KEYS" in refused.err) == (5, True)


def test_the_results_stand_in_the_session_with_a_message_for_each_file(finished: Path) -> None:
    async def read(hold: Holdfast, ledger: Ledger) -> tuple[dict[str, Any], int, dict[str, Any]]:
        values = (await ledger.work.state.snapshot()).values
        return values, len(await ledger.work.messages.list(limit=100)), await ledger.work.runtime.all()

    values, messages, runtime = look(finished / "demo.db", finished / "tree", read)
    assert messages == 12
    assert runtime["done"] == 12
    assert values["list/000"] == [f"part{n // 10:03d}/module{n:04d}.py" for n in range(12)]
    first = values["file/000000"]
    assert (first["path"], first["lines"], first["words"]) == ("part000/module0000.py", 5, 14)
    assert list(first["identifiers"].items())[:2] == [("total", 3), ("words", 2)]
    assert values["totals"]["lines"] == sum(5 * (1 + n % 7) for n in range(12))


def test_an_empty_folder_is_done_at_once(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    ended = execute("demo", str(tmp_path / "tree"), "--store", str(tmp_path / "demo.db"))
    assert (ended.code, holding(ended)) == (0, FIGURES)
    assert "in the midst of its work" not in ended.out


def test_the_default_is_this_folder_and_a_store_in_it_that_is_not_counted(tmp_path: Path) -> None:
    plant(tmp_path, files=2)
    ended = execute("demo", cwd=tmp_path, env={"HOLDFAST_URL": "sqlite:///elsewhere.db"})
    assert (ended.code, holding(ended)) == (0, FIGURES)
    assert "2 files, 2 marks, 2 messages, 2 in the totals" in ended.out
    assert (tmp_path / "holdfast-demo.db").exists()
    assert not (tmp_path / "elsewhere.db").exists()


@pytest.mark.soak
def test_a_module_in_the_folder_is_not_taken_for_one_of_the_library(tmp_path: Path) -> None:
    for name in ("asyncio.py", "msgspec.py", "typing.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "holdfast.cli", "demo"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_files_of_every_odd_sort_are_counted_for_what_they_are(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    with open(os.path.join(os.fsencode(root), b"caf\xe9 \x1b[2J.txt"), "w") as file:
        file.write("words in latin\n")
    (root / "binary").write_bytes(b"\0" * 1000)
    with open(root / "huge", "wb") as file:
        file.truncate(100 * 2**20)
    (root / "link").symlink_to("binary")
    os.mkfifo(root / "pipe")
    ended = execute("demo", str(root), "--store", str(tmp_path / "demo.db"))
    assert (ended.code, holding(ended)) == (0, FIGURES)
    assert "\x1b" not in ended.out
    assert "3 files, 3 marks" in ended.out
    assert "1 too large to be read (over 8 MiB): counted as files only" in ended.out
    assert ended.out.count("left out: 1 link, 1 other") == 2, "as it begins, and with the table"


def test_run_again_it_says_that_it_is_done_and_proves_its_figures_again(copy: tuple[Path, Path]) -> None:
    root, store = copy
    before = look(store, root, events)
    again = invoke("demo", str(root), "--store", str(store))
    assert (again.code, holding(again)) == (0, FIGURES)
    assert "done already" in again.out
    assert look(store, root, events) == before


def test_a_follower_that_was_stopped_before_the_end_goes_on_from_its_cursor(copy: tuple[Path, Path]) -> None:
    """An interruption after the last file: the work is done, and the account of its changes is not."""
    root, store = copy

    async def put_back(hold: Holdfast, ledger: Ledger) -> None:
        earlier = (await ledger.follower.state.history("seen", limit=2)).items[1]
        await ledger.follower.state.set("seen", earlier.value)

    look(store, root, put_back)
    before = look(store, root, events)
    again = execute("demo", str(root), "--store", str(store))
    assert (again.code, holding(again)) == (0, FIGURES)
    assert "going on with" in again.out
    assert look(store, root, events) == before


def test_files_that_changed_or_vanished_since_are_told_and_the_figures_hold(
    finished: Path, copy: tuple[Path, Path]
) -> None:
    root, store = copy
    changed, gone = root / "part000" / "module0001.py", root / "part000" / "module0002.py"
    before = {path: path.read_text() for path in (changed, gone)}
    changed.write_text("something else\n")
    gone.unlink()
    (root / "part000" / "new.py").write_text("not on the list\n")
    again = invoke("demo", str(root), "--store", str(store))
    for path, text in before.items():
        path.write_text(text)
    (root / "part000" / "new.py").unlink()
    assert (again.code, holding(again)) == (0, FIGURES)
    assert "2 files changed or vanished since they were read" in again.out


@pytest.mark.soak
def test_asked_to_it_forgets_the_earlier_run_and_starts_anew(copy: tuple[Path, Path]) -> None:
    root, store = copy
    first = look(store, root, events)
    again = execute("demo", str(root), "--store", str(store), "--again")
    assert (again.code, holding(again)) == (0, FIGURES)
    assert "done already" not in again.out
    assert look(store, root, events) != first


@pytest.mark.soak
def test_two_folders_may_share_a_store(copy: tuple[Path, Path], tmp_path: Path) -> None:
    root, store = copy
    other = plant(tmp_path / "other", files=2)
    ended = execute("demo", str(other), "--store", str(store))
    assert (ended.code, holding(ended)) == (0, FIGURES)
    assert "2 files, 2 marks" in ended.out
    assert "12 files, 12 marks" in invoke("demo", str(root), "--store", str(store)).out


def test_a_second_demo_of_the_folder_is_told_that_one_is_at_work(copy: tuple[Path, Path], tmp_path: Path) -> None:
    root, store = copy
    before = look(store, root, events)
    other = plant(tmp_path / "other", files=2)

    async def beside() -> tuple[Ended, Ended]:
        async with alone(store, "default", os.fsencode(root)):
            second = await asyncio.to_thread(execute, "demo", str(root), "--store", str(store), "--again")
            return second, await asyncio.to_thread(execute, "demo", str(other), "--store", str(store))

    second, of_another_folder = asyncio.run(beside())
    assert (second.code, second.out) == (6, "")
    assert f"another demo of {root} is at work in {store} (process {os.getpid()}) [demo_at_work]" in second.err
    assert second.err.count("\n") == 2
    assert look(store, root, events) == before
    assert (of_another_folder.code, holding(of_another_folder)) == (0, FIGURES)


@pytest.mark.soak
def test_of_a_large_tree_the_figures_speak_of_the_list_and_tell_what_it_leaves_out(tmp_path: Path) -> None:
    root, store = plant(tmp_path / "tree", files=2), tmp_path / "demo.db"
    for name in ("y", "z"):
        with open(root / f"{name}.txt", "wb") as file:
            file.write(b"words " * (5 * 2**20 // 6))
    for number in range(7):
        os.link(root / "z.txt", root / f"z{number}.txt")
    ended = execute("demo", str(root), "--store", str(store))
    assert (ended.code, holding(ended)) == (0, FIGURES)
    assert "\n1. every file of the list was counted exactly once: holds\n" in ended.out
    assert "; the list leaves out 5 files of the folder\n" in ended.out
    assert "\n3. the totals equal a plain recount of the list: holds\n" in ended.out
    told = "left out: 5 files (this is a large tree: the demo takes the first 6 files, about 32 MiB)\n"
    assert ended.out.count(told) == 2, "as it begins, and with the table"
    assert told in invoke("demo", str(root), "--store", str(store)).out


def test_a_child_that_gives_up_ends_the_demo_with_what_it_said(tmp_path: Path) -> None:
    """A list that lost a piece: the worker cannot begin, and nobody waits for it."""
    root, store = plant(tmp_path / "tree", files=3), tmp_path / "demo.db"
    listing = list_files(os.fsencode(root), store=store)

    async def begin_and_lose_the_list() -> None:
        async with Holdfast.open(f"sqlite:///{store}") as hold:
            ledger = await ledgers.begin(hold, os.fsencode(root), listing)
            await ledger.work.state.delete("list/000")

    asyncio.run(begin_and_lose_the_list())
    ended = execute("demo", str(root), "--store", str(store))
    assert ended.code == 1
    assert "the worker ended with 1: " in ended.err
    assert "list/000" in ended.err
    assert "Traceback" not in ended.err
    assert "never retrieved" not in ended.err


def children_of(happened: list[tuple[str, Any]]) -> list[int]:
    return [data["pid"] for name, data in happened if name in ("started", "resumed")]


def wait_until_gone(pids: list[int]) -> None:
    """Wait for the end of processes that are not ours to wait for."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        assert select.select([handle], [], [], 60)[0], f"{pid} lives on"
        os.close(handle)


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.soak)])
def test_an_interrupted_run_leaves_no_process_and_the_next_one_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    root, store = plant(tmp_path / "tree", files=400), tmp_path / "demo.db"
    with start("demo", str(root), "--store", str(store)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if "killed with SIGKILL" in line:
                break
        process.send_signal(how)
        process.stdout.read()
        complaint = process.stderr.read()
    assert process.returncode == (130 if how is signal.SIGINT else -how)
    if how is signal.SIGINT:
        assert complaint == "interrupted; run it again and it goes on where it stopped\n"
    happened = look(store, root, events)
    # At once: what a SIGKILL left behind holds the lock until it has gone too, and the next run waits for that.
    again = execute("demo", str(root), "--store", str(store))
    wait_until_gone(children_of(happened))
    assert (again.code, holding(again)) == (0, FIGURES), again.out + again.err
    assert not list(tmp_path.glob("demo.db-demo-*"))
    if not any(name == "finished" for name, _ in happened):
        assert "going on with" in again.out
    assert "400 files, 400 marks, 400 messages, 400 in the totals" in again.out


def test_a_reader_that_leaves_ends_the_demo_quietly_and_the_next_run_goes_on(tmp_path: Path) -> None:
    root, store = plant(tmp_path / "tree", files=50), tmp_path / "demo.db"
    with start("demo", str(root), "--store", str(store)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
    again = execute("demo", str(root), "--store", str(store))
    assert (again.code, holding(again)) == (0, FIGURES)


def test_a_store_that_is_of_another_program_is_refused(tmp_path: Path) -> None:
    root, store = plant(tmp_path / "tree", files=1), tmp_path / "notes.txt"
    store.write_text("keep me " * 100)
    ended = execute("demo", str(root), "--store", str(store))
    assert ended.code == 2
    assert "[corrupt]" in ended.err
    assert store.read_text() == "keep me " * 100


def test_a_person_at_the_terminal_decides_what_becomes_of_the_second_act(copy: tuple[Path, Path]) -> None:
    """The question is asked there, once; a no is kept and done, by a process that had died in between."""
    root, store = copy
    forget_the_second_act(store)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "holdfast.cli", "demo", str(root), "--store", str(store), "--plain"],
        env=environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(ours, b"perhaps\nno\n")  # read once the question is there
        out, err = process.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert (process.returncode, err) == (0, "")
    assert "Please type y or n" in out
    assert "rejected; starting the publisher again" in out
    assert "asked once, rejected once, held back once; killed once while it waited" in out


def forget_the_second_act(store: Path) -> None:
    """As if the demo had ended after the first."""

    async def forget() -> None:
        async with Holdfast.open(f"sqlite:///{store}", background=False) as hold:
            [release] = (await hold.sessions.list(mode="release")).items
            await hold.sessions.delete(release.id)

    asyncio.run(forget())
