"""What is told to followers live and kept nowhere."""

from __future__ import annotations

from typing import Any

from holdfast.errors import InvalidValue, shown
from holdfast.kernel import codec
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import SIGNAL_BYTES_MAX
from holdfast.kernel.line import Line, line
from holdfast.model.change import KINDS


def new_line(kind: str, key: str, value: Any) -> Line:
    """What a follower will see. Raises InvalidValue for a kind that there is not or a value that cannot be shown as it
    is, InvalidId for a key, TooLarge."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidValue(f"there is no kind {shown(kind)}; there are {', '.join(sorted(KINDS))}", path="kind")
    raw = codec.encode(value, bytes_max=SIGNAL_BYTES_MAX, key=key)
    return line(kind, "emit", check_name(key, "a key"), raw, "")
