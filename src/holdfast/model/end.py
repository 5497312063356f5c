"""The end of a session, as what stands in it has to know of it: while there is one, nothing of its runs goes on."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from holdfast.errors import Corrupt
from holdfast.model.status import MOVES, SessionStatus

KEY = "ended"
"""The key of the cell in a session that has ended. Whatever a run writes is on the condition that there is none."""

Left = Literal["nothing", "runs", "all"]
"""What is still to be done since it ended: its open runs to be cancelled; or all that goes with `end` to be removed."""


class End(Struct, frozen=True, array_like=True, omit_defaults=True):
    """When and how a session ended, and what is left to be done about it."""

    at_us: int
    status: SessionStatus
    left: Left = "nothing"

    @property
    def is_final(self) -> bool:
        """Whether it cannot go on: one that has timed out may, and its runs with it."""
        return SessionStatus.ACTIVE not in MOVES[self.status]


_decoder = msgspec.json.Decoder(End)
encode = msgspec.json.Encoder().encode


def decode(raw: bytes) -> End:
    """The end in a value."""
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise Corrupt(f"the end of a session that cannot be read: {problem}", key=KEY) from problem
