"""What a checkpoint shows as one JSON document, to be compared: `s.diff`.

    {"session": {"metadata": {…}, "tags": […]}, "state": {"cart": […]}, "state:prefs": {…}, "runtime": {…}, "user": {…}}

A namespace of state stands beside the default one, under its name. Bytes of an area of one's own are told by their
number and digest; of a secret, and of what comes from the environment, it shows only whether it is another one.
Messages and events are not in it: a checkpoint knows their place only.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from holdfast.kernel import codec
from holdfast.kernel.keys import unescaped
from holdfast.model.checkpoint import KEYS
from holdfast.model.patch import Masked, PatchOperation, patch_of
from holdfast.services import session, variable
from holdfast.services.checkpoint import Content, Kept


def compare(before: Content, after: Content, *, user: bool) -> tuple[PatchOperation, ...]:
    """What makes the one become the other; with what they show of the user's scope, where both have it."""
    documents = [document(content.cells) for content in (before, after)]
    if user:
        for found, content in zip(documents, (before, after), strict=True):
            found["user"] = document(content.user_cells)
    return patch_of(*documents)


def document(cells: Mapping[str, Kept]) -> dict[str, Any]:
    """The document of these cells."""
    found: dict[str, Any] = {}
    for key, kept in cells.items():
        raw = kept.value
        if raw is None:
            continue
        if key == session.CELL:
            record = session.decode_raw(raw)
            found["session"] = {"metadata": record.metadata, "tags": [*record.tags]}
        elif key not in KEYS:
            *place, name = _place(key)
            inside = found
            for part in place:
                inside = inside.setdefault(part, {})
            inside[name] = _shown(place[0], key, raw)
    return found


def _place(key: str) -> tuple[str, ...]:
    """Where in the document a cell stands."""
    area, _, name = key.partition("/")
    if area in ("state", "temp"):
        namespace, _, name = name.partition("/")
        return (f"{area}:{unescaped(namespace)}" if namespace else area, name)
    return (area, *variable.parted(key)) if area == "variable" else (area, name)


def _shown(area: str, key: str, raw: bytes) -> Any:
    if area == "area":
        return {"bytes": len(raw), "digest": blake2b(raw, digest_size=16).hexdigest()}
    if area == "variable":
        record = variable.decode_raw(raw, key)
        return Masked(raw) if record.secret or record.env is not None else codec.decode(bytes(record.value))  # type: ignore[arg-type]
    return codec.decode(raw)
