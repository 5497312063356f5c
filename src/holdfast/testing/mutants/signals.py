"""Mutants that tell live signals wrongly (G22)."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.backends.memory import MemoryKernel
from holdfast.errors import TooLarge
from holdfast.kernel.commit import Append, Commit, CommitId, ScopeCommit
from holdfast.testing.mutants.mutant import breaks


@breaks("G22")
class SignalsAreHeardByNobody(MemoryKernel):
    """No signal is ever heard."""

    async def signal(self, scope: str, payload: bytes) -> None:
        """Take it and forget it."""
        self._open()


@breaks("G22")
class SignalsStayInTheirKernel(MemoryKernel):
    """Only listeners of the same kernel hear a signal."""

    async def signal(self, scope: str, payload: bytes) -> None:
        """Tell one's own."""
        for watch, hear in tuple(self._open().listeners.items()):
            if watch in self._watches:
                hear(scope, payload)


@breaks("G22")
class SignalsGoToTheLastListener(MemoryKernel):
    """Who listens takes the place of who listened before."""

    def listen(self, hear: Callable[[str, bytes], None]) -> Callable[[], None]:
        """Forget the others."""
        self._open().listeners.clear()
        return super().listen(hear)


@breaks("G22")
class SignalsOfScopesThatAreNotAreDropped(MemoryKernel):
    """A signal about a scope that does not exist is not told."""

    async def signal(self, scope: str, payload: bytes) -> None:
        """Look for it first."""
        if self._open().head(scope).live:
            await super().signal(scope, payload)


@breaks("G22")
class LongSignalsAreCut(MemoryKernel):
    """What is over a packet's size is cut off."""

    async def signal(self, scope: str, payload: bytes) -> None:
        """Keep what fits."""
        await super().signal(scope, payload[:8_000])


@breaks("G22")
class SignalsArriveBackwards(MemoryKernel):
    """Of two signals the second comes first."""

    async def signal(self, scope: str, payload: bytes) -> None:
        """Keep one back until the next but one."""
        kept: list[tuple[str, bytes]] = self.__dict__.setdefault("_kept", [])
        kept.append((scope, payload))
        if len(kept) == 2:
            for one in (kept[1], kept[0]):
                await super().signal(*one)
            kept.clear()


@breaks("G22")
class SignalsCrossSpaces(MemoryKernel):
    """Listeners of every space hear a signal."""

    async def signal(self, scope: str, payload: bytes) -> None:
        """Tell all spaces."""
        await super().signal(scope, payload)
        for space in tuple(self._store._spaces.values()):
            for hear in tuple(space.listeners.values()) if space is not self._data else ():
                hear(scope, payload)


@breaks("G22")
class SignalsAreLogged(MemoryKernel):
    """A signal takes a seq and a record of its scope."""

    async def signal(self, scope: str, payload: bytes) -> None:
        """Append it."""
        n: int = self.__dict__.setdefault("_signals", 0) + 1
        self.__dict__["_signals"] = n
        part = ScopeCommit(scope, "create", appends=(Append("signal/", payload),))
        await self.commit([Commit((part,), 0, b"", CommitId("signals", n))])
        await super().signal(scope, payload)


@breaks("G22")
class SignalsOfAnySize(MemoryKernel):
    """There is no limit."""

    async def signal(self, scope: str, payload: bytes) -> None:
        """Tell them all."""
        try:
            await super().signal(scope, payload)
        except TooLarge:
            for hear in tuple(self._data.listeners.values()):
                hear(scope, payload)


@breaks("G22")
class ListeningNeverEnds(MemoryKernel):
    """What ends a listener does nothing."""

    def listen(self, hear: Callable[[str, bytes], None]) -> Callable[[], None]:
        """Hear for ever."""
        super().listen(hear)
        return lambda: None
