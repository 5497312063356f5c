"""Who is inside SQLite, so that a fork can wait until nobody is.

SQLite has locks for the whole process: of its memory, its page cache, its list of files. One that another thread holds
at the moment of a fork is held for ever in the child, which then hangs when it opens any SQLite file. So every thread
says when it goes in and when it is out again; a forking thread waits until the others are out, and lets nobody in until
it has forked.

Nothing here waits for ever. The forking thread itself may be inside, as in a signal handler, and is not waited for. One
that has waited for `PATIENCE_S` forks all the same, and a thread that has waited for a fork twice as long goes in. So
what counts is what the child finds. It has a copy of who was inside at that very moment: all this is done under the
interpreter's lock, which the forking thread has. If somebody was, the child refuses to open a store (see `forks`).

Waiting for locks of other processes is done outside (`wait`): a connection's busy handler runs with that connection's
own lock only, and no child uses the connection. Sleeping is Python's: sqlite3_sleep takes a lock of the process.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

PATIENCE_S = 5.0
PAUSE_S = 0.0005

_inside: dict[object, int] = {}  # what went in, one for each place in the code that does, and in which thread
_forking: set[int] = set()  # threads that are about to fork


def enter(who: object) -> None:
    """Go into SQLite, once nobody is about to fork."""
    me = threading.get_ident()
    _inside[who] = me
    if _forking:
        _give_way(who, me)


def leave(who: object) -> None:
    """Be out again; harmless when it was not in."""
    _inside.pop(who, None)


class Inside:
    """`with Inside(self):` around what calls SQLite."""

    __slots__ = ("_who",)

    def __init__(self, who: object) -> None:
        self._who = who

    def __enter__(self) -> None:
        enter(self._who)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        leave(self._who)


def wait(seconds: float) -> None:
    """Sleep, outside; for waits in the midst of a block that is inside."""
    me = threading.get_ident()
    mine = [who for who, thread in list(_inside.items()) if thread == me]
    for who in mine:
        leave(who)
    time.sleep(seconds)
    for who in mine:
        enter(who)


def before_fork() -> None:
    """Wait until nobody else is inside, and let nobody in."""
    _forking.add(threading.get_ident())
    until = time.monotonic() + PATIENCE_S
    while _others() and time.monotonic() < until:
        time.sleep(PAUSE_S)


def after_fork_in_parent() -> None:
    """Let them go on."""
    _forking.discard(threading.get_ident())


def after_fork_in_child() -> bool:
    """Begin anew; whether nobody else was inside when this process was forked."""
    others = _others()
    _forking.clear()
    for who in others:
        leave(who)
    return not others


def _others() -> list[object]:
    me = threading.get_ident()
    return [who for who, thread in list(_inside.items()) if thread != me]


def _give_way(who: object, me: int) -> None:
    until = time.monotonic() + 2 * PATIENCE_S
    while _forking - {me} and time.monotonic() < until:
        leave(who)
        time.sleep(PAUSE_S)
        _inside[who] = me  # before the next look at who is forking: one of both sees the other
