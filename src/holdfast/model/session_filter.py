"""Which sessions are wanted: by the names in their record, and by when they were created and last updated."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from holdfast.model.session import SessionRecord


class Span(Struct, frozen=True):
    """A stretch of time, both ends excluded; None: without end. Microseconds since the epoch."""

    after_us: int | None = None
    before_us: int | None = None

    def __contains__(self, at_us: int) -> bool:
        return (self.after_us is None or at_us > self.after_us) and (self.before_us is None or at_us < self.before_us)

    @property
    def is_open(self) -> bool:
        """Whether every time is in it."""
        return self.after_us is None and self.before_us is None


class SessionFilter(Struct, frozen=True):
    """What a session must be: `names` by field ("tag": one of its tags), and when it was created and last updated."""

    names: Mapping[str, str] = {}
    created: Span = Span()
    updated: Span = Span()

    def passes(self, record: SessionRecord) -> bool:
        """Whether it is all that."""
        for field, name in self.names.items():
            if (name not in record.tags) if field == "tag" else (getattr(record, field) != name):
                return False
        return record.created_us in self.created and record.updated_us in self.updated
