"""What the documentation says to type at a prompt can be typed at a prompt.

The interpreter's prompt is stricter than a file: a blank line ends an indented block, and nothing else does.
"""

import ast
import codeop
from pathlib import Path

import pytest

from tests.docs.runner import ROOT, Block, blocks, paste

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TYPED = ["README.md", *[str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs/tutorial").glob("*.md"))]]
PROGRAMS = {"README.md": 1}  # how many blocks a page begins with that are programs, for a file
END = Block(1, "print('the', 'end')", None)


def refused(code: str) -> str | None:
    """What the prompt says, and to which line, if it does not take that code, line by line; None if it takes it."""
    compiler = codeop.CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    typed: list[str] = []
    for number, line in enumerate([*code.split("\n"), ""], start=1):
        typed.append(line)
        try:
            complete = compiler("\n".join(typed), symbol="single") is not None
        except SyntaxError as error:
            return f"{type(error).__name__} in line {number}: {line}"
        if complete:
            typed = []
    return None if not typed else f"line {number} is not the end"


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_the_prompt_takes_every_block(page: str) -> None:
    for block in blocks(ROOT / page):
        assert refused(block.code) is None, f"{page}, the block of line {block.line}"


@pytest.mark.parametrize("page", TYPED)
def test_every_block_of_a_tutorial_can_be_pasted_and_is_right(page: str, tmp_path: Path) -> None:
    shown = blocks(ROOT / page)[PROGRAMS.get(page, 0) :]
    assert shown
    done = paste([*shown, END], folder=tmp_path)
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "the end" in done.stdout


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("if True:\n    a = 1\n\n    b = 2", "IndentationError"),
        ("if True:\n    a = 1\nb = 2", "SyntaxError"),
        ("import asyncio\nawait asyncio.sleep(0)\nassert 1 + 1 == 3", "AssertionError"),
    ],
    ids=["a blank line inside a block", "no blank line after a block", "a wrong claim"],
)
def test_what_cannot_be_pasted_is_seen(code: str, error: str, tmp_path: Path) -> None:
    done = paste([Block(1, code, None), END], folder=tmp_path)
    assert error in done.stderr
    assert "the end" in done.stdout
    assert error == "AssertionError" or str(refused(code)).startswith(error)
