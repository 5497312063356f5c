"""Where an index entry stands: bytes that sort as (order, scope, key) do.

Each part has its zero bytes written as 00 01 and ends with 00 00, so that no part reaches into the next. An index holds
rows of 2,700 bytes and three parts may have 3,072, so a place is cut to 2,000.
"""

from __future__ import annotations

import hashlib

from holdfast.backends.postgres.text import raw

PLACE_BYTES_MAX = 2000
_END = b"\0\0"


def part_of(text: str) -> bytes:
    """One part of a place, without its end."""
    return raw(text).replace(b"\0", b"\0\1")


def place_of(order: str, scope: str, key: str, *, ended: bool = True) -> bytes:
    """The place of an entry. One that is not ended goes on with the stamp of its key, which the server adds."""
    place = part_of(order) + _END + part_of(scope) + _END + part_of(key)
    return (place + _END if ended else place)[:PLACE_BYTES_MAX]


def least_of(order: str) -> bytes:
    """Not greater than the place of any entry with that order or a greater one, and greater than all others."""
    return part_of(order) + _END


def list_of(space: int, index: str, value: str) -> bytes:
    """What the entries under (index, value) of a space have in common: 20 bytes that nothing else has."""
    name = raw(index)
    return hashlib.blake2b(b"%d %d " % (space, len(name)) + name + raw(value), digest_size=20).digest()
