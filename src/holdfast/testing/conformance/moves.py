"""G14: a scope that committed after a position is reported from it at least once."""

from __future__ import annotations

import asyncio

from holdfast.errors import Compacted, Diverged, InvalidValue
from holdfast.kernel.commit import Committed, HeadAt, Put, Retention, ScopeCommit
from holdfast.kernel.contract import Kernel
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench, meanwhile
from holdfast.testing.conformance.check import proves


async def _reported(bench: Bench, position: str, owed: dict[str, int], *, limit: int, what: str) -> None:
    """From the position every scope is reported at the seq owed, or at a later one that it has reached."""
    found = await bench.moves(position, limit=limit)
    for scope, seq in owed.items():
        expect.holds(found.get(scope, 0) >= seq, f"{what}, by {limit}: {scope} is reported at {seq}, found {found!r}")


async def _commits(bench: Bench, count: int) -> list[tuple[str, dict[str, int]]]:
    """Commits of every kind over a few scopes: the position before each, and its seqs."""
    scopes = bench.together(7)
    made = [(await bench.position(), {"session/once": await bench.put("session/once", {"k": b""})})]
    for turn in range(count):
        one, two = scopes[turn % 7], scopes[turn * turn % 7]
        parts = [ScopeCommit(one, "create", drop=True) if turn % 5 == 4 else ScopeCommit(one, "create", body=b"x")]
        if two != one:
            parts.append(ScopeCommit(two, "create", puts=(Put("k", b""),)))
        position = await bench.position()
        made.append((position, await bench.committed(*parts)))
    return made


@proves("G14")
async def from_every_position_and_with_every_limit_nothing_is_missed(bench: Bench) -> None:
    """Whatever position one starts from, and however small the pages, every scope that committed since is reported, a
    drop like a write, and every scope of a commit over several."""
    made = await _commits(bench, 25)
    for start, (position, _) in enumerate(made):
        owed: dict[str, int] = {}
        for _, seqs in made[start:]:
            owed |= seqs
        for limit in (1, 2, 3, 7, 1000):
            await _reported(bench, position, owed, limit=limit, what=f"from position {start}")
    everything = {scope: seq for _, seqs in made for scope, seq in seqs.items()}
    await _reported(bench, "", everything, limit=2, what="from the oldest position")


@proves("G14", "G16")
async def the_first_commit_of_a_scope_since_a_position_is_told(bench: Bench) -> None:
    """From every position the least seq told of a scope is that of its first commit since, or a lower one, whether the
    scope is dropped by now or not; also after a sweep that trimmed nothing."""
    made = await _commits(bench, 25)
    for swept in (False, True):
        if swept:
            await bench.sweep(retention=Retention(tombstone_us=None))
        for start, (position, _) in enumerate(made):
            owed: dict[str, int] = {}
            for _, seqs in reversed(made[start:]):
                owed |= seqs
            for limit in (1, 2, 7, 1000):
                found = await bench.first_moves(position, limit=limit)
                for scope, seq in owed.items():
                    expect.holds(
                        found.get(scope, seq + 1) <= seq,
                        f"from position {start}, by {limit}: {scope} first moved at {seq}, found {found!r}",
                    )


@proves("G14")
async def a_page_continues_where_the_last_one_ended(bench: Bench) -> None:
    """The position of every page, taken in the middle of a walk, is as good as any: what commits during the walk is
    reported from it too, and what is reported has been reached."""
    made = await _commits(bench, 12)
    scopes = sorted({scope for _, seqs in made for scope in seqs})
    seen: dict[str, int] = {}
    position, more, pages = made[0][0], True, 0
    while more or pages < 6:
        pages += 1
        expect.holds(pages < 1000, "the walk comes to an end")
        if pages < 6:
            await bench.committed(ScopeCommit(scopes[pages % len(scopes)], "create", body=b"x"))
        moved = await bench.kernel.moved(position, limit=1)
        for scope, seq in moved.scopes:
            head = await bench.head(scope)
            expect.holds(1 <= seq <= head.seq, f"{scope} is reported at {seq}; it is at {head.seq}")
            seen[scope] = max(seq, seen.get(scope, 0))
        position, more = moved.position, moved.more
    heads = {scope: (await bench.head(scope)).seq for scope in scopes}
    expect.same(seen, heads, "the highest seq reported of each scope")


@proves("G14")
async def a_position_at_the_end_reports_what_comes_next(bench: Bench) -> None:
    """A reader that has seen everything, and comes back with its position after each commit, sees each."""
    position = await bench.position()
    for turn in range(10):
        scope = f"session/{turn % 3}"
        seq = await bench.put(scope, {"k": b""})
        moved = await bench.kernel.moved(position)
        expect.holds((scope, seq) in moved.scopes, f"({scope}, {seq}) is among {moved.scopes!r}")
        expect.same(moved.more, False, "whether there is more")
        position = moved.position


@proves("G14", "G7")
async def only_what_commits_moves(bench: Bench) -> None:
    """In a fresh space a conflict, a check and a replay report nothing from the position before them."""
    commit = bench.build(ScopeCommit("session/a", "create", body=b"x"))
    await bench.send(commit)
    await bench.commit(ScopeCommit("session/b", body=b"conflict"))
    await bench.commit(ScopeCommit("session/c", "create", checks=(HeadAt(0),)))
    await bench.send(commit)
    expect.same(await bench.moves(""), {"session/a": 1}, "everything reported")


async def _nothing_missed(bench: Bench, writers: list[Kernel]) -> None:
    """Readers that poll while writers commit, and at the end have seen every scope at its last seq."""

    async def writer(kernel: Kernel, number: int) -> None:
        lane = bench.lane()
        for turn in range(10):
            scope = f"session/{(number + turn) % 5}"
            commit = bench.build(ScopeCommit(scope, "create", body=b"x"), id=lane.next())
            expect.a(Committed, (await kernel.commit([commit]))[0], "the outcome")

    readers = {1: "", 3: "", 1000: ""}
    seen: dict[int, dict[str, int]] = {limit: {} for limit in readers}

    async def read_on() -> None:
        for limit, position in readers.items():
            for _ in range(1000):
                moved = await bench.kernel.moved(position, limit=limit)
                for scope, seq in moved.scopes:
                    seen[limit][scope] = max(seq, seen[limit].get(scope, 0))
                position = readers[limit] = moved.position
                if not moved.more:
                    break

    async with meanwhile(*(writer(writers[i % len(writers)], i) for i in range(len(writers) * 2))) as done:
        while not done():
            await read_on()
            await asyncio.sleep(0)
    await read_on()
    heads = {scope: (await bench.head(scope)).seq for scope in await bench.kernel.scopes()}
    expect.same(sum(heads.values()), len(writers) * 20, "the commits")
    for limit, found in seen.items():
        expect.same(found, heads, f"the highest seq told of each scope, to a reader by {limit}")


@proves("G14")
async def readers_amid_concurrent_commits_miss_nothing(bench: Bench) -> None:
    """Readers that follow `moved` while others commit learn of every scope's last commit."""
    await _nothing_missed(bench, [bench.kernel])


@proves("G14", needs=("second",))
async def readers_amid_commits_of_another_kernel_miss_nothing(bench: Bench) -> None:
    """The same where two kernels on one space commit."""
    await _nothing_missed(bench, [bench.kernel, await bench.second()])


@proves("G14", "G6", needs=("reopen",))
async def a_position_outlives_reopening(bench: Bench) -> None:
    """A position from before reopening reports what was committed before and after it."""
    position = await bench.position()
    await bench.put("session/a", {"k": b""})
    await bench.reopen()
    await bench.put("session/b", {"k": b""})
    expect.same(await bench.moves(position), {"session/a": 1, "session/b": 1}, "what is reported")


@proves("G14", "G16", "G13")
async def after_a_sweep_a_position_reports_all_or_says_compacted(bench: Bench) -> None:
    """After logs were trimmed and tombstones removed, a position still reports every scope that committed since and
    has a head, or raises Compacted; never less in silence. The oldest position kept always answers."""
    made = await _commits(bench, 25)
    for retention in (Retention(count=2, tombstone_us=None), Retention(age_us=0, count=1, tombstone_us=0)):
        await bench.sweep(retention=retention)
        for start, (position, _) in enumerate(made):
            owed: dict[str, int] = {}
            for _, seqs in made[start:]:
                owed |= seqs
            try:
                found = await bench.moves(position, limit=2)
            except Compacted:
                continue
            expect.same({s: q for s, q in found.items() if s in owed}, owed, f"reported from position {start}")
        for scope, seq in (await bench.moves("", limit=2)).items():
            expect.same(seq, (await bench.head(scope)).seq, f"the seq at which {scope} is reported")
        position = await bench.position()
        await bench.put("session/next", {"k": b""})
        expect.holds("session/next" in await bench.moves(position), "the next commit is reported")


@proves("G14")
async def what_is_no_position_is_refused(bench: Bench) -> None:
    """Text that the kernel never gave out as a position is refused, and never taken for one in silence."""
    await bench.put("session/a", {"k": b""})
    for text in ("no position", "-1", "\u0661", "1.5", " ", "9" * 18, "9" * 19, "9" * 20, "9" * 40, "\x00"):
        try:
            moved = await bench.kernel.moved(text)
        except (InvalidValue, Compacted, Diverged):
            continue
        expect.fail(f"{text!r} is no position, and it answered {moved!r}")


@proves("G14")
async def hints_may_be_asked_for_and_declined(bench: Bench) -> None:
    """A watch can be begun and ended, more than once, and changes nothing about what `moved` reports."""
    position = await bench.position()
    ends = [bench.kernel.watch(lambda: None) for _ in range(3)]
    await bench.put("session/a", {"k": b""})
    ends.pop(1)()
    await bench.put("session/b", {"k": b""})
    for end in ends:
        end()
    await bench.put("session/c", {"k": b""})
    expect.same(await bench.moves(position), {f"session/{name}": 1 for name in "abc"}, "what is reported")
