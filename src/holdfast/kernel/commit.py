"""The vocabulary of the kernel: what is asked of a store, and what it answers.

Everything here is plain, immutable data (but for a commit's id and time, which the writer gives at the send). Text is
ordered by code point, which is the order of its UTF-8 bytes; times are integer microseconds since the
epoch; a scope, key or index name is text as made by `keys`.

    scope   one unit of atomicity and order: "session/7f…", "user/ada"
    cell    one value under one key in a scope; its version is the seq of the commit that wrote it
    head    what is true of a scope as a whole
    record  one entry of a scope's log: one for every commit that wrote the scope, at position seq
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from holdfast.errors import HoldfastError

SEQ_DIGITS = 16
"""A stamp is seq at this width: the largest is below 2**53, so it is exact in Lua and JavaScript too."""

ORDINAL_DIGITS = 4
"""… followed by a dot and the append's ordinal within its commit, at this width."""


class CommitId(NamedTuple):
    """The identity of one send: `writer` names an ordered lane, random per open; `n` rises by one."""

    writer: str
    n: int


class Head(Struct, frozen=True, gc=False):
    """What is true of a scope as a whole.

    A scope that never was has seq 0 and is not live. Dropping takes a seq and raises `epoch`; seq goes on
    through drop and re-creation. `floor` is the seq of the oldest log record kept (0: no record).
    `at_us` and `cause` are those of the last commit.
    """

    seq: int = 0
    epoch: int = 0
    live: bool = False
    floor: int = 0
    at_us: int = 0
    cause: bytes = b""


NO_HEAD = Head()


class Cell(Struct, frozen=True, gc=False):
    """One value as found: `version` is the seq that wrote it, `expires_us` when it ceases to exist."""

    key: str
    value: bytes
    version: int
    expires_us: int | None = None

    @property
    def size(self) -> int:
        """What it counts for against `Range.bytes_max`: the bytes of its value and the characters of its key."""
        return len(self.value) + len(self.key)


class Entry(Struct, frozen=True, gc=False):
    """One index entry of a cell: found under (`index`, `value`), sorted by (`order`, scope, key).

    `payload` (256 bytes at most) is handed back by `find`, so that a count or merge needs no reads.
    """

    index: str
    value: str
    order: str
    payload: bytes = b""


class Put(Struct, frozen=True, gc=False):
    """Write one cell, whether it exists or not. The entries replace all the cell had."""

    key: str
    value: bytes
    expires_us: int | None = None
    entries: tuple[Entry, ...] = ()


class Append(Struct, frozen=True, gc=False):
    """Write one new cell whose key the kernel completes with the commit's own seq: a stamped put.

    key = prefix + stamp(seq, ordinal), so that appending needs no read, never conflicts, and key order is
    commit order (G17); the ordinal counts the appends of one commit to one scope from 0.
    """

    prefix: str
    value: bytes
    expires_us: int | None = None
    entries: tuple[Entry, ...] = ()


def stamp(seq: int, ordinal: int) -> str:
    """The text that completes a stamped key: `0000000000000042.0000` for the first append of commit 42."""
    return f"{seq:016d}.{ordinal:04d}"


# --- conditions -----------------------------------------------------------------------------------


class Absent(Struct, frozen=True, gc=False):
    """No cell under this key (an expired one counts as absent)."""

    key: str


class Present(Struct, frozen=True, gc=False):
    """A cell under this key, of any version."""

    key: str


class Unchanged(Struct, frozen=True, gc=False):
    """A cell under this key that is not newer than `since`."""

    key: str
    since: int


class Untouched(Struct, frozen=True, gc=False):
    """No record after `since` touched a key with this prefix. Records trimmed away mean Conflict."""

    prefix: str
    since: int


class HeadAt(Struct, frozen=True, gc=False):
    """The scope's seq is exactly this."""

    seq: int


Check = Absent | Present | Unchanged | Untouched | HeadAt

Need = Literal["must_exist", "must_not_exist", "create"]


class ScopeCommit(Struct, frozen=True, gc=False):
    """What one commit asks of, and does to, one scope.

    need     "must_exist" (the default: a blind write never brings a deleted scope back), "must_not_exist",
             or "create" (as it is, made when missing)
    epoch    when given, the scope's epoch must be exactly this, whether it is live or not
    checks   all must hold, against the scope as the earlier commits left it
    puts, appends, deletes
             what changes; a key at most once. Deleting what is absent is allowed and still logged
    body     kept in the log record, opaque to the kernel
    drop     the scope ceases to exist: takes a seq, raises the epoch, hides every cell and entry at once;
             excludes puts, appends and deletes

    A scope with no put, append, delete, body or drop is only checked: it gets no seq and no record.
    """

    scope: str
    need: Need = "must_exist"
    epoch: int | None = None
    checks: tuple[Check, ...] = ()
    puts: tuple[Put, ...] = ()
    appends: tuple[Append, ...] = ()
    deletes: tuple[str, ...] = ()
    body: bytes = b""
    drop: bool = False

    @property
    def writes(self) -> bool:
        """Whether this gives the scope a new seq."""
        return bool(self.puts or self.appends or self.deletes or self.body or self.drop)


class Commit(Struct, gc=False):
    """An atomic, conditional set of writes to one scope, or to several where the backend spans them.

    `at_us` is the time of the commit: what its checks take as now, and what the records say.
    `cause` is opaque text in bytes (who, which request, …), kept in every record it makes.
    `id` and `at_us` are given by the writer at the send, both anew when it is sent under a new id and neither when it
    is sent again under the same one; see `CommitId` and `Kernel.commit`.
    `durable`: False for what is of use only while its writer lives; a backend may answer before its barrier then, see
    `Kernel.commit`.
    """

    scopes: tuple[ScopeCommit, ...]
    at_us: int
    cause: bytes = b""
    id: CommitId = CommitId("", 0)
    durable: bool = True


# --- outcomes -------------------------------------------------------------------------------------


class Committed(Struct, frozen=True, gc=False):
    """Applied and, if it was to be, as durable as the backend's traits say. `seqs` has the seq of every scope written.

    `replayed`: this commit id had been applied before; the seqs are those of that first time.
    """

    seqs: dict[str, int]
    replayed: bool = False


class Conflict(Struct, frozen=True, gc=False):
    """Not applied, without a trace: the first condition of the first scope that did not hold.

    `what` names the condition: "need", "epoch", or the check's class in lower case. `expected` is what was
    asked, `found` what was there (a Cell or None for a cell's checks, the Head otherwise), which saves a read.
    """

    scope: str
    what: Literal["need", "epoch", "absent", "present", "unchanged", "untouched", "headat"]
    key: str | None
    expected: str | int | None
    found: Cell | Head | None
    head: Head


Outcome = Committed | Conflict | HoldfastError
"""What became of one commit. An error instance says the same as if it had been raised for that commit alone."""


# --- reading --------------------------------------------------------------------------------------


class Range(Struct, frozen=True, gc=False):
    """The cells whose keys start with `prefix`, in key order, at most `limit`, and see `bytes_max` at `Kernel`.

    `after` excludes everything up to and including that key, in the direction of reading; `reverse` reads from the end.
    """

    prefix: str
    limit: int
    after: str | None = None
    reverse: bool = False
    bytes_max: int | None = None


class Read(Struct, frozen=True, gc=False):
    """What to read of one scope."""

    scope: str
    keys: tuple[str, ...] = ()
    ranges: tuple[Range, ...] = ()


class View(Struct, frozen=True, gc=False):
    """What one scope held: absent keys are missing from `cells`; `ranges` answers each range in turn."""

    scope: str
    head: Head
    cells: dict[str, Cell]
    ranges: tuple[tuple[Cell, ...], ...] = ()


class Record(Struct, frozen=True, gc=False):
    """One commit as one scope's log keeps it. `touched` lists the keys put, completed or deleted.

    `op` is "write", or "drop" for the record that ended an epoch (its `epoch` is the one that ended).
    """

    seq: int
    epoch: int
    commit: CommitId
    at_us: int
    cause: bytes
    touched: tuple[str, ...]
    body: bytes
    op: Literal["write", "drop"] = "write"

    @property
    def size(self) -> int:
        """What it counts for against `bytes_max`: the bytes of body and cause, and the characters of its keys."""
        return len(self.body) + len(self.cause) + sum(map(len, self.touched))


class Stored(Struct, frozen=True, gc=False):
    """A cell as it is kept, with its index entries, in no particular order."""

    cell: Cell
    entries: tuple[Entry, ...] = ()

    @property
    def size(self) -> int:
        """What it counts for against `bytes_max`."""
        return self.cell.size


class Rewrite(Struct, frozen=True, gc=False):
    """Other bytes for a cell, if it still is what it `was`: its value, and the entries instead of those it has.

    Of an entry the value and the payload may be others; index and order are those it had.
    """

    was: Cell
    value: bytes
    entries: tuple[Entry, ...] = ()


class Moved(Struct, frozen=True, gc=False):
    """Scopes that committed, each with a seq it had reached, and the position to continue from.

    `firsts` has the seq of a scope's first commit among those that the answer covers, where it is another one than
    the one reported. `more` says that the limit cut the answer short. `position` is opaque text, made by the same
    backend. `sweeps` is another number after a sweep that removed anything, where there is a `Kernel.mark`.
    """

    scopes: tuple[tuple[str, int], ...]
    position: str
    more: bool = False
    firsts: dict[str, int] = {}
    sweeps: int = 0

    def since(self) -> dict[str, int]:
        """The least seq that is told of each scope."""
        least = dict(self.firsts)
        for scope, seq in self.scopes:
            least[scope] = min(seq, least.get(scope, seq))
        return least


class Found(Struct, frozen=True, gc=False):
    """One index entry as found; (`order`, `scope`, `key`) is the cursor to continue after."""

    order: str
    scope: str
    key: str
    payload: bytes

    @property
    def cursor(self) -> tuple[str, str, str]:
        """Where the next page starts."""
        return (self.order, self.scope, self.key)


TOMBSTONE_US = 30 * 24 * 3600 * 1_000_000
"""How long a dropped scope keeps its seq and epoch, unless a sweep is told otherwise."""


class Retention(Struct, frozen=True):
    """What a sweep leaves: log records younger than `age_us` or among the newest `count` of a scope;
    tombstones of dropped scopes younger than `tombstone_us`. None keeps without bound."""

    age_us: int | None = None
    count: int | None = None
    tombstone_us: int | None = TOMBSTONE_US


class Swept(Struct, frozen=True):
    """What one sweep or purge removed. `more`: the budget ran out before the work."""

    cells: int = 0
    records: int = 0
    scopes: int = 0
    more: bool = False
