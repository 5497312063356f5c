"""Variables: one cell each, at a level of its own.

    variable/node/<run>/<node>/<name>       in the scope that the run is kept in: its session's, or its own
    variable/run/<run>/<name>
    variable/workflow/<workflow>/<name>
    variable/session/<name>                 in the session's scope
    variable/user/<name>                    in the user's
    variable/global/<name>                  in that of a global namespace

The change that tells of one has its level as the namespace, "run/r1" say, and its value; of a secret, and of what comes
from the environment, it tells only that it was set.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from holdfast.errors import Corrupt, InvalidValue
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Range
from holdfast.kernel.keys import check_name, escaped, unescaped
from holdfast.kernel.work import Work
from holdfast.model.variable import Level, VariableRecord

AREA = "variable/"
"""What the keys of all variables start with."""

_decoder = msgspec.json.Decoder(VariableRecord)
_encode = msgspec.json.Encoder().encode


class Place(Struct, frozen=True):
    """Where the variables of one level are: the scope, and what the keys of their cells start with."""

    level: Level
    scope: str
    run: str | None = None
    node: str | None = None
    workflow: str | None = None
    prefix: str = ""

    def __post_init__(self) -> None:
        names = {
            "node": (self.run, self.node),
            "run": (self.run,),
            "workflow": (self.workflow,),
        }.get(self.level, ())
        parts = "".join([f"{escaped(check_name(name or '', f'the {self.level} of a variable'))}/" for name in names])
        force_setattr(self, "prefix", f"{AREA}{self.level}/{parts}")

    @property
    def namespace(self) -> str:
        """How the stream names it."""
        return self.prefix[len(AREA) : -1]

    def key(self, name: str) -> str:
        """The key of the cell of a variable."""
        return self.prefix + name


def run_prefix(run: str) -> str:
    """What the keys of the variables of a run start with."""
    return f"{AREA}run/{escaped(run)}/"


def node_prefix(run: str) -> str:
    """What the keys of the variables of its nodes start with."""
    return f"{AREA}node/{escaped(run)}/"


def checked_name(name: str) -> str:
    """The name, if a variable may have it: raises InvalidId, and InvalidValue for one like that of a namespace."""
    if check_name(name, "the name of a variable").startswith("$"):
        raise InvalidValue(f"{name[:80]!r} cannot name a variable: $ begins the names of namespaces", path="name")
    return name


def encode(record: VariableRecord) -> bytes:
    """A variable as its cell has it."""
    return _encode(record)


def decode(cell: Cell) -> VariableRecord:
    """The variable in a cell."""
    return decode_raw(cell.value, cell.key)


def decode_raw(raw: bytes, key: str) -> VariableRecord:
    """The variable in the value of the cell of that key."""
    try:
        return _decoder.decode(raw)
    except codec.UNREADABLE as problem:
        raise Corrupt("a variable that cannot be read", key=key) from problem


def put(work: Work, place: Place, name: str, record: VariableRecord, if_version: int | None = None) -> None:
    """Stage a variable, in the place of the one of its name. With `if_version` the commit fails if anybody set it after
    that (0: if it is there)."""
    if if_version is not None:
        work.require_version(place.scope, place.key(name), if_version)
    work.put(place.scope, place.key(name), encode(record))
    work.note(place.scope, "variable", "set", name, told(record), place.namespace)


def put_back(work: Work, scope: str, key: str, raw: bytes | None) -> None:
    """Stage a variable as it was kept, under its whole key; without a value, that it is gone."""
    namespace, name = parted(key)
    if raw is None:
        work.delete(scope, key)
        work.note(scope, "variable", "delete", name, None, namespace)
    else:
        work.put(scope, key, raw)
        work.note(scope, "variable", "set", name, told(decode_raw(raw, key)), namespace)


def of_another(key: str, ids: Mapping[str, str]) -> str:
    """The key of a variable as another session has it, in which each of these runs has the id given for its own. One of
    a run that there is not stays as it is."""
    level, *names = key.removeprefix(AREA).split("/", 2)
    if level in ("node", "run"):
        run = unescaped(names[0])
        names[0] = escaped(ids.get(run, run))
    return "/".join([AREA + level, *names])


def told(record: VariableRecord) -> bytes | None:
    """What followers are told of its value."""
    return None if record.secret or record.env is not None else bytes(record.value)  # type: ignore[arg-type]


async def delete(work: Work, place: Place, names: tuple[str, ...]) -> int:
    """Stage the removal of those that are there; returns how many."""
    keys = {place.key(name): name for name in names}
    there = await work.get_many(place.scope, tuple(keys))
    for key in there:
        work.delete(place.scope, key)
        work.note(place.scope, "variable", "delete", keys[key], None, place.namespace)
    return len(there)


async def clear(work: Work, scope: str, prefix: str, limit: int) -> int:
    """Stage the removal of up to `limit` of those whose keys start so; returns how many. Fewer than the limit: all."""
    cells = await work.range(scope, Range(prefix, limit))
    for cell in cells:
        namespace, name = parted(cell.key)
        work.delete(scope, cell.key)
        work.note(scope, "variable", "delete", name, None, namespace)
    return len(cells)


_DEPTHS = {"node": 3, "run": 2, "workflow": 2}
"""How many parts the names of levels have; the name of a variable may have slashes of its own."""


def parted(key: str) -> tuple[str, str]:
    """The level's name in the key of a cell, and the variable's."""
    inner = key.removeprefix(AREA)
    *level, name = inner.split("/", _DEPTHS.get(inner.partition("/")[0], 1))
    return "/".join(level), name
