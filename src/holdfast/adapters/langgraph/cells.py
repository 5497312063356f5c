"""How a thread's checkpoints lie in its area: keys, frames, and values too large for one cell.

    c/<namespace>/<checkpoint id>                   a checkpoint without its channels' values, its parent and metadata
    b/<namespace>/<channel and version>             one channel's value, written by the checkpoint that changed it
    w/<namespace>/<checkpoint id>/<task>/<index>    what a task wrote, waiting for the next checkpoint
    p/<digest>/<number>                             a part of a value that is too large for one cell
    g/<namespace>/<checkpoint id>                   a checkpoint that is gone, while the writes beside it are to follow
    t/values                                        never there: every commit that takes values away deletes it

Checkpoint ids rise with time, so the range c/<namespace>/ backwards is newest first and the latest is its first. A
namespace, a channel with its version and a task stand as digests: they may be longer than a key, and nobody reads them
there. The root namespace is "-".

A value that is cut leaves a manifest in its place. Its parts are named by its digest: to write them again does no harm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from holdfast.errors import Corrupt
from holdfast.model.config import Limits

Typed = tuple[str, bytes]
"""A value as a serializer gives and takes it: the name of a form, and bytes."""

OVERHEAD_BYTES = 1024
"""What a cell takes beside its value, at most."""


class CheckpointCell(msgspec.Struct, frozen=True, array_like=True, tag=False):
    """A checkpoint as it is kept."""

    namespace: str
    parent: str | None
    checkpoint: Typed
    metadata: Typed


class WriteCell(msgspec.Struct, frozen=True, array_like=True):
    """One write of a task."""

    task: str
    channel: str
    path: str
    index: int
    value: Typed


class Manifest(msgspec.Struct, frozen=True, array_like=True):
    """What stands in the place of a value that was cut."""

    digest: str
    parts: int


_encode = msgspec.msgpack.Encoder().encode
decode_checkpoint = msgspec.msgpack.Decoder(CheckpointCell).decode
decode_write = msgspec.msgpack.Decoder(WriteCell).decode
decode_typed = msgspec.msgpack.Decoder(Typed).decode
_decode_manifest = msgspec.msgpack.Decoder(Manifest).decode

_WHOLE, _CUT = b"\0", b"\1"


def frame(value: Any) -> bytes:
    """A cell's bytes, not yet cut."""
    return _WHOLE + _encode(value)


# --- keys -----------------------------------------------------------------------------------------


def digest(*parts: str) -> str:
    """A short name for what may be long, and different for different parts."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def namespace_key(namespace: str) -> str:
    """A namespace, as keys have it."""
    return digest(namespace) if namespace else "-"


def id_key(id: str) -> str:
    """A checkpoint's id, as keys have it: in the same order, and without what parts a key."""
    return id if id.isascii() and id.replace("-", "").isalnum() else quote(id, safe="-.:_")


def checkpoint_prefix(namespace: str) -> str:
    """What the keys of a namespace's checkpoints begin with."""
    return f"c/{namespace_key(namespace)}/"


def checkpoint_key(namespace: str, id: str) -> str:
    """Where a checkpoint stands."""
    return checkpoint_prefix(namespace) + id_key(id)


def blob_key(namespace: str, channel: str, version: Any) -> str:
    """Where the value of a channel at one version stands."""
    return f"b/{namespace_key(namespace)}/{digest(channel, str(version))}"


def writes_prefix(namespace: str, id: str) -> str:
    """What the keys of the writes that wait beside a checkpoint begin with."""
    return f"w/{namespace_key(namespace)}/{id_key(id)}/"


def write_key(namespace: str, id: str, task: str, index: int) -> str:
    """Where one write stands."""
    return f"{writes_prefix(namespace, id)}{digest(task)}/{index}"


def beside(key: str) -> str:
    """What the keys of a checkpoint, of the writes beside it and of its mark have in common: namespace and id."""
    return "/".join(key.split("/")[1:3])


def mark_key(checkpoint: str) -> str:
    """The mark of a checkpoint that is gone, by its key."""
    return f"g/{beside(checkpoint)}"


# --- cutting --------------------------------------------------------------------------------------


def cut(puts: Mapping[str, bytes], limits: Limits) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What is written last, and the parts that must be there before: no value is over the limit any more."""
    last: dict[str, bytes] = {}
    parts: dict[str, bytes] = {}
    size = limits.value_bytes_max
    for key, value in puts.items():
        if len(value) <= size:
            last[key] = value
            continue
        name = hashlib.blake2b(value, digest_size=16).hexdigest()
        pieces = [value[start : start + size] for start in range(0, len(value), size)]
        parts.update({f"p/{name}/{number:05d}": piece for number, piece in enumerate(pieces)})
        last[key] = _CUT + _encode(Manifest(name, len(pieces)))
    return last, parts


def batches(puts: Mapping[str, bytes], limits: Limits) -> Iterator[dict[str, bytes]]:
    """The same puts, as many to a batch as one commit takes."""
    batch: dict[str, bytes] = {}
    size = 0
    for key, value in puts.items():
        weight = len(value) + OVERHEAD_BYTES
        if batch and (len(batch) >= limits.operations_max or size + weight > limits.commit_bytes_max - OVERHEAD_BYTES):
            yield batch
            batch, size = {}, 0
        batch[key] = value
        size += weight
    if batch:
        yield batch


def parts_of(value: bytes) -> list[str]:
    """The keys of the parts of a value that was cut; none of one that is whole."""
    if value[:1] == _WHOLE:
        return []
    manifest = _decode_manifest(value[1:])
    return [f"p/{manifest.digest}/{number:05d}" for number in range(manifest.parts)]


def joined(value: bytes, parts: Mapping[str, bytes]) -> bytes:
    """The value as it was framed, without its mark. Raises Corrupt if a part is not there."""
    keys = parts_of(value)
    if not keys:
        return value[1:]
    missing = [key for key in keys if key not in parts]
    if missing:
        raise Corrupt(f"{len(missing)} of {len(keys)} parts of a checkpoint's value are missing", key=missing[0])
    return b"".join([parts[key] for key in keys])[1:]
