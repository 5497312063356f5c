"""The change stream as people use it: `s.changes(…)`, `hold.changes(…)`."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from msgspec import UNSET, Struct

from holdfast.errors import Closed, Gone, InvalidValue, NotFound, shown
from holdfast.handles.store import Store
from holdfast.handles.unit import Alone, Target
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Head, Read
from holdfast.kernel.cursor import Cursor, parse_cursor
from holdfast.kernel.follower import Follower
from holdfast.kernel.limits import VERSION_MAX, listed
from holdfast.kernel.live import Live
from holdfast.kernel.lives import Admission
from holdfast.kernel.part import missing
from holdfast.kernel.work import Work
from holdfast.model.change import KINDS, Change
from holdfast.model.scope import Scope
from holdfast.operations.user_sessions import UserSessions
from holdfast.services import change as told
from holdfast.services import variable
from holdfast.services.session import is_scope

After = str | int | Literal["now", "beginning"]
"""Where to begin: now, at the oldest change kept, after the change with this cursor, or after this version of the scope
(that of a snapshot, say)."""


_VERSION = re.compile(r"0|[1-9][0-9]{0,15}")
"""The cursor of a live change that arrived before anything else of its scope did: a version."""


class Life(Struct, frozen=True):
    """The one life of a scope that a stream is about: what was before is not shown, and its end ends the stream."""

    scope: str
    epoch: int


class Group(Admission, Protocol):
    """Scopes that come and go: which lives belong to it, and the present ones."""

    async def present(self) -> Mapping[str, Head]:
        """The scopes there are, with their heads."""
        ...


class Members(Struct, frozen=True):
    """What a stream shows of a group: each member from its place on, other present ones from `after`, all to come."""

    group: Group
    after: Literal["now", "beginning"]
    places: Mapping[str, After] = {}


class Changes:
    """An endless, ordered stream of changes: `async for change in s.changes(): …`.

    Every change of a scope arrives exactly once and in order, also those of other processes, and also after a cut:
    resume with `after=change.cursor`. What was emitted arrives among them while it is live, or never, with the seq and
    cursor of the place it arrived at. "now" is the moment the iteration starts; to fix it earlier, and to end the
    stream for certain, use it as a block: `async with s.changes() as changes:`. One task at a time reads it.

    Raises Compacted if the place to resume was trimmed, Diverged if history was rewritten, Closed with the store, and
    NotFound for the stream from now on of a session that was deleted.
    """

    def __init__(
        self,
        store: Store,
        places: Mapping[str, After],
        *,
        kinds: Iterable[str] | None = None,
        life: Life | None = None,
        members: Members | None = None,
    ) -> None:
        store.check_open()
        self._store = store
        self._places = {scope: _parse(after) for scope, after in places.items()}
        self._kinds = None if kinds is None else _known(kinds)
        self._life = life
        self._members = members
        self._resumed = {scope: _parse(after) for scope, after in members.places.items()} if members is not None else {}
        self._follower: Follower | None = None
        self._ready: deque[Change] = deque()
        self._before: tuple[str, After] = ("", "now")  # the first that is ready: its scope, and after what it comes
        self._left: dict[Scope, After] = {}  # the cursors when the stream ended
        self._ended = False

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            try:
                follower = self._follower or await self._open()
                scope, record = await follower.next()
            except Closed:
                if self._ended:
                    raise StopAsyncIteration from None
                raise
            life = self._life
            if isinstance(record, Live):
                if (life is None or record.epoch == life.epoch) and self._shows(record.line.kind):
                    return told.live_change(scope, record, after=self._place_of(scope))
                continue
            if life is not None and record.epoch > life.epoch:  # its own end is trimmed away
                await self.aclose()
                continue
            after = self._places.get(scope) or self._resumed.get(scope)
            place = after if isinstance(after, Cursor) else None
            at_once = place is not None and place.seq == record.seq  # the rest of a record that was begun before
            self._before = (scope, str(place) if at_once else record.seq - 1)
            self._ready.extend(told.changes_of(scope, record, kinds=self._kinds, after=place))
            if life is not None and record.op == "drop":
                await self.aclose()
        following = self._ready.popleft()
        self._before = (self._before[0], following.cursor)
        return following

    @property
    def cursors(self) -> dict[Scope, After]:
        """Where each scope goes on that the stream follows now, whether anything of it was seen or not: what to give
        `hold.changes` as `after` to resume exactly here. Empty before the stream began.
        """
        if self._follower is None:
            return dict(self._left)
        places = {scope: self._place_of(scope) for scope in self._follower.expected}
        if self._ready:
            places[self._before[0]] = self._before[1]
        return {Scope.parse(scope): place for scope, place in places.items()}

    def _place_of(self, scope: str) -> After:
        """Where a scope goes on, once what is ready has been read."""
        if (follower := self._follower) is None:
            return 0
        given = self._places.get(scope) or self._resumed.get(scope)
        is_there_still = isinstance(given, Cursor) and given.seq == follower.expected[scope]
        return str(given) if is_there_still else follower.firm[scope]

    def _shows(self, kind: str) -> bool:
        return self._kinds is None or kind in self._kinds

    async def read(self, change: Change, *, default: Any = None) -> Any:
        """What a change says was set or appended; where the log has only its key, what stands under that key now.

        That may be newer, of which a later change tells then. `default` for what is not there any more, for a delete
        and for a clear. One read where the change has no value, else none. Raises Closed with the store.
        """
        if change.value is not UNSET:
            return default if change.op in ("delete", "clear") else change.value
        store, scope = self._store, str(change.scope)
        target = Target(scope, "must_exist" if is_scope(scope) else "create")
        epoch = parse_cursor(change.cursor).epoch

        async def look(work: Work) -> Cell | None:
            cell = await work.get(target.scope, told.cell_of(change))
            head = await work.head(target.scope, tracked=False)
            return cell if head.epoch == epoch else None  # else it is of another life, which is not the one told of

        try:
            if store.principal is not None:
                store.principal.check(change.scope)
            cell = await Alone(store).read(target, look)
        except NotFound:
            return default
        return default if cell is None else _shown(change, cell)

    async def aclose(self) -> None:
        """Follow nothing more; what was already received can still be read."""
        self._left = self.cursors
        self._ended = True
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    async def _open(self) -> Follower:
        if self._follower is not None:
            return self._follower
        if self._ended:
            raise Closed("this stream has ended")
        self._loop = asyncio.get_running_loop()
        members = self._members
        follower = self._store.feed().follow(
            admission=None if members is None else members.group, queue_max=self._store.config.changes.queue_max
        )
        try:
            if self._life is not None:
                await self._check(self._life)
            epoch = None if self._life is None else self._life.epoch
            own = None if self._life is not None else await self._own_sessions()
            for scope, after in self._places.items():
                lives = own if is_scope(scope) else None
                await follower.add(scope, after=after, epoch=epoch, by_lives=lives)
            if members is not None:
                await self._add_members(follower, members)
            if self._ended:  # it was closed while it opened
                raise Closed("this stream has ended")
        except BaseException:
            follower.close()
            raise
        self._follower = follower
        return follower

    async def _own_sessions(self) -> UserSessions | None:
        """For a principal: their sessions. Raises NotFound for one that is named and not theirs, or not there."""
        rights = self._store.principal
        if rights is None:
            return None
        limit = self._store.limits.value_bytes_max
        own = UserSessions(self._store.work, rights.user, record_bytes_max=limit, strict=True)
        named = [scope for scope in self._places if is_scope(scope)]
        standing = await own.look(named)
        for scope in named:
            if scope not in standing or not standing[scope].admitted:
                raise missing(scope)
        return own

    async def _check(self, life: Life) -> None:
        """Refuse to wait for what cannot come: a dropped scope shows its past, as far as that is kept, and no more."""
        head = (await self._store.work().peek((Read(life.scope),)))[0].head
        over = not head.live or head.epoch != life.epoch
        if over and (self._places[life.scope] is None or not head.floor):
            raise missing(life.scope)

    async def _add_members(self, follower: Follower, members: Members) -> None:
        """Follow the members there are, listen for those to come, then add who came in between, from the beginning.

        A place given for a member is where it goes on instead. Who is there at the first look is followed from its
        head before anything is reported, lest a move meanwhile pass for a new session's. From that look on nothing of
        any member is missed: the logs tell of the lives that follow in the same scope.
        """
        for scope, after in self._resumed.items():
            with contextlib.suppress(Gone):  # deleted so long ago that not even its end is kept: the others go on
                await follower.add(scope, after=after, by_lives=members.group)
        for scope, head in (await members.group.present()).items():
            follower.admit(scope, head=head, begin=members.after)
        await follower.open()
        for scope, head in (await members.group.present()).items():
            follower.admit(scope, head=head, begin="beginning")
        await follower.ascertain()

    def __del__(self) -> None:
        # A stream that was left by `break` and forgotten: its follower must not listen for ever.
        follower = getattr(self, "_follower", None)
        if follower is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(follower.close)


def _parse(after: After) -> Cursor | int | None:
    if isinstance(after, str) and after == "now":
        return None
    if isinstance(after, str) and after == "beginning":
        return 0
    if isinstance(after, str) and _VERSION.fullmatch(after):
        after = int(after)
    if type(after) is int and 0 <= after <= VERSION_MAX:
        return after
    return parse_cursor(after, "after")  # type: ignore[arg-type]


def _known(kinds: Iterable[str]) -> frozenset[str]:
    wanted = listed(kinds, "kinds")
    for kind in wanted:
        if not isinstance(kind, str) or kind not in KINDS:
            raise InvalidValue(f"there is no kind {shown(kind)}; there are {', '.join(sorted(KINDS))}", path="kinds")
    return frozenset(wanted)


def _shown(change: Change, cell: Cell) -> Any:
    """What a change tells of what stands in its cell now: of a variable nothing that is secret."""
    raw = variable.told(variable.decode(cell)) if change.kind == "variable" else cell.value
    return None if raw is None else codec.decode(raw)
