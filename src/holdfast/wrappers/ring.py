"""What an encrypted store says of its own keys, in one readable cell of a scope that no verb above shows.

It names the keys by their ids, so that who comes without them can be told which to bring, with 64 bits by which the
right key is known from another of that id. It keeps the index key, made once for the space and sealed under the active
key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import msgspec
from msgspec import Struct

from holdfast.errors import Compacted, Corrupt, Unavailable, WrongKey
from holdfast.kernel.commit import Absent, Cell, Commit, Committed, Head, Put, Read, ScopeCommit, Unchanged
from holdfast.kernel.contract import Kernel
from holdfast.kernel.frame import NONCE_BYTES, parse_sealed
from holdfast.kernel.writer import Writer
from holdfast.model.keyring import KEY_BYTES
from holdfast.wrappers.framing import locked
from holdfast.wrappers.seal import Place, Seal
from holdfast.wrappers.sealed import Entropy

SCOPE = "seal/ring"
KEY = "ring"

_PLACE = Place(SCOPE, "index key", KEY)


class Ring(Struct, frozen=True):
    """The cell.

    ids        the keys that anything may be sealed under, each with its check (see `Seal.check`)
    index_key  the key by which index entries are hashed, sealed
    plain      whether something may not be sealed yet: the store was there before its keys
    dirty      whether the store's files may still hold what a rekey replaced
    """

    ids: dict[str, str]
    index_key: bytes
    plain: bool = False
    dirty: bool = False


_decode = msgspec.json.Decoder(Ring).decode


async def find_ring(kernel: Kernel, now_us: int) -> tuple[Ring | None, Cell | None]:
    """What the store says of its keys; None if it is not encrypted."""
    [view] = await kernel.read([Read(SCOPE, (KEY,))], now_us=now_us)
    cell = view.cells.get(KEY)
    if cell is None:
        return None, None
    try:
        return _decode(cell.value), cell
    except msgspec.MsgspecError as problem:
        raise Corrupt(f"what the store says of its keys cannot be read: {problem}", scope=SCOPE) from problem


async def change_ring(writer: Writer, change: Callable[[Ring | None], Ring | None]) -> Ring:
    """Change what the store says, whoever else does so at the same time; None from `change`: leave it."""
    while True:
        now_us = writer.clock.now_us()
        try:
            found, cell = await find_ring(writer.kernel, now_us)
        except Unavailable:
            found, cell = await writer.again(partial(find_ring, writer.kernel, now_us))
        changed = change(found)
        if changed is None or changed == found:
            assert found is not None
            return found
        check = Absent(KEY) if cell is None else Unchanged(KEY, cell.version)
        part = ScopeCommit(SCOPE, "create", checks=(check,), puts=(Put(KEY, msgspec.json.encode(changed)),))
        if isinstance(await writer.commit(Commit((part,), now_us)), Committed):
            return changed


async def refuse_sealed(kernel: Kernel, now_us: int) -> None:
    """Raise WrongKey, naming the keys, if the store is encrypted."""
    ring, _ = await find_ring(kernel, now_us)
    if ring is not None:
        raise locked(tuple(ring.ids))


async def unlocked(writer: Writer, seal: Seal, entropy: Entropy) -> Ring:
    """What the store says of its keys, once the ring is seen to have them and its active key stands there.

    Raises WrongKey for a key that is missing or another one, and for a store that holds what is not encrypted, which a
    strict ring refuses.
    """
    fresh = entropy(KEY_BYTES), entropy(NONCE_BYTES)
    was_there = await _holds_anything(writer.kernel)
    keys = seal.keys

    def change(ring: Ring | None) -> Ring:
        if ring is None:
            if was_there and keys.strict:
                raise _not_encrypted(writer.kernel.space)
            wrapped = seal.close(_PLACE, fresh[0], nonce=fresh[1])
            return Ring({keys.active: seal.check(keys.active)}, wrapped, was_there, was_there)
        _compare(ring, seal)
        if ring.plain and keys.strict:
            raise _not_encrypted(writer.kernel.space)
        ids = ring.ids | {keys.active: seal.check(keys.active)}
        return msgspec.structs.replace(ring, ids=ids)

    return await change_ring(writer, change)


def without_ring(figures: Mapping[str, int | float | str], head: Head) -> Mapping[str, int | float | str]:
    """A kernel's figures without what the ring takes of scopes, cells and records."""
    own = {"scopes": 1, "cells": 1, "records": head.seq - head.floor + 1}
    kind = (f"cells/{KEY}", f"bytes/{KEY}")
    return {
        name: figure - own.get(name, 0) if isinstance(figure, int) else figure
        for name, figure in figures.items()
        if name not in kind
    }


def index_key_of(ring: Ring, seal: Seal) -> bytes:
    """The index key. Raises WrongKey or Corrupt."""
    return seal.open(_PLACE, ring.index_key)


def rewrapped(ring: Ring, seal: Seal, entropy: Entropy) -> Ring:
    """The same with the index key sealed under the active key, and said to be dirty: a rekey begins."""
    wrapped = ring.index_key
    if parse_sealed(wrapped).key_id != seal.keys.active:
        wrapped = seal.close(_PLACE, index_key_of(ring, seal), nonce=entropy(NONCE_BYTES))
    return msgspec.structs.replace(ring, index_key=wrapped, dirty=True)


def _compare(ring: Ring, seal: Seal) -> None:
    missing = [id for id in ring.ids if id not in seal.keys]
    others = [id for id in ring.ids if id in seal.keys and seal.check(id) != ring.ids[id]]
    for ids, problem in ((missing, "is not in the ring"), (others, "is another one in the ring")):
        if ids:
            raise WrongKey(f"the key {', '.join(ids)} of this store {problem}", key_ids=ids)


def _not_encrypted(space: str) -> WrongKey:
    return WrongKey(
        f"the space {space} holds what is not encrypted, which a strict ring refuses",
        remedy="To encrypt it, open it with KeyRing(…, strict=False) and run `hold.rekey()`, or `holdfast rekey "
        "--from-plain`; after that a strict ring opens it.",
        key_ids=[],
    )


async def _holds_anything(kernel: Kernel) -> bool:
    try:
        moved = await kernel.moved("", limit=2)
    except Compacted:
        return True
    return any(scope != SCOPE for scope, _ in moved.scopes)
