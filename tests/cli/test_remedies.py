"""What to do about an error is said in words of the command line."""

import re

import pytest

from holdfast import errors
from holdfast.cli.remedies import OF_CLASSES, OF_OCCURRENCES, SPEAKS_PYTHON, remedy_of
from tests.architecture.tree import ROOT
from tests.cli.program import invoke

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.HoldfastError)]


@pytest.mark.parametrize("kind", CLASSES)
def test_no_class_of_errors_speaks_of_calls(kind: type[errors.HoldfastError]) -> None:
    """Neither by itself, nor where an occurrence says something that was not foreseen."""
    assert not SPEAKS_PYTHON.search(remedy_of(kind("what happened")))
    said = remedy_of(kind("what happened", remedy="Do it: `await s.again(…)`."))
    assert said
    assert not SPEAKS_PYTHON.search(said)


def test_a_remedy_that_can_be_followed_at_a_command_line_stands_as_it_is() -> None:
    """Only what speaks of calls is said otherwise."""
    assert remedy_of(errors.Conflict("it", remedy="Give it 0.")) == "Give it 0."


def test_whatever_is_said_otherwise_is_still_said_somewhere_and_is_no_call_itself() -> None:
    """A remedy that was reworded leaves no dead line here."""
    written = "".join(
        re.sub(r'"\n\s*f?"', "", path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "src" / "holdfast").rglob("*.py"))
        if "cli" not in path.parts
    )
    assert [part for part in OF_OCCURRENCES if part not in written] == []
    assert [said for said in [*OF_OCCURRENCES.values(), *OF_CLASSES.values()] if SPEAKS_PYTHON.search(said)] == []


def test_a_session_that_has_ended_is_told_of_the_moves_that_commands_make(store: str) -> None:
    """Nothing at a command line makes a session become cleanup."""
    assert invoke("-s", store, "session", "cancel", "trip").code == 0
    ended = invoke("-s", store, "session", "cancel", "trip")
    assert ended.code == 4
    assert "it may become nothing else" in ended.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["checkpoint", "restore", "nope"], "holdfast checkpoint list"),
        (["checkpoint", "create", "user/nobody"], "check the kind and the id"),
        (["var", "set", "user/ada", "token", "1", "--secret"], "HOLDFAST_KEYS"),
        (["var", "set", "user/ada", "token", "--env", "HOME"], "variables.environment"),
    ],
)
def test_a_remedy_names_the_command_the_option_or_the_setting(store: str, args: list[str], said: str) -> None:
    """And never a call."""
    ended = invoke("-s", store, *args)
    assert said in ended.err
    assert not SPEAKS_PYTHON.search(ended.err)
