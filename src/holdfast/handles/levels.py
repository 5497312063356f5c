"""At which levels variables are looked for from where a handle stands, and where each level is kept."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from holdfast.errors import Conflict, HoldfastError, InvalidTransition, InvalidValue, NotFound
from holdfast.kernel.commit import Present
from holdfast.kernel.work import Work
from holdfast.model import end
from holdfast.model.variable import LEVELS, Level, checked_level
from holdfast.operations.resolve import Nodes
from holdfast.services import run, session
from holdfast.services.variable import Place

GLOBAL = "global/default"
"""Where the variables are that everybody in the space shares."""

_NAMED = {"node": "run and node", "run": "run", "workflow": "workflow"}


class Standpoint(Struct, frozen=True):
    """Where a handle stands.

    home        the scope that it is of: a session, user, global namespace, or a run that is kept alone
    user        whose the session or run is, if that is known
    run, node, workflow     what it is of
    nodes       where that run's nodes are told of
    """

    home: str
    user: str | None = None
    run: str | None = None
    node: str | None = None
    workflow: str | None = None
    nodes: Nodes | None = None

    def of(self, run: str | None, node: str | None, workflow: str | None) -> Standpoint:
        """The same, of those that are named."""
        if run is None and node is None and workflow is None:
            return self
        return replace(
            self,
            run=self.run if run is None else run,
            node=self.node if node is None else node,
            workflow=self.workflow if workflow is None else workflow,
        )

    @property
    def kind(self) -> str:
        """What kind of scope it is of."""
        return self.home.partition("/")[0]

    @property
    def level(self) -> Level:
        """The level at which it sets what is to be set at none that is named."""
        if self.kind in ("user", "global"):
            return self.kind  # type: ignore[return-value]
        if self.node is not None and self.run is not None:
            return "node"
        return "session" if self.run is None and self.kind == "session" else "run"

    def places(self) -> list[Place]:
        """Where variables are looked for, the nearest first."""
        return [place for level in LEVELS if (place := self._there(level)) is not None]

    def place(self, level: Level) -> Place:
        """Where those of one level are. Raises InvalidValue where there is none, NotFound for that of a user who is
        not known."""
        wanted = checked_level(level)
        place = self._there(wanted)
        if place is not None:
            return place
        if wanted == "user" and self.kind in ("session", "run"):
            raise NotFound(
                f"{self.home} has no user that is known here",
                remedy="Use `hold.variables(Scope.user(…))`, or create the session with user=….",
                scope=self.home,
            )
        problem = f"say of which {_NAMED[wanted]}" if wanted in _NAMED else f"{self.home} has none"
        raise InvalidValue(f"variables of level {wanted}: {problem}", path="level")

    def rest(self, work: Work, place: Place) -> None:
        """Let a commit that sets variables of a run fail if its session has ended; of the run that the handle is of,
        also if that has left. One of another may be yet to come. Raises InvalidTransition if this very unit ends it."""
        if place.run is None or not session.is_scope(place.scope):
            return
        if run.session_goes_on(work, place.scope) is not None:
            raise _ended(place.run)
        key = run.key_of(place.run)
        if self.nodes is not None and place.run == self.run and not work.part(place.scope).staged((key,)):
            work.require(place.scope, Present(key))

    def _there(self, level: Level) -> Place | None:
        run, node, workflow = self.run, self.node, self.workflow
        if self.kind in ("session", "run"):
            if level == "node" and run is not None and node is not None:
                return Place(level, self.home, run=run, node=node)
            if level == "run" and run is not None:
                return Place(level, self.home, run=run)
            if level == "workflow" and workflow is not None:
                return Place(level, self.home, workflow=workflow)
            if level == "user" and self.user is not None:
                return Place(level, f"user/{self.user}")
        if level == self.kind:
            return Place(level, self.home)
        return Place(level, GLOBAL) if level == "global" else None


def refused(place: Place, conflict: Conflict) -> HoldfastError | None:
    """What it means that variables were not set at a place; None where somebody was faster."""
    if place.run is None:
        return None
    key = conflict.facts.get("key")
    if key == end.KEY:
        return _ended(place.run)
    return run.missing_run(place.run) if key == run.key_of(place.run) else None


def _ended(of: str) -> InvalidTransition:
    return InvalidTransition(
        f"no variables of the run {of} are set any more: its session has ended",
        remedy="Set them at the level of the session; or start the run in another one.",
        run=of,
        allowed=(),
    )
