"""Where tasks of one loop queue up that do the same step: the first does it, the others are told what it came to.

A step that calls itself, or two that call each other, would wait for ever. So each step notes which others are waited
for inside it; who would close the circle is refused.

    run.step("a") { run.step("b") { run.step("a") } }      "a" waits for "b", and "b" would wait for "a"
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import NamedTuple
from weakref import WeakKeyDictionary

from holdfast.errors import InvalidTransition, shown
from holdfast.handles.store import Store


class _Step(NamedTuple):
    """A step that is under way: the lock in which others wait for it, and the key of what it comes to."""

    lock: asyncio.Lock
    store: Store
    scope: str
    key: str


_INSIDE: ContextVar[tuple[_Step, ...]] = ContextVar("holdfast_steps", default=())
"""The steps that this code runs in."""

_WAITING: WeakKeyDictionary[asyncio.Lock, list[asyncio.Lock]] = WeakKeyDictionary()
"""For which steps is waited inside of a step."""


@asynccontextmanager
async def queued(store: Store, scope: str, key: str, name: str, *, token: int) -> AsyncIterator[None]:
    """A block that one task at a time enters for the step of that key, of those who hold the run by that token: workers
    do not wait for each other's steps. Raises InvalidTransition if it would wait for itself."""
    lock = store.queue("step", scope, key, token)
    inside = tuple([step.lock for step in _INSIDE.get()])
    if _waits_for(lock, inside):
        raise InvalidTransition(
            f"the step {shown(name)} is under way, and would wait for itself",
            remedy="Call the function itself, or tell the steps apart: by a `key`, or by their arguments.",
        )
    for step in inside:
        _WAITING.setdefault(step, []).append(lock)
    try:
        await lock.acquire()
    finally:
        for step in inside:
            _WAITING[step].remove(lock)
    before = _INSIDE.set((*_INSIDE.get(), _Step(lock, store, scope, key)))
    try:
        yield
    finally:
        _INSIDE.reset(before)
        lock.release()


def inside_of(store: Store, scope: str) -> tuple[str, ...]:
    """The keys of the steps in that scope that this code runs in."""
    return tuple([one.key for one in _INSIDE.get() if one.store.writer is store.writer and one.scope == scope])


def _waits_for(lock: asyncio.Lock, ends: tuple[asyncio.Lock, ...]) -> bool:
    """Whether what holds that lock waits for one of these, or is one."""
    seen, ahead = set[asyncio.Lock](), [lock]
    while ends and ahead:
        step = ahead.pop()
        if step in ends:
            return True
        if step not in seen:
            seen.add(step)
            ahead += _WAITING.get(step, ())
    return False
