"""A world of workflows: processes that ask, answer, withdraw and time out, that do steps and set variables, and that
keep, restore and fork a session, on the weakest store there is.

The weather is that of `running`: crashes, cancellations, jumping walls, lost replies. What must never happen is held
against them on the way and in the end: of each question everybody is told one story, and the log tells it too; no step
counts twice and all are told one result; whoever set a variable finds it; a restore makes the session what it was, and
a fork shows what it was made of.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from holdfast import Busy, Conflict, Holdfast, LeaseLost, Session
from holdfast.errors import (
    AlreadyAnswered,
    AlreadyExists,
    InteractionCancelled,
    InteractionExpired,
    InvalidTransition,
    NotFound,
)
from holdfast.handles.atomic_step import AtomicStep
from holdfast.handles.interaction import Interaction
from holdfast.handles.run import Run
from holdfast.handles.transaction import SessionTransaction
from holdfast.kernel.line import decode_lines
from holdfast.model.interaction import Answer, InteractionRecord
from tests.simulation.replaying import replayed, seen
from tests.simulation.running import Process, Scenario, World

DONE = ("answered", "timed_out", "cancelled")
STEPS = ("a", "b", "c")
WITHDRAWN = ("cancelled", None, None)


class Asking(World):
    """One seed's life: the runs are in one session, what is restored and forked is another."""

    sessions = ("s", "past")
    refusals = (
        *(Busy, Conflict, InvalidTransition, LeaseLost, NotFound, TimeoutError),
        *(AlreadyAnswered, AlreadyExists, InteractionCancelled, InteractionExpired),
    )

    def __init__(self, seed: int, scenario: Scenario) -> None:
        super().__init__(seed, scenario)
        self.chance = Random(f"asking {seed}")
        self.asked: list[str] = []
        self.told: dict[str, Any] = {}
        self.results: dict[tuple[str, str], Any] = {}
        self.set: dict[str, tuple[int, int]] = {}
        """Of each variable the last value that was acknowledged, and the last that was tried."""
        self.taken: dict[str, int] = {}
        self.forks: dict[str, int] = {}
        """Of each checkpoint and of each fork, of which version it is."""

    # --- what a lane does ---------------------------------------------------------------------------

    async def _step(self, process: Process, op: str, handles: dict[str, Run], count: Counter[str]) -> None:
        past = self.chance.random() < 0.4
        session = await process.hold.sessions.get("past" if past else "s")
        assert session is not None
        if past:
            await self._keep(session, op)
            return
        slot = f"r{self.chance.randrange(self.scenario.runs)}"
        run = await self._fetched(session, op, slot, count)
        if self.chance.random() < 0.7:
            await self._move(session, run, op, hold=process.hold)
            return
        async with run.claim(busy=self.chance.choice(("queue", "reject", "supersede")), wait=60, ttl=15):
            for n in range(2):
                await self._move(session, run, f"{op}.{n}", hold=process.hold)
                await process.clock.sleep(self.chance.choice((0.0, 1.0, 10.0)))

    async def _move(self, session: Session, run: Run, op: str, *, hold: Holdfast | None = None) -> bool:
        assert hold is not None
        match self.chance.randrange(10):
            case 0 | 1:
                await self._go_on(run, op)
            case 2 | 3:
                await self._ask(run)
            case 4 | 5:
                await self._answer(hold, op)
            case 6:
                await self._hear(hold)
            case 7:
                await self._do_step(run, op)
            case 8:
                await self._set(session, op)
            case _:
                await hold.sweep()
        return True

    async def _go_on(self, run: Run, op: str) -> None:
        running = [name for name, node in run.nodes.items() if node.status == "running"]
        if running and self.chance.random() < 0.3:
            await run.progress(self.chance.choice(running), "completed", output=op)
        elif ready := run.ready_nodes():
            await run.progress(ready[0], "running", input=op)
        elif run.is_done or self.chance.random() < 0.1:
            await run.complete(op)

    async def _ask(self, run: Run) -> None:
        able = [name for name, node in run.nodes.items() if node.status in ("ready", "running", "paused")]
        if not able:
            return
        node = self.chance.choice(able)
        before = {*self.told}
        q = await run.ask(
            "Pay?",
            node=node,
            key=f"{self.chance.randrange(2)}",
            timeout=self.chance.choice((5, 100, None)),
            on_timeout=self.chance.choice(("reject", "approve")),
        )
        self.events["asked"] += 1
        if q.id not in self.asked:
            self.asked.append(q.id)
        self._agree(q, before)

    async def _answer(self, hold: Holdfast, op: str) -> None:
        """Two at once, of whom one at most is heard, or whoever withdraws it."""
        if not self.asked:
            return
        id = self.chance.choice(self.asked[-4:])
        yes = hold.interactions.answer(id, "approved", by=f"{op} yes")
        withdraws = self.chance.random() < 0.2
        no = hold.interactions.cancel(id) if withdraws else hold.interactions.answer(id, "rejected", by=f"{op} no")
        outcomes = await asyncio.gather(yes, no, return_exceptions=True)
        done = [one for one in outcomes if not isinstance(one, BaseException)]
        assert len(done) <= 1, f"{id}: two were heard at once: {done}"
        for one in done:
            self.events["answered"] += 1
            self._agree_on(id, ("answered", one.decision, one.by) if isinstance(one, Answer) else WITHDRAWN)
        for problem in outcomes:
            if isinstance(problem, AlreadyAnswered):
                self._agree_on(id, ("answered", problem.facts["answer"], problem.facts["by"]))
            elif isinstance(problem, InteractionCancelled):
                self._agree_on(id, WITHDRAWN)
            elif isinstance(problem, BaseException):
                raise problem

    async def _hear(self, hold: Holdfast) -> None:
        if not self.asked:
            return
        before = {*self.told}
        q = await hold.interactions.get(self.chance.choice(self.asked))
        if q is None:
            return
        self._agree(q, before)
        try:
            answer = await q.wait(timeout=self.chance.choice((0.1, 20)))
        except InteractionCancelled:
            self._agree_on(q.id, WITHDRAWN)
        else:
            self._agree_on(q.id, (answer.status.value, answer.decision, answer.by))
        self.events["heard"] += 1

    def _agree(self, q: Interaction, before: set[str]) -> None:
        """It is what everybody else was told; and not open, if somebody was told its end before it was asked for."""
        given = (None, None) if q.answer is None else (q.answer.decision, q.answer.by)
        if q.status.value in DONE:
            self._agree_on(q.id, (q.status.value, *given))
        else:
            assert q.id not in before, f"{q.id} is {q.status}, and was told to be {self.told[q.id]}"

    def _agree_on(self, id: str, told: Any) -> None:
        first = self.told.setdefault(id, told)
        assert first == told, f"{id} was told to be {first} and {told}"

    async def _do_step(self, run: Run, op: str) -> None:
        name = self.chance.choice(STEPS)
        if self.chance.random() < 0.5:
            result = await run.step(name, self._slowly, op, key="")
        else:
            name = f"atomic {name}"

            async def effect(step: AtomicStep) -> str:
                await self._slowly(op)
                await step.messages.add("assistant", f"{run.id} {name}")
                return op

            result = await run.atomic(name, effect)
        first = self.results.setdefault((run.id, name), result)
        assert first == result, f"the step {name} of {run.id} came to {first} and to {result}"
        self.events["stepped"] += 1

    async def _slowly(self, op: str) -> str:
        await asyncio.sleep(self.chance.random())
        return op

    async def _set(self, session: Session, op: str) -> None:
        place, lane, n = op.split(".")[:3]
        name, value = f"v{place}.{lane}", int(n)
        self.set[name] = (self.set.get(name, (0, 0))[0], value)
        await session.variables.set(name, value, level="workflow", workflow="flow")
        self.set[name] = (value, value)
        self.events["set"] += 1

    # --- the past -----------------------------------------------------------------------------------

    async def _keep(self, session: Session, op: str) -> None:
        match self.chance.randrange(8):
            case 0 | 1:
                taken = await session.checkpoint()
                self.taken[taken.id] = taken.version
            case 2 if self.taken:
                undo = await session.restore(self.chance.choice([*self.taken][-4:]))
                self.taken[undo.id] = undo.version
                self.events["restored"] += 1
            case 3 if self.taken:
                id = self.chance.choice([*self.taken])
                fork = await session.fork(at=id)
                self.forks[fork.id] = self.taken[id]
                self.events["forked"] += 1
            case _:
                await session.transact(self._write(op), attempts=5)
        self.events["kept"] += 1

    def _write(self, op: str) -> Callable[[SessionTransaction], Any]:
        keys = self.chance.sample("abcd", 3)

        async def write(tx: SessionTransaction) -> None:
            await tx.state.update({keys[0]: op, keys[1]: op})
            await tx.state.delete(keys[2])
            await tx.variables.set(keys[0], op)
            await tx.variables.clear(keys[1])
            await tx.messages.add("user", op)

        return write

    # --- the end ------------------------------------------------------------------------------------

    async def _check(self, hold: Holdfast) -> None:
        s = await hold.sessions.get("s")
        assert s is not None
        self._check_log()
        for id in self.asked:
            q = await hold.interactions.get(id)
            assert q is not None, f"{id} is gone"
            self._agree(q, {*self.told})
        async for run in _runs_of(s):
            open = {one.node for one in await run.interactions.history() if one.status == "pending"}
            told = {name: node.status.value for name, node in run.nodes.items()}
            for name, status in told.items() if run.status.is_open else ():
                wanted = ("paused", "completed") if name in open else ("waiting", "ready", "running", "completed")
                assert status in wanted, f"{run.id}: {told} wait, and {open} are asked"
        ledger = Counter([str(one.content) for one in await s.messages.list(limit=1000)])
        done = {f"{run} {name}" for run, name in self.results if name.startswith("atomic")}
        assert set(ledger.values()) <= {1}, f"steps that count twice: {ledger}"
        assert done <= ledger.keys(), f"steps that are lost: {done - ledger.keys()}"
        values = {one.name: one.value for one in await s.variables.list(level="workflow", workflow="flow")}
        for name, (sure, tried) in self.set.items():
            assert sure <= values.get(name, 0) <= tried, f"{name} is {values.get(name)}, and was set to {sure}"
        await self._check_past(hold)

    def _check_log(self) -> None:
        """Of each question the log tells one end, after which nothing becomes of it."""
        ended: dict[str, Any] = {}
        for record in self.store.witness["session/s"]:
            for line in decode_lines(record.body):
                if line.kind != "interaction" or line.op != "set":
                    continue
                q = msgspec.json.decode(line.value, type=InteractionRecord)
                given = (None, None) if q.given is None else (q.given.decision, q.given.by)
                assert q.id not in ended, f"{q.id} was {ended[q.id]}, and is written again at {record.seq}: {q.status}"
                if q.status.value in DONE:
                    ended[q.id] = (q.status.value, *given)
        for id, told in ended.items():
            self._agree_on(id, told)

    async def _check_past(self, hold: Holdfast) -> None:
        past = await hold.sessions.get("past")
        assert past is not None
        pictures = replayed(self.store.witness["session/past"])
        assert await seen(past) == pictures[max(pictures)], "the session is not what its log tells"
        there = {one.id: one.version for one in await past.checkpoints()}
        assert self.taken.items() <= there.items(), "a checkpoint is lost"
        for id in self.chance.sample([*there], min(2, len(there))):
            self.forks[(await past.fork(at=id)).id] = there[id]
        forks = [one async for one in hold.sessions.iterate() if one.id not in self.sessions]
        assert self.forks.keys() <= {one.id for one in forks}, "a fork is lost"
        for fork in forks:
            version = self.forks.get(fork.id, fork.metadata["forked_from"]["version"])
            shown = await seen(fork)
            assert shown == pictures[version], f"a fork of {version} shows {shown}, and not {pictures[version]}"


async def _runs_of(session: Session) -> Any:
    cursor = None
    while True:
        page = await session.runs.list(cursor=cursor)
        for run in page.items:
            yield run
        cursor = page.next
        if cursor is None:
            return
