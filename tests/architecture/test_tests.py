"""The tests are honest: none is skipped or expected to fail, and none replaces a part of Holdfast by a mock."""

import ast
from pathlib import Path

from tests.architecture.tree import ROOT, files, parse, write

WAYS_OUT = {"skip", "skipif", "xfail", "importorskip", "skipTest", "skipUnless", "expectedFailure"}
MOCKS = {"mock", "unittest.mock", "pytest_mock"}


def ways_out(root: Path) -> list[str]:
    """Uses of what skips a test, expects it to fail, or mocks."""
    findings = []
    for path in files(root, ".py"):
        for node in ast.walk(parse(path)):
            names: set[str] = set()
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).startswith(("pytest", "unittest")):
                names = {node.attr} & WAYS_OUT
            elif isinstance(node, ast.Import):
                names = {alias.name for alias in node.names} & MOCKS
            elif isinstance(node, ast.ImportFrom):
                full = {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
                names = (full & MOCKS) or ({alias.name for alias in node.names} & WAYS_OUT)
            findings += [f"{path.relative_to(root)}:{_line(node)} {name}" for name in sorted(names)]
    return findings


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def test_no_test_is_skipped_expected_to_fail_or_mocked() -> None:
    assert ways_out(ROOT / "tests") == []


def test_the_guard_reports_each_way_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        "test_a.py",
        "@pytest.mark.skipif(True, reason='')\ndef test_a():\n    pytest.skip('later')\n"
        "pytestmark = [pytest.mark.xfail]\nfrom unittest import mock\nfrom unittest.mock import Mock\n"
        "from pytest import importorskip\nlog.skip(3)\n",
    )
    assert sorted(ways_out(tmp_path)) == [
        "test_a.py:1 skipif",
        "test_a.py:3 skip",
        "test_a.py:4 xfail",
        "test_a.py:5 unittest.mock",
        "test_a.py:6 unittest.mock",
        "test_a.py:7 importorskip",
    ]
