"""A session: the record that stands for it, its statuses, and what an update makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from holdfast.errors import InvalidValue, shown

TAGS_MAX = 32
"""Tags of one session; each is an index entry."""

_TAGS_GIVEN_MAX = 1000  # with repetitions


class SessionStatus(StrEnum):
    """Where a session is in its life."""

    INITIALIZING = "initializing"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    CLEANUP = "cleanup"


class SessionRecord(Struct, frozen=True, omit_defaults=True):
    """A session as the store keeps it, in one cell. Times are microseconds since the epoch."""

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

    def updated(
        self, *, at_us: int, metadata: Mapping[str, Any] | None = None, tags: Iterable[str] | None = None
    ) -> SessionRecord:
        """The record after an update: metadata merges by key, tags replace."""
        return msgspec.structs.replace(
            self,
            updated_us=at_us,
            metadata=self.metadata if metadata is None else {**self.metadata, **metadata},
            tags=self.tags if tags is None else clean_tags(tags),
        )


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
