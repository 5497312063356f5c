"""A forked child: the inherited handle is poisoned, the parent's locks and file stay as they are."""

from __future__ import annotations

from pathlib import Path

from tests.unit.backends.sqlite.drafts import finished, start

FORKING = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore")
from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import Closed
from tests.unit.backends.sqlite.drafts import NOW_US, Lane, applied, value_of

async def refusals(kernel, path):
    for verb in (kernel.scopes(), kernel.moved(), value_of(kernel, "s/1", "k"), kernel.stats(),
                 kernel.commit([Lane("child").put("s/1", "k", b"child")]), SqliteKernel.open(path)):
        try:
            await verb
        except Closed as error:
            print("refused", "forked" in str(error), flush=True)
    await kernel.close()

def main(path):
    loop = asyncio.new_event_loop()
    kernel = loop.run_until_complete(SqliteKernel.open(path))
    lane = Lane()
    loop.run_until_complete(applied(kernel, lane.put("s/1", "k", b"before")))
    assert loop.run_until_complete(value_of(kernel, "s/1", "k")) == b"before"
    child = os.fork()
    if child == 0:
        asyncio.new_event_loop().run_until_complete(refusals(kernel, path))
        sys.exit(0)  # not os._exit: everything is finalised, and must not close what was inherited
    assert os.waitpid(child, 0)[1] == 0
    loop.run_until_complete(applied(kernel, lane.put("s/1", "k", b"after")))
    other = loop.run_until_complete(SqliteKernel.open(path))
    assert loop.run_until_complete(value_of(other, "s/1", "k")) == b"after"
    assert os.path.getsize(path + "-wal") > 0
    loop.run_until_complete(kernel.close())
    loop.run_until_complete(other.close())
    child = os.fork()
    if child == 0:  # closed before the fork: the child may open it
        again = asyncio.new_event_loop()
        mine = again.run_until_complete(SqliteKernel.open(path))
        print(again.run_until_complete(value_of(mine, "s/1", "k")), flush=True)
        again.run_until_complete(mine.close())
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0

main(sys.argv[1])
"""


def test_a_child_is_refused_and_the_parent_goes_on(tmp_path: Path) -> None:
    """Every verb and a new opening of the same file raise Closed in the child; close does nothing there."""
    out = finished(start(FORKING, tmp_path / "store.db")).splitlines()
    assert out == ["refused True"] * 6 + ["b'after'"]
