"""A thread's checkpoints as LangGraph reads them: found, in order, and put together with their values and writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_id,
    writes_sort_key,
)

from holdfast.adapters.langgraph import cells
from holdfast.adapters.langgraph.pruning import DELTAS, Loads
from holdfast.adapters.langgraph.thread import Thread
from holdfast.errors import NotFound

LIST_PAGE = 20


def place(config: RunnableConfig) -> tuple[Any, str, str | None]:
    """Thread id (as given), namespace and checkpoint id of a config."""
    named = config["configurable"]
    return named["thread_id"], named.get("checkpoint_ns", ""), named.get("checkpoint_id")


def config_of(thread_id: Any, namespace: str, id: str) -> RunnableConfig:
    """The config that names a checkpoint."""
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": id}}


async def tuple_of(thread: Thread, thread_id: Any, cell: cells.CheckpointCell, loads: Loads) -> CheckpointTuple | None:
    """A checkpoint with its values and what tasks wrote beside it; None if it was deleted since it was found.

    Whoever deletes it deletes it before the rest. So it is looked for once more together with the values, and after the
    writes.
    """
    checkpoint = cast(Checkpoint, loads(cell.checkpoint))
    waiting = await thread.all(cells.writes_prefix(cell.namespace, checkpoint["id"]))
    keys = {
        cells.blob_key(cell.namespace, channel, version): channel
        for channel, version in checkpoint["channel_versions"].items()
    }
    itself = cells.checkpoint_key(cell.namespace, checkpoint["id"])
    blobs = await thread.get([itself, *keys])
    if blobs.pop(itself, None) is None:
        return None
    checkpoint["channel_values"] = {keys[key]: loads(cells.decode_typed(raw)) for key, raw in blobs.items()}
    written = [cells.decode_write(raw) for raw in waiting.values()]
    written.sort(key=lambda one: writes_sort_key(one.path, one.task, one.index))
    pending: list[PendingWrite] = [(one.task, one.channel, loads(one.value)) for one in written]
    return CheckpointTuple(
        config_of(thread_id, cell.namespace, checkpoint["id"]),
        checkpoint,
        cast(CheckpointMetadata, loads(cell.metadata)),
        None if cell.parent is None else config_of(thread_id, cell.namespace, cell.parent),
        pending,
    )


async def cells_of(
    thread: Thread, config: RunnableConfig | None, before: RunnableConfig | None, loads: Loads
) -> AsyncIterator[tuple[cells.CheckpointCell, Mapping[str, Any]]]:
    """The checkpoints of a thread that a config names, with their metadata, newest first."""
    namespace = None if config is None else config["configurable"].get("checkpoint_ns")
    id = None if config is None else get_checkpoint_id(config)
    end = None if before is None else get_checkpoint_id(before)
    if namespace is None:
        found = sorted((await thread.all("c/")).items(), key=lambda one: one[0].rpartition("/")[2], reverse=True)
        pages: AsyncIterator[Sequence[tuple[str, bytes]]] = _once(found)
    elif id is not None:
        pages = _once([*(await thread.get([cells.checkpoint_key(namespace, id)])).items()])
    else:
        pages = _pages(thread, namespace, end)
    async for page in pages:
        for key, raw in page:
            name = key.rpartition("/")[2]
            wanted = id is None or name == cells.id_key(id)
            earlier = end is None or name < cells.id_key(end)
            if wanted and earlier:
                cell = cells.decode_checkpoint(raw)
                yield cell, cast(Mapping[str, Any], loads(cell.metadata))


async def _once(found: Sequence[tuple[str, bytes]]) -> AsyncIterator[Sequence[tuple[str, bytes]]]:
    yield found


async def _pages(thread: Thread, namespace: str, end: str | None) -> AsyncIterator[Sequence[tuple[str, bytes]]]:
    """The checkpoints of one namespace, newest first, page by page."""
    after = None if end is None else cells.checkpoint_key(namespace, end)
    while True:
        found, after = await thread.page(cells.checkpoint_prefix(namespace), limit=LIST_PAGE, after=after, newest=True)
        yield [*found.items()]
        if after is None:
            return


def refuse_unreadable(checkpoint: Checkpoint, metadata: CheckpointMetadata) -> None:
    """Raise NotFound for a checkpoint with a channel that only the checkpoints before it can tell, which are gone."""
    deltas = cast(Mapping[str, Any], metadata).get(DELTAS) or ()
    lost = [one for one in deltas if one in checkpoint["channel_versions"] and one not in checkpoint["channel_values"]]
    if lost:
        raise NotFound(
            f"the checkpoint that this one goes on from was deleted, and the channel {lost[0]!r} is rebuilt from it",
            remedy="Go on from the latest checkpoint of the thread.",
            channels=lost,
        )
