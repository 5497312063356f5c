"""A kernel behind a gate: batches are recorded and wait until they are let through."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from holdfast.kernel.commit import Commit, CommitId, Outcome
from holdfast.kernel.contract import Kernel
from holdfast.wrappers.around import Around


class Gated(Around):
    """Commits go to the kernel inside while the gate is open."""

    def __init__(self, inside: Kernel) -> None:
        super().__init__(inside)
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[list[str]] = []
        self.ids: list[list[CommitId]] = []
        self.problems: list[BaseException] = []  # raised instead, one for each batch

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        self.batches.append([commit.scopes[0].scope for commit in commits])
        self.ids.append([commit.id for commit in commits])
        await self.gate.wait()
        if self.problems:
            raise self.problems.pop(0)
        return await super().commit(commits)
