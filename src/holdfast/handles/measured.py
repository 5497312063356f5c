"""Counting the calls of public methods: a class says what its calls are named, and where its store is.

Every public coroutine method is counted, wherever it is called from; so `merge`, which mutates, counts as both. Of what
is used as a block its beginning and its end are counted: how long it waited for the session, say, and what its commit
met. What stands in the block is not.
Measured by hand in each method would be the same in fifty places. Without meters a call costs one look more.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from operator import attrgetter
from time import perf_counter
from typing import Any, TypeVar

from holdfast.handles.store import Store

C = TypeVar("C", bound=type)

_BLOCK = {"__aenter__": "begin", "__aexit__": "end", "_at_once": "at_once"}


def measured(noun: str, *, store: str, block: bool = False) -> Callable[[C], C]:
    """Count the public coroutine methods of a class as "noun.method", of a `block` as "noun.begin" and "noun.end" too
    (and "noun.at_once" where it can be awaited instead); `store` is the attribute that leads to it."""

    def decorate(kind: C) -> C:
        find: Callable[[Any], Store] = attrgetter(store)
        for name, method in list(vars(kind).items()):
            told = _BLOCK.get(name, name) if block else name
            if not told.startswith("_") and inspect.iscoroutinefunction(method):
                setattr(kind, name, _counted(f"{noun}.{told}", method, find))
        return kind

    return decorate


def _counted(name: str, method: Callable[..., Any], find: Callable[[Any], Store]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(self: Any, *args: Any, **given: Any) -> Any:
        meters = find(self).meters
        if meters is None:
            return await method(self, *args, **given)
        spans = meters.spans
        span = None if spans is None else spans.begin(name)
        raised: BaseException | None = None
        begun_s = perf_counter()
        try:
            return await method(self, *args, **given)
        except BaseException as problem:
            raised = problem
            raise
        finally:
            elapsed_s = perf_counter() - begun_s
            meters.method(name).add(elapsed_s, raised)
            if spans is not None:
                spans.end(span, elapsed_s, raised)

    return call
