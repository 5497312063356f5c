"""The page of guarantees says what the kit proves, in the contract's words."""

import inspect
import re

from holdfast.kernel import commit, limits
from holdfast.kernel.contract import Kernel
from holdfast.testing.guarantees import GUARANTEES
from tests.docs.runner import ROOT

PAGE = ROOT / "docs" / "explanation" / "guarantees.md"
STATED = {
    "Kernel.space": inspect.getsource(Kernel).partition("    @abstractmethod")[0],  # an attribute keeps no docstring
    "commit.Append": commit.Append.__doc__ or "",
    "limits.check_commit": limits.check_commit.__doc__ or "",
} | {f"Kernel.{verb}": getattr(Kernel, verb).__doc__ for verb in Kernel.__abstractmethods__}


def test_every_guarantee_stands_there_once_in_its_own_words_and_in_order() -> None:
    told = re.findall(r"^## (G\d+) (.+)\n\n> (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert told == [tuple(guarantee) for guarantee in GUARANTEES]


def test_a_guarantee_is_stated_wherever_the_page_says_it_is() -> None:
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(sections) == len(GUARANTEES)
    for section in sections:
        number = section.split()[0]
        places = re.findall(r"`([\w.]+)`", section.partition("- stated in: ")[2].splitlines()[0])
        assert places, number
        for place in places:
            assert re.search(rf"\b{number}\b", STATED[place]), f"{number} is not stated in {place}"
