"""What the documentation says to type at a prompt can be typed at a prompt.

The interpreter's prompt is stricter than a file: a blank line ends an indented block, and nothing else does.
"""

from pathlib import Path

import pytest

from tests.docs.runner import ROOT, Block, blocks, paste

TYPED = {
    "docs/tutorial/first-session.md": 0,
    "README.md": 1,  # its first block is a program, for a file
}
END = Block(1, "print('the', 'end')", None)


@pytest.mark.parametrize("page", TYPED)
def test_every_block_can_be_pasted_at_the_prompt(page: str, tmp_path: Path) -> None:
    shown = blocks(ROOT / page)[TYPED[page] :]
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
