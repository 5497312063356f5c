"""How much a benchmark does: enough to say something, or just enough to show that it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from benchmarks.pairs import PAIRS_MIN

T = TypeVar("T")


@dataclass(frozen=True)
class Effort:
    """`rounds` of each alternation, `run_s` seconds for each run of a closed loop, `sessions` in the large store."""

    rounds: int = PAIRS_MIN
    run_s: float = 0.8
    sessions: int = 1_000_000
    quick: bool = False

    def size(self, full: T, *, quick: T) -> T:
        """The one or the other."""
        return quick if self.quick else full


QUICK = Effort(rounds=2, run_s=0.02, sessions=200, quick=True)
"""For the smoke test: every line is printed, none says anything."""
