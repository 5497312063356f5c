"""What stands in a store after its process was killed, held against all that its clients were told."""

import apsw

from holdfast import Holdfast
from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import Compacted
from holdfast.kernel import codec
from holdfast.kernel.commit import Range, Read
from holdfast.testing.history import Effect, Entry, Violation, violations
from holdfast.testing.place import Place
from holdfast.testing.recording import entry_of, load

UNTOLD = frozenset({"alive", "due", "active", "claim", "budget"})
"""Areas that no change tells of: until when a session lives, when it was last used, whose turn it is."""


class Aftermath:
    """Follows one store through many deaths. `entries` is the whole log of every scope, as far back as it ever went."""

    def __init__(self, path, place: Place, notes) -> None:
        self.path = path
        self.place = place
        self.notes = notes
        self.entries: dict[str, list[Entry]] = {scope: [] for scope in place.scopes}

    async def examine(self) -> list[Violation]:
        """Open the store as the next process would, and say everything that is wrong with it."""
        found = [Violation("integrity", line) for line in integrity(self.path)]
        kernel = await SqliteKernel.open(self.path)
        async with Holdfast.over(kernel) as hold:
            for scope in self.place.scopes:
                found += await self._take_log(kernel, scope)
                found += await self._compare_cells(kernel, scope)
            listed = {session.id async for session in hold.sessions.iterate()}
            alive = {id for id in self.place.sessions if "session" in told(self.entries[f"session/{id}"])}
            if listed != alive:
                found.append(Violation("index", f"listed are {sorted(listed)}, alive are {sorted(alive)}"))
        lines = self.notes.read_bytes().splitlines(keepends=True)
        return found + violations(load(lines), self.entries)

    async def _take_log(self, kernel, scope) -> list[Violation]:
        """Take what is new of the log; what was known of it must still be there."""
        known = self.entries[scope]
        after = 0
        try:
            records = await kernel.log(scope, limit=10_000)
        except Compacted as gap:
            after = gap.floor - 1
            records = await kernel.log(scope, after=after, limit=10_000)
        entries = [entry_of(record) for record in records]
        found = []
        if known[after:] != entries[: len(known) - after]:
            found.append(Violation("rewritten", f"{scope}: the log after {after} is not what it was"))
        if after > len(known):
            found.append(Violation("lost", f"{scope}: the log was trimmed from {len(known)} to {after} unseen"))
        known += entries[len(known) - after :]
        return found

    async def _compare_cells(self, kernel, scope) -> list[Violation]:
        """The cells are what the log says they are: nothing half."""
        (view,) = await kernel.read([Read(scope, (), (Range("", 10_000),))], now_us=2**60)
        shown: dict[str, object] = {}
        for cell in view.ranges[0]:
            area = cell.key.partition("/")[0]
            if area in UNTOLD:
                continue
            value = codec.decode(cell.value)
            if area == "message" or area == "event":
                entry = value["content"] if area == "message" else value.get("data", value["type"])
                shown.setdefault(area, []).append(entry)
            else:
                shown[cell.key] = value["metadata"] if area == "session" else value
        expected = told(self.entries[scope])
        if view.head.seq != len(self.entries[scope]):
            return [
                Violation("gap", f"{scope}: the head is at {view.head.seq}, the log has {len(self.entries[scope])}")
            ]
        return [] if shown == expected else [Violation("half", f"{scope} shows {shown}, its log tells {expected}")]


def told(entries: list[Entry]) -> dict[str, object]:
    """What the log says is there."""
    shown: dict[str, object] = {}
    for entry in entries:
        for effect in entry.effects:
            _apply(shown, effect)
    return shown


def _apply(shown: dict[str, object], effect: Effect) -> None:
    if effect.op == "drop":
        shown.clear()
    elif effect.op == "delete":
        shown.pop(effect.key, None)
    elif effect.op == "append":
        shown.setdefault(effect.key, []).append(effect.value)
    else:
        shown[effect.key] = effect.value


def integrity(path) -> list[str]:
    """What SQLite itself finds wrong with the file."""
    connection = apsw.Connection(str(path))
    try:
        lines = [line for (line,) in connection.execute("PRAGMA integrity_check")]
    finally:
        connection.close(True)
    return [] if lines == ["ok"] else lines
