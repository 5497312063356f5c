"""What a template needs, found in one read: variables at the nearest level that has them, state, the session, nodes.

    {{ city }}                   the variable of that name at the nearest level, else the node of that name
    {{ search.output.price }}
    {{ $vars.city }}             the variable
    {{ $flow.state.cart }}       a key of the session's state
    {{ $session.user }}          a field of the session's record

All cells that could be asked for are read at once, so that a text never mixes two moments; only who the user is may
have to be read before. In a transaction the scope at home is read as part of it, and so is what it has touched; other
scopes are read as they are then, without a condition, or a transaction could use no variable where a store cannot
commit scopes together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from holdfast.dialects.dialect import FLOW, OF_SESSION, SESSION, VARS, Path, named
from holdfast.errors import InvalidId, TemplateError
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Range, Read
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import PAGE_MAX
from holdfast.kernel.work import Work
from holdfast.services import session, variable
from holdfast.services.variable import Place


class Nodes(Protocol):
    """Where the nodes of a run are, for templates that use what came of them."""

    def key(self, node: str) -> str:
        """The key of the cell, in the run's scope, that tells of a node."""
        ...

    def told(self, cell: Cell) -> Mapping[str, Any]:
        """What a template may use of it: `output` above all."""
        ...


class Needs(NamedTuple):
    """What the paths of a template may lead to."""

    names: tuple[str, ...]
    keys: tuple[str, ...]
    of_session: bool


class Found(NamedTuple):
    """What is there of it."""

    variables: Mapping[str, tuple[Place, Cell]]
    nodes: Mapping[str, Mapping[str, Any]]
    state: Mapping[str, Any]
    session: Mapping[str, Any]


def needs(paths: Iterable[Path]) -> Needs:
    """What paths need. Raises TemplateError for one that names a namespace and nothing in it."""
    names: dict[str, None] = {}
    keys: dict[str, None] = {}
    of_session = False
    for path in paths:
        root = path[0]
        if root == SESSION:
            of_session = True
        elif root == VARS:
            names[_step(path, 1, "$vars.city")] = None
        elif root == FLOW:
            if len(path) > 1 and path[1] != "state":
                raise TemplateError(f"{named(path)}: of {FLOW} there is only {FLOW}.state", name=named(path))
            keys[_step(path, 2, "$flow.state.cart")] = None
        else:
            names[str(root)] = None
    return Needs(tuple(filter(_may_be, names)), tuple(filter(_may_be, keys)), of_session)


def _may_be(name: str) -> bool:
    """Whether anything can be of that name; what cannot is missing, like what is not set."""
    try:
        check_name(name, "a name")
    except InvalidId:
        return False
    return True


def _step(path: Path, place: int, example: str) -> str:
    if len(path) <= place:
        raise TemplateError(f"{named(path)} names nothing in it; write {example}", name=named(path))
    return str(path[place])


async def find(
    work: Work,
    home: str,
    places: Sequence[Place],
    wanted: Needs,
    *,
    nodes: Nodes | None,
    together: bool,
    whose: bool = True,
) -> Found:
    """What is there of what is wanted: of each variable the nearest, of places that come in that order.

    Where no place is of a user, and it is asked `whose` it is, the session at home says that. `together`: the unit is
    to be committed.
    Raises NotFound for a home that must exist and does not.
    """
    keys: dict[str, list[str]] = {home: []}
    for place in places:
        keys.setdefault(place.scope, []).extend(map(place.key, wanted.names))
    if nodes is not None:
        keys[home] += map(nodes.key, wanted.names)
    is_session = session.is_scope(home)
    if is_session:
        keys[home] += [_STATE + key for key in wanted.keys]
    asks_whose = whose and is_session and bool(wanted.names) and not any(place.level == "user" for place in places)
    if is_session and (wanted.of_session or asks_whose):
        keys[home].append(session.CELL)
    cells = await _read(work, home, keys, together=together)
    record = cells.get((home, session.CELL))
    user = session.decode(record).user if asks_whose and record is not None else None
    if user is not None:
        places = _with_user(places, Place("user", f"user/{user}"))
        keys = {f"user/{user}": [f"{variable.AREA}user/{name}" for name in wanted.names]}
        cells |= await _read(work, home, keys, together=together)
    return _found(cells, home, places, wanted, nodes)


def _with_user(places: Sequence[Place], user: Place) -> list[Place]:
    near = [place for place in places if place.level != "global"]
    return [*near, user, *(place for place in places if place.level == "global")]


_STATE = "state//"


async def _read(
    work: Work, home: str, keys: Mapping[str, Sequence[str]], *, together: bool
) -> dict[tuple[str, str], Cell]:
    """Those cells that are there. One read, or of a unit that is to be committed one more for each scope it touches."""
    cells: dict[tuple[str, str], Cell] = {}
    tracked = [scope for scope in keys if together and (scope == home or scope in work.touched)]
    for scope in tracked:
        found = await work.get_many(scope, tuple(keys[scope]))
        cells |= {(scope, key): cell for key, cell in found.items()}
    rest = [Read(scope, tuple(names)) for scope, names in keys.items() if scope not in tracked]
    for view in await work.peek(rest) if rest else ():
        if view.scope == home:
            work.part(home).see(view.head)
        cells |= {(view.scope, key): cell for key, cell in view.cells.items() if cell is not None}
    return cells


def _found(
    cells: Mapping[tuple[str, str], Cell], home: str, places: Sequence[Place], wanted: Needs, nodes: Nodes | None
) -> Found:
    variables: dict[str, tuple[Place, Cell]] = {}
    of_nodes: dict[str, Mapping[str, Any]] = {}
    for name in wanted.names:
        for place in places:
            cell = cells.get((place.scope, place.key(name)))
            if cell is not None:
                variables[name] = (place, cell)
                break
        else:
            cell = None if nodes is None else cells.get((home, nodes.key(name)))
            if nodes is not None and cell is not None:
                of_nodes[name] = nodes.told(cell)
    state = {key: codec.decode(cell.value) for key in wanted.keys if (cell := cells.get((home, _STATE + key)))}
    record = cells.get((home, session.CELL))
    told = {} if record is None or not wanted.of_session else _told(record)
    return Found(variables, of_nodes, state, told)


def _told(cell: Cell) -> Mapping[str, Any]:
    record: dict[str, Any] = msgspec.to_builtins(session.decode(cell))
    return {name: _plain(record[name]) for name in OF_SESSION if record.get(name) is not None}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


async def everything(
    work: Work, home: str, places: Sequence[Place], *, together: bool, whose: bool = False
) -> list[tuple[Place, str, Cell]]:
    """Every variable at these places, with its name: in the order of the places, then by name. Read as `find` reads,
    and again where a level has more than a page. Raises NotFound as it does."""
    if whose and session.is_scope(home) and not any(place.level == "user" for place in places):
        read = await _read(work, home, {home: [session.CELL]}, together=together)
        record = read.get((home, session.CELL))
        user = None if record is None else session.decode(record).user
        places = places if user is None else _with_user(places, Place("user", f"user/{user}"))
    inside = [place for place in places if together and (place.scope == home or place.scope in work.touched)]
    ranges: dict[str, list[Range]] = {}
    for place in places:
        if place not in inside:
            ranges.setdefault(place.scope, []).append(Range(place.prefix, PAGE_MAX))
    views = await work.peek([Read(scope, (), tuple(of_scope)) for scope, of_scope in ranges.items()]) if ranges else ()
    pages: dict[tuple[str, str], Sequence[Cell]] = {}
    for view in views:
        if view.scope == home:
            work.part(home).see(view.head)
        for asked, cells in zip(ranges[view.scope], view.ranges, strict=True):
            pages[view.scope, asked.prefix] = cells
    found = []
    for place in places:
        page = pages.get((place.scope, place.prefix))
        if page is None or len(page) == PAGE_MAX:
            page = await work.all(place.scope, place.prefix)
        found += [(place, cell.key.removeprefix(place.prefix), cell) for cell in page]
    return found
