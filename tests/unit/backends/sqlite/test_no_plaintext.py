"""What is encrypted stands nowhere on the disk: not in the file, its log, its free pages, nor beside it."""

from __future__ import annotations

import base64
from pathlib import Path

from holdfast import Config, Holdfast, KeyRing, StateConfig
from holdfast.testing.clock import ManualClock
from tests.unit.handles.canary import fill

OLD, NEW = KeyRing({"old": b"o" * 32}, active="old"), KeyRing({"new": b"n" * 32, "old": b"o" * 32}, active="new")
LAX = KeyRing({"old": b"o" * 32}, active="old", strict=False)

CANARY = "canary-7c1f"
FORMS = (
    CANARY.encode(),
    CANARY.encode("utf-16-le"),
    base64.b64encode(CANARY.encode())[:14],
    CANARY.encode().hex().encode(),
)


def found_in(folder: Path) -> list[str]:
    """The files in which the canary can be read, in one of the forms in which it may be written."""
    return sorted(path.name for path in folder.iterdir() if any(form in path.read_bytes() for form in FORMS))


async def live(hold: Holdfast, *, turns: int) -> None:
    """Write the canary everywhere that is encrypted, and other words where the page of encryption says "readable"."""
    for turn in range(turns):
        with hold.acting(by=f"{CANARY}-actor"):
            s = await hold.sessions.create(user=CANARY, tags=[f"{CANARY}-tag"], metadata={"m": CANARY}, task=CANARY)
            await s.state.set("short", f"{CANARY} {turn}")
            await s.state.set("long", [f"{CANARY} {turn} {n}" for n in range(400)])
            await s.state.set("short", f"{CANARY} again {turn}")
            await s.messages.add("user", f"{CANARY} says")
            await s.log("noted", {"what": CANARY})
            await s.temp.set("soon", CANARY)
            await s.state.delete("long")
            await s.fail({"error": CANARY})
            if turn % 3 == 0:
                await fill(hold, "ada", text=CANARY, names="plain")
            await hold.sessions.templates.add(f"plain-{turn}", mode=CANARY, task=CANARY, on_exists="replace")
        if turn % 3 == 0:
            await hold.sessions.delete(s.id)


async def test_what_the_page_calls_readable_is_readable_and_so_no_place_for_what_is_private(tmp_path: Path) -> None:
    """Ids, of requests too, and names of scopes, namespaces and keys."""
    async with Holdfast.open(f"sqlite:///{tmp_path}/app.db", keys=OLD) as hold:
        await fill(hold, "ada-id", id="session-id", text=CANARY, names="plain")
    shown = (tmp_path / "app.db").read_bytes()
    for name in ("ada-id", "session-id", "plain-request", "plain-key", "plain-namespace", "plain-area"):
        assert name.encode() in shown, name


async def test_while_it_is_in_use_no_file_of_an_encrypted_store_shows_what_is_in_it(tmp_path: Path) -> None:
    async with Holdfast.open(f"sqlite:///{tmp_path}/app.db", keys=OLD) as hold:
        await live(hold, turns=6)
        assert found_in(tmp_path) == []
        await hold.sweep()
        await live(hold, turns=3)
        assert found_in(tmp_path) == []
        assert len((await hold.sessions.list(user=CANARY)).items) == 6
    assert found_in(tmp_path) == []


async def test_once_a_plain_store_is_encrypted_nothing_of_before_is_left(tmp_path: Path) -> None:
    """Also in what was overwritten, deleted and swept before there were keys."""
    url, clock = f"sqlite:///{tmp_path}/app.db", ManualClock()
    async with Holdfast.open(url, clock=clock, config=Config(state=StateConfig(compression="off"))) as hold:
        await live(hold, turns=9)
        clock.advance(7200)
        await hold.sweep()
        await live(hold, turns=3)
        assert "app.db-wal" in found_in(tmp_path)
    assert found_in(tmp_path) == ["app.db"]
    async with Holdfast.open(url, keys=LAX, clock=clock) as hold:
        before = [s.id for s in (await hold.sessions.list(user=CANARY)).items]
        done = await hold.rekey()
        assert done.scrubbed is True
        assert found_in(tmp_path) == []
        await live(hold, turns=1)
        assert found_in(tmp_path) == []
    async with Holdfast.open(url, keys=OLD, clock=clock) as hold:
        assert set(before) <= {s.id for s in (await hold.sessions.list(user=CANARY)).items}
    assert found_in(tmp_path) == []


async def test_after_a_rotation_no_byte_under_the_old_key_is_left(tmp_path: Path) -> None:
    """So that who has the old key and a copy of the files of today reads nothing."""
    url = f"sqlite:///{tmp_path}/app.db"
    async with Holdfast.open(url, keys=OLD) as hold:
        await live(hold, turns=4)
        assert b"\x03old" in (tmp_path / "app.db-wal").read_bytes()
    async with Holdfast.open(url, keys=NEW) as hold:
        assert (await hold.rekey()).scrubbed is True
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"\x02\x03old" not in kept
        assert b"\x02\x03new" in kept


async def test_compressed_values_come_back_and_take_less_room(tmp_path: Path) -> None:
    long = ["the same again"] * 5000
    sizes = {}
    for compression in ("auto", "off"):
        config = Config(state=StateConfig(compression=compression))
        async with Holdfast.open(f"sqlite:///{tmp_path}/{compression}.db", keys=OLD, config=config) as hold:
            s = await hold.sessions.create()
            await s.state.set("long", long)
            assert await s.state.get("long") == long
            sizes[compression] = (await hold.stats()).bytes
    assert sizes["auto"] * 10 < sizes["off"]
