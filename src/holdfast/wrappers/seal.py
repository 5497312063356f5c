"""Sealing bytes for one place: AES-256-GCM under a key of the scope.

    key     HKDF-SHA256 of the master key, for (purpose, space, scope); a bounded number of them is remembered
    nonce   96 random bits, made for this one frame and kept in it
    bound   by associated data: format, role, space, scope and what the place is called in it

What was sealed for one place does not open at another, nor in another role. Two frames under one derived key and one
nonce would undo the secrecy of both; at 2**32 frames the chance of that is 2**-33. A derived key serves one scope, or
the causes of commits over several scopes of one space, until the active key is changed: a scope would have to be
written a hundred times a second for a year.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from holdfast.errors import Corrupt, WrongKey
from holdfast.kernel.frame import AT_COMMIT, AT_KEY, AT_PREFIX, head_of_sealed, parse_sealed
from holdfast.model.keyring import KeyRing

KEYS_MAX = 4096
"""How many derived keys are remembered; each has some 300 bytes."""

HASH_BYTES = 16
CHECK_BYTES = 8

Role = Literal["value", "payload", "body", "body with cause", "cause", "index key", "signal"]

_ROLES: dict[Role, bytes] = {
    "value": b"v",
    "payload": b"p",
    "body": b"b",
    "body with cause": b"B",
    "cause": b"c",
    "index key": b"i",
    "signal": b"s",
}
KINDS = (AT_KEY, AT_PREFIX, AT_COMMIT)
_BEGINNINGS = {(kind, role): bytes((kind,)) + letter for kind in KINDS for role, letter in _ROLES.items()}
"""Where the associated data of a frame begins: its format and its role."""


class Place(NamedTuple):
    """What a frame is sealed for: the scope (None: all scopes of one commit), the role, and the name within both."""

    scope: str | None
    role: Role
    name: str = ""


class Seal:
    """Seals under the ring's active key, opens under any of its keys. Any thread may use it."""

    def __init__(self, keys: KeyRing, space: str) -> None:
        self.keys = keys
        self.space = space
        self._space = _measured(space)
        self._heads = {kind: head_of_sealed(kind, keys.active) for kind in KINDS}
        # Imported here: a store without keys has no use for it.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher, self._invalid = AESGCM, InvalidTag
        self._derived: Callable[[str, bytes, str | None], tuple[Any, bytes]] = lru_cache(KEYS_MAX)(self._derive)

    def close(self, place: Place, raw: bytes, *, nonce: bytes, kind: int = AT_KEY) -> bytes:
        """The frame of these bytes for that place."""
        scope, role, name = place
        cipher, bound = self._derived(self.keys.active, b"cause" if role == "cause" else b"kept", scope)
        ciphertext: bytes = cipher.encrypt(nonce, raw, _BEGINNINGS[kind, role] + bound + name.encode())
        return self._heads[kind] + nonce + ciphertext

    def open(self, place: Place, kept: bytes) -> bytes:
        """The bytes in a frame that was closed for that place.

        Raises WrongKey if its key is not in the ring, Corrupt if it was closed for another place or changed since.
        """
        kind, id, nonce, ciphertext = parse_sealed(kept)
        scope, role, name = place
        try:
            cipher, bound = self._derived(id, b"cause" if role == "cause" else b"kept", scope)
        except KeyError:
            raise unknown_key(id, f"the {role} of {self._told(place)}") from None
        try:
            raw: bytes = cipher.decrypt(nonce, ciphertext, _BEGINNINGS[kind, role] + bound + name.encode())
        except self._invalid:
            raise Corrupt(
                f"the {role} of {self._told(place)} does not open under the key {id}: it was changed, or sealed for "
                "another place",
                remedy="It was not written here in this form. Find out who else writes to the store's files, and "
                "restore a backup.",
                scope=scope,
                key_id=id,
            ) from None
        return raw

    def check(self, id: str) -> str:
        """What tells the key of that id from another one: 16 hexadecimal digits."""
        return self.keys.derive(id, b"check" + self._space)[:CHECK_BYTES].hex()

    def _derive(self, id: str, purpose: bytes, scope: str | None) -> tuple[Any, bytes]:
        bound = self._space + (b"*" if scope is None else _measured(scope))
        return self._cipher(self.keys.derive(id, purpose + bound)), bound

    def _told(self, place: Place) -> str:
        return " in ".join(repr(part) for part in (place.name, place.scope) if part) or f"a commit to {self.space}"


def unknown_key(id: str, what: str) -> WrongKey:
    """The error for a frame under a key that is not in the ring."""
    return WrongKey(
        f"{what} is encrypted under the key {id}, which is not in the ring",
        remedy=f"Open the store with a KeyRing that has the key {id} too, and run `hold.rekey()` before that key goes.",
        key_ids=[id],
    )


def hashed(index_key: bytes, index: str, value: str) -> str:
    """What stands for the value of an index entry: 128 bits of HMAC-SHA256, as 22 characters."""
    digest = hmac.digest(index_key, _measured(index) + value.encode(), "sha256")
    return urlsafe_b64encode(digest[:HASH_BYTES]).rstrip(b"=").decode()


def _measured(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw
