"""Where the demo tells its story: a progress bar on a terminal, lines everywhere else."""

from __future__ import annotations

import sys
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from holdfast.cli.printable import printable
from holdfast.cli.table import console

STEPS = 10
"""How many lines of progress a run without a bar prints."""


class Screen(Protocol):
    """What the demo tells."""

    def say(self, text: str) -> None:
        """One line of the story."""

    def progress(self, done: int, total: int, what: str) -> None:
        """How far it is, and with what."""

    def close(self) -> None:
        """The story is told."""


class Lines:
    """Lines only."""

    def __init__(self) -> None:
        self._step = -1

    def say(self, text: str) -> None:
        """See `Screen`."""
        print(printable(text), flush=True)

    def progress(self, done: int, total: int, what: str) -> None:
        """See `Screen`: a line at every tenth."""
        step = done * STEPS // total if total else STEPS
        if step > self._step:
            self._step = step
            self.say(f"{done:,} of {total:,} files{': ' + what[-60:] if what else ''}")

    def close(self) -> None:
        """See `Screen`."""


class Bar:
    """A progress bar, with the lines above it."""

    def __init__(self) -> None:
        self._progress = Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[what]}", markup=False),
            console=console(),
            transient=True,
        )
        self._task: TaskID | None = None

    def say(self, text: str) -> None:
        """See `Screen`."""
        self._progress.console.print(Text(printable(text)))

    def progress(self, done: int, total: int, what: str) -> None:
        """See `Screen`."""
        what = printable(what)[-40:]
        if self._task is None:
            self._task = self._progress.add_task("", total=total, completed=done, what=what)
            self._progress.start()
        else:
            self._progress.update(self._task, total=total, completed=done, what=what)

    def close(self) -> None:
        """See `Screen`."""
        self._progress.stop()


def screen(*, plain: bool) -> Screen:
    """The screen that fits where stdout goes."""
    return Lines() if plain or not sys.stdout.isatty() else Bar()
