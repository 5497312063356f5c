"""The runner of the documentation finds every block, runs it as a reader would, and fails when a block fails."""

import subprocess
import traceback
from pathlib import Path

import pytest

from tests.docs.runner import Block, blocks, run_example, run_page


def page_of(folder: Path, text: str) -> Path:
    """A page outside the folder its blocks run in."""
    page = folder.parent / f"{folder.name}.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_blocks_are_found_with_their_lines_and_other_languages_are_left_alone(tmp_path: Path) -> None:
    page = page_of(
        tmp_path,
        "# Title\n"
        "```python\na = 1\n```\n"
        "```sh\nexit 1\n```\n"
        "- in a list:\n\n  ~~~py\n  if a:\n      b = 2\n  ~~~\n"
        "````markdown\n```python\nshown, not code\n```\n````\n"
        "```python title='x.py'\n\nc = 3\n```\n",
    )
    assert blocks(page) == [
        Block(3, "a = 1", None),
        Block(11, "if a:\n    b = 2", None),
        Block(20, "\nc = 3", None),
    ]


def test_blocks_of_a_page_share_names_and_a_folder_and_may_await(tmp_path: Path) -> None:
    page = page_of(
        tmp_path,
        "```python\nimport asyncio\nfrom pathlib import Path\nqueue = asyncio.Queue()\n```\n"
        "```python\nawait queue.put('one')\nPath('note.txt').write_text(await queue.get())\n```\n"
        "```python\nasync def main():\n    return Path('note.txt').read_text()\n"
        "assert asyncio.run(main()) == 'one'\nassert __name__ == '__main__'\n```\n",
    )
    assert run_page(page, folder=tmp_path) == 3
    assert (tmp_path / "note.txt").read_text() == "one"


def test_a_page_does_not_see_the_names_of_another(tmp_path: Path) -> None:
    run_page(page_of(tmp_path, "```python\nleft = 1\n```\n"), folder=tmp_path)
    with pytest.raises(NameError):
        run_page(page_of(tmp_path, "```python\nleft\n```\n"), folder=tmp_path)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("assert 1 + 1 == 3", AssertionError),
        ("import asyncio\nawait asyncio.sleep(0)\nraise LookupError", LookupError),
        ("from holdfast import no_such_name", ImportError),
        ("this is no python", SyntaxError),
        ("import warnings\nwarnings.warn('old', DeprecationWarning)", DeprecationWarning),
    ],
)
def test_a_broken_block_fails_its_page(tmp_path: Path, code: str, error: type[BaseException]) -> None:
    page = page_of(tmp_path, f"```python\nfine = 1\n```\n\n```python\n{code}\n```\n")
    with pytest.raises(error):
        run_page(page, folder=tmp_path)


def test_a_failure_names_the_page_and_its_line(tmp_path: Path) -> None:
    page = page_of(tmp_path, "# Title\n\n```python\na = 1\nraise LookupError\n```\n")
    with pytest.raises(LookupError) as caught:
        run_page(page, folder=tmp_path)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.lineno) == (str(page), 5)


def test_a_block_is_left_out_only_with_a_reason_right_before_it(tmp_path: Path) -> None:
    excuse = "<!-- not run: needs a PostgreSQL server -->"
    page = page_of(tmp_path, f"{excuse}\n\n```python\n1 / 0\n```\n")
    assert blocks(page) == [Block(4, "1 / 0", "needs a PostgreSQL server")]
    assert run_page(page, folder=tmp_path) == 0

    for text in (f"{excuse}\n\nText.\n\n```python\n1 / 0\n```\n", "<!-- skip -->\n```python\n1 / 0\n```\n"):
        with pytest.raises(ZeroDivisionError):
            run_page(page_of(tmp_path, text), folder=tmp_path)
    with pytest.raises(ValueError, match=r":1: .* needs a reason"):
        blocks(page_of(tmp_path, "<!-- not run -->\n```python\n1 / 0\n```\n"))


def test_an_excuse_covers_one_block(tmp_path: Path) -> None:
    text = "<!-- not run: shape only -->\n```python\n1 / 0\n```\n```python\n[].pop()\n```\n"
    with pytest.raises(IndexError):
        run_page(page_of(tmp_path, text), folder=tmp_path)


def test_a_block_that_is_never_closed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=":2: this block is never closed"):
        blocks(page_of(tmp_path, "text\n```python\na = 1\n"))


def test_an_example_runs_in_its_own_folder_and_a_broken_one_fails(tmp_path: Path) -> None:
    example = tmp_path / "example.py"
    folder = tmp_path / "folder"
    folder.mkdir()
    example.write_text("import holdfast, pathlib\npathlib.Path('made.txt').touch()\nprint('done')\n")
    assert run_example(example, folder=folder).stdout == "done\n"
    assert (folder / "made.txt").exists()
    for broken in ("raise SystemExit(3)\n", "import warnings\nwarnings.warn('old', DeprecationWarning)\n"):
        example.write_text(broken)
        with pytest.raises(subprocess.CalledProcessError):
            run_example(example, folder=folder)
