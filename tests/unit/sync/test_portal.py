"""Calls from many threads into one loop: they gather, keep to their context, and take no harm from interruptions."""

from __future__ import annotations

import contextvars
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from holdfast.backends.memory import MemoryKernel
from holdfast.errors import Closed
from holdfast.sync import Holdfast
from holdfast.sync.portal import portal, timeout
from tests.unit.kernel.gated import Gated

THREADS = 32


async def gate(kernel: Gated, *, opened: bool) -> None:
    kernel.gate.set() if opened else kernel.gate.clear()


def waiting(hold: Holdfast, count: int) -> None:
    """Until that many commits wait to be sent."""
    while hold.stats().writer.waiting != count:
        pass


def test_commits_of_many_threads_gather_into_one_batch() -> None:
    """Group commit: while one batch is on its way, whatever the threads send makes up the next."""
    kernel = Gated(MemoryKernel())
    with Holdfast.over(kernel) as hold:
        sessions = [hold.sessions.create(id=f"s{n}") for n in range(THREADS)]
        kernel.batches.clear()
        portal().call(gate, kernel, opened=False)
        threads = [threading.Thread(target=s.state.set, args=("n", n)) for n, s in enumerate(sessions)]
        threads[0].start()
        while not kernel.batches:
            pass
        for thread in threads[1:]:
            thread.start()
        waiting(hold, THREADS - 1)
        portal().call(gate, kernel, opened=True)
        for thread in threads:
            thread.join()
        assert [len(batch) for batch in kernel.batches] == [1, THREADS - 1]
        assert [s.state.get("n") for s in sessions] == [*range(THREADS)]


def test_a_call_that_is_interrupted_is_cancelled_and_does_no_harm() -> None:
    """KeyboardInterrupt ends the wait; a commit that was not yet sent never is, and the store goes on."""
    kernel = Gated(MemoryKernel())

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with Holdfast.over(kernel) as hold:
            s = hold.sessions.create(id="s")
            portal().call(gate, kernel, opened=False)
            first = threading.Thread(target=s.state.set, args=("sent", 1))
            first.start()
            while len(kernel.batches) < 2:
                pass
            main = threading.main_thread().ident
            assert main is not None

            def strike() -> None:
                waiting(hold, 1)
                signal.pthread_kill(main, signal.SIGUSR1)

            striking = threading.Thread(target=strike)
            striking.start()
            with pytest.raises(KeyboardInterrupt):
                s.state.set("waiting", 1)
            striking.join()
            portal().call(gate, kernel, opened=True)
            first.join()
            assert (s.state.keys(), s.state.set("after", 1)) == (["sent"], 3)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_exit_in_a_function_that_a_call_was_given_leaves_the_loop_alone() -> None:
    """SystemExit and KeyboardInterrupt go to the thread that called, through the block that they leave."""
    with Holdfast.open("memory://") as hold:
        s = hold.sessions.create(id="s")

        def leave(tx: object) -> None:
            s.state.get("a")
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            s.transact(leave)
        with pytest.raises(SystemExit):
            s.state.mutate("n", lambda old: sys.exit(3))
        assert s.state.set("a", 1) == 2


def test_a_blocking_call_in_the_thread_that_serves_them_is_refused() -> None:
    """It could never be answered: a function that only computes makes none."""
    with Holdfast.open("memory://") as hold:
        s = hold.sessions.create(id="s")
        with pytest.raises(RuntimeError, match="in the thread that serves them"):
            s.state.mutate("n", lambda old: s.state.get("m"))


async def test_a_notebook_whose_loop_is_running_calls_it_all_the_same() -> None:
    """The loop of the calling thread is left alone, also for what belongs to a loop."""
    with Holdfast.open("memory://") as hold:
        s = hold.sessions.open("s")
        with s.transaction() as tx:
            tx.state.set("a", 1)
        with hold.transaction() as many:
            assert many.session("s").state.get("a") == 1
        assert [one.id for one in hold.sessions.iterate()] == ["s"]


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Setting:
    """A block that sets a variable, and resets it by its token."""

    async def __aenter__(self) -> None:
        self._token = variable.set("inside")

    async def __aexit__(self, *error: object) -> None:
        variable.reset(self._token)


def test_what_a_block_sets_holds_for_the_calls_inside_and_is_reset_after_it() -> None:
    """Entering and leaving are two tasks of one context: a token of the one is good in the other."""
    from holdfast.sync.face import Entered

    async def seen() -> str:
        return variable.get()

    def program() -> None:
        with Entered(Setting(), portal()):
            assert (variable.get(), portal().call(seen)) == ("inside", "inside")
        assert (variable.get(), portal().call(seen)) == ("unset", "unset")
        variable.set("before")
        with Entered(Setting(), portal()):
            assert variable.get() == "inside"
        assert variable.get() == "before"

    contextvars.copy_context().run(program)


FORKING = """
import os, sys, warnings
warnings.simplefilter("ignore")
from holdfast.errors import Closed
from holdfast.sync import Holdfast

hold = Holdfast.open(sys.argv[1])
s = hold.sessions.create(id="s")
child = os.fork()
if child == 0:
    for call in (lambda: s.state.set("a", 1), lambda: hold.sessions, lambda: hold.transaction(), hold.close):
        try:
            call()
            print("not refused")
        except Closed as error:
            print("refused", "before the fork" in str(error), flush=True)
    with Holdfast.open("memory://") as mine:
        print(mine.sessions.create(id="mine").id, flush=True)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print(s.state.set("a", 1), flush=True)
hold.close()
"""


def test_a_forked_child_is_refused_and_may_open_a_store_of_its_own(tmp_path: Path) -> None:
    """What was opened before the fork is Closed there, at once and without a wait; the parent goes on."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    done = subprocess.run([sys.executable, "-c", FORKING, url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["refused True"] * 4 + ["mine", "2", ""]


def test_a_closed_store_is_closed_for_every_thread() -> None:
    """No call waits for ever."""
    with Holdfast.open("memory://") as hold:
        s = hold.sessions.create(id="s")
    answers: list[BaseException] = []

    def late() -> None:
        try:
            s.state.set("a", 1)
        except Closed as error:
            answers.append(error)

    threads = [threading.Thread(target=late) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4


@pytest.mark.parametrize("step", range(1, 40, 3))
def test_wherever_a_call_is_interrupted_the_next_one_is_served(step: int) -> None:
    """Between any two lines of the portal: nothing waits for ever, and no call runs on that its thread gave up."""
    lines = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.endswith("sync/portal.py"):
            return None
        if event == "line":
            lines += 1
            if lines == step:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    with Holdfast.open("memory://") as hold:
        s = hold.sessions.create(id="s")
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            s.state.set("k", 1)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        with timeout("10s"):
            assert s.state.set("after", 1) in (2, 3)
