"""Live changes: what is told to followers and kept nowhere, as the payload of a signal.

    [epoch, at_us, cause, line]     [1, 1800000000000000, {"by": "ada"}, ["runtime", "emit", "token", "Your"]]

The epoch is that of the scope's life it belongs to, so that nobody hears of a life that is not for them.
"""

from __future__ import annotations

from msgspec import DecodeError, Raw, Struct, ValidationError, json

from holdfast.kernel.line import NULL, Line

LIVE_MAX = 1000
"""Live changes that wait for one follower, or one event loop, at most; more are lost."""

LIVE_BYTES_MAX = 1024 * 1024
"""… and bytes of them."""


class Live(Struct, frozen=True, array_like=True, gc=False):
    """One live change of one scope."""

    epoch: int
    at_us: int
    cause: Raw
    line: Line
    size: int = 0
    """What it counts for while it waits."""


_encode = json.Encoder().encode
_decoder = json.Decoder(tuple[int, int, Raw, Line])


def encode_live(epoch: int, at_us: int, cause: bytes, line: Line) -> bytes:
    """The payload of the signal; `cause` is JSON text, or empty."""
    return _encode((epoch, at_us, Raw(cause) if cause else NULL, line))


def decode_live(payload: bytes) -> Live | None:
    """The live change in the payload of a signal; None for what is none."""
    try:
        epoch, at_us, cause, line = _decoder.decode(payload)
    except (DecodeError, ValidationError):
        return None
    return Live(epoch, at_us, cause, line, len(payload))
