"""A run as people hold it: what it last saw, and what may be done with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from msgspec.structs import replace

from holdfast.errors import InvalidValue
from holdfast.handles.measured import measured
from holdfast.handles.run_progress import RunProgress
from holdfast.handles.run_writes import Staged
from holdfast.kernel import codec
from holdfast.kernel.work import Work
from holdfast.model import node as nodes
from holdfast.model import run as model
from holdfast.model.node import NodeStatus
from holdfast.model.run import RunStatus
from holdfast.services import run, session


@measured("run", store="_store")
class Run(RunProgress):
    """One run of a workflow, in a session or alone. `s.runs.start` makes one, `hold.runs.get` finds it in any process:

        run = await s.runs.start("book", nodes={"search": [], "pay": ["search"]})
        async with run.claim():
            async with run.node("search") as node:  # one try; what is written through it commits with its end
                node.output = await run.step("price", ask_api, "Kyoto")  # done once, whoever asks again
            answer = await run.ask_and_wait("Pay?", node="pay", timeout="2h")
            async with run.node("pay") as node:
                node.output = answer.approved
            await run.complete("booked")  # a run does not complete by itself

    To follow one, take a change of kind "run" or "interaction" whose key or namespace is its id for the news that it
    moved, from `s.changes()`, and see what by `await run.refresh()`.

    What it shows is what it last saw, or wrote; `refresh` brings what others did. Its methods judge by that and, where
    somebody else was faster, look again and judge anew: no move is lost, and none is made from where the run is not.
    Methods of a run that has left raise NotFound.
    """

    async def add_nodes(self, specs: Mapping[str, Any]) -> None:
        """Add nodes, which may depend on those there are. Raises InvalidValue for a cycle, an unknown dependency, or a
        node that is there already."""

        limit = self._store.limits.value_bytes_max

        def stage(work: Work) -> Staged:
            if self.status is not RunStatus.PAUSED:
                self._check_works()
            added = run.checked_specs(specs, bytes_max=limit, known=self._board.specs)
            if again := [name for name in added if name in self._board.specs]:
                raise InvalidValue(f"the run has a node {again[0]!r} already", path=f"nodes.{again[0]}")
            return self._stage(work, Staged(self._record, added=added))

        await self._judged(stage)

    # --- how it goes on ---------------------------------------------------------------------------

    async def pause(self, reason: str | None = None, *, node: str | None = None) -> Self:
        """Pause it, or pause it at a node: nothing begins until `resume`. What has begun may end, that node too, and is
        kept; what is not at its end then is running still when the run is resumed, and begins no second time.

        One that waits for answers is paused as well: they are taken, and it goes on once it is resumed besides. Raises
        InvalidTransition if it is paused already, or has ended, or the node is done; NotFound for a node.
        """
        reason = session.checked_text(reason, "reason", self._store.limits.value_bytes_max)

        def stage(work: Work) -> Staged:
            moved = self._record.moved(RunStatus.PAUSED, at_us=work.now_us, reason=reason, node=node)
            if node is not None:
                self._check_known([node])
                if (status := self._board.statuses[node]) is not NodeStatus.PAUSED:
                    nodes.check_move(node, status, NodeStatus.PAUSED)
            return self._stage(work, Staged(moved))

        await self._judged(stage)
        return self

    async def resume(self) -> Self:
        """Let it go on, and its paused nodes, however many: it is pending until somebody takes it up, or as it was if
        only nodes of it are paused. Raises InvalidTransition unless it or one of them is, and it is resumable. It looks
        first. What waits for an answer stays paused, and with it the run if nothing else can go on."""
        await self._resume()
        return self

    async def _resume(self) -> bool:
        """Resume it; whether that changed anything: one that only waits for answers stays as it is."""

        def stage(work: Work) -> Staged:
            record, board = self._record, self._board
            model.check_resumes(record, paused=self._paused_nodes)
            moved = record.resumed_once_more(held=bool(self._token), at_us=work.now_us)
            back = {
                name: replace(before, status=NodeStatus.READY, asks=())
                for name, before in board.records.items()
                if before.status is NodeStatus.PAUSED and before.asks and not self._still_open(before)
            }
            board.resume(moved.resumed)
            try:
                after = self._waits_after(work, moved, back)
            finally:
                board.resume(record.resumed)
            goes_on = back or any(one.goes_on(moved.resumed) for one in board.records.values())
            tried.append(bool(goes_on) or not (record.waits and after.waits))
            return self._stage(work, Staged(after, back) if tried[-1] else Staged(record))

        tried: list[bool] = []
        if not await self._is_as_seen():
            await self.refresh()
        await self._judged(stage)
        return tried[-1]

    async def complete(self, output: Any = None) -> Self:
        """End it as done, with its `output`. Raises InvalidTransition if it has ended."""
        limit = self._store.limits.value_bytes_max
        return await self._move(RunStatus.COMPLETED, output=codec.encode(output, bytes_max=limit, what="the output"))

    async def fail(self, error: Any) -> Self:
        """End it as failed, with its `error`: any value, or an exception, whose type and message are kept."""
        limit = self._store.limits.value_bytes_max
        return await self._move(RunStatus.FAILED, error=codec.encode(session.checked_error(error, limit)))

    async def cancel(self) -> Self:
        """End it as given up. Raises InvalidTransition if it has ended."""
        return await self._move(RunStatus.CANCELLED)

    async def _move(
        self, to: RunStatus, *, reason: str | None = None, output: bytes | None = None, error: bytes | None = None
    ) -> Self:
        def stage(work: Work) -> Staged:
            moved = self._record.moved(to, at_us=work.now_us, reason=reason, output=output, error=error)
            return self._stage(work, Staged(moved))

        await self._judged(stage)
        return self
