"""Checkpoints against a model: whatever is written, kept, restored, dropped and forked, in whatever order."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from holdfast import ChangesConfig, Config, Holdfast, Session
from holdfast.testing.clock import EPOCH_US
from tests.unit.stores import Stores

KEYS = ("a", "b", "c", "d")
TEMP_US = 3600 * 1_000_000


@dataclass
class Picture:
    """What a session shows. Of a temporary value it says when it goes."""

    state: dict[str, Any] = field(default_factory=dict)
    temp: dict[str, tuple[Any, int]] = field(default_factory=dict)
    runtime: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    messages: list[str] = field(default_factory=list)

    def at(self, now_us: int) -> Picture:
        """The same, without what is gone by then."""
        kept = deepcopy(self)
        kept.temp = {key: value for key, value in self.temp.items() if value[1] > now_us}
        return kept


@dataclass
class Kept:
    """A checkpoint: what it shows, and when it was taken."""

    id: str
    picture: Picture
    at_us: int


class Play:
    """One session that is played with, and its model."""

    def __init__(self, stores: Stores, hold: Holdfast, s: Session, random: Random) -> None:
        self.stores, self.hold, self.s, self.random = stores, hold, s, random
        self.now = Picture()
        self.kept: list[Kept] = []

    @property
    def now_us(self) -> int:
        return self.stores.clock.now_us()

    async def act(self) -> None:
        acts = (
            (self.write, 6), (self.say, 3), (self.remove, 2), (self.tag, 1), (self.wait, 1), (self.take, 4),
            (self.restore, 3), (self.drop, 1), (self.compare, 1), (self.fork, 1), (self.sweep, 1),
        )  # fmt: skip
        await self.random.choices([act for act, _ in acts], [weight for _, weight in acts])[0]()

    async def write(self) -> None:
        key, value = self.random.choice(KEYS), self.random.randrange(100)
        area = self.random.choice(("state", "temp", "runtime"))
        if area == "state":
            await self.s.state.set(key, value)
            self.now.state[key] = value
        elif area == "temp":
            await self.s.temp.set(key, value)
            self.now.temp[key] = (value, self.now_us + TEMP_US)
        else:
            await self.s.runtime.set(key, value)
            self.now.runtime[key] = value

    async def say(self) -> None:
        texts = [f"{len(self.now.messages)}.{self.random.randrange(100)}" for _ in range(self.random.randrange(1, 4))]
        await self.s.messages.add_many([{"role": "user", "content": text} for text in texts])
        self.now.messages += texts

    async def remove(self) -> None:
        key = self.random.choice(KEYS)
        await self.s.state.delete(key)
        await self.s.runtime.clear()
        self.now.state.pop(key, None)
        self.now.runtime.clear()

    async def tag(self) -> None:
        self.now.tags = (f"t{self.random.randrange(9)}",)
        await self.s.update(tags=self.now.tags)

    async def wait(self) -> None:
        self.stores.clock.advance(self.random.choice((1, 1800, 3599)))

    async def sweep(self) -> None:
        await self.hold.sweep()  # of the log little is left

    async def take(self) -> None:
        taken = await self.s.checkpoint()
        self.kept.append(Kept(taken.id, self.now.at(self.now_us), self.now_us))

    async def restore(self) -> None:
        if not self.kept:
            return
        wanted = self.random.choice(self.kept)
        before = await self.s.restore(wanted.id)
        self.kept.append(Kept(before.id, self.now.at(self.now_us), self.now_us))
        self.now = deepcopy(wanted.picture)
        for key, (value, until_us) in wanted.picture.temp.items():
            self.now.temp[key] = (value, self.now_us + until_us - wanted.at_us)  # as long to live as it had then

    async def drop(self) -> None:
        if self.kept:
            gone = self.kept.pop(self.random.randrange(len(self.kept)))
            await self.hold.drop_checkpoint(gone.id)

    async def compare(self) -> None:
        if not self.kept:
            return
        wanted = self.random.choice(self.kept)
        names = {step.path.split("/")[2] for step in await self.s.diff(wanted.id) if step.path.startswith("/state/")}
        then, now = wanted.picture.state, self.now.state
        if then and now:  # else the whole is one step
            assert names == {key for key in KEYS if then.get(key) != now.get(key)}

    async def fork(self) -> None:
        kept = self.random.choice(self.kept) if self.kept and self.random.random() < 0.7 else None
        fork = await self.s.fork(at=None if kept is None else kept.id)
        picture = self.now if kept is None else kept.picture
        at_us = self.now_us if kept is None else kept.at_us
        await self.check(fork, picture.at(at_us))
        await self.hold.sessions.delete(fork.id)

    async def check(self, s: Session, expected: Picture) -> None:
        await s.refresh()
        shown = Picture(
            (await s.state.snapshot()).values,
            {},
            await s.runtime.all(),
            s.tags,
            [one.content for one in await s.messages.list(limit=10_000)],
        )
        temp = (await s.temp.snapshot()).values
        assert temp == {key: value for key, (value, _) in expected.temp.items()}
        expected = deepcopy(expected)
        expected.temp = {}
        assert shown == expected
        last = [one.content for one in await s.messages.last(3)]
        assert last == expected.messages[-3:]


@pytest.mark.parametrize("backend", ["memory", "sqlite", pytest.param("weakest", marks=pytest.mark.soak)])
@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(6, 200))])
async def test_a_session_is_what_its_model_says(backend: str, seed: int, tmp_path: Path) -> None:
    """Every checkpoint shows what there was, whatever was dropped, trimmed and restored since."""
    stores = Stores(backend, tmp_path)
    config = Config(changes=ChangesConfig(retention_age=None, retention_count=20))
    hold = await stores.open(config=config)
    play = Play(stores, hold, await hold.sessions.create(id="s"), Random(seed))
    assert stores.clock.now_us() == EPOCH_US
    for _ in range(60):
        await play.act()
        await play.check(play.s, play.now.at(play.now_us))
    for kept in play.kept[-8:]:
        await play.s.restore(kept.id)
        assert (await play.s.state.snapshot()).values == kept.picture.state
        assert [one.content for one in await play.s.messages.list(limit=10_000)] == kept.picture.messages
    await stores.close()
