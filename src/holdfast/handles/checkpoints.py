"""Checkpoints as people use them: `s.checkpoint`, `s.restore`, `s.diff`, and the same of any scope by `hold`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from holdfast.errors import InvalidValue, NotFound, shown
from holdfast.handles import checkpointing, restoring
from holdfast.handles.measured import measured
from holdfast.handles.state import scope_name
from holdfast.handles.store import Store
from holdfast.handles.unit import Alone, Target
from holdfast.kernel.commit import Read
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import listed
from holdfast.kernel.part import missing
from holdfast.model.checkpoint import INCLUDED, Checkpoint, Included, as_checkpoint
from holdfast.model.patch import PatchOperation
from holdfast.model.scope import Scope
from holdfast.operations import compare
from holdfast.services import checkpoint, session

Checkpoints = list[Checkpoint]
Patch = list[PatchOperation]


class Of(Protocol):
    """A session, as far as its checkpoints need to know it."""

    _store: Store
    _target: Target

    @property
    def user(self) -> str | None:
        """Whose session it is."""
        ...

    async def refresh(self) -> object:
        """Read the record again."""
        ...


@measured("session", store="_store")
class SessionCheckpoints:
    """What a session has of checkpoints."""

    async def checkpoint(self: Of, *, label: str | None = None) -> Checkpoint:
        """Keep what the session is now, so that it can be compared, restored and forked: state, temporary and runtime
        state, variables, runs, metadata and tags, areas of one's own, and the place of messages and events; of its
        user the state and variables. Runtime state that waits is committed before.

        Of one moment, whoever is writing. It costs what was written since the last one; every thirty-second, and one
        whose past the log does not tell, has everything. It is there until it is dropped or the session deleted.
        """
        return await take(self._store, self._target, user=self.user, label=label)

    async def checkpoints(self: Of) -> Checkpoints:
        """Every checkpoint of the session, the newest first."""
        return await every(self._store, self._target)

    async def restore(
        self: Of, id: str, *, include: Iterable[Included] = ("session",), force: bool = False
    ) -> Checkpoint:
        """Make the session what that checkpoint shows, in one commit; returns a checkpoint, taken in the same commit,
        by which that can be undone: restore it.

        What differs is written, and told to followers. Messages that came since are hidden, not removed. Status,
        deadline, budget and what was used of it stay as they are; the event log goes on, with an entry that tells of
        it. "user" in `include` brings back the state and variables of its user too.

        Raises NotFound if there is no such checkpoint, Busy while somebody holds the session or a run in it, unless
        with `force`, which takes it from them (their next write raises LeaseLost), and TooLarge if more differs than
        the store can write in one commit: fork it then.
        """
        before = await restore(self._store, self._target, id, user=self.user, include=include, force=force)
        await self.refresh()
        return before

    async def diff(self: Of, id: str, other: str | None = None) -> Patch:
        """What makes that checkpoint become the `other` one, or what the session is now: a JSON Patch (RFC 6902).

        Over the document {"session": {"metadata", "tags"}, "state": {…}, "state:NAMESPACE": {…}, "temp", "runtime", …,
        "user": {…}}. Messages and events are not in it.
        """
        return await diff(self._store, self._target, id, other, user=self.user)


@measured("hold", store="_store")
class ScopeCheckpoints:
    """What a store has of checkpoints of any scope."""

    _store: Store

    async def checkpoint(self, scope: Scope, *, label: str | None = None) -> Checkpoint:
        """Keep what a scope is now: of a session as `s.checkpoint` does, of any other one its state, temporary state
        and variables. Raises NotFound if it is not there."""
        target = self._target_of(scope)
        user = await user_of(self._store, target)
        return await take(self._store, target, user=user, label=label)

    async def checkpoints(self, scope: Scope) -> Checkpoints:
        """Every checkpoint of a scope, the newest first. Raises NotFound if the scope is not there."""
        return await every(self._store, self._target_of(scope))

    async def restore(self, id: str, *, include: Iterable[Included] = ("session",), force: bool = False) -> Checkpoint:
        """Make the scope of that checkpoint what it shows, as `s.restore` does; returns one by which that can be
        undone. Raises NotFound if there is none of that id."""
        target = await self._found(id)
        user = await user_of(self._store, target)
        return await restore(self._store, target, id, user=user, include=include, force=force)

    async def diff(self, id: str, other: str | None = None) -> Patch:
        """What makes that checkpoint become the `other` one, or what the scope is now, as `s.diff` tells it. The other
        one may be of another scope of the same kind: so two forks are compared, or one with where it comes from.

        Runs of both that come from one run stand under the id that it has in the first. Raises NotFound if there is
        none of that id, InvalidValue for checkpoints of scopes of different kinds.
        """
        target = await self._found(id)
        where = target if other is None else await self._found(other)
        if where.scope != target.scope and other is not None:
            return await between(self._store, (target, id), (where, other))
        return await diff(self._store, target, id, other, user=await user_of(self._store, target))

    async def drop_checkpoint(self, id: str) -> None:
        """Drop a checkpoint, of whatever scope. Others stay whole: what they rest on is kept until the last that does
        so is dropped. Raises NotFound if there is none of that id."""
        await checkpointing.drop(self._store, await self._found(id), id)

    def _target_of(self, scope: Scope) -> Target:
        name = scope_name(scope)
        if self._store.principal is not None:
            self._store.principal.check(scope)
        return Target(name, "must_exist" if session.is_scope(name) else "create")

    async def _found(self, id: str) -> Target:
        scope = await checkpoint.find_scope(self._store.work(), id)
        try:
            target = self._target_of(Scope.parse(scope))
            await Alone(self._store).bind(target)
        except NotFound as problem:  # of a principal, somebody else's: it is as if there were none
            raise checkpoint.unknown(id) from problem
        return target


def user_scope(user: str | None) -> str | None:
    """The scope of a session's user, if it has one."""
    return None if user is None else str(Scope.user(user))


async def user_of(store: Store, target: Target) -> str | None:
    """Whose the session is; None for any other scope. Raises NotFound."""
    if not session.is_scope(target.scope):
        return None
    view = (await store.work().peek([Read(target.scope, (session.CELL,))]))[0]
    cell = view.cells.get(session.CELL)
    if cell is None:
        raise missing(target.scope)
    return session.decode(cell).user


async def take(store: Store, target: Target, *, user: str | None, label: str | None) -> Checkpoint:
    """See `SessionCheckpoints.checkpoint`."""
    name = None if label is None else check_name(label, "a label")
    record = await checkpointing.take(store, target, user=user_scope(user), label=name)
    return as_checkpoint(record, target.scope)


async def every(store: Store, target: Target) -> Checkpoints:
    """See `SessionCheckpoints.checkpoints`."""
    found = await Alone(store).read(target, lambda work: checkpoint.everything(work, target.scope))
    there = sorted((one for one in found if not one.dropped), key=lambda one: (one.seq, one.at_us, one.id))
    return [as_checkpoint(one, target.scope) for one in reversed(there)]


async def restore(
    store: Store, target: Target, id: str, *, user: str | None, include: Iterable[Included], force: bool
) -> Checkpoint:
    """See `SessionCheckpoints.restore`."""
    wanted = frozenset([one if isinstance(one, str) else shown(one) for one in listed(include, "include")])
    if not {"session"} <= wanted <= INCLUDED:
        strange = ", ".join(sorted(shown(name) for name in wanted - INCLUDED)) or "without the session"
        raise InvalidValue(f'include must be {{"session"}} or {{"session", "user"}}, not {strange}', path="include")
    before = await restoring.restore(
        store, target, id, user=user_scope(user), includes_user="user" in wanted, force=force
    )
    return as_checkpoint(before, target.scope)


async def diff(store: Store, target: Target, id: str, other: str | None, *, user: str | None) -> Patch:
    """See `SessionCheckpoints.diff`."""
    unit, scope = Alone(store), target.scope
    if store.principal is not None:
        await unit.bind(target)
    work = store.work(limits="kernel's")
    work.part(scope, need=target.need, epoch=target.epoch)
    first = await checkpoint.get(work, scope, id)
    before = await checkpoint.contents(work, scope, first)
    if other is None:
        standing = await checkpoint.look(work, scope, user_scope(user))
        second = await checkpoint.gather(work, scope, standing, id=id, label=None, user=user_scope(user))
        after, with_user = await checkpoint.shown(work, scope, second, standing), user is not None
    else:
        record = await checkpoint.get(work, scope, other)
        after, with_user = await checkpoint.contents(work, scope, record), record.user is not None
    return [*compare.compare(before, after, user=first.user is not None and with_user)]


async def between(store: Store, one: tuple[Target, str], other: tuple[Target, str]) -> Patch:
    """What makes a checkpoint of one scope become one of another of the same kind. Raises InvalidValue, NotFound."""
    kinds = [Scope.parse(target.scope).kind for target, _ in (one, other)]
    if kinds[0] != kinds[1]:
        raise InvalidValue(f"a checkpoint of a {kinds[0]} is not compared with one of a {kinds[1]}", path="other")
    contents, users = [], []
    for target, id in (one, other):
        work = store.work(limits="kernel's")
        work.part(target.scope, need=target.need, epoch=target.epoch)
        record = await checkpoint.get(work, target.scope, id)
        contents.append(await checkpoint.contents(work, target.scope, record))
        users.append(record.user)
    return [*compare.compare(*contents, user=None not in users)]
