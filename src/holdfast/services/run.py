"""Runs: a record for each, its graph beside it, and a cell for every node that did something.

    run/<run>                   the record      index run.id        value: the run      where it is
                                                index run.all       value ""            order: started, then the run
                                                index run.status    value: its status   the same; and so for workflow,
                                                                                        session and user
                                                index run.ended     value ""            order: ended, then the run
                                                index run.ended.of  value: its session  the same
                                                index due           value "ending"      order: ended, while it lingers
    graph/<run>/00000001        specifications of nodes, some hundred in each
    node/<run>/<node>           what a node did

They stand in the scope of the run's session, so that what a node did commits with what it wrote there; those of a run
without a session in a scope of their own, `run/<run>`. The record is rewritten only when it changes: a node that goes
on does not touch it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

import msgspec
from msgspec import Struct

from holdfast.errors import Conflict, Corrupt, InvalidId, InvalidValue, NotFound
from holdfast.kernel import codec
from holdfast.kernel.commit import Absent, Cell, Entry, Range, Read, Unchanged, View
from holdfast.kernel.keys import check_name, escaped, unescaped
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.work import Work
from holdfast.model import end
from holdfast.model.end import End
from holdfast.model.graph import specs_of
from holdfast.model.moment import order_of
from holdfast.model.node import NodeRecord
from holdfast.model.node_spec import NodeSpec, SpecRecord, spec_of, spec_record
from holdfast.model.run import Asked, RunRecord, session_ended

AREA = "run/"
"""What the keys of all records start with, and the names of the scopes of runs without a session."""

GRAPHS, NODES = "graph/", "node/"
"""What the keys of all graphs start with, and of all nodes."""

ID, ALL = "run.id", "run.all"
"""The indexes of runs: where each is, and all of them."""

NAMED = ("status", "workflow", "session", "user")
"""The fields by which runs are listed; the index of each is called run.<field>."""

ENDED, ENDED_OF = "run.ended", "run.ended.of"
"""The indexes of runs that have ended: all of them, and those of a session."""

DUE = "ending"
"""The value of the index of what is due under which runs stand that have ended, and linger."""

PART_BYTES = 100_000
"""So many bytes of specifications stand in one cell, about."""

_runs = msgspec.json.Decoder(RunRecord)
_nodes = msgspec.json.Decoder(NodeRecord)
_specs = msgspec.json.Decoder(list[SpecRecord])
_encode = msgspec.json.Encoder().encode


class Loaded(Struct, frozen=True):
    """A run as one read found it, with the versions of what was found (0: staged in the unit that read), the seq of its
    scope then, the cells that were asked for beside, and how its session ended, if it did."""

    record: RunRecord
    version: int
    specs: Mapping[str, NodeSpec]
    nodes: Mapping[str, NodeRecord]
    versions: Mapping[str, int]
    seq: int = 0
    beside: tuple[Cell, ...] = ()
    end: End | None = None


def scope_of(run: str) -> str:
    """The scope of a run that belongs to no session. Raises InvalidId."""
    return AREA + check_id(run)


def check_id(run: str) -> str:
    """The id of a run, if it may be one; raises InvalidId."""
    return check_name(run, "a run id")


def key_of(run: str) -> str:
    """The key of a run's record."""
    return AREA + check_id(run)


def graph_prefix(run: str) -> str:
    """What the keys of the parts of its graph start with."""
    return f"{GRAPHS}{escaped(run)}/"


def node_prefix(run: str) -> str:
    """What the keys of its nodes start with."""
    return f"{NODES}{escaped(run)}/"


def node_key(run: str, node: str) -> str:
    """The key of what is kept of a node."""
    return f"{NODES}{escaped(run)}/{node}"


@overload
def _decoded(decoder: msgspec.json.Decoder[RunRecord], cell: Cell) -> RunRecord: ...
@overload
def _decoded(decoder: msgspec.json.Decoder[NodeRecord], cell: Cell) -> NodeRecord: ...
@overload
def _decoded(decoder: msgspec.json.Decoder[list[SpecRecord]], cell: Cell) -> list[SpecRecord]: ...
def _decoded(decoder: Any, cell: Cell) -> Any:
    try:
        return decoder.decode(cell.value)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"what is kept of a run cannot be read: {problem}", key=cell.key) from problem


def decode(cell: Cell) -> RunRecord:
    """The record in a cell."""
    return _decoded(_runs, cell)


def decode_raw(raw: bytes) -> RunRecord:
    """The record that a line of the log tells."""
    return _runs.decode(raw)


def decode_node(cell: Cell) -> NodeRecord:
    """What is kept of a node in a cell."""
    return _decoded(_nodes, cell)


def checked_specs(nodes: Any, *, bytes_max: int, known: Mapping[str, NodeSpec] | None = None) -> dict[str, NodeSpec]:
    """The specifications of nodes of which all can be kept that may come: their names, and what is asked of whom.
    Raises InvalidValue, and TooLarge for a question of more bytes."""
    specs = specs_of(nodes, known=known)
    for name, spec in specs.items():
        _check_name(name, "the name of a node", "nodes")
        if spec.on_failure is not None:
            path = f"nodes.{name}.on_failure"
            for one in spec.on_failure.assignees:
                _check_name(one, "who is asked", f"{path}.assignees")
            codec.encode(spec.on_failure.prompt, bytes_max=bytes_max // 2, what="the prompt", path=f"{path}.prompt")
    return specs


def _check_name(name: str, what: str, path: str) -> None:
    try:
        check_name(name, what)
    except InvalidId as problem:
        raise InvalidValue(str(problem), path=path) from None


# --- writing --------------------------------------------------------------------------------------


def create(work: Work, scope: str, record: RunRecord, specs: Mapping[str, NodeSpec]) -> RunRecord:
    """Stage a new run, on the condition that there is none of that id in the scope; returns its record."""
    parts = [_encode(part) for part in _parts(spec_record(name, spec) for name, spec in specs.items())]
    record = msgspec.structs.replace(record, nodes=len(specs), parts=len(parts))
    work.require(scope, Absent(key_of(record.id)))
    goes_on(work, scope, record)
    put(work, scope, record)
    for number, part in enumerate(parts, 1):
        work.put(scope, f"{graph_prefix(record.id)}{number:08d}", part)
    return record


def add_nodes(work: Work, scope: str, record: RunRecord, specs: Mapping[str, NodeSpec]) -> RunRecord:
    """Stage further nodes of a run; returns its record."""
    parts = [_encode(part) for part in _parts(spec_record(name, spec) for name, spec in specs.items())]
    for number, part in enumerate(parts, record.parts + 1):
        work.put(scope, f"{graph_prefix(record.id)}{number:08d}", part)
    record = msgspec.structs.replace(record, nodes=record.nodes + len(specs), parts=record.parts + len(parts))
    put(work, scope, record)
    return record


def _parts(specs: Iterable[SpecRecord]) -> list[list[SpecRecord]]:
    parts: list[list[SpecRecord]] = []
    room = 0
    for spec in specs:
        size = 64 + len(spec.name) + sum(map(len, spec.after))
        if size > room:
            parts.append([])
            room = PART_BYTES
        parts[-1].append(spec)
        room -= size
    return parts


def put(work: Work, scope: str, record: RunRecord) -> None:
    """Stage the record with its index entries, and the change that tells of it."""
    raw = _encode(record)
    work.put(scope, AREA + record.id, raw, entries=_entries(record))
    work.note(scope, "run", "set", record.id, raw)


def _entries(record: RunRecord) -> tuple[Entry, ...]:
    order = f"{order_of(record.started_us)}.{record.id}"
    entries = [Entry(ID, record.id, ""), Entry(ALL, "", order)]
    entries += [Entry(f"run.{name}", told, order) for name in NAMED if (told := getattr(record, name)) is not None]
    if record.lingers and record.ended_us is not None:
        entries.append(Entry("due", DUE, order_of(record.ended_us)))
    return (*entries, *_ended(record))


def _ended(record: RunRecord) -> tuple[Entry, ...]:
    if record.ended_us is None:
        return ()
    order = f"{order_of(record.ended_us)}.{record.id}"
    of = () if record.session is None else (Entry(ENDED_OF, record.session, order),)
    return (Entry(ENDED, "", order), *of)


def leave(work: Work, scope: str, record: RunRecord) -> None:
    """Stage that a run that has ended is gone from now on: found by nobody but who removes what it consisted of."""
    work.put(scope, AREA + record.id, _encode(msgspec.structs.replace(record, leaving=True)), entries=_ended(record))
    work.note(scope, "run", "delete", record.id)


def put_node(work: Work, scope: str, run: str, node: str, record: NodeRecord, *, seen: int | None) -> None:
    """Stage what a node did, and the change that tells of it: its `namespace` is the node.

    The commit fails if somebody wrote of that node after the version `seen` (0: at all); None asks for nothing.
    """
    if seen is not None:
        node_unchanged(work, scope, run, node, seen)
    raw = _encode(record)
    work.put(scope, node_key(run, node), raw)
    work.note(scope, "run", "set", run, raw, node)


def put_back(
    work: Work, scope: str, key: str, raw: bytes | None, *, questions: Mapping[str, Asked] | None = None
) -> None:
    """Stage a cell of a run as it was kept, under its whole key; without a value, that it is gone. With what stands in
    indexes, and the change that tells of it. Where it is said what there is of the `questions` of each run, it waits
    for no others."""
    area, _, name = key.partition("/")
    run, _, node = name.partition("/") if area == "node" else (name, "", "")
    if raw is not None and area == "run":
        record = decode(Cell(key, raw, 0))
        if questions is not None:
            record = record.restored(questions.get(name, Asked()))
        leave(work, scope, record) if record.leaving else put(work, scope, record)
    elif raw is not None and area == "node":
        kept = decode_node(Cell(key, raw, 0))
        if questions is not None:
            kept = kept.with_questions(questions.get(unescaped(run), Asked()).open)
        put_node(work, scope, unescaped(run), node, kept, seen=None)
    elif raw is not None:
        work.put(scope, key, raw)
    else:
        work.delete(scope, key)
        if area in ("run", "node"):
            work.note(scope, "run", "delete", unescaped(run) if node else run, None, node)


def of_another(key: str, raw: bytes, ids: Mapping[str, str], *, session: str, at_us: int) -> tuple[str, bytes]:
    """Key and value of a cell of a run as the run of another session has it, whose id is the one given for its own: it
    waits for no answer, for the questions stay behind."""
    area, _, name = key.partition("/")
    if area == "run":
        record = decode(Cell(key, raw, 0)).forked(ids[name], session=session, at_us=at_us)
        return AREA + record.id, _encode(record)
    run, _, rest = name.partition("/")
    if area == "node":
        raw = _encode(decode_node(Cell(key, raw, 0)).with_questions(()))
    return f"{area}/{escaped(ids[unescaped(run)])}/{rest}", raw


def node_unchanged(work: Work, scope: str, run: str, node: str, seen: int) -> None:
    """Let the commit fail if somebody wrote of that node after that version (0: at all)."""
    key = node_key(run, node)
    work.require(scope, Unchanged(key, seen) if seen else Absent(key))


def goes_on(work: Work, scope: str, record: RunRecord) -> None:
    """Let the commit fail if the run's session has ended. Raises InvalidTransition if this very unit ends it."""
    if record.session is not None and (over := session_goes_on(work, scope)) is not None:
        raise session_ended(record.id, record.status, over)


def session_goes_on(work: Work, scope: str) -> End | None:
    """Let the commit fail if that session has ended; returns the end that this very unit stages, if it does."""
    staged = work.part(scope).staged((end.KEY,))
    if not staged:  # else it goes on by this unit, or ends by it
        work.require(scope, Absent(end.KEY))
    cell = staged.get(end.KEY)
    return None if cell is None else end.decode(cell.value)


def unchanged(work: Work, scope: str, run: str, version: int) -> None:
    """Let the commit fail if the run's record was written after that version."""
    work.require(scope, Unchanged(AREA + run, version))


# --- reading --------------------------------------------------------------------------------------


async def load(work: Work, scope: str, run: str, beside: Range) -> Loaded:
    """A run with everything that is kept of its nodes, and what stands `beside`, as the store has it: one read, and
    one more for each further page of that. Raises NotFound, and Conflict if the scope was written between those."""
    key = key_of(run)
    ranges = (Range(graph_prefix(run), PAGE_MAX), Range(node_prefix(run), PAGE_MAX), beside)
    view = (await work.peek([Read(scope, (key, end.KEY), ranges)]))[0]
    work.part(scope).see(view.head)
    graph, kept, first = view.ranges
    return _loaded(run, view.cells, graph, kept, await pages(work, view, first, beside), seq=view.head.seq)


async def pages(work: Work, view: View, first: Sequence[Cell], wanted: Range) -> Sequence[Cell]:
    """All cells of a range of which that view has the first page, as of the same version. Raises Conflict if there is
    another one by now."""
    found, page = [*first], first
    while len(page) >= wanted.limit:
        following = msgspec.structs.replace(wanted, after=page[-1].key)
        more = (await work.peek([Read(view.scope, (), (following,))]))[0]
        if (more.head.seq, more.head.epoch) != (view.head.seq, view.head.epoch):
            raise Conflict(f"{view.scope} changed while it was read", scope=view.scope, what="head", found=more.head)
        page = more.ranges[0]
        found += page
    return found


async def load_in(work: Work, scope: str, run: str, beside: Range) -> Loaded:
    """The same as the unit sees it, which its commit then rests on. Raises NotFound."""
    cells = await work.get_many(scope, end_keys(run))
    found = [await work.all(scope, prefix) for prefix in (graph_prefix(run), node_prefix(run), beside.prefix)]
    return _loaded(run, cells, *found)


def _loaded(
    run: str,
    cells: Mapping[str, Cell],
    graph: Iterable[Cell],
    kept: Iterable[Cell],
    beside: Iterable[Cell],
    *,
    seq: int = 0,
) -> Loaded:
    cell, over = cells.get(key_of(run)), end_in(cells)
    if cell is None or (record := decode(cell)).leaving:
        raise missing_run(run)
    prefix = len(node_prefix(run))
    nodes, versions = {}, {}
    for one in kept:
        name = one.key[prefix:]
        nodes[name], versions[name] = decode_node(one), one.version
    specs = {spec.name: spec_of(spec) for part in graph for spec in _decoded(_specs, part)}
    return Loaded(record.met(over), cell.version, specs, nodes, versions, seq, tuple(beside), over)


async def read(work: Work, scope: str, run: str) -> tuple[RunRecord, int]:
    """The record of a run and its version; the commit fails if it is written meanwhile. Raises NotFound."""
    cell = await work.get(scope, key_of(run))
    if cell is None or (record := decode(cell)).leaving:
        raise missing_run(run)
    return record, cell.version


def end_keys(run: str) -> tuple[str, str]:
    """The keys of the cells by which `ended_us` tells."""
    return key_of(run), end.KEY


def end_in(cells: Mapping[str, Cell]) -> End | None:
    """The end of the session, if it is among these cells."""
    cell = cells.get(end.KEY)
    return None if cell is None else end.decode(cell.value)


def ended_us(cells: Mapping[str, Cell], run: str, *, for_good: bool = False) -> int | None:
    """When a run ended, or its session did, by these cells; None where it goes on. `for_good`: where a session that has
    timed out, and may go on, counts as one that does."""
    cell, over = cells.get(key_of(run)), end_in(cells)
    ended_us = None if cell is None else decode(cell).ended_us
    if ended_us is not None or over is None or (for_good and not over.is_final):
        return ended_us
    return over.at_us


def missing_run(run: str) -> NotFound:
    """The error that says that there is no such run, or no longer."""
    return NotFound(
        f"there is no run {run!r}",
        remedy="A run leaves with its session, and `runs.finished_ttl` after it ended. `hold.runs.list()` lists those "
        "there are.",
        run=run,
    )
