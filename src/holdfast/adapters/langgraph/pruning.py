"""Taking what nobody needs any more out of a thread, while others may write to it.

A checkpoint is kept with its channels' values and what tasks wrote beside it: the latest of each namespace, or those
that other runs made. A channel that LangGraph keeps as its writes (a DeltaChannel) is rebuilt from the checkpoints
before: these stay too, back to the one that holds the channel's value. A checkpoint's metadata name such channels.

Checkpoints go before the values that they led to, so that what is cut short leaves nothing that leads nowhere; the
next prune takes up what it left.

What somebody puts meanwhile loses nothing:

    it comes before the commit that takes     the commit is refused: no checkpoint was put since the values were
                                              listed. Then all is looked at anew
    it comes after, in one commit             it rests on its parent being there, whose values are there as well;
                                              else it brings all its values
    it comes after, in several                it begins once more: see `thread`

What a task wrote may be there before the checkpoint that it stands beside. So only those writes go whose checkpoint
went: each leaves a mark, in the same commit, until they have gone too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from typing import Any

from holdfast.adapters.langgraph import cells
from holdfast.adapters.langgraph.cells import CheckpointCell, Typed
from holdfast.adapters.langgraph.thread import ATTEMPTS, Thread
from holdfast.errors import Conflict
from holdfast.kernel.limits import listed

DELTAS = "counters_since_delta_snapshot"
"""Where LangGraph's metadata name the channels whose value is not in every checkpoint."""

RUN = "run_id"
"""Where they name the run that made the checkpoint, if whoever called the graph named it."""

Loads = Callable[[Typed], Any]
Checkpoints = Mapping[str, CheckpointCell]
Wanted = Callable[[Checkpoints], Collection[str]]
"""Which checkpoints are to stay, by their keys."""


def latest(checkpoints: Checkpoints) -> Collection[str]:
    """The latest of each namespace."""
    found: dict[str, str] = {}
    for key in checkpoints:  # in order, so the last of each namespace is its latest
        found[key.rpartition("/")[0]] = key
    return found.values()


def runs_of(run_ids: Iterable[str]) -> frozenset[str]:
    """The runs that are named. Raises InvalidValue for a text, and for what is no list."""
    return frozenset(listed(run_ids, "run_ids"))


async def delete_runs(thread: Thread, loads: Loads, runs: Collection[str]) -> None:
    """Delete the checkpoints that these runs made, but for what those of others need."""

    def others(checkpoints: Checkpoints) -> Collection[str]:
        return [key for key, cell in checkpoints.items() if loads(cell.metadata).get(RUN) not in runs]

    checkpoints = await _checkpoints(thread)
    if len(others(checkpoints)) < len(checkpoints):
        await leave(thread, loads, others)


async def leave(thread: Thread, loads: Loads, wanted: Wanted) -> None:
    """Delete all but the checkpoints that are wanted and what they need.

    Raises Conflict, with part of it done, if checkpoints kept being put all the while.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            await _leave(thread, loads, wanted)
            return
        except Conflict:
            continue
    await _leave(thread, loads, wanted)


async def _leave(thread: Thread, loads: Loads, wanted: Wanted) -> None:
    since = await thread.version()
    blobs = set(await thread.keys("b/"))
    checkpoints = await _checkpoints(thread)
    kept = set(wanted(checkpoints))
    for key in [*kept]:
        kept |= _ancestors(key, checkpoints, blobs, loads)
    since = await thread.delete([key for key in checkpoints if key not in kept], since=since, under="c/", mark=True)
    marks = await thread.keys("g/")
    gone = {cells.beside(key) for key in marks} - {cells.beside(key) for key in kept}
    if marks:
        writes = [key for key in await thread.keys("w/") if cells.beside(key) in gone]
        since = await thread.delete([*writes, *marks], since=since, under="c/")
    needed = {blob for key in kept for blob in _values(checkpoints[key], loads).values()}
    await thread.delete([key for key in blobs if key not in needed], since=since, under="c/")
    await _leave_parts(thread)


async def _leave_parts(thread: Thread) -> None:
    """Delete the parts of values that are gone. Whoever puts a value puts its parts as well."""
    since = await thread.version()
    parts = await thread.keys("p/")
    if parts:
        needed = await thread.parts_in_use()
        await thread.delete([key for key in parts if key not in needed], since=since, under="p/")


async def _checkpoints(thread: Thread) -> Checkpoints:
    return {key: cells.decode_checkpoint(raw) for key, raw in (await thread.all("c/")).items()}


def _ancestors(key: str, checkpoints: Checkpoints, blobs: Set[str], loads: Loads) -> set[str]:
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
