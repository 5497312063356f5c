"""The proof: three figures, each from the store alone or from the store and the files.

    1  every file of the list was counted exactly once
    2  the follower missed no change and saw none twice
    3  the totals are those of a plain recount

Files may have changed or vanished since they were read. The hash that was kept with each count tells; such a file is
reported, its recorded figures stand, and the store is not blamed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec import Struct

from holdfast import Change
from holdfast.cli.demo.count import Count, Totals, count_file
from holdfast.cli.demo.files import unspell
from holdfast.cli.demo.ledger import Ledger, Plan, Seen, file_key

EXAMPLES = 3
"""How many findings a figure that does not hold shows."""

READING_S = 60
"""How long reading the log back may take before it counts as unreadable."""


class Figure(NamedTuple):
    """One figure: whether it holds, and in what words."""

    name: str
    holds: bool
    says: str


class Log(Struct):
    """What the log says, read back from its beginning to the end of the work."""

    seen: Seen = Seen()
    marks: Counter[str] = Counter()
    counts: dict[str, Count] = {}
    messages: Counter[int] = Counter()
    totals: Totals | None = None

    def take(self, change: Change) -> None:
        """One more change."""
        self.seen = self.seen.plus(change)
        key = change.key or ""
        if change.kind == "state" and key.startswith("file/"):
            self.marks[key] += 1
            if change.op == "set":
                self.counts[key] = msgspec.convert(change.value, Count)
        elif change.kind == "state" and key == "totals":
            self.totals = msgspec.convert(change.value, Totals)
        elif change.kind == "message":
            self.messages[change.value["metadata"]["file"]] += 1


class Proof(NamedTuple):
    """The figures, what was counted, and what is worth knowing besides."""

    figures: tuple[Figure, ...]
    counts: dict[str, Count]
    totals: Totals
    changed: list[str]
    plan: Plan

    @property
    def holds(self) -> bool:
        """Whether every figure holds."""
        return all(figure.holds for figure in self.figures)


async def prove(ledger: Ledger, plan: Plan, *, progress: Callable[[int], None]) -> Proof:
    """Read everything back and judge it. `progress` is told how many files have been recounted."""
    names = await ledger.names(plan)
    snapshot = (await ledger.work.state.snapshot()).values
    totals = await ledger.totals()
    counts = {key: msgspec.convert(value, Count) for key, value in snapshot.items() if key.startswith("file/")}
    log = await read_log(ledger)
    messages = await _messages(ledger)
    recount, changed = await _recount(unspell(plan.root), names, counts, progress)
    return Proof(
        (
            counted_once(plan, names, counts, totals, log, messages),
            followed(await ledger.seen(), log),
            recounted(plan, totals, recount, changed),
        ),
        counts,
        totals,
        changed,
        plan,
    )


async def read_log(ledger: Ledger) -> Log:
    """The whole log of the work, up to its end; not complete if that does not come."""
    log = Log(marks=Counter(), counts={}, messages=Counter())
    try:
        async with asyncio.timeout(READING_S), ledger.work.changes(after="beginning") as changes:
            async for change in changes:
                log.take(change)
                if log.seen.ended:
                    break
    except TimeoutError:
        pass
    return log


async def _messages(ledger: Ledger) -> Counter[int]:
    found: Counter[int] = Counter()
    after = None
    while page := await ledger.work.messages.list(limit=1000, after=after):
        found.update(message.metadata["file"] for message in page)
        after = page[-1]
    return found


def counted_once(
    plan: Plan, names: list[str], counts: dict[str, Count], totals: Totals, log: Log, messages: Counter[int]
) -> Figure:
    """Figure 1: for each file of the list one mark, set once in the whole log, with one message; and sums of them."""
    wrong: list[str] = []
    expected = {file_key(number): name for number, name in enumerate(names)}
    for number, (key, name) in enumerate(expected.items()):
        if key not in counts:
            wrong.append(f"{name} has no mark")
        elif counts[key].path != name:
            wrong.append(f"the mark of {name} is that of {counts[key].path}")
        elif log.marks[key] != 1:
            wrong.append(f"{name} was marked {log.marks[key]} times")
        elif counts[key] != log.counts.get(key):
            wrong.append(f"the mark of {name} is not the one that was committed")
        elif messages[number] != 1 or log.messages[number] != 1:
            wrong.append(f"{name} has {messages[number]} messages, {log.messages[number]} in the log")
    wrong += [f"there is a mark {key} for no file" for key in sorted(counts.keys() - expected.keys())]
    wrong += [f"{count} messages for no file" for number, count in messages.items() if number >= len(names)]
    if not log.seen.ended:
        wrong.append("the log does not reach the end of the work")
    if totals.files != len(names):
        wrong.append(f"the totals say {totals.files:,} files")
    says = f"{len(names):,} files, {len(counts):,} marks, {messages.total():,} messages, {totals.files:,} in the totals"
    # Of a folder that is too large for the demo the list is a part, and so is what is proved.
    what = "every file" if plan.capped is None else "every file of the list"
    if plan.files_beyond:
        says += f"; the list leaves out {plan.files_beyond:,} files of the folder"
    return _figure(f"{what} was counted exactly once", says, wrong)


def followed(seen: Seen, log: Log) -> Figure:
    """Figure 2: what the follower put together, over its cut, is the log: as many changes, and the same digest."""
    wrong: list[str] = []
    if seen.changes != log.seen.changes:
        wrong.append(f"the follower saw {seen.changes:,} changes")
    if seen.digest != log.seen.digest:
        wrong.append("the digest of what it saw is another")
    if seen.cursor != log.seen.cursor:
        wrong.append(f"it stands at {seen.cursor}, the log at {log.seen.cursor}")
    says = f"{log.seen.changes:,} changes in the log, {seen.changes:,} seen, digest {log.seen.digest[:12]}"
    return _figure("no change was missed or doubled by the follower", says, wrong)


def recounted(plan: Plan, totals: Totals, recount: Totals, changed: list[str]) -> Figure:
    """Figure 3: the sums that the transactions built up are those of counting everything again."""
    wrong = [
        f"{name}: {kept:,} in the store, {again:,} recounted"
        for name in Totals.__struct_fields__
        if (kept := getattr(totals, name)) != (again := getattr(recount, name))
    ]
    says = f"{totals.lines:,} lines, {totals.words:,} words, {totals.bytes:,} bytes"
    if changed:
        says += f"; {len(changed):,} files changed or vanished since they were read, so their recorded figures stand"
    what = "" if plan.capped is None else " of the list"
    return _figure(f"the totals equal a plain recount{what}", says, wrong)


async def _recount(
    root: bytes, names: list[str], counts: dict[str, Count], progress: Callable[[int], None]
) -> tuple[Totals, list[str]]:
    """Count every file again. One whose content is another by now goes in as it was recorded."""
    totals = Totals()
    changed: list[str] = []
    for number, name in enumerate(names):
        again = await asyncio.to_thread(count_file, root, name)
        kept = counts.get(file_key(number))
        if kept is not None and (again.outcome, again.sha256, again.bytes) != (kept.outcome, kept.sha256, kept.bytes):
            changed.append(name)
            again = kept
        totals = totals.plus(again)
        progress(number + 1)
    return totals, changed


def _figure(name: str, says: str, wrong: list[str]) -> Figure:
    if not wrong:
        return Figure(name, True, says)
    more = f" and {len(wrong) - EXAMPLES:,} more" if len(wrong) > EXAMPLES else ""
    return Figure(name, False, f"{says}: {'; '.join(wrong[:EXAMPLES])}{more}")
