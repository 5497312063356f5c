"""The error tree: every error has a stable code and a remedy, says if a retry can help, and is documented."""

import re
import types

import holdfast.errors
from tests.architecture.tree import ROOT

PAGE = ROOT / "docs" / "reference" / "errors.md"
CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def error_findings(module: types.ModuleType, *, page: str) -> list[str]:
    """What is missing from the exception classes that the module defines, or from their entries on the page.

    An entry is a table row: class, code, builtin, retry (yes or no), what happened, remedy word for word.
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
            findings.append(f"{name} has no entry with these facts on the errors page")
    return findings


def _has_entry(page: str, error: type) -> bool:
    retry = "yes" if getattr(error, "retryable", False) else "no"
    start = f"| `{error.__name__}` | `{getattr(error, 'code', '')}` |"
    return any(
        row.startswith(start) and f"| {retry} |" in row and row.endswith(f"| {getattr(error, 'remedy', '')} |")
        for row in page.splitlines()
    )


def test_every_error_has_a_code_a_remedy_and_an_entry_in_the_docs() -> None:
    assert error_findings(holdfast.errors, page=PAGE.read_text(encoding="utf-8")) == []


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
class OtherCode(HoldfastError):
    code = "other_code"
class OtherRetry(HoldfastError):
    code = "other_retry"
class OtherRemedy(HoldfastError):
    code = "other_remedy"
"""

PLANTED_PAGE = """
| error | code | also a | retry | what happened | what to do |
|---|---|---|---|---|---|
| `HoldfastError` | `holdfast` | | no | Anything. | Read the message. |
| `Conflict` | `conflict` | | yes | A race. | Read again, then write. |
| `SameCode` | `conflict` | | no | A race. | Read the message. |
| `Inherited` | `holdfast` | | no | Anything. | Read the message. |
| `Vague` | `Vague!` | | yes | Anything. |   |
| `OtherCode` | `another` | | no | Anything. | Read the message. |
| `OtherRetry` | `other_retry` | | yes | Anything. | Read the message. |
| `OtherRemedy` | `other_remedy` | | no | Anything. | Do not read the message. |
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
        "OtherCode has no entry with these facts on the errors page",
        "OtherRetry has no entry with these facts on the errors page",
        "OtherRemedy has no entry with these facts on the errors page",
    ]
