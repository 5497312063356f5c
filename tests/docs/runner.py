"""Runs what the documentation shows.

The python blocks of one page share a namespace and run from top to bottom in an empty folder, as a reader would paste
them one after the other; `await` at the top level is allowed. A block is left out only by a comment that stands
before it and says why:

    <!-- not run: needs a PostgreSQL server -->

A traceback names the page and the line in it. An example is a program: it runs in a process of its own, in an empty
folder, with warnings as errors, and must end well.
"""

import ast
import asyncio
import contextlib
import inspect
import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE_TIMEOUT_S = 100

_FENCE = re.compile(r"^(?P<indent>[ \t>]*)(?P<marks>`{3,}|~{3,})\s*(?P<language>[^\s`{,]*)")
_NOT_RUN = re.compile(r"^\s*<!--\s*not run\b:?(?P<reason>.*?)-->\s*$")


@dataclass(frozen=True)
class Block:
    """One python block of a page: the line its code begins at, the code, and why it is not run, if it is not."""

    line: int
    code: str
    not_run: str | None


def blocks(page: Path) -> list[Block]:
    """The python blocks of a page, in order. Raises ValueError for an open block or a comment without a reason."""
    found: list[Block] = []
    fence: re.Match[str] | None = None
    begun, reason = 0, None
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        if fence is not None:
            if re.fullmatch(rf"[ \t>]*{fence['marks'][0]}{{{len(fence['marks'])},}}\s*", line):
                if fence["language"].lower() in {"python", "python3", "py"}:
                    shown = lines[begun : number - 1]
                    code = "\n".join(text.removeprefix(fence["indent"]) for text in shown)
                    found.append(Block(begun + 1, code, reason))
                fence, reason = None, None
        elif fence := _FENCE.match(line):
            begun = number
        elif comment := _NOT_RUN.match(line):
            reason = comment["reason"].strip()
            if not reason:
                raise ValueError(f"{page.name}:{number}: a block that is not run needs a reason")
        elif line.strip():
            reason = None
    if fence is not None:
        raise ValueError(f"{page.name}:{begun}: this block is never closed")
    return found


def run_page(page: Path, *, folder: Path) -> int:
    """Run the page's blocks in that folder and return how many ran. What a block raises comes through."""
    ran = 0
    with contextlib.chdir(folder), _as_main() as namespace, asyncio.Runner() as runner:
        for block in blocks(page):
            if block.not_run is not None:
                continue
            # The blank lines make the code's line numbers those of the page.
            program = compile(
                "\n" * (block.line - 1) + block.code,
                str(page),
                "exec",
                flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
                dont_inherit=True,
            )
            if program.co_flags & inspect.CO_COROUTINE:
                runner.run(eval(program, namespace))
            else:
                exec(program, namespace)
            ran += 1
    return ran


def paste(shown: list[Block], *, folder: Path) -> subprocess.CompletedProcess[str]:
    """Paste blocks into `python -m asyncio`, in that folder, each followed by Enter, and end the input.

    The prompt goes on after an error, which it tells on stderr. Raises TimeoutExpired if it does not end.
    """
    done = subprocess.run(
        [sys.executable, "-m", "asyncio"],
        cwd=folder,
        env=_environment() | {"PYTHONIOENCODING": "utf-8"},
        input="".join(f"{block.code}\n\n" for block in shown if block.not_run is None),
        encoding="utf-8",
        capture_output=True,
        timeout=EXAMPLE_TIMEOUT_S,
    )
    print(done.stdout, done.stderr, sep="\n")
    return done


@contextlib.contextmanager
def _as_main() -> Iterator[dict[str, object]]:
    """A fresh `__main__`, so that classes of a page find their module and no page sees another's names."""
    module = types.ModuleType("__main__")
    kept = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        yield vars(module)
    finally:
        sys.modules["__main__"] = kept


def run_example(example: Path, *, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one example in that folder. Raises CalledProcessError if it fails and TimeoutExpired if it does not end."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=EXAMPLE_TIMEOUT_S,
    )
    print(done.stdout, done.stderr, sep="\n")
    done.check_returncode()
    return done


def _environment() -> dict[str, str]:
    """The environment of a reader who configured nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return kept | {"PYTHONPATH": str(ROOT / "src")}
