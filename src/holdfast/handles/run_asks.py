"""What a run asks people, and how it goes on with what they answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace

from holdfast.errors import Conflict, Disabled, InvalidTransition, LeaseLost, LimitReached, NotFound, TooLarge, shown
from holdfast.handles.asking import (
    Asked,
    asked,
    check_closable,
    check_enabled,
    check_room,
    counted,
    failure_question,
    unasked,
)
from holdfast.handles.background import to_its_end
from holdfast.handles.fence import lease_lost
from holdfast.handles.interaction import Interaction
from holdfast.handles.interactions import RunInteractions, answer_to
from holdfast.handles.measured import measured
from holdfast.handles.run_claim import RunClaim, claim_of
from holdfast.handles.run_steps import RunSteps
from holdfast.handles.run_writes import Staged
from holdfast.handles.step_queue import inside_of
from holdfast.handles.trials import Tried, trials
from holdfast.handles.unit import Alone
from holdfast.kernel.commit import Unchanged
from holdfast.kernel.work import Work
from holdfast.model.duration import Duration
from holdfast.model.interaction import Answer, InteractionKind, InteractionRecord, InteractionStatus, OnTimeout
from holdfast.model.node import DONE, NodeRecord, NodeStatus
from holdfast.model.run import MOVES, WAITS, RunRecord, RunStatus, unanswered
from holdfast.services import claim, interaction, run

_GOES_ON = (NodeStatus.RUNNING, NodeStatus.READY)


@measured("run", store="_store")
class RunAsks(RunSteps):
    """A run that can ask."""

    _unheard: frozenset[tuple[str | None, str]] = frozenset()
    """Which nodes have asked which questions here, and nobody waited for what became of them."""
    _rests: RunClaim | None = None
    """The claim that is given back by what is staged."""

    async def ask(
        self,
        prompt: str,
        *,
        kind: InteractionKind = "approval",
        node: str | None = None,
        key: str | None = None,
        options: Iterable[Any] | None = None,
        schema: Any = None,
        default: Any = None,
        timeout: Duration | None = None,
        on_timeout: OnTimeout | None = None,
        escalate_to: str | Iterable[str] = (),
        assignees: str | Iterable[str] = (),
        required: bool = True,
        payload: Any = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Interaction:
        """Ask a person: `q = await run.ask("Pay 900 €?", node="pay", timeout="2h", assignees=["bo"])`.

        One commit: the question, its node paused, the run paused if nothing else of it runs or is ready, and the entry
        in the session's event log. What asks again in the same round of the node, with the same `key` or without one
        the same prompt, kind, options, schema and payload, gets the same question, with its answer if it has one: so
        does another process after a restart. What was withdrawn is asked anew. With a `key`, what stands in the store
        is what was asked: act on the question's `payload`. A run that this task holds and that is paused by this is
        given back in the same commit, but for a transaction's; waiting for the answer takes it again.

        kind        "approval", "confirmation" (a yes or no), "choice" (of `options`), "input" (a value, that fits
                    `schema` if one is given), "form" (a value that fits `schema`), "edit" (a yes to `payload`, which
                    may be changed)
        timeout     until when it may be answered; `Config.interactions.default_timeout` without it
        on_timeout  what then counts as the answer: "reject" (of an approval, confirmation or edit, where nothing is
                    said), "approve", "default", "fail" (the node and with it the run fails), or "escalate": it is given
                    to `escalate_to` for as long again
        assignees   who may answer; nobody named: anybody
        required    False: nothing is paused, the run goes on with the `default`

        Raises InvalidTransition if the run has ended or the node is done, NotFound for a node that there is not,
        LimitReached beyond `Config.interactions.concurrent_max`, Disabled if questions are switched off, MissingExtra
        for a schema without the extra "forms", InvalidValue, and TooLarge where it and an answer to it cannot be kept.
        """
        if node is not None:
            self._check_known([node])
        wanted = await asked(
            self._store, prompt, kind=kind, key=key, options=options, schema=schema, default=default, timeout=timeout,
            on_timeout=on_timeout, escalate_to=escalate_to, assignees=assignees, required=required, payload=payload,
            metadata=metadata,
        )  # fmt: skip
        if self._question_id(wanted, node) in self._questions:
            await self.refresh()
        await self._regain()
        await to_its_end(self._ask_now(wanted, node))  # what is known of the claim goes with the commit
        record, _ = self._questions[self._question_id(wanted, node)]
        asked_by = (node, record.id)
        if record.is_pending and record.required:
            self._unheard |= {asked_by}
        return Interaction(self._store, self._target, record, on_answer=partial(self._heard, asked_by))

    async def _ask_now(self, wanted: Asked, node: str | None) -> None:
        await self._judged(lambda work: self._ask(work, wanted, node))
        if self._rests is not None:
            rests, self._rests = self._rests, None
            await rests._paused()
            self._hold(0)

    async def _heard(self, asked_by: tuple[str | None, str]) -> None:
        self._unheard -= {asked_by}
        await self._take_up()

    def _check_known(self, names: Iterable[str]) -> None:
        for name in names:
            if not isinstance(name, str) or name not in self._board.specs:
                known = ", ".join([*self._board.specs][:20]) or "none"
                raise NotFound(
                    f"the run {self.id!r} has no node {shown(name)}; it has {known}",
                    remedy="Name one of its nodes, or add it: `await run.add_nodes({…})`.",
                    node=name,
                )

    async def _regain(self) -> None:
        held = self._claim()
        if held is not None and held.rests:
            await self._take_up()
        await super()._regain()

    def _claim(self) -> RunClaim | None:
        """The claim in whose block this is, if that is one of the run."""
        return claim_of(self._store, self._target.scope, claim.of_run(self.id))

    async def _take_up(self) -> None:
        """See what the answer made of the run, and hold it again, if it was given back for that."""
        held = self._claim()
        if held is not None and held.rests:
            await self._check_goes_on()  # first: it may be another's by now, and is left to them
            await held._retake()
        await self._check_goes_on()

    async def _check_goes_on(self) -> None:
        """Raise LeaseLost inside of a try that is over since somebody else has done the node, or began it anew; or of a
        step that somebody else has done."""
        await self.refresh()
        for tried in self._tried():
            record = self._board.record(tried.node)
            if record.trial != tried.trial or not record.is_open:
                raise self._taken(tried.node)
        if inside := inside_of(self._store, self._target.scope):
            await self._check_steps(inside)

    def _tried(self) -> list[Tried]:
        """The tries of its nodes that this code is inside of, where what nodes do is kept."""
        mine = [one for one in trials.get() if one.store.writer is self._store.writer and one.run == self.id]
        return mine if self._record.tracks else []

    async def _check_steps(self, inside: tuple[str, ...]) -> None:
        """Raise LeaseLost inside of a step that somebody else has done meanwhile: it is not to go on."""
        done = await self._unit.read(self._target, lambda work: work.get_many(self._target.scope, inside))
        if done:
            why = "a step was done by somebody else, while this one waited"
            raise lease_lost(self._target.scope, why, cell=claim.of_run(self.id))

    def _taken(self, node: str) -> LeaseLost:
        why = f"the node {node!r} was taken up by somebody else"
        return lease_lost(self._target.scope, why, cell=claim.of_run(self.id))

    async def ask_and_wait(self, prompt: str, **question: Any) -> Answer:
        """Ask, and wait for what comes of it: `ask` and then `Interaction.wait`. The words are those of `ask`."""
        return await (await self.ask(prompt, **question)).wait()

    async def answer(
        self,
        decision: str,
        *,
        value: Any = None,
        by: str | None = None,
        note: str = "",
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        digest: str | None = None,
    ) -> Answer:
        """Answer the question of this run that is open, if exactly one is; as `hold.interactions.answer`.

        Looks first which that is. Raises InvalidTransition if none is open, Conflict if several are.
        """
        await self.refresh()
        open = self._open
        if len(open) != 1:
            if open:
                raise Conflict(
                    f"{len(open)} questions of the run {self.id!r} are open",
                    remedy="Say which: `await hold.interactions.answer(id, …)`; `run.interactions.pending` has them.",
                    run=self.id,
                    open=tuple([one.id for one in open]),
                )
            raise InvalidTransition(
                f"no question of the run {self.id!r} is open",
                remedy="Its questions and answers: `await run.interactions.history()`.",
                run=self.id,
            )
        answer = await answer_to(
            self._store, self._target, open[0], decision, value=value, by=by, note=note,
            metadata=metadata, idempotency_key=idempotency_key, digest=digest, speaker=self._store.speaker,
        )  # fmt: skip
        await self.refresh()
        return answer

    @property
    def interactions(self) -> RunInteractions:
        """The questions of this run, as it was last seen."""
        return RunInteractions(self._store, self._target, self.id, [record for record, _ in self._questions.values()])

    @property
    def _open(self) -> list[InteractionRecord]:
        return [record for record, _ in self._questions.values() if record.is_pending]

    # --- asking -----------------------------------------------------------------------------------

    def _question_id(self, wanted: Asked, node: str | None) -> str:
        """The id of a question in its place: of what was withdrawn there, the next."""
        round = 1 if node is None else self._board.record(node).round
        withdrawn, id = 0, wanted.identity(self._record, node, round)
        while id in self._questions and self._questions[id][0].status is InteractionStatus.CANCELLED:
            withdrawn += 1
            id = wanted.identity(self._record, node, round, withdrawn=withdrawn)
        return id

    def _ask(self, work: Work, wanted: Asked, node: str | None) -> Staged:
        """Stage a question, unless it was asked already; and the pause of whatever waits for its answer."""
        record, self._rests = self._record, None
        _check_asks(record)
        round = 1 if node is None else self._board.record(node).round
        id = self._question_id(wanted, node)
        known = self._questions.get(id)
        if known is not None and not known[0].is_pending:
            return Staged(record)
        new: dict[str, InteractionRecord] = {}
        optional = node is not None and self._board.specs[node].optional
        if known is None or (wanted.required and not known[0].required):
            self._check_asks_for(node)
            made = wanted.record(id, record, node, round, optional=optional, at_us=work.now_us)
            new[id] = check_closable(self._store, made)
        if known is None:
            check_room(self._store.config.interactions, len(self._open), self.id)
            record = counted(record)
        elif new:  # the same question, for whose answer its node waits from now on
            new[id] = replace(new[id], number=known[0].number, asked_us=known[0].asked_us)
        if not wanted.required:
            return self._stage(work, Staged(record, questions=new))
        kept = {} if node is None else self._waiting(node, id)
        if new or kept:
            record = self._rested(work, record, kept)
        staged = self._stage(work, Staged(record, kept, questions=new))
        self._rests = self._give_back(work) if record.status is RunStatus.PAUSED else None
        return staged

    def _check_asks_for(self, node: str | None) -> None:
        """Raise InvalidTransition for a node that is done: it waits for nothing."""
        if node is not None and (status := self._board.statuses[node]) in DONE:
            raise InvalidTransition(
                f"the node {node!r} is {status}; it asks nobody any more",
                remedy=f"Ask before it is done, or without `node`; or begin another round of it: `await run.progress("
                f'{node!r}, "ready")`.',
                node=node,
                status=status,
                to=NodeStatus.PAUSED,
                allowed=(NodeStatus.READY,),
            )

    def _asks_on(self, node: str) -> bool:
        """Whether a node waits for what it asked in the midst of a try, so that this may begin again. Raises
        InvalidTransition for one that waits for an answer before it begins."""
        before = self._board.record(node)
        open = self._still_open(before) if self._board.statuses[node] is NodeStatus.PAUSED else ()
        if open and not before.is_open:
            raise unanswered(f"the node {node!r}", open, node=node, status=NodeStatus.PAUSED, to=NodeStatus.RUNNING)
        return bool(open)

    def _give_back(self, work: Work) -> RunClaim | None:
        """Stage the end of the claim, if this task holds the run: a person may take their time. A transaction may come
        to nothing after all, and keeps it."""
        if not isinstance(self._unit, Alone):
            return None
        held = claim_of(self._store, self._target.scope, claim.of_run(self.id))
        if held is not None:
            held._stage_pause(work)
        return held

    def _waiting(self, node: str, id: str) -> dict[str, NodeRecord]:
        """What is kept of a node that waits for that answer from now on; nothing if it does already, or is done."""
        status, before = self._board.statuses[node], self._board.record(node)
        before = replace(before, asks=self._still_open(before))
        waits = status is NodeStatus.PAUSED and id in before.asks
        return {} if waits or status in DONE else {node: before.asking(id)}

    def _still_open(self, node: NodeRecord) -> tuple[str, ...]:
        """The questions that a node waits for, and that are there: a restore or a fork may have brought it without."""
        return tuple([id for id in node.asks if id in self._questions and self._questions[id][0].is_pending])

    @property
    def _paused_nodes(self) -> list[str]:
        """The nodes that are paused and wait for no answer: they go on once the run is resumed."""
        paused = [name for name, status in self._board.statuses.items() if status is NodeStatus.PAUSED]
        return [name for name in paused if not self._still_open(self._board.record(name))]

    def _rested(self, work: Work, record: RunRecord, kept: Mapping[str, NodeRecord]) -> RunRecord:
        """The record of a run with these nodes: paused, if all that is left of it waits for answers. The commit rests
        on what it is judged by: that another can go on, so that whoever was the last to end something pauses it,
        however many end at once; or that none that waits has its answer, which does not stand in the run's record."""
        if record.status not in (RunStatus.PENDING, RunStatus.RUNNING) or not record.resumable:
            return record
        before = {name: self._board.records.get(name) for name in kept}
        for name, after in kept.items():
            self._board.put(name, after)
        going = [name for name, status in self._board.statuses.items() if status in _GOES_ON]
        self._put_back(before)
        if not going:
            for name, version in self._versions.items():
                if version and name not in kept and self._board.record(name).asks:
                    run.node_unchanged(work, self._target.scope, self.id, name, version)
            return record.moved(RunStatus.PAUSED, at_us=work.now_us, reason=WAITS, waits=True)
        if not any(name in kept or name in self._staged for name in going):
            run.node_unchanged(work, self._target.scope, self.id, going[0], self._versions.get(going[0], 0))
        return record

    def _put_back(self, before: Mapping[str, NodeRecord | None]) -> None:
        for name, was in before.items():
            if was is None:
                self._board.forget(name)
            else:
                self._board.put(name, was)

    def _waits_after(self, work: Work, record: RunRecord, kept: Mapping[str, NodeRecord]) -> RunRecord:
        """The record of a run after its nodes went on: paused, if only what waits for answers is left."""
        waiting = any(one.asks for one in kept.values()) or any(
            one.node is None or (one.node not in kept and self._still_open(self._board.record(one.node)))
            for one in self._open
            if one.required
        )
        if waiting:
            return self._rested(work, record, kept)
        if record.waits:
            return record.moved(RunStatus.RUNNING if self._token else RunStatus.PENDING, at_us=work.now_us)
        return record

    def _no_longer_asked(self, kept: Mapping[str, NodeRecord], at_us: int) -> dict[str, InteractionRecord]:
        """The questions that are open and that, with these nodes, no node waits for any more: one that was completed,
        skipped or has failed by other means, or goes through another round. They are withdrawn with that."""
        open = [one for one in self._open if one.required and one.node in self._board.specs]
        if not open:
            return {}
        board, before = self._board, {name: self._board.records.get(name) for name in kept}
        for name, after in kept.items():
            board.put(name, after)
        left = [one for one in open if one.id not in board.record(str(one.node)).asks]
        self._put_back(before)
        return {one.id: one.cancelled(at_us) for one in left}

    def _asks_instead(
        self, work: Work, record: RunRecord, name: str, failed: NodeRecord, *, others: int
    ) -> tuple[RunRecord, NodeRecord, InteractionRecord | None]:
        """What a node without tries left asks instead of failing: the run, the node, and the question. Where none may
        be asked it fails after all, and its error says why: that rests on the questions that are open."""
        spec, config = self._board.specs[name], self._store.config.interactions
        assert spec.on_failure is not None
        wanted = failure_question(config, spec.on_failure, record, name, failed)
        try:
            check_enabled(config)
            check_room(config, len(self._open) + others, self.id)
            id = wanted.identity(record, name, failed.round)
            question = wanted.record(id, record, name, failed.round, optional=spec.optional, at_us=work.now_us)
            check_closable(self._store, question)
        except (Disabled, LimitReached, TooLarge) as problem:
            for open in self._open:
                if version := self._questions[open.id][1]:
                    work.require(self._target.scope, Unchanged(interaction.key_of(self.id, open.id), version))
            return record, unasked(failed, problem), None
        return counted(record), failed.asking(question.id), question


def _check_asks(record: RunRecord) -> None:
    """Raise InvalidTransition unless the run may ask: it has not ended."""
    if not record.status.is_open:
        raise InvalidTransition(
            f"the run {record.id} is {record.status} and asks nobody any more",
            remedy="Start another run: this one has ended, and keeps what it came to.",
            status=record.status,
            to=RunStatus.PAUSED,
            allowed=MOVES[record.status],
        )
