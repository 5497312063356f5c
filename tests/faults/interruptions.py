"""Cancelling a task at the n-th place where it waits."""

import asyncio
import types
from collections.abc import Callable
from typing import Any, Literal

When = Literal["asked", "answered"]
"""As the task begins to wait; or when what it waits for has come and the task has not run yet."""


class Reached(Exception):
    """The n-th suspension was reached and the cancellation was sent."""


@types.coroutine
def interrupted(coroutine: Any, *, at: int, when: When, reached: Callable[[], None]):
    """Await the coroutine, and cancel the task at its n-th suspension (counted from 1)."""
    suspensions = 0
    step, value = coroutine.send, None
    while True:
        try:
            awaited = step(value)
        except StopIteration as end:
            return end.value
        suspensions += 1
        if suspensions == at:
            reached()
            task = asyncio.current_task()
            if when == "asked" or not isinstance(awaited, asyncio.Future):
                task.cancel()
            else:
                awaited.add_done_callback(lambda _, task=task: task.cancel())
        try:
            value = yield awaited
            step = coroutine.send
        except BaseException as problem:
            value = problem
            step = coroutine.throw
