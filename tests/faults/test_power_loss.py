"""The power goes at any sync or write, and takes any part of what was not synced.

durability=fsync: everything acknowledged is there, nothing is half. durability=process promises less: what is there is
whole, a prefix of what was, and the file is sound; how much of the end is missing is not promised. (That the file is
sound is SQLite's own promise for this mode; here it is held to it.)
"""

import asyncio
import time
from pathlib import Path
from random import Random

import pytest

from holdfast import Config, Holdfast, Scope
from holdfast.backends.sqlite import SqliteKernel, checkpoint
from holdfast.kernel.commit import Commit, CommitId, Committed, Put, Read, ScopeCommit
from holdfast.model.config import ChangesConfig
from holdfast.testing.history import Violation
from holdfast.testing.place import place_in_one_bucket
from holdfast.testing.recording import Recorder, read_log
from holdfast.testing.workload import Client
from tests.crash.aftermath import Aftermath, integrity
from tests.faults.power import Disk, PowerVfs, Truncate, Write

PLACE = place_in_one_bucket(sessions=2, accounts=3)
CONFIG = Config(changes=ChangesConfig(retention_age=None))
FILE = "store.db"


class Cut:
    """One power cut: what the disk then held, and what the clients had noted by then."""

    def __init__(self, kind: str, files: dict[str, bytes], notes: list[bytes]) -> None:
        self.kind = kind
        self.files = files
        self.notes = notes


async def live(folder: Path, *, durability: str, seed: int, cuts_max: int, each: float) -> tuple[list[Cut], dict]:
    """Let clients work on the layer and cut the power again and again; the cuts, and the logs in the end."""
    chance = Random(f"power {durability} {seed}")
    vfs = PowerVfs()
    notes: list[bytes] = []
    cuts: list[Cut] = []

    def before(kind: str) -> None:
        if len(cuts) < cuts_max and chance.random() < each:
            noted = list(notes)
            cuts.append(Cut(kind, vfs.image(chance), noted))

    kernel = await SqliteKernel.open(folder / FILE, durability=durability, vfs=vfs.name)
    async with Holdfast.over(kernel, config=CONFIG) as hold:
        recorder = Recorder(time.monotonic_ns, sink=notes.append)
        clients = [Client(f"{n}", hold, PLACE, recorder, Random(f"{seed} {n}")) for n in range(6)]
        await clients[0].found()
        vfs.before = before

        async def work(client: Client) -> None:
            while len(cuts) < cuts_max:
                await client.step()

        async def sweep() -> None:
            while len(cuts) < cuts_max:
                await hold.sweep()
                await asyncio.sleep(0.001)

        await asyncio.gather(*map(work, clients), sweep())
        logs = {scope: await read_log(kernel, scope) for scope in PLACE.scopes}
    return cuts, logs


async def judge(cut: Cut, folder: Path, logs: dict, *, keeps_all: bool) -> list[Violation]:
    """Open what the disk held as the next process would, and say what is wrong with it."""
    folder.mkdir()
    for name, content in cut.files.items():
        (folder / name).write_bytes(content)
    notes = folder / "notes.jsonl"
    notes.write_bytes(b"".join(cut.notes))
    aftermath = Aftermath(folder / FILE, PLACE, notes)
    found = await aftermath.examine()
    if not keeps_all:
        found = [one for one in found if one.rule not in ("lost", "invented", "read", "order")]
    for scope, entries in aftermath.entries.items():
        if entries != logs[scope][: len(entries)]:
            found.append(Violation("prefix", f"{scope}: what was found is no prefix of what was logged"))
    return found + await goes_on(folder / FILE)


async def goes_on(path: Path) -> list[Violation]:
    """The store takes writes again, and they are there afterwards."""
    async with Holdfast.over(await SqliteKernel.open(path)) as hold:
        session = await hold.sessions.open("afterwards")
        version = await session.state.set("k", 1)
    async with Holdfast.over(await SqliteKernel.open(path)) as hold:
        again = await hold.sessions.get("afterwards")
        kept = again is not None and await again.state.snapshot()
    return [] if kept and kept.version == version else [Violation("lost", "a write after the power cut")]


async def cut_again_and_again(tmp_path: Path, *, durability: str, seed: int, cuts_max: int, each: float) -> list[Cut]:
    (tmp_path / "live").mkdir()
    cuts, logs = await live(tmp_path / "live", durability=durability, seed=seed, cuts_max=cuts_max, each=each)
    for n, cut in enumerate(cuts):
        found = await judge(cut, tmp_path / f"{n}", logs, keeps_all=durability == "fsync")
        assert found == [], f"power cut {n}, before a {cut.kind}"
    return cuts


@pytest.fixture(autouse=True)
def small_log(monkeypatch):
    """Checkpoints come often, so that cuts fall into some."""
    monkeypatch.setattr(checkpoint, "PAGES", 60)
    monkeypatch.setattr(checkpoint, "AGAIN", 20)
    monkeypatch.setattr(checkpoint, "REST", 10)


@pytest.mark.parametrize("durability", ["fsync", "process"])
async def test_after_a_power_cut_the_store_keeps_what_it_promised(durability, tmp_path):
    cuts = await cut_again_and_again(tmp_path, durability=durability, seed=1, cuts_max=30, each=0.05)
    kinds = {cut.kind for cut in cuts}
    assert "write" in kinds
    assert "sync" in kinds or durability == "process"
    assert any(FILE in cut.files and len(cut.files[FILE]) > 4096 * 10 for cut in cuts), "no cut came after a checkpoint"


@pytest.mark.parametrize("durability", ["fsync", "process"])
async def test_a_power_cut_while_a_store_is_made_leaves_one_that_can_be_opened(durability, tmp_path):
    """Before every single write and sync of the first opening, and of the first commit."""
    chance = Random(durability)
    vfs = PowerVfs()
    images = []
    vfs.before = lambda kind: images.append(vfs.image(chance))
    (tmp_path / "live").mkdir()
    async with Holdfast.over(
        await SqliteKernel.open(tmp_path / "live" / FILE, durability=durability, vfs=vfs.name)
    ) as hold:
        await hold.sessions.create(id="first")
    assert len(images) > 10
    for n, files in enumerate(images):
        folder = tmp_path / f"{n}"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        assert await goes_on(folder / FILE) == [], f"cut {n}"
        assert integrity(folder / FILE) == [], f"cut {n}"


async def test_the_layer_would_find_a_store_that_does_not_sync(tmp_path):
    """What durability=process does not promise is really lost here: so the layer loses what was not synced."""
    (tmp_path / "live").mkdir()
    cuts, logs = await live(tmp_path / "live", durability="process", seed=2, cuts_max=20, each=0.05)
    rules = {
        one.rule for n, cut in enumerate(cuts) for one in await judge(cut, tmp_path / f"{n}", logs, keeps_all=True)
    }
    assert "lost" in rules


async def test_a_power_cut_takes_no_more_than_what_need_not_be_durable(tmp_path):
    """G6: before the next sync it may be there or not; with the next durable commit, to whatever scope, it stays."""
    vfs, syncs = PowerVfs(), []
    vfs.before = lambda kind: syncs.append(kind) if kind == "sync" else None
    (tmp_path / "live").mkdir()
    kernel = await SqliteKernel.open(tmp_path / "live" / FILE, vfs=vfs.name)

    async def put(n: int, scope: str, *, durable: bool) -> int:
        syncs.clear()
        part = ScopeCommit(scope, "create", puts=(Put("k", b"%d" % n),))
        [outcome] = await kernel.commit([Commit((part,), 0, b"", CommitId("w", n), durable)])
        assert isinstance(outcome, Committed)
        return len(syncs)

    async def found(number: int, seed: int) -> dict[str, bytes]:
        folder = tmp_path / f"{number} {seed}"
        folder.mkdir()
        for name, content in vfs.image(Random(seed)).items():
            (folder / name).write_bytes(content)
        after = await SqliteKernel.open(folder / FILE)
        views = await after.read([Read("a", ("k",)), Read("b", ("k",))], now_us=0)
        await after.close()
        return {view.scope: cell.value for view in views for cell in view.cells.values()}

    assert await put(1, "a", durable=True) == 1
    assert await put(2, "a", durable=False) == 0
    assert {(await found(2, seed))["a"] for seed in range(12)} == {b"1", b"2"}
    assert await put(3, "b", durable=True) == 1
    assert [await found(3, seed) for seed in range(4)] == [{"a": b"2", "b": b"3"}] * 4
    await kernel.close()


async def after_power_loss(folder: Path, files: dict[str, bytes]) -> SqliteKernel:
    """A store opened on what the power left."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return await SqliteKernel.open(folder / FILE)


async def test_no_place_that_was_told_during_a_turn_is_given_to_another_change_after_a_power_cut(tmp_path):
    """G6, G14: the claim of a turn is not durable, so neither a cursor nor the version of a snapshot is its number."""
    vfs, scope = PowerVfs(), Scope.session("s")
    (tmp_path / "live").mkdir()
    async with Holdfast.over(await SqliteKernel.open(tmp_path / "live" / FILE, vfs=vfs.name)) as hold:
        s = await hold.sessions.create(id="s", user="ada")
        await s.state.set("k", "old")
        async with hold.changes([scope]) as early, s.turn(request_id="r") as turn:
            await turn.emit("token", "Your")
            live = await anext(early)
            version = (await s.state.snapshot()).version
            async with hold.changes([scope]) as one, hold.changes(user="ada") as another:
                places = [early.cursors[scope], one.cursors[scope], another.cursors[scope], live.cursor, version]
            images = [vfs.image(Random(seed)) for seed in range(6)]
            turn.rollback()
    for number, files in enumerate(images):
        async with Holdfast.over(await after_power_loss(tmp_path / f"{number}", files)) as hold:
            found = await hold.sessions.get("s")
            assert found is not None
            await found.state.set("k", "new")
            assert await found.at(version).state.get("k") == "old"
            for place in places:
                async with hold.changes([scope], after={scope: place}) as changes:
                    assert (await anext(changes)).value == "new"


@pytest.mark.parametrize("claims", [40, pytest.param(1000, marks=pytest.mark.soak)])
async def test_nor_is_one_that_was_told_after_a_thousand_claims_without_a_word(tmp_path, claims):
    """G6, G14: none of them is durable, so the power takes them all; the place that was told is before the first."""
    vfs, scope = PowerVfs(), Scope.session("s")
    (tmp_path / "live").mkdir()
    async with Holdfast.over(await SqliteKernel.open(tmp_path / "live" / FILE, vfs=vfs.name)) as hold:
        s = await hold.sessions.create(id="s", user="ada")
        said = await s.state.set("k", "old")
        for _ in range(claims):
            async with s.claim():
                pass
        version = (await s.state.snapshot()).version
        async with hold.changes([scope]) as one, hold.changes(user="ada") as another:
            places = [one.cursors[scope], another.cursors[scope], version]
        [view] = await hold._store.kernel.read([Read("session/s")], now_us=0)
        assert view.head.seq >= said + 2 * claims
        assert version == said
        images = [vfs.image(Random(seed)) for seed in range(3)]
        # Nothing is lost where the power stays, either.
        async with hold.changes([scope], after={scope: places[0]}) as changes:
            await s.state.set("k", "next")
            assert (await anext(changes)).value == "next"
    for number, files in enumerate(images):
        async with Holdfast.over(await after_power_loss(tmp_path / f"{number}", files)) as hold:
            found = await hold.sessions.get("s")
            assert found is not None
            await found.state.set("k", "new")
            for place in places:
                async with hold.changes([scope], after={scope: place}) as changes:
                    assert (await anext(changes)).value == "new"


def test_a_disk_keeps_what_was_synced_and_any_part_of_the_rest():
    disk = Disk()
    disk.pending.append(Write(0, b"a" * 1024))
    disk.sync()
    disk.pending += [Write(256, b"b" * 1024), Truncate(600)]
    found = {disk.after_power_cut(Random(seed)) for seed in range(2000)}
    assert b"a" * 1024 in found
    assert b"a" * 256 + b"b" * 1024 in found
    assert b"a" * 256 + b"b" * 344 in found
    assert b"a" * 256 + b"b" * 256 + b"a" * 512 in found
    assert all(content is not None and content[:256] == b"a" * 256 for content in found)


@pytest.mark.soak
@pytest.mark.parametrize("durability", ["fsync", "process"])
@pytest.mark.parametrize("seed", range(10, 30))
async def test_after_hundreds_of_power_cuts_the_store_keeps_what_it_promised(durability, seed, tmp_path):
    await cut_again_and_again(tmp_path, durability=durability, seed=seed, cuts_max=150, each=0.03)
