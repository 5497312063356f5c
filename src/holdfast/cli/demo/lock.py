"""One demo of a folder at a time in a store: a second one would take turns with the first at the same sessions.

A lock on a file beside the store, held by the demo and, because they inherit it, by its processes. So nothing is left
to be cleared up by hand, whoever dies of what: the system lets go of it when the last of them is gone. After a SIGKILL
of the demo that is a moment later than its own end, hence the patience. Demos of other folders, or in other spaces,
have sessions of their own and may run beside it.

A lock in the store itself was no choice: it would outlive its holder, or need a clock to tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from holdfast.cli.demo.files import spell
from holdfast.errors import Unavailable

PATIENCE_S = 3.0
"""How long processes of a demo that was killed may take to follow it."""

PAUSE_S = 0.02
"""Between two looks."""


class AtWork(Unavailable):
    """Another demo of the same folder is at work in this store."""

    code = "demo_at_work"
    remedy = (
        "Wait until it has ended, or end it with Ctrl-C where it runs; name another folder or --store to run beside it."
    )


def lock_of(store: Path, space: str, root: bytes) -> Path:
    """The file on which the demos of that folder take turns."""
    name = hashlib.sha256(space.encode() + b"\0" + root).hexdigest()[:12]
    real = Path(os.path.realpath(store))
    return real.with_name(f"{real.name}-demo-{name}")


@asynccontextmanager
async def alone(store: Path, space: str, root: bytes, *, patience_s: float = PATIENCE_S) -> AsyncIterator[int]:
    """Hold the lock; what it yields is its handle, for processes that are to hold it too. Raises AtWork."""
    path = await asyncio.to_thread(lock_of, store, space, root)
    until = time.monotonic() + patience_s
    while (handle := await asyncio.to_thread(_try, path)) is None:
        if time.monotonic() >= until:
            holder = await asyncio.to_thread(_holder, path)
            raise AtWork(f"another demo of {spell(root)} is at work in {store}{holder}", path=str(store))
        await asyncio.sleep(PAUSE_S)
    try:
        yield handle
    finally:
        await asyncio.to_thread(_let_go, path, handle)


def _try(path: Path) -> int | None:
    """The handle of the locked file; None while somebody else holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), os.stat(path)):
            os.truncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def _let_go(path: Path, handle: int) -> None:
    # Removed while it is held: whoever opened it meanwhile sees that it is not the file of that name any more.
    path.unlink(missing_ok=True)
    os.close(handle)


def _holder(path: Path) -> str:
    """Who holds it, in words; nothing if that cannot be told."""
    with contextlib.suppress(OSError, ValueError):
        return f" (process {int(path.read_bytes())})"
    return ""
