"""What a mutant is: one mistake, and the guarantee that it breaks.

A mistake of a kernel is the memory kernel with it. One of the domain is a part that takes the place of the real one
while the mutant is looked at (`in_place`), and not a moment longer; it is found where it is looked up when it is
called, or the real one would go on being called unnoticed.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.memory.commit import CommitPath
from holdfast.kernel.commit import Check, Commit, ScopeCommit
from holdfast.testing.conformance import Open
from holdfast.testing.guarantees import BY_NUMBER

B = TypeVar("B", bound="type[MemoryKernel] | type[CommitPath]")


class Part(NamedTuple):
    """A part of the domain that is broken: a function or method of a module or class, and what stands in its place."""

    owner: Any
    name: str
    broken: Any


class Mutant(NamedTuple):
    """One broken kernel, or the memory kernel with a broken part of the domain on it: what it breaks and how, in a
    sentence."""

    name: str
    breaks: str
    sentence: str
    kernel: type[MemoryKernel] = MemoryKernel
    part: Part | None = None

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While the block runs the broken part is in the place of the real one, for everybody in this process."""
        if self.part is None:
            yield
            return
        owner, name, broken = self.part
        real = vars(owner)[name]
        setattr(owner, name, broken)
        try:
            yield
        finally:
            setattr(owner, name, real)

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
        broken.mutant = Mutant(_named(broken.__name__), guarantee, _sentence(broken), kernel)  # type: ignore[union-attr]
        return broken

    return mark


def mistake(guarantee: str, owner: Any, name: str) -> Callable[[Callable[[Any], Any]], Mutant]:
    """Make a mutant of a function that is given the real part of that name and returns what is to stand in its place.

    `owner` is the module or class in which it is looked up."""
    if guarantee not in BY_NUMBER:
        raise ValueError(f"no such guarantee: {guarantee}")

    def make(breaking: Callable[[Any], Any]) -> Mutant:
        part = Part(owner, name, breaking(vars(owner)[name]))
        return Mutant(_named(breaking.__name__), guarantee, _sentence(breaking), part=part)

    return make


def _named(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower().replace("_", " ")


def _sentence(broken: Any) -> str:
    return " ".join((inspect.getdoc(broken) or "").split())


def mutants_of(*modules: ModuleType) -> tuple[Mutant, ...]:
    """The mutants that stand in these modules, in their order."""
    found = (value for module in modules for value in vars(module).values())
    mutants = (vars(value).get("mutant") if isinstance(value, type) else value for value in found)
    return tuple(mutant for mutant in mutants if isinstance(mutant, Mutant))


def with_parts(commit: Commit, change: Callable[[ScopeCommit], ScopeCommit]) -> Commit:
    """The commit with each of its parts changed."""
    return replace(commit, scopes=tuple(change(part) for part in commit.scopes))


def with_checks(commit: Commit, change: Callable[[Check], Iterable[Check]]) -> Commit:
    """The commit with each of its checks replaced by what `change` makes of it."""
    return with_parts(
        commit, lambda part: replace(part, checks=tuple(new for check in part.checks for new in change(check)))
    )
