"""What the demo prints at its end: what was counted, and the figures."""

from __future__ import annotations

import os
from collections import Counter

from rich.table import Table
from rich.text import Text

from holdfast.cli.demo.count import Count, Totals
from holdfast.cli.demo.files import BEYOND_MAX, FILE_BYTES_MAX
from holdfast.cli.demo.ledger import Plan
from holdfast.cli.demo.proof import Proof
from holdfast.cli.printable import printable
from holdfast.cli.table import console

KINDS = 8
"""How many kinds of files have a line of their own."""

IDENTIFIERS = 10


def print_counts(proof: Proof) -> None:
    """The table: files, lines, words and bytes by kind of file, and the identifiers used most."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("kind")
    for name in ("files", "lines", "words", "bytes"):
        table.add_column(name, justify="right")
    for kind, totals in by_kind(proof.counts):
        _add(table, kind, totals)
    table.add_section()
    _add(table, "total", proof.totals)
    console().print()
    console().print(table)
    used = most_used(proof.counts)
    if used:
        console().print(Text(f"\nused most: {', '.join(f'{printable(name)} {times:,}' for name, times in used)}"))
    for line in [*not_read(proof.counts), left_out(proof.plan)]:
        if line:
            console().print(Text(line))


def not_read(counts: dict[str, Count]) -> list[str]:
    """What is in the table without its lines and words, and why."""
    why = {"too large": f"too large to be read (over {FILE_BYTES_MAX // 2**20} MiB)"}
    outcomes = Counter(count.outcome for count in counts.values() if count.outcome not in ("text", "binary"))
    return [f"{number:,} {why.get(outcome, outcome)}: counted as files only" for outcome, number in outcomes.items()]


def left_out(plan: Plan) -> str:
    """What of the folder is not in the list, and why; nothing if all of it is."""
    parts = []
    if plan.files_beyond:
        more = " or more" if plan.files_beyond >= BEYOND_MAX else ""
        parts.append(f"{_number(plan.files_beyond, 'file')}{more} (this is a large tree: the demo takes {plan.capped})")
    if plan.folders_left_out:
        parts.append(f"{_number(plan.folders_left_out, 'folder')} (hidden, environments, filled by tools)")
    if plan.links_left_out:
        parts.append(_number(plan.links_left_out, "link"))
    if plan.others_left_out:
        parts.append(f"{_number(plan.others_left_out, 'other')} (pipes, sockets, the demo's own store)")
    return f"left out: {', '.join(parts)}" if parts else ""


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def print_figures(proof: Proof) -> None:
    """The figures, each with its evidence."""
    console().print()
    for number, figure in enumerate(proof.figures, start=1):
        verdict = Text("holds", "bold green") if figure.holds else Text("DOES NOT HOLD", "bold red")
        console().print(Text(f"{number}. {figure.name}: ") + verdict)
        console().print(Text(f"   {printable(figure.says)}"))


def by_kind(counts: dict[str, Count]) -> list[tuple[str, Totals]]:
    """Sums for each suffix, those with the most files first; the rest in one line."""
    sums: dict[str, Totals] = {}
    for count in counts.values():
        kind = os.path.splitext(count.path)[1].lower()[:12] or "(none)"
        kind = kind if count.outcome == "text" else f"{kind} ({count.outcome})"
        sums[kind] = sums.get(kind, Totals()).plus(count)
    ranked = sorted(sums.items(), key=lambda item: (-item[1].files, item[0]))
    rest = ranked[KINDS:]
    if len(rest) < 2:
        return ranked
    together = Totals(*(sum(getattr(totals, name) for _, totals in rest) for name in Totals.__struct_fields__))
    return [*ranked[:KINDS], (f"{len(rest)} others", together)]


def most_used(counts: dict[str, Count]) -> list[tuple[str, int]]:
    """The identifiers used most, summed over the ten of each file."""
    used: Counter[str] = Counter()
    for count in counts.values():
        used.update(count.identifiers)
    return sorted(used.items(), key=lambda item: (-item[1], item[0]))[:IDENTIFIERS]


def _add(table: Table, kind: str, totals: Totals) -> None:
    figures = (totals.files, totals.lines, totals.words, totals.bytes)
    table.add_row(Text(printable(kind)), *(f"{figure:,}" for figure in figures))
