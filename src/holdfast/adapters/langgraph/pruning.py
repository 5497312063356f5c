"""Taking what nobody needs any more out of a thread.

A checkpoint is kept with its channels' values and what tasks wrote beside it: the latest of each namespace, or those
that other runs made. A channel that LangGraph keeps as its writes (a DeltaChannel) is rebuilt from the checkpoints
before: these stay too, back to the one that holds the channel's value. A checkpoint's metadata name such channels.

Checkpoints go before the values that they led to, so that what is cut short leaves nothing that leads nowhere; the
next prune takes up what it left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from typing import Any

from holdfast.adapters.langgraph import cells
from holdfast.adapters.langgraph.cells import CheckpointCell, Typed
from holdfast.adapters.langgraph.thread import Thread
from holdfast.kernel.limits import listed

DELTAS = "counters_since_delta_snapshot"
"""Where LangGraph's metadata name the channels whose value is not in every checkpoint."""

RUN = "run_id"
"""Where they name the run that made the checkpoint."""

Loads = Callable[[Typed], Any]


async def prune(thread: Thread, loads: Loads) -> None:
    """Delete what the latest checkpoint of each namespace does not need."""
    checkpoints = await _checkpoints(thread)
    latest: dict[str, str] = {}
    for key in checkpoints:  # in order, so the last of each namespace is its latest
        latest[key.rpartition("/")[0]] = key
    await _leave(thread, checkpoints, latest.values(), loads)


def runs_of(run_ids: Iterable[str]) -> frozenset[str]:
    """The runs that are named. Raises InvalidValue for a text, and for what is no list."""
    return frozenset(listed(run_ids, "run_ids"))


async def delete_runs(thread: Thread, loads: Loads, runs: Collection[str]) -> None:
    """Delete the checkpoints that these runs made, but for what those of others need."""
    checkpoints = await _checkpoints(thread)
    others = [key for key, cell in checkpoints.items() if loads(cell.metadata).get(RUN) not in runs]
    if len(others) < len(checkpoints):
        await _leave(thread, checkpoints, others, loads)


async def _checkpoints(thread: Thread) -> dict[str, CheckpointCell]:
    return {key: cells.decode_checkpoint(raw) for key, raw in (await thread.all("c/")).items()}


async def _leave(
    thread: Thread, checkpoints: Mapping[str, CheckpointCell], wanted: Collection[str], loads: Loads
) -> None:
    """Delete all but these checkpoints and what they need."""
    blobs = set(await thread.keys("b/"))
    kept = set(wanted)
    for key in wanted:
        kept |= _ancestors(key, checkpoints, blobs, loads)
    await thread.delete([key for key in checkpoints if key not in kept])
    beside = {_writes_beside(key) for key in kept}
    await thread.delete([key for key in await thread.keys("w/") if _writes_beside(key) not in beside])
    needed = {blob for key in kept for blob in _values(checkpoints[key], loads).values()}
    await thread.delete([key for key in blobs if key not in needed])
    parts = await thread.keys("p/")
    if parts:
        needed = await thread.parts_in_use()
        await thread.delete([key for key in parts if key not in needed])


def _ancestors(key: str, checkpoints: Mapping[str, CheckpointCell], blobs: Set[str], loads: Loads) -> set[str]:
    """The checkpoints before one that its channels are rebuilt from."""
    cell = checkpoints[key]
    values = _values(cell, loads)
    missing = {channel for channel in loads(cell.metadata).get(DELTAS, ()) if values.get(channel) not in blobs}
    found: set[str] = set()
    while missing and cell.parent is not None:
        key = cells.checkpoint_key(cell.namespace, cell.parent)
        if key not in checkpoints:
            break
        found.add(key)
        cell = checkpoints[key]
        values = _values(cell, loads)
        missing = {channel for channel in missing if values.get(channel) not in blobs}
    return found


def _values(cell: CheckpointCell, loads: Loads) -> dict[str, str]:
    """Of each channel the key of the value it has in a checkpoint, if it has one."""
    versions = loads(cell.checkpoint)["channel_versions"]
    return {channel: cells.blob_key(cell.namespace, channel, version) for channel, version in versions.items()}


def _writes_beside(key: str) -> str:
    """What the key of a checkpoint and those of the writes beside it have in common: namespace and id."""
    return "/".join(key.split("/")[1:3])
