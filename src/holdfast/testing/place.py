"""What the clients of one workload share."""

from __future__ import annotations

from msgspec import Struct

from holdfast.kernel.keys import bucket


class Place(Struct, frozen=True):
    """What the clients of one history share: ids of sessions, and of users whose state holds an account each.

    `one_cut` says that a single read covers all of it; otherwise it takes a transaction.
    """

    sessions: tuple[str, ...]
    accounts: tuple[str, ...]
    one_cut: bool = True

    @property
    def scopes(self) -> tuple[str, ...]:
        """The names of all scopes."""
        return (*(f"session/{id}" for id in self.sessions), *(f"user/{id}" for id in self.accounts))


def place_in_one_bucket(sessions: int, accounts: int, *, prefix: str = "", one_cut: bool = True) -> Place:
    """A place whose scopes all live in one bucket, so that every backend can commit to them together."""
    wanted = bucket(f"session/{prefix}s0")

    def names(kind: str, letter: str, count: int) -> tuple[str, ...]:
        found: list[str] = []
        n = 0
        while len(found) < count:
            if bucket(f"{kind}/{prefix}{letter}{n}") == wanted:
                found.append(f"{prefix}{letter}{n}")
            n += 1
        return tuple(found)

    return Place(names("session", "s", sessions), names("user", "u", accounts), one_cut)


__all__ = ["Place", "place_in_one_bucket"]
