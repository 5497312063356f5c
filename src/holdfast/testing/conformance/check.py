"""What a check is: a coroutine on a bench, the guarantees it proves, and a sentence."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import NamedTuple

from holdfast.testing.conformance.bench import Bench, Capability
from holdfast.testing.guarantees import BY_NUMBER


class Check(NamedTuple):
    """One check. `needs` names capabilities without which it cannot run."""

    name: str
    proves: tuple[str, ...]
    sentence: str
    run: Callable[[Bench], Awaitable[None]]
    needs: frozenset[Capability]

    @property
    def group(self) -> str:
        """The group of checks it belongs to."""
        return self.name.partition(".")[0]


def proves(
    *guarantees: str, needs: tuple[Capability, ...] = ()
) -> Callable[[Callable[[Bench], Awaitable[None]]], Check]:
    """Make a check of a coroutine function whose docstring is the sentence it proves."""
    if unknown := set(guarantees) - set(BY_NUMBER):
        raise ValueError(f"no such guarantees: {', '.join(sorted(unknown))}")

    def decorate(run: Callable[[Bench], Awaitable[None]]) -> Check:
        sentence = inspect.getdoc(run)
        if not sentence:
            raise ValueError(f"{run.__name__} has no sentence")
        group = run.__module__.rpartition(".")[2]
        return Check(f"{group}.{run.__name__}", guarantees, " ".join(sentence.split()), run, frozenset(needs))

    return decorate


def checks_of(*modules: ModuleType) -> tuple[Check, ...]:
    """The checks that stand in these modules, in their order."""
    return tuple(value for module in modules for value in vars(module).values() if isinstance(value, Check))
