"""What a checkpoint shows as one JSON document, to be compared: `s.diff`, `hold.diff`.

    {"session": {"metadata": {…}, "tags": […]}, "state": {"cart": […]}, "state:prefs": {…}, "runtime": {…},
     "run": {"r": {"workflow": …, "status": …, "output": …, "error": …, "nodes": {"pay": {"status": …, …}}}},
     "interaction": {"q": {"run": …, "prompt": …, "status": …, "answer": …}}, "user": {…}}

A namespace of state stands beside the default one, under its name. Bytes of an area of one's own are told by their
number and digest; of a secret, and of what comes from the environment, it shows only whether it is another one. Runs
and questions are told as their handles tell them: when they were written, their graphs and the steps they remember are
not in it. A run of a fork stands under the id that it has where it comes from, for it is compared with that, or with
the same of another fork. Messages and events are not in it: a checkpoint knows their place only.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from holdfast.kernel import codec
from holdfast.kernel.commit import Cell
from holdfast.kernel.keys import escaped, unescaped
from holdfast.model.checkpoint import KEYS
from holdfast.model.interaction import InteractionRecord
from holdfast.model.patch import Masked, PatchOperation, patch_of
from holdfast.model.run import RunRecord
from holdfast.services import interaction, run, session, variable
from holdfast.services.checkpoint import Content, Kept

INTERNAL = ("graph/", "step/")
"""What the keys of cells start with that nobody sees as such."""


def compare(before: Content, after: Content, *, user: bool) -> tuple[PatchOperation, ...]:
    """What makes the one become the other; with what they show of the user's scope, where both have it."""
    there = {record.salt: record.id for record in _runs(before.cells) if record.salt}
    names = {record.id: there.get(record.salt, record.id) for record in _runs(after.cells)}
    documents = [document(before.cells), document(after.cells, names)]
    if user:
        for found, content in zip(documents, (before, after), strict=True):
            found["user"] = document(content.user_cells)
    return patch_of(*documents)


def _runs(cells: Mapping[str, Kept]) -> list[RunRecord]:
    return [
        run.decode_raw(kept.value) for key, kept in cells.items() if key.startswith(run.AREA) and kept.value is not None
    ]


def document(cells: Mapping[str, Kept], names: Mapping[str, str] = {}) -> dict[str, Any]:
    """The document of these cells; of runs that have `names` beside their ids, with those."""
    found: dict[str, Any] = {}
    for key, kept in cells.items():
        raw = kept.value
        if raw is None:
            continue
        if key == session.CELL:
            record = session.decode_raw(raw)
            found["session"] = {"metadata": record.metadata, "tags": [*record.tags]}
        elif key not in KEYS and not key.startswith(INTERNAL):
            *place, name = _place(key, names)
            inside = found
            for part in place:
                inside = inside.setdefault(part, {})
            value = _shown(place[0], key, raw)
            if isinstance(value, dict) and place[0] == "run":
                inside.setdefault(name, {}).update(value)  # beside its nodes, whichever came first
            else:
                inside[name] = value
    return found


def _place(key: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Where in the document a cell stands."""
    area, _, name = key.partition("/")
    if area in ("state", "temp"):
        namespace, _, name = name.partition("/")
        return (f"{area}:{unescaped(namespace)}" if namespace else area, name)
    if area == "run":
        return (area, names.get(name, name))
    if area == "node":
        of, _, name = name.partition("/")
        return ("run", names.get(unescaped(of), unescaped(of)), "nodes", name)
    if area == "interaction":
        return (area, name.rpartition("/")[2])
    if area != "variable":
        return (area, name)
    level, name = variable.parted(key)
    parts = [escaped(names.get(unescaped(part), unescaped(part))) for part in level.split("/")]
    return (area, "/".join(parts), name)


def _shown(area: str, key: str, raw: bytes) -> Any:
    if area == "run":
        return _run(key, raw)
    if area == "interaction":
        return _question(interaction.decode(Cell(key, raw, 0)))
    if area == "area":
        return {"bytes": len(raw), "digest": blake2b(raw, digest_size=16).hexdigest()}
    if area == "variable":
        record = variable.decode_raw(raw, key)
        return Masked(raw) if record.secret or record.env is not None else codec.decode(bytes(record.value))  # type: ignore[arg-type]
    return codec.decode(raw)


def _run(key: str, raw: bytes) -> dict[str, Any]:
    """A run or, by its key, a node of one, as its handle tells it."""
    if key.startswith(run.AREA):
        record = run.decode_raw(raw)
        told: dict[str, Any] = {"workflow": record.workflow, "status": record.status.value}
        came = {"input": record.input, "output": record.output, "error": record.error}
    else:
        node = run.decode_node(Cell(key, raw, 0))
        told = {"status": node.status.value, "attempt": node.attempt, "round": node.round}
        came = {"output": node.output, "error": node.error}
    return told | {name: codec.decode(bytes(value)) for name, value in came.items()}


def _question(record: InteractionRecord) -> dict[str, Any]:
    told = {"run": record.run, "prompt": record.question.prompt, "status": record.status.value}
    if record.given is None:
        return told
    given = record.given
    answer = {"decision": given.decision, "value": codec.decode(bytes(given.value)), "by": given.by}
    return told | {"answer": answer}
