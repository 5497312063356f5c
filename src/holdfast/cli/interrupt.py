"""Ctrl-C while a command is still being imported.

A KeyboardInterrupt in the midst of an import is a traceback of modules that nobody asked about, and within a callback
of the import system it is even lost. Nothing has begun by then that would need an end, so the process just leaves. As
soon as a command runs, Ctrl-C cancels its work as everywhere in Python.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130
"""The exit code: what the shell shows for a program that SIGINT ended."""


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Ctrl-C ends the process, at once and silently. Whoever ignores it or has an answer of their own keeps that."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    try:
        signal.signal(signal.SIGINT, _leave)
    except ValueError:  # not the main thread, which alone hears of it
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def leave_the_rest_to_the_system() -> None:
    """The command has ended; what is left is the interpreter's own end, which would answer with a traceback too."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _leave(number: int, frame: Any) -> None:
    os._exit(INTERRUPTED)
