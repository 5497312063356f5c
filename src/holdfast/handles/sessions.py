"""All sessions of a space: `hold.sessions`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, get_args

from holdfast.errors import AlreadyExists, InvalidValue, NotFound, shown
from holdfast.handles.beginning import new_session
from holdfast.handles.crowding import arrived, make_room
from holdfast.handles.expiry import make_way
from holdfast.handles.filters import sought
from holdfast.handles.measured import measured
from holdfast.handles.session import Session
from holdfast.handles.store import Store
from holdfast.handles.surface import Update
from holdfast.handles.templates import Templates
from holdfast.handles.unit import Alone, Target
from holdfast.handles.working import Working
from holdfast.kernel.commit import Head, Read, View
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import check_limit
from holdfast.kernel.part import existing
from holdfast.kernel.work import Work
from holdfast.model.budget import EMPTY, Budget
from holdfast.model.duration import Duration
from holdfast.model.page import Page
from holdfast.model.session import SessionRecord
from holdfast.model.session_stats import SessionStats, stats_of
from holdfast.model.status import SessionStatus
from holdfast.operations import session_stats, sessions_page
from holdfast.operations.begin import Values, begin
from holdfast.services import budget as budgets
from holdfast.services import session
from holdfast.services.state import Place

_OF_PRINCIPAL = "Choose another id. If the session is one of this user's, `sessions.get` finds it."

SessionOrder = Literal["newest", "oldest", "recent"]


@measured("sessions", store="_store")
class Sessions:
    """Creates, finds, lists, updates and deletes sessions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.templates = Templates(store)
        """What sessions may begin with."""

    def __repr__(self) -> str:
        return f"<Sessions of {self._store!r}>"

    async def create(
        self,
        *,
        id: str | None = None,
        user: str | None = None,
        app: str | None = None,
        agent: str | None = None,
        mode: str | None = None,
        channel: str | None = None,
        task: str | None = None,
        ttl: Duration | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        budget: Budget | None = None,
        template: str | None = None,
        on_exists: Literal["fail", "return"] = "fail",
    ) -> Session:
        """Create a session; it is active and durable on return. Without an id it gets a new UUIDv7.

        What is not given is as the `template` of that name says (its metadata lie under those given, key by key), and
        after that as the configuration does: how long it lives (`ttl`), and what a budget leaves out. Raises NotFound
        if there is no such template.
        If the id is taken: "fail" raises AlreadyExists, "return" returns the session that is there, and raises it only
        if that belongs to another user than the one given.
        Raises InvalidId or InvalidValue for what may not be stored, before anything is.
        """
        if on_exists not in ("fail", "return"):
            raise InvalidValue(f'on_exists must be "fail" or "return", not {shown(on_exists)}', path="on_exists")
        names = {"user": user, "app": app, "agent": agent, "mode": mode, "channel": channel}
        record, state = await new_session(
            self._store, id, names, task=task, ttl=ttl, tags=tags, metadata=metadata, budget=budget, template=template
        )
        if on_exists == "fail":
            return await self._create(record, state)
        return await self._create_or_get(record, state)

    async def _create_or_get(self, record: SessionRecord, state: Values) -> Session:
        while True:  # until it is made or found: it may be deleted in between
            try:
                return await self._create(record, state)
            except AlreadyExists:
                found = await self._find(record.id)
            if found is not None:
                if self._store.principal is not None and found.user != record.user:
                    raise existing(session.scope_of(record.id), remedy=_OF_PRINCIPAL)
                return _owned(found, record.user)

    async def _create(self, record: SessionRecord, state: Values) -> Session:
        created = await self._commit_new(await arrived(self._store, record), state)
        if await make_room(self._store, record):
            await created.refresh()
        return created

    async def _commit_new(self, record: SessionRecord, state: Values) -> Session:
        store, scope = self._store, session.scope_of(record.id)
        place = Place(scope, "state", "", store.config.state.value_bytes_max)

        id = store.ids.uuid7(record.created_us)

        def stage(work: Work) -> None:
            begin(work, record, id=id, place=place, values=state)

        while True:
            target = Target(scope, "must_not_exist")
            try:
                seq = await Alone(store).write(target, stage)
            except AlreadyExists:
                if await make_way(store, scope):
                    continue
                if store.principal is not None:
                    raise existing(scope, remedy=_OF_PRINCIPAL) from None
                raise
            head = Head(seq, target.epoch or 0, live=True, at_us=record.created_us)
            return Session(store, record, seq, head, EMPTY, expires_us=record.expires_us)

    def work(self, task: str | None = None, **fields: Any) -> Working:
        """A session for the length of a block, created with `task` and what else `create` takes:

            async with hold.sessions.work("Fix the bug", mode="developer") as s: ...

        At the end of the block it completes; an exception fails it and goes on; a cancellation pauses it. What the
        block itself made of it (completed with a result, paused, ended by its budget) stays.
        """
        return Working(self._store, lambda: self.create(task=task, **fields))

    async def get(self, id: str) -> Session | None:
        """The session of that id; None if it is unknown, deleted or expired.

        One read; and a commit if it is an access that prolongs its life by so much that it matters.
        """
        found = await self._find(id)
        rights = self._store.principal
        return found if found is None or rights is None or found.user == rights.user else None

    async def _find(self, id: str) -> Session | None:
        """The session of that id, whosever it is."""
        store, scope = self._store, session.scope_of(id)
        found = _seen(store, (await store.work().peek([Read(scope, (session.CELL, budgets.CELL))]))[0])
        rights = store.principal
        theirs = found is not None and rights is not None and found.user != rights.user
        if found is None or theirs or not store.deadlines.are_to_move(scope, store.now_us()):
            return found
        try:
            await found.touch()
        except NotFound:
            return None
        return found

    async def open(
        self,
        id: str,
        *,
        user: str | None = None,
        app: str | None = None,
        agent: str | None = None,
        mode: str | None = None,
        channel: str | None = None,
        task: str | None = None,
        ttl: Duration | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        budget: Budget | None = None,
        template: str | None = None,
    ) -> Session:
        """Get or create, atomically: however many ask at once, all get the one session.

        What else is given is as in `create` and used only if it is created. Raises AlreadyExists if the session
        belongs to another user, NotFound if there is no such template, whether it is created or not.
        """
        names = {"user": user, "app": app, "agent": agent, "mode": mode, "channel": channel}
        id = check_name(id, "a session id")
        record, state = await new_session(
            self._store, id, names, task=task, ttl=ttl, tags=tags, metadata=metadata, budget=budget, template=template
        )
        found = await self.get(record.id)
        return await self._create_or_get(record, state) if found is None else _owned(found, user)

    async def list(
        self,
        *,
        user: str | None = None,
        app: str | None = None,
        mode: str | None = None,
        channel: str | None = None,
        status: SessionStatus | str | None = None,
        tag: str | None = None,
        agent: str | None = None,
        expired: bool = False,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        updated_after: datetime | None = None,
        updated_before: datetime | None = None,
        order: SessionOrder = "newest",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Session]:
        """A page of the sessions that pass every filter given, by time of creation, or by activity: "recent" has those
        first in which anything was written last, to the minute.

        With `expired` those that have expired and that no sweep has taken yet, and only those. `updated_…` is about
        `updated_at`, when the record was last written; all four times are exclusive. Continue with `cursor=page.next`;
        a session created or deleted meanwhile neither doubles nor hides another. By activity one that is written to
        meanwhile moves to the front, and may so be missed. Cost: the page, not the number of sessions; by activity all
        that are passed over for any filter but `user`.
        """
        check_limit(limit)
        if order not in get_args(SessionOrder):
            raise InvalidValue(f'order must be "newest", "oldest" or "recent", not {shown(order)}', path="order")
        wanted = sought(
            self._store, user=user, app=app, mode=mode, channel=channel, status=status, tag=tag, agent=agent,
            created_after=created_after, created_before=created_before,
            updated_after=updated_after, updated_before=updated_before,
        )  # fmt: skip
        after = None if cursor is None else sessions_page.parse_cursor(cursor, order)
        if wanted is None:
            return Page(())
        rows, following = await sessions_page.page(
            self._store.work(), wanted, order=order, limit=limit, after=after, expired=expired
        )
        items = [found for view in rows if (found := _seen(self._store, view)) is not None]
        return Page(tuple(items), following)

    async def iterate(self, *, limit: int = 200, cursor: str | None = None, **filters: Any) -> AsyncIterator[Session]:
        """Every session that passes the filters of `list`, page by page (`limit` at once)."""
        while True:
            page = await self.list(limit=limit, cursor=cursor, **filters)
            for found in page.items:
                yield found
            if page.next is None:
                return
            cursor = page.next

    async def stats(
        self,
        *,
        user: str | None = None,
        app: str | None = None,
        mode: str | None = None,
        channel: str | None = None,
        status: SessionStatus | str | None = None,
        tag: str | None = None,
        agent: str | None = None,
        expired: bool = False,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        updated_after: datetime | None = None,
        updated_before: datetime | None = None,
    ) -> SessionStats:
        """Figures of all sessions that pass every filter given, as in `list`; see `SessionStats`.

        No session is loaded: what is counted of one stands in the index since it ended. With `expired` they are those
        of sessions that have expired and that no sweep has taken yet, which are in no others. Cost: a page of 10,000
        entries at once; with filters other than status and mode, at most all entries of the time that is asked for.
        What is written meanwhile is counted as it was or as it is.
        """
        wanted = sought(
            self._store, user=user, app=app, mode=mode, channel=channel, status=status, tag=tag, agent=agent,
            created_after=created_after, created_before=created_before,
            updated_after=updated_after, updated_before=updated_before,
        )  # fmt: skip
        if wanted is None:
            return stats_of([])
        return await session_stats.stats(self._store.work(), wanted, expired=expired)

    async def update(
        self,
        id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        budget: Budget | None = None,
        if_version: int | None = None,
    ) -> Session:
        """Change a session's record: metadata merges by key, tags replace, and so does what a `budget` says of each
        limit. Returns the session.

        Raises NotFound; InvalidTransition for the budget of a session that cannot go on; and Conflict if the record
        was written after `if_version`.
        """
        # Refuses before it is looked for.
        Update(self._store, metadata=metadata, tags=tags, budget=budget, if_version=if_version)
        found = await self.get(id)
        if found is None:
            raise NotFound(f"session {id!r} does not exist", scope=session.scope_of(id))
        return await found.update(metadata=metadata, tags=tags, budget=budget, if_version=if_version)

    async def delete(self, id: str) -> bool:
        """Delete a session and everything in its scope, at once. True if it was there."""
        target = Target(session.scope_of(id), "must_exist")
        try:
            await Alone(self._store).write(target, lambda work: session.drop(work, id))
        except NotFound:
            return False
        return True


def _seen(store: Store, view: View) -> Session | None:
    """The session that a look at its record saw, if there is one."""
    cell, alive = view.cells.get(session.CELL), view.cells.get(session.ALIVE)
    if cell is None:
        return None
    expires_us = None if alive is None else alive.expires_us
    account = budgets.decode(view.cells.get(budgets.CELL))
    return Session(store, session.decode(cell), cell.version, view.head, account, expires_us=expires_us)


def _owned(found: Session, user: str | None) -> Session:
    """The session that was found, unless it was asked for on behalf of a user whose it is not."""
    if user is None or found.user == user:
        return found
    raise AlreadyExists(
        f"session {found.id!r} exists and belongs to {'nobody' if found.user is None else 'another user'}",
        remedy="Choose another id for this user's session, or leave `user` out to get it whosever it is.",
        scope=session.scope_of(found.id),
    )
