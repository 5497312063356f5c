"""A kernel behind a bad line: calls are late, requests and replies get lost, hints come twice or never.

What happens to each call a `Plan` decides, so a test may script it and a simulation draw it from a seed (`Chances`).
The faults are those the contract allows and no others: Unavailable when the call surely was not executed,
Indeterminate when it may have been, and both only once the call has ended and cannot land any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Literal, Protocol, TypeVar

from msgspec import Struct

from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import Commit, Committed, Outcome
from holdfast.kernel.contract import Clock, Kernel
from holdfast.wrappers.around import Around, Verb

T = TypeVar("T")

Request = Literal["arrives", "unavailable", "lost"]
"""What becomes of a request: executed; refused with Unavailable; or, for a commit, lost with Indeterminate."""


class Plan(Protocol):
    """Decides what happens to each call."""

    def delay_s(self, verb: Verb) -> float:
        """How long the next leg takes; asked once for the request and once for the reply."""
        ...

    def request(self, verb: Verb) -> Request:
        """What becomes of this request."""
        ...

    def loses_reply(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether the reply to a batch of commits that was executed is lost (Indeterminate)."""
        ...

    def hints(self) -> int:
        """How often a hint or a signal arrives: 0 is lost, 2 is doubled."""
        ...


class Chances(Struct):
    """A plan drawn from `random`, so that it repeats with its seed.

    Each chance is from 0 to 1; `delay_s_max` bounds each leg's latency. `traceless` says whether replies are lost too
    that tell of a commit without a record (a conflict, a refusal, checks alone): then a repeat finds the id used up,
    and has to be sent under a new one.
    """

    random: Random
    unavailable: float = 0.0
    request_lost: float = 0.0
    reply_lost: float = 0.0
    hint_lost: float = 0.0
    hint_doubled: float = 0.0
    delay_s_max: float = 0.0
    traceless: bool = True

    def delay_s(self, verb: Verb) -> float:
        """Uniform from 0 to `delay_s_max`."""
        return self.random.random() * self.delay_s_max

    def request(self, verb: Verb) -> Request:
        """By `unavailable` and, for commits, `request_lost`."""
        drawn = self.random.random()
        if drawn < self.unavailable:
            return "unavailable"
        return "lost" if verb == "commit" and drawn < self.unavailable + self.request_lost else "arrives"

    def loses_reply(self, outcomes: Sequence[Outcome]) -> bool:
        """By `reply_lost`."""
        if not self.traceless and not all(isinstance(outcome, Committed) and outcome.seqs for outcome in outcomes):
            return False
        return self.random.random() < self.reply_lost

    def hints(self) -> int:
        """By `hint_lost` and `hint_doubled`."""
        drawn = self.random.random()
        if drawn < self.hint_lost:
            return 0
        return 2 if drawn < self.hint_lost + self.hint_doubled else 1


class Faults(Around):
    """The kernel inside, with the faults that `plan` decides on and latency by `clock`."""

    def __init__(self, inside: Kernel, *, plan: Plan, clock: Clock) -> None:
        super().__init__(inside)
        self._plan = plan
        self._clock = clock

    async def call(self, verb: Verb, send: Callable[[], Awaitable[T]]) -> T:
        """The request travels, may be lost, is executed, and its reply travels back."""
        await self._travel(verb)
        request = self._plan.request(verb)
        if request == "unavailable":
            raise Unavailable(f"the store did not take the call ({verb})", verb=verb)
        if request == "lost":
            raise Indeterminate("the request was lost; it was not applied, but nobody can know", verb=verb)
        answer = await send()
        await self._travel(verb)
        return answer

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """See `Kernel.commit`. A lost reply: the batch was executed, and raises Indeterminate."""
        outcomes = await super().commit(commits)
        if commits and self._plan.loses_reply(outcomes):
            raise Indeterminate("the commits were executed and the reply was lost", verb="commit")
        return outcomes

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """See `Kernel.watch`. Hints get lost and doubled."""

        def woken() -> None:
            for _ in range(self._plan.hints()):
                wake()

        return self.inside.watch(woken)

    def listen(self, hear: Callable[[str, bytes], None]) -> Callable[[], None]:
        """See `Kernel.listen`. Signals get lost and doubled, as hints do."""

        def heard(scope: str, payload: bytes) -> None:
            for _ in range(self._plan.hints()):
                hear(scope, payload)

        return self.inside.listen(heard)

    async def _travel(self, verb: Verb) -> None:
        delay_s = self._plan.delay_s(verb)
        if delay_s > 0:
            await self._clock.sleep(delay_s)
        else:
            await asyncio.sleep(0)
