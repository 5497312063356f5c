"""Which sessions belong to a user: those there are, and those that come and go, by the lives of their scopes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.errors import Compacted, Diverged, Gone
from holdfast.kernel.commit import Cell, Head, Read, Record
from holdfast.kernel.limits import PAGE_BYTES, PAGE_MAX
from holdfast.kernel.lives import Standing
from holdfast.kernel.work import Work
from holdfast.services import change, session


class UserSessions:
    """The sessions of one user. A session's user is that of its whole life, named by the record it begins with.

    `strict`: a life that nobody can tell any more whose it was is not theirs, whoever named it. With `until_us` a
    session that was created later is not theirs either.
    """

    def __init__(
        self,
        work: Callable[[], Work],
        user: str,
        *,
        record_bytes_max: int,
        strict: bool = False,
        until_us: int | None = None,
    ) -> None:
        self._work = work
        self._user = user
        self._strict = strict
        self._until_us = until_us
        self._at_once = max(1, PAGE_BYTES // record_bytes_max)  # records read, however large they are

    async def present(self) -> dict[str, Head]:
        """Every session there is, by the name of its scope."""
        heads: dict[str, Head] = {}
        after: tuple[str, str, str] | None = None
        while True:
            found = await self._work().find("session.user", self._user, after=after, limit=PAGE_MAX)
            standing = await self.look([entry.scope for entry in found])
            heads.update({scope: one.head for scope, one in standing.items() if one.admitted})
            if len(found) < PAGE_MAX:
                return heads
            after = found[-1].cursor

    async def look(self, scopes: Sequence[str]) -> dict[str, Standing]:
        """See `Admission.look`."""
        reads = [Read(scope, (session.CELL,)) for scope in scopes if session.is_scope(scope)]
        standing: dict[str, Standing] = {}
        for first in range(0, len(reads), self._at_once):
            for view in await self._work().peek(reads[first : first + self._at_once]):
                standing[view.scope] = self._standing(view.head, view.cells.get(session.CELL))
        return standing

    async def may_have_had(self, scope: str, head: Head) -> bool:
        """Whether a life of that scope that has ended was theirs, or nobody can tell any more whose it was.

        One read where its only life is kept from its beginning, which names the user.
        """
        place, limit = max(0, head.floor - 1), 1
        users: set[str | None] = set()
        while place < head.seq:
            try:
                records = await self._work().log(scope, after=place, limit=limit, bytes_max=PAGE_BYTES)
            except (Compacted, Gone, Diverged):  # trimmed or forgotten meanwhile
                return True
            for record in records:
                if record.epoch == head.epoch:
                    return False
                users |= _users(record)
                if self._user in users or (record.op == "drop" and not users):
                    return True
                if users and record.epoch + 1 == head.epoch:
                    return False  # the last of them, and somebody else's
                if record.op == "drop":
                    users.clear()
            place, limit = records[-1].seq, PAGE_MAX
        return False

    def begins(self, record: Record) -> bool:
        """See `Admission.begins`."""
        return self._user in _users(record)

    def refuses(self, record: Record) -> bool:
        """See `Admission.refuses`."""
        return self._strict or bool(_users(record) - {self._user})

    def _standing(self, head: Head, cell: Cell | None) -> Standing:
        if cell is None:
            return Standing(head)
        record = session.decode(cell)
        is_theirs = record.user == self._user and (self._until_us is None or record.created_us <= self._until_us)
        return Standing(head, is_theirs, cell.version)


def _users(record: Record) -> set[str | None]:
    """Whose session it is, if the record tells: what is set of a session is set whole."""
    return {
        session.decode_raw(bytes(line.value)).user
        for line in change.lines_of(record)
        if line.kind == "session" and line.op == "set"
    }
