"""Variables as people use them: `s.variables`, `tx.variables`, those of a run, `hold.variables(scope)`."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, TypeVar, overload

from msgspec import UNSET, Raw, UnsetType

from holdfast.dialects.compiling import compiled
from holdfast.dialects.dialect import ABSENT, FLOW, SESSION, VARS, Compiled, Missing, checked_missing, named
from holdfast.errors import Conflict, Disabled, InvalidValue, TypeMismatch, Unsupported, shown
from holdfast.handles.levels import Standpoint, refused
from holdfast.handles.measured import measured
from holdfast.handles.state import scope_name
from holdfast.handles.store import Store
from holdfast.handles.unit import Target, Together, Unit
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell
from holdfast.kernel.limits import PAGE_MAX, listed
from holdfast.kernel.work import Work
from holdfast.model.scope import Scope
from holdfast.model.variable import (
    MASK,
    Level,
    Variable,
    VariableRecord,
    VariableType,
    check_value,
    checked_type,
    from_environment,
)
from holdfast.operations.resolve import Found, Needs, Nodes, everything, find, needs
from holdfast.services import variable
from holdfast.services.variable import Place

T = TypeVar("T")


@measured("variables", store="_unit.store")
class Variables:
    """Values with names, at levels of which the nearest wins: node, run, workflow, session, user, global.

    Each is a cell of its own: parallel writers of different names never conflict. Those of a node, a run and a workflow
    are kept with the run, so nothing leaks from one run into another. Writes are durable on return, or part of the
    transaction they stand in, where versions are 0. A session that does not exist raises NotFound.

    `run`, `node` and `workflow` say of which one; a handle that a run gives knows them.
    """

    __slots__ = ("_stands", "_target", "_unit")

    def __init__(self, unit: Unit, target: Target, stands: Standpoint | None = None) -> None:
        self._unit = unit
        self._target = target
        self._stands = Standpoint(target.scope) if stands is None else stands

    def __repr__(self) -> str:
        return f"<Variables of {self._target.scope} at level {self._stands.level}>"

    # --- setting ----------------------------------------------------------------------------------

    async def set(
        self,
        name: str,
        value: Any = UNSET,
        *,
        level: Level | None = None,
        type: VariableType | None = None,
        env: str | None = None,
        secret: bool = False,
        if_version: int | None = None,
        run: str | None = None,
        node: str | None = None,
        workflow: str | None = None,
    ) -> int:
        """Set one variable; returns its version. One commit, without a read; it replaces what was there.

        With `if_version` it raises Conflict if anybody set it at that level after that version (0: if it is there).

        `level` is the session's if nothing is said, or that of what the handle is of. With a `type` the value must be
        of it, else TypeMismatch. With `env` it has no value of its own: that is read from this variable of the
        environment whenever it is used, by whichever process uses it, and is never stored; InvalidValue if
        `Config.variables.environment` does not name it. A `secret` is told by no log, stream, repr or list; Unsupported
        where the store is not encrypted.

        Raises InvalidId for the name, InvalidValue for a value that would come back changed, TooLarge; for what is a
        run's or a node's InvalidTransition if the session has ended.
        """
        place = self._place(level, self._stands.of(run, node, workflow))
        record = recorded(self._unit.store, name, value, type, env, secret=secret)
        return await self._write(place, {name: record}, if_version)

    async def set_many(
        self,
        values: Mapping[str, Any],
        *,
        level: Level | None = None,
        run: str | None = None,
        node: str | None = None,
        workflow: str | None = None,
    ) -> int:
        """Set several variables of one level in one commit; returns their version."""
        place = self._place(level, self._stands.of(run, node, workflow))
        most = self._unit.store.limits.operations_max
        given = listed(codec.mapping(values, "values").items(), "variables in one commit", most=most)
        return await self._write(place, {name: recorded(self._unit.store, name, value) for name, value in given})

    async def clear(
        self,
        *names: str,
        level: Level | None = None,
        run: str | None = None,
        node: str | None = None,
        workflow: str | None = None,
    ) -> int:
        """Remove these variables of one level, or all of it if none is named; returns how many there were.

        One commit, unless there are more than a commit may write: then one for each `limits.operations_max`.
        """
        place = self._place(level, self._stands.of(run, node, workflow))
        target = self._target_of(place)
        wanted = tuple([variable.checked_name(name) for name in listed(names, "names")])
        if wanted:
            return (await self._unit.change(target, lambda work: variable.delete(work, place, wanted)))[0]
        limit = min(self._unit.store.limits.operations_max, PAGE_MAX)
        removed = 0
        while True:
            count, _ = await self._unit.change(
                target, lambda work: variable.clear(work, place.scope, place.prefix, limit)
            )
            removed += count
            if count < limit:
                return removed

    # --- reading ----------------------------------------------------------------------------------

    @overload
    async def get(self, name: str, *, level: Level | None = None, run: str | None = None,
                  node: str | None = None, workflow: str | None = None) -> Any: ...  # fmt: skip
    @overload
    async def get(self, name: str, type: type[T], *, default: T, level: Level | None = None, run: str | None = None,
                  node: str | None = None, workflow: str | None = None) -> T: ...  # fmt: skip
    @overload
    async def get(self, name: str, type: type[T], *, level: Level | None = None, run: str | None = None,
                  node: str | None = None, workflow: str | None = None) -> T | None: ...  # fmt: skip
    @overload
    async def get(self, name: str, type: UnionType, *, default: Any = None, level: Level | None = None,
                  run: str | None = None, node: str | None = None, workflow: str | None = None) -> Any: ...  # fmt: skip
    @overload
    async def get(self, name: str, *, default: Any, level: Level | None = None, run: str | None = None,
                  node: str | None = None, workflow: str | None = None) -> Any: ...  # fmt: skip
    async def get(
        self,
        name: str,
        type: Any = None,
        *,
        default: Any = None,
        level: Level | None = None,
        run: str | None = None,
        node: str | None = None,
        workflow: str | None = None,
    ) -> Any:
        """The value of a variable at the nearest level that has it, or at this `level`; `default` if it is not set.

        One read. A secret comes as it is. One from the environment that is not set there is not set here; InvalidValue
        if it is not allowed. With a `type` (of Python) it is read as that, else TypeMismatch.
        """
        if type is not None:
            codec.check_type(type)
        stands = self._stands.of(run, node, workflow)
        places = self._places(stands) if level is None else [self._place(level, stands)]
        wanted = Needs((variable.checked_name(name),), (), False)
        found = await self._find(places, wanted, nodes=None, levels="all" if level is None else "these")
        if name not in found.variables:
            return default
        record = variable.decode(found.variables[name][1])
        value = self._value(name, record)
        if value is ABSENT or type is None:
            return default if value is ABSENT else value
        try:
            return codec.decode_as(codec.encode(value), type, key=name)
        except TypeMismatch:
            if not record.secret and record.env is None:
                raise
        # outside of the handler: no traceback has the library's words on the value
        raise TypeMismatch(f"the value of the variable {shown(name)} is not of the type asked for", type=type, key=name)

    async def list(
        self,
        *,
        level: Level | None = None,
        reveal: bool = False,
        run: str | None = None,
        node: str | None = None,
        workflow: str | None = None,
    ) -> builtins.list[Variable]:
        """Every variable that can be seen from here, or those of one level: the nearest level first, then by name.

        One of a name that a nearer level has too is told as well. Secrets and what comes
        from the environment are masked, unless they are to be revealed.
        """
        stands = self._stands.of(run, node, workflow)
        places = self._places(stands) if level is None else [self._place(level, stands)]
        together, whose = isinstance(self._unit, Together), level is None and self._unit.store.principal is None
        found = await self._unit.read(
            self._target,
            lambda work: everything(work, self._target.scope, places, together=together, whose=whose),
        )
        return [self._told(place, name, cell, reveal=reveal) for place, name, cell in found]

    # --- templates --------------------------------------------------------------------------------

    async def resolve(
        self,
        template: str,
        *,
        missing: Missing = "keep",
        syntax: str | None = None,
        values: Mapping[str, Any] | None = None,
        run: str | None = None,
        node: str | None = None,
        workflow: str | None = None,
    ) -> str:
        """The text of a template with values in its places. One read; a single pass: no value is taken for a template.

        What is `missing` stays as it was written ("keep"), raises MissingVariable ("error"), or is left out ("empty").
        `values` are nearer than every level. The `syntax` is "simple", "mustache", "handlebars" or "jinja"; without
        one, that of the configuration. Raises TemplateError for what is no template or takes too long, TooLarge for one
        too long or that comes to too much, MissingExtra for a library that is not installed, Disabled where
        `Config.variables.templating` is off.
        """
        filled = self._compiled(template, syntax)
        given = await self._given(filled, values, self._stands.of(run, node, workflow))
        return filled.render(given, checked_missing(missing))

    async def value(
        self,
        template: str,
        *,
        missing: Missing = "keep",
        syntax: str | None = None,
        values: Mapping[str, Any] | None = None,
        run: str | None = None,
        node: str | None = None,
        workflow: str | None = None,
    ) -> Any:
        """The same, but of a template that is one place and nothing else the value there, of the type it has; None if
        it is missing and to be empty."""
        filled = self._compiled(template, syntax)
        given = await self._given(filled, values, self._stands.of(run, node, workflow))
        return filled.value(given, checked_missing(missing))

    def dependencies(self, template: str, *, syntax: str | None = None) -> tuple[str, ...]:
        """What a template names, each once, as it is written: `("city", "trip.date", "$flow.state.cart")`."""
        return tuple([named(path) for path in self._compiled(template, syntax).paths])

    def _compiled(self, template: str, syntax: str | None) -> Compiled:
        config = self._unit.store.config.variables
        if not config.templating:
            raise Disabled("templates are turned off (variables.templating)", switch="variables.templating")
        return compiled(config.syntax if syntax is None else syntax, template)

    async def _given(self, template: Compiled, values: Mapping[str, Any] | None, stands: Standpoint) -> dict[str, Any]:
        limit = self._unit.store.limits.commit_bytes_max
        own = {} if values is None else codec.copied_mapping(values, "values", bytes_max=limit)
        wanted = needs(template.paths)
        wanted = wanted._replace(names=tuple([name for name in wanted.names if name not in own]))
        given: dict[str, Any] = own
        if any(wanted):
            found = await self._find(self._places(stands), wanted, nodes=stands.nodes, levels="all")
            given = {**found.nodes, **own, FLOW: {"state": found.state}, SESSION: found.session}
            for name, (_, cell) in found.variables.items():
                value = self._value(name, variable.decode(cell))
                if value is not ABSENT:
                    given[name] = value
        return {**given, VARS: {name: value for name, value in given.items() if not name.startswith("$")}}

    # --- within -----------------------------------------------------------------------------------

    async def _find(self, places: Sequence[Place], wanted: Needs, *, nodes: Nodes | None, levels: str) -> Found:
        together = isinstance(self._unit, Together)
        home = self._target.scope
        whose = levels == "all" and self._unit.store.principal is None
        return await self._unit.read(
            self._target,
            lambda work: find(work, home, places, wanted, nodes=nodes, together=together, whose=whose),
        )

    async def _write(self, place: Place, records: Mapping[str, VariableRecord], if_version: int | None = None) -> int:
        def stage(work: Work) -> None:
            self._stands.rest(work, place)
            for name, record in records.items():
                variable.put(work, place, name, record, if_version)

        try:
            return await self._unit.write(self._target_of(place), stage)
        except Conflict as conflict:
            if (problem := refused(place, conflict)) is not None:
                raise problem from conflict
            raise

    def _value(self, name: str, record: VariableRecord) -> Any:
        """What a variable is; ABSENT if it comes from the environment and is not set there."""
        if record.env is None:
            assert not isinstance(record.value, UnsetType)
            return codec.decode(bytes(record.value))
        _check_allowed(self._unit.store, record.env)
        text = self._unit.store.environment.get(record.env)
        if text is None:
            return ABSENT
        type_ = record.type if self._unit.store.config.variables.validate_types else None
        return from_environment(name, record.env, text, type_)

    def _told(self, place: Place, name: str, cell: Cell, *, reveal: bool) -> Variable:
        record = variable.decode(cell)
        allowed = record.env is None or record.env in self._unit.store.config.variables.environment
        value = self._value(name, record) if allowed else ABSENT
        if value is not ABSENT and not reveal and (record.secret or record.env is not None):
            value = MASK
        return Variable(
            name,
            place.level,
            None if value is ABSENT else value,
            record.type,
            record.env,
            record.secret,
            cell.version,
            place.run,
            place.node,
            place.workflow,
        )

    def _places(self, stands: Standpoint) -> builtins.list[Place]:
        rights, home = self._unit.store.principal, self._target.scope
        places = stands.places()
        if rights is None:
            return places
        return [place for place in places if place.scope == home or rights.may(Scope.parse(place.scope))]

    def _place(self, level: Level | None, stands: Standpoint) -> Place:
        place = stands.place(self._stands.level if level is None else level)
        rights = self._unit.store.principal
        if rights is not None and place.scope != self._target.scope:
            rights.check(Scope.parse(place.scope))
        return place

    def _target_of(self, place: Place) -> Target:
        if place.scope == self._target.scope:
            return self._target
        return Target(place.scope, "create")


def variables_of(unit: Unit, scope: Scope) -> Variables:
    """The variables of any scope. Raises InvalidId for one that cannot be."""
    name = scope_name(scope)
    if unit.store.principal is not None:
        unit.store.principal.check(scope)
    run = scope.id if scope.kind == "run" else None
    target = Target(name, "must_exist" if scope.kind == "session" else "create")
    return Variables(unit, target, Standpoint(name, run=run))


def recorded(
    store: Store, name: str, value: Any, type_: object = None, env: str | None = None, *, secret: bool = False
) -> VariableRecord:
    """What is kept of a variable that is to be set so. Raises as `Variables.set` does."""
    config = store.config.variables
    variable.checked_name(name)
    of_type = checked_type(type_)
    if not isinstance(secret, bool):
        raise InvalidValue(f"secret must be True or False, not {shown(secret)}", path="secret")
    if (value is UNSET) == (env is None):
        raise InvalidValue("a variable has a value or comes from the environment (env=…), one of them", path="value")
    if env is not None:
        _check_allowed(store, env)
        return VariableRecord(type=of_type, env=env, secret=secret)
    if secret and not store.encrypted:
        raise Unsupported(
            "a secret is kept in an encrypted store only, and this one is not",
            remedy="Open the store with keys (Holdfast.open(url, keys=KeyRing(…))), or let the secret come from "
            "the environment (env=…).",
        )
    limit = min(config.value_bytes_max, store.limits.value_bytes_max)
    raw = codec.encode(value, bytes_max=limit, what=f"the variable {name}", path=name)
    if config.validate_types:
        check_value(name, codec.decode(raw), of_type, secret=secret)
    return VariableRecord(Raw(raw), of_type, None, secret)


def _check_allowed(store: Store, env: str) -> None:
    if not isinstance(env, str) or env not in store.config.variables.environment:
        raise InvalidValue(
            f"variables may not come from {shown(env)} of the environment",
            remedy="Name it in Config.variables.environment, in every process that uses it.",
            path="env",
        )
