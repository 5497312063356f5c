"""What a kernel should do, written to be obviously right: dicts, loops over everything, no indexes, no shortcuts.

It shares the vocabulary of the contract and none of the code that decides: conditions, expiry, order and the log are
stated here a second time, from the contract's docstrings.
"""

from dataclasses import dataclass, field

from holdfast.kernel.commit import (
    NO_HEAD,
    Absent,
    Cell,
    Conflict,
    Found,
    Head,
    HeadAt,
    Present,
    Record,
    Unchanged,
)


def bounded(items, bytes_max):
    """The items up to the one that makes their sizes reach the bound."""
    sizes = [
        len(item.value) + len(item.key)
        if isinstance(item, Cell)
        else len(item.body) + len(item.cause) + len("".join(item.touched))
        for item in items
    ]
    return tuple(item for at, item in enumerate(items) if bytes_max is None or sum(sizes[:at]) < bytes_max)


@dataclass
class Stored:
    value: bytes
    version: int
    expires_us: int | None
    entries: tuple


@dataclass
class ModelScope:
    seq: int = 0
    epoch: int = 0
    live: bool = False
    at_us: int = 0
    cause: bytes = b""
    cells: dict[str, Stored] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)

    def head(self) -> Head:
        floor = self.records[0].seq if self.records else 0
        return Head(self.seq, self.epoch, self.live, floor, self.at_us, self.cause)

    def cell(self, key: str, now_us: int) -> Cell | None:
        stored = self.cells.get(key)
        if stored is None or (stored.expires_us is not None and stored.expires_us <= now_us):
            return None
        return Cell(key, stored.value, stored.version, stored.expires_us)


class KernelModel:
    """One space."""

    def __init__(self) -> None:
        self.scopes: dict[str, ModelScope] = {}
        self.moves: list[tuple[str, int]] = []
        self.forgotten: set[str] = set()

    def scope(self, name: str) -> ModelScope:
        return self.scopes.get(name, ModelScope())

    # --- commit -----------------------------------------------------------------------------------

    def commit(self, commit) -> dict[str, int] | Conflict:
        """The new seqs, or the first condition of the first scope that does not hold."""
        for part in commit.scopes:
            conflict = self._first_broken(part, commit.at_us)
            if conflict is not None:
                return conflict
        return {part.scope: self._write(part, commit) for part in commit.scopes if self._writes(part)}

    def _writes(self, part) -> bool:
        return bool(part.puts or part.appends or part.deletes or part.body or part.drop)

    def _first_broken(self, part, now_us: int) -> Conflict | None:
        name, scope = part.scope, self.scope(part.scope)
        head = scope.head()

        def broken(what, key, expected, found):
            return Conflict(name, what, key, expected, found, head)

        if part.need == "must_exist" and not scope.live:
            return broken("need", None, "must_exist", head)
        if part.need == "must_not_exist" and scope.live:
            return broken("need", None, "must_not_exist", head)
        if part.epoch is not None and part.epoch != scope.epoch:
            return broken("epoch", None, part.epoch, head)
        for check in part.checks:
            if isinstance(check, HeadAt):
                if scope.seq != check.seq:
                    return broken("headat", None, check.seq, head)
                continue
            if isinstance(check, (Absent, Present, Unchanged)):
                cell = scope.cell(check.key, now_us)
                if isinstance(check, Absent) and cell is not None:
                    return broken("absent", check.key, None, cell)
                if isinstance(check, Present) and cell is None:
                    return broken("present", check.key, None, cell)
                if isinstance(check, Unchanged) and (cell is None or cell.version > check.since):
                    return broken("unchanged", check.key, check.since, cell)
                continue
            if not self._untouched(scope, check):
                return broken("untouched", check.prefix, check.since, head)
        return None

    def _untouched(self, scope: ModelScope, check) -> bool:
        for seq in range(check.since + 1, scope.seq + 1):
            record = next((record for record in scope.records if record.seq == seq), None)
            if record is None or record.op == "drop":
                return False  # trimmed, or everything under the prefix went
            if any(key.startswith(check.prefix) for key in record.touched):
                return False
        return True

    def _write(self, part, commit) -> int:
        scope = self.scopes.setdefault(part.scope, ModelScope())
        scope.seq += 1
        scope.at_us, scope.cause = commit.at_us, commit.cause
        epoch = scope.epoch
        if part.drop:
            scope.cells.clear()
            scope.epoch += 1
        scope.live = not part.drop
        touched = []
        for put in part.puts:
            scope.cells[put.key] = Stored(put.value, scope.seq, put.expires_us, put.entries)
            touched.append(put.key)
        for ordinal, append in enumerate(part.appends):
            key = f"{append.prefix}{scope.seq:016d}.{ordinal:04d}"
            scope.cells[key] = Stored(append.value, scope.seq, append.expires_us, append.entries)
            touched.append(key)
        for key in part.deletes:
            scope.cells.pop(key, None)
            touched.append(key)
        op = "drop" if part.drop else "write"
        scope.records.append(
            Record(scope.seq, epoch, commit.id, commit.at_us, commit.cause, tuple(touched), part.body, op)
        )
        self.moves.append((part.scope, scope.seq))
        return scope.seq

    def first_time(self, commit) -> dict[str, int]:
        """The seqs at which the logs have this commit's id."""
        return {
            part.scope: record.seq
            for part in commit.scopes
            for record in self.scope(part.scope).records
            if record.commit == commit.id
        }

    # --- reading ----------------------------------------------------------------------------------

    def head(self, name: str) -> Head:
        return self.scopes[name].head() if name in self.scopes else NO_HEAD

    def cells(self, name: str, now_us: int) -> dict[str, Cell]:
        scope = self.scope(name)
        found = {key: scope.cell(key, now_us) for key in sorted(scope.cells)}
        return {key: cell for key, cell in found.items() if cell is not None}

    def range(self, name: str, wanted, now_us: int) -> tuple[Cell, ...]:
        cells = [cell for key, cell in self.cells(name, now_us).items() if key.startswith(wanted.prefix)]
        if wanted.reverse:
            cells = [cell for cell in reversed(cells) if wanted.after is None or cell.key < wanted.after]
        else:
            cells = [cell for cell in cells if wanted.after is None or cell.key > wanted.after]
        return bounded(cells[: wanted.limit], wanted.bytes_max)

    def find(self, index, value, *, now_us, lo, hi, after, limit, reverse) -> tuple[Found, ...]:
        found = [
            Found(entry.order, name, key, entry.payload)
            for name, scope in self.scopes.items()
            for key, stored in scope.cells.items()
            for entry in stored.entries
            if (entry.index, entry.value) == (index, value) and scope.cell(key, now_us) is not None
        ]
        found = [one for one in found if (lo is None or one.order >= lo) and (hi is None or one.order < hi)]
        found.sort(key=lambda one: one.cursor, reverse=reverse)
        if after is not None:
            found = [one for one in found if (one.cursor < after if reverse else one.cursor > after)]
        return tuple(found[:limit])

    def live(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, scope in self.scopes.items() if scope.live))

    def log(
        self, name: str, *, after: int, limit: int, reverse: bool, bytes_max: int | None
    ) -> tuple[Record, ...] | str:
        """The records, or the name of the error."""
        if name not in self.scopes:
            return "Gone" if after > 0 and not reverse else ()
        scope = self.scopes[name]
        if reverse:
            older = [record for record in reversed(scope.records) if after == 0 or record.seq < after]
            return bounded(older[:limit], bytes_max)
        if after > scope.seq:
            return "Diverged"
        if after + 1 < scope.records[0].seq:
            return "Compacted"
        return bounded([record for record in scope.records if record.seq > after][:limit], bytes_max)

    # --- sweeping ---------------------------------------------------------------------------------

    def sweep(self, now_us: int, retention) -> None:
        """Everything a sweep may remove is removed."""
        for name, scope in list(self.scopes.items()):
            kept_for = retention.tombstone_us
            if not scope.live and kept_for is not None and now_us - scope.at_us >= kept_for:
                del self.scopes[name]
                self.forgotten.add(name)
                continue
            scope.cells = {
                key: stored
                for key, stored in scope.cells.items()
                if stored.expires_us is None or now_us < stored.expires_us
            }
            while len(scope.records) > 1 and self._is_beyond(scope, now_us, retention):
                del scope.records[0]

    def purge(self, name: str) -> None:
        """Of the lives that have ended the last drop is left."""
        scope = self.scope(name)
        drops = [at for at, record in enumerate(scope.records) if record.op == "drop"]
        if drops:
            del scope.records[: drops[-1]]

    def ended(self) -> tuple[str, ...]:
        """Those that were ever dropped."""
        return tuple(sorted(name for name, scope in self.scopes.items() if scope.epoch))

    def _is_beyond(self, scope: ModelScope, now_us: int, retention) -> bool:
        """Whether the oldest record is neither young enough nor among the newest."""
        if retention.age_us is None and retention.count is None:
            return False
        young = retention.age_us is not None and now_us - scope.records[0].at_us < retention.age_us
        newest = retention.count is not None and len(scope.records) <= retention.count
        return not young and not newest
