"""The cause of a commit: who, and for what. Kept with every record, shown by every change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace


class Cause(Struct, frozen=True, omit_defaults=True):
    """Why something was committed; what is not known is None.

    by          the actor
    trace_id    the trace of the request
    request     the request that a turn answers
    run, node   the run, and the node of it
    attempt     the how manieth try of that node, from 1
    answer      the question whose answer let it go on
    """

    by: str | None = None
    trace_id: str | None = None
    request: str | None = None
    run: str | None = None
    node: str | None = None
    attempt: int | None = None
    answer: str | None = None


NO_CAUSE = Cause()

current: ContextVar[Cause] = ContextVar("holdfast_cause", default=NO_CAUSE)
"""The cause of whatever this task commits now; set by `Holdfast.acting` and by turns."""


@contextmanager
def acting(**given: Any) -> Iterator[None]:
    """Let what this task commits inside the block, and what it starts there, have these fields of its cause too."""
    token = current.set(replace(current.get(), **given))
    try:
        yield
    finally:
        with suppress(ValueError):  # ended in another context, as a generator is that nobody finished
            current.reset(token)


def set_request(request: str | None) -> str | None:
    """Let what this task commits from now on, and what it starts, be for that request; returns the one it had.

    Not a block: what sets it back may run in a copy of the context it was set in, as calls of the blocking face do.
    """
    before = current.get()
    if before.request != request:
        after = replace(before, request=request)
        current.set(NO_CAUSE if after == NO_CAUSE else after)
    return before.request


def set_run(run: str, node: str | None, attempt: int | None) -> Cause:
    """Let what this task commits from now on be of that run, node and try; returns the cause it had, for `set_back`.

    Not a block, for the same reason.
    """
    before = current.get()
    current.set(replace(before, run=run, node=node, attempt=attempt))
    return before


def set_back(before: Cause) -> None:
    """Let what this task commits from now on have the run, node and try that it had before."""
    now = current.get()
    after = replace(now, run=before.run, node=before.node, attempt=before.attempt)
    current.set(NO_CAUSE if after == NO_CAUSE else after)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Cause).decode


def encode_cause(cause: Cause) -> bytes:
    """The bytes a record keeps; none for no cause."""
    return b"" if cause is NO_CAUSE or cause == NO_CAUSE else _encode(cause)


def decode_cause(raw: bytes) -> Cause:
    """The cause that a record kept."""
    return _decode(raw) if raw else NO_CAUSE
