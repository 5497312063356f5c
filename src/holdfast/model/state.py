"""Scoped state as it is handed out: snapshots and histories."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from holdfast.model.cause import NO_CAUSE, Cause


class Snapshot(Struct, frozen=True):
    """All of one namespace of one scope at one moment.

    `values` is the holder's own copy: nobody else can change it. `version` is the scope's seq, and where a follower
    goes on from; `updated_at` and `updated_by` are those of the scope's last commit (None if it never was written).
    """

    values: dict[str, Any]
    version: int
    updated_at: datetime | None
    updated_by: str | None


class PastValue(Struct, frozen=True):
    """One earlier value of a key, and the cause of the commit that wrote it. `deleted` says that it removed the key;
    `value` is None then."""

    value: Any
    version: int
    at: datetime
    by: str | None = None
    deleted: bool = False
    cause: Cause = NO_CAUSE


class Why(Struct, frozen=True):
    """How a key came to be what it is.

    key         the key
    value       what it is; None if it is `deleted`; UNSET if it expired and the log has only its key
    version     of the commit that wrote or removed it
    at          when that was; None if the log does not reach so far back
    by, cause   who did it, and all that is known of why; likewise
    deleted     whether that commit removed it
    before      what it was before; None if it was not there; UNSET if the log has only its key
    existed     whether it was there before; None if the log does not reach so far back
    """

    key: str
    value: Any
    version: int
    at: datetime | None
    by: str | None
    cause: Cause | None
    deleted: bool = False
    before: Any = None
    existed: bool | None = None


class History(Struct, frozen=True):
    """Earlier values of one key, newest first. `complete`: nothing older is missing, neither for the limit nor
    because the log was trimmed."""

    items: tuple[PastValue, ...]
    complete: bool


class Difference(Struct, frozen=True):
    """What became of one key between two versions.

    `before` and `after` are its values, None where it did not exist. `known` is False if the log no longer reaches
    the value it had before; `change` then tells from what is known ("set" or "deleted"), else it is "added",
    "changed" or "deleted". `version`, `at` and `by` are those of the last commit that wrote it.
    """

    key: str
    change: Literal["added", "changed", "deleted", "set"]
    before: Any
    after: Any
    version: int
    at: datetime
    by: str | None = None
    known: bool = True


class Diff(Struct, frozen=True):
    """Every key of one namespace that differs between the versions `since` and `until` of its scope, in key order."""

    items: tuple[Difference, ...]
    since: int
    until: int
