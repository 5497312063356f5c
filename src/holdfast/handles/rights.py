"""What a principal may find: the rights that a store carries for the face that `hold.as_principal` gives.

They are checked where a handle meets a scope, not where it was made: a user's own scope by its name; a session by the
user that its record names, in the very unit of work that reads or writes it, or once, and from then on by the life it
was of. A session's user never changes in its life, so no race can put another's session under a handle that was let in.
So it is with a run that is alone.
"""

from __future__ import annotations

from msgspec import Struct

from holdfast.errors import InvalidValue, NotFound
from holdfast.kernel.work import Work
from holdfast.model.scope import Scope
from holdfast.services import run, session


class Rights(Struct, frozen=True):
    """What one user may find: their own scope, their sessions, and `also` those scopes of agents, globals and runs."""

    user: str
    also: frozenset[Scope] = frozenset()

    def check(self, scope: Scope) -> None:
        """Raise NotFound for a scope that does not exist for this principal. Sessions are judged where they are met."""
        if scope.kind != "session" and not self.may(scope):
            raise NotFound(f"{scope} does not exist for this principal", remedy=_remedy(scope), scope=str(scope))

    def may(self, scope: Scope) -> bool:
        """Whether a scope that is no session's exists for this principal."""
        return scope.id == self.user if scope.kind == "user" else scope in self.also

    async def owns(self, scope: str, work: Work) -> bool:
        """Whether the session, or the run that is alone, of that scope is theirs, as a unit sees it."""
        of_run = scope.startswith(run.AREA)
        cell = await work.get(scope, scope if of_run else session.CELL)
        return cell is not None and (run.decode(cell) if of_run else session.decode(cell)).user == self.user

    def owner(self, user: str | None) -> str:
        """Whose a new session is. Raises InvalidValue for another user."""
        if user is None or user == self.user:
            return self.user
        raise InvalidValue("a session made for a principal is that user's; leave `user` out", path="user")


def _remedy(scope: Scope) -> str:
    if scope.kind == "user":
        return "A principal finds no user's scope but its own."
    return f"Let it find that too: `hold.as_principal(user=…, also=[Scope.parse({str(scope)!r})])`."
