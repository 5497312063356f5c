"""LangGraph's checkpoints in Holdfast.

A thread is a session, and a put is one commit without a read: the checkpoint, and the channels that it changed. So what
a put costs follows what changed, not what the thread holds, and puts that arrive together share one barrier. That its
other values are there follows from its parent's being there, which is a condition of the commit: see `pruning`.

Values are what the saver's serializer makes of them, and data only: one that would unpickle is refused, and the default
rebuilds no class but those that are known to be safe and those that a graph's own schema names.

Of a thread that was deleted a late write brings nothing back: a put that goes on from a checkpoint, and what a task
wrote, belong to the life of the thread that they began in. A put without a parent begins a new one.

Versions of a channel carry chance, so that two writers who fork a thread never mean two values by one version.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from random import SystemRandom
from typing import Any, TypeVar, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from holdfast import sync
from holdfast.adapters.langgraph import cells
from holdfast.adapters.langgraph.pruning import Wanted, delete_runs, latest, leave, runs_of
from holdfast.adapters.langgraph.thread import Thread
from holdfast.adapters.langgraph.tuples import cells_of, config_of, place, refuse_unreadable, tuple_of
from holdfast.errors import Conflict, InvalidValue, NotFound, TypeMismatch, UseTransaction, shown
from holdfast.handles.claim import held_here
from holdfast.handles.face import Face
from holdfast.sync.face import bare
from holdfast.sync.portal import portal

T = TypeVar("T")

THREADS_MAX = 10_000
"""Threads whose sessions a saver remembers."""

NEEDED = "Give it what Holdfast.open returned, once that is opened."

_chance = SystemRandom()


class HoldfastSaver(BaseCheckpointSaver[str]):
    """Keeps a graph's checkpoints in an opened store: `graph.compile(checkpointer=HoldfastSaver(hold))`.

    Takes a `holdfast.Holdfast` or a `holdfast.sync.Holdfast`, which it does not close. Each method is there both async
    and blocking, and any threads and loops may use one saver. A thread is the session of that id, which its first put
    makes; `delete_thread` deletes the session with everything in it.
    A principal of one will do: such a saver finds that user's threads alone.

    Raises TypeMismatch for what is no opened store, InvalidValue for a serializer that falls back to pickle,
    InvalidId for a thread id that cannot name a session, NotFound for a write to a thread that was deleted since it
    was read, Busy for one inside a turn or transaction of this task on its own session, and what the store raises.
    """

    def __init__(self, hold: Face | sync.Face, *, serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serde if serde is not None else JsonPlusSerializer(allowed_msgpack_modules=None))
        _refuse_pickle(self.serde)
        if not isinstance(opened := bare(hold), Face):
            raise TypeMismatch(f"a saver needs an opened store, not {shown(hold)}", remedy=NEEDED)
        self._hold: Face = opened
        self._threads: dict[str, Thread] = {}

    # --- threads ----------------------------------------------------------------------------------

    async def _opened(self, id: str) -> Thread:
        """The thread of that id, begun if it is not there."""
        thread = self._threads.get(id)
        return thread if thread is not None else self._known(id, await self._hold.sessions.open(id))

    async def _found(self, id: str) -> Thread | None:
        thread = self._threads.get(id)
        if thread is not None:
            return thread
        session = await self._hold.sessions.get(id)
        return None if session is None else self._known(id, session)

    def _known(self, id: str, session: Any) -> Thread:
        if len(self._threads) >= THREADS_MAX:
            self._threads.clear()
        thread = self._threads[id] = Thread(session)
        return thread

    async def _write(self, id: str, write: Callable[[Thread], Awaitable[None]], *, begins: bool) -> None:
        known = id in self._threads
        try:
            await write(await self._opened(id))
        except UseTransaction as inside:
            remedy = "Run the graph before or after it, or on a thread of another id, which is another session."
            raise held_here(inside.scope, "turn or transaction", remedy=remedy) from inside
        except NotFound:  # it was deleted since this saver saw it
            self._threads.pop(id, None)
            if not (known and begins):
                raise
            await write(await self._opened(id))

    async def _read(self, id: str, look: Callable[[Thread], Awaitable[T]], none: T) -> T:
        for _ in range(2):
            thread = await self._found(id)
            if thread is None:
                return none
            try:
                return await look(thread)
            except NotFound:  # as above: another one may be there by now
                self._threads.pop(id, None)
        return none

    # --- writing ----------------------------------------------------------------------------------

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint and the channels it changed; durable on return. One commit, without a read.

        If they are more than one commit takes, the values go first, and nothing leads to them until the checkpoint is
        committed. Where the checkpoint that it goes on from is gone, it brings the values of all its channels; raises
        NotFound for a DeltaChannel, which is rebuilt from what is gone.
        """
        thread_id, namespace, parent = place(config)
        told = get_checkpoint_metadata(config, metadata)
        key = cells.checkpoint_key(namespace, checkpoint["id"])
        rest = {name: value for name, value in checkpoint.items() if name != "channel_values"}
        dumps = self.serde.dumps_typed
        cell = cells.frame(cells.CheckpointCell(namespace, parent, dumps(rest), dumps(told)))
        every = checkpoint["channel_versions"]

        async def put(versions: ChannelVersions, *present: str) -> None:
            puts = {**self._values(namespace, checkpoint, versions), key: cell}
            write = partial(Thread.put, puts=puts, last=key, present=present)
            await self._write(str(thread_id), write, begins=parent is None)

        if parent is None:
            await put(every)
        else:
            try:  # a copy changes nothing, and leads to the values of another checkpoint than the one it goes on from
                await put(new_versions or every, cells.checkpoint_key(namespace, parent))
            except Conflict as conflict:
                if conflict.what != "present":
                    raise
                refuse_unreadable(checkpoint, told)
                await put(every)
        return config_of(thread_id, namespace, checkpoint["id"])

    def _values(self, namespace: str, checkpoint: Checkpoint, versions: ChannelVersions) -> dict[str, bytes]:
        """The cells of a checkpoint's values, of the channels that have these versions."""
        values = checkpoint["channel_values"]
        return {
            cells.blob_key(namespace, channel, version): cells.frame(self.serde.dumps_typed(values[channel]))
            for channel, version in versions.items()
            if channel in values
        }

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote beside a checkpoint; durable on return.

        Of one task and index the first counts, so that a repeat changes nothing; errors, interrupts and the like take
        the place of the earlier one.
        """
        thread_id, namespace, id = place(config)
        if id is None:
            raise InvalidValue("the config of put_writes has no checkpoint_id", path="config")
        puts: dict[str, bytes] = {}
        replaced = set()
        for number, (channel, value) in enumerate(writes):
            index = WRITES_IDX_MAP.get(channel, number)
            key = cells.write_key(namespace, id, task_id, index)
            written = self.serde.dumps_typed(value)
            puts[key] = cells.frame(cells.WriteCell(task_id, channel, task_path, index, written))
            if index < 0:
                replaced.add(key)
        if puts:
            await self._write(str(thread_id), lambda thread: thread.put_new(puts, replaced=replaced), begins=False)

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete the thread's session with everything in it, at once."""
        self._threads.pop(str(thread_id), None)
        await self._hold.sessions.delete(str(thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy every checkpoint with its writes into another thread, checkpoints last."""

        async def copy(source: Thread) -> None:
            await self._write(str(target_thread_id), partial(Thread.copy_from, source=source), begins=True)

        await self._read(str(source_thread_id), copy, None)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete the checkpoints that are not the latest of their namespace, or with "delete" all of them.

        With a checkpoint go its writes, and the values that nothing leads to any more; what a DeltaChannel is rebuilt
        from stays. The thread's session stays, with what else it holds. Runs may write meanwhile: what they put loses
        nothing. Raises Conflict, with part of it done, if they put so often that no moment was found between them.
        """
        if strategy not in ("keep_latest", "delete"):
            raise InvalidValue(f'strategy must be "keep_latest" or "delete", not {shown(strategy)}', path="strategy")
        wanted: Wanted = latest if strategy == "keep_latest" else lambda checkpoints: ()
        for id in thread_ids:
            await self._read(str(id), lambda thread: leave(thread, self.serde.loads_typed, wanted), None)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete what these runs made, as `aprune` does: the checkpoints with one of these `run_id`s in their metadata,
        where whoever called the graph put it.
        """
        runs = runs_of(run_ids)
        async for id in self._ids(None):
            await self._read(id, lambda thread: delete_runs(thread, self.serde.loads_typed, runs), None)

    # --- reading ----------------------------------------------------------------------------------

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the config names, or the latest of its namespace; None if there is none."""
        thread_id, namespace, id = place(config)

        async def look(thread: Thread) -> CheckpointTuple | None:
            while True:
                if id is None:
                    found, _ = await thread.page(cells.checkpoint_prefix(namespace), limit=1, newest=True)
                else:
                    found = await thread.get([cells.checkpoint_key(namespace, id)])
                if not found:
                    return None
                (raw,) = found.values()
                whole = await tuple_of(thread, thread_id, cells.decode_checkpoint(raw), self.serde.loads_typed)
                if whole is not None:  # else it was deleted while it was read
                    return whole

        return await self._read(str(thread_id), look, None)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints, newest first: of the config's thread and namespace, of all its namespaces, or of every thread.

        `filter` compares metadata by equality, `before` excludes the checkpoint it names and later ones. Those of one
        namespace are read as they are asked for; else each thread's are put in order first.
        """
        left = limit
        async for thread_id in self._ids(config):
            if left is not None and left <= 0:
                return
            thread = await self._found(str(thread_id))
            if thread is None:
                continue
            async for cell, told in cells_of(thread, config, before, self.serde.loads_typed):
                if filter and any(told.get(name) != value for name, value in filter.items()):
                    continue
                if left is not None and left <= 0:
                    return
                found = await tuple_of(thread, thread_id, cell, self.serde.loads_typed)
                if found is None:  # it was deleted since
                    continue
                left = None if left is None else left - 1
                yield found

    async def _ids(self, config: RunnableConfig | None) -> AsyncIterator[Any]:
        if config is not None:
            yield config["configurable"]["thread_id"]
            return
        async for session in self._hold.sessions.iterate():
            yield session.id

    # --- the same, blocking -----------------------------------------------------------------------

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See `aget_tuple`."""
        return cast("CheckpointTuple | None", portal().call(self.aget_tuple, config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """See `alist`."""
        found = self.alist(config, filter=filter, before=before, limit=limit)
        try:
            while True:
                yield portal().call(found.__anext__)
        except StopAsyncIteration:
            return

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See `aput`."""
        return cast(RunnableConfig, portal().call(self.aput, config, checkpoint, metadata, new_versions))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """See `aput_writes`."""
        portal().call(self.aput_writes, config, writes, task_id, task_path)

    def delete_thread(self, thread_id: str) -> None:
        """See `adelete_thread`."""
        portal().call(self.adelete_thread, thread_id)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """See `adelete_for_runs`."""
        portal().call(self.adelete_for_runs, run_ids)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """See `acopy_thread`."""
        portal().call(self.acopy_thread, source_thread_id, target_thread_id)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """See `aprune`."""
        portal().call(self.aprune, thread_ids, strategy=strategy)

    def get_next_version(self, current: str | None, channel: None) -> str:
        """A version above the present one, and like no other of the same number."""
        number = 0 if current is None else int(str(current).partition(".")[0])
        return f"{number + 1:032}.{_chance.getrandbits(64):016x}"


def _refuse_pickle(serde: object) -> None:
    while serde is not None:
        if getattr(serde, "pickle_fallback", False):
            raise InvalidValue("a serializer with pickle_fallback would run code while it reads", path="serde")
        serde = getattr(serde, "serde", None)
