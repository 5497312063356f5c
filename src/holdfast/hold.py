"""The composition root: a store opened, with everything that is kept in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, TypeVar

from msgspec.structs import replace

from holdfast import system
from holdfast.errors import InvalidValue, shown
from holdfast.handles.changes import After, Changes, Members
from holdfast.handles.expiry import count_due, sweep_sessions, sweep_store
from holdfast.handles.sessions import Sessions
from holdfast.handles.state import State
from holdfast.handles.store import Store
from holdfast.handles.surface import scope_name, state_of
from holdfast.handles.transaction import Transaction, repeat
from holdfast.handles.unit import Alone
from holdfast.kernel import codec
from holdfast.kernel.commit import Swept
from holdfast.kernel.contract import Clock, Ids, Kernel
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import listed
from holdfast.model import cause
from holdfast.model.config import Config
from holdfast.model.duration import Duration, to_seconds, to_us
from holdfast.model.keyring import KeyRing, Rekeyed
from holdfast.model.scope import Scope
from holdfast.model.sweep import SweepReport, added
from holdfast.opening import framed, open_framed
from holdfast.operations import user_sessions
from holdfast.operations.states import states
from holdfast.services import session
from holdfast.wrappers.caching import cached
from holdfast.wrappers.framing import Framing

T = TypeVar("T")

FOLLOWED_MAX = 1_000_000
"""Scopes in one stream at most."""


class Opening:
    """A store about to be opened: `async with Holdfast.open(url) as hold`, or `hold = await Holdfast.open(url)`."""

    def __init__(self, start: Callable[[], Awaitable[Holdfast]]) -> None:
        self._start = start
        self._hold: Holdfast | None = None

    def __await__(self) -> Generator[Any, Any, Holdfast]:
        return self._start().__await__()

    async def __aenter__(self) -> Holdfast:
        self._hold = await self._start()
        return self._hold

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hold is not None:
            await self._hold.close()


class Holdfast:
    """One space of one opened store. Any thread and any event loop may use it; `close` it once."""

    def __init__(self, store: Store, framing: Framing) -> None:
        self._store = store
        self._framing = framing
        self.sessions = Sessions(store)
        """All sessions of the space."""

    @classmethod
    def open(
        cls,
        url: str | None = None,
        *,
        space: str = "default",
        config: Config | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        keys: KeyRing | None = None,
    ) -> Opening:
        """Open a space of the store at `url` (without one: at HOLDFAST_URL), made when missing.

            memory://                   in this process, gone when closed
            sqlite:///rel.db            a file, relative to the working directory
            sqlite:////abs/path.db      a file; ?durability=process for the relaxed mode

        With `keys` everything is encrypted but ids, names, numbers, times and orders; see `KeyRing`. WrongKey: they are
        not those of the store, or there are none and it is encrypted.

        Raises InvalidValue for a URL that is not understood, and the store's own conditions: ReadOnlyStore,
        StoreTooNew, UnsafeFilesystem, StoreLocked, StoreFull, Corrupt, Unavailable (the file was replaced meanwhile),
        and Closed (in a forked child, for a file that its parent had open).
        """

        async def start() -> Holdfast:
            where = system.default_url() if url is None else url
            if where is None:
                raise InvalidValue("no store was named: give a URL, or set HOLDFAST_URL", path="url")
            check_parts(config=config, clock=clock, ids=ids, keys=keys)
            kernel = await open_framed(
                where,
                keys,
                space=space,
                config=config if config is not None else Config(),
                clock=clock if clock is not None else system.SystemClock(),
                ids=ids if ids is not None else system.SystemIds(),
                entropy=system.random_bytes,
            )
            return cls.over(kernel, config=config, clock=clock, ids=ids)

        return Opening(start)

    @classmethod
    def over(
        cls, kernel: Kernel, *, config: Config | None = None, clock: Clock | None = None, ids: Ids | None = None
    ) -> Holdfast:
        """The same on a kernel of one's own, which it closes in the end."""
        check_parts(config=config, clock=clock, ids=ids)
        clock = clock if clock is not None else system.SystemClock()
        config = config if config is not None else Config()
        ids = ids if ids is not None else system.SystemIds()
        kept = framed(kernel, config)
        return cls(Store(behind_cache(kept, config, clock), clock=clock, ids=ids, config=config), kept)

    async def close(self) -> None:
        """Finish what was submitted, end every stream, release the store. May be called twice."""
        await self._store.close()

    async def __aenter__(self) -> Holdfast:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def state(self, scope: Scope, namespace: str = "") -> State:
        """The state of any scope, in a namespace of its own if one is named."""
        return state_of(Alone(self._store), scope, namespace=namespace)

    async def state_many(self, scopes: Sequence[Scope], namespace: str = "") -> dict[Scope, dict[str, Any]]:
        """All state of several scopes, as of one moment where the backend spans them. A scope without any is {}.

        Raises NotFound for a session that does not exist.
        """
        places = {scope: self.state(scope, namespace).place for scope in listed(scopes, "scopes")}
        found = await Alone(self._store).look(lambda work: states(work, [*places.values()]))
        return {
            scope: {key: codec.decode(cell.value) for key, cell in cells.items()}
            for scope, cells in zip(places, found, strict=True)
        }

    async def set_many(self, values: Mapping[Scope, Mapping[str, Any]], namespace: str = "") -> dict[Scope, int]:
        """Store values in several scopes in one transaction; returns each scope's new version (0: nothing written).

        Raises NotFound if one is a session that does not exist; then nothing is stored.
        """
        most = self._store.limits.operations_max
        given = listed(codec.mapping(values, "values").items(), "scopes in one commit", most=most)
        async with self.transaction() as tx:
            for scope, entries in given:
                await tx.state(scope, namespace).update(entries)
        return {scope: tx.version(scope) or 0 for scope, _ in given}

    def transaction(self) -> Transaction:
        """A block whose reads and writes, over any scopes, commit as one: `async with hold.transaction() as tx`."""
        return Transaction(self._store)

    async def transact(self, fn: Callable[[Transaction], Awaitable[T]], *, attempts: int = 20) -> T:
        """Run `fn(tx)` in a transaction, again on Conflict, and return what it returned."""
        return await repeat(self._store, self.transaction, fn, attempts)

    def changes(
        self,
        scopes: Sequence[Scope] = (),
        *,
        user: str | None = None,
        after: After | Mapping[Scope, After] = "now",
        kinds: Iterable[str] | None = None,
    ) -> Changes:
        """The merged stream of several scopes: in order within each. See `Changes`.

        `user` adds that user's scope and their sessions: the present ones, and every one created from now on, whole,
        however soon it is deleted. To resume, give `after` what `Changes.cursors` said, or the cursor of the last
        change seen of each scope, `{change.scope: change.cursor}`. Scopes that are not in it are shown from the
        beginning, since nothing of them was seen.
        """
        wanted = [scope_name(scope) for scope in listed(scopes, "scopes", most=FOLLOWED_MAX)]
        group = None
        if user is not None:
            wanted.append(scope_name(Scope.user(user)))
            limit = self._store.limits.value_bytes_max
            group = user_sessions.UserSessions(self._store.work, user, record_bytes_max=limit)
        if not wanted:
            raise InvalidValue("name the scopes to follow, or a user", path="scopes")
        if not isinstance(after, Mapping):
            if after not in ("now", "beginning") and (len(wanted) > 1 or user is not None):
                raise InvalidValue("a cursor is a place in one scope: give after={scope: cursor}", path="after")
            members = None if group is None else Members(group, "beginning" if after == "beginning" else "now")
            return Changes(self._store, dict.fromkeys(wanted, after), kinds=kinds, members=members)
        places: dict[str, After] = dict.fromkeys(wanted, "beginning")
        resumed: dict[str, After] = {}  # sessions of the user, as it seems
        for scope, place in after.items():
            name = scope_name(scope)
            is_member = group is not None and name not in places and session.is_scope(name)
            (resumed if is_member else places)[name] = place
        members = None if group is None else Members(group, "beginning", resumed)
        return Changes(self._store, places, kinds=kinds, members=members)

    @contextmanager
    def acting(self, *, by: str | None = None, trace_id: str | None = None) -> Iterator[None]:
        """Record who commits, and in which trace, with every commit of this task inside the block."""
        before = cause.current.get()
        names = {"by": by, "trace_id": trace_id}
        given = {name: check_name(text, name) for name, text in names.items() if text is not None}
        token = cause.current.set(replace(before, **given))
        try:
            yield
        finally:
            with suppress(ValueError):  # ended in another context, as a generator is that nobody finished
                cause.current.reset(token)

    async def sweep(self, *, older_than: Duration | None = None, dry_run: bool = False) -> SweepReport:
        """End the sessions whose time is over, then remove what nobody can see any more.

        Sessions that have expired; those that ended `older_than` so long ago, or than `Config.retention` says; expired
        values, what deleted sessions left, and log records beyond `Config.changes`. Safe at any time, in any number of
        processes: each session is ended by a commit on the condition that its time is over still. A dry run only
        counts the sessions.
        """
        store = self._store
        kept_for = store.config.retention.age if older_than is None else older_than
        retention_us = None if kept_for is None else to_us(kept_for, "older_than")
        if dry_run:
            return await count_due(store, retention_us=retention_us)
        budget = store.config.sweep.budget
        total = SweepReport(more=True)
        while total.more:
            total = added(total, await sweep_sessions(store, retention_us=retention_us, most=budget))
        swept = Swept(more=True)
        while swept.more:
            swept = await sweep_store(store, budget=budget)
            total = added(total, SweepReport(0, 0, swept.cells, swept.records, swept.scopes))
        return total

    async def rekey(self, progress: Callable[[Rekeyed], None] | None = None) -> Rekeyed:
        """Encrypt everything anew under the ring's active key, in place and beside whoever is writing.

        No version, seq or cursor changes, and no stream tells of it. It may be interrupted at any moment and run again,
        also by several processes: what is done is not done again. `progress` hears how far it is. When it returns,
        the store needs no other key than the active one, provided that every process that writes had it as its active
        one by the time this began; and with `scrubbed`, no older bytes are left in the store's files.

        Raises WrongKey if the store was opened without keys, or holds what is not encrypted and the ring is strict.
        """
        self._store.check_open()
        return await self._framing.rekey(progress)

    async def stats(self) -> dict[str, int | float | str]:
        """Counts and bytes of the store, and figures of this process's writer."""
        figures = dict(await self._store.patiently(self._store.kernel.stats))
        figures.update({f"writer_{name}": figure for name, figure in self._store.writer.stats().items()})
        return figures


FRESH = frozenset({session.CELL, "alive", "claim"})
"""Cells that say whether a session is there, what it is and whose turn it is: only an exact cache answers for them."""


def behind_cache(kernel: Kernel, config: Config, clock: Clock) -> Kernel:
    """The kernel behind the cache that is configured."""
    cache = config.cache
    if not cache.enabled:
        return kernel
    return cached(
        kernel,
        clock=clock,
        ttl_s=None if cache.ttl is None else to_seconds(cache.ttl, "cache.ttl"),
        fresh=FRESH,
        entries_max=cache.entries_max,
        bytes_max=cache.bytes_max,
    )


def check_parts(*, config: object, clock: object, ids: object, keys: object = None) -> None:
    """Refuse what cannot serve as a part of a store (TypeError), before anything is opened."""
    if config is not None and not isinstance(config, Config):
        raise TypeError(f"config must be a Config, not {shown(config)}")
    if keys is not None and not isinstance(keys, KeyRing):
        raise TypeError(f"keys must be a KeyRing, not {shown(keys)}")
    for what, part, verbs in (
        ("clock", clock, ("now_us", "monotonic_s", "sleep")),
        ("ids", ids, ("uuid7", "writer", "random")),
    ):
        lacking = [verb for verb in verbs if not callable(getattr(part, verb, None))]
        if part is not None and lacking:
            raise TypeError(f"{what} must have {', '.join(verbs)}; {shown(part)} lacks {', '.join(lacking)}")
