"""A session: the record that stands for it, and what an update or a move makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from holdfast.errors import InvalidValue, shown
from holdfast.model.budget import EMPTY, Account, Bounds
from holdfast.model.deadline import NEVER, Deadline, deadline_of
from holdfast.model.status import SessionStatus, check_may_use, check_move

TAGS_MAX = 32
"""Tags of one session; each is an index entry."""

MESSAGE_MAX = 2000
"""Characters kept of an exception's message."""

_TAGS_GIVEN_MAX = 1000  # with repetitions


class SessionRecord(Struct, frozen=True, omit_defaults=True):
    """A session as the store keeps it, in one cell. Times are microseconds since the epoch.

    `pause_reason` is that of a paused session, `ended_us` to `error` are those of one that has ended, `used` is what
    that one had used by its end, and `exhausted` the budget that it timed out of. `ttl_us`, `sliding` and `idle_us` say
    how long it may live: see `deadline`. `arrival_us` is its place among the sessions of its user, where that is not
    when it was created.
    """

    id: str
    status: SessionStatus
    created_us: int
    updated_us: int
    user: str | None = None
    app: str | None = None
    agent: str | None = None
    mode: str | None = None
    channel: str | None = None
    task: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    budget: Bounds = Bounds()
    pause_reason: str | None = None
    ended_us: int | None = None
    ended_reason: str | None = None
    result: Any = None
    error: Any = None
    used: Account | None = None
    exhausted: Bounds | None = None
    ttl_us: int | None = None
    sliding: bool = False
    idle_us: int | None = None
    arrival_us: int | None = None

    @property
    def expires_us(self) -> int | None:
        """When it expires if it is neither accessed nor extended after its creation."""
        return self.deadline(self.created_us).at(self.created_us)

    def deadline(self, now_us: int) -> Deadline:
        """Until when it lives if it begins to live now: one that has ended is kept, until a sweep takes it."""
        if not self.status.is_open:
            return NEVER
        return deadline_of(ttl_us=self.ttl_us, sliding=self.sliding, idle_us=self.idle_us, now_us=now_us)

    def updated(
        self,
        *,
        at_us: int,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        budget: Bounds | None = None,
    ) -> SessionRecord:
        """The record after an update: metadata merges by key, tags and the budget replace.

        Raises InvalidTransition for the budget of a session that will never use one.
        """
        if budget is not None:
            check_may_use(self.status)
        return msgspec.structs.replace(
            self,
            updated_us=at_us,
            metadata=self.metadata if metadata is None else {**self.metadata, **metadata},
            tags=self.tags if tags is None else clean_tags(tags),
            budget=self.budget if budget is None else budget,
        )

    def moved(
        self,
        to: SessionStatus,
        *,
        at_us: int,
        reason: str | None = None,
        result: Any = None,
        error: Any = None,
        account: Account = EMPTY,
        budget_raised: bool = False,
    ) -> SessionRecord:
        """The record after a move to another status, with why (of a pause, or an end), and what came of it (of an end),
        `account` being what it has used.

        It ended when it first did: cleaning up keeps all that is known of the end. Raises InvalidTransition.
        """
        check_move(self.status, to, budget_raised=budget_raised)
        moved = msgspec.structs.replace(self, status=to, updated_us=at_us, pause_reason=None)
        if to.is_open:
            why = reason if to is SessionStatus.PAUSED else None
            return msgspec.structs.replace(
                moved,
                pause_reason=why,
                ended_us=None,
                ended_reason=None,
                result=None,
                error=None,
                used=None,
                exhausted=None,
            )
        if self.ended_us is not None:
            return moved
        exhausted = self.budget if to is SessionStatus.TIMED_OUT else None
        return msgspec.structs.replace(
            moved,
            ended_us=at_us,
            ended_reason=reason,
            result=result,
            error=error,
            used=account,
            exhausted=exhausted,
        )

    def duration_us(self, now_us: int) -> int:
        """How long it lasted, from its creation to its end or, while it is open, to now. Never below 0."""
        return max((now_us if self.ended_us is None else self.ended_us) - self.created_us, 0)


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags without repetition, in the order given. Raises InvalidValue for one text, or more than TAGS_MAX."""
    if isinstance(tags, (str, bytes, Mapping)) or not isinstance(tags, Iterable):
        raise InvalidValue(f"tags must be several texts, not {shown(tags)}", path="tags")
    given = [*islice(tags, _TAGS_GIVEN_MAX + 1)]  # which ends, also where they do not
    for tag in given:
        if not isinstance(tag, str):
            raise InvalidValue(f"a tag must be text, not {shown(tag)}", path="tags")
    distinct = tuple(dict.fromkeys(given))
    if len(distinct) > TAGS_MAX or len(given) > _TAGS_GIVEN_MAX:
        raise InvalidValue(f"more than {TAGS_MAX} tags; a session has at most so many", path="tags")
    return distinct


def failure(error: BaseException) -> dict[str, str]:
    """What is kept of an exception: its type, and the beginning of its message."""
    try:
        text = str(error)
    except Exception:  # the code of the exception's own class
        text = ""
    message = text[:MESSAGE_MAX].encode("utf-8", "replace").decode()
    return {"type": type(error).__name__[:MESSAGE_MAX], "message": message}
