"""The cause of a commit: who, and in which trace. Kept with every record, shown by every change."""

from __future__ import annotations

from contextvars import ContextVar

import msgspec
from msgspec import Struct


class Cause(Struct, frozen=True, omit_defaults=True):
    """Why something was committed: `by` names the actor, `trace_id` the trace of the request."""

    by: str | None = None
    trace_id: str | None = None


NO_CAUSE = Cause()

current: ContextVar[Cause] = ContextVar("holdfast_cause", default=NO_CAUSE)
"""The cause of whatever this task commits now; set by `Holdfast.acting`."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Cause).decode


def encode_cause(cause: Cause) -> bytes:
    """The bytes a record keeps; none for no cause."""
    return b"" if cause is NO_CAUSE or cause == NO_CAUSE else _encode(cause)


def decode_cause(raw: bytes) -> Cause:
    """The cause that a record kept."""
    return _decode(raw) if raw else NO_CAUSE
