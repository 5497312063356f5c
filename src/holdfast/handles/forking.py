"""Forking a session, in one commit or in as many as it takes: see `operations.fork`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple

from holdfast.errors import AlreadyExists, HoldfastError
from holdfast.handles.checkpointing import CHUNK_BYTES, UNFINISHED_US
from holdfast.handles.crowding import arrived, make_room
from holdfast.handles.expiry import make_way
from holdfast.handles.fence import carry
from holdfast.handles.store import Store
from holdfast.handles.unit import Alone, Target, explain, refuse_inside
from holdfast.kernel.commit import Committed, Head, Read
from holdfast.kernel.keys import check_name
from holdfast.kernel.work import Work
from holdfast.model.session import SessionRecord
from holdfast.operations import fork as operation
from holdfast.operations.fork import Item, Origin
from holdfast.operations.restore import put_back
from holdfast.services import session

CHUNK = 1000
"""How many things one of several commits writes at most."""

BESIDES = 8
"""Operations of a commit that are left for what it writes besides."""


class Forked(NamedTuple):
    """A session that was forked: its record, its head, and when it expires."""

    record: SessionRecord
    head: Head
    expires_us: int | None


async def fork(store: Store, target: Target, *, at: str | None, id: str | None) -> Forked:
    """Fork the session of that scope. Raises NotFound and AlreadyExists."""
    unit = Alone(store)
    await unit.bind(target)
    await store.buffers.flush(target.scope, target.epoch)

    async def look(work: Work) -> Origin:
        return await operation.origin(work, target.scope, at)

    origin = await unit.read(target, look)
    now_us = store.now_us()
    name = store.ids.uuid7(now_us) if id is None else check_name(id, "a session id")
    record = await arrived(store, operation.record_of(origin, name, at_us=now_us))
    refuse_inside(store, session.scope_of(record.id))
    forking = _Forking(store, target, origin, record)
    head: Head | None = None
    while head is None:
        try:
            head = await forking.run()
        except AlreadyExists:
            if not await make_way(store, session.scope_of(record.id)):
                raise
    await make_room(store, record)
    return Forked(record, head, record.expires_us)


class _Forking:
    """One fork, to be tried anew where the place was taken by one that had expired."""

    def __init__(self, store: Store, source: Target, origin: Origin, record: SessionRecord) -> None:
        self._store = store
        self._source = source
        self._origin = origin
        self._record = record
        self._scope = session.scope_of(record.id)
        self._entry = store.ids.uuid7(record.created_us)
        self._runs = {run: store.ids.uuid7(record.created_us) for run in operation.runs_of(origin)}
        self._epoch = self._version = 0

    async def run(self) -> Head:
        """Make it; returns its head."""
        before: list[Item] | None = None
        begun = False
        async for chunk in self._chunks():
            if before is not None:
                await self._fill(before, first=not begun)
                begun = True
            before = chunk
        work = self._last(before or [], begun=begun)
        try:
            committed = await self._commit(work)
        except HoldfastError:
            if begun:
                with suppress(HoldfastError):  # a sweep will
                    await self._abandon()
            raise
        seq = committed.seqs[self._scope]
        [view] = await self._store.work(of_expired="all").peek([Read(self._scope)])
        return Head(seq, view.head.epoch, live=True, at_us=self._record.created_us)

    async def _chunks(self) -> AsyncIterator[list[Item]]:
        """What is taken over, as much at once as a commit may carry."""
        traits = self._store.kernel.traits
        most = min(CHUNK, traits.operations_max - BESIDES)
        bytes_max = min(CHUNK_BYTES, traits.commit_bytes_max // 2)
        chunk: list[Item] = []
        size = 0
        async for item in operation.items(self._store.work, self._origin, self._record, self._runs):
            if chunk and (len(chunk) == most or size + item.bytes > bytes_max):
                yield chunk
                chunk, size = [], 0
            chunk.append(item)
            size += item.bytes
        yield chunk

    async def _fill(self, chunk: list[Item], *, first: bool) -> None:
        work = self._work()
        due_us = work.now_us + UNFINISHED_US
        if first:
            operation.begin(work, self._record, due_us=due_us)
        else:
            operation.go_on(work, self._scope, epoch=self._epoch, since=self._version)
            operation.mark(work, self._scope, due_us=due_us, user=self._record.user)
        self._put(work, chunk)
        self._version = (await self._commit(work)).seqs[self._scope]
        if first:
            [view] = await self._work().peek([Read(self._scope)])
            self._epoch = view.head.epoch

    def _last(self, chunk: list[Item], *, begun: bool) -> Work:
        """The commit that makes the session, if the one it is forked from is there still."""
        if begun:
            work = self._work()
            operation.go_on(work, self._scope, epoch=self._epoch, since=self._version)
            work.delete(self._scope, operation.MARK)
        else:
            work = self._store.work(limits="kernel's")
            work.ask(self._scope, "must_not_exist")
        operation.create(work, self._record, self._origin, entry=self._entry)
        self._put(work, chunk)
        if self._store.limits.span == "store":
            work.ask(self._source.scope, "must_exist", epoch=self._source.epoch)
        return work

    def _put(self, work: Work, chunk: list[Item]) -> None:
        streaming = self._store.config.runtime.streaming
        for item in chunk:
            if item.key is None:
                operation.put_message(work, self._scope, item.value)
            else:
                put_back(work, self._scope, item.key, item.value, ttl_us=item.ttl_us, streaming=streaming)

    def _work(self) -> Work:
        """A unit for which the scope is there although no session lives in it."""
        return self._store.work(of_expired="all", limits="kernel's")

    async def _commit(self, work: Work) -> Committed:
        carry(self._store, work)
        outcome = await work.commit()
        if not isinstance(outcome, Committed):
            raise explain(outcome)
        return outcome

    async def _abandon(self) -> None:
        work = self._work()
        operation.go_on(work, self._scope, epoch=self._epoch, since=self._version)
        session.drop(work, self._record.id)
        await work.commit()
