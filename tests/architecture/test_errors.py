"""The error tree: every error has a stable code and a remedy, says whether a retry can help, and is documented."""

import importlib.util
import re
import types

from tests.architecture.tree import ROOT

PAGE = ROOT / "docs" / "reference" / "errors.md"
CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def error_findings(module: types.ModuleType, *, page: str) -> list[str]:
    """What is missing from the exception classes that the module defines, or from their entries on the page.

    An entry is a heading or the first cell of a table row that names the class, and a mention of its code.
    """
    classes = [
        thing
        for name, thing in vars(module).items()
        if isinstance(thing, type) and issubclass(thing, BaseException) and not name.startswith("_")
        if thing.__module__ == module.__name__
    ]
    root = getattr(module, "HoldfastError", None)
    if root is None:
        return ["there is no HoldfastError"]
    findings = []
    owners: dict[str, str] = {}
    for error in classes:
        name = error.__name__
        if not issubclass(error, root):
            findings.append(f"{name} is no HoldfastError")
            continue
        code = getattr(error, "code", None)
        if not isinstance(code, str) or not CODE.fullmatch(code):
            findings.append(f"{name}.code is {code!r}, not a word in snake case")
        elif owners.setdefault(code, name) != name:
            findings.append(f"{name}.code is {code!r}, which is the code of {owners[code]}")
        if type(getattr(error, "retryable", None)) is not bool:
            findings.append(f"{name}.retryable is not a bool")
        remedy = getattr(error, "remedy", None)
        if not isinstance(remedy, str) or not remedy.strip():
            findings.append(f"{name}.remedy says nothing")
        if not _has_entry(page, error):
            findings.append(f"{name} has no entry with its code on the errors page")
    return findings


def _has_entry(page: str, error: type) -> bool:
    named = re.search(rf"^(#+|\|)\s*`?{error.__name__}`?(?!\w)", page, re.MULTILINE)
    return named is not None and f"`{getattr(error, 'code', '')}`" in page


def test_every_error_has_a_code_a_remedy_and_an_entry_in_the_docs() -> None:
    if importlib.util.find_spec("holdfast.errors") is None:
        # Then nothing may raise one either: the page and the module arrive together.
        assert not PAGE.exists()
        return
    module = importlib.import_module("holdfast.errors")
    assert error_findings(module, page=PAGE.read_text(encoding="utf-8")) == []


PLANTED = """
class HoldfastError(Exception):
    code, retryable, remedy = "holdfast", False, "Read the message."
class Conflict(HoldfastError):
    code, retryable, remedy = "conflict", True, "Read again, then write."
class Stray(Exception):
    pass
class SameCode(HoldfastError):
    code = "conflict"
class Inherited(HoldfastError):
    pass
class Vague(HoldfastError):
    code, retryable, remedy = "Vague!", 1, " "
class Untold(HoldfastError):
    code = "untold"
"""

PLANTED_PAGE = """
## HoldfastError
Its code is `holdfast`.
## `Conflict`
Its code is `conflict`.
## UntoldToo
`untold`
| `SameCode` | `conflict` |
| Inherited | `holdfast` |
| Vague | `Vague!` |
"""


def test_the_guard_reports_each_way_an_error_can_be_incomplete() -> None:
    module = types.ModuleType("planted_errors")
    exec(PLANTED, vars(module))
    assert error_findings(module, page=PLANTED_PAGE) == [
        "Stray is no HoldfastError",
        "SameCode.code is 'conflict', which is the code of Conflict",
        "Inherited.code is 'holdfast', which is the code of HoldfastError",
        "Vague.code is 'Vague!', not a word in snake case",
        "Vague.retryable is not a bool",
        "Vague.remedy says nothing",
        "Untold has no entry with its code on the errors page",
    ]
