"""The guarantees, by number: G of the kernel, D of the domain on it. Contract, checks, mutants and docs all refer to
this list.

Each is proved by checks in `conformance` and has mutants in `mutants`: broken kernels, or one with a broken part of
the domain on it, which the kit must catch.
"""

from __future__ import annotations

from typing import NamedTuple


class Guarantee(NamedTuple):
    """One promise: its number, its name, and what it says."""

    number: str
    name: str
    promise: str


GUARANTEES: tuple[Guarantee, ...] = (
    Guarantee("G1", "atomic", "A commit is applied whole or not at all, over all scopes it names."),
    Guarantee(
        "G2",
        "conditional",
        "Every condition of a commit is judged, before any write, against what earlier commits left.",
    ),
    Guarantee("G3", "ordered", "The commits of a scope have one order; a batch is applied in the order given."),
    Guarantee(
        "G4",
        "gap-free",
        "Every commit that writes a scope takes its next integer: seq, version of its cells and place in the log.",
    ),
    Guarantee("G5", "idempotent", "A commit id sent twice is applied once, and the first result is returned."),
    Guarantee(
        "G6",
        "durable as declared",
        "What was acknowledged is visible to every later read and survives what the traits declare.",
    ),
    Guarantee("G7", "no trace", "A commit that conflicts or is refused changes nothing and hinders no other."),
    Guarantee("G8", "one cut", "One read sees one moment: all or nothing of every commit, over the whole span."),
    Guarantee("G9", "isolated", "Nothing crosses from one space to another."),
    Guarantee(
        "G10",
        "no phantoms",
        "A condition on a prefix fails when a key under it was added, changed or removed.",
    ),
    Guarantee(
        "G11",
        "no resurrection",
        "A write that needs its scope, or its epoch, never brings a dropped scope back.",
    ),
    Guarantee("G12", "exact expiry", "From the microsecond it expires a cell is absent in every verb and check."),
    Guarantee(
        "G13",
        "honest log",
        "The log is contiguous through drop and re-creation; what it can no longer answer truly it refuses: "
        "Compacted, Diverged or Gone.",
    ),
    Guarantee(
        "G14",
        "every move reported",
        "A scope that committed after a position is reported from it at least once, with its first commit since.",
    ),
    Guarantee(
        "G15",
        "exact indexes",
        "Entries and scope names appear and vanish with the very commit that writes or drops them.",
    ),
    Guarantee(
        "G16",
        "invisible sweep",
        "Sweeping shows in nothing but the reach of the log; it takes no seq and no record.",
    ),
    Guarantee(
        "G17",
        "stamped order",
        "Appends never conflict, and the order of their keys is the order of their commits.",
    ),
    Guarantee(
        "G18",
        "exact bytes",
        "What is read is what was written, to the last bit, and nobody can change it from outside.",
    ),
    Guarantee("G19", "declared limits", "A commit at a limit is taken, one beyond it is refused whole and clearly."),
    Guarantee("G20", "clean end", "After close, every verb raises Closed; closing twice is allowed."),
    Guarantee(
        "G21",
        "rewritten in place",
        "Rewriting replaces bytes only where they still are what was read, and shows in nothing but those bytes.",
    ),
    Guarantee(
        "G22",
        "live signals",
        "Unless it is lost, a signal reaches whoever listens on its space, whole and in its sender's order, "
        "and leaves no trace.",
    ),
    Guarantee(
        "G23",
        "purged for good",
        "Purging leaves of ended lives the last drop and nothing else, and shows in nothing but the reach of the log.",
    ),
    Guarantee(
        "D1",
        "done once",
        "A step of a run that is done is never done again, in any process, and its effects are there once, with it.",
    ),
    Guarantee(
        "D2",
        "in order",
        "A node begins when enough of those it waits for are done, and what was done of it is never lost.",
    ),
    Guarantee(
        "D3",
        "one worker",
        "A run is held by one worker at a time; who has lost it writes nothing more, and who died is replaced.",
    ),
    Guarantee(
        "D4",
        "answered once",
        "A question has one answer, from who may give it and in its time; all are told it, and the run goes on by it.",
    ),
    Guarantee(
        "D5",
        "nearest level",
        "Of a variable the nearest level counts that has it; writers of different ones all land, and nothing leaks.",
    ),
    Guarantee(
        "D6",
        "true past",
        "A checkpoint shows one moment; what restores or forks it has exactly that, and a restore can be undone.",
    ),
)

BY_NUMBER = {guarantee.number: guarantee for guarantee in GUARANTEES}
