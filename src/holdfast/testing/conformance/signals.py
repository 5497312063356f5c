"""G22: unless it is lost, a signal reaches whoever listens on its space, whole and in order, and leaves no trace.

Any signal may be lost, so what is owed is sent again until it was heard; a kernel that loses the same one `TIMES` times
has none to lose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from holdfast.errors import TooLarge, Unavailable
from holdfast.kernel.contract import Kernel
from holdfast.kernel.keys import KEY_BYTES_MAX
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A = "session/a"

TIMES = 40
"""How often a signal is sent until it was heard."""

WAITS_S = (0.002,) * (TIMES - 4) + (0.1,) * 4
"""How long it is listened for each time."""


class Listener:
    """What one listener heard so far."""

    def __init__(self, kernel: Kernel) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self.end = kernel.listen(self._hear)

    def _hear(self, scope: str, payload: bytes) -> None:
        self.heard.append((scope, payload))
        self._loop.call_soon_threadsafe(self._news.set)

    async def hears(self, scope: str, payload: bytes, *, within_s: float) -> bool:
        """Whether it hears this within a while."""
        try:
            async with asyncio.timeout(within_s):
                while (scope, payload) not in self.heard:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True


async def _send(kernel: Kernel, scope: str, payload: bytes) -> None:
    try:
        await kernel.signal(scope, payload)
    except Unavailable:
        return


async def _reaches(kernel: Kernel, listener: Listener, scope: str, payload: bytes, what: str) -> None:
    for wait_s in WAITS_S:
        await _send(kernel, scope, payload)
        if await listener.hears(scope, payload, within_s=wait_s):
            return
    expect.fail(f"{what} was heard none of {TIMES} times")


@proves("G22")
async def a_signal_is_heard_by_every_listener_of_its_own_kernel(bench: Bench) -> None:
    """Everybody who listens on a kernel hears what is signalled through it, of a scope that there is and of one that
    there is not."""
    await bench.put(A, {"k": b""})
    listeners = [Listener(bench.kernel) for _ in range(3)]
    for number, listener in enumerate(listeners):
        for scope in (A, "session/none"):
            await _reaches(bench.kernel, listener, scope, b"%d" % number, f"a signal to listener {number}")


@proves("G22", needs=("second",))
async def a_signal_is_heard_through_another_kernel_on_its_space(bench: Bench) -> None:
    """A listener of another kernel hears it, in both directions."""
    other = await bench.second()
    here, there = Listener(bench.kernel), Listener(other)
    await _reaches(bench.kernel, there, A, b"to there", "a signal to the other kernel")
    await _reaches(other, here, A, b"to here", "a signal from the other kernel")


@proves("G22", "G18", needs=("second",))
async def a_signal_is_heard_whole_or_not_at_all(bench: Bench) -> None:
    """Every payload, from nothing to the limit, any bytes, and scopes of any text: what is heard was sent."""
    other = await bench.second()
    listener = Listener(other)
    every_byte = (bytes(range(256)) * 256 * 4)[: bench.traits.signal_bytes_max]
    sent = [
        (A, b""),
        (A, b"\x00\xff\r\n"),
        (A, every_byte),
        ("session/\u00e9/\U0001f600 %2F", b'{"json": 1}'),
        ("s" * KEY_BYTES_MAX, every_byte[:-1]),
    ]
    for scope, payload in sent:
        await _reaches(bench.kernel, listener, scope, payload, f"a signal of {len(payload)} bytes")
    expect.same(set(listener.heard) - set(sent), set(), "what was heard and not sent")


@proves("G22", needs=("second",))
async def signals_of_one_sender_are_heard_in_their_order(bench: Bench) -> None:
    """Of a hundred signals in a row those that are heard come in their order; one may come twice in a row."""
    other = await bench.second()
    listener = Listener(other)
    await _reaches(bench.kernel, listener, A, b"000", "the first signal")
    for number in range(1, 100):
        await _send(bench.kernel, A, b"%03d" % number)
    await _reaches(bench.kernel, listener, A, b"100", "the last signal")
    numbers = [int(payload) for _, payload in listener.heard]
    expect.same(numbers, sorted(numbers), "the order of what was heard")


@proves("G22", "G9")
async def no_signal_is_heard_in_another_space(bench: Bench) -> None:
    """A listener of another space hears nothing, whatever its name begins with."""
    other = await bench.other_space()
    here, there = Listener(bench.kernel), Listener(other)
    await _reaches(bench.kernel, here, A, b"1", "a signal")
    await _reaches(other, there, A, b"2", "a signal of the other space")
    expect.same({payload for _, payload in here.heard}, {b"1"}, "what is heard in the one space")
    expect.same({payload for _, payload in there.heard}, {b"2"}, "what is heard in the other space")


@proves("G22")
async def a_signal_leaves_no_trace(bench: Bench) -> None:
    """No seq, no record, no move, no scope comes of a signal, nor is it heard by who listens later."""
    await bench.put(A, {"k": b""})
    before, position = await bench.picture(A, "session/b"), await bench.position()
    first = Listener(bench.kernel)
    for scope in (A, "session/b"):
        await _reaches(bench.kernel, first, scope, b"x", "a signal")
    later = Listener(bench.kernel)
    await _reaches(bench.kernel, later, A, b"y", "a later signal")
    expect.holds(("session/b", b"x") not in later.heard, "who listens later does not hear what was said before")
    expect.same(await bench.picture(A, "session/b"), before, "what the verbs show")
    expect.same(await bench.moves(position), {}, "the moves since")


@proves("G22", "G19")
async def a_signal_over_its_limit_is_refused(bench: Bench) -> None:
    """One byte more than the limit, of the payload or of the scope, raises TooLarge, and nobody hears it."""
    listener = Listener(bench.kernel)
    for scope, payload in ((A, bytes(bench.traits.signal_bytes_max + 1)), ("s" * (KEY_BYTES_MAX + 1), b"")):
        await _refused(lambda scope=scope, payload=payload: bench.kernel.signal(scope, payload))  # type: ignore[misc]
    await _reaches(bench.kernel, listener, A, b"after", "a signal afterwards")
    expect.same({payload for _, payload in listener.heard}, {b"after"}, "what was heard")


async def _refused(send: Callable[[], object]) -> None:
    for _ in range(TIMES):
        try:
            await send()  # type: ignore[misc]
        except TooLarge:
            return
        except Unavailable:
            continue
        expect.fail("a signal over the limit was taken")
    expect.fail("a signal over the limit was never judged")


@proves("G22")
async def who_stopped_listening_hears_nothing_more(bench: Bench) -> None:
    """A listener that ended hears nothing, ending twice does no harm, and the others go on; so it is after close."""
    gone, there = Listener(bench.kernel), Listener(bench.kernel)
    gone.end()
    gone.end()
    await _reaches(bench.kernel, there, A, b"1", "a signal")
    expect.same(gone.heard, [], "what is heard by who stopped")
    await bench.kernel.close()
    there.end()
