"""Recordings: what the log says was done, as the checker of histories takes it."""

from __future__ import annotations

import pytest

from holdfast import Config, Holdfast
from holdfast.model.config import ChangesConfig
from holdfast.testing.history import Effect
from holdfast.testing.recording import read_log


async def test_the_log_tells_what_each_commit_did() -> None:
    """Line by line, under the keys of the cells."""
    async with Holdfast.open("memory://") as hold:
        s = await hold.sessions.create(id="s")
        await s.state.set("cart", ["milk"])
        entries = await read_log(hold._store.kernel, "session/s")
    assert entries[-1].effects == (Effect("set", "state//cart", ["milk"]),)


async def test_a_log_without_values_is_no_history() -> None:
    """It would tell of values that nobody wrote; so it is refused, naming the setting."""
    config = Config(changes=ChangesConfig(values="keys"))
    async with Holdfast.open("memory://", config=config) as hold:
        s = await hold.sessions.create(id="s")
        await s.state.set("cart", ["milk"])
        with pytest.raises(ValueError, match=r"changes\.values 'inline'"):
            await read_log(hold._store.kernel, "session/s")
