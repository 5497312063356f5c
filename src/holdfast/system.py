"""The real clock, ids, randomness and environment: what everything else is handed."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections.abc import Mapping


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """The time of day in microseconds since the epoch, UTC."""
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


class SystemIds:
    """Ids and chance of the machine."""

    def uuid7(self, now_us: int) -> str:
        """A new UUIDv7 (RFC 9562): milliseconds, the fraction of the millisecond in 12 bits, 62 random bits."""
        ms, us = divmod(now_us, 1000)
        head = (ms & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | us * 4096 // 1000
        tail = 0b10 << 62 | secrets.randbits(62)
        text = f"{head:016x}{tail:016x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def writer(self) -> str:
        """A new writer id: 16 hexadecimal digits, random."""
        return secrets.token_hex(8)

    def random(self) -> float:
        """A number from 0 up to but not including 1, for jitter."""
        return random.random()


def version() -> str:
    """Holdfast's version, as it is installed; "unknown" for sources that are not. Reads files."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed  # here: it brings half a mail program along

    try:
        return installed("holdfast")
    except PackageNotFoundError:
        return "unknown"


def environment() -> Mapping[str, str]:
    """The variables of the environment, as they are when they are looked at."""
    return os.environ


def default_url() -> str | None:
    """The store's URL from the environment: HOLDFAST_URL."""
    return os.environ.get("HOLDFAST_URL")


def default_keys() -> tuple[str, str | None] | None:
    """Keys from the environment, and the active one's id: HOLDFAST_KEYS, HOLDFAST_KEY_ACTIVE."""
    keys = os.environ.get("HOLDFAST_KEYS")
    return (keys, os.environ.get("HOLDFAST_KEY_ACTIVE") or None) if keys else None


def random_bytes(count: int) -> bytes:
    """So many bytes of the system's randomness, fit for keys."""
    return os.urandom(count)
