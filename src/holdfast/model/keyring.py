"""The keys of an encrypted store, and what changing them comes to.

A ring never hands out a master key: what is asked of it are keys derived for one purpose (HKDF-SHA256, RFC 5869). It
is shown by the ids of its keys, and cannot be pickled, for whatever is written down is found some day.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from typing import NoReturn

from msgspec import Struct

from holdfast.errors import InvalidValue, shown

KEY_BYTES = 32

_ID = re.compile(r"[A-Za-z0-9._-]{1,24}")
_REMEDY = "Make a key with `python -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'`."

_OF_TEXT = 'Keys of text are read by `KeyRing.parse("id=BASE64")`.'


class KeyRing:
    """The keys of a store by their ids, and which of them encrypts from now on.

    keys      32 random bytes each, by an id of 1 to 24 letters, digits, dots, dashes and underscores: "2026-11"
    active    the id of the key that everything is encrypted under from now on; the others only decrypt
    strict    refuse what is found unencrypted (the default). False reads it, for a plain store that is being encrypted
              by `Holdfast.rekey`

    Immutable. Shows its ids and never a key. Raises InvalidValue for keys, ids or an active one that cannot be.
    """

    __slots__ = ("_roots", "active", "ids", "strict")

    _roots: dict[str, _Root]
    active: str
    ids: tuple[str, ...]
    strict: bool

    def __init__(self, keys: Mapping[str, bytes], *, active: str, strict: bool = True) -> None:
        if not isinstance(keys, Mapping) or not keys:
            raise InvalidValue("keys must be a mapping of key ids to keys, with one at least", path="keys")
        roots: dict[str, _Root] = {}
        for id, key in keys.items():
            roots[_checked_id(id)] = _Root(_checked_key(id, key))
        if len({root.fingerprint for root in roots.values()}) < len(roots):
            raise InvalidValue("two ids of the ring name the same key", path="keys")
        if not isinstance(active, str) or active not in roots:
            raise InvalidValue(f"the active key {shown(active)} is not in the ring: {', '.join(roots)}", path="active")
        if not isinstance(strict, bool):
            raise InvalidValue(f"strict must be True or False, not {shown(strict)}", path="strict")
        for name, part in (("_roots", roots), ("ids", tuple(roots)), ("active", active), ("strict", strict)):
            object.__setattr__(self, name, part)

    @classmethod
    def parse(cls, text: str, *, active: str | None = None, strict: bool = True) -> KeyRing:
        """A ring from text such as `2026-11=BASE64,2026-10=BASE64`. Without `active` the first one is.

        Raises InvalidValue, in which nothing of the text is shown.
        """
        if not isinstance(text, str):
            raise InvalidValue(f"the keys to parse must be text, not {shown(type(text))}", path="keys")
        keys: dict[str, bytes] = {}
        for place, part in enumerate(text.replace("\n", ",").split(","), 1):
            id, equals, encoded = part.strip().partition("=")
            if not part.strip():
                continue
            if id in keys:
                message = f"part {place} of the keys names a key id twice"
                raise InvalidValue(message, path="keys", remedy="Give each key an id of its own, or leave one out.")
            if not equals or _is_bare(part.strip()):
                message = f"part {place} of the keys is not written id=BASE64"
                raise InvalidValue(message, path="keys", remedy="Put an id and = before the key: 2026-11=BASE64.")
            keys[_checked_id(id)] = _decoded(id, encoded)
        if not keys:
            raise InvalidValue(
                "no key is named", path="keys", remedy=f"Write id=BASE64, with commas between several. {_REMEDY}"
            )
        return cls(keys, active=next(iter(keys)) if active is None else active, strict=strict)

    def derive(self, id: str, purpose: bytes) -> bytes:
        """32 bytes for one purpose, from the key of that id. Raises KeyError for one that is not in the ring."""
        return self._roots[id].expand(purpose)

    def __contains__(self, id: object) -> bool:
        return id in self._roots

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self.ids)}; active={self.active!r}, strict={self.strict})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a KeyRing cannot be changed; make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a KeyRing cannot be changed; make another one")

    def __copy__(self) -> KeyRing:
        return self

    def __deepcopy__(self, memo: object) -> KeyRing:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a KeyRing cannot be pickled: hand the keys over by another way, such as the environment")


class Rekeyed(Struct, frozen=True):
    """What a rekey has done, or done so far.

    seen       cells and records that were looked at
    changed    of these, how many were encrypted anew
    total      how many there were at the beginning, as far as that is known
    scrubbed   whether nothing of the old bytes is left in the store's files; None while that is still to be done
    """

    seen: int = 0
    changed: int = 0
    total: int = 0
    scrubbed: bool | None = None


class _Root:
    """One key, as HKDF's extracted root. Shown as nothing."""

    __slots__ = ("_root",)

    def __init__(self, key: bytes) -> None:
        self._root = hmac.digest(b"holdfast master key", key, "sha256")

    def expand(self, purpose: bytes) -> bytes:
        """HKDF-Expand to one block."""
        return hmac.digest(self._root, purpose + b"\x01", "sha256")

    @property
    def fingerprint(self) -> bytes:
        """Tells two keys apart, and tells nothing of them."""
        return self.expand(b"fingerprint")

    def __repr__(self) -> str:
        return "<key>"


def _checked_id(id: object) -> str:
    if not isinstance(id, str) or _ID.fullmatch(id) is None:
        told = "it" if isinstance(id, str) and len(id) > 24 else shown(id)  # a key in the place of its id is not shown
        raise InvalidValue(
            f"{told} is no key id: 1 to 24 letters, digits, dots, dashes or underscores", path="keys", remedy=_REMEDY
        )
    return id


def _checked_key(id: str, key: object) -> bytes:
    if not isinstance(key, (bytes, bytearray, memoryview)):
        raise InvalidValue(
            f"the key {id} must be {KEY_BYTES} bytes, not {type(key).__name__}", path="keys", remedy=_OF_TEXT
        )
    if len(raw := bytes(key)) != KEY_BYTES:
        raise InvalidValue(f"the key {id} must have {KEY_BYTES} bytes, not {len(raw)}", path="keys", remedy=_REMEDY)
    return raw


def _is_bare(part: str) -> bool:
    """Whether it is a key without an id: the = at its end fills base64 up."""
    try:
        return len(base64.b64decode(part, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _decoded(id: str, encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidValue(f"the key {id} is not base64", path="keys", remedy=_REMEDY) from None
