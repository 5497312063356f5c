"""What a run commits: by what was last seen of it, judged anew where somebody else was faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from holdfast.errors import Conflict, InvalidTransition, InvalidValue, LimitReached, NotFound
from holdfast.handles.fence import lease_lost, token_of
from holdfast.handles.measured import measured
from holdfast.handles.run_variables import variables_of_run
from holdfast.handles.run_view import RunView
from holdfast.handles.unit import ATTEMPTS, Alone, Target, Unit, pause
from holdfast.handles.variables import Variables
from holdfast.handles.winding_up import wind_up_now
from holdfast.kernel.commit import Cell, Read
from holdfast.kernel.work import Work
from holdfast.model import run as model
from holdfast.model.graph import Board
from holdfast.model.interaction import InteractionRecord
from holdfast.model.node import NodeRecord
from holdfast.model.node_spec import NodeSpec
from holdfast.model.run import RunRecord, RunStatus
from holdfast.services import claim, event, interaction, run, step
from holdfast.services.run import Loaded


class Staged(Struct, frozen=True):
    """What a unit of work makes of a run: its record, what is kept of nodes, and questions; and nodes that are new."""

    record: RunRecord
    nodes: Mapping[str, NodeRecord] = {}
    added: Mapping[str, NodeSpec] = {}
    questions: Mapping[str, InteractionRecord] = {}


KEPT_US = 600_000_000
"""A session lives at least so much longer than its questions may be answered, for the run to go on."""

BLOCKS = ("node", "atomic step")
"""What the blocks of runs are called: in one of them the run itself is written beside it, at once."""


class Beside(Alone):
    """The same, inside of blocks of runs too."""

    __slots__ = ()
    _beside = BLOCKS


@measured("run", store="_store")
class RunWrites(RunView):
    """A run that can be looked at anew, and written."""

    def __init__(self, unit: Unit, target: Target, loaded: Loaded) -> None:
        self._unit = Beside(unit.store) if isinstance(unit, Alone) else unit
        self._target = target
        self._landed = 0  # the seq of the last commit that is known to have been made with this handle
        super().__init__(unit.store, loaded)

    def _hold(self, token: int) -> None:
        """The run is held by that claim from now on; 0: by none."""
        self._token = token
        self._board.hold(token)

    @property
    def variables(self) -> Variables:
        """Its variables, and those that are seen from it: of its workflow, its session, its user, and the global ones.
        Its templates may use what came of its nodes: `{{ search.output.price }}`."""
        return variables_of_run(self._unit, self._target, self._record)

    async def refresh(self) -> Self:
        """See what others did; returns itself. One read; another if something was written with this handle meanwhile,
        so that what it shows never goes back."""
        while True:
            landed = self._landed
            loaded = await looked(self._unit, self._target, self.id)
            if loaded.record.salt != self._record.salt:
                raise run.missing_run(self.id)  # it left, and another one has its id
            if landed == self._landed or self._landed <= loaded.seq:
                self._saw(loaded)
                return self

    async def _is_as_seen(self) -> bool:
        """Whether nothing at all was written to its scope since it was looked at. A read of a few bytes: of the head,
        and of its record, for which no cache answers that may be late."""
        if not self._seq or not isinstance(self._unit, Alone):
            return False

        async def look(work: Work) -> int:
            await work.get(self._target.scope, run.key_of(self.id))
            return (await work.head(self._target.scope, tracked=False)).seq

        return await self._unit.read(self._target, look) == self._seq

    def _saw(self, loaded: Loaded) -> None:
        self._token = token_of(self._store, self._target.scope, claim.of_run(loaded.record.id))
        super()._saw(loaded)
        self._staged = {name for name, version in self._versions.items() if not version}
        """What was staged in this unit and not committed yet: nodes, and "" for the record."""
        if not self._version:
            self._staged.add("")

    async def _look_at(self, node: str) -> None:
        """Take note of the record and of what is kept of one node, as they are now. One read."""
        scope, own, key = self._target.scope, run.end_keys(self.id), run.node_key(self.id, node)
        cells = await self._unit.read(self._target, lambda work: work.get_many(scope, (*own, key)))
        await self._saw_record(cells)
        cell = cells.get(key)
        if cell is not None and cell.version > self._versions.get(node, 0):
            self._versions[node] = cell.version
            self._board.put(node, run.decode_node(cell))

    async def _saw_record(self, cells: Mapping[str, Cell]) -> None:
        """Look again at all of it if the record was written meanwhile: its version stands for what was seen of nodes as
        well, on which a write rests; or if its session ended or goes on. Raises NotFound if the run has left."""
        cell = cells.get(run.key_of(self.id))
        if cell is None:
            raise run.missing_run(self.id)
        if cell.version > self._version or run.end_in(cells) != self._end:
            await self.refresh()

    async def _look_up(self, key: str) -> bytes | None:
        """What the step of that key came to, if it is done; and the run's record is as it is now. One read."""
        scope, own = self._target.scope, run.end_keys(self.id)
        cells = await self._unit.read(self._target, lambda work: work.get_many(scope, (key, *own)))
        await self._saw_record(cells)
        return step.result_in(cells[key]) if key in cells else None

    async def _goes_on(self, work: Work) -> Staged:
        """Stage that the run goes on as it was seen: running, if it was pending. Raises InvalidTransition if it has
        ended: what began may end while it is paused; LeaseLost, if it was taken away here."""
        record = self._record
        if not record.status.is_open:
            await self._check_held()
            self._check_works()
        if record.status is RunStatus.PENDING:
            record = record.moved(RunStatus.RUNNING, at_us=work.now_us)
        return self._stage(work, Staged(record))

    def _check_session(self) -> None:
        """Raise InvalidTransition if its session has ended, as far as was seen."""
        if self._end is not None:
            raise model.session_ended(self.id, self._record.status, self._end)

    def _check_works(self) -> None:
        """Raise InvalidTransition unless work of it may be kept."""
        self._check_session()
        open = [id for id, (one, _) in self._questions.items() if one.is_pending and one.required]
        model.check_works(self._record, open)

    async def _check_held(self) -> None:
        """Raise LeaseLost if it is held here, and was taken away: that is what is to be told then, and not what whoever
        took it has made of it."""
        if self._token:
            scope, key = self._target.scope, claim.of_run(self.id)
            cell = (await self._store.work().peek([Read(scope, (key,))]))[0].cells.get(key)
            if cell is None or cell.version != self._token:
                raise lease_lost(scope, "it was taken by somebody else", cell=key)

    def _stage(self, work: Work, staged: Staged) -> Staged:
        """Stage that, on the condition that what it was judged by is as it was seen."""
        scope = self._target.scope
        if "" not in self._staged:
            run.unchanged(work, scope, self.id, self._version)
        self._check_session()
        run.goes_on(work, scope, self._record)
        if not staged.record.status.is_open and (self._questions or staged.questions):
            staged = self._withdrawing(work, staged)
        if staged.added:
            staged = replace(staged, record=run.add_nodes(work, scope, staged.record, staged.added))
        elif staged.record is not self._record:
            run.put(work, scope, staged.record)
        for name, after in staged.nodes.items():
            seen = None if name in self._staged else self._versions.get(name, 0)
            run.put_node(work, scope, self.id, name, after, seen=seen)
        for id, question in staged.questions.items():
            self._put_question(work, id, question)
        return staged

    def _put_question(self, work: Work, id: str, question: InteractionRecord) -> None:
        known = self._questions.get(id)
        interaction.put(work, self._target.scope, question, seen=0 if known is None else known[1] or None)
        if question.is_pending and question.due_us is not None:  # its session lives as long, and a sweep finds it
            work.touch(self._target.scope, least_us=question.due_us + KEPT_US)
        step = "asked" if question.is_pending else question.status.value
        id = self._store.ids.uuid7(work.now_us)
        event.note_question(work, self._target.scope, question, id=id, step=step)

    def _withdrawing(self, work: Work, staged: Staged) -> Staged:
        """With the open questions of a run that ends withdrawn, as far as half the room that the commit has left goes;
        with more it lingers. Those that are closed are removed if no history is kept, as far as there is room; what is
        left of them leaves with the run."""
        limits, scope = self._store.limits, self._target.scope
        room = (limits.operations_max - work.operations - len(staged.nodes) - 2 * len(staged.questions)) // 2
        room_bytes = limits.commit_bytes_max // 8
        ended_us, lingers = staged.record.ended_us, False
        questions = {id: record.met(ended_us) for id, record in staged.questions.items()}
        for id, (record, _) in self._questions.items():
            if id in questions or not record.is_pending:
                continue
            room, room_bytes = room - 2, room_bytes - interaction.size_of(record)
            if room < 0 or room_bytes < 0:
                lingers = True
                break
            questions[id] = record.met(ended_us)
        if not self._store.config.interactions.keep_history:
            closed = [record for id, (record, _) in self._questions.items() if id not in questions]
            for record in [record for record in closed if not record.is_pending][: max(room, 0)]:
                interaction.remove(work, scope, record)
        return replace(staged, record=replace(staged.record, lingers=lingers), questions=questions)

    async def _regain(self) -> None:
        """Hold the run again where it was given back for a while inside of a claim: what is written there is fenced."""
        if (token := token_of(self._store, self._target.scope, claim.of_run(self.id))) != self._token:
            self._hold(token)

    async def _judged(self, stage: Callable[[Work], Staged]) -> None:
        """Stage by what was seen, and commit. Where somebody else was faster look again, and judge anew; so too where
        what was seen refuses it, for that may be long ago."""
        await self._regain()
        attempt, looked = 0, not isinstance(self._unit, Alone)
        while True:
            tries: list[Staged] = []
            try:
                seq = await self._unit.write(self._target, partial(_stage_into, tries, stage))
            except (InvalidTransition, InvalidValue, LimitReached, NotFound):
                if looked:
                    await self._check_held()
                    raise
            except Conflict:
                attempt += 1
                if not isinstance(self._unit, Alone) or attempt == ATTEMPTS:
                    raise
                await pause(self._store, attempt)
            else:
                self._took(tries[-1], seq)
                if seq and self._record.lingers:
                    await wind_up_now(self._store, self._target.scope, run.key_of(self.id))
                return
            looked = True
            await self.refresh()

    def _follows(self, seq: int) -> bool:
        """Whether the commit of that seq, whose part in the run is known, came next after what was seen: then all is
        known as of it."""
        if follows := seq == self._seq + 1:
            self._seq = seq
        return follows

    def _took(self, staged: Staged, seq: int) -> None:
        """Take note of what was committed at that version (0: staged in a transaction)."""
        self._landed = max(self._landed, seq)
        self._follows(seq)
        if staged.record is not self._record and (seq == 0 or seq > self._version):
            self._record, self._version = staged.record, seq or self._version
            if not seq:
                self._staged.add("")
        if staged.added:
            specs = {**self._board.specs, **staged.added}
            self._board = Board(specs, self._board.records, token=self._token, resumed=self._record.resumed)
        self._board.resume(self._record.resumed)
        for name, record in staged.nodes.items():
            if seq == 0:
                self._staged.add(name)
            elif seq <= self._versions.get(name, 0):
                continue
            else:
                self._versions[name] = seq
            self._board.put(name, record)
        for id, question in staged.questions.items():
            self._questions[id] = (question, seq)
        if (ended_us := self._record.ended_us) is not None:
            self._questions = {id: (one.met(ended_us), at) for id, (one, at) in self._questions.items()}


def _stage_into(tries: list[Staged], stage: Callable[[Work], Staged], work: Work) -> None:
    tries.append(stage(work))


async def looked(unit: Unit, target: Target, id: str) -> Loaded:
    """A run as it is, or as a transaction sees it, which then rests on that. Raises NotFound."""
    look = run.load if isinstance(unit, Alone) else run.load_in
    return await unit.read(target, lambda work: look(work, target.scope, id, interaction.all_of(id)))
