"""The shape of the code: files and functions stay small, a name says what is inside, one noun is one file."""

from collections.abc import Mapping
from pathlib import Path

from tests.architecture.tree import ROOT, SRC, files, functions, parse, write

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
NAMES_THAT_SAY_NOTHING = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}

# A noun that is told on another noun's page: noun -> page.
TOLD_WITH: Mapping[str, str] = {
    "cause": "change",
    "deadline": "session",
    "duration": "config",
    "end": "session",
    "erasure": "holdfast",
    "exposition": "stats",
    "form": "interaction",
    "graph": "run",
    "moment": "config",
    "node": "run",
    "node_spec": "run",
    "page": "session",
    "patch": "checkpoint",
    "session_filter": "session",
    "settings": "config",
    "status": "session",
    "step": "run",
    "sweep": "holdfast",
}


def oversized(root: Path) -> list[str]:
    """Files of more than 400 lines and functions of more than 60, docstrings included."""
    findings = []
    for path in files(root, ".py"):
        name = path.relative_to(root)
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES_MAX:
            findings.append(f"{name}: {lines} lines")
        for function in functions(parse(path)):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                findings.append(f"{name}:{function.lineno} {function.name}: {lines} lines")
    return findings


def vaguely_named(root: Path) -> list[str]:
    """Modules and folders whose name would fit anything."""
    paths = (path.relative_to(root).with_suffix("") for path in files(root, ".py"))
    return sorted(
        str(path)
        for path in paths
        if any(set(part.strip("_").split("_")) & NAMES_THAT_SAY_NOTHING for part in path.parts)
    )


def scattered_nouns(root: Path, *, told_with: Mapping[str, str]) -> list[str]:
    """Nouns of model and services without a file of the same name in the tests or in docs/reference.

    The rule for a place begins with the first noun that has its file there.
    """
    package = root / "src" / "holdfast"
    nouns = {path.stem for place in ("model", "services") for path in (package / place).glob("[!_]*.py")}
    tested = {path.stem.removeprefix("test_") for path in files(root / "tests", ".py")}
    pages = {path.stem for path in (root / "docs" / "reference").glob("*.md")}
    findings = []
    if nouns & tested:
        findings += [f"{noun}: no tests/**/test_{noun}.py" for noun in sorted(nouns - tested)]
    if nouns & pages:
        told = {noun for noun in nouns if told_with.get(noun, noun) in pages}
        findings += [f"{noun}: no docs/reference/{noun}.md" for noun in sorted(nouns - told)]
    return findings


def test_no_file_and_no_function_in_src_outgrows_its_screen() -> None:
    assert oversized(SRC) == []


def test_no_module_has_a_name_that_would_fit_anything() -> None:
    assert vaguely_named(SRC) == []


def test_a_noun_has_its_tests_and_its_page_under_its_own_name() -> None:
    assert scattered_nouns(ROOT, told_with=TOLD_WITH) == []


def test_the_size_guard_accepts_the_limit_and_reports_one_line_more(tmp_path: Path) -> None:
    write(tmp_path, "full.py", "x = 1\n" * FILE_LINES_MAX)
    write(tmp_path, "inside.py", "def f():\n" + "    x = 1\n" * (FUNCTION_LINES_MAX - 1))
    assert oversized(tmp_path) == []
    write(tmp_path, "full.py", "x = 1\n" * (FILE_LINES_MAX + 1))
    write(tmp_path, "inside.py", "class A:\n  async def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX)
    assert oversized(tmp_path) == ["full.py: 401 lines", "inside.py:2 f: 61 lines"]


def test_the_name_guard_reports_vague_modules_and_folders(tmp_path: Path) -> None:
    for name in ("session.py", "database.py", "utils.py", "common/keys.py", "lease_manager.py", "_base.py"):
        write(tmp_path, name, "")
    assert vaguely_named(tmp_path) == ["_base", "common/keys", "lease_manager", "utils"]


def test_the_noun_guard_waits_for_the_first_file_and_then_asks_for_all(tmp_path: Path) -> None:
    for name in ("model/session", "model/status", "services/state", "services/__init__", "kernel/keys"):
        write(tmp_path, f"src/holdfast/{name}.py", "")
    assert scattered_nouns(tmp_path, told_with={}) == []
    write(tmp_path, "tests/unit/test_session.py", "")
    write(tmp_path, "docs/reference/errors.md", "")
    assert scattered_nouns(tmp_path, told_with={}) == [
        "state: no tests/**/test_state.py",
        "status: no tests/**/test_status.py",
    ]
    write(tmp_path, "docs/reference/session.md", "")
    write(tmp_path, "tests/unit/test_status.py", "")
    write(tmp_path, "tests/unit/test_state.py", "")
    assert scattered_nouns(tmp_path, told_with={"status": "session"}) == ["state: no docs/reference/state.md"]
