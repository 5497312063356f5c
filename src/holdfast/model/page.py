"""A page of a longer list."""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """Some `items` in order, and in `next` the cursor that continues after them; None at the end."""

    items: tuple[T, ...]
    next: str | None = None
