"""What `holdfast doctor` says of a store's keys."""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdfast.cli.finding import Finding
from holdfast.kernel.contract import Kernel
from holdfast.model.keyring import KeyRing
from holdfast.wrappers.census import Census, census

COUNTED_MAX = 200_000
"""So many cells and records are looked at, about."""

REKEY = "`holdfast rekey` encrypts everything under the active key; only then may another one be thrown away."
FROM_PLAIN = "`holdfast rekey --from-plain` encrypts it."
AGAIN = "Run `holdfast rekey` again when no other process reads from the store."


async def examine_keys(kernel: Kernel, keys: KeyRing | None, *, now_us: int) -> AsyncIterator[Finding]:
    """Which keys the store needs, which is active, and how much is under others or under none."""
    found = await census(kernel, now_us=now_us, most=COUNTED_MAX)
    if found is None or keys is None:
        yield Finding("keys", "encryption", "none")
        return
    yield Finding("keys", "active", keys.active)
    older = [id for id in found.needed if id != keys.active]
    remedy = REKEY if older else ""
    yield Finding("keys", "needed", ", ".join(found.needed), "note" if older else "ok", remedy)
    for id in sorted({*found.needed, *found.under} - {""}):
        remedy = REKEY if id in older else ""
        yield Finding("keys", f"under {id}", _told(found, id), "note" if remedy else "ok", remedy)
    plain = found.under[""]
    yield Finding("keys", "not encrypted", _told(found, ""), "note" if plain else "ok", FROM_PLAIN if plain else "")
    if not found.scrubbed:
        yield Finding("keys", "older bytes", "perhaps left in the files", "note", AGAIN)


def _told(found: Census, id: str) -> int | str:
    """How many, and that there may be more."""
    return found.under[id] if found.whole else f"{found.under[id]:,} of {found.under.total():,} that were looked at"
