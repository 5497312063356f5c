"""Runs as a session has them, `s.runs`, and as a whole store does, `hold.runs`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import Any, Literal, cast

from msgspec import Raw

from holdfast.errors import AlreadyExists, Conflict, InvalidTransition, InvalidValue, NotFound, shown
from holdfast.handles.measured import measured
from holdfast.handles.recovery import PAGE, recoverable
from holdfast.handles.run import Run
from holdfast.handles.run_variables import begun_with
from holdfast.handles.run_writes import looked
from holdfast.handles.store import Store
from holdfast.handles.unit import Alone, Target, Together, Unit
from holdfast.kernel import codec
from holdfast.kernel.commit import View
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import check_limit
from holdfast.kernel.work import Work
from holdfast.model.end import KEY
from holdfast.model.page import Page
from holdfast.model.run import RunRecord, RunStatus
from holdfast.operations import run_place, runs_page
from holdfast.services import run, session, variable
from holdfast.services.run import Loaded
from holdfast.services.variable import Place


@measured("runs", store="_store")
class SessionRuns:
    """The runs of one session."""

    def __init__(self, unit: Unit, target: Target, *, user: str | None) -> None:
        self._store = unit.store
        self._unit = unit
        self._target = target
        self._user = user

    def __repr__(self) -> str:
        return f"<SessionRuns of {self._target.scope}>"

    async def start(
        self,
        workflow: str,
        *,
        id: str | None = None,
        nodes: Mapping[str, Any] | Iterable[str] | None = None,
        input: Any = None,
        variables: Mapping[str, Any] | None = None,
        on_exists: Literal["fail", "return"] = "fail",
    ) -> Run:
        """Start a run: it is pending, and durable, on return. Without an id it gets a new UUIDv7.

        `nodes` says what each waits for: `{"search": [], "pay": ["search"], "tell": NodeSpec(after=["pay"])}`; a cycle
        or an unknown dependency is refused (InvalidValue). `variables` are set at the level of the run. If the id is
        taken: "fail" raises AlreadyExists, "return" returns the run that is there. Raises NotFound
        if the session is gone, InvalidTransition if it has ended, TooLarge beyond the limits.
        """
        if on_exists not in ("fail", "return"):
            raise InvalidValue(f'on_exists must be "fail" or "return", not {shown(on_exists)}', path="on_exists")
        if id is not None and (known := self._known(id)) is not None:
            if on_exists == "return":
                return known
            raise _taken(id)
        owner = session.id_of(self._target.scope)
        return self._one(
            await started(
                self._unit,
                self._target,
                workflow,
                id,
                nodes,
                input,
                variables,
                on_exists,
                session=owner,
                user=self._user,
            )
        )

    def _known(self, id: str) -> Run | None:
        """The handle of that run that is there already, in a transaction."""
        unit = self._unit
        return unit.along.runs.get(self._place(unit, id)) if isinstance(unit, Together) else None

    def _one(self, found: Run) -> Run:
        """That handle, or the one that the transaction has already: two would stage past each other."""
        unit = self._unit
        if not isinstance(unit, Together):
            return found
        return cast(Run, unit.along.runs.setdefault(self._place(unit, found.id), found))

    def _place(self, unit: Together, id: str) -> tuple[str, int, str]:
        """Where it is, and in which life of that."""
        life = self._target.life
        return self._target.scope, unit.work.part(self._target.scope).life if life is None else life, id

    async def get(self, id: str) -> Run | None:
        """The run of that id in this session; None if there is none, or no longer."""
        if (known := self._known(id)) is not None:
            return known
        found = await fetched(self._unit, self._target, id)
        return None if found is None else self._one(found)

    async def list(
        self,
        *,
        workflow: str | None = None,
        status: RunStatus | str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Run]:
        """A page of the session's runs, the newest first; continue with `cursor=page.next` (None at the end). Raises
        NotFound if the session is gone."""
        await self._unit.read(self._target, lambda work: work.look_for(self._target.scope))
        names = {"session": session.id_of(self._target.scope), "workflow": workflow, "status": status}
        return await listed(self._store, names, limit, cursor)


async def started(
    unit: Unit,
    target: Target,
    workflow: str,
    id: str | None,
    nodes: Any,
    input: Any,
    variables: Mapping[str, Any] | None,
    on_exists: str,
    *,
    session: str | None,
    user: str | None,
) -> Run:
    """A new run in that scope, or the one of that id where "return" is said."""
    store = unit.store
    now_us, config = store.now_us(), store.config.runs
    specs = run.checked_specs(nodes, bytes_max=store.limits.value_bytes_max)
    raw = codec.encode(input, bytes_max=store.limits.value_bytes_max, what="the input", path="input")
    record = RunRecord(
        run.check_id(store.ids.uuid7(now_us) if id is None else id),
        check_name(workflow, "the name of a workflow"),
        RunStatus.PENDING,
        now_us,
        now_us,
        session=session,
        user=user,
        input=Raw(raw),
        resumable=config.resumable,
        tracks=config.track_nodes,
        keeps_outputs=config.keep_outputs,
        salt=store.ids.writer(),
    )
    beginning = begun_with(store, variables)
    made: list[RunRecord] = []

    def stage(work: Work) -> None:
        made.append(run.create(work, target.scope, record, specs))
        for name, value in beginning.items():
            variable.put(work, Place("run", target.scope, run=record.id), name, value)

    try:
        seq = await unit.write(target, stage)
    except (Conflict, AlreadyExists) as taken:
        if isinstance(taken, Conflict) and taken.facts.get("key") == KEY:
            raise not_started(record.id) from taken
        found = await _there(unit, target, record.id) if on_exists == "return" else None
        if found is not None:
            return found
        raise _taken(record.id) from taken
    return Run(unit, target, Loaded(made[-1], seq, specs, {}, {}, seq))


def not_started(id: str) -> InvalidTransition:
    """The error that says that nothing is started in a session that has ended."""
    return InvalidTransition(
        f"the run {id} cannot start: its session has ended",
        remedy="Start it in another session; or let this one go on, if it has timed out: `s.resume(budget=…)`.",
        to=RunStatus.PENDING,
        allowed=(),
    )


async def _there(unit: Unit, target: Target, id: str) -> Run | None:
    """The run that has that id already; None for a principal if it is somebody else's, or if it is gone meanwhile."""
    if target.need == "must_exist":
        return await fetched(unit, target, id)
    try:  # looked for as `get` does, which lets nobody in whose it is not
        return await fetched(unit, Target(target.scope, "must_exist"), id)
    except NotFound:
        return None


def _taken(id: str) -> AlreadyExists:
    return AlreadyExists(
        f"there is a run {id!r} already",
        remedy='Take that one: `await runs.get(id)`, or say on_exists="return"; or leave the id out.',
        run=id,
    )


async def fetched(unit: Unit, target: Target, id: str) -> Run | None:
    """The run of that id in that scope."""
    run.check_id(id)
    try:
        return Run(unit, target, await looked(unit, target, id))
    except NotFound as problem:
        if problem.facts.get("run") == id:
            return None
        raise


async def listed(store: Store, names: Mapping[str, str | None], limit: int, cursor: str | None) -> Page[Run]:
    """A page of runs that have all the names that are given."""
    check_limit(limit)
    wanted = {
        field: str(RunStatus(name)) if field == "status" else check_name(name, f"the {field} of a run")
        for field, name in names.items()
        if name is not None
    }
    rights = store.principal
    if rights is not None and wanted.setdefault("user", rights.user) != rights.user:
        return Page(())
    after = None if cursor is None else runs_page.parse_cursor(cursor)
    rows, following = await runs_page.page(store.work(), wanted, limit=limit, after=after)
    found = []
    for view, key in rows:
        id = key.removeprefix(run.AREA)
        with suppress(NotFound):  # gone meanwhile
            one = await fetched(Alone(store), _target(view), id)
            if one is not None and wanted.get("status") in (
                None,
                one.status,
            ):  # those of an ended session are not yet moved
                found.append(one)
    return Page(tuple(found), following)


def _target(view: View) -> Target:
    return Target(view.scope, "must_exist", view.head.epoch)


@measured("runs", store="_store")
class Runs:
    """The runs of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unit = Alone(store)

    def __repr__(self) -> str:
        return f"<Runs of {self._store!r}>"

    async def start(
        self,
        workflow: str,
        *,
        id: str | None = None,
        nodes: Mapping[str, Any] | Iterable[str] | None = None,
        input: Any = None,
        variables: Mapping[str, Any] | None = None,
        user: str | None = None,
        on_exists: Literal["fail", "return"] = "fail",
    ) -> Run:
        """Start a run that belongs to no session, in a scope of its own, `Scope.run(id)`. Else as `s.runs.start`."""
        if on_exists not in ("fail", "return"):
            raise InvalidValue(f'on_exists must be "fail" or "return", not {shown(on_exists)}', path="on_exists")
        rights = self._store.principal
        owner = user if rights is None else rights.owner(user)
        if owner is not None:
            check_name(owner, "the user of a run")
        id = run.check_id(self._store.ids.uuid7(self._store.now_us()) if id is None else id)
        target = Target(run.scope_of(id), "create")
        return await started(
            self._unit, target, workflow, id, nodes, input, variables, on_exists, session=None, user=owner
        )

    async def get(self, id: str) -> Run | None:
        """The run of that id, in whichever session; None if there is none, or no longer. Raises Conflict if several
        sessions have one of that id: then ask the session."""
        found = await run_place.place_of(self._store.work(), run.check_id(id), user=self._store.speaker)
        if found is None:
            return None
        try:
            return await fetched(self._unit, Target(found.scope, "must_exist"), id)
        except NotFound:  # gone meanwhile
            return None

    async def list(
        self,
        *,
        session: str | None = None,
        user: str | None = None,
        workflow: str | None = None,
        status: RunStatus | str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Run]:
        """A page of the runs that pass every filter given, the newest first; continue with `cursor=page.next`."""
        names = {"session": session, "user": user, "workflow": workflow, "status": status}
        return await listed(self._store, names, limit, cursor)

    async def recoverable(self, *, workflow: str | None = None, user: str | None = None) -> AsyncIterator[Run]:
        """Runs that are pending or running and that nobody works on: `async for run in hold.runs.recoverable()`.

        Those first that nobody holds: never taken up, or given back. Then those whose holder is not heard of: once for
        the ttl of its claim no beat of it was seen, so a fresh process watches for so long. What is held by this very
        process, or by who beats, is left out, and so is what cannot be resumed, or has nothing to do now: all that is
        left of it pauses before its next try, or was paused. Take each by `run.claim`: another worker may be faster. It
        ends when all there were have been decided on.
        """

        async def page(status: RunStatus, cursor: str | None) -> Page[Run]:
            return await self.list(workflow=workflow, user=user, status=status, limit=PAGE, cursor=cursor)

        async for found in recoverable(self._store, page):
            yield found
