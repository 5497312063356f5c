"""One buffer: the runtime state of one life of one session that waits to be committed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from holdfast.errors import HoldfastError, Indeterminate, StoreFull
from holdfast.kernel.keys import KEY_BYTES_MAX
from holdfast.model import cause

Values = Mapping[str, bytes]
"""Encoded values by their keys."""

Send = Callable[[Values], Awaitable[object]]
"""Commits values by themselves."""

Life = tuple[str, int]
"""One life of one session: its scope and epoch."""


class Batch:
    """Writes that are committed together, for they have one cause."""

    __slots__ = ("cause", "sealed", "size", "values", "writes")

    def __init__(self, why: cause.Cause) -> None:
        self.values: dict[str, bytes] = {}
        self.writes = 0
        self.size = 0
        self.sealed = False  # on its way, so that nothing may be added
        self.cause = why

    def growth(self, values: Values) -> int:
        """How much larger it would be with these."""
        return size_of(values) - size_of({key: self.values[key] for key in self.values.keys() & values.keys()})


class Buffer:
    """What waits of one session. Every field is read and changed under the lock of its `Buffers`."""

    __slots__ = ("batches", "given_up", "life", "problem", "send", "sender", "settled", "taken", "timer", "waiters")

    def __init__(self, life: Life, send: Send) -> None:
        self.life = life
        self.send = send
        self.batches: deque[Batch] = deque()
        self.taken = self.settled = 0  # writes ever taken in, and no longer waiting
        self.sender: asyncio.AbstractEventLoop | None = None  # where a batch is on its way
        self.timer: asyncio.AbstractEventLoop | None = None  # where somebody waits for `flush_every`
        self.waiters: list[asyncio.Future[HoldfastError | None]] = []
        self.problem: HoldfastError | None = None  # why writes were given up, until somebody was told
        self.given_up = 0

    @property
    def pending(self) -> int:
        """Writes that wait."""
        return self.taken - self.settled

    @property
    def is_sending(self) -> bool:
        """Whether a batch is on its way: one whose loop has been closed never comes back."""
        return self.sender is not None and not self.sender.is_closed()

    def values(self) -> dict[str, bytes]:
        """All that waits, by key."""
        return {key: raw for batch in self.batches for key, raw in batch.values.items()}


def size_of(values: Values) -> int:
    """What values count for: cells, and lines of the log."""
    return sum(2 * len(raw) + 4 * KEY_BYTES_MAX for raw in values.values())


def may_pass(problem: HoldfastError) -> bool:
    """Whether the same batch may be stored later."""
    return problem.retryable or isinstance(problem, (Indeterminate, StoreFull))
