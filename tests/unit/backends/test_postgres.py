"""What only the PostgreSQL backend promises, on a real server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import Holdfast
from holdfast.backends.postgres import PostgresKernel, Settings
from holdfast.backends.postgres.connections import connect
from holdfast.backends.postgres.log import position_of
from holdfast.backends.postgres.places import PLACE_BYTES_MAX, place_of
from holdfast.backends.postgres.schema import durability_of, ensure_schema
from holdfast.errors import Closed, InvalidValue, StoreTooNew, Unsupported
from holdfast.kernel.commit import Append, Commit, CommitId, Committed, Entry, Put, Range, Read, ScopeCommit
from holdfast.testing.servers import PostgresServer
from tests.faults.cutting_line import CuttingLine
from tests.servers import afresh, postgres, schema

A = "session/a"


@pytest.fixture
def given() -> Settings:
    return afresh()


def put(n: int, *, writer: str = "w") -> Commit:
    return Commit((ScopeCommit(A, "create", puts=(Put("k", str(n).encode()),)),), n, id=CommitId(writer, n))


@pytest.mark.parametrize("count", [1, 20, 128])
async def test_a_batch_is_one_round_trip(given: Settings, tmp_path_factory: pytest.TempPathFactory, count: int) -> None:
    """However many commits are in it: one piece goes over the line of commits, and none over it before or after."""
    folder = tmp_path_factory.mktemp("l")
    async with CuttingLine(folder, postgres().socket, lambda: None, size=0) as line:
        there = Settings(given.dsn.replace(str(postgres().folder), str(folder)), "a line that counts", schema())
        kernel = await PostgresKernel.open(there)
        await kernel.commit([put(1)])  # from here on the statement is prepared
        before = [len(pieces) for pieces in line.sent]
        mark = b"told by its value"
        commits = [Commit((ScopeCommit(A, "create", puts=(Put("k", mark),)),), n, id=CommitId("w", n))
                   for n in range(2, 2 + count)]  # fmt: skip
        outcomes = await kernel.commit(commits)
        await kernel.close()
        after = [pieces[before[at] :] for at, pieces in enumerate(line.sent) if at < len(before)]
    assert all(isinstance(outcome, Committed) for outcome in outcomes)
    (trips,) = [pieces for pieces in after if any(mark in piece for piece in pieces)]
    assert len(trips) == 2  # the batch, and the end of the line
    assert b"".join(trips[0:1]).count(mark) == count


async def test_another_opening_is_told_without_a_poll(given: Settings) -> None:
    """A hint of a commit reaches who watches the space through another opening."""
    one = await PostgresKernel.open(given)
    other = await PostgresKernel.open(given)
    loop, woken = asyncio.get_running_loop(), asyncio.Event()
    end = other.watch(lambda: loop.call_soon_threadsafe(woken.set))
    async with asyncio.timeout(30):
        await woken.wait()  # it listens
        woken.clear()
        await one.commit([put(1)])
        await woken.wait()
    end()
    await one.close()
    await other.close()


def test_one_opening_serves_the_loops_of_several_threads(given: Settings) -> None:
    """The connections belong to no caller's loop: one loop may end and the next go on."""

    async def first() -> PostgresKernel:
        kernel = await PostgresKernel.open(given)
        await kernel.commit([put(1)])
        return kernel

    kernel = asyncio.run(first())

    async def write(n: int) -> None:
        assert await kernel.commit([put(1, writer=f"w{n}")]) == [Committed({A: n + 2})]

    for n in range(3):
        asyncio.run(write(n))
    asyncio.run(kernel.close())


async def test_the_first_signal_after_a_look_at_the_moves_is_heard(given: Settings) -> None:
    """G22: whoever listens and then asks for the position hears what others send from then on."""
    sender = await PostgresKernel.open(given, space="live")
    await sender.signal("session/a", b"its line is there")
    for number in range(5):
        listener = await PostgresKernel.open(given, space="live")
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def hear(_: str, payload: bytes, loop: asyncio.AbstractEventLoop = loop, heard: object = heard) -> None:
            loop.call_soon_threadsafe(heard.put_nowait, payload)  # type: ignore[attr-defined]

        listener.listen(hear)
        await listener.moved()
        await sender.signal("session/a", b"%d" % number)
        async with asyncio.timeout(30):
            assert await heard.get() == b"%d" % number
        await listener.close()
    await sender.close()


async def test_a_cancelled_commit_harms_no_connection(given: Settings) -> None:
    """Cancelling only stops waiting: the commit lands, and the next one goes the same way."""
    kernel = await PostgresKernel.open(given)
    sending = asyncio.ensure_future(kernel.commit([put(1)]))
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert await kernel.commit([put(2)]) == [Committed({A: 2})]
    await kernel.close()


async def test_a_forked_child_is_told_closed_and_the_parent_goes_on(given: Settings) -> None:
    """The child has no thread and shares the sockets: it may use neither."""
    kernel = await PostgresKernel.open(given)
    await kernel.commit([put(1)])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            kernel.read([Read(A)], now_us=0).send(None)
        except Closed:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert await kernel.commit([put(2)]) == [Committed({A: 2})]
    await kernel.close()


async def test_a_key_may_hold_what_text_columns_do_not(given: Settings) -> None:
    """G18: U+0000 is kept, and sorts before everything else."""
    kernel = await PostgresKernel.open(given)
    keys = ("a", "a\0", "a\0b", "a!", "ä", "\U0001f600")
    part = ScopeCommit("s\0", "create", puts=tuple(Put(key, key.encode()) for key in keys))
    await kernel.commit([Commit((part,), 1, id=CommitId("w", 1))])
    (view,) = await kernel.read([Read("s\0", ranges=(Range("", 10),))], now_us=1)
    assert [cell.key for cell in view.ranges[0]] == sorted(keys)
    assert await kernel.scopes() == ("s\0",)
    await kernel.close()


async def test_a_batch_larger_than_one_call_is_decided_in_order(given: Settings) -> None:
    """G3: whatever is cut to fit, each commit sees what the earlier ones left."""
    kernel = await PostgresKernel.open(given)
    commits = [
        Commit((ScopeCommit(A, "create", appends=(Append("l/", b""),), body=b"x"),), 1, id=CommitId("w", n))
        for n in range(1, 301)
    ]
    assert [outcome.seqs[A] for outcome in await kernel.commit(commits)] == list(range(1, 301))  # type: ignore[union-attr]
    await kernel.close()


@pytest.mark.parametrize("text", ["1:1", "5:3:", "1:4:5", "1:9:3,2;0", "0:0:;0", "1:9:;0;x", "1:9:2;0;1:9:"])
def test_what_is_no_snapshot_is_no_position(text: str) -> None:
    """G14: nothing that the server would refuse, or take for something else, is sent to it."""
    with pytest.raises(InvalidValue):
        position_of(text)


def test_places_sort_as_order_scope_and_key_do() -> None:
    """G15: also where one part begins like another, and with zero bytes in them."""
    parts = ["", "\0", "\0\0", "\1", "a", "a\0", "a\0b", "a\1", "ab", "\U0010ffff"]
    names = [(order, scope, key) for order in parts for scope in parts for key in parts]
    assert sorted(names) == sorted(names, key=lambda name: place_of(*name))
    assert len(place_of("x" * 1024, "y" * 1024, "z" * 1024)) == PLACE_BYTES_MAX


async def test_a_store_of_a_newer_version_is_left_alone(given: Settings) -> None:
    kernel = await PostgresKernel.open(given)
    table = f"{schema()}.meta"
    await kernel._store.look(lambda line: line.execute(f"UPDATE {table} SET version = 99"))
    try:
        with pytest.raises(StoreTooNew, match="99"):
            await PostgresKernel.open(given)
    finally:
        await kernel._store.look(lambda line: line.execute(f"UPDATE {table} SET version = 1"))
        await kernel.close()


async def test_durability_that_the_server_does_not_give_is_refused(given: Settings) -> None:
    """G6: what is declared is what the server's settings are worth."""
    with pytest.raises(Unsupported, match="gives the durability fsync"):
        await PostgresKernel.open(Settings(given.dsn, "a test", given.schema, durability="replicated"))
    relaxed = await PostgresKernel.open(Settings(given.dsn, "a test", given.schema, durability="process"))
    assert relaxed.traits.durability == "process"
    await relaxed.close()


async def test_a_pooler_without_prepared_statements_will_do(given: Settings) -> None:
    kernel = await PostgresKernel.open(Settings(given.dsn, "a test", given.schema, statement_cache=0))
    assert await kernel.commit([put(1)]) == [Committed({A: 1})]
    await kernel.close()


def test_without_the_driver_it_says_what_to_install() -> None:
    program = (
        "import asyncio, sys; sys.modules['asyncpg'] = None\n"
        "from holdfast import Holdfast\n"
        "async def main():\n    await Holdfast.open('postgresql://host/database')\n"
        "try:\n    asyncio.run(main())\n"
        "except ImportError as error:\n    print(type(error).__name__, error.remedy)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "MissingExtra" in done.stdout
    assert 'pip install "holdfast[postgres]"' in done.stdout


class OldServer:
    """A connection to PostgreSQL 13, as far as its version is asked for."""

    async def fetchrow(self, _statement: str) -> tuple[int, bool, bool, str]:
        return (130_014, True, False, "on")


async def test_a_server_that_is_too_old_is_refused_with_the_version_that_is_needed() -> None:
    """What the functions need is asked for before anything is made there."""
    with pytest.raises(Unsupported, match="is PostgreSQL 13; at least 14 is needed"):
        await durability_of(OldServer(), Settings("", "postgresql://host"))  # type: ignore[arg-type]


async def test_a_cell_put_without_a_look_loses_the_entries_it_had(given: Settings) -> None:
    """G15: a put replaces all of a cell's entries, also beside others, twice in a batch, and after a delete."""

    def commit(n: int, *puts: Put, deletes: tuple[str, ...] = ()) -> Commit:
        return Commit((ScopeCommit(A, "create", puts=puts, deletes=deletes),), n, id=CommitId("w", n))

    entry = Entry("i", "v", "o")
    kernel = await PostgresKernel.open(given)
    keys = ("a", "b", "c", "d")
    await kernel.commit([commit(1, *(Put(key, b"1", entries=(entry,)) for key in keys), Put("plain", b"1"))])
    await kernel.commit(
        [
            commit(2, Put("a", b"2"), Put("plain", b"2")),
            commit(3, Put("b", b"2", entries=(entry,))),
            commit(4, Put("a", b"3"), Put("b", b"3"), Put("c", b"2")),
            commit(5, deletes=("c",)),
        ]
    )
    assert [found.key for found in await kernel.find("i", "v", now_us=1)] == ["d"]
    (view,) = await kernel.read([Read(A, (*keys, "plain"))], now_us=1)
    assert {key: cell.value for key, cell in view.cells.items()} == {"a": b"3", "b": b"3", "d": b"1", "plain": b"2"}
    await kernel.close()


async def test_the_servers_clock_is_the_one_that_health_compares_with(given: Settings) -> None:
    async with Holdfast.open(postgres().url(schema=given.schema)) as hold:
        skew = (await hold.health()).skew
        assert skew is not None
        assert abs(skew) < 1  # the server is on this machine


async def test_who_reads_a_table_for_long_holds_up_no_scrub_and_nobody_behind_it(given: Settings) -> None:
    """A backup, say: without a bound every reader and writer would wait behind the scrub until it is done."""
    kernel = await PostgresKernel.open(given)
    await kernel.commit([put(1)])
    reader = await connect(given, "a backup", None)
    async with reader.transaction():
        await reader.fetch(f"SELECT count(*) FROM {given.schema}.log")
        async with asyncio.timeout(20):
            assert await kernel.scrub() is False
            assert isinstance((await kernel.commit([put(2)]))[0], Committed)
    await reader.close(timeout=1)
    await kernel.close()


async def test_a_url_opens_it(given: Settings) -> None:
    async with Holdfast.open(postgres().url(schema=given.schema)) as hold:
        session = await hold.sessions.create(user="ada")
        await session.state.set("cart", ["milk"])
        assert await session.state.get("cart") == ["milk"]
        assert (await hold.sessions.list(user="ada")).items[0].id == session.id


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Another process that holds a server of its own, and the server's folder."""
    script = (
        "import sys; from holdfast.testing.servers import PostgresServer; s = PostgresServer.start(); "
        "print(s.folder, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().decode().strip())
        process.kill()


def test_a_server_does_not_outlive_a_test_run_that_is_killed(holder: tuple[subprocess.Popen[bytes], Path]) -> None:
    """Nobody has to clean up after a crash: the last holder's end is the server's."""
    process, folder = holder
    watching = PostgresServer.held(folder)
    assert watching is not None
    process.kill()
    watching.stop()
    assert not folder.exists()


async def test_processes_that_open_a_new_store_at_once_make_it_once(given: Settings) -> None:
    """The connection that waited while another made the tables sees them, whatever names it remembers."""
    new = Settings(given.dsn, given.shown, f"{schema()}_new")
    waiting = [await connect(new, f"holdfast {n}", None) for n in range(4)]
    try:
        await waiting[0].execute(f"DROP SCHEMA IF EXISTS {new.schema} CASCADE")
        for connection in waiting:  # each has looked for the tables before there were any
            assert await connection.fetchval("SELECT to_regclass($1)", f"{new.schema}.meta") is None
        await asyncio.gather(*(ensure_schema(connection, new) for connection in waiting))
        for connection in waiting:
            await ensure_schema(connection, new)
        await waiting[0].execute(f"DROP SCHEMA {new.schema} CASCADE")
    finally:
        for connection in waiting:
            connection.terminate()
