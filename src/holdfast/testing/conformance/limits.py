"""G19: a commit at a limit is taken, one beyond it is refused whole and clearly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.errors import InvalidValue, TooLarge, Unsupported
from holdfast.kernel.commit import Append, Committed, Entry, Put, Range, Read, ScopeCommit
from holdfast.kernel.keys import KEY_BYTES_MAX, bucket
from holdfast.kernel.limits import EXPIRES_US_MAX, MIB, PAGE_MAX, TIME_US_MAX
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A = "session/a"
AFFORDABLE_BYTES = 4 * MIB
"""At a limit above this only what lies beyond it is tried: such a value costs nothing while it is only counted."""


async def _too_large(bench: Bench, *parts: ScopeCommit, what: str, size: int, limit: int) -> None:
    error = await bench.refused(TooLarge, *parts, what=f"{size} where {limit} is the limit of {what}")
    facts = {name: error.facts.get(name) for name in ("what", "size", "limit")}
    expect.same(facts, {"what": what, "size": size, "limit": limit}, "the facts of the refusal")


@proves("G19")
async def a_value_may_be_as_large_as_declared(bench: Bench) -> None:
    """A value of exactly the declared size is stored and read back; one byte more is refused, in puts and appends."""
    limit = bench.traits.value_bytes_max
    big = bytes(limit + 1)
    for part in (
        ScopeCommit(A, "create", puts=(Put("k", big),)),
        ScopeCommit(A, "create", appends=(Append("k", big),)),
    ):
        await _too_large(bench, part, what="value", size=limit + 1, limit=limit)
    expect.same((await bench.head(A)).seq, 0, "the seq after the refusals")
    largest = bytes(range(256)) * (min(limit, AFFORDABLE_BYTES) // 256 + 1)
    largest = largest[: min(limit, AFFORDABLE_BYTES)]
    await bench.put(A, {"k": largest})
    cell = await bench.cell(A, "k")
    expect.holds(cell is not None and cell.value == largest, "the largest value comes back as it was")


@proves("G19")
async def a_commit_may_have_as_many_writes_as_declared(bench: Bench) -> None:
    """Exactly the declared number of puts, appends and deletions together, over all scopes of a commit, is taken; one
    more is refused."""
    limit = bench.traits.operations_max
    first, second = bench.together(2)
    half = limit // 2
    # Deletions weigh least, so most of a large limit is filled with them.
    puts = tuple(Put(f"p{i}", b"") for i in range(min(half, 40) - 1))
    appends = (Append("l/", b""),)
    deletes = tuple(f"d{i}" for i in range(half - len(puts) - 1))
    rest = tuple(f"d{i}" for i in range(limit - half))
    one = ScopeCommit(first, "create", puts=puts, appends=appends, deletes=deletes)
    for more in (
        ScopeCommit(second, "create", deletes=(*rest, "more")),
        ScopeCommit(second, "create", puts=(Put("more", b""),), deletes=rest),
    ):
        await _too_large(bench, one, more, what="operations", size=limit + 1, limit=limit)
    expect.same(await bench.committed(one, ScopeCommit(second, "create", deletes=rest)), {first: 1, second: 1}, "seqs")
    expect.same(len(await bench.cells(first)), len(puts) + 1, "the cells written")


@proves("G19")
async def dropping_counts_as_one_write(bench: Bench) -> None:
    """A drop counts as one of a commit's writes: beside the declared number of others it is one too many."""
    limit = bench.traits.operations_max
    dropped, written = bench.together(2)
    await bench.put(dropped, {"k": b""})
    keys = tuple(f"d{i}" for i in range(limit))
    drop = ScopeCommit(dropped, drop=True)
    await _too_large(
        bench, ScopeCommit(written, "create", deletes=keys), drop, what="operations", size=limit + 1, limit=limit
    )
    seqs = await bench.committed(ScopeCommit(written, "create", deletes=keys[1:]), drop)
    expect.same(seqs, {written: 1, dropped: 2}, "the seqs at the limit")


def _weighing(bench: Bench, size: int) -> ScopeCommit:
    """A commit of that many bytes in keys, values and a body, from as few values as are allowed."""
    chunk = bytes(bench.traits.value_bytes_max)
    count, left = divmod(size, len(chunk) + 8)
    puts = tuple(Put(f"k{i:07d}", chunk) for i in range(count))
    return ScopeCommit(A, "create", puts=puts, body=bytes(left))


@proves("G19")
async def a_commit_may_weigh_as_much_as_declared(bench: Bench) -> None:
    """Keys, values and bodies of exactly the declared number of bytes are taken together; one byte more is refused."""
    limit = bench.traits.commit_bytes_max
    heavy = _weighing(bench, limit + 1)
    await _too_large(bench, heavy, what="commit", size=limit + 1, limit=limit)
    expect.same((await bench.head(A)).seq, 0, "the seq after the refusal")
    part = _weighing(bench, min(limit, AFFORDABLE_BYTES))
    await bench.committed(part)
    expect.same([len(cell.value) for cell in await bench.cells(A)], [len(put.value) for put in part.puts], "the values")
    record = (await bench.kernel.log(A))[0]
    expect.same(record.body, part.body, "the body")


@proves("G19")
async def keys_names_and_entries_may_be_as_long_as_every_kernel_takes(bench: Bench) -> None:
    """1,024 bytes of UTF-8 are taken as a key, a scope, and a value or order of an entry, and a payload as declared;
    one byte more is refused, and characters of several bytes count as several."""
    for fits, too_long in (
        ("k" * KEY_BYTES_MAX, "k" * (KEY_BYTES_MAX + 1)),
        ("é" * 512, "é" * 512 + "k"),
        ("\U0001f600" * 256, "\U0001f600" * 256 + "k"),
    ):
        beyond = len(too_long.encode())
        for part in (
            ScopeCommit(A, "create", puts=(Put(too_long, b""),)),
            ScopeCommit(A, "create", deletes=(too_long,)),
            ScopeCommit(A, "create", puts=(Put("k", b"", entries=(Entry("tag", too_long, ""),)),)),
            ScopeCommit(A, "create", puts=(Put("k", b"", entries=(Entry("tag", "x", too_long),)),)),
            ScopeCommit(too_long, "create", body=b"x"),
        ):
            await _too_large(bench, part, what="key", size=beyond, limit=KEY_BYTES_MAX)
        await bench.put(A, {}, Put(fits, b"v"))
        entries = (Entry("tag", fits, "1"), Entry("tag", "x", fits, bytes(bench.traits.payload_bytes_max)))
        await bench.put(A, {}, Put("k", b"", entries=entries))
        await bench.put(fits, {"k": b"v"})
        expect.same((await bench.values(A))[fits], b"v", "the cell of the longest key")
        expect.same([e.cursor for e in await bench.found("tag", fits)], [("1", A, "k")], "under the longest value")
        expect.same([e.order for e in await bench.found("tag", "x")], [fits], "the longest order")
        expect.same(await bench.values(fits), {"k": b"v"}, "the scope of the longest name")
    limit = bench.traits.payload_bytes_max
    part = ScopeCommit(A, puts=(Put("k", b"", entries=(Entry("tag", "x", "", bytes(limit + 1)),)),))
    await _too_large(bench, part, what="payload", size=limit + 1, limit=limit)


@proves("G19")
async def a_commit_covers_what_the_span_declares(bench: Bench) -> None:
    """Scopes of several buckets go into one commit where the span is the store; where it is the bucket such a commit
    is Unsupported, whole, and scopes of one bucket go together."""
    names = [f"user/{number}" for number in range(8)]
    expect.holds(len({bucket(name) for name in names}) > 1, "the names lie in several buckets")
    outcome = await bench.commit(*(ScopeCommit(name, "create", body=b"x") for name in names))
    if bench.traits.span == "store":
        expect.same(outcome, Committed(dict.fromkeys(names, 1)), "the outcome over several buckets")
    else:
        expect.a(Unsupported, outcome, "the outcome over several buckets")
        expect.same(await bench.kernel.scopes(), (), "the scopes there are")
    together = bench.together(5)
    seqs = await bench.committed(*(ScopeCommit(name, "create", body=b"x") for name in together))
    expect.same(seqs, dict.fromkeys(together, 1), "the seqs over one bucket")


@proves("G19")
async def a_time_out_of_range_is_refused(bench: Bench) -> None:
    """A commit may be at any microsecond from 1970 to 2286, whatever came before, and a cell may expire at any of 64
    bits; what is before or beyond is refused, for it might never be read again."""
    for at_us in (-1, TIME_US_MAX + 1, 2**63, -(2**200)):
        commit = bench.build(ScopeCommit(A, "create", body=b"x"), at_us=at_us)
        expect.a(InvalidValue, await bench.send(commit), f"a commit at {at_us}")
    for expires_us in (-1, EXPIRES_US_MAX + 1, 2**200):
        for part in (
            ScopeCommit(A, "create", puts=(Put("k", b"", expires_us),)),
            ScopeCommit(A, "create", appends=(Append("k", b"", expires_us),)),
        ):
            await bench.refused(InvalidValue, part, what=f"a cell that expires at {expires_us}")
    expect.same((await bench.head(A)).seq, 0, "the seq after the refusals")
    for at_us in (TIME_US_MAX, 0, TIME_US_MAX, 1):
        part = ScopeCommit(A, "create", puts=(Put("k", b"", EXPIRES_US_MAX),))
        expect.a(Committed, await bench.send(bench.build(part, at_us=at_us)), f"a commit at {at_us}")
        expect.same((await bench.head(A)).at_us, at_us, "the time in the head")
    times = [record.at_us for record in await bench.kernel.log(A)]
    expect.same(times, [TIME_US_MAX, 0, TIME_US_MAX, 1], "the times in the log")
    for now_us in (0, TIME_US_MAX):
        cell = await bench.cell(A, "k", now_us=now_us)
        expect.same(cell and cell.expires_us, EXPIRES_US_MAX, f"when the cell expires, at {now_us}")


@proves("G19")
async def a_refusal_in_a_batch_is_that_commits_alone(bench: Bench) -> None:
    """In a batch the commit beyond a limit gets the error as its outcome, in its place; those around it go through."""
    good = ScopeCommit(A, "create", body=b"x")
    bad = ScopeCommit(A, puts=(Put("k", bytes(bench.traits.value_bytes_max + 1)),))
    outcomes = await bench.batch(*(bench.build(part) for part in (bad, good, bad, bad, good)))
    kinds = [outcome.seqs if isinstance(outcome, Committed) else type(outcome) for outcome in outcomes]
    expect.same(kinds, [TooLarge, {A: 1}, TooLarge, TooLarge, {A: 2}], "the outcomes")


@proves("G19")
async def an_answer_has_a_length_and_a_bound(bench: Bench) -> None:
    """Every verb that answers a list refuses a limit below 1 or above the greatest page, and takes the greatest."""
    await bench.put(A, {}, Put("k", b"", entries=(Entry("tag", "x", ""),)))
    kernel, now_us = bench.kernel, bench.now_us
    verbs: dict[str, Callable[[int], Awaitable[Any]]] = {
        "read": lambda n: kernel.read([Read(A, ranges=(Range("", 1), Range("", n)))], now_us=now_us),
        "read of a scope that never was": lambda n: kernel.read(
            [Read("session/none", ranges=(Range("", n),))], now_us=now_us
        ),
        "log": lambda n: kernel.log(A, limit=n),
        "log in reverse": lambda n: kernel.log(A, limit=n, reverse=True),
        "log of a scope that never was": lambda n: kernel.log("session/none", limit=n),
        "moved": lambda n: kernel.moved("", limit=n),
        "find": lambda n: kernel.find("tag", "x", now_us=now_us, limit=n),
        "find of nothing": lambda n: kernel.find("none", "x", now_us=now_us, limit=n),
        "scopes": lambda n: kernel.scopes(limit=n),
        "stored": lambda n: kernel.stored(A, limit=n),
    }
    for name, verb in verbs.items():
        for limit in (0, -1, PAGE_MAX + 1):
            await expect.raises(InvalidValue, verb(limit), f"{name} with a limit of {limit}")
        await verb(PAGE_MAX)
        await verb(1)
