"""What goes along with a transaction: what its handles share, and what is to be done once it has committed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.model.session import SessionRecord


class Along:
    """What one transaction carries beside the writes that it stages."""

    __slots__ = ("arrived", "runs", "told")

    def __init__(self) -> None:
        self.arrived: list[SessionRecord] = []
        """Sessions that it creates or opens again: room is made for them."""
        self.runs: dict[tuple[str, int, str], Any] = {}
        """The handle of each run in it, by scope, life and id: two of one run would stage past each other."""
        self.told: list[Callable[[], Awaitable[object]]] = []
        """Tells followers of what is kept nowhere."""
