"""What must come before what: a graph over operations, and the search for a cycle in it.

That every end comes before every later beginning would be an edge for each such pair. Instead the moments themselves
are nodes in a chain: an operation comes before the moment it ended, each moment before the next one, and the moment an
operation began before the operation. So the graph stays as small as the history.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

Node = str | int
"""An operation by its id, or a moment."""


class Precedence:
    """A growing graph of "must come before"."""

    def __init__(self) -> None:
        self._after: dict[Node, set[Node]] = defaultdict(set)

    def add(self, earlier: str, later: str) -> None:
        """One operation must come before another."""
        if earlier != later:
            self._after[earlier].add(later)

    def add_times(self, spans: Iterable[tuple[str, int, int | None]]) -> None:
        """(operation, began, ended) of each; None if its end tells nothing. All moments of all clients must differ."""
        moments: list[int] = []
        for name, began, ended in spans:
            moments.append(began)
            self._after[began].add(name)
            if ended is not None:
                moments.append(ended)
                self._after[name].add(ended)
        moments.sort()
        for earlier, later in pairwise(moments):
            if earlier == later:
                raise ValueError(f"two moments of a history are the same: {earlier}")
            self._after[earlier].add(later)

    def cycle(self) -> list[str] | None:
        """The operations of one cycle, in order and closed; None if there is none."""
        left = self._never_first()
        if not left:
            return None
        # Every node that is left has a predecessor that is left too: walking back must come round.
        before: dict[Node, Node] = {}
        for node in left:
            for later in self._after.get(node, ()):
                if later in left:
                    before[later] = node
        walk: list[Node] = [next(iter(left))]
        places = {walk[0]: 0}
        while (node := before[walk[-1]]) not in places:
            places[node] = len(walk)
            walk.append(node)
        ring = [*walk[places[node] :], node][::-1]
        return [_text(ring, n) for n in range(len(ring)) if isinstance(ring[n], str)]

    def _never_first(self) -> set[Node]:
        """The nodes that remain when whatever has nothing before it is taken away, again and again."""
        count: dict[Node, int] = defaultdict(int)
        for node, later in self._after.items():
            count[node] += 0
            for one in later:
                count[one] += 1
        free = [node for node, number in count.items() if number == 0]
        while free:
            node = free.pop()
            del count[node]
            for one in self._after.get(node, ()):
                count[one] -= 1
                if count[one] == 0:
                    free.append(one)
        return set(count)


def _text(ring: list[Node], n: int) -> str:
    """The operation, marked where time and not data puts it behind its predecessor."""
    return f"(time) {ring[n]}" if isinstance(ring[n - 1], int) else str(ring[n])


__all__ = ["Node", "Precedence"]
