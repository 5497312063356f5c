"""What a session has used of its budget: one cell of its own, absent until there is something to count.

The cell is read before it is written, and the commit checks its version, so that however many processes count at
once, nothing is counted twice or not at all, and no limit is passed.
"""

from __future__ import annotations

import msgspec

from holdfast.errors import Corrupt
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell
from holdfast.kernel.work import Work
from holdfast.model.budget import EMPTY, Account

CELL = "budget"
"""The key of the account in the session's scope."""

_decoder = msgspec.json.Decoder(Account)


def decode(cell: Cell | None) -> Account:
    """The account in a cell; nothing was used where there is none."""
    if cell is None:
        return EMPTY
    try:
        return _decoder.decode(cell.value)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"a session's use of its budget that cannot be read: {problem}") from problem


async def get(work: Work, scope: str) -> Account:
    """The account of the session of that scope."""
    return decode(await work.get(scope, CELL))


def put(work: Work, scope: str, account: Account) -> None:
    """Stage the account. Followers of the session see the events of what was counted, not this cell."""
    work.put(scope, CELL, msgspec.json.encode(account))
