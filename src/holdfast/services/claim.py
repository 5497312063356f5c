"""Claims: the cell that says who holds a session, the tickets of those who wait, and the beats of the processes.

    session/7f…   claim                                {"holder": "beat/9f3c…", "worker": "w1", "at_us": …, "ttl_us": …}
                  claim/queue/0000000000000042.0000    {"holder": "beat/51aa…", …}
                  run-claim/<run>/held                 the same for one run of the session
    beat/9f3c…    beat                                 {"at_us": …}        entry: beat, "", order at_us

A claim is written when it is taken and deleted when it is given back, and by nothing between. Its version is the
fencing token: every write of the holder carries the condition that the cell is not newer, and who takes the session
away writes it anew. So two holders never both write, whatever their clocks say. Nothing of this shows in the change
stream.

A process that holds or waits beats in a scope of its own, one commit per interval for all it holds: the log of a
session tells of what was done in it, and not of how long that took.
"""

from __future__ import annotations

import msgspec

from holdfast.errors import Corrupt, shown
from holdfast.kernel import codec
from holdfast.kernel.commit import Absent, Cell, Entry, Range, Unchanged
from holdfast.kernel.keys import escaped, unescaped
from holdfast.kernel.work import Work
from holdfast.model.claim import ClaimRecord, Ticket
from holdfast.model.moment import to_datetime

CELL = "claim"
"""The key of the claim in its scope."""

RUNS = "run-claim/"
"""What the keys of the claims of runs start with."""

TICKETS_MAX = 16
"""So many of those in front are looked at: who is behind them waits for them anyway."""

BEAT = "beat"
"""The key of the beat in its scope, and the index of all beats."""

WALLS_DIFFER_US = 10_000_000
"""How much the walls of two machines differ without harm, beside a ttl."""

_claims = msgspec.json.Decoder(ClaimRecord)
_tickets = msgspec.json.Decoder(Ticket)


def prefix_of(run: str) -> str:
    """What the keys of the claim of a run, and of the tickets for it, start with."""
    return f"{RUNS}{escaped(run)}/"


def of_run(run: str) -> str:
    """The key of the claim of a run."""
    return f"{prefix_of(run)}held"


def run_of(cell: str) -> str:
    """The run whose claim has that key."""
    return unescaped(cell.removeprefix(RUNS).removesuffix("/held"))


def is_claim(key: str) -> bool:
    """Whether the cell of that key is a claim, of a session or a run."""
    return key == CELL or (key.startswith(RUNS) and key.endswith("/held"))


def named(scope: str, cell: str) -> str:
    """What a claim is of, as a message says it."""
    return scope if cell == CELL else f"the run {run_of(cell)!r} of {scope}"


def queue_of(cell: str) -> str:
    """What the keys of the tickets for a claim start with; a stamp completes it."""
    return f"{cell}/queue/"


def everything(cell: str) -> Range:
    """The claim, and the first of those who wait."""
    return Range(cell, TICKETS_MAX + 1)


def decode(cell: Cell) -> ClaimRecord:
    """The record in a claim's cell."""
    try:
        return _claims.decode(cell.value)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a claim that cannot be read: {problem}") from problem


def decode_ticket(cell: Cell) -> Ticket:
    """The ticket in a cell."""
    try:
        return _tickets.decode(cell.value)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a ticket that cannot be read: {problem}") from problem


def whom(record: ClaimRecord) -> str:
    """Who holds it and since when, as a message says it."""
    since = to_datetime(record.at_us).isoformat(timespec="seconds")
    if record.request is not None:
        return f"the turn for request {shown(record.request)} since {since}"
    return f"the claim of {'a worker' if record.worker is None else shown(record.worker)} since {since}"


def take(
    work: Work, scope: str, record: ClaimRecord, *, instead_of: Cell | None, ticket: str | None, cell: str = CELL
) -> None:
    """Stage taking the session or run, on the condition that it is free, or held as it was seen; and giving up the
    ticket."""
    work.require(scope, Absent(cell) if instead_of is None else Unchanged(cell, instead_of.version))
    work.put(scope, cell, msgspec.json.encode(record))
    if ticket is not None:
        work.delete(scope, ticket)


def kept_to_us(now_us: int, ttl_us: int) -> int:
    """To when a session lives at least that is held with such a ttl, and whose holder is alive now."""
    return now_us + ttl_us + ttl_us // 3


async def keeps_to_us(work: Work, scope: str) -> int:
    """To when a session lives at least because it is held; 0 for one that is not."""
    cell = await work.get(scope, CELL)
    return 0 if cell is None else kept_to_us(work.now_us, decode(cell).ttl_us)


def silent_us(ttl_us: int) -> int:
    """How old a beat is by the wall when its process is taken for gone by whoever looks, without having watched it."""
    return 2 * ttl_us + WALLS_DIFFER_US


def is_long_silent(record: ClaimRecord | Ticket, *, beat_us: int, now_us: int) -> bool:
    """Whether who wrote that has been silent for so long: since its last beat, or since it wrote it, if that is later.

    A wall that is behind says nothing. One that is ahead by more takes a session from who is alive, who is told by the
    fence; docs/decisions/walls-for-long-silences.md.
    """
    return now_us - max(record.at_us, beat_us) > silent_us(record.ttl_us)


def fence(work: Work, scope: str, token: int, *, cell: str = CELL) -> None:
    """Let the commit fail unless that claim is still the one: for that before all else, whatever else does not hold."""
    work.part(scope).checks.insert(0, Unchanged(cell, token))


def free(work: Work, scope: str, *, cell: str = CELL) -> None:
    """Let the commit fail, likewise, unless nobody holds that claim."""
    work.part(scope).checks.insert(0, Absent(cell))


def give_back(work: Work, scope: str, *, cell: str = CELL) -> None:
    """Stage the end of the claim; it needs `fence` beside it."""
    work.delete(scope, cell)


def queue_up(work: Work, scope: str, ticket: Ticket, *, cell: str = CELL) -> None:
    """Stage a ticket behind all there are."""
    work.append(scope, queue_of(cell), msgspec.json.encode(ticket))


def beat(work: Work, scope: str, at_us: int) -> None:
    """Stage one beat of a process."""
    entry = Entry(BEAT, "", f"{at_us:016d}")
    work.put(scope, BEAT, msgspec.json.encode({"at_us": at_us}), entries=(entry,))
