"""Questions to people, as one session has them: `s.interactions`."""

from __future__ import annotations

from datetime import datetime

from holdfast.handles.interaction import Interaction
from holdfast.handles.interactions import Interactions
from holdfast.handles.measured import measured
from holdfast.handles.store import Store
from holdfast.handles.unit import Alone, Target
from holdfast.kernel.work import Work
from holdfast.model.interaction import InteractionRecord
from holdfast.model.page import Page
from holdfast.operations import interactions_page
from holdfast.services import session

PAGE = 1_000
"""Questions that are counted at once."""


@measured("session_interactions", store="_store")
class SessionInteractions:
    """The questions of the runs of one session, as they are now. Its methods raise NotFound if the session is gone."""

    def __init__(self, store: Store, target: Target) -> None:
        self._store = store
        self._target = target

    def __repr__(self) -> str:
        return f"<SessionInteractions of {self._target.scope}>"

    async def pending(
        self,
        *,
        assignee: str | None = None,
        run: str | None = None,
        kind: str | None = None,
        due_before: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Interaction]:
        """A page of those that may be answered, the oldest first; see `Interactions.pending`."""
        await Alone(self._store).read(self._target, lambda work: work.look_for(self._target.scope))
        return await Interactions(self._store).pending(
            session=session.id_of(self._target.scope), assignee=assignee, run=run, kind=kind, due_before=due_before,
            limit=limit, cursor=cursor,
        )  # fmt: skip

    async def current(self) -> Interaction | None:
        """The oldest of those that may be answered; None if none is open."""
        return next(iter((await self.pending(limit=1)).items), None)

    async def pending_count(self) -> int:
        """How many may be answered."""
        count, cursor = 0, None
        while True:
            page = await self.pending(limit=PAGE, cursor=cursor)
            count, cursor = count + len(page.items), page.next
            if cursor is None:
                return count

    async def history(self) -> list[Interaction]:
        """All of them that are kept, with what came of each, the oldest first."""

        async def look(work: Work) -> list[InteractionRecord]:
            return await interactions_page.of_scope(work, self._target.scope)

        records = await Alone(self._store).read(self._target, look)
        return [Interaction(self._store, self._target, record) for record in records]
