"""The kit fails on every broken kernel, with a check of just the guarantee that is broken."""

import asyncio
from functools import cache

import pytest

from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.testing import GUARANTEES, Report, conform
from holdfast.testing.conformance import CHECKS
from holdfast.testing.mutants import MUTANTS, Mutant


@cache
def report_on(mutant: Mutant) -> Report:
    """What the checks of the guarantee it breaks find in a mutant."""
    with mutant.in_place():
        return asyncio.run(conform(mutant.opener(), only={mutant.breaks}, seed=1))


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name.replace(" ", "-") for mutant in MUTANTS])
def test_the_kit_fails_on(mutant: Mutant) -> None:
    report = report_on(mutant)
    broken = [result for result in report.failed if result.broken and mutant.breaks in result.guarantees]
    assert broken, f"{mutant.name} ({mutant.breaks}) is not noticed; {mutant.sentence}\n{report}"


def test_the_unbroken_kernel_passes_everything() -> None:
    store = MemoryStore()
    report = asyncio.run(conform(lambda space: MemoryKernel(store, space=space), seed=1))
    assert report.passed, str(report)
    assert (report.missing, report.not_owed, report.failed) == ((), (), ())


def test_every_check_fails_on_a_mutant_of_a_guarantee_that_it_proves() -> None:
    caught = {result.check for mutant in MUTANTS for result in report_on(mutant).failed}
    assert sorted({check.name for check in CHECKS} - caught) == []


def test_every_guarantee_has_several_mutants() -> None:
    for guarantee in GUARANTEES:
        assert len([mutant for mutant in MUTANTS if mutant.breaks == guarantee.number]) >= 3, guarantee.number


def test_every_mutant_has_a_name_of_its_own_and_says_what_is_wrong_with_it() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert all(mutant.sentence.endswith(".") for mutant in MUTANTS)
