"""Whatever the documentation shows, runs."""

import os
from pathlib import Path

import pytest
from opentelemetry import trace

from tests.docs.runner import ROOT, blocks, run_example, run_page

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").rglob("[!_]*.py"))


@pytest.mark.parametrize("shown", [str(path.relative_to(ROOT)) for path in PAGES])
def test_what_is_shown_runs(shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))  # for programs that a page starts
    # A page that sets one up would set it for every test after it: a process may have one provider, for good.
    provider = [trace.get_tracer_provider()]
    monkeypatch.setattr(trace, "set_tracer_provider", provider.append)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider[-1])
    page = ROOT / shown
    to_run = [block for block in blocks(page) if block.not_run is None]
    assert run_page(page, folder=tmp_path) == len(to_run)


@pytest.mark.parametrize("example", [str(path.relative_to(ROOT)) for path in EXAMPLES])
def test_an_example_runs_and_runs_again_in_the_same_folder(example: str, tmp_path: Path) -> None:
    for _ in range(2):
        assert run_example(ROOT / example, folder=tmp_path).stdout
