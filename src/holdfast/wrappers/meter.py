"""Counting calls: how many, how they ended, how long they took.

A histogram of fixed buckets, each √2 times as wide as the one before, from a microsecond to a minute: a percentile is
told as the upper end of its bucket, so at most 1.42 times too high, and never above the longest call there was. Adding
a call is a search among fifty numbers and three additions, under a lock, for several threads may end theirs at once.
"""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_left
from typing import Protocol

from holdfast.errors import HoldfastError
from holdfast.model.stats import CallStats

BOUNDS_S: tuple[float, ...] = tuple(2.0 ** (step / 2) / 1_000_000 for step in range(53))
"""The upper ends of the buckets; what took longer than the last is in one more."""


class Meter:
    """The calls of one name."""

    __slots__ = ("_buckets", "_calls", "_errors", "_lock", "_longest_s", "_total_s")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._errors: dict[str, int] = {}
        self._buckets = [0] * (len(BOUNDS_S) + 1)
        self._total_s = self._longest_s = 0.0

    def add(self, elapsed_s: float, problem: BaseException | None = None) -> None:
        """Count one call that ended, with what it raised."""
        place = bisect_left(BOUNDS_S, elapsed_s)
        with self._lock:
            self._calls += 1
            self._buckets[place] += 1
            self._total_s += elapsed_s
            if elapsed_s > self._longest_s:
                self._longest_s = elapsed_s
            if problem is not None:
                code = code_of(problem)
                self._errors[code] = self._errors.get(code, 0) + 1

    def read(self) -> CallStats:
        """The figures as of now."""
        with self._lock:
            buckets, longest_s = list(self._buckets), self._longest_s
            calls, errors, total_s = self._calls, dict(self._errors), self._total_s
        half, most, nearly_all = (_percentile_us(buckets, share, longest_s) for share in (0.50, 0.95, 0.99))
        return CallStats(
            calls=calls,
            errors=errors,
            total_s=total_s,
            p50_us=half,
            p95_us=most,
            p99_us=nearly_all,
            max_us=longest_s * 1e6,
        )


class Spans(Protocol):
    """Something that wants to be told of calls while they go on: traces."""

    def begin(self, name: str) -> object:
        """A call begins, in this task; returns what `end` is to be given."""
        ...

    def end(self, span: object, elapsed_s: float, problem: BaseException | None) -> None:
        """The call ended, with what it raised."""
        ...

    def trace_id(self) -> str | None:
        """The trace that the present task is in, in 32 hexadecimal digits; None if it is in none."""
        ...


class Meters:
    """The meters of one opened store, of public methods and of the kernel's verbs. `spans` is told of each call."""

    def __init__(self, spans: Spans | None = None) -> None:
        self.methods: dict[str, Meter] = {}
        self.verbs: dict[str, Meter] = {}
        self.spans = spans

    def method(self, name: str) -> Meter:
        """The meter of a public method, made when missing."""
        return self.methods.get(name) or self.methods.setdefault(name, Meter())

    def verb(self, name: str) -> Meter:
        """The meter of a kernel's verb, made when missing."""
        return self.verbs.get(name) or self.verbs.setdefault(name, Meter())


def code_of(problem: BaseException) -> str:
    """What a call that raised this is counted under: an error's code, "cancelled", or the name of its class."""
    if isinstance(problem, HoldfastError):
        return problem.code
    return "cancelled" if isinstance(problem, asyncio.CancelledError) else type(problem).__name__


def _percentile_us(buckets: list[int], share: float, longest_s: float) -> float:
    rank, seen = share * sum(buckets), 0
    for bound_s, count in zip(BOUNDS_S, buckets, strict=False):
        seen += count
        if seen >= rank and seen:
            return min(bound_s, longest_s) * 1e6
    return longest_s * 1e6
