"""Several processes on one SQLite file make one strictly serialisable history, as tasks of one process do."""

import asyncio
from pathlib import Path

import pytest

from holdfast import Holdfast, Scope
from holdfast.backends.sqlite import SqliteKernel
from holdfast.testing.history import Operation
from holdfast.testing.place import Place, place_in_one_bucket
from holdfast.testing.recording import load, read_log
from tests.concurrency.clients import Listener, found, verdict
from tests.crash.nursery import Nursery, child

PLACE = place_in_one_bucket(sessions=2, accounts=3)


def job(path: Path, notes: Path, place: Place, n: int, **more: object) -> dict[str, object]:
    """The clients of one process, which write their notes into a file of their own."""
    return child(
        "tests.crash.children:clients",
        path=str(path),
        notes=str(notes / f"{n}.jsonl"),
        sessions=place.sessions,
        accounts=place.accounts,
        place=n,
        **more,
    )


def test_clients_in_several_processes_on_one_file_make_a_strictly_serialisable_history(tmp_path):
    """Totals are preserved in every one-cut read, nothing is lost, nothing invented, in whichever process."""
    operations = run_processes(tmp_path, processes=3, steps=100, seed=0)
    overlapping = sum(
        one.began < other.ended and other.began < one.ended
        for one in operations
        for other in operations
        if one.id.split(":")[1] < other.id.split(":")[1] and one.writes and other.writes
    )
    assert overlapping > 100, "the processes took turns instead of running side by side"


def run_processes(tmp_path: Path, *, processes: int, steps: int, seed: int) -> list[Operation]:
    """Let processes work on one new file, hold the history against the logs, and return it."""
    path = tmp_path / "store.db"
    lines: list[bytes] = []

    async def begin() -> None:
        async with Holdfast.over(await SqliteKernel.open(path)) as hold:
            await found(hold, PLACE, lines=lines)

    async def judge() -> None:
        kernel = await SqliteKernel.open(path)
        async with Holdfast.over(kernel):
            assert await verdict(kernel, PLACE, lines) == []

    asyncio.run(begin())
    with Nursery() as nursery:
        ends = nursery.run(
            *(job(path, tmp_path, PLACE, n, tasks=4, steps=steps, seed=seed + n) for n in range(1, processes + 1))
        )
    assert ends == [0] * processes
    for n in range(1, processes + 1):
        lines += (tmp_path / f"{n}.jsonl").read_bytes().splitlines(keepends=True)
    asyncio.run(judge())
    return load(lines)


def test_a_follower_in_one_process_gets_every_change_that_others_make(tmp_path):
    """The change stream crosses processes, in order and without a gap."""
    path = tmp_path / "store.db"
    lines: list[bytes] = []

    async def follow() -> None:
        kernel = await SqliteKernel.open(path)
        async with Holdfast.over(kernel) as hold:
            await found(hold, PLACE, lines=lines)
            listener = Listener(hold, PLACE)
            live = asyncio.create_task(listener.listen(until=10**9))
            with Nursery() as nursery:
                jobs = [job(path, tmp_path, PLACE, n, tasks=2, steps=30, seed=n) for n in (1, 2)]
                assert await asyncio.to_thread(nursery.run, *jobs) == [0, 0]
            logs = {scope: await read_log(kernel, scope) for scope in PLACE.scopes}
            total = sum(len(entry.effects) for log in logs.values() for entry in log)
            await asyncio.wait_for(listener.heard(total), timeout=20)
            live.cancel()
            assert listener.verdict(logs) == []

    asyncio.run(follow())


def test_the_stream_of_a_user_tells_each_of_their_short_lived_sessions_in_other_processes_and_no_others(tmp_path):
    """Exactly once, whole and in order, however often an id changes hands between two looks."""
    path = tmp_path / "store.db"
    turns, users = 120, ["ada", "bob", "ada", "eve", "bob"]

    async def follow() -> None:
        async with Holdfast.over(await SqliteKernel.open(path)) as hold, hold.changes(user="ada") as changes:
            with Nursery() as nursery:
                jobs = [
                    child("tests.crash.children:short_lives", path=str(path), ids=ids, users=users, turns=turns)
                    for ids in (["a", "b", "c"], [f"n{n}" for n in range(turns)])
                ]
                assert await asyncio.to_thread(nursery.run, *jobs) == [0, 0]
            await hold.state(Scope.user("ada")).set("last", 1)
            told: dict[str, list[tuple[str, object]]] = {}
            count = 0
            while count < 2 * 4 * sum(users[turn % 5] == "ada" for turn in range(turns)) + 1:
                change = await asyncio.wait_for(anext(changes), 20)
                told.setdefault(change.scope.id, []).append((change.op, change.value))
                count += 1
        assert told.pop("ada") == [("set", 1)]
        for lives in told.values():
            whole = [lives[at : at + 4] for at in range(0, len(lives), 4)]
            assert [[op for op, _ in life] for life in whole] == [["set", "append", "set", "delete"]] * len(whole)
            assert all(life[0][1]["user"] == life[2][1][0] == "ada" for life in whole)
            numbers = [life[2][1][1] for life in whole]
            assert numbers == sorted(set(numbers))

    asyncio.run(follow())


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(40))
def test_long_histories_of_processes_are_strictly_serialisable(seed, tmp_path):
    run_processes(tmp_path, processes=2 + seed % 4, steps=400, seed=1000 * seed)
