"""Files that are removed or replaced under an open store: nothing is acknowledged that nobody would find."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast import Holdfast
from holdfast.backends.sqlite import SqliteKernel, SqliteStore, place, reserve
from holdfast.errors import Closed, HoldfastError, Indeterminate, Unavailable
from holdfast.kernel.commit import Retention
from tests.unit.backends.sqlite.drafts import NOW_US, Lane, applied, finished, start, value_of
from tests.unit.backends.sqlite.striking import Striking

LOST = "removed or replaced"


def aside(path: Path) -> Path:
    """Where the file itself can still be looked at."""
    return path.with_name("aside.db")


def unlink_all(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def move_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.mkdir()


LOSSES: dict[str, Callable[[Path], Any]] = {
    "the file is unlinked": lambda path: path.unlink(),
    "the log is unlinked": lambda path: path.with_name("store.db-wal").unlink(),
    "the index is unlinked": lambda path: path.with_name("store.db-shm").unlink(),
    "log and index are unlinked": lambda path: [path.with_name(f"store.db-{end}").unlink() for end in ("wal", "shm")],
    "the lock file is unlinked": lambda path: path.with_name("store.db-lock").unlink(),
    "another lock file is renamed over it": lambda path: os.replace(
        path.with_name("backup.db-lock"), path.with_name("store.db-lock")
    ),
    "everything is unlinked": unlink_all,
    "the file is moved away": lambda path: path.rename(path.with_name("away.db")),
    "a backup is renamed over it": lambda path: os.replace(path.with_name("backup.db"), path),
    "a backup is renamed over it, the log removed": lambda path: (
        os.replace(path.with_name("backup.db"), path),
        path.with_name("store.db-wal").unlink(),
    ),
    "its folder is moved": move_the_folder,
}

KEPT = {
    "the log is unlinked",
    "the index is unlinked",
    "log and index are unlinked",
    "the lock file is unlinked",
    "another lock file is renamed over it",
}
"""After these the file itself is where it was."""

BACKUP = {"a backup is renamed over it", "a backup is renamed over it, the log removed"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "store.db"


async def opened(path: Path, failpoint: Callable[[str], None] | None = None) -> tuple[SqliteKernel, Lane]:
    """A store with one commit in it, a backup of an earlier state beside it, and a second name for its file."""
    backup = await SqliteKernel.open(path.with_name("backup.db"))
    await applied(backup, Lane("backup").put("s/1", "k", b"backup"))
    await backup.close()
    kernel, lane = await SqliteKernel.open(path, failpoint=failpoint), Lane()
    os.link(path, path.parent.parent / "aside.db")
    await applied(kernel, lane.put("s/1", "k", b"acknowledged"))
    assert await value_of(kernel, "s/1", "k") == b"acknowledged"
    assert await kernel.scopes(limit=1_000) == ("s/1",)
    return kernel, lane


async def check_closed(kernel: SqliteKernel, lane: Lane) -> None:
    """Every verb says what happened and what to do, and closing works."""
    for verb in (
        kernel.scopes(),
        kernel.scopes(limit=1_000),
        kernel.moved(),
        value_of(kernel, "s/1", "k"),
        kernel.commit([lane.put("s/1", "k", b"x")]),
        kernel.sweep(now_us=NOW_US, retention=Retention()),
    ):
        with pytest.raises(Closed, match=LOST) as closed:
            await verb
        assert "Open the store again" in closed.value.remedy
    await kernel.close()


async def check_what_is_left(path: Path, loss: str) -> None:
    """Opening again takes what is at the path, whole; the old file, where it can still be found, has what it had."""
    again = await SqliteKernel.open(path)
    expected = b"acknowledged" if loss in KEPT else b"backup" if loss in BACKUP else None
    assert await value_of(again, "s/1", "k") == expected
    assert await applied(again, Lane("again").put("s/2", "k", b"v")) == {"s/2": 1}
    await again.close()
    found = apsw.Connection(str(path))
    assert found.pragma("integrity_check") == "ok"
    found.close()
    again = await SqliteKernel.open(path)
    assert await value_of(again, "s/1", "k") == expected
    assert await value_of(again, "s/2", "k") == b"v"
    await again.close()


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_loss_before_a_commit_is_noticed_before_anything_is_written(
    path: Path, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G6, G7: a definite error, and the store closes itself."""
    monkeypatch.setattr(place, "FRESH_S", 0.0)
    kernel, lane = await opened(path)
    LOSSES[loss](path)
    with pytest.raises(Closed, match=LOST):
        await kernel.commit([lane.put("s/1", "k", b"lost"), lane.put("s/2", "k", b"lost")])
    await check_closed(kernel, lane)
    await check_what_is_left(path, loss)


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_loss_within_a_commit_is_indeterminate(path: Path, loss: str) -> None:
    """G6: written, but nobody is told so; and the store closes itself."""
    armed = False

    def failpoint(name: str) -> None:
        if armed and name == "batch.written":
            LOSSES[loss](path)

    kernel, lane = await opened(path, failpoint)
    armed = True
    with pytest.raises(Indeterminate, match=LOST):
        await kernel.commit([lane.put("s/9", "k", b"unknown")])
    await check_closed(kernel, lane)
    await check_what_is_left(path, loss)


@pytest.mark.parametrize("loss", ["the file is unlinked", "the file is moved away", "a backup is renamed over it"])
async def test_the_old_file_keeps_all_that_was_acknowledged(path: Path, loss: str) -> None:
    """G6: what stood in the log only is copied into the file it belongs to, and not mixed into its successor."""
    kernel, _ = await opened(path)
    LOSSES[loss](path)
    await kernel.close()
    old = await SqliteKernel.open(path.parent.parent / "aside.db")
    assert await value_of(old, "s/1", "k") == b"acknowledged"
    await old.close()
    await check_what_is_left(path, loss)


@pytest.mark.parametrize("loss", LOSSES)
async def test_no_commit_is_acknowledged_after_a_loss_whenever_it_is_noticed(path: Path, loss: str) -> None:
    """G6, with the looks as rare as they are."""
    kernel, lane = await opened(path)
    LOSSES[loss](path)
    with pytest.raises((Closed, Indeterminate), match=LOST):
        await kernel.commit([lane.put("s/9", "k", b"v")])
    await check_closed(kernel, lane)
    await check_what_is_left(path, loss)


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_store_that_only_reads_notices_too(path: Path, loss: str) -> None:
    """Within the time that a look is good for; until then it answers from the file it has open."""
    kernel, lane = await opened(path)
    LOSSES[loss](path)
    until = time.monotonic() + 30
    with pytest.raises(Closed, match=LOST):
        while time.monotonic() < until:
            assert await value_of(kernel, "s/1", "k") == b"acknowledged"
    await check_closed(kernel, lane)
    await check_what_is_left(path, loss)


@pytest.mark.parametrize("when", ["before", "sweep.written"])
async def test_a_sweep_on_lost_files_raises_closed(path: Path, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a commit may be indeterminate: a sweep changes nothing that anybody sees."""
    monkeypatch.setattr(place, "FRESH_S", 0.0)
    armed = False

    def failpoint(name: str) -> None:
        if armed and name == when:
            path.unlink()

    kernel, lane = await opened(path, failpoint)
    await applied(kernel, lane.put("s/1", "old", b"v", expires_us=NOW_US))
    armed = True
    if when == "before":
        path.unlink()
    with pytest.raises(Closed, match=LOST):
        await kernel.sweep(now_us=NOW_US + 1, retention=Retention())
    await check_closed(kernel, lane)


async def test_a_space_is_not_made_in_a_lost_file(path: Path) -> None:
    def failpoint(name: str) -> None:
        if name == "space.written":
            path.unlink()

    store = await SqliteStore.open(path, failpoint=failpoint)
    with pytest.raises(Closed, match=LOST):
        await SqliteKernel.on(store, space="new")
    await store.close()


async def test_of_a_batch_that_is_taken_apart_each_commit_gets_its_own_answer(path: Path) -> None:
    """G6, G7: applied, unknown, and surely not applied are told apart."""
    armed = 0

    def failpoint(name: str) -> None:
        nonlocal armed
        if armed and name == "batch.written":
            armed += 1
            if armed == 2:
                raise RuntimeError("the batch is to be taken apart")
            if armed == 4:
                path.unlink()

    kernel, lane = await opened(path, failpoint)
    armed = 1
    outcomes = await kernel.commit([lane.put(f"s/{n}", "k", b"v") for n in range(4)])
    assert [type(outcome).__name__ for outcome in outcomes] == ["Committed", "Indeterminate", "Closed", "Closed"]
    await check_closed(kernel, lane)


async def test_through_the_handles_a_set_and_a_transaction_say_so(path: Path) -> None:
    """The error of the surface is the store's own, with its remedy."""
    for lose in ("set", "transaction"):
        hold = await Holdfast.open(f"sqlite:///{path}")
        s = await hold.sessions.open("s")
        await s.state.set("k", 1)
        path.unlink()
        with pytest.raises((Closed, Indeterminate), match=LOST) as problem:
            if lose == "set":
                await s.state.set("k", 2)
            else:
                async with s.transaction() as tx:
                    await tx.state.set("k", 2)
        assert "Open the store again" in problem.value.remedy
        with pytest.raises(Closed, match=LOST):
            await s.state.get("k")
        await hold.close()
        async with Holdfast.open(f"sqlite:///{path}") as hold:
            assert await (await hold.sessions.open("s")).state.get("k") is None


async def test_opening_again_in_one_process_closes_the_store_that_lost_its_file(path: Path) -> None:
    """Two files must not share one index; the older store closes, though it had not noticed."""
    kernel, lane = await opened(path)
    path.unlink()
    again = await SqliteKernel.open(path)
    assert await again.scopes() == ()
    await applied(again, lane.put("s/2", "k", b"new"))
    await check_closed(kernel, lane)
    await applied(again, lane.put("s/2", "k", b"newer"))
    await again.close()
    again = await SqliteKernel.open(path)
    assert await value_of(again, "s/2", "k") == b"newer"
    assert await value_of(again, "s/1", "k") is None
    await again.close()


# --- while it opens -------------------------------------------------------------------------------


def replace_log(path: Path) -> None:
    path.with_name("store.db-wal").unlink(missing_ok=True)
    path.with_name("store.db-wal").touch()


STRIKES: dict[str, Callable[[Path], None]] = {
    "file": lambda path: path.unlink(missing_ok=True),
    "log": lambda path: path.with_name("store.db-wal").unlink(missing_ok=True),
    "index": lambda path: path.with_name("store.db-shm").unlink(missing_ok=True),
    "another log": replace_log,
    "everything": unlink_all,
}


STRIDE = {"new": 7, "made": 2}
"""Of the calls of an opening so few are struck, or it would take a minute; every one was, with 1."""


@pytest.mark.parametrize("what", STRIKES)
@pytest.mark.parametrize("state", ["new", "made"])
async def test_a_store_whose_files_are_removed_while_it_opens_is_the_one_at_the_path(
    path: Path, what: str, state: str
) -> None:
    """G6: whatever instant of the opening it hits, what is acknowledged later is found through the path."""
    struck = acknowledged = 0
    for step in itertools.count(1, STRIDE[state]):
        if state == "made":
            await (await SqliteKernel.open(path)).close()
        vfs = Striking(lambda: STRIKES[what](path), after=step)
        try:
            kernel = await SqliteKernel.open(path, vfs=vfs.name)
        except HoldfastError:
            pass
        else:
            with contextlib.suppress(Closed, Indeterminate):
                await applied(kernel, Lane().put("s/1", "k", b"v"))
                acknowledged += 1
                outside = apsw.Connection(str(path))
                assert outside.execute("SELECT value FROM cells WHERE key = 'k'").fetchall() == [(b"v",)], step
                outside.close()
            await kernel.close()
        unlink_all(path)
        if vfs.left > 0:
            break
        struck += 1
    assert struck > 5
    assert acknowledged > 0


async def test_an_opening_that_met_a_removal_says_what_to_do(path: Path) -> None:
    """A definite error that trying again cures."""
    await (await SqliteKernel.open(path)).close()
    vfs = Striking(lambda: replace_log(path), after=0)
    with pytest.raises(Unavailable, match="while"):
        for vfs.left in range(2, 30):
            await (await SqliteKernel.open(path, vfs=vfs.name)).close()
    again = await SqliteKernel.open(path)
    assert await again.scopes() == ()
    await again.close()


# --- what is no loss ------------------------------------------------------------------------------


async def test_a_link_and_a_relative_path_lead_to_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log stands beside the file itself; the working directory may change."""
    monkeypatch.setattr(place, "FRESH_S", 0.0)
    link = path.parent.parent / "link.db"
    link.symlink_to(path)
    monkeypatch.chdir(path.parent)
    kernels = [await SqliteKernel.open(name) for name in (link, "store.db", "../link.db")]
    monkeypatch.chdir("/")
    for kernel in kernels:
        await applied(kernel, Lane("w").put("s/1", "k", b"v")) if kernel is kernels[0] else None
        assert await value_of(kernel, "s/1", "k") == b"v"
        await kernel.sweep(now_us=NOW_US, retention=Retention())
    other = await SqliteKernel.open(path.with_name("other.db"))
    link.unlink()
    link.symlink_to(path.with_name("other.db"))
    with pytest.raises(Closed, match=LOST):
        await kernels[0].scopes()
    assert await value_of(kernels[1], "s/1", "k") == b"v"
    for kernel in (*kernels, other):
        await kernel.close()


async def test_a_store_opened_through_a_link_has_its_files_beside_the_file_itself(path: Path) -> None:
    """Two names of one file must not mean two lock files; the reserve is on the disk that the file is on."""
    link = path.parent.parent / "link.db"
    link.symlink_to(path)
    for name in (link, path):
        kernel = await SqliteKernel.open(name)
        await applied(kernel, Lane("w").put("s/1", "k", b"v"))
        assert sorted(file.name for file in path.parent.iterdir()) == [
            path.name + end for end in ("", "-lock", "-shm", "-wal")
        ]
        assert path.with_name("store.db-lock").stat().st_size >= reserve.ROOM_BYTES
        assert [file.name for file in path.parent.parent.iterdir() if file.is_symlink() or file.is_file()] == [
            "link.db"
        ]
        await kernel.close()


async def test_checkpoints_and_vacuum_from_outside_are_no_loss(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They cut back, begin anew and fill the same files."""
    monkeypatch.setattr(place, "FRESH_S", 0.0)
    kernel, lane = await opened(path)
    outside = apsw.Connection(str(path))
    outside.set_busy_timeout(10_000)
    for mode in (apsw.SQLITE_CHECKPOINT_RESTART, apsw.SQLITE_CHECKPOINT_TRUNCATE):
        await applied(kernel, lane.put("s/1", "k", b"v"))
        outside.wal_checkpoint(mode=mode)
    outside.execute("VACUUM")
    await applied(kernel, lane.put("s/1", "k", b"v"))
    outside.close()
    assert await value_of(kernel, "s/1", "k") == b"v"
    await kernel.close()


OPENING = """
import asyncio, sys
from holdfast.backends.sqlite import SqliteKernel
from tests.unit.backends.sqlite.drafts import Lane, applied, value_of

async def main(path, name):
    for n in range(40):
        kernel = await SqliteKernel.open(path)
        await applied(kernel, Lane(f"{name}{n}").put("s/" + name, "k", b"%d" % n))
        assert await value_of(kernel, "s/" + name, "k") == b"%d" % n
        await kernel.close()

asyncio.run(main(*sys.argv[1:]))
"""


def test_processes_that_open_and_close_take_no_log_from_each_other(path: Path) -> None:
    """The last to close removes log and index, under a lock that nobody has who has them open: no false alarm."""
    for child in [start(OPENING, path, name) for name in "abc"]:
        finished(child)


# --- several processes ----------------------------------------------------------------------------

COMMITTING = """
import asyncio, sys
from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import Closed, Indeterminate
from tests.unit.backends.sqlite.drafts import Lane, applied

async def main(path, name):
    kernel, lane = await SqliteKernel.open(path), Lane(name)
    print("open", flush=True)
    sys.stdin.readline()
    n = 0
    try:
        while True:
            await applied(kernel, lane.put("s/" + name, f"k{n}", bytes(500)))
            n += 1
            if n == 20:
                print("going", flush=True)
    except (Closed, Indeterminate) as error:
        assert "removed or replaced" in str(error), error
    await kernel.close()
    print(n, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("loss", [*sorted(KEPT), "the file is unlinked"])
async def test_processes_that_lose_their_files_lost_nothing_acknowledged(path: Path, loss: str) -> None:
    """G6: of two that were committing, both close, and every commit they were told of is in the old file."""
    kernel, _ = await opened(path)
    await kernel.close()
    children = {name: start(COMMITTING, path, name) for name in "ab"}
    for child in children.values():
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "open\n"
    for child in children.values():
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children.values():
        assert child.stdout.readline() == "going\n"
    LOSSES[loss](path)
    acknowledged = {name: int(finished(child)) for name, child in children.items()}
    again = await SqliteKernel.open(path if loss in KEPT else path.parent.parent / "aside.db")
    for name, count in acknowledged.items():
        assert count >= 20
        for n in range(count):
            assert await value_of(again, f"s/{name}", f"k{n}") is not None, (name, n, count)
    await again.close()
    if loss not in KEPT:
        await check_what_is_left(path, loss)


OPENING_THE_OTHER = """
import asyncio, sys
from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import StoreLocked
from tests.unit.backends.sqlite.drafts import Lane, applied

async def main(path):
    try:
        kernel = await SqliteKernel.open(path)
    except StoreLocked as error:
        assert "before" in str(error) and "every process" in error.remedy, error
        return print("refused")
    await applied(kernel, Lane("other").put("s/other", "k", b"v"))
    await kernel.close()
    print("opened")

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("loss", ["the file is unlinked", "a backup is renamed over it"])
async def test_a_store_without_its_lock_file_is_not_opened_while_another_process_has_it(path: Path, loss: str) -> None:
    """G6: whether that is the same file or one that was there before, nobody can tell; asking twice is no help."""
    kernel, _ = await opened(path)
    path.with_name("store.db-lock").unlink()
    LOSSES[loss](path)
    for _ in range(2):
        assert finished(start(OPENING_THE_OTHER, path)) == "refused\n"
        assert not path.with_name("store.db-lock").exists()
    await kernel.close()
    assert finished(start(OPENING_THE_OTHER, path)) == "opened\n"
    await check_what_is_left(path, loss)


@pytest.mark.parametrize("loss", ["the file is unlinked", "a backup is renamed over it"])
async def test_a_file_is_not_opened_beside_the_one_it_took_the_place_of(path: Path, loss: str) -> None:
    """G6: who opens it would take the other's log and index for its own, and lose what it was told is durable."""
    kernel, _ = await opened(path)
    await (await SqliteKernel.open(path)).close()  # one of two of this process: the other still counts
    assert finished(start(OPENING_THE_OTHER, path)) == "opened\n"
    LOSSES[loss](path)
    assert finished(start(OPENING_THE_OTHER, path)) == "refused\n"
    await kernel.close()
    assert finished(start(OPENING_THE_OTHER, path)) == "opened\n"
    again = await SqliteKernel.open(path)
    assert await value_of(again, "s/other", "k") == b"v"
    assert await value_of(again, "s/1", "k") == (b"backup" if loss in BACKUP else None)
    await again.close()
