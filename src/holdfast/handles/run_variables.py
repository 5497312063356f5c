"""The variables of a run: those that are seen from it, and what its nodes came to, for its templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.handles.levels import Standpoint
from holdfast.handles.store import Store
from holdfast.handles.unit import Target, Unit
from holdfast.handles.variables import Variables, recorded
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell
from holdfast.kernel.limits import listed
from holdfast.model.run import RunRecord
from holdfast.model.variable import VariableRecord
from holdfast.services import run


class NodesOf:
    """Where the nodes of one run are, and what a template may use of each."""

    __slots__ = ("_run",)

    def __init__(self, run: str) -> None:
        self._run = run

    def key(self, node: str) -> str:
        """The key of the cell that tells of a node."""
        return run.node_key(self._run, node)

    def told(self, cell: Cell) -> Mapping[str, Any]:
        """Its status and output, what it was begun with, and why it failed."""
        record = run.decode_node(cell)
        values = {"output": record.output, "input": record.input, "error": record.error}
        return {"status": record.status.value, **{name: codec.decode(bytes(raw)) for name, raw in values.items()}}


def variables_of_run(unit: Unit, target: Target, record: RunRecord, node: str | None = None) -> Variables:
    """The variables that are seen from a run, or from one of its nodes."""
    stands = Standpoint(target.scope, record.user, record.id, node, record.workflow, NodesOf(record.id))
    return Variables(unit, target, stands)


def begun_with(store: Store, variables: Mapping[str, Any] | None) -> dict[str, VariableRecord]:
    """The variables that a run begins with, as they are kept. Raises as `Variables.set_many` does."""
    if variables is None:
        return {}
    given = listed(codec.mapping(variables, "variables").items(), "variables", most=store.limits.operations_max)
    return {name: recorded(store, name, value) for name, value in given}
