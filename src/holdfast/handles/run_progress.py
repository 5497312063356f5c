"""What a run is told of its nodes: by `progress`, and by the blocks in which they are done."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from holdfast.errors import InvalidTransition, InvalidValue, Unavailable, shown
from holdfast.handles.measured import measured
from holdfast.handles.run_asks import RunAsks
from holdfast.handles.run_node import RunNode, Telling
from holdfast.handles.run_writes import Staged
from holdfast.handles.trials import WaitsError
from holdfast.handles.unit import Together
from holdfast.kernel import codec
from holdfast.kernel.limits import check_signal
from holdfast.kernel.line import Line
from holdfast.kernel.live import encode_live
from holdfast.kernel.work import Work
from holdfast.model import node as nodes
from holdfast.model import run as model
from holdfast.model.interaction import InteractionRecord
from holdfast.model.node import NodeRecord, NodeStatus, Trial
from holdfast.model.run import RunRecord, RunStatus
from holdfast.services import change, session


class Told(Struct, frozen=True):
    """What is told of a node: where it is now, and what came with it, encoded."""

    status: NodeStatus
    input: bytes | None = None
    output: bytes | None = None
    error: bytes | None = None


class _OverError(Exception):
    """There is nothing to tell of a try."""


def _shown(told: Told) -> dict[str, Any]:
    return {"status": told.status.value, "output": codec.decode(told.output or b"null")}


@measured("run", store="_store")
class RunProgress(RunAsks):
    """A run that can be told how far its nodes came."""

    async def progress(
        self,
        node: str | Mapping[str, Any],
        status: NodeStatus | str | None = None,
        *,
        input: Any = None,
        output: Any = None,
        error: Any = None,
    ) -> None:
        """Record how far a node came: one commit, without a read. Several at once, in this order:

            await run.progress({"search": {"status": "completed", "output": 3}, "pay": "running"})

        "running" begins a try; "failed" ends it, and the node is ready again after its pause if it has tries left; else
        the run fails, unless the node is optional or a question decides. What a node asked and that is done without the
        answer is withdrawn. "ready" begins another round of a node that
        was done, and of all that depends on it; not of one that is skipped because of others. What has begun may end
        while the run is paused; nothing begins.

        Raises InvalidTransition for a move that there is not, NotFound for a node, LeaseLost if the run is held here
        and was taken away; with `runs.track_nodes` off it is told to followers and kept nowhere.
        """
        if isinstance(node, str):
            told = {node: self._told_of(node, status, input, output, error)}
        else:
            told = {name: self._told(name, given) for name, given in codec.mapping(node, "node").items()}
        if not self._record.tracks:
            await self._emit(told)
            return
        await self._judged(lambda work: self._advance(work, told))

    def _told(self, name: str, given: Any) -> Told:
        """What is told of a node, checked and encoded."""
        given = given if isinstance(given, Mapping) else {"status": given}
        if unknown := [key for key in given if key not in ("status", "input", "output", "error")]:
            raise InvalidValue(
                f"of a node status, input, output and error are told, not {shown(unknown[0])}", path=name
            )
        return self._told_of(name, given.get("status"), given.get("input"), given.get("output"), given.get("error"))

    def _told_of(self, name: str, status: Any, input: Any = None, output: Any = None, error: Any = None) -> Told:
        if error is not None:
            error = session.checked_error(error, self._store.limits.value_bytes_max)
        return Told(
            status if type(status) is NodeStatus else NodeStatus(status),
            None if input is None else self._encoded(input, name, "input"),
            None if output is None else self._encoded(output, name, "output"),
            None if error is None else self._encoded(error, name, "error"),
        )

    def _encoded(self, value: Any, name: str, what: str) -> bytes:
        limit = self._store.limits.value_bytes_max
        return codec.encode(value, bytes_max=limit, what=f"the {what} of {name}", path=f"{name}.{what}")

    def _advance(self, work: Work, told: Mapping[str, Told]) -> Staged:
        """Stage what is told of nodes. The board is as it was after it."""
        self._check_known(told)
        board, record = self._board, self._record
        kept: dict[str, NodeRecord] = {}
        questions: dict[str, InteractionRecord] = {}
        before = {name: board.records.get(name) for name in told}
        try:
            for name, one in told.items():
                record = self._check(record, name, one)
                after, spec = self._after(name, one, work.now_us), board.specs[name]
                if after.status is NodeStatus.FAILED and spec.on_failure is not None:
                    record, after, question = self._asks_instead(work, record, name, after, others=len(questions))
                    if question is not None:
                        questions[question.id] = question
                if after.status is NodeStatus.FAILED and not spec.optional:
                    record = self._fails(work, record, name, after)
                kept[name] = after
                turns = self._turns(name, after)
                if len(told) > 1:
                    board.put(name, after)
                if turns and record is self._record:
                    record = replace(record, updated_us=work.now_us)
        finally:
            if len(told) > 1:
                self._put_back(before)
        if record.asked:
            questions |= self._no_longer_asked(kept, work.now_us)
            record = self._waits_after(work, record, kept)
        return self._stage(work, Staged(record, kept, questions=questions))

    def _check(self, record: RunRecord, name: str, told: Told) -> RunRecord:
        """Raise InvalidTransition for what may not be told now; returns the record, which runs once a node does."""
        status = self._board.statuses[name]
        if told.status is NodeStatus.RUNNING and self._asks_on(name) and record.waits:
            record = record.moved(RunStatus.RUNNING, at_us=self._store.now_us())  # it asks again, and waits on
        elif not (record.status is RunStatus.PAUSED and self._may_end(name, told.status)):
            self._check_works() if record is self._record else model.check_works(record)
        nodes.check_move(name, status, told.status)
        if told.status is NodeStatus.READY and status in nodes.DONE:
            self._board.check_begins_again(name)
        if record.status is RunStatus.PENDING:
            return record.moved(RunStatus.RUNNING, at_us=self._store.now_us())
        return record

    def _may_end(self, name: str, to: NodeStatus) -> bool:
        """Whether that ends a try which is under way, and so may be told while the run is paused: completed, failed, or
        given back. Of a node too that was paused itself; one that waits for an answer may fail."""
        if to is NodeStatus.READY:
            return self._board.statuses[name] is NodeStatus.RUNNING
        before = self._board.record(name)
        return before.is_open and (to is NodeStatus.FAILED or (to is NodeStatus.COMPLETED and not before.asks))

    def _after(self, name: str, told: Told, at_us: int) -> NodeRecord:
        before, spec = self._board.record(name), self._board.specs[name]
        if before.asks:
            before = replace(before, asks=self._still_open(before))
        keeps = self._record.keeps_outputs
        ends = told.status in (NodeStatus.COMPLETED, NodeStatus.FAILED)
        if told.status is NodeStatus.RUNNING or (ends and not before.is_open):
            before = before.begun(at_us=at_us, token=self._token, input=told.input if keeps else None)
        if told.status is NodeStatus.RUNNING:
            return before
        if told.status is NodeStatus.COMPLETED:
            return before.completed(at_us=at_us, output=told.output if keeps else None)
        if told.status is NodeStatus.FAILED:
            return before.failed(spec, at_us=at_us, error=told.error or b"null")
        if told.status is NodeStatus.READY:
            status = self._board.statuses[name]
            if status in (NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.SKIPPED):
                return before.again()
            return before.given_back() if status is NodeStatus.RUNNING else before.set_to(told.status, at_us=at_us)
        if told.status is NodeStatus.PAUSED:
            return before.paused(resumed=self._record.resumed)
        return before.set_to(told.status, at_us=at_us)

    def _turns(self, name: str, after: NodeRecord) -> bool:
        """Whether what was judged by what was seen of that node may be wrong now: it is out, in another round, or no
        longer paused. Then the record is written with it, on which every write rests. All else only lets others
        begin."""
        out = after.status in (NodeStatus.SKIPPED, NodeStatus.FAILED)
        return out or after.round != self._board.round(name) or self._board.statuses[name] is NodeStatus.PAUSED

    def _fails(self, work: Work, record: RunRecord, name: str, after: NodeRecord) -> RunRecord:
        """The record of the run after a node failed for good."""
        told = {"node": name, "error": codec.decode(bytes(after.error))}
        return record.moved(RunStatus.FAILED, at_us=work.now_us, error=codec.encode(told))

    async def _emit(self, told: Mapping[str, Told]) -> None:
        """Tell followers of nodes of which nothing is kept: in a transaction, once it has committed."""
        if not told.keys() <= self._board.specs.keys():
            await self.refresh()
        self._check_known(told)
        lines = [change.emitted("run", name, {"run": self.id, **_shown(one)}) for name, one in told.items()]
        cause, scope = self._store.cause(), self._target.scope

        def payload(line: Line) -> bytes:
            return encode_live(self._target.epoch or 0, self._store.now_us(), cause, line)

        async def tell() -> None:
            for line in lines:
                with suppress(Unavailable):  # a signal may be lost
                    await self._store.kernel.signal(scope, payload(line))

        if not isinstance(self._unit, Together):
            return await tell()
        self._unit.check()
        for line in lines:
            check_signal(scope, payload(line), self._store.limits)
        self._unit.along.told.append(tell)

    def node(self, node: str, *, input: Any = None) -> RunNode:
        """One try of a node as a block: `async with run.node("pay") as node`. See `RunNode`."""
        self._check_alone("node")
        return RunNode(self, node, input, Telling(self._begins, self._ends, self._has_ended, self._breaks_off))

    async def _begins(self, node: str, input: Any) -> None:
        self._unheard = frozenset([one for one in self._unheard if one[0] != node])
        await self.progress(node, NodeStatus.RUNNING, input=input)
        if not self._record.tracks:
            await self._look_at(node)
            self._check_works()

    async def _ends(self, work: Work, node: str, trial: Trial, output: bytes) -> Staged | None:
        told = {node: Told(NodeStatus.COMPLETED, output=output)}
        await self._check_told(node, trial)
        await self._regain()
        await self._look_at(node)
        if self._open:  # whether anything else goes on is judged by all nodes
            await self.refresh()
        if not self._record.tracks:
            return await self._goes_on(work)
        try:
            if self._is_over(node, trial):
                raise self._taken(node)
            if self._still_open(self._board.record(node)):
                raise WaitsError
            return self._advance(work, told)
        except InvalidTransition:
            await self._check_held()
            raise

    async def _check_told(self, node: str, trial: Trial) -> None:
        """Raise WaitsError where a try asked, and was not told the answer: once it was given it is done from its
        beginning. One that waited for an answer as it began, and did not ask again, waits on."""
        if self._still_open(self._board.record(node)) or any(asking == node for asking, _ in self._unheard):
            await self.refresh()
            if self._record.status.is_open:
                await self._breaks_off(node, trial, None)
                raise WaitsError

    async def _has_ended(self, node: str, output: bytes) -> None:
        if not self._record.tracks:
            await self._emit({node: Told(NodeStatus.COMPLETED, output=output)})

    def _is_over(self, node: str, trial: Trial) -> bool:
        """Whether that try is not to be told of any more: the node was begun anew, or may have been, since the run was
        given back in the midst of it and is not held again. Who holds it then takes the try for interrupted."""
        *_, token = trial
        return self._board.record(node).trial != trial or (token != 0 and not self._token)

    async def _breaks_off(self, node: str, trial: Trial, error: Exception | None) -> None:
        status = NodeStatus.READY if error is None else NodeStatus.FAILED
        told = {node: self._told(node, {"status": status, "error": error})}
        await self._look_at(node)
        if not self._record.tracks:
            await self._emit(told)
            return

        def stage(work: Work) -> Staged:
            record = self._board.record(node)
            if self._is_over(node, trial) or (error is None and record.status is not NodeStatus.RUNNING):
                raise _OverError
            return self._advance(work, told)

        if not self._is_over(node, trial):
            with suppress(_OverError):
                await self._judged(stage)

    async def _take_up(self) -> None:
        await super()._take_up()
        for tried in self._tried():  # they run again, for others to see
            if self._board.statuses[tried.node] is NodeStatus.READY:
                await self.progress(tried.node, NodeStatus.RUNNING)
                tried.trial = self._board.record(tried.node).trial
