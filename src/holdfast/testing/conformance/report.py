"""What came of running the kit on a kernel."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.testing.guarantees import GUARANTEES


class Result(Struct, frozen=True):
    """What came of one check.

    ended    "passed"; "failed", with `error` saying what was found and `broken` telling a broken promise (a statement
             of the check did not hold, or the kernel raised an error of its own instead) from a crash; or "not owed":
             the kernel was declared to be without the capability in `error`, so the check did not run
    """

    check: str
    guarantees: tuple[str, ...]
    sentence: str
    ended: Literal["passed", "failed", "not owed"]
    error: str = ""
    broken: bool = False
    seconds: float = 0.0


class Report(Struct, frozen=True):
    """All results, in the order of the checks. `wanted` are the guarantees that were to be proved.

    `seed` makes the ids and space names of the run repeat; `left` names spaces that could not be emptied afterwards.
    """

    results: tuple[Result, ...]
    wanted: tuple[str, ...]
    seed: int
    left: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Result, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if result.ended == "failed")

    @property
    def not_owed(self) -> tuple[Result, ...]:
        """The checks that were left out because of what the kernel was declared to be without."""
        return tuple(result for result in self.results if result.ended == "not owed")

    @property
    def missing(self) -> tuple[str, ...]:
        """Wanted guarantees for which no check ran: nothing was proved of them."""
        ran = {number for result in self.results if result.ended != "not owed" for number in result.guarantees}
        return tuple(number for number in self.wanted if number not in ran)

    @property
    def passed(self) -> bool:
        """Whether every check that ran passed and every wanted guarantee had one."""
        return not self.failed and not self.missing

    def of(self, guarantee: str) -> tuple[Result, ...]:
        """The results of the checks that prove one guarantee."""
        return tuple(result for result in self.results if guarantee in result.guarantees)

    def lines(self) -> list[str]:
        """The report for people: a line for each guarantee, then one for each check that failed or was left out."""
        lines = []
        for guarantee in GUARANTEES:
            if guarantee.number in self.wanted:
                lines.append(f"{_mark(self.of(guarantee.number)):<8} {guarantee.number:<4} {guarantee.name}")
        for result in self.failed:
            lines += [f"failed   {result.check} ({', '.join(result.guarantees)})", f"         {result.sentence}"]
            lines += [f"         {line}" for line in result.error.splitlines()]
        lines += [f"not owed {result.check}: {result.error}" for result in self.not_owed]
        lines += [f"left     space {space} could not be emptied" for space in self.left]
        passed = sum(result.ended == "passed" for result in self.results)
        took = sum(result.seconds for result in self.results)
        return [*lines, f"{passed} of {len(self.results)} checks passed in {took:.1f} s (seed {self.seed})"]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _mark(results: tuple[Result, ...]) -> str:
    if any(result.ended == "failed" for result in results):
        return "FAILED"
    return "kept" if any(result.ended == "passed" for result in results) else "MISSING"
