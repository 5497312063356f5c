"""A session as people hold it: an id, the record it last saw, and everything that belongs to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from holdfast.handles.changes import After, Changes, Life
from holdfast.handles.checkpoints import SessionCheckpoints
from holdfast.handles.claim import Claim
from holdfast.handles.crowding import make_room
from holdfast.handles.forking import fork
from holdfast.handles.lease import terms
from holdfast.handles.measured import measured
from holdfast.handles.past import Past
from holdfast.handles.run import Run
from holdfast.handles.run_pauses import paused, resumed
from holdfast.handles.session_interactions import SessionInteractions
from holdfast.handles.store import Store
from holdfast.handles.surface import SessionSurface, Update
from holdfast.handles.transaction import SessionTransaction, repeat
from holdfast.handles.turn import Turn
from holdfast.handles.unit import Alone, Target
from holdfast.kernel.commit import Head, Read
from holdfast.kernel.keys import check_name
from holdfast.kernel.part import missing
from holdfast.model.budget import EMPTY, Account, Budget, Progress, progress_of
from holdfast.model.claim import Busy
from holdfast.model.context import Context
from holdfast.model.duration import Duration
from holdfast.model.moment import to_datetime
from holdfast.model.session import SessionRecord
from holdfast.model.state import Why
from holdfast.model.status import SessionStatus
from holdfast.operations import context, size
from holdfast.services import budget as budgets
from holdfast.services import session

T = TypeVar("T")


@measured("session", store="_store")
class Session(SessionSurface, SessionCheckpoints):
    """One session: its id, the record it last saw, its state, messages, events and stream.

    A method that commits replaces the record by what it wrote; only `refresh` brings what others changed. Methods
    of a session that was deleted raise NotFound, even when another was made under the same id.
    """

    def __init__(
        self,
        store: Store,
        record: SessionRecord,
        version: int,
        head: Head,
        account: Account,
        *,
        expires_us: int | None,
    ) -> None:
        super().__init__(
            Alone(store),
            Target(session.scope_of(record.id), "must_exist", head.epoch),
            user=record.user,
            agent=record.agent,
        )
        self._store = store
        self.interactions = SessionInteractions(store, self._target)
        """What its runs ask people."""
        self._record = record
        self._version = version
        self._account = account
        self._active_us = head.at_us
        self._expires_us = expires_us

    def __repr__(self) -> str:
        return f"<Session {self.id!r} {self.status} version={self.version}>"

    @property
    def id(self) -> str:
        """The session's id."""
        return self._record.id

    @property
    def user(self) -> str | None:
        """Whose session it is."""
        return self._record.user

    @property
    def app(self) -> str | None:
        """The application it belongs to."""
        return self._record.app

    @property
    def agent(self) -> str | None:
        """The agent that serves it."""
        return self._record.agent

    @property
    def mode(self) -> str | None:
        """The mode it runs in."""
        return self._record.mode

    @property
    def channel(self) -> str | None:
        """The channel it came in by."""
        return self._record.channel

    @property
    def task(self) -> str | None:
        """What it is about."""
        return self._record.task

    @property
    def status(self) -> SessionStatus:
        """Where it is in its life."""
        return self._record.status

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""
        return self._record.tags

    @property
    def metadata(self) -> dict[str, Any]:
        """Its free metadata; this handle's own copy."""
        return self._record.metadata

    @property
    def version(self) -> int:
        """The version of the record: the seq of the commit that wrote it."""
        return self._version

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return to_datetime(self._record.created_us)

    @property
    def updated_at(self) -> datetime:
        """When its record was last written."""
        return to_datetime(self._record.updated_us)

    @property
    def last_activity(self) -> datetime:
        """When anything in it was last written, as far as this handle has seen."""
        return to_datetime(max(self._active_us, self._record.updated_us))

    @property
    def expires_at(self) -> datetime | None:
        """When it expires, unless it is extended or accessed before, as far as this process has seen; None: never."""
        created_us = self._record.created_us
        expires_us = self._store.deadlines.expires_us(self._target.scope, created_us, self._expires_us)
        return None if expires_us is None else to_datetime(expires_us)

    @property
    def pause_reason(self) -> str | None:
        """Why it is paused; None if it is not, or no reason was given."""
        return self._record.pause_reason

    @property
    def ended_at(self) -> datetime | None:
        """When it ended; None while it is open."""
        return None if self._record.ended_us is None else to_datetime(self._record.ended_us)

    @property
    def ended_reason(self) -> str | None:
        """Why it was cancelled or timed out; None for another end, or if no reason was given."""
        return self._record.ended_reason

    @property
    def result(self) -> Any:
        """What it was completed with; this handle's own copy."""
        return self._record.result

    @property
    def error(self) -> Any:
        """Why it failed: what `fail` was given; of an exception `{"type": …, "message": …}`. This handle's own copy."""
        return self._record.error

    @property
    def resumable(self) -> bool:
        """Whether `resume` would let it go on: it is paused."""
        return self._record.status is SessionStatus.PAUSED

    @property
    def duration(self) -> timedelta:
        """How long it lasted, from its creation to its end; while it is open, to now."""
        return timedelta(microseconds=self._record.duration_us(self._store.now_us()))

    @property
    def iterations(self) -> int:
        """How many iterations were let in, as far as this handle has seen."""
        return self._account.used.iterations

    @property
    def budget(self) -> Budget:
        """What it may use in all; None is without limit."""
        return self._record.budget.budget

    @property
    def progress(self) -> Progress:
        """How much of the budget is used, as far as this handle has seen."""
        return progress_of(self._account, self._record.budget)

    async def refresh(self) -> Session:
        """Read the record again; returns this session. Raises NotFound if it was deleted."""
        view = (await self._store.work().peek([Read(self._target.scope, (session.CELL, budgets.CELL))]))[0]
        cell = view.cells.get(session.CELL)
        if cell is None or view.head.epoch != self._target.epoch:
            raise missing(self._target.scope)
        self._saw(session.decode(cell), cell.version)
        alive = view.cells.get(session.ALIVE)
        self._expires_us = None if alive is None else alive.expires_us
        self._account = budgets.decode(view.cells.get(budgets.CELL))
        self._active_us = view.head.at_us
        return self

    async def update(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        budget: Budget | None = None,
        if_version: int | None = None,
    ) -> Session:
        """Change the record: metadata merges by key, tags replace, and so does what a `budget` says of each limit.
        Returns this session with its new record.

        Metadata and tags also of a session that has ended. Raises InvalidTransition for the budget of one that cannot
        go on: only what has timed out can. With `if_version` it raises Conflict if the record was written after that
        version.
        """
        change = Update(self._store, metadata=metadata, tags=tags, budget=budget, if_version=if_version)
        record, seq = await self._unit.change(self._target, lambda work: change.stage(work, self.id))
        self._saw(record, seq)
        return self

    async def context(self) -> Context:
        """What whoever takes the session up needs first: task, status, state, iterations, the last ten events,
        its open runs, and what they ask people.

        One read, of one moment, however long its history is. Like `refresh` it brings what others changed. Raises
        NotFound if the session was deleted.
        """
        place = self.state.place
        told, seen = await Alone(self._store).look(lambda work: context.context(work, place))
        if seen.head.epoch != self._target.epoch:
            raise missing(self._target.scope)
        self._saw(seen.record, seen.version)
        self._account = seen.account
        self._expires_us = seen.expires_us
        self._active_us = seen.head.at_us
        return told

    async def size(self) -> dict[str, int]:
        """The bytes it takes by kind: "session", "state", "temp", "runtime", "message", "event",
        "variable".

        Keys and values, without the log. Reads all of it, a page of at most 10,000 values or 8 MiB at once; what is
        written meanwhile is counted as it was or as it is.
        """
        return await self._unit.read(self._target, lambda work: size.size(work, self._target.scope))

    def changes(self, *, after: After = "now", kinds: Iterable[str] | None = None) -> Changes:
        """The stream of this session's changes, from its creation to its deletion, which ends it. See `Changes`."""
        scope, epoch = self._target.scope, self._target.epoch or 0
        return Changes(self._store, {scope: after}, kinds=kinds, life=Life(scope, epoch))

    async def fork(self, *, at: str | None = None, id: str | None = None) -> Session:
        """A new session with the past of this one: as it is now, or `at` a checkpoint. Without an id it gets a new one.

        It has the state, temporary and runtime state, variables, areas of one's own and messages of then, in their
        order; user, app, agent, mode, channel, task, tags, metadata and the limits of the budget, of which nothing is
        used. Its metadata say what it was `forked_from`, and its event log begins with that. This session is left as it
        is, and may be ended.

        It is there whole or not at all: one commit, or as many as it takes, of which the last shows it. Raises NotFound
        if there is no such checkpoint, AlreadyExists if the id is taken.
        """
        forked = await fork(self._store, self._target, at=at, id=id)
        return Session(self._store, forked.record, forked.head.seq, forked.head, EMPTY, expires_us=forked.expires_us)

    async def why(self, key: str) -> Why | None:
        """How a key of its state came to be what it is: `s.state.why(key)`."""
        return await self.state.why(key)

    def at(self, version: int) -> Past:
        """The session right after the commit that has this number: its state, runtime state, messages and events, to be
        read, as far as the log reaches. Reads nothing itself. Raises InvalidValue for what cannot be a version."""
        return Past(Alone(self._store), self._target, version)

    def transaction(self) -> SessionTransaction:
        """A block whose reads and writes commit as one, serialisably: `async with s.transaction() as tx`."""
        return SessionTransaction(self._store, self._target, user=self.user, agent=self.agent, on_commit=self._took)

    def turn(
        self, *, request_id: str, busy: Busy = "queue", wait: Duration | None = "30s", ttl: Duration = "60s"
    ) -> Turn:
        """One request as one atomic, idempotent, exclusive unit: `async with s.turn(request_id="req-17") as turn`.

        `busy` says what to do while another turn or claim holds the session: "queue" waits in the order of arrival,
        `wait` at most (None: without a limit), then raises Busy; "reject" raises it at once; "supersede" takes the
        session away. `ttl` is how long a turn is believed in whose process is not heard of any more. See `Turn`.
        """
        wanted = terms(busy, wait, ttl, request=request_id)
        return Turn(
            self._store,
            self._target,
            wanted,
            request=request_id,
            user=self.user,
            agent=self.agent,
            on_commit=self._took,
        )

    def claim(
        self,
        *,
        worker: str | None = None,
        ttl: Duration = "30s",
        busy: Busy = "queue",
        wait: Duration | None = "30s",
    ) -> Claim:
        """Exclusive use without a turn: `async with s.claim(worker="w1")`. See `Claim`; arguments as for `turn`."""
        name = None if worker is None else check_name(worker, "a worker")
        return Claim(self._store, self._target, terms(busy, wait, ttl, worker=name))

    async def pause_runs(self, reason: str | None = None, *, node: str | None = None) -> list[Run]:
        """Pause all its runs that are pending or running, also those that wait for answers, which then go on no sooner
        than they are resumed; or at that node those that have it before them. Returns them.

        One commit for each; what has ended, or was paused by somebody already, is left out.
        """
        return await paused(self.runs, reason, node)

    async def resume_runs(self, *, node: str | None = None) -> list[Run]:
        """Let all its runs go on that somebody paused, or nodes of which; or that node. Returns them. One commit each.

        Those that only wait for answers go on with these, and are left out; so are those that are not resumable.
        """
        return await resumed(self.runs, node)

    async def transact(self, fn: Callable[[SessionTransaction], Awaitable[T]], *, attempts: int = 20) -> T:
        """Run `fn(tx)` in a transaction, again on Conflict, and return what it returned."""
        return await repeat(self._store, self.transaction, fn, attempts)

    def _counted(self, account: Account, record: SessionRecord | None, seq: int) -> None:
        super()._counted(account, record, seq)
        self._account = account

    async def _reopened(self, record: SessionRecord) -> None:
        if await make_room(self._store, record):
            await self.refresh()

    def _took(self, record: SessionRecord | None, account: Account | None, version: int) -> None:
        """Take note of what a transaction committed."""
        if record is not None:
            self._saw(record, version)
        if account is not None:
            self._account = account

    def _saw(self, record: SessionRecord, version: int) -> None:
        self._record = record
        self._version = version
