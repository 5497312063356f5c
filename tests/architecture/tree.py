"""What the architecture tests look at: the files of this project and their syntax trees.

Every guard is a function from a folder to a list of findings, so that the guard itself is tested on a
folder that breaks the rule: a guard that finds nothing anywhere proves nothing.
"""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "holdfast"

_NOT_OURS = {"__pycache__", "build", "dist", "htmlcov", "node_modules"}
_HIDDEN_BUT_OURS = {".ci", ".github", ".gitignore"}


def files(root: Path, *suffixes: str) -> Iterator[Path]:
    """Every file under root that belongs to the project, sorted; of these suffixes only, if any are given.

    Hidden files, environments, caches and build results are not the project's.
    """
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name for name in folders if _is_ours(name) and not Path(folder, name, "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            if _is_ours(name) and (not suffixes or Path(name).suffix in suffixes):
                yield Path(folder, name)


def _is_ours(name: str) -> bool:
    hidden = name.startswith(".") and name not in _HIDDEN_BUT_OURS
    return not hidden and name not in _NOT_OURS and not name.endswith(".egg-info")


def parse(path: Path) -> ast.Module:
    """The syntax tree of one source file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function in the tree, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def write(root: Path, name: str, text: str) -> Path:
    """Plant one file for a test of a guard."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
