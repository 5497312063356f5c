"""What is told to a run, and what a handle of it shows, as the model says both."""

from __future__ import annotations

from typing import Any

from holdfast.handles.run import Run
from holdfast.model.moment import to_datetime
from tests.model_based.run_model import RunModel, Told


async def tells(run: Run, told: list[Told]) -> None:
    given = {one.node: {"status": one.status, _carries(one.status): one.value} for one in told}
    if len(told) == 1:
        await run.progress(told[0].node, **given[told[0].node])
    else:
        await run.progress(given)


def _carries(status: str) -> str:
    return {"running": "input", "failed": "error"}.get(status, "output")


def shown(run: Run, node: str) -> tuple[Any, ...]:
    """What a handle shows of a node."""
    one = run.nodes[node]
    return one.status, one.attempt, one.round, one.input, one.output, one.error


def pictured(run: Run) -> dict[str, Any]:
    """What a handle shows."""
    return {
        "run": (run.status, run.pause_reason, run.output, run.error),
        "ready": set(run.ready_nodes()),
        "next": run.next_at,
        "done": run.is_done,
        **{name: shown(run, name) for name in run.nodes},
    }


def expected(model: RunModel, now_us: int) -> dict[str, Any]:
    """What one should show."""
    next_us = model.next_us()
    return {
        "run": (model.status, model.reason, model.output, model.error),
        "ready": model.ready(now_us),
        "next": None if next_us is None else to_datetime(next_us),
        "done": all(model.status_of(name) in ("completed", "failed", "skipped") for name in model.specs),
        **{name: model.shown(name) for name in model.specs},
    }
