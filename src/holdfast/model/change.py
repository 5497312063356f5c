"""A change: one line of the stream that every commit writes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args

from msgspec import UNSET as UNSET
from msgspec import Struct

from holdfast.model.cause import Cause
from holdfast.model.scope import Scope

ChangeKind = Literal[
    "session", "state", "temp", "runtime", "run", "variable", "interaction", "message", "event", "memory", "checkpoint",
    "module",
]  # fmt: skip
ChangeOp = Literal["set", "delete", "append", "clear", "emit"]

KINDS: frozenset[str] = frozenset(get_args(ChangeKind))
"""Every kind there is. No commit writes of memory or module yet."""


class Change(Struct, frozen=True):
    """What one commit did to one thing.

    seq         the commit's position in the scope's log; several changes of one commit share it; of what was emitted,
                that of the last commit before it arrived
    cursor      resume after exactly this change: opaque text
    at, by      when and by whom
    cause       all that is known of why
    scope       the scope that changed; `session` is its id if it is a session
    kind, op    what was changed, and how; "emit" was told live and is kept nowhere
    namespace   of the state that changed ("" is the default one)
    key         the key of state, temp or runtime; the session's id; the cursor of a message or event; None of a clear
    value       the new value of a set or append, what was emitted, None for a delete or clear; UNSET where the log has
                only the key (`Config.changes.values`): `Changes.read` then reads what there is now
    """

    seq: int
    cursor: str
    at: datetime
    by: str | None
    cause: Cause
    scope: Scope
    kind: ChangeKind
    op: ChangeOp
    key: str | None
    value: Any
    namespace: str = ""

    @property
    def session(self) -> str | None:
        """The id of the session that changed; None for any other scope."""
        return self.scope.id if self.scope.kind == "session" else None
