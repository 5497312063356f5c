"""Names of scopes, cells and buckets: how what a caller calls a thing becomes a key.

    scope   kind "/" id            session/7f0c…   user/ada   global/flags
    cell    area                   session
            area "/" key           runtime/step
            area "/" ns "/" key    state/prefs/cart     (the default namespace is empty: state//cart)
            area "/" stamp         message/0000000000000042.0000

Callers' ids and names are 1 to 256 bytes of NFC text without control characters. The last part of a key is
kept as it is, so that a view in SQL can be read; a part that something follows has "%" and "/" escaped, so that
no name can reach into another's range. One id, one spelling: text that is not NFC is refused rather than
normalised, because two callers must not mean one thing by two ids, or two things by one.
"""

from __future__ import annotations

import unicodedata
import zlib

from holdfast.errors import InvalidId

NAME_BYTES_MAX = 256
"""The limit of an id, name or key that a caller gives."""

KEY_BYTES_MAX = 1024
"""The limit of a whole key, scope or index part as backends see it (DynamoDB's sort keys hold as much)."""

BUCKETS = 64
"""How many buckets a space has. A scope lives in exactly one, for good."""


def check_name(name: str, what: str) -> str:
    """Return `name` if it may be an id, name or key; raise InvalidId naming `what` it was meant for."""
    if type(name) is not str:
        if not isinstance(name, str):
            raise InvalidId(f"{what} must be text, not {type(name).__name__}", what=what)
        name = str(name)
    if name.isascii():
        if 0 < len(name) <= NAME_BYTES_MAX and name.isprintable():
            return name
    elif _is_clean(name):
        return name
    raise InvalidId(f"{what} {_problem(name)}: {name[:80]!r}", what=what, name=name[:300])


def _is_clean(name: str) -> bool:
    return not _problem(name)


def _problem(name: str) -> str:
    if not name:
        return "is empty"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "has a lone surrogate"
    if size > NAME_BYTES_MAX:
        return f"has {size} bytes, more than {NAME_BYTES_MAX}"
    if any(unicodedata.category(char) == "Cc" for char in name):
        return "has a control character"
    if not unicodedata.is_normalized("NFC", name):
        return "is not in Unicode normal form C"
    return ""


def escaped(part: str) -> str:
    """A part of a key that another part follows: `%` and `/` become `%25` and `%2F`."""
    if "/" in part or "%" in part:
        return part.replace("%", "%25").replace("/", "%2F")
    return part


def unescaped(part: str) -> str:
    """The inverse of `escaped`."""
    return part.replace("%2F", "/").replace("%25", "%") if "%" in part else part


def bucket(scope: str) -> int:
    """The bucket a scope lives in: 0 to BUCKETS - 1, by CRC-32 of its name, the same in every process."""
    return zlib.crc32(scope.encode()) % BUCKETS


def prefix_end(prefix: str) -> str | None:
    """The least text greater than every text that starts with `prefix`; None when there is none.

    Surrogates are not characters, so the step over them goes from U+D7FF to U+E000.
    """
    for i in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[i])
        if code < 0x10FFFF:
            return prefix[:i] + chr(0xE000 if code == 0xD7FF else code + 1)
    return None
