"""Mutants with wrong entries or names (G15)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.backends.memory.commit import CommitPath
from holdfast.kernel.commit import Commit, Committed, Found, Outcome
from holdfast.kernel.evaluate import Plan
from holdfast.testing.mutants.mutant import breaks


@breaks("G15")
class EntriesAreAddedToTheOld(CommitPath):
    """A put's entries stand beside those of the put before."""

    def write(self, plan: Plan) -> None:
        """Keep the old ones."""
        old = dict(self.space.scope(plan.scope).entries)
        writes = []
        for write in plan.writes:
            names = {(e.index, e.value, e.order) for e in write.entries}
            kept = [e for e in old.get(write.key, ()) if (e.index, e.value, e.order) not in names]
            writes.append(replace(write, entries=(*write.entries, *kept)))
        super().write(replace(plan, writes=tuple(writes)))


@breaks("G15")
class EntriesStayWithoutNewOnes(CommitPath):
    """A put without entries leaves those of the put before."""

    def write(self, plan: Plan) -> None:
        """Keep the old ones where there are no new ones."""
        old = self.space.scope(plan.scope).entries
        writes = tuple(replace(w, entries=w.entries or old.get(w.key, ())) for w in plan.writes)
        super().write(replace(plan, writes=writes))


@breaks("G15")
class EntriesOutliveTheirCell(MemoryKernel):
    """Deleting a cell leaves its entries, which find then hands out."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Find what ever was written."""
        found = await super().find(index, value, now_us=now_us, **rest)
        ghosts = [g for g in getattr(self, "_ghosts", []) if g[0] == (index, value) and g[1] not in found]
        plain = not any(rest.get(name) for name in ("lo", "hi", "after"))
        return (*found, *(ghost for _, ghost in ghosts if plain))

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Remember the entries of what is deleted."""
        self._ghosts: list[tuple[tuple[str, str], Found]] = getattr(self, "_ghosts", [])
        for commit in commits:
            for part in commit.scopes:
                data = self._data.scopes.get(part.scope)
                for key in part.deletes:
                    for e in data.entries.get(key, ()) if data is not None else ():
                        self._ghosts.append(((e.index, e.value), Found(e.order, part.scope, key, e.payload)))
        return await super().commit(commits)


@breaks("G15")
class ADropLeavesEntries(CommitPath):
    """The entries of a dropped scope are found again when the cell is written again without any."""

    def clear(self, scope: str) -> None:
        """Remember them."""
        self._lost = getattr(self, "_lost", {})
        self._lost[scope] = dict(self.space.scope(scope).entries)
        super().clear(scope)

    def write(self, plan: Plan) -> None:
        """Bring them back."""
        lost = getattr(self, "_lost", {}).get(plan.scope, {})
        writes = tuple(replace(w, entries=w.entries or lost.get(w.key, ())) for w in plan.writes)
        super().write(replace(plan, writes=writes))


@breaks("G15")
class EntriesComeWithTheNextCommit(MemoryKernel):
    """The index is brought up to date by the commit after."""

    async def commit(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Take the entries of this batch out, and put those of the last one in."""
        late = getattr(self, "_late", {})
        outcomes = await super().commit(commits)
        for (scope, key), entries in late.items():
            data = self._data.scopes.get(scope)
            if data is not None and key in data.cells and key not in data.entries:
                self._data.set_entries(scope, key, entries)
        self._late = {}
        for outcome in outcomes:
            for scope in outcome.seqs if isinstance(outcome, Committed) else ():
                data = self._data.scopes.get(scope)
                for key, entries in list(data.entries.items()) if data is not None else ():
                    if data is not None and data.cells[key].version == data.head.seq:
                        self._late[(scope, key)] = entries
                        self._data.set_entries(scope, key, ())
        return outcomes


@breaks("G15")
class APayloadIsKeptFromTheFirstTime(CommitPath):
    """An entry that is there already is not written again, new payload or not."""

    def write(self, plan: Plan) -> None:
        """Keep the old payload."""
        old = self.space.scope(plan.scope).entries
        writes = []
        for write in plan.writes:
            was = {(e.index, e.value, e.order): e for e in old.get(write.key, ())}
            writes.append(replace(write, entries=tuple(was.get((e.index, e.value, e.order), e) for e in write.entries)))
        super().write(replace(plan, writes=tuple(writes)))


@breaks("G15")
class OrdersAreSortedByUtf16(MemoryKernel):
    """Entries are sorted by the UTF-16 code units of their order."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Sort again."""
        found = await super().find(index, value, now_us=now_us, **rest)
        return tuple(
            sorted(
                found,
                key=lambda entry: [text.encode("utf-16-be") for text in entry.cursor],
                reverse=bool(rest.get("reverse")),
            )
        )


@breaks("G15")
class FromTheEndOnlyTheOrderTurns(MemoryKernel):
    """In reverse, entries of one order still come by rising scope and key."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Turn equal orders round again."""
        found = await super().find(index, value, now_us=now_us, **rest)
        if not rest.get("reverse"):
            return found
        return tuple(sorted(sorted(found, key=lambda e: e.cursor), key=lambda e: e.order, reverse=True))


@breaks("G15")
class TheHighBoundIsIncluded(MemoryKernel):
    """Entries of the order `hi` are found."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Go one further."""
        if rest.get("hi") is not None:
            rest["hi"] += "\x00"
        return await super().find(index, value, now_us=now_us, **rest)


@breaks("G15")
class TheLowBoundIsExcluded(MemoryKernel):
    """Entries of the order `lo` are not found."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Begin one further."""
        if rest.get("lo") is not None:
            rest["lo"] += "\x00"
        return await super().find(index, value, now_us=now_us, **rest)


@breaks("G15")
class ACursorIsItsOrder(MemoryKernel):
    """A page goes on after the order of its cursor, and so skips others of that order."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Forget scope and key."""
        if rest.get("after") is not None:
            order = rest["after"][0]
            rest["after"] = (order, "", "") if rest.get("reverse") else (order, "\U0010ffff", "")
        return await super().find(index, value, now_us=now_us, **rest)


@breaks("G15")
class ACursorHasNoKey(MemoryKernel):
    """A page goes on after the scope of its cursor, and so skips other cells of it."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Forget the key."""
        if rest.get("after") is not None:
            order, scope, _ = rest["after"]
            rest["after"] = (order, scope, "" if rest.get("reverse") else "\U0010ffff")
        return await super().find(index, value, now_us=now_us, **rest)


@breaks("G15")
class BoundsAreForgottenWithACursor(MemoryKernel):
    """With a cursor the bounds are not looked at."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Leave them out."""
        if rest.get("after") is not None:
            rest |= {"lo": None, "hi": None}
        return await super().find(index, value, now_us=now_us, **rest)


@breaks("G15")
class ValuesAreCaseBlind(MemoryKernel):
    """Entries are found under a value of another case."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Search for both cases."""
        found = {value, value.upper(), value.lower()}
        pages = [await super(ValuesAreCaseBlind, self).find(index, v, now_us=now_us, **rest) for v in sorted(found)]
        return tuple(entry for page in pages for entry in page)[: rest.get("limit", 1000)]


@breaks("G15")
class DroppedScopesAreListed(MemoryKernel):
    """A scope is listed until its tombstone is swept."""

    async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """List every trace."""
        await super().scopes(after=after, limit=limit)
        return tuple(name for name in self._data.names if name > after)[:limit]


@breaks("G15")
class EmptyScopesAreNotListed(MemoryKernel):
    """A scope without cells is not listed."""

    async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """Look for cells."""
        names = await super().scopes(after=after, limit=limit)
        return tuple(name for name in names if self._data.scopes[name].cells)


@breaks("G15")
class NamesAreSortedWithoutCase(MemoryKernel):
    """Names come in the order of a dictionary."""

    async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """Sort again."""
        return tuple(sorted(await super().scopes(after=after, limit=limit), key=str.lower))


@breaks("G15")
class APageOfNamesRepeatsItsLast(MemoryKernel):
    """`after` is included."""

    async def scopes(self, *, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """Put it in front."""
        names = await super().scopes(after=after, limit=limit)
        data = self._data.scopes.get(after)
        return (after, *names)[:limit] if data is not None and data.head.live else names


@breaks("G15")
class AnEntryNamesTheFirstCell(MemoryKernel):
    """Entries name the first cell of their scope."""

    async def find(self, index: str, value: str, *, now_us: int, **rest: Any) -> tuple[Found, ...]:
        """Put another key in."""
        found = await super().find(index, value, now_us=now_us, **rest)
        return tuple(replace(entry, key=self._data.scopes[entry.scope].keys[0]) for entry in found)
