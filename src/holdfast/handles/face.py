"""A face of an opened store: what the whole of it and a principal's part of it have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from holdfast.errors import Conflict, InvalidValue
from holdfast.handles.changes import After, Changes, Members
from holdfast.handles.checkpoints import ScopeCheckpoints
from holdfast.handles.interactions import Interactions
from holdfast.handles.measured import measured
from holdfast.handles.runs import Runs
from holdfast.handles.sessions import Sessions
from holdfast.handles.state import State, scope_name, state_of
from holdfast.handles.store import Store
from holdfast.handles.transaction import Transaction, repeat
from holdfast.handles.unit import Alone, Target
from holdfast.handles.variables import Variables, variables_of
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import listed
from holdfast.kernel.work import Work
from holdfast.model import cause
from holdfast.model.scope import Scope
from holdfast.operations import user_sessions
from holdfast.operations.states import states
from holdfast.services import session

T = TypeVar("T")

FOLLOWED_MAX = 1_000_000
"""Scopes in one stream at most."""


@measured("hold", store="_store")
class Face(ScopeCheckpoints):
    """Sessions, state, transactions and streams of a store, as far as whoever holds it may find them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.sessions = Sessions(store)
        """The sessions."""
        self.runs = Runs(store)
        """The runs of workflows, in sessions and alone."""
        self.interactions = Interactions(store)
        """What runs ask people."""

    def state(self, scope: Scope, namespace: str = "") -> State:
        """The state of any scope, in a namespace of its own if one is named."""
        return state_of(Alone(self._store), scope, namespace=namespace)

    def variables(self, scope: Scope) -> Variables:
        """The variables of a user, a global namespace, a session or a run that is kept alone, and those that are seen
        from there."""
        return variables_of(Alone(self._store), scope)

    async def state_many(self, scopes: Sequence[Scope], namespace: str = "") -> dict[Scope, dict[str, Any]]:
        """All state of several scopes, as of one moment where the backend spans them. A scope without any is {}.

        Raises NotFound for a session that does not exist.
        """
        places = {scope: self.state(scope, namespace).place for scope in listed(scopes, "scopes")}
        targets = [Target(place.scope, "must_exist") for scope, place in places.items() if scope.kind == "session"]

        async def look(work: Work) -> list[dict[str, Cell]]:
            if self._store.principal is None:
                return await states(work, [*places.values()])
            lives = await self._lives(targets)
            cells = await states(work, [*places.values()])
            if await self._lives(targets) != lives:
                raise Conflict("sessions were deleted while they were read", scope=targets[0].scope, what="epoch")
            return cells

        found = await Alone(self._store).look(look)
        return {
            scope: {key: codec.decode(cell.value) for key, cell in cells.items()}
            for scope, cells in zip(places, found, strict=True)
        }

    async def _lives(self, targets: Sequence[Target]) -> list[int | None]:
        """For a principal: the lives of their sessions; NotFound if one is not theirs."""
        unit, lives = Alone(self._store), []
        for target in targets:
            seen = Target(target.scope, "must_exist")
            await unit.bind(seen)
            lives.append(seen.epoch)
        return lives

    async def set_many(self, values: Mapping[Scope, Mapping[str, Any]], namespace: str = "") -> dict[Scope, int]:
        """Store values in several scopes in one transaction; returns each scope's new version (0: nothing written).

        Raises NotFound if one is a session that does not exist; then nothing is stored.
        """
        most = self._store.limits.operations_max
        given = listed(codec.mapping(values, "values").items(), "scopes in one commit", most=most)
        async with self.transaction() as tx:
            for scope, entries in given:
                await tx.state(scope, namespace).update(entries)
        return {scope: tx.version(scope) or 0 for scope, _ in given}

    def transaction(self) -> Transaction:
        """A block whose reads and writes, over any scopes, commit as one: `async with hold.transaction() as tx`."""
        return Transaction(self._store)

    async def transact(self, fn: Callable[[Transaction], Awaitable[T]], *, attempts: int = 20) -> T:
        """Run `fn(tx)` in a transaction, again on Conflict, and return what it returned."""
        return await repeat(self._store, self.transaction, fn, attempts)

    def changes(
        self,
        scopes: Sequence[Scope] = (),
        *,
        user: str | None = None,
        after: After | Mapping[Scope, After] = "now",
        kinds: Iterable[str] | None = None,
    ) -> Changes:
        """The merged stream of several scopes: in order within each. See `Changes`.

        `user` adds that user's scope and their sessions: the present ones, and every one created from now on, whole,
        however soon it is deleted. To resume, give `after` what `Changes.cursors` said, or the cursor of the last
        change seen of each scope, `{change.scope: change.cursor}`. Scopes that are not in it are shown from the
        beginning, since nothing of them was seen.
        """
        wanted = [self._followed(scope) for scope in listed(scopes, "scopes", most=FOLLOWED_MAX)]
        group = None
        if user is not None:
            wanted.append(self._followed(Scope.user(user)))
            limit = self._store.limits.value_bytes_max
            group = user_sessions.UserSessions(
                self._store.work, user, record_bytes_max=limit, strict=self._store.principal is not None
            )
        if not wanted:
            raise InvalidValue("name the scopes to follow, or a user", path="scopes")
        if not isinstance(after, Mapping):
            if after not in ("now", "beginning") and (len(wanted) > 1 or user is not None):
                raise InvalidValue("a cursor is a place in one scope: give after={scope: cursor}", path="after")
            members = None if group is None else Members(group, "beginning" if after == "beginning" else "now")
            return Changes(self._store, dict.fromkeys(wanted, after), kinds=kinds, members=members)
        places: dict[str, After] = dict.fromkeys(wanted, "beginning")
        resumed: dict[str, After] = {}  # sessions of the user, as it seems
        for scope, place in after.items():
            name = self._followed(scope)
            is_member = group is not None and name not in places and session.is_scope(name)
            (resumed if is_member else places)[name] = place
        members = None if group is None else Members(group, "beginning", resumed)
        return Changes(self._store, places, kinds=kinds, members=members)

    def _followed(self, scope: Scope) -> str:
        name = scope_name(scope)
        if self._store.principal is not None:
            self._store.principal.check(scope)
        return name

    @contextmanager
    def acting(self, *, by: str | None = None, trace_id: str | None = None) -> Iterator[None]:
        """Record who commits, and in which trace, with every commit of this task inside the block. Raises Closed."""
        self._store.check_open()
        names = {"by": by, "trace_id": trace_id}
        given = {name: check_name(text, name) for name, text in names.items() if text is not None}
        with cause.acting(**given):
            yield


class Principal(Face):
    """What one user may do with a store: `hold.as_principal(user="ada")`. The words are those of `Holdfast`.

    It finds the sessions whose user that is, that user's own scope, and the scopes that were named for it. Everything
    else does not exist: `get` answers None, lists are empty of it, and what would touch it raises NotFound, the same
    as for what was never there: at once for a scope of others, for a session when it is used. Sessions that it creates
    are that user's. Only the lives of the user's sessions are told by its streams, whoever takes an id after them.

    One thing shows: an id that is taken cannot be had again, so `create` and `open` with an id that somebody else has
    raise AlreadyExists, in the words used for one's own. Let Holdfast make the ids where that tells too much.
    """

    def __repr__(self) -> str:
        return f"<Principal {self._store.speaker!r} of {self._store!r}>"
