"""Interactions: a cell for each question of a run, and index entries by which people and sweeps find it.

    interaction/<run>/<id>      the record    index interaction.id              value: the id     where it is
                                              index interaction.of              value: the run    order: asked, id
                                and while it is pending
                                              index interaction.pending         value ""          the same
                                              index interaction.<field>         value: its kind, run, session, user,
                                                                                each assignee     the same
                                              index due                         value "interaction"   order: due

They stand in the scope of the run, so that asking and answering commit with what they do to it, and all of a run are
one range of keys.
"""

from __future__ import annotations

import msgspec

from holdfast.errors import Corrupt, NotFound
from holdfast.kernel import codec
from holdfast.kernel.commit import Absent, Cell, Entry, Range, Unchanged
from holdfast.kernel.keys import check_name, escaped, unescaped
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.work import Work
from holdfast.model.interaction import InteractionRecord
from holdfast.model.moment import order_of

AREA = "interaction/"
"""What the keys of all questions start with."""

ID, OF = "interaction.id", "interaction.of"
"""The indexes of all questions: where each is, and those of a run."""

PENDING = "interaction.pending"
"""The index of those that may be answered; further ones are called interaction.<field>."""

NAMED = ("kind", "run", "session", "user")
"""The fields by which pending questions are found, beside "assignee"."""

DUE = "interaction"
"""The value of the index of what is due under which questions stand."""

_decoder = msgspec.json.Decoder(InteractionRecord)
_encode = msgspec.json.Encoder().encode


def check_id(id: str) -> str:
    """The id of a question, if it may be one; raises InvalidId."""
    return check_name(id, "the id of a question")


def key_of(run: str, id: str) -> str:
    """The key of a question."""
    return prefix_of(run) + id


def run_of(key: str) -> str:
    """The run whose question has that key."""
    return unescaped(key.removeprefix(AREA).rpartition("/")[0])


def prefix_of(run: str) -> str:
    """What the keys of its questions start with."""
    return f"{AREA}{escaped(run)}/"


def all_of(run: str) -> Range:
    """The questions of a run."""
    return Range(prefix_of(run), PAGE_MAX)


def decode(cell: Cell) -> InteractionRecord:
    """The record in a cell."""
    try:
        return _decoder.decode(cell.value)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a question that cannot be read: {problem}", key=cell.key) from problem


def put(work: Work, scope: str, record: InteractionRecord, *, seen: int | None) -> None:
    """Stage a question, and the change that tells of it: its `namespace` is the run.

    The commit fails if it was written after the version `seen` (0: at all); None asks for nothing.
    """
    key = key_of(record.run, record.id)
    if seen is not None:
        work.require(scope, Unchanged(key, seen) if seen else Absent(key))
    raw = _encode(record)
    work.put(scope, key, raw, entries=_entries(record))
    work.note(scope, "interaction", "set", record.id, raw, record.run)


def size_of(record: InteractionRecord) -> int:
    """How many bytes it takes as it is kept."""
    return len(_encode(record))


def remove(work: Work, scope: str, record: InteractionRecord) -> None:
    """Stage the removal of a question."""
    work.delete(scope, key_of(record.run, record.id))
    work.note(scope, "interaction", "delete", record.id, None, record.run)


def _entries(record: InteractionRecord) -> tuple[Entry, ...]:
    order = f"{order_of(record.asked_us)}.{record.number:08d}.{record.id}"
    entries = [Entry(ID, record.id, ""), Entry(OF, record.run, order)]
    if not record.is_pending:
        return tuple(entries)
    names = {"kind": record.question.kind, "run": record.run, "session": record.session, "user": record.user}
    entries.append(Entry(PENDING, "", order))
    entries += [Entry(f"interaction.{name}", told, order) for name, told in names.items() if told is not None]
    entries += [Entry("interaction.assignee", name, order) for name in record.assignees]
    if record.due_us is not None:
        entries.append(Entry("due", DUE, order_of(record.due_us)))
    return tuple(entries)


async def read(work: Work, scope: str, key: str) -> tuple[InteractionRecord, int]:
    """A question and its version; the commit fails if it is written meanwhile. Raises NotFound."""
    cell = await work.get(scope, key)
    if cell is None:
        raise missing(key.rpartition("/")[2])
    return decode(cell), cell.version


def missing(id: str) -> NotFound:
    """The error that says that there is no such question, or no longer."""
    return NotFound(
        f"there is no question {id!r}",
        remedy="A question leaves with its run and its session. `hold.interactions.pending()` lists those that wait.",
        interaction=id,
    )
