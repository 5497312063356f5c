"""What a backend owes.

A kernel is one space of one open store. It keeps bytes and knows nothing of sessions. The guarantees G1…G23 are
listed in `holdfast.testing.guarantees` and proved by the conformance kit; the docstrings here say which verb
owes which. What a backend cannot keep it declares in `traits`, and the call that would need it raises Unsupported.

An answer with `bytes_max` ends with the record or cell that makes the sizes of all reach it (`Record.size`,
`Cell.size`). So it has at least one where there is one, and it is the end only if it reached neither its limit nor that
bound (`limits.may_go_on`).

Deliberately absent: server-side filters, joins, arithmetic, range deletes.

Time comes from the caller: every verb that depends on it takes `now_us` (or the commit's `at_us`), so servers'
clocks decide nothing. An expired cell is absent in every verb and check from the moment `now_us >= expires_us`.
A commit is taken at any time from 1970 to 2286, in whatever order, and at no other (`limits.check_commit`).

Every verb may raise Closed (after `close`, or in a forked child), Unavailable, Corrupt, and the store's own
conditions (StoreLocked, StoreFull, ReadOnlyStore). A verb that raises has changed nothing, unless it raises
Indeterminate, which only `commit`, `rewrite` and `purge` may (the latter two can be repeated without a thought).
Cancelling a verb never harms the store: it only stops waiting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

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
from holdfast.kernel.limits import Traits


class Clock(Protocol):
    """Where time comes from. Injected, so that tests own it."""

    def now_us(self) -> int:
        """The time of day in microseconds since the epoch, UTC. It may jump in both directions."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that only ever grow, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long by `monotonic_s`."""
        ...


class Ids(Protocol):
    """Where identity and chance come from. Injected, so that tests own it."""

    def uuid7(self, now_us: int) -> str:
        """A new UUIDv7 in its usual text form, for that time."""
        ...

    def writer(self) -> str:
        """A new writer id: 16 hexadecimal digits, random, never repeated."""
        ...

    def random(self) -> float:
        """A number from 0 up to but not including 1, for jitter."""
        ...


class Kernel(ABC):
    """One space of one open store."""

    space: str
    """The space this kernel reads and writes; nothing crosses it (G9)."""

    traits: Traits
    """What this backend declares of itself."""

    @abstractmethod
    async def read(self, reads: Sequence[Read], *, now_us: int) -> list[View]:
        """Heads, cells and ordered ranges of the named scopes, as one consistent cut (G8).

        The cut covers all named scopes where `traits.span` is "store", else each scope by itself. It includes
        every commit acknowledged before the call began (G6). Answers stand in the order asked. A scope that
        never was has NO_HEAD and nothing in it; so has one that is dropped, but for its head. What is returned
        cannot be changed behind the store's back, nor does it change later (G18). A limit outside 1…PAGE_MAX, or a
        bound below 1, raises InvalidValue.
        """

    @abstractmethod
    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Apply each commit whole or not at all, in order, behind one durability barrier; an outcome for each.

        Atomic (G1), conditional (G2): a commit is judged against what the earlier ones of the batch left, all its
        conditions before any write, and one that conflicts or is refused leaves no trace (G7) and does not hinder
        the others. Ordered and gap-free (G3, G4): every scope written gets the next seq, its cells that version,
        its log that record. A live-scope condition protects against resurrection (G11): only need="create" or
        "must_not_exist" makes a scope. Phantoms are found by `Untouched` (G10).

        Idempotent (G5): commits carry ids (writer, n), n rising along each writer's lane. An id at or below the
        writer's last is looked up in the named scopes' logs: found, the outcome is Committed(replayed=True) with
        the seqs of the first time; not found and no named scope's log trimmed, it never was applied, the id is
        burnt and the outcome is Unavailable with the fact `burnt=True` (send again under a new id); else
        Indeterminate. Indeterminate is answered only once the send has ended and cannot land any more, so that
        sending the same commit again settles it.

        Durable (G6): an outcome Committed is returned only once `traits.durability` holds for it; before that nobody
        sees the commit. One that need not be durable (`Commit.durable`) may be returned, and seen by everybody, before
        that, and is durable at the latest when a later one of the space is that had to be. Only what ends every opening
        of the store may take it: nobody is left who saw it, and nothing stays that came after it.

        Outcomes TooLarge, Unsupported and InvalidValue say that this one commit was never sent (see
        `limits.check_commit`). Raising instead of returning says the same of every commit of the batch: with
        Unavailable and the store's conditions none was applied, with Indeterminate each may have been.
        """

    @abstractmethod
    async def log(
        self, scope: str, *, after: int = 0, limit: int = 1000, reverse: bool = False, bytes_max: int | None = None
    ) -> tuple[Record, ...]:
        """Records of one scope with seq > `after`, contiguous and in order (G4), at most `limit` and of `bytes_max`.

        With `reverse`, records with seq < `after` (0: from the newest) in falling order, as far as the log reaches.
        Without: Compacted if the record at `after` + 1 was trimmed (its fact `floor` is the oldest kept), Diverged
        if `after` is beyond the scope's seq (history was lost), Gone if the scope has no trace left and `after` > 0.
        A gap in what is stored raises Corrupt. The log goes on through drop and re-creation (G13).
        """

    @abstractmethod
    async def moved(self, after: str | None = None, *, limit: int = 1000) -> Moved:
        """Scopes that committed after a position: each at least once, may repeat, no order promised (G14).

        `after=None` answers the present position and no scopes; "" starts at the oldest kept. A commit is reported
        from every position taken before it was acknowledged: the least seq told of its scope, `firsts` included, is
        its own or a lower one, as far as the log is kept. An expired position raises Compacted: rescan `scopes`.
        """

    @abstractmethod
    def mark(self) -> int | None:
        """A number that is none of the earlier ones once anything was committed, swept, purged or rewritten since (G6).

        By whomever, in whatever process: while the number stays, every answer of `read` stays, but for what `now_us`
        makes of it. It may move without a reason. Where it is a number, the greatest seq that `moved` tells of a scope
        is that of its last commit before the call or a higher one, and `Moved.sweeps` is another one after a sweep or
        purge that removed, or a rewrite that replaced, anything; so `moved` tells what of an earlier answer is not to
        be trusted. Always None where it cannot be known so cheaply: `traits.cache` says which. Never waits.
        """

    @abstractmethod
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
        """Entries under (index, value) with lo <= order < hi, sorted by (order, scope, key), at most `limit`.

        `after` is a `Found.cursor` and excluded; `reverse` reads from the high end. Entries appear and vanish in the
        very commit that writes or drops their cell (G15): never later, never for an expired or dropped one.
        """

    @abstractmethod
    async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """Names of the live scopes greater than `after`, in order, at most `limit` (G15)."""

    @abstractmethod
    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake()` soon after anything may have moved, from any thread; returns what ends it.

        A hint: it may come late, doubled or not at all; the log is the truth. `wake` must be quick and must not raise.
        """

    @abstractmethod
    async def signal(self, scope: str, payload: bytes) -> None:
        """Tell everybody who listens on this space, in any process, something live about a scope (G22).

        It is kept nowhere: no seq, no record, no trace; the scope need not exist. It may be lost, to some or to all, or
        come twice; what is heard is whole, and the signals of one caller are heard in their order. Never waits for a
        listener who does not keep up, but for a moment. Raises TooLarge for a payload of more than
        `traits.signal_bytes_max` or a scope over its limit, Unavailable (surely nobody heard it), Closed; nothing else.
        """

    @abstractmethod
    def listen(self, hear: Callable[[str, bytes], None]) -> Callable[[], None]:
        """Call `hear(scope, payload)` for signals of every opening of this space, its own too; returns what ends it.

        From any thread, soon after they were sent. `hear` must be quick and must not raise. Once a `moved` that was
        called after it has answered, no signal is lost for having been sent too early, where the store can be reached.
        """

    @abstractmethod
    async def sweep(self, *, now_us: int, retention: Retention, budget: int = 10_000) -> Swept:
        """Remove up to `budget` rows of what nobody can see: expired cells, cells of dropped epochs, records
        beyond the retention, tombstones past their time.

        Changes nothing that any verb shows but the reach of `log` and `moved` (G12, G16): no seq, no record, and it
        works on a full store. The newest record of a scope, and so the record at `floor`, is never trimmed while its
        head lives. Once a tombstone is removed the scope is as if it never was (NO_HEAD).
        """

    @abstractmethod
    async def ended(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """Names of the scopes greater than `after` that were ever dropped, in order, at most `limit` (G23).

        Whether they live again or not; of a dropped one until its tombstone is removed.
        """

    @abstractmethod
    async def purge(self, scope: str, *, budget: int = 10_000) -> Swept:
        """Remove what the ended lives of a scope have left, up to `budget` rows of it: their cells and entries, and the
        records before that of the last drop (G23).

        The present life is not touched, so it may run beside any writer, and beside one that makes the scope anew. Seq,
        epoch and the record of the last drop stay: numbers go on, a late write is recognised, a follower who was as far
        learns of the end. (What that record says, `rewrite` replaces.) Nothing changes that any verb shows but the
        reach of `log`, and what rests on it as after a trim: a commit of an ended life that is sent again, and its
        `outcome`, are Indeterminate. No seq, no record, no hint; and it works on a full store.

        As durable as a commit when it returns. One that raised may have gone a part of its way; calling it again goes
        on, and does nothing where nothing is left. What was removed may still stand in the store's files: see `scrub`.
        """

    @abstractmethod
    async def stored(
        self, scope: str, *, after: str | None = None, limit: int = 1000, bytes_max: int | None = None
    ) -> tuple[Stored, ...]:
        """Cells of a scope's present epoch with key > `after`, in key order, each with its entries (G21).

        For whoever passes over all that is kept: cells that have expired and were not swept yet are among them. A scope
        that does not live has none. The value of an entry may be shown as something that stands for it, as long as
        `rewrite` takes that for the value.
        """

    @abstractmethod
    async def rewrite(self, scope: str, *, cells: Sequence[Rewrite] = (), records: Sequence[Record] = ()) -> int:
        """Put other bytes in the place of those that are kept; returns how many cells and records now have them (G21).

        A cell is rewritten if version and value still are those of `Rewrite.was`, in the present epoch and whether it
        has expired or not; a record gets the body and cause of the one given if the log still has that seq by that
        commit id. What is no longer so is passed over. One call is atomic, and as durable as a commit when it returns.

        Nothing else that any verb shows changes: no seq, version, time or expiry, no place in the log, in `moved` or
        in an index, and no hint. The head shows the cause of its record. Raises TooLarge, and rewrites nothing, for a
        value or payload over its limit.
        """

    @abstractmethod
    async def scrub(self) -> bool:
        """Remove from wherever the store is kept what was overwritten or removed before, so that a search of its files
        finds nothing of it.

        Changes nothing that any verb shows, and may hold up writers for as long as it takes to copy the store. False:
        it could not remove all of it, now or by itself; see the backend's page.
        """

    @abstractmethod
    async def outcome(self, scope: str, commit_id: CommitId) -> Committed | None:
        """What became of a commit whose reply was lost, by the log of one scope it wrote (G5).

        Committed(replayed=True) with that scope's seq; None if it surely was not applied (ask only once the first send
        is known to have ended); raises Indeterminate if the log was trimmed and the evidence may be gone.
        """

    @abstractmethod
    async def stats(self) -> Mapping[str, int | float | str]:
        """Figures of the store for people: counts, bytes, versions. At least `scopes`, `cells`, `records`, `bytes`,
        and `cells/<part>`, `bytes/<part>` for each first part of a key that cells have: how many, and of what size."""

    async def clock_us(self) -> int | None:
        """What the store's own clock shows, in microseconds since 1970, for people: nothing is judged by it (G12). None
        where it is this host's; Closed, or None still, after close."""
        return None

    @abstractmethod
    async def close(self) -> None:
        """Finish what was sent, release everything (G20). Calling it twice is allowed; other verbs raise Closed."""
