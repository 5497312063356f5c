"""A scope: the unit of atomicity, order, versioning and retention, by its public name."""

from __future__ import annotations

from typing import Literal, NamedTuple

from holdfast.errors import InvalidId, shown

ScopeKind = Literal["session", "user", "agent", "global", "run"]

KINDS: tuple[ScopeKind, ...] = ("session", "user", "agent", "global", "run")


class Scope(NamedTuple):
    """What a piece of state belongs to. Make one with `Scope.session(id)`, `.user(id)`, `.agent(id)`,
    `.global_(namespace)` or `.run(id)`. Its text form, "user/ada", is its name in the store."""

    kind: ScopeKind
    id: str

    @classmethod
    def session(cls, id: str) -> Scope:
        """The scope of one session. It exists only while the session does."""
        return cls("session", id)

    @classmethod
    def user(cls, id: str) -> Scope:
        """What is kept for one user, across sessions. Writing to it makes it."""
        return cls("user", id)

    @classmethod
    def agent(cls, id: str) -> Scope:
        """What is kept for one agent, across sessions and users. Writing to it makes it."""
        return cls("agent", id)

    @classmethod
    def global_(cls, namespace: str) -> Scope:
        """What everybody in the space shares, one scope for each namespace. Writing to it makes it."""
        return cls("global", namespace)

    @classmethod
    def run(cls, id: str) -> Scope:
        """The scope of a run that belongs to no session. Writing to it makes it."""
        return cls("run", id)

    @classmethod
    def parse(cls, text: str) -> Scope:
        """The scope of that text form; raises InvalidId for anything else."""
        kind, slash, id = text.partition("/") if isinstance(text, str) else ("", "", "")
        if not slash or kind not in KINDS or not id:
            raise InvalidId(f"{shown(text)} names no scope; write kind/id with a kind of {', '.join(KINDS)}")
        return cls(kind, id)

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"
