"""Every link inside the documentation leads somewhere."""

import re
from pathlib import Path

import pytest

from tests.docs.runner import ROOT

EXAMPLES = ROOT / "examples" / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), EXAMPLES]
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)", re.DOTALL)
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.DOTALL | re.MULTILINE)


def broken_links(page: Path) -> list[str]:
    """Relative links of the page whose file, or whose heading in it, is not there."""
    broken = []
    for target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    return broken


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in a link."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page: str) -> None:
    assert broken_links(ROOT / page) == []


def test_every_page_can_be_reached_from_the_index() -> None:
    docs = ROOT / "docs"
    reached, waiting = {docs / "index.md"}, [docs / "index.md"]
    while waiting:
        page = waiting.pop()
        for target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
            there = (page.parent / target.partition("#")[0]).resolve()
            if there.suffix == ".md" and there.exists() and there not in reached:
                reached.add(there)
                waiting.append(there)
    assert [str(page.relative_to(docs)) for page in sorted(docs.rglob("*.md")) if page not in reached] == []


def test_every_example_has_its_line() -> None:
    listed = LINK.findall(EXAMPLES.read_text(encoding="utf-8"))
    assert sorted(name for name in listed if "/" not in name) == sorted(
        one.name for one in EXAMPLES.parent.glob("*.py")
    )


def test_a_broken_link_is_reported(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A heading, with `code`\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#a-heading-with-code) [c](https://example.org) `[d](code.md)`\n"
        "```\n[e](code.md)\n```\n[f](missing.md) [g](there.md#missing)\n[two\nlines](gone.md)\n"
    )
    assert broken_links(page) == ["missing.md", "there.md#missing", "gone.md"]
