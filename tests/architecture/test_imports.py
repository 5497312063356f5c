"""Imports point down: the contracts in pyproject.toml hold, and a broken one is noticed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, write

# A tree in which every layer exists, for the planted imports.
PACKAGES = """. cli testing handles operations services wrappers backends backends/memory backends/sqlite
    model kernel dialects"""
MODULES = "sync hold opening system services/state services/session model/session kernel/commit errors"


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of root/pyproject.toml against the package in root/src, in a process of its own."""
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root / "src"), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_every_import_points_down() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("importer", "statement", "contract"),
    [
        ("kernel/commit.py", "from holdfast.services import state", "Imports point down"),
        (
            "errors.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import holdfast.kernel",
            "Imports point down",
        ),
        ("model/session.py", "def f():\n    import holdfast.kernel.commit", "Imports point down"),
        ("model/session.py", "import time", "The middle is pure"),
        ("kernel/commit.py", "import random", "The kernel has no clock"),
        ("services/state.py", "import uuid", "Services and operations get storage"),
        ("services/state.py", "from holdfast.services import session", "Services do not know each other"),
        ("backends/sqlite/read.py", "import holdfast.backends.memory", "Backends do not know each other"),
        ("backends/sqlite/read.py", "import holdfast.model.session", "A backend never learns"),
        ("common.py", "import json", "Imports point down"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(tmp_path: Path, importer: str, statement: str, contract: str) -> None:
    """The contracts are not vacuous: each planted import is reported under the contract it breaks."""
    write(tmp_path, "pyproject.toml", (ROOT / "pyproject.toml").read_text())
    for package in PACKAGES.split():
        write(tmp_path, f"src/holdfast/{package}/__init__.py", "")
    for module in MODULES.split():
        write(tmp_path, f"src/holdfast/{module}.py", "")
    write(tmp_path, f"src/holdfast/{importer}", statement + "\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken), done.stdout + done.stderr
