"""Deadlines: until when a session lives, and how access moves that.

    fixed       whatever happens: ttl after the creation, or what `extend` made of it
    slide       at most so long after the last access: the ttl if it slides, the idle timeout, the shorter of both

The earlier of the two counts. A sliding deadline moves only when that matters, by more than a sixteenth of its length
or a minute: so what is used a thousand times a second is written once a minute, and lives at most a minute shorter.
"""

from __future__ import annotations

from msgspec import Struct

MATTERS_US = 60_000_000
"""By how much a deadline moves at least, or by a sixteenth of its slide if that is less."""


class Deadline(Struct, frozen=True, array_like=True, omit_defaults=True):
    """When a session ends by itself: at `fixed_us`, and `slide_us` after the last access. Neither: never.

    `extensions` counts how often it was extended, so that who has read it can tell that from an access.
    """

    fixed_us: int | None = None
    slide_us: int | None = None
    extensions: int = 0

    def at(self, now_us: int) -> int | None:
        """When it ends if it was accessed now and never again."""
        if self.slide_us is None:
            return self.fixed_us
        slid_us = now_us + self.slide_us
        return slid_us if self.fixed_us is None else min(slid_us, self.fixed_us)

    def moved(self, now_us: int, expires_us: int | None) -> int | None:
        """When it ends if it was to end at `expires_us` and is accessed now; None: that makes no difference."""
        if self.slide_us is None or expires_us is None:
            return None
        to_us = self.at(now_us)
        matters = to_us is not None and to_us - expires_us > min(MATTERS_US, self.slide_us // 16)
        return to_us if matters else None

    def extended(self, to_us: int) -> Deadline:
        """The same, with an end that is not before `to_us`, whatever is accessed."""
        fixed_us = None if self.fixed_us is None else max(self.fixed_us, to_us)
        return Deadline(fixed_us, self.slide_us, self.extensions + 1)


NEVER = Deadline()


def deadline_of(*, ttl_us: int | None, sliding: bool, idle_us: int | None, now_us: int) -> Deadline:
    """The deadline of a session that begins to live now."""
    slides = [slide_us for slide_us in (ttl_us if sliding else None, idle_us) if slide_us is not None]
    fixed_us = None if ttl_us is None or sliding else now_us + ttl_us
    return Deadline(fixed_us, min(slides, default=None))
