"""A forked child: the inherited handle is poisoned, the parent's locks and file stay as they are, and nothing hangs.

Forks while other threads run are what is tested: from Python 3.12 on they bring a DeprecationWarning, silenced here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

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


PARENT = """
import asyncio, os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")
from holdfast.backends.sqlite import SqliteKernel, gate
from holdfast.errors import Closed, HoldfastError
from tests.unit.backends.sqlite.drafts import Lane, applied, value_of

path = sys.argv[1]
CHILD_S_MAX = 60

def other(n=0):
    return f"{path}-other{n}"

async def use(path, *, key="k"):
    # All that a child does with a file of its own.
    kernel = await SqliteKernel.open(path, durability="process")
    await applied(kernel, Lane(f"{os.getpid()} {time.monotonic_ns()}").put("s/1", key, b"v"))
    assert await value_of(kernel, "s/1", key) == b"v"
    await kernel.close()

async def refused(path, word):
    try:
        await SqliteKernel.open(path)
    except Closed as error:
        assert word in str(error), error
    else:
        raise AssertionError("opened")

def in_child(main, *args):
    # Forks; returns the pid. The child runs main(*args) and ends with 0 if that went well.
    child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.run(main(*args))
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(code)
    return child

def ended(child):
    # Whether the child ended well, in time; one that hangs is killed.
    until = time.monotonic() + CHILD_S_MAX
    while (found := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            print("a child hangs", flush=True)
            return False
        time.sleep(0.001)
    return found[1] == 0

class Committing:
    # Threads that commit, read and sweep, each in a loop of its own, until the block ends.
    def __init__(self, threads):
        self.going = threading.Barrier(threads + 1)
        self.ended = threading.Event()
        self.commits = 0
        self.threads = [threading.Thread(target=lambda n=n: asyncio.run(self.work(n))) for n in range(threads)]

    async def work(self, n):
        kernel, lane = await SqliteKernel.open(f"{path}{n}", durability="process"), Lane(f"w{n}")
        await applied(kernel, lane.put("s/1", "k", b"v"))
        self.going.wait()
        while not self.ended.is_set():
            await asyncio.gather(*(applied(kernel, lane.put(f"s/{m}", "k", os.urandom(2_000))) for m in range(4)))
            await kernel.scopes(limit=1_000)
            await value_of(kernel, "s/1", "k")
            self.commits += 4
        await kernel.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.going.wait()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()
"""

HUNDREDS = """
async def open_and_close(path):
    await (await SqliteKernel.open(path)).close()

for n in range(4):
    asyncio.run(use(other(n)))
with Committing(2) as parent:
    for n in range(0, 160, 8):
        children = [in_child(open_and_close, other(m % 4)) for m in range(8)]
        assert all([ended(child) for child in children]), n
    assert parent.commits > 0
print("done")
"""

INSIDE = """
gate.PATIENCE_S = 0.05
inside, free = threading.Event(), threading.Event()

def hold(place):
    if place == "batch.written" and armed:
        inside.set()
        free.wait(CHILD_S_MAX)

async def main():
    global armed
    armed = False
    kernel = await SqliteKernel.open(path, failpoint=hold)
    armed = True
    pending = asyncio.ensure_future(kernel.commit([Lane().put("s/1", "k", b"v")]))
    await asyncio.sleep(0)
    assert inside.wait(CHILD_S_MAX)
    children = [in_child(refused, name, "inside SQLite") for name in (other(), path)]
    assert all([ended(child) for child in children])
    armed = False
    free.set()
    await pending
    assert await value_of(kernel, "s/1", "k") == b"v"
    child = in_child(use, other())
    assert ended(child)
    await kernel.close()

asyncio.run(main())
print("done")
"""

WAITING = """
import apsw
holder = apsw.Connection(path)
holder.execute("CREATE TABLE t(x); BEGIN EXCLUSIVE")

async def in_the_child():
    await refused(path, "forked")
    await use(other())

async def main():
    opening = asyncio.ensure_future(SqliteKernel.open(path))
    until = time.monotonic() + CHILD_S_MAX
    while not any(name.endswith("-lock") for name in os.listdir(os.path.dirname(path))):
        assert time.monotonic() < until
        await asyncio.sleep(0)
    began = time.monotonic()
    assert ended(in_child(in_the_child))
    holder.execute("ROLLBACK")
    try:
        await opening
    except HoldfastError as error:
        assert "another program" in str(error)

asyncio.run(main())
print("done")
"""

FROM_A_THREAD = """
import multiprocessing
from concurrent.futures import ThreadPoolExecutor

def run_use(path):
    asyncio.run(use(path))

with Committing(1), ThreadPoolExecutor(2) as pool:
    for _ in range(10):
        children = list(pool.map(lambda n: in_child(use, other(n)), range(2)))
        assert all([ended(child) for child in children])
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=run_use, args=(other(n),)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(CHILD_S_MAX)
        assert process.exitcode == 0, process.exitcode
    with context.Pool(2) as workers:
        workers.map_async(run_use, [other(n) for n in range(4)]).get(CHILD_S_MAX)
print("done")
"""

IN_A_CALLBACK = """
forked = []

def wake():
    if len(forked) < 5:
        forked.append(in_child(use, other()))

async def main():
    kernel, lane = await SqliteKernel.open(path), Lane()
    kernel.watch(wake)  # called in the writer's thread
    while len(forked) < 5:
        await applied(kernel, lane.put("s/1", "k", b"v"))
    signal.signal(signal.SIGUSR1, lambda *_: forked.append(in_child(use, other(1))))
    for n in range(5):  # a handler runs within a read or between two
        signaller = threading.Timer(0.001 * n, os.kill, (os.getpid(), signal.SIGUSR1))
        signaller.start()
        while len(forked) < 6 + n:
            await value_of(kernel, "s/1", "k")
            await kernel.log("s/1", limit=10)
        signaller.join()
    assert all([ended(child) for child in forked])
    await kernel.close()

asyncio.run(main())
print("done")
"""

OTHER_THREADS = """
def open_here():
    return sum(1 for fd in os.listdir("/dev/fd") if same(fd))

def same(fd):
    try:
        return os.path.samestat(os.fstat(int(fd)), os.stat(path))
    except OSError:
        return False

async def count(expected):
    assert open_here() == expected, (open_here(), expected)
    await use(other())

async def main():
    kernel = await SqliteKernel.open(path)
    await applied(kernel, Lane().put("s/1", "k", b"v"))
    read, leave = threading.Barrier(4), threading.Barrier(4)

    def reading():
        asyncio.run(value_of(kernel, "s/1", "k"))
        read.wait()
        leave.wait()

    threads = [threading.Thread(target=reading) for _ in range(3)]
    before = open_here()
    for thread in threads:
        thread.start()
    read.wait()
    assert open_here() == before + 3
    assert ended(in_child(count, before + 3))
    leave.wait()
    for thread in threads:
        thread.join()
    assert open_here() <= before + 3
    await kernel.close()
    assert open_here() == 0

asyncio.run(main())
print("done")
"""

MEMORY = """
from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.kernel.commit import Retention

store = MemoryStore()
kernel = MemoryKernel(store)
held, free = threading.Event(), threading.Event()

def hold():
    with store.space("default").lock:
        held.set()
        free.wait(CHILD_S_MAX)

async def in_the_child():
    for verb in (kernel.scopes(), kernel.moved(), kernel.stats(), kernel.log("s/1"), kernel.read([], now_us=0),
                 kernel.commit([]), kernel.sweep(now_us=0, retention=Retention()), MemoryKernel(store).scopes()):
        try:
            await verb
        except Closed as error:
            assert "fork" in str(error)
        else:
            raise AssertionError("answered")
    await kernel.close()
    assert await MemoryKernel().scopes() == ()

holder = threading.Thread(target=hold)
holder.start()
held.wait()
assert ended(in_child(in_the_child))
free.set()
holder.join()
assert asyncio.run(kernel.scopes()) == ()
print("done")
"""

SCENES = {
    "hundreds of forks, each child opening another file": HUNDREDS,
    "a thread is inside SQLite for longer than a fork waits: every file is refused": INSIDE,
    "a store is half open and waits for a lock: only its file is refused": WAITING,
    "forks from threads and by multiprocessing": FROM_A_THREAD,
    "forks in the writer's callbacks and in signal handlers": IN_A_CALLBACK,
    "other threads have readers: the child closes none of them": OTHER_THREADS,
    "another thread holds the lock of a memory store": MEMORY,
}


@pytest.mark.parametrize("scene", SCENES)
def test_forks_under_a_parent_at_work_leave_children_that_work_or_are_told_why_not(tmp_path: Path, scene: str) -> None:
    """G20: no child hangs, whatever the parent's other threads were doing, and none harms what it inherited."""
    assert finished(start(PARENT + SCENES[scene], tmp_path / "store.db")).splitlines() == ["done"]
