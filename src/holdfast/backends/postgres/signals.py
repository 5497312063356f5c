"""Signals between the openings of one space: NOTIFY, beside every transaction of the store.

What the server carries in one notification is text of less than 8,000 bytes, so a signal is cut into parts; they are
sent in one statement, and so arrive together or not at all, one after the other:

    sender 8, number 4, part 2, parts 2, then its share of: length of scope 2, scope, payload      (in base64)

Whoever listens in this opening hears it at once; what comes back of it from the server is known by its sender.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import itertools
import secrets
import struct
from collections.abc import Callable

from holdfast.backends.postgres.connections import Line
from holdfast.backends.postgres.ear import Ear
from holdfast.backends.postgres.errors import DRIVER_ERRORS
from holdfast.backends.postgres.settings import Settings

Hear = Callable[[str, bytes], None]

PART_BYTES = 5_800
"""What of a signal goes into one notification: less than 8,000 bytes as base64."""

_PART = struct.Struct("!8sIHH")
_SCOPE = struct.Struct("!H")
_NOTIFY = (
    "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, part) "
    "FROM unnest($2::text[]) WITH ORDINALITY AS parts(part, place) ORDER BY place"
)


class Signals:
    """What one opening tells and hears. On the private loop, but for `hears`."""

    def __init__(self, settings: Settings, channel: str) -> None:
        self.hears: dict[object, Hear] = {}
        self._channel = channel
        self._line = Line(settings)
        self._turn = asyncio.Lock()
        self._ear = Ear(settings, channel, hear=self._take, begun=lambda: None)
        self._sender = secrets.token_bytes(8)
        self._numbers = itertools.count()
        self._partial: dict[bytes, tuple[int, list[bytes]]] = {}

    def listen(self) -> None:
        """Begin to hear of other processes, once."""
        self._ear.start()

    async def ready(self) -> None:
        """Return once what other processes send from now on is heard, if anybody listens and as far as that can be."""
        await self._ear.ready()

    async def send(self, scope: str, payload: bytes) -> None:
        """Tell everybody. Where the server cannot be reached only this opening hears it."""
        self._spread(scope, payload)
        parts = self._cut(scope, payload)
        async with self._turn:
            try:
                await (await self._line.ready()).fetch(_NOTIFY, self._channel, parts)
            except DRIVER_ERRORS:  # a signal may be lost
                self._line.drop()

    def _spread(self, scope: str, payload: bytes) -> None:
        for hear in tuple(self.hears.values()):
            hear(scope, payload)

    def _cut(self, scope: str, payload: bytes) -> list[str]:
        name = scope.encode()
        whole = _SCOPE.pack(len(name)) + name + payload
        number = next(self._numbers) % 2**32
        chunks = [whole[start : start + PART_BYTES] for start in range(0, len(whole), PART_BYTES)]
        heads = [_PART.pack(self._sender, number, part, len(chunks)) for part in range(len(chunks))]
        return [base64.b64encode(head + chunk).decode() for head, chunk in zip(heads, chunks, strict=True)]

    def _take(self, text: str) -> None:
        try:
            raw = base64.b64decode(text, validate=True)
            sender, number, part, parts = _PART.unpack_from(raw)
        except (binascii.Error, struct.error):  # not from one of us
            return
        if sender == self._sender:
            return
        of, chunks = self._partial.pop(sender, (number, []))
        if of != number:
            chunks = []
        if len(chunks) != part:  # one was lost
            return
        chunks.append(raw[_PART.size :])
        if len(chunks) < parts:
            self._partial[sender] = (number, chunks)
            return
        whole = b"".join(chunks)
        (size,) = _SCOPE.unpack_from(whole)
        end = _SCOPE.size + size
        self._spread(whole[_SCOPE.size : end].decode(), whole[end:])

    async def close(self) -> None:
        """Hear and tell nothing more."""
        self.hears.clear()
        await self._ear.close()
        await self._line.close()
