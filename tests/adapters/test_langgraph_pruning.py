"""Taking checkpoints out of a thread while others write to it, read it and copy it: at every step of theirs or of ours.

What goes on meanwhile comes in between two calls of the store, the n-th and the one before, for every n.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, TypeVar

import pytest
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple

from holdfast import Config, Holdfast, Limits, NotFound
from holdfast.adapters.langgraph import HoldfastSaver
from holdfast.backends.memory import MemoryKernel
from holdfast.errors import Indeterminate
from holdfast.wrappers.around import Around, Verb
from tests.adapters.test_langgraph import Put, place, put

T = TypeVar("T")
LARGE = {f"k{n}": "x" * 1500 for n in range(6)}
CONFIG = Config(limits=Limits(value_bytes_max=1000, operations_max=6))
"""Of six values of two parts each, no commit takes all."""


class Between(Around):
    """Does something else, once, before the n-th call of a verb."""

    def __init__(self, inside: MemoryKernel) -> None:
        super().__init__(inside)
        self.calls: int | None = None
        self.then: Callable[[], Awaitable[None]] | None = None

    async def call(self, verb: Verb, send: Callable[[], Awaitable[T]]) -> T:
        if self.calls is not None and self.then is not None and verb in ("read", "commit"):
            self.calls -= 1
            if self.calls < 0:
                then, self.then = self.then, None
                await then()
        return await send()


class Thread:
    """A thread "t" of three checkpoints in a store with two openings: one that is cut into, one that cuts in."""

    def __init__(self) -> None:
        self.inside = MemoryKernel()
        self.between = Between(self.inside)

    async def begin(self, slow: Holdfast, quick: Holdfast) -> None:
        self.slow, self.quick = HoldfastSaver(slow), HoldfastSaver(quick)
        self.hold = quick
        self.made: list[Put] = []
        config = place()
        for number in range(3):
            before = self.made[-1].checkpoint if self.made else None
            values: dict[str, Any] = {"a": number} if self.made else {"a": number, "same": "s" * 1500}
            self.made.append(one := put(self.quick, before, **values))
            run: Any = {"run_id": f"r{number}"}
            config = await self.quick.aput(config, one.checkpoint, run, one.new)
            await self.quick.aput_writes(config, [("a", f"w{number}")], "task")

    async def whole(self, checkpoint: Checkpoint) -> CheckpointTuple:
        """A checkpoint as it is read, which must be as it was put."""
        found = await self.quick.aget_tuple(place(checkpoint=checkpoint["id"]))
        assert found is not None
        assert found.checkpoint == checkpoint
        return found


Act = Callable[[HoldfastSaver, Thread], Awaitable[None]]


def opened(kernel: Any) -> AbstractAsyncContextManager[Holdfast]:
    return Holdfast.over(kernel, config=CONFIG)


async def at_every_step(slow: Act, quick: Act, judge: Callable[[Thread], Awaitable[None]], *, least: int = 3) -> None:
    """`slow`, with `quick` before its n-th call of the store, for every n there is; each time `judge` looks."""
    for step in range(1000):
        thread = Thread()
        async with opened(thread.between) as one, opened(thread.inside) as other:
            await thread.begin(one, other)
            await thread.slow.aget_tuple(place())  # what it remembers of the session is not what this is about

            async def act(thread: Thread = thread) -> None:
                await quick(thread.quick, thread)

            thread.between.then, thread.between.calls = act, step
            await slow(thread.slow, thread)
            if thread.between.then is not None:
                assert step >= least, "what was to be cut into has too few steps"
                return
            await judge(thread)
    raise AssertionError("it has no end")


async def prune(saver: HoldfastSaver, thread: Thread) -> None:
    await saver.aprune(["t"])


async def prune_all(saver: HoldfastSaver, thread: Thread) -> None:
    await saver.aprune(["t"], strategy="delete")


async def delete_last_run(saver: HoldfastSaver, thread: Thread) -> None:
    await saver.adelete_for_runs(["r2"])


def going_on(number: int, **values: Any) -> Act:
    """A run that goes on from one of the checkpoints, and writes beside its own before and after it is put."""

    async def go_on(saver: HoldfastSaver, thread: Thread) -> None:
        before = thread.made[number].checkpoint
        one = put(saver, before, **(values or {"b": 1}))
        config = place(checkpoint=one.checkpoint["id"])
        await saver.aput_writes(config, [("b", "y" * 1500)], "early")
        await saver.aput(place(checkpoint=before["id"]), one.checkpoint, {}, one.new)
        await saver.aput_writes(config, [("b", "z")], "late")
        thread.made.append(one)

    return go_on


async def copied_here(saver: HoldfastSaver, thread: Thread) -> None:
    """What LangGraph does for `__copy__`: nothing is new, and the parent is another than the one it is of."""
    one = put(saver, thread.made[1].checkpoint)
    await saver.aput(place(checkpoint=thread.made[0].checkpoint["id"]), one.checkpoint, {}, {})
    config = place(checkpoint=one.checkpoint["id"])
    await saver.aput_writes(config, [("b", "y" * 1500)], "early")
    await saver.aput_writes(config, [("b", "z")], "late")
    thread.made.append(one)


async def it_is_whole(thread: Thread) -> None:
    """The checkpoint that was put meanwhile, with its values and what was written beside it."""
    found = await thread.whole(thread.made[-1].checkpoint)
    assert found.pending_writes == [("early", "b", "y" * 1500), ("late", "b", "z")]


async def it_is_whole_or_gone(thread: Thread) -> None:
    if await thread.quick.aget_tuple(place(checkpoint=thread.made[-1].checkpoint["id"])) is not None:
        await it_is_whole(thread)


WRITERS = {
    "from the latest": going_on(2),
    "from an older one": going_on(0),
    "with more than one commit takes": going_on(1, **LARGE),
    "a copy": copied_here,
}
PRUNERS = {"prune": prune, "prune all": prune_all, "delete a run": delete_last_run}
JUDGES = {"prune": it_is_whole, "prune all": it_is_whole_or_gone, "delete a run": it_is_whole}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("pruner", PRUNERS)
async def test_what_is_put_while_checkpoints_are_taken_away_loses_nothing(writer: str, pruner: str) -> None:
    """Before every single call of the store that the pruning makes."""
    await at_every_step(PRUNERS[pruner], WRITERS[writer], JUDGES[pruner], least=8)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("pruner", PRUNERS)
async def test_what_loses_its_past_while_it_is_put_is_put_whole(writer: str, pruner: str) -> None:
    """Before every single call of the store that the writer makes."""
    await at_every_step(WRITERS[writer], PRUNERS[pruner], JUDGES[pruner])


async def go_on_and_prune(saver: HoldfastSaver, thread: Thread) -> None:
    await going_on(2)(saver, thread)
    await prune(saver, thread)


async def test_what_is_read_while_it_is_taken_away_is_whole_or_a_later_one() -> None:
    """Never a checkpoint without its values: whoever went on from that would lose them."""
    found: list[CheckpointTuple | None] = []

    async def read(saver: HoldfastSaver, thread: Thread) -> None:
        found.append(await saver.aget_tuple(place()))
        async for one in saver.alist(place()):
            found.append(one)

    async def judge(thread: Thread) -> None:
        known = {one.checkpoint["id"]: one.checkpoint for one in thread.made}
        assert found[0] is not None
        while found:
            assert (one := found.pop()) is not None
            assert one.checkpoint == known[one.checkpoint["id"]]
            assert one.pending_writes

    await at_every_step(read, go_on_and_prune, judge)


@pytest.mark.parametrize("pruned", ["t", "copy"])
async def test_a_copy_is_whole_though_either_thread_is_pruned_meanwhile(pruned: str) -> None:
    async def copy(saver: HoldfastSaver, thread: Thread) -> None:
        await saver.acopy_thread("t", "copy")

    async def act(saver: HoldfastSaver, thread: Thread) -> None:
        await going_on(2)(saver, thread)
        await saver.aprune([pruned])

    async def judge(thread: Thread) -> None:
        known = {one.checkpoint["id"]: one.checkpoint for one in thread.made}
        copied = [one async for one in thread.quick.alist(place("copy"))]
        assert copied
        for one in copied:
            assert one.checkpoint == known[one.checkpoint["id"]]
            assert one.pending_writes

    await at_every_step(copy, act, judge, least=8)


async def test_what_is_cut_short_anywhere_is_taken_up_by_the_next_one() -> None:
    """What stays reads the same at once, and in the end nothing is left that nothing leads to."""

    async def fail(saver: HoldfastSaver, thread: Thread) -> None:
        raise ZeroDivisionError

    async def cut_short(saver: HoldfastSaver, thread: Thread) -> None:
        with suppress(ZeroDivisionError, Indeterminate):
            await saver.aprune(["t"])

    async def judge(thread: Thread) -> None:
        found = await thread.whole(thread.made[-1].checkpoint)
        assert found.pending_writes == [("task", "a", "w2")]
        await thread.quick.aprune(["t"])
        assert await thread.whole(thread.made[-1].checkpoint) == found
        session = await thread.hold.sessions.get("t")
        assert session is not None
        keys = [key[:2] for key, _ in (await session.area("langgraph").page()).items]
        assert keys == ["b/", "b/", "c/", "p/", "p/", "w/"]

    await at_every_step(cut_short, fail, judge, least=8)


async def test_a_channel_that_only_the_past_can_tell_is_not_put_without_it() -> None:
    """NotFound, and nothing is put: what a DeltaChannel is rebuilt from is gone."""
    async with Holdfast.open("memory://") as hold:
        saver = HoldfastSaver(hold)
        first = put(saver, d=[1])
        config = await saver.aput(place(), first.checkpoint, {}, first.new)
        await saver.aprune(["t"], strategy="delete")
        delta: Any = {"counters_since_delta_snapshot": {"d": (1, 1)}}
        second = put(saver, first.checkpoint, n=1)
        del second.checkpoint["channel_values"]["d"]
        with pytest.raises(NotFound, match="the channel 'd' is rebuilt from it"):
            await saver.aput(config, second.checkpoint, delta, second.new)
        assert await saver.aget_tuple(place()) is None
