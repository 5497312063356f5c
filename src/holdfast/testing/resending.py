"""Patience for a kernel that loses requests and replies, so that checks may call it directly.

The kit wants to know what a commit does, not what a bad line does to it. `Resending` sends again what was lost: a
commit under the same id, which the kernel applies at most once, so that the kit still proves exactly that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from holdfast.errors import Indeterminate, Unavailable
from holdfast.kernel.commit import Commit, CommitId, Committed, Outcome
from holdfast.kernel.contract import Kernel
from holdfast.wrappers.around import Around, Verb

T = TypeVar("T")

TRIES = 50
"""How often a call is made at most; then its last error is raised."""


class Resending(Around):
    """The kernel inside; calls that raise Unavailable or Indeterminate are made again, commits with their ids.

    A commit that was applied at the first try and acknowledged at the second is told as applied for the first time, as
    its caller sees it, unless somebody who sent it too was told so already. `sent` remembers which ids were sent, and
    whether that was told; kernels on one store share it.

    Made for lines that lose no reply telling of a commit without a record (`Chances(traceless=False)`): one that
    conflicted unheard has used its id up, and only its author may send it under a new one, as the writer does. So
    outcomes of single commits are never touched, only calls that raise.
    """

    def __init__(self, inside: Kernel, *, sent: dict[CommitId, bool] | None = None) -> None:
        super().__init__(inside)
        self._sent = sent if sent is not None else {}

    async def call(self, verb: Verb, send: Callable[[], Awaitable[T]]) -> T:
        """Make the call until it is answered."""
        for _ in range(TRIES - 1):
            try:
                return await send()
            except (Unavailable, Indeterminate) as lost:
                if "verb" not in lost.facts:  # said by the kernel itself, not by the line
                    raise
        return await send()

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """See `Kernel.commit`."""
        firsts = []
        for commit in commits:
            firsts.append(commit.id not in self._sent)
            self._sent.setdefault(commit.id, False)
        outcomes = await super().commit(commits)
        return [
            self._told(commit.id, outcome, first=first) if isinstance(outcome, Committed) else outcome
            for commit, outcome, first in zip(commits, outcomes, firsts, strict=True)
        ]

    def _told(self, id: CommitId, outcome: Committed, *, first: bool) -> Committed:
        if outcome.replayed and first and not self._sent[id]:
            outcome = replace(outcome, replayed=False)
        if not outcome.replayed:
            self._sent[id] = True
        return outcome
