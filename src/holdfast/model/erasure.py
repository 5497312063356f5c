"""What an erasure did: whose data is gone, and from where."""

from __future__ import annotations

from msgspec import Struct


class ErasureReport(Struct, frozen=True):
    """What `hold.erase` removed. All zero: nothing of that user was found.

    sessions    sessions that it deleted
    scopes      scopes that it removed something of: those sessions, the user's own scope, sessions deleted before
    cells       values, messages and events that were still stored of them, where the store keeps those until a sweep
    records     log records with what they told
    scrubbed    whether nothing of all this is left in the store's files
    """

    sessions: int = 0
    scopes: int = 0
    cells: int = 0
    records: int = 0
    scrubbed: bool = True
