"""The verbs of the kernel on PostgreSQL: each checks its arguments and sends the work to where it is done."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

from holdfast.backends.postgres import find, log, purge, read, rewrite, stats, sweep
from holdfast.backends.postgres.connections import Connection, Row
from holdfast.backends.postgres.settings import Settings
from holdfast.backends.postgres.statements import placed
from holdfast.backends.postgres.store import PostgresStore
from holdfast.errors import Closed, HoldfastError, Indeterminate, Unavailable
from holdfast.kernel.commit import (
    Commit,
    CommitId,
    Committed,
    Found,
    Moved,
    Outcome,
    Read,
    Record,
    Retention,
    Rewrite,
    Stored,
    Swept,
    View,
)
from holdfast.kernel.contract import Kernel
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import (
    MIB,
    Traits,
    check_bytes,
    check_commit,
    check_limit,
    check_range,
    check_rewrites,
    check_signal,
)

TRAITS = Traits(
    durability="fsync",
    span="store",
    cache="bounded",
    value_bytes_max=16 * MIB,
    operations_max=10_000,
    commit_bytes_max=64 * MIB,
    poll_s=0.25,
)


class PostgresKernel(Kernel):
    """One space of a PostgreSQL store."""

    def __init__(self, store: PostgresStore, space: str) -> None:
        self.space = space
        self.traits = Traits(
            durability=store.durability,
            span=TRAITS.span,
            cache=TRAITS.cache,
            value_bytes_max=TRAITS.value_bytes_max,
            operations_max=TRAITS.operations_max,
            commit_bytes_max=TRAITS.commit_bytes_max,
            poll_s=TRAITS.poll_s,
        )
        self._store = store
        schema = store.settings.schema
        self._read = (placed(read.POINT, schema), placed(read.MANY, schema))
        self._log = (placed(log.FORWARD, schema), placed(log.REVERSE, schema))
        self._moved = (placed(log.END, schema), placed(log.MOVED, schema))
        self._find = (placed(find.FORWARD, schema), placed(find.REVERSE, schema))
        self._closed = False

    @classmethod
    async def open(cls, settings: Settings, *, space: str = "default") -> PostgresKernel:
        """Open one space, made when missing together with the schema.

        Raises Unavailable (the server cannot be reached), InvalidValue (it does not take the address), ReadOnlyStore (a
        standby, or a role without the rights), StoreTooNew, Unsupported (the server is too old or gives less durability
        than was asked for). Cancelled while it opens, it raises at once, and what it opened is closed in its thread.
        """
        check_name(space, "a space")
        store = PostgresStore(settings, space)
        await store.open()
        return cls(store, space)

    def _open(self) -> PostgresStore:
        self._store.driver.check_here()
        if self._closed:
            raise Closed("this kernel is closed")
        return self._store

    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """See `Kernel.read`."""
        store = self._open()
        for wanted in reads:
            for part in wanted.ranges:
                check_range(part)
        if not reads:
            return []
        return await store.look(lambda line: read.read_views(line, self._read, store.space, reads, now_us))

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """See `Kernel.commit`."""
        store = self._open()
        refusals: dict[int, HoldfastError] = {}
        for at, commit in enumerate(commits):
            try:
                check_commit(commit, self.traits)
            except HoldfastError as refusal:
                refusals[at] = refusal
        sent = [commit for at, commit in enumerate(commits) if at not in refusals] if refusals else list(commits)
        answers = iter(await store.commit(sent) if sent else [])
        return [refusals[at] if at in refusals else next(answers) for at in range(len(commits))]

    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """See `Kernel.log`."""
        store = self._open()
        check_limit(limit)
        check_bytes(bytes_max)
        wanted = (store.space, scope, after, limit, bytes_max)
        if reverse:
            return await store.look(lambda line: log.read_log_back(line, self._log[1], wanted))
        return await store.look(lambda line: log.read_log(line, self._log[0], wanted))

    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """See `Kernel.moved`."""
        store = self._open()
        check_limit(limit)

        async def look(line: Connection) -> Moved:
            await store.signals.ready()
            return await log.read_moved(line, self._moved, store.space, after, limit)

        return await store.look(look)

    def mark(self) -> int | None:
        """See `Kernel.mark`. Not to be known: others commit without a word to this process."""
        self._open()
        return None

    async def find(
        self,
        index: str,
        value: str,
        *,
        now_us: int,
        lo: str | None = None,
        hi: str | None = None,
        after: tuple[str, str, str] | None = None,
        limit: int = 1000,
        reverse: bool = False,
    ) -> tuple[Found, ...]:
        """See `Kernel.find`."""
        store = self._open()
        check_limit(limit)
        wanted = find.Wanted(index, value, now_us, lo, hi, after, limit, reverse)
        return await store.look(lambda line: find.find_entries(line, self._find[reverse], store.space, wanted))

    async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """See `Kernel.scopes`."""
        store = self._open()
        check_limit(limit)
        statement = placed(find.SCOPES, store.settings.schema)
        return await store.look(lambda line: find.scope_names(line, statement, store.space, after, limit))

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """See `Kernel.watch`. Others' commits are told by the server; `traits.poll_s` covers what that loses."""
        store = self._open()
        watch = object()
        store.hints.wakes[watch] = wake
        store.driver.post(store.hints.listen)

        def end() -> None:
            store.hints.wakes.pop(watch, None)

        return end

    async def signal(self, scope: str, payload: bytes) -> None:
        """See `Kernel.signal`."""
        store = self._open()
        check_signal(scope, payload, self.traits)
        await store.driver.run(lambda: store.signals.send(scope, payload))

    def listen(self, hear: Callable[[str, bytes], None]) -> Callable[[], None]:
        """See `Kernel.listen`."""
        store = self._open()
        listener = object()
        store.signals.hears[listener] = hear
        store.driver.post(store.signals.listen)

        def end() -> None:
            store.signals.hears.pop(listener, None)

        return end

    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """See `Kernel.sweep`."""
        return await sweep.Sweep(self._ask, self._open().space, now_us, retention, budget).run()

    async def ended(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """See `Kernel.ended`."""
        store = self._open()
        check_limit(limit)
        statement = placed(find.ENDED, store.settings.schema)
        return await store.look(lambda line: find.scope_names(line, statement, store.space, after, limit))

    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        """See `Kernel.purge`."""
        return await purge.purge(self._ask, self._open().space, scope, budget)

    async def _ask(self, statement: str, *arguments: object) -> list[Row]:
        store = self._open()
        placed_there = placed(statement, store.settings.schema)
        return await store.look(lambda line: line.fetch(placed_there, *arguments))

    async def outcome(self, scope: str, commit_id: CommitId) -> Committed | None:
        """See `Kernel.outcome`."""
        store = self._open()
        statement = placed(log.OUTCOME, store.settings.schema)
        seq = await store.look(lambda line: log.first_seq(line, statement, store.space, scope, commit_id))
        return None if seq is None else Committed({scope: seq}, replayed=True)

    async def stored(
        self, scope: str, *, after: str | None = None, limit: int = 1000, bytes_max: int | None = None
    ) -> tuple[Stored, ...]:
        """See `Kernel.stored`."""
        store = self._open()
        check_limit(limit)
        check_bytes(bytes_max)
        statement = placed(rewrite.STORED, store.settings.schema)
        place = (store.space, scope, after)
        return await store.look(lambda line: rewrite.stored_cells(line, statement, place, limit, bytes_max))

    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """See `Kernel.rewrite`."""
        store = self._open()
        check_rewrites(cells, self.traits)
        statement = placed(rewrite.REWRITE, store.settings.schema)
        arguments = rewrite.arguments(store.space, scope, cells, records)
        try:
            return int(await store.look(lambda line: line.fetchval(statement, *arguments)))
        except Unavailable as lost:
            raise Indeterminate(f"the reply to a rewrite of {scope} was lost: {lost}", scope=scope) from lost

    async def scrub(self) -> bool:
        """See `Kernel.scrub`. The tables are copied, but for one that somebody reads for longer than a second; the log
        of writes, standbys and backups are the server's own."""
        store = self._open()
        schema, pooled = store.settings.schema, not store.settings.statement_cache
        await store.look(lambda line: rewrite.scrub(line, schema, pooled=pooled))
        return False

    async def stats(self) -> Mapping[str, int | float | str]:
        """See `Kernel.stats`."""
        store = self._open()
        schema = store.settings.schema
        statement = placed(stats.COUNTS, schema)
        return await store.look(lambda line: stats.count(line, statement, store.space, schema))

    async def clock_us(self) -> int | None:
        """See `Kernel.clock_us`: the server's."""
        return int(await self._open().look(lambda line: line.fetchval(stats.CLOCK)))

    async def close(self) -> None:
        """See `Kernel.close`."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(Closed):  # in a forked child there is nothing to close
            self._store.driver.check_here()
            self._store.hints.wakes.clear()
            await self._store.close()
