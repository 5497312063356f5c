"""G20: after close, every verb raises Closed; closing twice is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.errors import Closed
from holdfast.kernel.commit import CommitId, Committed, Put, Read, Retention, ScopeCommit
from holdfast.kernel.contract import Kernel
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A = "session/a"


def _verbs(bench: Bench, kernel: Kernel) -> dict[str, Callable[[], Awaitable[Any]]]:
    async def watch() -> None:
        kernel.watch(lambda: None)

    async def listen() -> None:
        kernel.listen(lambda scope, payload: None)

    async def mark() -> None:
        kernel.mark()

    return {
        "mark": mark,
        "read": lambda: kernel.read([Read(A, ("k",))], now_us=0),
        "read of nothing": lambda: kernel.read([], now_us=0),
        "commit": lambda: kernel.commit([bench.build(ScopeCommit(A, "create", body=b"x"))]),
        "commit of nothing": lambda: kernel.commit([]),
        "log": lambda: kernel.log(A),
        "moved": kernel.moved,
        "find": lambda: kernel.find("tag", "x", now_us=0),
        "scopes": kernel.scopes,
        "watch": watch,
        "signal": lambda: kernel.signal(A, b""),
        "listen": listen,
        "sweep": lambda: kernel.sweep(now_us=0, retention=Retention()),
        "ended": kernel.ended,
        "purge": lambda: kernel.purge(A),
        "stored": lambda: kernel.stored(A),
        "rewrite": lambda: kernel.rewrite(A),
        "scrub": kernel.scrub,
        "outcome": lambda: kernel.outcome(A, CommitId("w", 1)),
        "stats": kernel.stats,
    }


@proves("G20")
async def every_verb_of_a_closed_kernel_raises_closed(bench: Bench) -> None:
    """After close each verb raises Closed, also one that is asked for nothing, however often; closing again is
    allowed; what the kernel declares can still be read."""
    await bench.put(A, {"k": b""})
    kernel = bench.kernel
    await kernel.close()
    for _ in range(2):
        for name, verb in _verbs(bench, kernel).items():
            await expect.raises(Closed, verb(), f"{name} after close")
        await kernel.close()
    expect.same(kernel.space, bench.space, "the space of a closed kernel")


@proves("G20")
async def the_clock_of_a_closed_kernel_is_not_told(bench: Bench) -> None:
    """After close the store's own clock is not asked: Closed, or nothing where it has none."""
    await bench.kernel.close()
    try:
        told = await bench.kernel.clock_us()
    except Closed:
        return
    expect.same(told, None, "what the clock of a closed kernel shows")


@proves("G20")
async def closing_before_anything_was_done_is_allowed(bench: Bench) -> None:
    """A kernel that was never used can be closed, and many tasks may close it at once."""
    await asyncio.gather(*(bench.kernel.close() for _ in range(5)))
    for name, verb in _verbs(bench, bench.kernel).items():
        await expect.raises(Closed, verb(), f"{name} after close")


@proves("G20")
async def a_watch_may_be_ended_after_close(bench: Bench) -> None:
    """What ends a watch can be called after the kernel was closed."""
    end = bench.kernel.watch(lambda: None)
    await bench.kernel.close()
    end()
    await expect.raises(Closed, bench.kernel.stats(), "stats after close")


@proves("G20", needs=("second",))
async def closing_one_kernel_leaves_the_others_open(bench: Bench) -> None:
    """Another kernel on the same space, or on another space of the store, goes on when one is closed."""
    same, other = await bench.second(), await bench.other_space()
    await bench.put(A, {"k": b"1"})
    await bench.kernel.close()
    expect.same(await bench.values(A, kernel=same), {"k": b"1"}, "the cells through the kernel that stays")
    for kernel, seq in ((same, 2), (other, 1)):
        commit = bench.build(ScopeCommit(A, "create", puts=(Put("k", b"2"),)), id=bench.lane().next())
        expect.same(await kernel.commit([commit]), [Committed({A: seq})], "the outcome through a kernel that stays")


@proves("G20", "G6", needs=("second",))
async def what_was_sent_before_close_is_finished_or_refused(bench: Bench) -> None:
    """Commits in flight when the kernel closes end as Committed, and are then there, or raise Closed, and are not."""
    watching = await bench.second()
    commits = [bench.build(ScopeCommit(f"session/{i}", "create", body=b"x"), id=bench.lane().next()) for i in range(20)]
    sending = [asyncio.ensure_future(bench.kernel.commit([commit])) for commit in commits]
    await asyncio.sleep(0)
    await bench.kernel.close()
    answers = await asyncio.gather(*sending, return_exceptions=True)
    for commit, answer in zip(commits, answers, strict=True):
        scope = commit.scopes[0].scope
        if isinstance(answer, BaseException):
            expect.a(Closed, answer, "what a commit in flight raises")
        else:
            expect.same(answer, [Committed({scope: 1})], "the outcome of a commit in flight")
        there = int(not isinstance(answer, BaseException))
        expect.same(
            (await bench.head(scope, kernel=watching)).seq, there, f"the seq of {scope}; it was told {answer!r}"
        )
