"""G9: nothing crosses from one space to another."""

from __future__ import annotations

from holdfast.kernel.commit import NO_HEAD, Absent, Committed, Entry, HeadAt, Put, Retention, ScopeCommit
from holdfast.kernel.contract import Kernel
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, same_picture
from holdfast.testing.conformance.check import proves

A, B = "session/a", "session/b"


async def _in(bench: Bench, kernel: Kernel, *parts: ScopeCommit) -> dict[str, int]:
    commit = bench.build(*parts, id=bench.lane().next())
    return expect.a(Committed, (await kernel.commit([commit]))[0], "the outcome in the other space").seqs


def _rich(value: bytes) -> ScopeCommit:
    return ScopeCommit(A, "create", puts=(Put("k", value, entries=(Entry("tag", "x", "1", value),)),), body=value)


@proves("G9")
async def what_one_space_holds_no_other_shows(bench: Bench) -> None:
    """No verb of one space shows a scope, cell, record, entry, move or outcome of another, whose name begins alike or
    differs in case."""
    others = [await bench.other_space(suffix) for suffix in ("-2", "%", "_", "/")]
    commit = bench.build(_rich(b"1"))
    position = await bench.position()
    positions = [(await kernel.moved()).position for kernel in others]
    await bench.send(commit)
    for kernel, before in zip(others, positions, strict=True):
        expect.same(await kernel.scopes(), (), "the scopes of the other space")
        expect.same(await bench.head(A, kernel=kernel), NO_HEAD, "the head there")
        expect.same(await bench.values(A, kernel=kernel), {}, "the cells there")
        expect.same(await kernel.log(A), (), "the log there")
        expect.same(await bench.found("tag", "x", kernel=kernel), (), "the entries there")
        expect.same(await bench.moves(before, kernel=kernel), {}, "the moves there")
        expect.same(await bench.moves("", kernel=kernel), {}, "all the moves there")
        expect.same(await kernel.outcome(A, commit.id), None, "the outcome there")
    expect.same(await bench.moves(position), {A: 1}, "the moves of the space itself")


@proves("G9")
async def one_scope_name_in_two_spaces_is_two_scopes(bench: Bench) -> None:
    """A scope of the same name lives twice: each with its own seq, epoch, conditions, cells and entries."""
    other = await bench.other_space()
    for turn in range(3):
        await bench.put(A, {"k": str(turn).encode()})
    expect.same(await _in(bench, other, _rich(b"there")), {A: 1}, "the seqs in the other space")
    await _in(bench, other, ScopeCommit(A, checks=(HeadAt(1), Absent("j")), puts=(Put("j", b""),)))
    await bench.committed(ScopeCommit(A, checks=(HeadAt(3), Absent("j")), body=b"x"))
    before = await bench.picture(A)
    await _in(bench, other, ScopeCommit(A, epoch=0, drop=True))
    await _in(bench, other, ScopeCommit(A, "must_not_exist", epoch=1, puts=(Put("k", b"again"),)))
    same_picture(await bench.picture(A), before, "after the other space's was dropped and made again")
    expect.same(await bench.values(A, kernel=other), {"k": b"again"}, "the cells in the other space")
    expect.same((await bench.head(A, kernel=other)).seq, 4, "the seq in the other space")


@proves("G9")
async def entries_and_names_of_two_spaces_do_not_mix(bench: Bench) -> None:
    """`find` and `scopes` page through their own space alone, also where both spaces write the same names."""
    other = await bench.other_space()
    for i in range(6):
        part = ScopeCommit(
            f"session/{i}", "create", puts=(Put("k", b"", entries=(Entry("tag", "x", str(i), str(i % 2).encode()),)),)
        )
        await (bench.committed(part) if i % 2 else _in(bench, other, part))
    own = tuple(f"session/{i}" for i in (1, 3, 5))
    for kernel, names, payload in ((bench.kernel, own, b"1"), (other, tuple(f"session/{i}" for i in (0, 2, 4)), b"0")):
        found = await kernel.find("tag", "x", now_us=bench.now_us, limit=2)
        found += await kernel.find("tag", "x", now_us=bench.now_us, after=found[-1].cursor)
        expect.same(tuple(entry.scope for entry in found), names, "the scopes found")
        expect.same({entry.payload for entry in found}, {payload}, "their payloads")
        expect.same(await kernel.scopes(limit=2) + await kernel.scopes(after=names[1]), names, "the scopes named")
    reverse = await bench.kernel.find("tag", "x", now_us=bench.now_us, reverse=True)
    expect.same(tuple(entry.scope for entry in reverse), own[::-1], "the scopes found from the end")


@proves("G9", "G14", "G16")
async def sweeping_one_space_expires_no_position_of_another(bench: Bench) -> None:
    """A sweep that removes logs and tombstones of one space leaves every position of another good: nothing that
    others drop and sweep forces a reader to begin anew."""
    other = await bench.other_space()
    positions = [await bench.position()]
    for turn in range(4):
        await bench.put(A, {"k": str(turn).encode()})
        positions.append(await bench.position())
        await _in(bench, other, ScopeCommit(B, "create", body=b"x"))
        await _in(bench, other, ScopeCommit(B, drop=True))
    swept = await other.sweep(now_us=bench.now_us + 100, retention=Retention(age_us=0, count=1, tombstone_us=0))
    expect.same(swept.scopes, 1, "the tombstones swept in the other space")
    for place, position in enumerate(positions):
        found = await bench.moves(position, limit=1)
        if place < 4:
            expect.same(found, {A: 4}, f"what is reported from position {place}")
    expect.same(await bench.moves("", limit=1), {A: 4}, "what is reported from the oldest position")


@proves("G9", "G16")
async def sweeping_one_space_leaves_the_others(bench: Bench) -> None:
    """A sweep of one space removes nothing of another: neither records, nor expired cells that are still seen at an
    earlier time, nor tombstones."""
    other = await bench.other_space()
    part = ScopeCommit(A, "create", puts=(Put("k", b"", bench.now_us + 10, (Entry("tag", "x", "1"),)),))
    for _ in range(3):
        await bench.committed(part)
        await _in(bench, other, part)
    for scope_parts in (ScopeCommit(B, "create", body=b"x"), ScopeCommit(B, drop=True)):
        await bench.committed(scope_parts)
        await _in(bench, other, scope_parts)
    before = await bench.picture(A, B)
    floors = [(await bench.head(scope)).floor for scope in (A, B)]
    everything = Retention(age_us=0, count=1, tombstone_us=0)
    for _ in range(10):
        if not (await other.sweep(now_us=bench.now_us + 100, retention=everything)).more:
            break
    same_picture(await bench.picture(A, B), before, "after the sweep of the other space")
    expect.same([(await bench.head(scope)).floor for scope in (A, B)], floors, "the floors")
    expect.same(await bench.head(B, kernel=other), NO_HEAD, "the tombstone in the space that was swept")
