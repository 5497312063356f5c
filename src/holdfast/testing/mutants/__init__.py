"""Broken kernels: the memory kernel with one mistake each, such as people make, in itself or in the domain on it.

A kit that can pass vacuously proves nothing. Every guarantee has mutants here, and the kit has to fail on each with a
check of just the guarantee that the mutant breaks.
"""

from holdfast.testing.mutants import (
    checkpoints,
    committing,
    conditions,
    durability,
    edges,
    expiry,
    identity,
    indexes,
    interactions,
    logs,
    moves,
    purging,
    reading,
    rewriting,
    runs,
    signals,
    sweeping,
    variables,
)
from holdfast.testing.mutants.mutant import Mutant, mutants_of

MUTANTS: tuple[Mutant, ...] = mutants_of(
    *(committing, conditions, identity, durability, reading, expiry, logs, moves, indexes, sweeping, rewriting),
    *(edges, signals, purging),
    *(runs, interactions, variables, checkpoints),
)
"""Every mutant."""

__all__ = ["MUTANTS", "Mutant"]
