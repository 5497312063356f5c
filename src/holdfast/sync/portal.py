"""Calls from threads into one event loop: what the blocking face stands on.

One loop in one daemon thread serves the whole process, started by the first call. A calling thread queues its call,
wakes the loop unless it was woken already, and waits. So the calls of many threads become tasks of one loop, whose
commits gather into batches there as those of any tasks do; nothing is batched here.

A call is a task that runs in a copy of its thread's context. What it sets there (the transaction it entered) is set in
the thread's own context when it returns, so that a block spans several calls as it does in a coroutine.

A function that is given to a call (the body of `transact`, a step) runs in the thread that made the call, which waits
anyway: there it may block, and make calls of its own. Tried and rejected: a pool of threads for them. It lost the
context, thread-locals and Ctrl-C.

Interrupted, or out of time, a call is cancelled as a task is, and its end is awaited. That does no harm: a commit that
was not yet sent never will be, one that was may still be applied.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, Token, copy_context
from queue import Empty, SimpleQueue
from typing import Any

from holdfast import system
from holdfast.errors import Closed, HoldfastError, InvalidValue
from holdfast.handles.threads import made_for
from holdfast.model.duration import Duration, to_seconds

_clock = system.SystemClock()
_deadline: ContextVar[float | None] = ContextVar("holdfast_sync_deadline", default=None)


@contextmanager
def timeout(duration: Duration) -> Iterator[None]:
    """Let blocking calls of this thread in the block end with TimeoutError once that much time has passed.

        with timeout("2s"):
            for change in changes: ...

    A call that runs out of time is cancelled: what it had not yet sent is not written, a commit that was on its way may
    be. A stream that timed out goes on with the next call where it was. Of two blocks the earlier end counts. Leaving a
    block by an exception is never cut short.
    """
    end_s = _clock.monotonic_s() + to_seconds(duration, "timeout")
    before = _deadline.get()
    _deadline.set(end_s if before is None else min(before, end_s))
    try:
        yield
    finally:
        _deadline.set(before)


class Call:
    """One call on its way: what is called, and where its thread waits."""

    __slots__ = ("_answers", "args", "context", "error", "fn", "kwargs", "task", "value")

    def __init__(self, fn: Callable[..., Awaitable[Any]], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.context = copy_context()
        self.task: asyncio.Task[None] | None = None
        self.value: Any = None
        self.error: BaseException | None = None
        self._answers: SimpleQueue[Visit | None] = SimpleQueue()

    async def run(self) -> None:
        """Make the call in the loop. Nothing that it raises, an exit neither, goes to the loop."""
        try:
            self.value = await self.fn(*self.args, **self.kwargs)
        except BaseException as error:
            self.error = error
        finally:
            self._answers.put(None)

    def visit(self, fn: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
        """An async function that runs `fn` in the calling thread."""

        async def run(*args: Any, **kwargs: Any) -> Any:
            visit = Visit(fn, args, kwargs)
            self._answers.put(visit)
            try:
                return await visit.future
            finally:
                adopt(visit.context)

        return run

    def wait(self, deadline_s: float | None) -> None:
        """Wait in the calling thread until it is done, and run there what visits it. Raises TimeoutError."""
        while True:
            left_s = None if deadline_s is None else max(deadline_s - _clock.monotonic_s(), 0.0)
            try:
                visit = self._answers.get(timeout=left_s)
            except Empty:
                raise TimeoutError("the call took longer than its `timeout` block allows") from None
            if visit is None:
                return
            visit.answer()

    def wait_for_end(self) -> None:
        """Wait until it is done, whatever it asks for meanwhile."""
        while self._answers.get() is not None:
            pass

    def is_over(self) -> None:
        """Tell its thread that there is nothing to wait for."""
        self._answers.put(None)

    def cancel(self) -> None:
        """Cancel it, in the loop; not before it began, or nobody would learn of its end."""
        if self.task is not None:
            self.task.get_loop().call_soon(self.task.cancel)


class Visit:
    """A function that the loop asks a waiting thread to run."""

    def __init__(self, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.context = copy_context()
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._fn = fn
        self._args = args
        self._kwargs = kwargs

    def answer(self) -> None:
        """Run it, in the calling thread, and let the loop know what came of it."""
        value, error = None, None
        try:
            value = self.context.run(self._fn, *self._args, **self._kwargs)
            if asyncio.iscoroutine(value):
                value.close()
                raise InvalidValue("give a plain function to a blocking call, not an async one", path="fn")
        except BaseException as problem:
            error = problem
        self.future.get_loop().call_soon_threadsafe(self._settle, value, error)

    def _settle(self, value: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if isinstance(error, StopIteration):  # which no future takes
            error, error.__cause__ = RuntimeError("the function raised StopIteration"), error
        if error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)


class Portal:
    """The loop that serves a process's blocking calls."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.lost = False
        self._calls: deque[Call] = deque()
        self._woken = False
        self._thread = threading.Thread(target=self._serve, name="holdfast.sync", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(
        self,
        fn: Callable[..., Awaitable[Any]],
        *args: Any,
        visits: Callable[[Call], None] | None = None,
        context: Context | None = None,
        timed: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Await `fn(*args, **kwargs)` in the loop, while this thread waits; returns or raises what it does.

        `visits` may replace arguments by functions that run in this thread; `context` is one to run in instead of a
        copy of this thread's, and then the caller takes from it what was set there; without `timed` no `timeout` block
        counts.
        """
        self.check()
        call = Call(fn, args, kwargs)
        if context is not None:
            call.context = context
        if visits is not None:
            visits(call)
        try:
            self._calls.append(call)
            if not self._woken:
                self._woken = True
                self.loop.call_soon_threadsafe(self._start_calls)
            call.wait(_deadline.get() if timed else None)
        except BaseException:  # Ctrl-C between any two of these steps, or out of time
            self.loop.call_soon_threadsafe(self._withdraw, call)
            call.wait_for_end()
            raise
        finally:
            if context is None:
                adopt(call.context)
        if call.error is not None:
            try:
                word(call.error)
                raise call.error
            finally:
                del call, args, kwargs  # an error holds its frames: these must not hold the error
        return call.value

    def check(self) -> None:
        """Raise where a call could never be answered: in a forked child, and in the loop's own thread."""
        if self.lost:
            raise Closed("this store was opened before the fork: open it after, or start the process with spawn")
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "a blocking call was made in the thread that serves them, by a function that a call was given: "
                "let it compute only, or use `transact`"
            )

    def here(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `fn`, which awaits nothing, in this thread for the loop."""
        if self.lost:
            self.check()
        token = made_for.set(self.loop)
        try:
            return fn(*args, **kwargs)
        except HoldfastError as error:
            word(error)
            raise
        finally:
            made_for.reset(token)

    def _withdraw(self, call: Call) -> None:
        """See to it that a call ends, wherever its thread was interrupted; in the loop."""
        if call.task is None:
            with suppress(ValueError):
                self._calls.remove(call)
            call.is_over()
            self._start_calls()  # of other threads, which may not have been told of
        elif call.task.done():
            call.is_over()
        else:
            call.cancel()

    def _start_calls(self) -> None:
        self._woken = False
        calls = self._calls
        while calls:
            call = calls.popleft()
            call.task = self.loop.create_task(call.run(), context=call.context)


def blocking_words(text: str) -> str:
    """A text about calls as it reads where nothing is awaited."""
    for word, here in (("async with", "with"), ("async for", "for"), ("await ", ""), ("aclose", "close")):
        text = text.replace(word, here)
    return text


def word(error: BaseException) -> None:
    """Let the code between backticks in an error be that of the blocking face."""
    if isinstance(error, HoldfastError):
        error.args = tuple([_worded(one) if isinstance(one, str) else one for one in error.args])
        if (remedy := _worded(error.remedy)) != error.remedy:
            error.remedy = remedy
        error.__notes__ = [_worded(note) for note in getattr(error, "__notes__", ())]


def _worded(text: str) -> str:
    return _CODE.sub(lambda code: blocking_words(code[0]), text)


_CODE = re.compile("`[^`]*`")


def adopt(context: Context) -> list[Token[Any]]:
    """Set here what was set in that context; returns the tokens of what was never set here before."""
    tokens = []
    for variable, value in context.items():
        before = variable.get(_UNSET)
        if before is not value:
            token = variable.set(value)
            if token.old_value is Token.MISSING:
                tokens.append(token)
    return tokens


_UNSET = object()
_starting = threading.Lock()
_portal: Portal | None = None
_lost: list[Portal] = []  # those of a parent process: kept, since nothing of theirs may be closed here


def portal() -> Portal:
    """The portal of this process, started when it is first asked for."""
    global _portal
    if _portal is None:
        with _starting:
            if _portal is None:
                _portal = Portal()
    return _portal


def _forget() -> None:
    global _portal, _starting
    _starting = threading.Lock()
    if _portal is not None:
        _portal.lost = True
        _lost.append(_portal)
        _portal = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
