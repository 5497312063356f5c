"""Everything that a session can be asked, method by method, for tests that try it all.

The methods are found by looking at the classes, so one that comes later has to be entered here before the tests pass.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast import Session, State
from holdfast.handles.checkpoints import SessionCheckpoints
from holdfast.handles.event_log import EventLog
from holdfast.handles.messages import Messages
from holdfast.handles.own_area import Area
from holdfast.handles.past import Past, PastMessages, PastValues
from holdfast.handles.runs import SessionRuns
from holdfast.handles.runtime import Runtime
from holdfast.handles.surface import SessionSurface
from holdfast.handles.variables import Variables

Try = Callable[[Any], Awaitable[Any]]


async def entered(block: Any) -> Any:
    async with block as inside:
        return inside


async def _named(surface: Any, name: str) -> Any:
    return getattr(surface, name)


async def _newest(s: Any) -> str:
    """The id of its newest checkpoint, or one that is none."""
    taken = await s.checkpoints()
    return taken[0].id if taken else "x"


async def _restored(s: Any) -> Any:
    return await s.restore(await _newest(s))


async def _compared(s: Any) -> Any:
    return await s.diff(await _newest(s))


SURFACE: dict[str, Try] = {
    "SessionSurface.pause": lambda s: s.pause(),
    "SessionSurface.resume": lambda s: s.resume(),
    "SessionSurface.complete": lambda s: s.complete(1),
    "SessionSurface.fail": lambda s: s.fail("x"),
    "SessionSurface.cancel": lambda s: s.cancel(),
    "SessionSurface.end": lambda s: s.end(),
    "SessionSurface.extend": lambda s: s.extend("1h"),
    "SessionSurface.touch": lambda s: s.touch(),
    "SessionSurface.emit": lambda s: s.emit("k", 1),
    "SessionSurface.iterate": lambda s: entered(s.iterate()),
    "EventLog.log": lambda s: s.log("noted"),
    "SessionSurface.log_tool_call": lambda s: s.log_tool_call("search"),
    "EventLog.log_learning": lambda s: s.log_learning("x"),
    "EventLog.events": lambda s: s.events(),
    "SessionSurface.agent_state": lambda s: _named(s, "agent_state"),
    "Area.get": lambda s: s.area("a").get(["k"]),
    "Area.page": lambda s: s.area("a").page(),
    "Area.version": lambda s: s.area("a").version(),
    "Area.write": lambda s: s.area("a").write({"k": b"1"}),
    "State.get": lambda s: s.state.get("secret"),
    "State.set": lambda s: s.state.set("secret", 1),
    "State.mutate": lambda s: s.state.mutate("secret", lambda old: 1),
    "State.update": lambda s: s.state.update({"secret": 1}),
    "State.merge": lambda s: s.state.merge("field", {"a": 1}),
    "State.delete": lambda s: s.state.delete("secret"),
    "State.clear": lambda s: s.state.clear(),
    "State.has": lambda s: s.state.has("secret"),
    "State.keys": lambda s: s.state.keys(),
    "State.snapshot": lambda s: s.state.snapshot(),
    "State.history": lambda s: s.state.history("secret"),
    "State.why": lambda s: s.state.why("secret"),
    "State.diff": lambda s: s.state.diff(),
    "Variables.set": lambda s: s.variables.set("secret", 1),
    "Variables.set_many": lambda s: s.variables.set_many({"secret": 1}),
    "Variables.get": lambda s: s.variables.get("secret"),
    "Variables.list": lambda s: s.variables.list(reveal=True),
    "Variables.clear": lambda s: s.variables.clear(),
    "Variables.resolve": lambda s: s.variables.resolve("{{ secret }} {{ $flow.state.secret }} {{ $session.user }}"),
    "Variables.value": lambda s: s.variables.value("{{ $session.metadata }}"),
    "Messages.add": lambda s: s.messages.add("user", "x"),
    "Messages.add_many": lambda s: s.messages.add_many([{"role": "user", "content": "x"}]),
    "Messages.list": lambda s: s.messages.list(),
    "Messages.last": lambda s: s.messages.last(3),
    "SessionRuns.start": lambda s: s.runs.start("trip"),
    "SessionRuns.get": lambda s: s.runs.get("r"),
    "SessionRuns.list": lambda s: s.runs.list(),
    "Runtime.set": lambda s: s.runtime.set("k", 1),
    "Runtime.update": lambda s: s.runtime.update({"k": 1}),
    "Runtime.get": lambda s: s.runtime.get("secret"),
    "Runtime.all": lambda s: s.runtime.all(),
    "Runtime.clear": lambda s: s.runtime.clear(),
}
"""What the writing surface of a session can be asked, wherever it comes from."""

SESSION: dict[str, Try] = {
    "Session.refresh": lambda s: s.refresh(),
    "Session.update": lambda s: s.update(metadata={"a": 1}),
    "Session.context": lambda s: s.context(),
    "Session.size": lambda s: s.size(),
    "Session.why": lambda s: s.why("secret"),
    "Session.transact": lambda s: s.transact(lambda tx: tx.state.set("secret", 1)),
    "Session.transaction": lambda s: entered(s.transaction()),
    "Session.turn": lambda s: entered(s.turn(request_id="r")),
    "Session.fork": lambda s: s.fork(),
    "SessionCheckpoints.checkpoint": lambda s: s.checkpoint(),
    "SessionCheckpoints.checkpoints": lambda s: s.checkpoints(),
    "SessionCheckpoints.restore": _restored,
    "SessionCheckpoints.diff": _compared,
    "Session.pause_runs": lambda s: s.pause_runs(),
    "Session.resume_runs": lambda s: s.resume_runs(),
    "Session.claim": lambda s: entered(s.claim()),
    "Past.events": lambda s: s.at(2).events(),
    "PastValues.all": lambda s: s.at(2).state.all(),
    "PastValues.get": lambda s: s.at(2).state.get("secret"),
    "PastValues.has": lambda s: s.at(2).state.has("secret"),
    "PastValues.keys": lambda s: s.at(2).runtime.keys(),
    "PastMessages.list": lambda s: s.at(2).messages.list(),
    "PastMessages.last": lambda s: s.at(2).messages.last(1),
}
"""What only a session by itself can be asked."""

NOT_TRIED = {
    "SessionSurface.id", "SessionSurface.area", "Session.at",  # only name what is tried
    "SessionSurface.user_state",  # hers: that of the user she is
    "SessionSurface.variables", "Variables.dependencies",  # name what is tried, and what a template says
    "Session.changes",  # tells of her life and no other: see test_principal
    "State.place", "Area.limits",  # what is configured
    "Runtime.flush",  # of what she wrote
}  # fmt: skip


def verbs(kind: type) -> set[str]:
    """What is defined in a class, but for what a session's handle only remembers of its own record."""
    inherited = {name for base in kind.__mro__[1:] for name in vars(base)}
    names = {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")} - inherited
    if kind is Session:
        names = {name for name in names if not isinstance(vars(kind)[name], property)}
    return {f"{kind.__name__}.{name}" for name in names}


NOUNS = (
    SessionSurface, EventLog, Session, SessionCheckpoints, SessionRuns, State, Variables, Messages, Runtime, Area,
    Past, PastValues, PastMessages,
)  # fmt: skip
