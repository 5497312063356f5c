"""The n-th call of the kernel fails, for every n: a clear error or success, nothing half, and the store goes on.

Every public operation, against: one call that is not executed, one whose reply is lost after it was executed or before,
and a store that fails from the n-th call on until it recovers.
"""

import asyncio

import pytest

from holdfast.backends.memory import MemoryKernel
from holdfast.errors import HoldfastError, Indeterminate, Unavailable
from holdfast.testing.simulation import run
from holdfast.wrappers.around import Around
from tests.faults.scenarios import ACTS, opened, set_up, visible
from tests.faults.test_cancellation import PATIENCE_S, goes_on, uninterrupted

CALLS_MAX = 40
FOLLOWING = {"session.changes", "session.changes live", "hold.changes of a user"}
SILENT = {
    "session.claim",  # giving back is tried again in the background
    "session.emit",  # may be lost
}
SEVERAL = {"session.changes live"}  # writes, and then reads what it wrote: the reading may fail alone


class Failing(Around):
    """Fails from the `at`-th call on, `times` times."""

    def __init__(self, inside, *, how):
        super().__init__(inside)
        self.how = how
        self.calls = self.failed = 0
        self.at = self.times = 0

    def arm(self, at, *, times):
        self.calls, self.at, self.times = 0, at, times

    async def call(self, verb, send):
        await asyncio.sleep(0)
        self.calls += 1
        if not self.at or not self.at <= self.calls < self.at + self.times:
            return await send()
        self.failed += 1
        if verb != "commit" or self.how == "unavailable":
            raise Unavailable(f"call {self.calls} ({verb}) was not executed")
        if self.how == "reply lost":
            await send()
        raise Indeterminate(f"call {self.calls} ({verb}): no reply")


async def fail_at(act, n, *, how, times):
    """(whether there were so many calls, what the operation raised, what the store then shows)."""
    kernel = Failing(MemoryKernel(), how=how)
    hold = opened(kernel, asyncio.sleep)
    stage = await set_up(hold)
    kernel.arm(n, times=times)
    raised = None
    if times > 1:  # the store recovers after a while
        asyncio.get_running_loop().call_later(10.0, lambda: kernel.arm(0, times=0))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await act(stage)
    except HoldfastError as error:
        raised = error
    failed = kernel.failed
    kernel.arm(0, times=0)
    shown = await visible(kernel, act)
    await goes_on(hold, stage)
    async with asyncio.timeout(PATIENCE_S):
        await hold.close()
    return failed > 0, raised, shown


def judge(name, n, *, raised, shown, before, after):
    if raised is None:
        assert shown == after, f"{name} returned, and the store does not show it (call {n})"
        return
    assert isinstance(raised, (Unavailable, Indeterminate)), raised
    if isinstance(raised, Unavailable) and name not in SEVERAL:
        assert shown == before, f"{name} said that nothing was applied, and something was (call {n})"
    else:
        assert shown in (before, after), f"half of {name} shows (call {n})"


@pytest.mark.parametrize("how", ["unavailable", "reply lost", "request lost"])
@pytest.mark.parametrize("name", ACTS)
def test_one_failing_call_makes_a_clear_error_or_none_and_never_half_an_operation(name, how):
    act = ACTS[name]
    before, after = run(lambda: uninterrupted(MemoryKernel(), act), seed=0)
    for n in range(1, CALLS_MAX):
        reached, raised, shown = run(lambda n=n: fail_at(act, n, how=how, times=1), seed=n)
        if not reached:
            break
        judge(name, n, raised=raised, shown=shown, before=before, after=after)
    else:
        raise AssertionError(f"{name} makes more than {CALLS_MAX} calls")
    assert n > 1, f"{name} makes no call"


@pytest.mark.parametrize("how", ["unavailable", "reply lost", "request lost"])
@pytest.mark.parametrize("name", ACTS)
def test_a_store_that_fails_for_long_makes_a_clear_error_in_bounded_time(name, how):
    """What was sent may be unknown in the end (Indeterminate), never half; a follower waits until the store is back."""
    act = ACTS[name]
    before, after = run(lambda: uninterrupted(MemoryKernel(), act), seed=0)
    for n in range(1, CALLS_MAX):
        reached, raised, shown = run(lambda n=n: fail_at(act, n, how=how, times=10**6), seed=n)
        if not reached:
            break
        judge(name, n, raised=raised, shown=shown, before=before, after=after)
        assert raised is not None or name in FOLLOWING | SILENT
