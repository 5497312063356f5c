"""The graph of a run: which node waits for which, and the frontier of those that may begin.

What a node is follows from what is kept of it and from those it depends on:

    something is kept, and it holds still       what it says
    enough of those it waits for are completed  ready
    too few of them can still be                skipped
    else                                        waiting

A pause holds until the run is resumed. That is one number of the run's record, however many nodes go on with it: what
was paused when the run had been resumed less often is as those make it that it depends on.

What is kept of a node holds no longer when one that it depends on goes through another round than the one it was seen
in: then everything behind that one is to be done again. So a loop is one write, to the node it begins with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Any

from msgspec.structs import replace

from holdfast.errors import InvalidTransition, InvalidValue, shown
from holdfast.model.node import NodeRecord, NodeStatus
from holdfast.model.node_spec import NodeSpec

NODES_MAX = 10_000
"""Nodes of one run at most."""

NAME_MAX = 200
"""Bytes of a node's name at most: it is part of a key."""

_DONE, _FAILED, _SKIPPED = NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.SKIPPED
_READY, _WAITING, _RUNNING, _PAUSED = NodeStatus.READY, NodeStatus.WAITING, NodeStatus.RUNNING, NodeStatus.PAUSED
_OUT = (_FAILED, _SKIPPED)


def specs_of(
    nodes: Mapping[str, Any] | Iterable[str] | None, *, known: Mapping[str, NodeSpec] | None = None
) -> dict[str, NodeSpec]:
    """The specifications of nodes, checked: `{"search": [], "pay": ["search"], "tell": NodeSpec(after=["pay"])}`.

    Several names without dependencies may be given as such. Raises InvalidValue for what is none, for a dependency that
    is not there, naming both, and for a cycle, naming its nodes in order.
    """
    if nodes is None:
        return {}
    if isinstance(nodes, (str, bytes)) or not isinstance(nodes, (Mapping, Iterable)):
        raise InvalidValue(f"nodes must be a mapping of names to what they wait for, not {shown(nodes)}", path="nodes")
    given = nodes.items() if isinstance(nodes, Mapping) else ((name, ()) for name in islice(nodes, NODES_MAX + 1))
    specs = {_name(name): _spec(name, wanted) for name, wanted in given}
    both = {**(known or {}), **specs}
    if len(both) > NODES_MAX:
        raise InvalidValue(f"{len(both)} nodes; a run has at most {NODES_MAX}", path="nodes")
    for name, spec in specs.items():
        for other in spec.after:
            if other not in both:
                raise InvalidValue(
                    f"the node {name!r} waits for {shown(other)}, which is not there", path=f"nodes.{name}"
                )
    _check_order(both)
    return specs


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name or len(name.encode("utf-8", "replace")) > NAME_MAX:
        raise InvalidValue(f"the name of a node is text of 1 to {NAME_MAX} bytes, not {shown(name)}", path="nodes")
    return name


def _spec(name: str, wanted: Any) -> NodeSpec:
    path = f"nodes.{name}"
    if not isinstance(wanted, NodeSpec):
        return NodeSpec(after=_names(wanted, path))
    after = _names(wanted.after, path)
    if type(wanted.join) is int and wanted.join > len(after):
        raise InvalidValue(f"join must be from 1 to the {len(after)} it waits for, not {wanted.join}", path=path)
    return wanted if after == wanted.after else replace(wanted, after=after)


def _names(wanted: Any, path: str) -> tuple[str, ...]:
    if isinstance(wanted, (str, bytes, Mapping)) or not isinstance(wanted, Iterable):
        raise InvalidValue(f"what a node waits for is a list of names, not {shown(wanted)}", path=path)
    names = tuple(islice(wanted, NODES_MAX + 1))  # which ends, also where they do not
    for name in names:
        if not isinstance(name, str):
            raise InvalidValue(f"what a node waits for is a list of names; {shown(name)} is none", path=path)
    return tuple(dict.fromkeys(names))


def _check_order(specs: Mapping[str, NodeSpec]) -> None:
    try:
        TopologicalSorter({name: spec.after for name, spec in specs.items()}).prepare()
    except CycleError as problem:
        around = " → ".join(reversed(problem.args[1]))
        raise InvalidValue(f"the nodes wait for each other: {around}", path="nodes") from None


def _loops(record: NodeRecord) -> bool:
    """Whether it tells of another round than the first: until one does, nothing that is kept can be out of date."""
    return record.round != 1 or bool(record.seen)


def _ordered(specs: Mapping[str, NodeSpec]) -> dict[str, int]:
    """The place of each node in an order in which they could be done: that in which they were given, if it is one."""
    names: Iterable[str] = specs
    later = set(specs)
    for name, spec in specs.items():
        if not later.isdisjoint(spec.after):
            names = TopologicalSorter({name: spec.after for name, spec in specs.items()}).static_order()
            break
        later.discard(name)
    return {name: place for place, name in enumerate(names)}


class Board:
    """The nodes of one run as far as they were seen: what is kept of each, and what follows from that.

    `token` is that of the claim under which the run is held here, 0 without one: a node that runs under an older claim
    was interrupted, and is ready again. `resumed` is how often the run was resumed.
    """

    def __init__(
        self, specs: Mapping[str, NodeSpec], records: Mapping[str, NodeRecord], *, token: int = 0, resumed: int = 0
    ) -> None:
        self.specs = dict(specs)
        self.records = dict(records)
        self.token = token
        self.resumed = resumed
        self.statuses: dict[str, NodeStatus] = {}
        self._ready: set[str] = set()
        self._stale: set[str] = set()
        self._behind: dict[str, list[str]] | None = None  # of each node those that wait for it, once that is asked
        self._loops = any(map(_loops, self.records.values()))
        self._order = _ordered(self.specs)
        self._judge(self._order)

    def dependents(self, node: str) -> Sequence[str]:
        """The nodes that wait for that one."""
        if self._behind is None:
            self._behind = {name: [] for name in self.specs}
            for name, spec in self.specs.items():
                for other in spec.after:
                    self._behind[other].append(name)
        return self._behind[node]

    def round(self, node: str) -> int:
        """How often a node is gone through, this time included."""
        record = self.records.get(node)
        return 1 if record is None else record.round + (node in self._stale)

    def record(self, node: str) -> NodeRecord:
        """What is kept of a node, if it holds still; else what it begins anew from."""
        record = self.records.get(node)
        if record is None or node in self._stale:
            return NodeRecord(NodeStatus.READY, round=self.round(node), seen=self._seen_by(node))
        return record

    def put(self, node: str, record: NodeRecord) -> None:
        """Take note of what is kept of a node now, and of all that follows."""
        was = self._state(node)
        self._loops = self._loops or _loops(record)
        self.records[node] = record
        self._settle(node, was)

    def forget(self, node: str) -> None:
        """Take it that nothing is kept of a node."""
        was = self._state(node)
        self.records.pop(node, None)
        self._settle(node, was)

    def hold(self, token: int) -> None:
        """The run is held by that claim from now on."""
        self.token = token
        self._judge([name for name, record in self.records.items() if record.status is NodeStatus.RUNNING])

    def resume(self, resumed: int) -> None:
        """The run was resumed so often."""
        if resumed != self.resumed:
            self.resumed = resumed
            if any(record.status is _PAUSED for record in self.records.values()):
                self._judge(self._order)

    def check_begins_again(self, node: str) -> None:
        """Raise InvalidTransition where a node cannot go through another round: because of those it depends on it would
        be skipped all the same."""
        if self._derived(node) is _SKIPPED:
            out = [other for other in self.specs[node].after if self.statuses[other] in _OUT]
            raise InvalidTransition(
                f"the node {node!r} is skipped as long as {', '.join(out)} cannot be completed",
                remedy=f'Begin another round of what it depends on: `await run.progress({out[0]!r}, "ready")`.',
                node=node,
                status=self.statuses[node],
                to=_READY,
                allowed=(),
            )

    def _seen_by(self, node: str) -> dict[str, int]:
        """In which rounds those are that a node depends on, as it begins; those in their first are left out."""
        rounds = {other: self.round(other) for other in self.specs[node].after}
        return {other: round for other, round in rounds.items() if round != 1}

    def ready(self, now_us: int) -> list[str]:
        """The frontier: the nodes that may begin now, in an order in which they could be done one by one."""
        due = [name for name in self._ready if (self._next_us(name) or 0) <= now_us]
        return sorted(due, key=self._order.__getitem__)

    @property
    def next_us(self) -> int | None:
        """When the next of the ready nodes that pause before another try may begin; None if none does."""
        times = [next_us for name in self._ready if (next_us := self._next_us(name)) is not None]
        return min(times, default=None)

    def _next_us(self, node: str) -> int | None:
        record = self.records.get(node)
        return None if record is None or node in self._stale else record.next_us

    @property
    def is_idle(self) -> bool:
        """Whether no node runs and none is ready, now or after its pause."""
        return not any(status in (NodeStatus.RUNNING, NodeStatus.READY) for status in self.statuses.values())

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do: every node is completed, failed or skipped."""
        return all(status is _DONE or status in _OUT for status in self.statuses.values())

    @property
    def current(self) -> str | None:
        """The node that began last, of those that run if any does."""
        begun = [
            (self.statuses[name] is NodeStatus.RUNNING, record.started_us or 0, self._order[name], name)
            for name, record in self.records.items()
            if record.started_us is not None
        ]
        return max(begun)[3] if begun else None

    def _state(self, node: str) -> tuple[NodeStatus, int]:
        """All that those depend on that depend on a node."""
        return self.statuses[node], self.round(node)

    def _settle(self, node: str, was: tuple[NodeStatus, int]) -> None:
        """Say anew what a node is, of which something else is kept, and what is behind it as far as that changes."""
        self._judge((node,))
        if self._state(node) == was:
            return
        waiting = [(self._order[other], other) for other in self.dependents(node)]
        met = {name for _, name in waiting}
        heapify(waiting)
        while waiting:
            name = heappop(waiting)[1]
            before = self._state(name)
            self._judge((name,))
            if self._state(name) == before:
                continue
            for other in self.dependents(name):
                if other not in met:
                    met.add(other)
                    heappush(waiting, (self._order[other], other))

    def _judge(self, names: Iterable[str]) -> None:
        """Say anew what those nodes are, which come in order."""
        kept, statuses, ready, loops = self.records.get, self.statuses, self._ready, self._loops
        for name in names:
            record = kept(name)
            if loops:
                if record is not None and self._is_stale(name, record):
                    self._stale.add(name)
                    record = None
                else:
                    self._stale.discard(name)
            status = self._derived(name) if record is None else self._told(name, record)
            statuses[name] = status
            if status is _READY:
                ready.add(name)
            else:
                ready.discard(name)

    def _told(self, node: str, record: NodeRecord) -> NodeStatus:
        status = record.status
        if status is _READY or (status is _PAUSED and record.goes_on(self.resumed)):  # if it may begin at all
            return self._derived(node)
        return _READY if status is _RUNNING and 0 != self.token != record.token else status

    def _derived(self, node: str) -> NodeStatus:
        spec = self.specs[node]
        after, statuses = spec.after, self.statuses
        if not after:
            return _READY
        done = out = 0
        for other in after:
            status = statuses[other]
            if status is _DONE:
                done += 1
            elif status is _FAILED or status is _SKIPPED:
                out += 1
        needed = len(after) if spec.join == "all" else spec.needed
        if done >= needed:
            return _READY
        return _SKIPPED if len(after) - out < needed else _WAITING

    def _is_stale(self, node: str, record: NodeRecord) -> bool:
        """Whether one that it depends on is in another round than the one it was seen in, or on its way there."""
        return any(self.round(other) != record.seen.get(other, 1) for other in self.specs[node].after)
