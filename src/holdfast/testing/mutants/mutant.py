"""What a mutant is: the memory kernel with one mistake in it, and the guarantee that the mistake breaks."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.memory.commit import CommitPath
from holdfast.kernel.commit import Check, Commit, ScopeCommit
from holdfast.testing.conformance import Open
from holdfast.testing.guarantees import BY_NUMBER

B = TypeVar("B", bound="type[MemoryKernel] | type[CommitPath]")


class Mutant(NamedTuple):
    """One broken kernel: what it breaks and how, in a sentence."""

    name: str
    breaks: str
    sentence: str
    kernel: type[MemoryKernel]

    def opener(self) -> Open:
        """Opens this kernel on spaces of a store of its own."""
        store = MemoryStore()
        return lambda space: self.kernel(store, space=space)


def breaks(guarantee: str) -> Callable[[B], B]:
    """Mark a class as a mutant: a kernel, or the commit path of one."""
    if guarantee not in BY_NUMBER:
        raise ValueError(f"no such guarantee: {guarantee}")

    def mark(broken: B) -> B:
        kernel: Any = broken
        if issubclass(broken, CommitPath):
            kernel = type(broken.__name__, (MemoryKernel,), {"commit_path": broken})
        name = re.sub(r"(?<!^)(?=[A-Z])", " ", broken.__name__).lower()
        broken.mutant = Mutant(name, guarantee, " ".join((inspect.getdoc(broken) or "").split()), kernel)  # type: ignore[union-attr]
        return broken

    return mark


def mutants_of(*modules: ModuleType) -> tuple[Mutant, ...]:
    """The mutants that stand in these modules, in their order."""
    classes = (value for module in modules for value in vars(module).values() if isinstance(value, type))
    return tuple(vars(broken)["mutant"] for broken in classes if "mutant" in vars(broken))


def with_parts(commit: Commit, change: Callable[[ScopeCommit], ScopeCommit]) -> Commit:
    """The commit with each of its parts changed."""
    return replace(commit, scopes=tuple(change(part) for part in commit.scopes))


def with_checks(commit: Commit, change: Callable[[Check], Iterable[Check]]) -> Commit:
    """The commit with each of its checks replaced by what `change` makes of it."""
    return with_parts(
        commit, lambda part: replace(part, checks=tuple(new for check in part.checks for new in change(check)))
    )
