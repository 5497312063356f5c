"""Pages."""

from __future__ import annotations

import pytest

from holdfast import Page


def test_a_page_has_its_items_in_order_and_where_to_go_on() -> None:
    page = Page((3, 1, 2), "cursor")
    assert (page.items, page.next) == ((3, 1, 2), "cursor")
    assert Page(()).next is None
    with pytest.raises(AttributeError):
        page.next = None  # type: ignore[misc]
