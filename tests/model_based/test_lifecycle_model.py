"""The life of sessions against a model in plain Python: moves, deadlines, extensions, sweeps, crowding, budgets, and a
clock that is set forward and back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from holdfast import AlreadyExists, Budget, BudgetExceeded, Config, NotFound, Session, SessionConfig
from holdfast.errors import InvalidTransition
from holdfast.model.status import MOVES, SessionStatus
from tests.unit.stores import Stores

T = TypeVar("T")
IDS = st.sampled_from(["a", "b", "c", "d"])
USERS = st.sampled_from(["ada", "bo"])
MOST = 2
ITERATIONS = 1
BUDGET = Budget(iterations=ITERATIONS)

ACTIVE, PAUSED = SessionStatus.ACTIVE, SessionStatus.PAUSED
MOVING = {
    "pause": PAUSED,
    "resume": ACTIVE,
    "complete": SessionStatus.COMPLETED,
    "cancel": SessionStatus.CANCELLED,
    "fail": SessionStatus.FAILED,
}


@dataclass
class Life:
    """A session as the model knows it. Of one user's, a later `arrival` is a newer one."""

    user: str
    arrival: int
    expires_us: int | None
    handle: Session
    status: SessionStatus = ACTIVE
    iterations: int = 0


class Lifecycle(RuleBasedStateMachine):
    """One store, and what should be in it."""

    backend = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = TemporaryDirectory()
        self.stores = Stores(self.backend, Path(self.folder.name))
        config = Config(session=SessionConfig(max_per_user=MOST))
        self.hold = self.run(self.stores.open(config=config))
        self.lives: dict[str, Life] = {}
        self.created = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.stores.close())
        self.loop.close()
        self.folder.cleanup()

    def is_there(self, life: Life | None) -> bool:
        return life is not None and (life.expires_us is None or self.stores.clock.now_us() < life.expires_us)

    @rule(id=IDS, user=USERS, ttl_s=st.sampled_from([None, 1, 60, 3600]))
    def create(self, id: str, user: str, ttl_s: int | None) -> None:
        if self.is_there(self.lives.get(id)):
            with pytest.raises(AlreadyExists):
                self.run(self.hold.sessions.create(id=id, user=user, ttl=ttl_s, budget=BUDGET))
            return
        handle = self.run(self.hold.sessions.create(id=id, user=user, ttl=ttl_s, budget=BUDGET))
        expires_us = None if ttl_s is None else self.stores.clock.now_us() + ttl_s * 1_000_000
        self.created += 1
        self.lives[id] = Life(user, self.created, expires_us, handle)
        theirs = [life for life in self.lives.values() if life.user == user and life.status.is_open]
        theirs = sorted(filter(self.is_there, theirs), key=lambda life: -life.arrival)
        for life in theirs[MOST:]:
            life.status, life.expires_us = SessionStatus.CANCELLED, None

    @rule(id=IDS, verb=st.sampled_from(sorted(MOVING)))
    def move(self, id: str, verb: str) -> None:
        if (life := self.lives.get(id)) is None:
            return
        call = getattr(life.handle, verb)("why") if verb == "fail" else getattr(life.handle, verb)()
        if not self.is_there(life):
            with pytest.raises(NotFound):
                self.run(call)
        elif MOVING[verb] not in MOVES[life.status] or life.status is SessionStatus.TIMED_OUT:
            with pytest.raises(InvalidTransition):
                self.run(call)
        else:
            self.run(call)
            life.status = MOVING[verb]
            life.expires_us = life.expires_us if life.status.is_open else None

    @rule(id=IDS, verb=st.sampled_from(["write", "touch", "extend", "turn"]))
    def use(self, id: str, verb: str) -> None:
        if (life := self.lives.get(id)) is None:
            return
        if not self.is_there(life):
            with pytest.raises(NotFound):
                self.run(self._use(life.handle, verb))
            return
        self.run(self._use(life.handle, verb))
        if verb == "extend" and life.expires_us is not None:
            life.expires_us += 60_000_000
        if verb == "turn" and life.expires_us is not None:
            life.expires_us = max(life.expires_us, self.stores.clock.now_us() + 80_000_000)

    async def _use(self, s: Session, verb: str) -> None:
        if verb == "write":
            await s.state.set("n", 1)
        elif verb == "turn":
            self.created += 1
            async with s.turn(request_id=f"r{self.created}", ttl=60):
                pass
        else:
            await (s.touch() if verb == "touch" else s.extend(60))

    @rule(id=IDS)
    def iterate(self, id: str) -> None:
        """One beyond the budget ends the session as timed out; in one that is not active there is none."""
        if (life := self.lives.get(id)) is None:
            return
        call = life.handle.iterate()
        if not self.is_there(life):
            with pytest.raises(NotFound):
                self.run(_awaited(call))
        elif life.status not in (ACTIVE, SessionStatus.TIMED_OUT):
            with pytest.raises(InvalidTransition):
                self.run(_awaited(call))
        elif life.iterations == ITERATIONS:  # asked once more, what ended by that says so again
            with pytest.raises(BudgetExceeded):
                self.run(_awaited(call))
            life.status, life.expires_us = SessionStatus.TIMED_OUT, None
        else:
            self.run(_awaited(call))
            life.iterations += 1

    @rule(seconds=st.sampled_from([0.000_001, 1, 59, 60, 3600]))
    def time_goes_by(self, seconds: float) -> None:
        self.stores.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-3600, -60, -1, 60, 3600]))
    def the_clock_is_set(self, seconds: float) -> None:
        self.stores.clock.jump(seconds)

    @rule()
    def sweep(self) -> None:
        """What has expired goes for good: a clock that is set back brings it back no more."""
        over = [id for id, life in self.lives.items() if not self.is_there(life)]
        assert self.run(self.hold.sweep()).expired == len(over)
        for id in over:
            del self.lives[id]

    @invariant()
    def what_there_is_is_what_should_be(self) -> None:
        there = {id: life.status for id, life in self.lives.items() if self.is_there(life)}
        over = sorted(self.lives.keys() - there.keys())
        listed = self.run(self.hold.sessions.list()).items
        assert {one.id: one.status for one in listed} == there
        assert sorted(one.id for one in self.run(self.hold.sessions.list(expired=True)).items) == over
        assert {one.id for one in self.run(self.hold.sessions.list(order="recent")).items} == set(there)
        stats = self.run(self.hold.sessions.stats())
        assert stats.count == len(there)


async def _awaited(call: Awaitable[object]) -> None:
    await call


def check(backend: str, *, examples: int, steps: int) -> None:
    machine = type("Machine", (Lifecycle,), {"backend": backend})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[*HealthCheck],
        ),
    )


@pytest.mark.parametrize("backend", ["memory", "weakest", "sqlite"])
def test_sessions_live_as_the_model_says(backend: str) -> None:
    """G12 above all: what exists follows from the log and the time, whichever way that goes."""
    check(backend, examples=6, steps=25)


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["memory", "weakest", "sqlite"])
def test_sessions_live_as_the_model_says_for_long(backend: str) -> None:
    check(backend, examples=300, steps=60)
