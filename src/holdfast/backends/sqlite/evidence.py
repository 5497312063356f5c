"""Finding a commit id in a scope's log: what makes sending twice safe.

A writer's lane is ordered, so the search from the newest record back ends at the first record of the same writer with
a smaller n.
"""

from __future__ import annotations

from holdfast.backends.sqlite.bulk import Cursor
from holdfast.errors import Indeterminate
from holdfast.kernel.commit import CommitId

_FIND = (
    "SELECT l.seq, l.n FROM cells p CROSS JOIN log l ON l.id = p.version "
    "WHERE p.scope = (SELECT id FROM scopes WHERE space = ?1 AND name = ?2) AND p.epoch = -1 "
    "AND l.writer = (SELECT id FROM writers WHERE space = ?1 AND writer = ?3) AND l.n <= ?4 "
    "ORDER BY p.key DESC LIMIT 1"
)
_FLOOR = "SELECT floor FROM scopes WHERE space = ? AND name = ?"


def first_seq(cursor: Cursor, space: int, scope: str, commit_id: CommitId) -> int | None:
    """The seq that commit took in one scope by the scope's log; None if it surely took none.

    Raises Indeterminate where it is not there but records of the scope were trimmed.
    """
    found = cursor.execute(_FIND, (space, scope, *commit_id)).fetchall()
    if found and found[0][1] == commit_id.n:
        return int(found[0][0])
    floor = cursor.execute(_FLOOR, (space, scope)).fetchall()
    if floor and floor[0][0] > 1:
        raise Indeterminate(
            f"the log of {scope} was trimmed below {floor[0][0]}: whether {commit_id} was applied is not known",
            scope=scope,
        )
    return None
