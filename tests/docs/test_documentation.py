"""Whatever the documentation shows, runs."""

import os
from pathlib import Path

import pytest

from tests.docs.runner import ROOT, blocks, run_example, run_page

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").rglob("[!_]*.py"))


@pytest.mark.parametrize("shown", [str(path.relative_to(ROOT)) for path in PAGES + EXAMPLES])
def test_what_is_shown_runs(shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))  # for programs that a page starts
    if shown.endswith(".py"):
        assert run_example(ROOT / shown, folder=tmp_path).returncode == 0
    else:
        page = ROOT / shown
        to_run = [block for block in blocks(page) if block.not_run is None]
        assert run_page(page, folder=tmp_path) == len(to_run)
