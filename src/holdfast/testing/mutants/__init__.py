"""Broken kernels: the memory kernel with one mistake each, such as people make.

A kit that can pass vacuously proves nothing. Every guarantee has mutants here, and the kit has to fail on each with a
check of just the guarantee that the mutant breaks.
"""

from holdfast.testing.mutants import (
    committing,
    conditions,
    durability,
    edges,
    expiry,
    identity,
    indexes,
    logs,
    moves,
    purging,
    reading,
    rewriting,
    signals,
    sweeping,
)
from holdfast.testing.mutants.mutant import Mutant, mutants_of

MUTANTS: tuple[Mutant, ...] = mutants_of(
    *(committing, conditions, identity, durability, reading, expiry, logs, moves, indexes, sweeping, rewriting),
    *(edges, signals, purging),
)
"""Every mutant."""

__all__ = ["MUTANTS", "Mutant"]
