"""PostgreSQL that restarts, lines that are cut, sessions that are ended from outside: nothing lost, nothing twice.

Tasks append to a few scopes through the writer while it happens. What they were told is then held against the logs.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from holdfast.backends.postgres import PostgresKernel, Settings
from holdfast.backends.postgres.connections import Outage, connect
from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import Append, Commit, CommitId, Committed, Put, Read, ScopeCommit
from holdfast.kernel.contract import Kernel
from holdfast.kernel.writer import Writer
from holdfast.system import SystemClock, SystemIds
from holdfast.testing.servers import PostgresServer
from tests.faults.cutting_line import Cut, CuttingLine
from tests.servers import afresh, postgres, schema, settings

SCOPES = [f"session/{number}" for number in range(4)]
SPACE = "faults"


@pytest.fixture
def given() -> Settings:
    return afresh()


@pytest.fixture(scope="module")
def own() -> Iterator[PostgresServer]:
    """A server that may be restarted without hurting anybody."""
    server = PostgresServer.start()
    yield server
    server.stop()


class Told:
    """What the tasks were told of what they appended, each piece with a body of its own."""

    def __init__(self) -> None:
        self.committed: dict[bytes, tuple[str, int]] = {}
        self.unapplied: set[bytes] = set()
        self.unknown: set[bytes] = set()
        self._came = asyncio.Event()

    async def more(self, count: int) -> None:
        """Wait until so many more were acknowledged."""
        goal = len(self.committed) + count
        async with asyncio.timeout(60):
            while len(self.committed) < goal:
                self._came.clear()
                await self._came.wait()

    async def append(self, writer: Writer, scope: str, body: bytes) -> None:
        part = ScopeCommit(scope, "create", appends=(Append("l/", body),), body=body)
        try:
            outcome = await writer.commit(Commit((part,), 0))
        except Unavailable:
            self.unapplied.add(body)
        except Indeterminate:
            self.unknown.add(body)
        else:
            assert isinstance(outcome, Committed)
            self.committed[body] = (scope, outcome.seqs[scope])
            self._came.set()

    async def check(self, kernel: Kernel) -> None:
        """Each record once, each acknowledged one at its place, and none that surely was not applied."""
        logged: Counter[bytes] = Counter()
        places = {}
        for scope in SCOPES:
            records = await kernel.log(scope, limit=10_000)
            assert [record.seq for record in records] == list(range(1, len(records) + 1))
            logged.update(record.body for record in records)
            places.update({record.body: (scope, record.seq) for record in records})
        assert max(logged.values()) == 1
        assert {body: places.get(body) for body in self.committed} == self.committed
        assert not self.unapplied & places.keys()
        assert places.keys() - self.committed.keys() <= self.unknown


@asynccontextmanager
async def appending(kernel: Kernel, told: Told, *, tasks: int = 8) -> AsyncIterator[None]:
    """Tasks that append for as long as the block runs; at its end each finishes what it began."""
    writer = Writer(kernel, clock=SystemClock(), ids=SystemIds())
    ended = asyncio.Event()

    async def client(number: int) -> None:
        turn = 0
        while not ended.is_set():
            turn += 1
            await told.append(writer, SCOPES[(number + turn) % len(SCOPES)], f"{number}-{turn}".encode())

    clients = [asyncio.create_task(client(number)) for number in range(tasks)]
    try:
        yield
    finally:
        ended.set()
        await asyncio.gather(*clients)
        await writer.close()


@pytest.mark.parametrize("where", ["request", "reply"])
async def test_a_line_cut_around_a_commit_loses_nothing_and_doubles_nothing(
    given: Settings, tmp_path_factory: pytest.TempPathFactory, where: Cut
) -> None:
    """G5, G6: whether it was the request or the reply that was lost, the writer learns what became of it."""
    folder = _short_folder(tmp_path_factory)
    random, told = Random(1), Told()
    odds = 0.0

    def cut() -> Cut | None:
        return where if random.random() < odds else None

    async with CuttingLine(folder, postgres().socket, cut, size=600) as line:
        through = Settings(given.dsn.replace(str(postgres().folder), str(folder)), "a line that is cut", schema())
        kernel = await PostgresKernel.open(through, space=SPACE)
        odds = 0.2
        async with appending(kernel, told):
            while line.cuts < 4:
                await told.more(8)
        await kernel.close()
    straight = await PostgresKernel.open(given, space=SPACE)
    await told.check(straight)
    assert not told.unknown
    await straight.close()


def _short_folder(folders: pytest.TempPathFactory) -> Path:
    """A folder whose name leaves room for a socket's."""
    return folders.mktemp("l")


async def test_sessions_ended_from_outside_lose_nothing_and_double_nothing(own: PostgresServer) -> None:
    """G5, G6: an operator who ends every session of ours costs a pause."""
    told, given = Told(), settings(own)
    kernel = await PostgresKernel.open(given, space="ended")
    operator = await connect(given, "the operator", None)
    async with appending(kernel, told):
        for _ in range(4):
            await told.more(20)
            await operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'holdfast %'"
            )
        await told.more(20)
    await operator.close(timeout=1)
    await told.check(kernel)
    assert not told.unknown
    await kernel.close()


async def test_a_server_that_stops_at_once_loses_nothing_that_it_acknowledged(own: PostgresServer) -> None:
    """G5, G6: it is as if it lost power amid commits, and whoever waits goes on when it is back."""
    told = Told()
    kernel = await PostgresKernel.open(settings(own), space=SPACE)
    async with appending(kernel, told):
        for _ in range(2):
            await told.more(20)
            await asyncio.to_thread(own.restart, "immediate")
        await told.more(20)
    await told.check(kernel)
    assert await kernel.read([Read(SCOPES[0])], now_us=0)
    await kernel.close()


async def test_a_late_first_send_lands_nowhere(given: Settings) -> None:
    """G5: once a repeat was told what it was told, the first send finds its id used, over whatever connection."""
    one = await PostgresKernel.open(given, space=SPACE)
    other = await PostgresKernel.open(given, space=SPACE)
    late = Commit((ScopeCommit("session/late", puts=(Put("k", b""),)),), 1, id=CommitId("w", 1))
    (first,) = await other.commit([late])
    assert not isinstance(first, Committed)
    await other.commit([Commit((ScopeCommit("session/late", "create", body=b"x"),), 1, id=CommitId("v", 1))])
    (outcome,) = await one.commit([late])
    assert isinstance(outcome, Unavailable)
    assert outcome.facts["burnt"]
    assert (await one.read([Read("session/late", ("k",))], now_us=1))[0].cells == {}
    for kernel in (one, other):
        await kernel.close()


async def test_who_comes_during_an_outage_shares_its_one_wait(own: PostgresServer, tmp_path: Path) -> None:
    """They say Unavailable once a server stayed away for `timeout`, and work again as soon as it is back."""
    road = tmp_path / "road"
    road.symlink_to(own.folder)
    here = settings(own)
    there = Settings(here.dsn.replace(str(own.folder), str(road)), here.shown, timeout_s=0.05)
    kernel = await PostgresKernel.open(there, space="outage")
    writer = Writer(kernel, clock=SystemClock(), ids=SystemIds())

    def commit() -> Commit:
        return Commit((ScopeCommit("session/away", "create", puts=(Put("k", b"1"),)),), 1)

    await writer.commit(commit())
    road.unlink()
    await end_others(here)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await writer.again(lambda: kernel.read([Read("session/away", ("k",))], now_us=1))
        with pytest.raises((Unavailable, Indeterminate)):
            await writer.commit(commit())
    road.symlink_to(own.folder)
    await writer.commit(commit())
    assert (await kernel.read([Read("session/away", ("k",))], now_us=1))[0].cells["k"].value == b"1"
    await writer.close()
    await kernel.close()


def test_an_outage_is_waited_for_once() -> None:
    """It counts from the first connection that could not be made, whoever asks, and ends with one that could."""
    outage = Outage(10.0)
    assert outage.left_s(100.0) == 10.0
    outage.lasts(100.0)
    outage.lasts(104.0)
    assert outage.left_s(106.0) == 4.0
    assert outage.left_s(200.0) == 0.0
    outage.ends()
    assert outage.left_s(200.0) == 10.0


async def end_others(here: Settings) -> None:
    """End every connection to the server, as its end would."""
    one = await connect(here, "ends others", None)
    await one.fetch(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    await one.close(timeout=1)


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """Opening says so at once, and shows no password."""
    nowhere = Settings(f"postgresql://ada:secret@/db?host={tmp_path}", "postgresql://…@/db")
    with pytest.raises(Unavailable) as refused:
        await PostgresKernel.open(nowhere)
    assert "secret" not in str(refused.value)
