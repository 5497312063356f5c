"""A stored value as people see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from holdfast.cli.printable import printable

CELL_CHARACTERS_MAX = 400
"""What a table shows of one value."""


def shown(value: Any) -> str:
    """A value as a table shows it: short, on one line, without control characters."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            value = ", ".join(value)
        else:
            value = msgspec.json.encode(value).decode()
    elif isinstance(value, int) and abs(value) >= 10_000:
        value = f"{value:,}"
    text = str(value)
    if len(text) > CELL_CHARACTERS_MAX:
        text = text[: CELL_CHARACTERS_MAX - 1] + "…"
    return printable(text)
