"""The difference of two JSON values as a JSON Patch (RFC 6902): pure, and the same for the same two values.

Objects are compared member by member; everything else, lists too, is replaced whole where it differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from holdfast.model.variable import MASK


class PatchOperation(Struct, frozen=True, omit_defaults=True):
    """One step of a patch: what to do, where (a JSON Pointer, RFC 6901), and the new value unless it is removed.

    As JSON it is what RFC 6902 says.
    """

    op: Literal["add", "remove", "replace"]
    path: str
    value: Any | UnsetType = UNSET


class Masked(Struct, frozen=True):
    """A value that is compared and not shown: a patch has MASK in its place."""

    raw: bytes


def patch_of(before: Any, after: Any) -> tuple[PatchOperation, ...]:
    """What makes `before` become `after`, in the order of the paths; nothing where they are the same."""
    return tuple([replace(step, value=_shown(step.value)) for step in _steps(before, after, "")])


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shown(inner) for key, inner in value.items()}
    return MASK if isinstance(value, Masked) else value


def _steps(before: Any, after: Any, path: str) -> Iterator[PatchOperation]:
    if not (isinstance(before, dict) and isinstance(after, dict)):
        if not same(before, after):
            yield PatchOperation("replace", path, after)
        return
    for key in sorted(before.keys() | after.keys()):
        place = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        if key not in after:
            yield PatchOperation("remove", place)
        elif key not in before:
            yield PatchOperation("add", place, after[key])
        else:
            yield from _steps(before[key], after[key], place)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: 1, 1.0 and true are three, and -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)
