"""Checkpoints of one scope: what they keep, in parts, and what they rest on.

    checkpoint/<id>                     the record      index checkpoint.id    value <id>
    checkpoint-last                     the record of the newest, on which the next one rests
    checkpoint-part/<base>/05/000000    the first piece of what the fifth step after that base keeps
    checkpoint-made/<id>                one that takes several commits is not finished     index due    value checkpoint

A step keeps the cells that were written since the one before, as the log names them, with the values that they have,
or that they are gone: so it costs what changed, and needs nothing of the log afterwards. Values are those that the
domain sees; encryption lies below. All steps of a base stand under one prefix in their order, so what a checkpoint
shows is one range.

What it keeps is cut into pieces far below the limit of a value, wherever that falls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from holdfast.errors import Corrupt, NotFound
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Entry, Head, Range, Read
from holdfast.kernel.cut import Cut, Since, Wanted, cut
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import KIB, PAGE_BYTES, PAGE_MAX, may_go_on
from holdfast.kernel.part import missing
from holdfast.kernel.work import Work
from holdfast.model.checkpoint import AREAS, DEPTH_MAX, KEYS, OF_USER, CheckpointRecord, UserPosition, by_of, newest

AREA = "checkpoint/"
LAST = "checkpoint-last"
PARTS = "checkpoint-part/"
MADE = "checkpoint-made/"

BY_ID = "checkpoint.id"
"""The index in which a checkpoint's scope is found by its id."""

DUE = "due"
"""The index by which a sweep finds what was begun and not finished."""

PART_BYTES = 128 * KIB
"""A piece of what a checkpoint keeps."""

COMMITS_MAX = 1000
"""After so many commits more than there are cells, reading all of those is cheaper than the log."""

_encode = msgspec.json.Encoder().encode
_records = msgspec.json.Decoder(CheckpointRecord)


class Kept(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """A cell as a checkpoint keeps it; without a value it is gone."""

    value: bytes | None = None
    expires_us: int | None = None


class Pack(Struct, frozen=True, array_like=True):
    """What one step keeps: of the scope, and of the scope of its user; all there was, or what was written since."""

    whole: bool
    cells: dict[str, Kept]
    user_whole: bool = True
    user_cells: dict[str, Kept] = {}


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Pack).decode


class Content(NamedTuple):
    """All that a checkpoint shows: of its scope, and of the scope of its user."""

    cells: dict[str, Kept]
    user_cells: dict[str, Kept]


class Standing(NamedTuple):
    """How a scope stands: the newest checkpoint, the version of the cell that says so, and the heads of
    the scope and of its user's."""

    last: CheckpointRecord | None
    version: int
    heads: list[Head]


class Gathered(NamedTuple):
    """A checkpoint that is not stored yet, and the pieces of what it keeps."""

    record: CheckpointRecord
    parts: list[bytes]


# --- taking ---------------------------------------------------------------------------------------


async def look(work: Work, scope: str, user: str | None) -> Standing:
    """How the scope stands, and that of its user. One read. Raises NotFound if it is not there."""
    reads = [Read(scope, (LAST,)), *(() if user is None else (Read(user),))]
    views = await work.peek(reads)
    work.part(scope, need="must_exist").see(views[0].head)
    cell = views[0].cells.get(LAST)
    return Standing(
        None if cell is None else decode(cell), 0 if cell is None else cell.version, [view.head for view in views]
    )


async def gather(
    work: Work, scope: str, standing: Standing, *, id: str, label: str | None, user: str | None, whole: bool = False
) -> Gathered:
    """Read what a checkpoint that is taken now has to keep, as of one moment. Raises Conflict if there is none.

    What was written since the last one or, `whole` or where that is not to be told, all there is.
    """
    last, head = standing.last, standing.heads[0]
    if last is not None and (
        whole
        or last.depth >= DEPTH_MAX
        or last.epoch != head.epoch
        or head.seq - last.seq > COMMITS_MAX + last.reach
        or (last.user is None) != (user is None)
    ):
        last = None
    wanted = [Wanted(scope, AREAS, KEYS, None if last is None else Since(last.seq, last.epoch), along=LAST)]
    if user is not None:
        since = None if last is None or last.user is None else Since(last.user.seq, last.user.epoch)
        wanted.append(Wanted(user, OF_USER, (), since))
    own, *others = await cut(work, wanted, standing.heads)
    if not own.head.live or own.head.epoch != head.epoch:
        raise missing(scope)
    pack = Pack(own.whole, _kept(own))
    position: UserPosition | None = None
    for of_user in others:
        pack = Pack(own.whole, pack.cells, of_user.whole, _kept(of_user))
        position = UserPosition(of_user.scope, of_user.head.seq, of_user.head.epoch)
    raw = _pack(pack)
    rests_on = None if own.whole else last
    cells = len(pack.cells) + len(pack.user_cells)
    record = CheckpointRecord(
        id,
        own.head.seq,
        own.head.epoch,
        own.at_us,
        id if rests_on is None else rests_on.base,
        0 if rests_on is None else rests_on.depth + 1,
        parts=max(1, -(-len(raw) // PART_BYTES)),
        cells=cells,
        bytes=len(raw),
        reach=cells + (0 if rests_on is None else rests_on.reach),
        label=label,
        by=by_of(work.cause),
        user=position,
    )
    return Gathered(record, [raw[at : at + PART_BYTES] for at in range(0, len(raw), PART_BYTES)])


def _kept(found: Cut) -> dict[str, Kept]:
    return {
        key: Kept() if cell is None else Kept(cell.value, cell.expires_us) for key, cell in sorted(found.cells.items())
    }


def put(work: Work, scope: str, gathered: Gathered, standing: Standing, *, parts_from: int = 0) -> None:
    """Stage a checkpoint with its parts from that one on, if none was taken or dropped since that look."""
    record = gathered.record
    work.require_version(scope, LAST, standing.version)
    put_parts(work, scope, record, gathered.parts[parts_from:], parts_from)
    raw = _encode(record)
    work.put(scope, AREA + record.id, raw, entries=(Entry(BY_ID, record.id, ""),))
    if newest([record, *(() if standing.last is None else (standing.last,))]) is record:
        work.put(scope, LAST, raw)
    note(work, scope, record)


def put_parts(work: Work, scope: str, record: CheckpointRecord, parts: Sequence[bytes], first: int) -> None:
    """Stage some of its parts, the first of which has that number."""
    for key, piece in zip(keys_of(record)[first:], parts, strict=False):
        work.put(scope, key, piece)


def begin(work: Work, scope: str, id: str, *, since: int, due_us: int) -> None:
    """Stage that a checkpoint is being taken in several commits, if it was last said so in that one (0: in none).

    What is left of it at that time, a sweep removes.
    """
    work.require_version(scope, MADE + id, since)
    mark(work, scope, MADE + id, f"{due_us:016d}")


def mark(work: Work, scope: str, key: str, order: str) -> None:
    """Stage what says that one is not finished."""
    work.put(scope, key, order.encode(), entries=(Entry(DUE, "checkpoint", order),))


def finish(work: Work, scope: str, id: str, *, since: int) -> None:
    """Stage that it is finished, if nobody took it for given up."""
    work.require_version(scope, MADE + id, since)
    work.delete(scope, MADE + id)


def note(work: Work, scope: str, record: CheckpointRecord, *, before: str | None = None) -> None:
    """Tell followers of a checkpoint that was taken or, with the id of the one taken `before`, restored."""
    told = {"label": record.label, "version": record.seq, "restored": before is not None}
    work.note(scope, "checkpoint", "set", record.id, _encode(told if before is None else told | {"before": before}))


# --- what there is ---------------------------------------------------------------------------------


def key_of(id: str) -> str:
    """The key of a checkpoint's record. Raises InvalidId."""
    return AREA + check_name(id, "the id of a checkpoint")


def decode(cell: Cell) -> CheckpointRecord:
    """The record in a cell."""
    try:
        return _records.decode(cell.value)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a checkpoint that cannot be read: {problem}", key=cell.key) from problem


async def get(work: Work, scope: str, id: str) -> CheckpointRecord:
    """The checkpoint of that id. Raises NotFound."""
    cell = await work.get(scope, key_of(id))
    record = None if cell is None else decode(cell)
    if record is None or record.dropped:
        raise unknown(id, scope)
    return record


async def everything(work: Work, scope: str) -> list[CheckpointRecord]:
    """Every checkpoint, the dropped ones too. Raises NotFound for a scope that is not there, Conflict if it changed."""
    work.part(scope, need="must_exist")
    return [decode(cell) for cell in await work.all(scope, AREA)]


async def find_scope(work: Work, id: str) -> str:
    """The name of the scope that the checkpoint is of. Raises NotFound."""
    key_of(id)
    found = await work.find(BY_ID, id, limit=1)
    if not found:
        raise unknown(id)
    return found[0].scope


def unknown(id: str, scope: str | None = None) -> NotFound:
    """The error that says that there is no such checkpoint."""
    of = "" if scope is None else f" of {scope}"
    return NotFound(
        f"there is no checkpoint {id}{of}",
        remedy="Name it by its id, not by its label: `s.checkpoints()` lists those there are.",
        checkpoint=id,
        scope=scope,
    )


def drop(work: Work, scope: str, record: CheckpointRecord) -> None:
    """Stage that it is shown no more, and found by nobody."""
    work.put(scope, AREA + record.id, _encode(record.as_dropped()))
    work.note(scope, "checkpoint", "delete", record.id)


def keys_of(record: CheckpointRecord) -> list[str]:
    """The keys of all that is stored of it, its record last."""
    step = f"{_steps(record.base)}{record.depth:02d}/"
    return [*(f"{step}{n:06d}" for n in range(record.parts)), AREA + record.id]


def set_last(work: Work, scope: str, record: CheckpointRecord | None) -> None:
    """Stage which one the next rests on."""
    if record is None:
        work.delete(scope, LAST)
    else:
        work.put(scope, LAST, _encode(record))


async def contents(work: Work, scope: str, record: CheckpointRecord) -> Content:
    """All that it shows, but for what had expired by then. Raises NotFound if it was dropped meanwhile."""
    steps: dict[int, list[bytes]] = {}
    wanted = parts_of(record.base)
    while True:
        cells = (await work.peek([Read(scope, (), (wanted,))]))[0].ranges[0]
        for cell in cells:
            steps.setdefault(int(cell.key.removeprefix(wanted.prefix)[:2]), []).append(cell.value)
        if not may_go_on(cells, PAGE_MAX, PAGE_BYTES) or max(steps) > record.depth:
            break
        wanted = msgspec.structs.replace(wanted, after=cells[-1].key)
    if any(depth not in steps for depth in range(record.depth + 1)) or len(steps[record.depth]) != record.parts:
        raise unknown(record.id, scope)
    return _unfold([_unpacked(b"".join(steps[depth])) for depth in range(record.depth + 1)], record.at_us)


async def shown(work: Work, scope: str, gathered: Gathered, standing: Standing) -> Content:
    """All that one shows which was gathered after that look and is not stored yet."""
    under = Content({}, {})
    last, record = standing.last, gathered.record
    if record.depth and last is not None:
        under = await contents(work, scope, last)
    packs = [
        Pack(whole=True, cells=under.cells, user_cells=under.user_cells),
        _unpacked(b"".join(gathered.parts)),
    ]
    return _unfold(packs, record.at_us)


def _unfold(packs: Iterable[Pack], at_us: int) -> Content:
    own: dict[str, Kept] = {}
    of_user: dict[str, Kept] = {}
    for pack in packs:
        if pack.whole:
            own.clear()
        if pack.user_whole:
            of_user.clear()
        own.update(pack.cells)
        of_user.update(pack.user_cells)
    return Content(_there(own, at_us), _there(of_user, at_us))


def _there(cells: Mapping[str, Kept], at_us: int) -> dict[str, Kept]:
    return {
        key: kept
        for key, kept in cells.items()
        if kept.value is not None and (kept.expires_us is None or kept.expires_us > at_us)
    }


def _unpacked(raw: bytes) -> Pack:
    try:
        return _unpack(raw)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"what a checkpoint keeps cannot be read: {problem}") from problem


def parts_of(base: str) -> Range:
    """The pieces of everything that rests on that base, a page of them at least."""
    return Range(_steps(base), PAGE_MAX, bytes_max=PAGE_BYTES)


def _steps(base: str) -> str:
    return f"{PARTS}{base}/"
