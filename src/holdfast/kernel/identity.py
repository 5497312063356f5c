"""What tells one piece of work from others: a digest of its name, its arguments and its version."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from holdfast.errors import InvalidValue
from holdfast.kernel import codec
from holdfast.kernel.keys import check_name

SALT_BYTES = 64
"""So much of a salt counts."""


def step_identity(name: str, *, arguments: Any, version: Any, salt: str = "") -> str:
    """What tells a step from others: the same for the same name, arguments and version. Raises InvalidId and
    InvalidValue.

    With a salt that stands only where values do, it may stand in a key: who knows what the arguments may be learns
    nothing by trying them all.
    """
    try:
        told = codec.encode([check_name(name, "a step's name"), arguments, version], what="the arguments of a step")
    except InvalidValue:
        codec.encode(arguments, path="arguments")  # says where in them, if it is there
        codec.encode(version, path="version")
        raise
    return blake2b(told, digest_size=16, key=salt.encode()[:SALT_BYTES]).hexdigest()
