"""The page of guarantees says what the kit proves, in the contract's words."""

import inspect
import re

import pytest

from holdfast.handles import atomic_step, interactions, run, run_claim, session, variables
from holdfast.kernel import commit, limits
from holdfast.kernel.contract import Kernel
from holdfast.model import node_spec
from holdfast.testing.conformance import CHECKS
from holdfast.testing.guarantees import GUARANTEES
from tests.docs.runner import ROOT

DOMAIN = (atomic_step, interactions, node_spec, run, run_claim, session, variables)
"""Where the classes are that state what the domain promises."""

PAGE = ROOT / "docs" / "explanation" / "guarantees.md"
STATED = {
    "Kernel.space": inspect.getsource(Kernel).partition("    @abstractmethod")[0],  # an attribute keeps no docstring
    "commit.Append": commit.Append.__doc__ or "",
    "limits.check_commit": limits.check_commit.__doc__ or "",
} | {f"Kernel.{verb}": getattr(Kernel, verb).__doc__ for verb in Kernel.__abstractmethods__}


def test_every_guarantee_stands_there_once_in_its_own_words_and_in_order() -> None:
    told = re.findall(r"^## ([GD]\d+) (.+)\n\n> (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert told == [tuple(guarantee) for guarantee in GUARANTEES]


def names(number: str, fact: str) -> list[str]:
    """What stands in code after `- fact: ` in a guarantee's section."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    [section] = [section for section in sections if section.startswith(f"{number} ")]
    return re.findall(r"`([\w.]+)`", section.partition(f"- {fact}: ")[2].splitlines()[0])


def is_told_of(place: str) -> bool:
    """Whether a class of the domain, or a method of one, has a docstring."""
    name, _, method = place.partition(".")
    [owner] = [
        found for one in DOMAIN if (found := vars(one).get(name)) is not None and found.__module__ == one.__name__
    ]
    return bool(inspect.getdoc(getattr(owner, method) if method else owner))


@pytest.mark.parametrize("number", [guarantee.number for guarantee in GUARANTEES])
def test_a_guarantee_is_stated_and_checked_where_the_page_says_it_is(number: str) -> None:
    places = names(number, "stated in")
    assert places
    for place in places:
        if number.startswith("G"):
            assert re.search(rf"\b{number}\b", STATED[place]), f"{number} is not stated in {place}"
        else:
            assert is_told_of(place), f"{place} says nothing"
    assert names(number, "checked by") == sorted({check.group for check in CHECKS if number in check.proves})
