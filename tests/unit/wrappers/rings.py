"""Rings, sealed kernels and writing on them, for the tests of encryption."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast import system
from holdfast.kernel.commit import Append, Commit, CommitId, Committed, Entry, Put, Read, ScopeCommit
from holdfast.kernel.contract import Kernel
from holdfast.model.keyring import KeyRing
from holdfast.testing.clock import LeapingClock
from holdfast.wrappers.sealing import Sealing

OLD, NEW = b"o" * 32, b"n" * 32
FIRST = KeyRing({"old": OLD}, active="old")
BOTH = KeyRing({"old": OLD, "new": NEW}, active="new")
SECOND = KeyRing({"new": NEW}, active="new")
LAX = KeyRing({"old": OLD}, active="old", strict=False)

A, B = "session/a", "session/b"
CLOCK = LeapingClock()


async def seal(inside: Kernel, ring: KeyRing = FIRST) -> Sealing:
    """The kernel, encrypted."""
    return await Sealing.open(inside, ring, clock=CLOCK, ids=system.SystemIds(), entropy=system.random_bytes)


async def send(kernel: Kernel, *parts: ScopeCommit, cause: bytes = b"") -> dict[str, int]:
    """Commit these parts; the seqs."""
    commit = Commit(parts, CLOCK.now_us(), cause, CommitId(system.SystemIds().writer(), 1))
    [outcome] = await kernel.commit([commit])
    assert isinstance(outcome, Committed), outcome
    return outcome.seqs


async def fill(kernel: Kernel) -> None:
    """Two scopes with values long and short, entries, appends, bodies, and causes of one scope and of several."""
    entries = (Entry("tag", "x", "1", b"payload"), Entry("user", "ada", "1"))
    puts = (Put("k", b'"value"', entries=entries), Put("long", b'"' + b"long " * 2000 + b'"'), Put("other", b"1"))
    appends = (Append("l/", b'"one"'), Append("l/", b'"two"', entries=(Entry("tag", "x", "2", b"p"),)))
    await send(kernel, ScopeCommit(A, "create", puts=puts, appends=appends, body=b'["body"]'), cause=b'{"by":"ada"}')
    await send(
        kernel, ScopeCommit(A, body=b"[1]"), ScopeCommit(B, "create", puts=(Put("k", b"2"),), body=b"[2]"), cause=b"{}"
    )
    await send(kernel, ScopeCommit(B, puts=(Put("k", b"3"),)))


async def shown(kernel: Kernel) -> Mapping[str, object]:
    """All that the verbs show of what `fill` wrote."""
    picture: dict[str, object] = {"scopes": await kernel.scopes()}
    for scope in (A, B):
        cells = [one.cell for one in await kernel.stored(scope)]
        picture[scope] = (cells, await kernel.log(scope), await kernel.read([Read(scope, ("k",))], now_us=0))
    for index, value in (("tag", "x"), ("user", "ada"), ("tag", "none")):
        picture[f"{index} {value}"] = await kernel.find(index, value, now_us=0)
    return picture
