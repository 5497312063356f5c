"""G13: the log is contiguous through drop and re-creation, and refuses what it can no longer answer truly."""

from __future__ import annotations

from holdfast.errors import Compacted, Diverged, Gone, InvalidValue
from holdfast.kernel.commit import NO_HEAD, Append, Put, Record, Retention, ScopeCommit, stamp
from holdfast.testing.conformance import expect
from holdfast.testing.conformance.bench import Bench
from holdfast.testing.conformance.check import proves

A = "session/a"


async def _history(bench: Bench) -> list[Record]:
    """Nine commits through two drops, with the records they owe; `touched` in order of keys."""
    parts = [
        (ScopeCommit(A, "create", puts=(Put("b", b"1"), Put("a", b"2")), body=b"one"), ("a", "b")),
        (
            ScopeCommit(A, puts=(Put("c", b""),), appends=(Append("l/", b""), Append("", b"")), deletes=("a", "none")),
            tuple(sorted(("c", f"l/{stamp(2, 0)}", stamp(2, 1), "a", "none"))),
        ),
        (ScopeCommit(A, body=bytes(range(256))), ()),
        (ScopeCommit(A, drop=True, body=b"dropped"), ()),
        (ScopeCommit(A, "create", puts=(Put("k", b""),)), ("k",)),
        (ScopeCommit(A, deletes=("b",)), ("b",)),
        (ScopeCommit(A, drop=True), ()),
        (ScopeCommit(A, "must_not_exist", body=b"third"), ()),
        (ScopeCommit(A, puts=(Put("k", b"last"),)), ("k",)),
    ]
    records = []
    for seq, (part, touched) in enumerate(parts, 1):
        commit = bench.build(part, cause=f"cause {seq}".encode() if seq % 3 else b"", at_us=bench.now_us + seq % 4)
        expect.same(getattr(await bench.send(commit), "seqs", None), {A: seq}, f"the seqs of commit {seq}")
        epoch = (seq > 4) + (seq > 7)
        op = "drop" if part.drop else "write"
        records.append(Record(seq, epoch, commit.id, commit.at_us, commit.cause, touched, part.body, op))  # type: ignore[arg-type]
    return records


def _sorted(records: tuple[Record, ...]) -> list[Record]:
    return [Record(r.seq, r.epoch, r.commit, r.at_us, r.cause, tuple(sorted(r.touched)), r.body, r.op) for r in records]


@proves("G13", "G4", "G18")
async def every_commit_has_its_record_through_every_epoch(bench: Bench) -> None:
    """The log has one record for every commit that wrote, with its id, time, cause, keys and body exact, and goes on
    through drops and re-creations; a drop's record carries the epoch that it ended."""
    records = await _history(bench)
    expect.same(_sorted(await bench.kernel.log(A)), records, "the log")


@proves("G13")
async def the_log_pages_forwards_from_every_position(bench: Bench) -> None:
    """From every position, the newest included, and with every limit the log answers the records after it, in order."""
    records = await _history(bench)
    for after in range(len(records) + 1):
        for limit in (1, 2, 3, 8, 9, 10_000):
            page = await bench.kernel.log(A, after=after, limit=limit)
            expect.same(_sorted(page), records[after : after + limit], f"{limit} records after {after}")


@proves("G13")
async def the_log_pages_backwards_from_every_position(bench: Bench) -> None:
    """In reverse the log answers the records before a position, newest first; from 0, all of them."""
    records = await _history(bench)
    for after in range(len(records) + 2):
        older = [record for record in records if after == 0 or record.seq < after][::-1]
        for limit in (1, 2, 3, 8, 9, 10_000):
            page = await bench.kernel.log(A, after=after, limit=limit, reverse=True)
            expect.same(_sorted(page), older[:limit], f"{limit} records before {after}")


@proves("G13")
async def an_answer_of_the_log_may_be_bounded_in_bytes(bench: Bench) -> None:
    """With a bound of bytes the log ends with the record that makes the sizes of all reach it, from every position in
    both directions; so there is always one, and a bound that is not reached cuts nothing off."""
    records = await _history(bench)
    whole = sum(record.size for record in records)
    expect.holds(whole > 256, "the records have sizes")
    for after in range(len(records)):
        older = [record for record in records if after == 0 or record.seq < after][::-1]
        for reverse, rest in ((False, records[after:]), (True, older)):
            sizes = [sum(record.size for record in rest[: n + 1]) for n in range(len(rest))]
            for bytes_max in sorted({1, whole, whole + 1, *sizes, *(size + 1 for size in sizes)}):
                if bytes_max == 0:
                    continue
                most = sum(sum(record.size for record in rest[:n]) < bytes_max for n in range(len(rest)))
                for limit in (2, 10_000):
                    page = await bench.kernel.log(A, after=after, limit=limit, reverse=reverse, bytes_max=bytes_max)
                    owed = rest[: min(most, limit)]
                    expect.same(_sorted(page), owed, f"{limit} of {bytes_max} bytes from {after}, reverse={reverse}")
    for bytes_max in (0, -1):
        await expect.raises(InvalidValue, bench.kernel.log(A, bytes_max=bytes_max), f"a bound of {bytes_max}")


@proves("G13")
async def a_position_beyond_the_log_is_diverged(bench: Bench) -> None:
    """A position that the scope has not reached means that history was lost: Diverged, when dropped too."""
    await _history(bench)
    expect.same(await bench.kernel.log(A, after=9), (), "the log after its last record")
    for after in (10, 11, 2**53 - 1):
        await expect.raises(Diverged, bench.kernel.log(A, after=after), f"the log after {after} of 9")
    await bench.drop(A)
    expect.same(len(await bench.kernel.log(A, after=9)), 1, "records after 9, when dropped")
    await expect.raises(Diverged, bench.kernel.log(A, after=11), "the log after 11 of 10")


@proves("G13")
async def a_scope_without_a_trace_has_no_log_and_no_past(bench: Bench) -> None:
    """A scope that never was has an empty log; a position in it is Gone. So it is when the last trace was swept."""
    expect.same(await bench.kernel.log(A), (), "the log of a scope that never was")
    expect.same(await bench.kernel.log(A, reverse=True), (), "the same in reverse")
    await expect.raises(Gone, bench.kernel.log(A, after=1), "a position in it")
    await _history(bench)
    await bench.drop(A)
    await bench.sweep(retention=Retention(tombstone_us=0), now_us=bench.now_us + 10)
    expect.same(await bench.head(A), NO_HEAD, "the head when its last trace is swept")
    expect.same(await bench.kernel.log(A), (), "the log then")
    for after in (1, 9, 10):
        await expect.raises(Gone, bench.kernel.log(A, after=after), f"position {after} then")
    expect.same(await bench.put(A, {"k": b""}), 1, "the first seq of a new life")
    expect.same([record.seq for record in await bench.kernel.log(A)], [1], "the log of the new life")


@proves("G13", "G16")
async def what_was_trimmed_is_compacted(bench: Bench) -> None:
    """From a position before the floor's predecessor the log is Compacted and names the floor; from there on it is
    whole; in reverse it reaches down to the floor and ends there."""
    records = await _history(bench)
    for count in (6, 3, 1):
        await bench.sweep(retention=Retention(count=count, tombstone_us=None))
        floor = 9 - count + 1
        expect.same((await bench.head(A)).floor, floor, f"the floor with {count} kept")
        for after in range(floor - 1):
            error = await expect.raises(Compacted, bench.kernel.log(A, after=after), f"after {after}, floor {floor}")
            expect.same(error.facts.get("floor"), floor, "the floor that Compacted names")
        for after in range(floor - 1, 10):
            expect.same(_sorted(await bench.kernel.log(A, after=after)), records[after:], f"the log after {after}")
        for after in range(11):
            older = [r for r in records[floor - 1 :] if after == 0 or r.seq < after][::-1]
            page = await bench.kernel.log(A, after=after, reverse=True)
            expect.same(_sorted(page), older, f"the log before {after}, floor {floor}")
    expect.same(await bench.put(A, {"k": b""}), 10, "the next seq")
    expect.same((await bench.head(A)).floor, 9, "the floor after the next commit")


@proves("G13", "G6", needs=("reopen",))
async def the_log_is_the_same_after_reopening(bench: Bench) -> None:
    """After reopening the log answers as before: whole, trimmed, diverged and gone."""
    records = await _history(bench)
    await bench.reopen()
    expect.same(_sorted(await bench.kernel.log(A)), records, "the log")
    await bench.sweep(retention=Retention(count=4, tombstone_us=None))
    await bench.reopen()
    expect.same(_sorted(await bench.kernel.log(A, after=5)), records[5:], "the log from its floor")
    await expect.raises(Compacted, bench.kernel.log(A), "the log from its beginning")
    await expect.raises(Diverged, bench.kernel.log(A, after=10), "beyond its end")
