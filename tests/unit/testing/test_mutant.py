"""A mutant of the domain is in the place of the real part while it is looked at, and not a moment longer."""

from types import SimpleNamespace

import pytest

from holdfast.testing.mutants import MUTANTS
from holdfast.testing.mutants.mutant import Mutant, mistake, mutants_of


def test_a_broken_part_is_in_place_in_the_block_alone_though_it_fails() -> None:
    """Every other caller in the process has the real part."""
    kept = SimpleNamespace(count=lambda: 1)

    @mistake("D1", kept, "count")
    def it_counts_one_more(real: object) -> object:
        """It counts one more."""
        return lambda: real() + 1  # type: ignore[operator]

    assert (it_counts_one_more.name, it_counts_one_more.sentence) == ("it counts one more", "It counts one more.")
    with pytest.raises(KeyError), it_counts_one_more.in_place():
        assert kept.count() == 2
        raise KeyError
    assert kept.count() == 1


def test_no_mutant_has_left_its_part_behind() -> None:
    """Made, it is not in place."""
    for mutant in MUTANTS:
        if mutant.part is not None:
            assert vars(mutant.part.owner)[mutant.part.name] is not mutant.part.broken


def test_mutants_are_found_in_modules_and_break_what_there_is() -> None:
    """Classes and functions alike."""
    one = Mutant("one", "D1", "One.")
    assert mutants_of(SimpleNamespace(one=one, other=3)) == (one,)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no such guarantee: D99"):
        mistake("D99", one, "name")
