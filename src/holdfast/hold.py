"""The composition root: a store opened, with everything that is kept in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec.structs import replace

from holdfast import system
from holdfast.errors import InvalidValue, Unsupported, shown
from holdfast.handles.erasure import Erasure
from holdfast.handles.expiry import count_due, sweep_step
from holdfast.handles.face import Face, Principal
from holdfast.handles.measured import measured
from holdfast.handles.rights import Rights
from holdfast.handles.state import scope_name
from holdfast.handles.store import Store
from holdfast.handles.sweeper import Sweeper
from holdfast.handles.unit import check_callable
from holdfast.kernel.contract import Clock, Ids, Kernel
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import listed
from holdfast.model.config import Config
from holdfast.model.duration import Duration, to_us
from holdfast.model.erasure import ErasureReport
from holdfast.model.health import Health
from holdfast.model.keyring import KeyRing, Rekeyed
from holdfast.model.scope import Scope
from holdfast.model.stats import Stats
from holdfast.model.sweep import SweepReport, added
from holdfast.opening import framed, open_framed
from holdfast.operations.stats import put_together
from holdfast.services import budget, checkpoint, interaction, session
from holdfast.wrappers.framing import Framing
from holdfast.wrappers.stack import stacked

T = TypeVar("T")


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

    if not TYPE_CHECKING:  # a type checker knows what it has not

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"the store is not open yet, and has no {name!r}: write `hold = await Holdfast.open(…)`, or "
                "`async with Holdfast.open(…) as hold`"
            )


@measured("hold", store="_store")
class Holdfast(Face):
    """One space of one opened store. Any thread and any event loop may use it; `close` it once."""

    def __init__(self, store: Store, framing: Framing) -> None:
        super().__init__(store)
        self._framing = framing
        self._sweeper = Sweeper(store)

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
        background: bool = True,
        cross_scope: Literal["refuse", "forward"] = "refuse",
    ) -> Opening:
        """Open a space of the store at `url` (without one: at HOLDFAST_URL), made when missing.

            memory://                   in this process, gone when closed
            sqlite:///rel.db            a file, relative to the working directory
            sqlite:////abs/path.db      a file; ?durability=process for the relaxed mode
            postgresql://host/database  a schema of a database; needs the extra "postgres"

        With `keys` everything is encrypted but ids, names, numbers, times and orders; see `KeyRing`. WrongKey: they are
        not those of the store, or there are none and it is encrypted.

        With `background` a task of this event loop sweeps now and then, as `sweep` does, in small steps; see
        `Config.sweep`. Any number of processes may.

        `cross_scope` says what becomes of a transaction over scopes that the store cannot commit together: "refuse"
        raises Unsupported at the touch. "forward" is for stores that cannot span scopes; there is none yet, so it
        raises Unsupported here.

        Raises InvalidValue for a URL that is not understood, and the store's own conditions: ReadOnlyStore,
        StoreTooNew, UnsafeFilesystem, StoreLocked, StoreFull, Corrupt, Unavailable (the file was replaced meanwhile),
        and Closed (in a forked child, for a file that its parent had open).
        """

        async def start() -> Holdfast:
            where = system.default_url() if url is None else url
            if where is None:
                raise InvalidValue("no store was named: give a URL, or set HOLDFAST_URL", path="url")
            check_parts(config=config, clock=clock, ids=ids, keys=keys, background=background)
            _check_cross_scope(cross_scope)
            kernel = await open_framed(
                where,
                keys,
                space=space,
                config=config if config is not None else Config(),
                clock=clock if clock is not None else system.SystemClock(),
                ids=ids if ids is not None else system.SystemIds(),
                entropy=system.random_bytes,
            )
            return cls.over(kernel, config=config, clock=clock, ids=ids, background=background)

        return Opening(start)

    @classmethod
    def over(
        cls,
        kernel: Kernel,
        *,
        config: Config | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        background: bool = False,
    ) -> Holdfast:
        """The same on a kernel of one's own, which it closes in the end. `background` needs a running event loop."""
        check_parts(config=config, clock=clock, ids=ids, background=background)
        clock = clock if clock is not None else system.SystemClock()
        config = config if config is not None else Config()
        ids = ids if ids is not None else system.SystemIds()
        kept = framed(kernel, config)
        stack = stacked(kept, config, clock=clock, fresh=FRESH)
        store = Store(
            stack,
            clock=clock,
            ids=ids,
            config=config,
            environment=system.environment(),
            encrypted=kept.encrypts,
        )
        hold = cls(store, kept)
        if background:
            hold._sweeper.start()
        return hold

    async def close(self) -> None:
        """Commit the runtime state that waits, finish what was submitted, end every stream, release the store.

        May be called twice. Raises, once all is closed, what kept runtime state from being committed."""
        await self._store.close()

    async def __aenter__(self) -> Holdfast:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def as_principal(self, *, user: str, also: Sequence[Scope] = ()) -> Principal:
        """A face of this store that finds only what this user owns; see `Principal`.

        `also` names scopes of agents, globals and runs that it may use as well; without it there are none. Raises
        InvalidValue for another user's scope or a session in it: those are nobody else's.
        """
        for scope in (named := frozenset(listed(also, "also"))):
            scope_name(scope)
            if scope.kind in ("user", "session"):
                raise InvalidValue(f"{scope} belongs to its user alone", path="also")
        return Principal(self._store.limited(Rights(check_name(user, "a user"), named)))

    async def sweep(self, *, older_than: Duration | None = None, dry_run: bool = False) -> SweepReport:
        """End the sessions whose time is over, then remove what nobody can see any more.

        Sessions that have expired; those that ended `older_than` so long ago, or than `Config.retention` says; runs
        that have ended, as `Config.runs` says; expired values, what deleted sessions left, and log records beyond
        `Config.changes`. An `erase` that was interrupted it carries on. Safe at any time, in any number of processes:
        each session is ended by a commit on the condition that its time is over still. A dry run only
        counts sessions and runs.
        """
        store = self._store
        kept_for = store.config.retention.age if older_than is None else older_than
        retention_us = None if kept_for is None else to_us(kept_for, "older_than")
        if dry_run:
            return await count_due(store, retention_us=retention_us)
        total, failed = SweepReport(more=True), None
        while total.more:
            step = await sweep_step(store, retention_us=retention_us)
            total, failed = added(total, step.report), failed or step.problem
        if failed is not None:  # it has held up nothing else
            raise failed
        return total

    async def erase(self, *, user: str) -> ErasureReport:
        """Remove everything of a user for good, and not only from sight; returns what was removed.

        Their sessions of any status, expired ones too, whoever uses them: what is under way there gets NotFound or
        LeaseLost. Their own scope, with all its namespaces, and their runs that are alone. And what sessions of theirs
        that were deleted or expired before have left in the store: values, messages, events, index rows, and the log
        with all that it told, and of whom; so also what sessions have left of which nobody can tell any more whose they
        were. Then the store's files are scrubbed, so that a search of them finds nothing, for which writers may wait as
        long as it takes to copy the store.

        What stays: of each of those scopes its name, its numbers and the time of its end, for thirty days, which a
        sweep removes; and the user's name where others' scopes have it, as the cause of what the user did there.

        Not one commit: it may be interrupted at any moment, also by a crash, and called again, which finishes it; so
        does any sweep, ten minutes later, for what there was when it was called, if it came as far as to note that. It
        runs beside whoever is writing, and goes on until it finds no session of theirs: let them in no more before.
        A user of whom there is nothing leaves the report empty. Raises UseTransaction inside a transaction of this task
        on one of those scopes; then nothing was removed.
        """
        return await Erasure(self._store, check_name(user, "a user")).run()

    async def rekey(self, progress: Callable[[Rekeyed], None] | None = None) -> Rekeyed:
        """Encrypt everything anew under the ring's active key, in place and beside whoever is writing.

        No version, seq or cursor changes, and no stream tells of it. It may be interrupted at any moment and run again,
        also by several processes: what is done is not done again. `progress` hears how far it is. When it returns,
        the store needs no other key than the active one, provided that every process that writes had it as its active
        one by the time this began; and with `scrubbed`, no older bytes are left in the store's files.

        Raises WrongKey if the store was opened without keys, or holds what is not encrypted and the ring is strict.
        """
        self._store.check_open()
        if progress is not None:
            check_callable(progress, "progress")
        return await self._framing.rekey(progress)

    async def stats(self) -> Stats:
        """Counts and bytes of the space by kind, the store's own figures, and what this process called and sent.

        See `Stats`. It counts everything there is: for people and dashboards, not for a hot path.
        """
        store = self._store
        figures = await store.patiently(store.kernel.stats)
        return put_together(
            figures,
            writer=store.writer.stats(),
            sweeper=self._sweeper.stats(),
            cache=store.cache,
            meters=store.meters,
        )

    async def health(self) -> Health:
        """How the store is, by a read and a write, within five seconds. See `Health`. What is wrong is returned, not
        raised: also of a closed store, a full disk, a corrupt file."""
        health = await self._store.probe.health(version=await asyncio.to_thread(system.version))
        ailment = self._sweeper.ailment()
        if ailment is None:
            return health
        status = "degraded" if health.status == "healthy" else health.status
        return replace(health, status=status, details=(*health.details, ailment))


FRESH = frozenset(
    {
        *(session.CELL, session.ALIVE, budget.CELL, "claim", "beat"),
        *("run/", "step/", "run-claim/", interaction.AREA, checkpoint.LAST, checkpoint.AREA),
    }
)
"""Cells and areas that say whether a session is there, what it is, what is left of its budget and whose turn it is, how
a run stands, what was done and asked in it, and what a checkpoint rests on: only an exact cache answers for them."""


def check_parts(*, config: object, clock: object, ids: object, keys: object = None, background: object = False) -> None:
    """Refuse what cannot serve as a part of a store (TypeError), before anything is opened."""
    if config is not None and not isinstance(config, Config):
        raise TypeError(f"config must be a Config, not {shown(config)}")
    if keys is not None and not isinstance(keys, KeyRing):
        raise TypeError(f"keys must be a KeyRing, not {shown(keys)}")
    if not isinstance(background, bool):
        raise TypeError(f"background must be True or False, not {shown(background)}")
    for what, part, verbs in (
        ("clock", clock, ("now_us", "monotonic_s", "sleep")),
        ("ids", ids, ("uuid7", "writer", "random")),
    ):
        lacking = [verb for verb in verbs if not callable(getattr(part, verb, None))]
        if part is not None and lacking:
            raise TypeError(f"{what} must have {', '.join(verbs)}; {shown(part)} lacks {', '.join(lacking)}")


def _check_cross_scope(cross_scope: object) -> None:
    if cross_scope == "forward":
        raise Unsupported(
            "no store that can be opened forwards what is written to several scopes: each commits them as one",
            remedy='Leave `cross_scope` out, or say "refuse": transactions span scopes here.',
        )
    if cross_scope != "refuse":
        raise InvalidValue(f'cross_scope must be "refuse" or "forward", not {shown(cross_scope)}', path="cross_scope")
