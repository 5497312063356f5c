"""A question as people hold it: what is asked, what became of it, and waiting for that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Self

from holdfast.errors import NotFound
from holdfast.handles.measured import measured
from holdfast.handles.node_clock import standing_still
from holdfast.handles.run_writes import Beside
from holdfast.handles.store import Store
from holdfast.handles.unit import Target
from holdfast.handles.watch import Watch
from holdfast.handles.winding_up import wind_up_now
from holdfast.kernel import codec
from holdfast.kernel.commit import Read
from holdfast.kernel.work import Work
from holdfast.model import interaction as model
from holdfast.model.duration import Duration, to_seconds
from holdfast.model.interaction import Answer, Given, InteractionKind, InteractionRecord, InteractionStatus, OnTimeout
from holdfast.model.moment import to_datetime
from holdfast.operations.settle import Settled, settle
from holdfast.services import interaction, run

LOOK_S = 5.0
"""How long who waits trusts its clock: a wall that leapt past the due time is noticed by then."""


@measured("interaction", store="_store")
class Interaction:
    """One question of a run. What it shows is what it last saw; `refresh` and `wait` see more."""

    def __init__(
        self,
        store: Store,
        target: Target,
        record: InteractionRecord,
        *,
        on_answer: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._store = store
        self._target = target
        self._record = record
        self._on_answer = on_answer

    def __repr__(self) -> str:
        node = "" if self.node is None else f" node={self.node!r}"
        asks = f"{self.kind} of run={self.run!r}{node}"  # no word of what is asked: logs have reprs
        return f"<Interaction {self.id!r} {asks} {self.status}>"

    @property
    def id(self) -> str:
        """The question's id: the same when the run asks again."""
        return self._record.id

    @property
    def run(self) -> str:
        """The id of the run that asks."""
        return self._record.run

    @property
    def node(self) -> str | None:
        """The node of it that waits."""
        return self._record.node

    @property
    def session(self) -> str | None:
        """The id of the run's session; None for a run that is alone."""
        return self._record.session

    @property
    def user(self) -> str | None:
        """Whose run it is."""
        return self._record.user

    @property
    def kind(self) -> InteractionKind:
        """What is asked for: approval, confirmation, choice, input, form or edit."""
        return self._record.question.kind

    @property
    def prompt(self) -> str:
        """What is asked."""
        return self._record.question.prompt

    @property
    def payload(self) -> Any:
        """What it is about, as it is shown; of an edit, what is proposed."""
        return codec.decode(bytes(self._record.question.payload))

    @property
    def options(self) -> Any:
        """What may be chosen from; None for what is no choice."""
        return codec.decode(bytes(self._record.question.options))

    @property
    def schema(self) -> Any:
        """The JSON Schema that the value is to fit, if there is one."""
        return codec.decode(bytes(self._record.question.schema))

    @property
    def default(self) -> Any:
        """What counts if nobody answers, where that is what happens then."""
        return codec.decode(bytes(self._record.default))

    @property
    def metadata(self) -> dict[str, Any]:
        """What was kept with it."""
        return codec.decode(bytes(self._record.metadata)) or {}

    @property
    def digest(self) -> str:
        """The digest of all that is shown: who answers with it, answers exactly that."""
        return self._record.digest

    @property
    def assignees(self) -> tuple[str, ...]:
        """Who may answer; nobody named: anybody."""
        return self._record.assignees

    @property
    def required(self) -> bool:
        """Whether its node waits for the answer."""
        return self._record.required

    @property
    def status(self) -> InteractionStatus:
        """What became of it, as far as this handle has seen."""
        return self._record.status

    @property
    def asked_at(self) -> datetime:
        """When it was asked."""
        return to_datetime(self._record.asked_us)

    @property
    def due_at(self) -> datetime | None:
        """Until when it may be answered; None: as long as its run is there."""
        return None if self._record.due_us is None else to_datetime(self._record.due_us)

    @property
    def on_timeout(self) -> OnTimeout | None:
        """What silence means: once it is due it is rejected, approved, its default counts, its node fails, or it is
        given to `escalate_to`. None for one that never times out."""
        return None if self._record.due_us is None else self._record.on_timeout

    @property
    def escalate_to(self) -> tuple[str, ...]:
        """Who is asked next, if it is to be given to others once it is due."""
        return self._record.escalate_to if self.on_timeout == "escalate" else ()

    @property
    def closed_at(self) -> datetime | None:
        """When it was answered, timed out or was cancelled."""
        return None if self._record.closed_us is None else to_datetime(self._record.closed_us)

    @property
    def answer(self) -> Answer | None:
        """What came of it; None while it is pending, and of one that was cancelled."""
        return None if self._record.given is None else answer_of(self._record, self._record.given)

    async def refresh(self) -> Self:
        """See what became of it; returns itself. Raises NotFound if it has left."""
        await self._see()
        return self

    async def _see(self) -> bool:
        """Look at what is stored; whether that is the last word."""
        key = interaction.key_of(self.run, self.id)
        view = (await self._store.work().peek([Read(self._target.scope, (key, *run.end_keys(self.run)))]))[0]
        cell = view.cells.get(key)
        if cell is None or self._target.epoch not in (None, view.head.epoch):
            raise interaction.missing(self.id)
        self._record = interaction.decode(cell).met(run.ended_us(view.cells, self.run))
        return not self._record.is_pending

    async def wait(self, timeout: Duration | None = None) -> Answer:
        """Wait for the answer, from whichever process it comes; or for what counts as one when the time is over.

        One that need not be answered is not waited for: its default comes back at once, with the status "pending".
        Raises InteractionCancelled if it is withdrawn, or its run or session is gone; TimeoutError if `timeout` passes
        first, and it stays as it is.
        """
        until_s = None
        if timeout is not None:
            until_s = self._store.clock.monotonic_s() + to_seconds(timeout, "timeout")
        try:
            if not await self._see():
                if not self.required:
                    return answer_of(self._record, self._record.by_default(self._store.now_us()))
                with standing_still():
                    await self._wait(until_s)
        except NotFound as gone:
            raise model.withdrawn(self.id, "its run or session is gone") from gone
        if self._on_answer is not None:
            with standing_still():  # others may hold the run by now
                await self._on_answer()
        given = self._record.given
        if given is None:
            raise model.withdrawn(self.id)
        return answer_of(self._record, given)

    async def _wait(self, until_s: float | None) -> None:
        async with Watch(self._store, self._target.scope, interaction.key_of(self.run, self.id)) as watch:
            while not await self._see():
                due_us, now_us = self._record.due_us, self._store.now_us()
                if due_us is not None and due_us <= now_us:
                    await time_out(self._store, self._target, self.run, self.id)
                    continue
                pause_s = LOOK_S if due_us is None else min((due_us - now_us) / 1_000_000, LOOK_S)
                if until_s is not None:
                    left_s = until_s - self._store.clock.monotonic_s()
                    if left_s <= 0:
                        raise TimeoutError(f"the question {self.id} was not answered in that time")
                    pause_s = min(pause_s, left_s)
                await watch.moved(pause_s)


def answer_of(record: InteractionRecord, given: Given) -> Answer:
    """What came of a question, for people."""
    metadata: Mapping[str, Any] = codec.decode(bytes(given.metadata)) or {}
    value = codec.decode(bytes(given.value))
    return Answer(
        record.id, record.status, given.decision, value, given.by, given.note, metadata, to_datetime(given.at_us)
    )


async def time_out(store: Store, target: Target, of: str, id: str) -> bool:
    """Let the time of a question of that run be over, if it is over still; whether this very call did that. Raises
    NotFound."""
    key = interaction.key_of(of, id)
    return (await settled(store, target, key, _timed_out, by_time=True)).is_new


async def settled(
    store: Store,
    target: Target,
    key: str,
    judge: Callable[[InteractionRecord, int], InteractionRecord],
    *,
    node: str | None = None,
    by_time: bool = False,
) -> Settled:
    """What a question becomes, by `judge(record, now_us)`, committed with what follows from that. Raises NotFound."""
    few = store.limits.operations_max // 4

    async def stage(work: Work) -> Settled:
        def new_id() -> str:
            return store.ids.uuid7(work.now_us)

        return await settle(
            work, target.scope, key, lambda record: judge(record, work.now_us), new_id=new_id, few=few, node=node,
            by_time=by_time,
        )  # fmt: skip

    became, _ = await Beside(store).change(target, stage)
    if became.lingers:
        await wind_up_now(store, target.scope, run.key_of(became.record.run))
    return became


def _timed_out(record: InteractionRecord, now_us: int) -> InteractionRecord:
    return record.timed_out(now_us) if record.is_due(now_us) else record
