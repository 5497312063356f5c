"""A cache is exact across processes: what one acknowledged is in the very next read of the other."""

import random
from pathlib import Path

import pytest

from holdfast import Holdfast, NotFound, Scope
from tests.concurrency.peer import Peer

SCOPES = ("user/ada", "user/bo", "session/s")
KEYS = ("a", "b", "c")


async def test_a_write_acknowledged_by_one_process_is_in_the_next_read_of_the_other(tmp_path: Path) -> None:
    """G6: whoever writes, and whoever had the value in memory, through three hundred turns."""
    url, chance = f"sqlite:///{tmp_path / 'store.db'}", random.Random(1)
    async with Holdfast.open(url) as hold:
        await hold.sessions.create(id="s")
        peer = await Peer.start(url)
        written: dict[tuple[str, str], int] = {}
        for turn in range(300):
            scope, key = chance.choice(SCOPES), chance.choice(KEYS)
            state = hold.state(Scope(*scope.split("/")))  # type: ignore[arg-type]
            if chance.random() < 0.6:
                await peer.do("set", scope=scope, key=key, value=turn)
                written[scope, key] = turn
                assert await state.get(key) == turn
            else:
                await state.set(key, turn)
                written[scope, key] = turn
                assert await peer.do("get", scope=scope, key=key) == turn
            for other in KEYS:  # read into memory, and most of it from there
                assert await state.get(other) == written.get((scope, other))
        await peer.end()


async def test_what_another_process_deleted_or_ended_is_gone_at_the_next_read(tmp_path: Path) -> None:
    """G6, G11: absence is as exact as presence, of a value and of a session."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    async with Holdfast.open(url) as hold:
        peer = await Peer.start(url)
        ada = hold.state(Scope.user("ada"))
        for turn in range(20):
            assert await ada.get("k") is None
            await peer.do("set", scope="user/ada", key="k", value=turn)
            assert await ada.get("k") == turn
            await peer.do("delete", scope="user/ada", key="k")
            assert await ada.get("k") is None

            assert await hold.sessions.get("s") is None
            await peer.do("create", scope="session/s")
            session = await hold.sessions.get("s")
            assert session is not None
            await peer.do("set", scope="session/s", key="k", value=turn)
            assert await session.state.get("k") == turn
            await peer.do("drop", scope="session/s")
            with pytest.raises(NotFound):
                await session.state.get("k")
        await peer.end()
