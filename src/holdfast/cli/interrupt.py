"""Ctrl-C while a command is still being imported.

A KeyboardInterrupt in the midst of an import is a traceback of modules that nobody asked about, and within a callback
of the import system it is even lost. Nothing has begun by then that would need an end, so the process just leaves. As
soon as a command runs, Ctrl-C cancels its work as everywhere in Python.

This module comes before all others, so it imports next to nothing itself.
"""

from __future__ import annotations

import os
import signal

INTERRUPTED = 130
"""The exit code: what the shell shows for a program that SIGINT ended."""


class LeavingAtOnce:
    """In this block Ctrl-C ends the process, at once and silently. Whoever ignores it, or has an answer of their own,
    keeps that; and only the main thread ever hears of it."""

    def __enter__(self) -> None:
        self._mine = False
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            try:
                signal.signal(signal.SIGINT, _leave)
            except ValueError:  # not the main thread
                return
            self._mine = True

    def __exit__(self, *problem: object) -> None:
        if self._mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def leave_the_rest_to_the_system() -> None:
    """The command has ended; what is left is the interpreter's own end, which would answer with a traceback too."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _leave(number: int, frame: object) -> None:
    os._exit(INTERRUPTED)
