"""The tries of nodes that this code is inside of.

Who waits for an answer inside of one gives the run back meanwhile, and another worker may have done the node by then.
So each try is known by its round, attempt, beginning and claim, and who goes on looks whether it is the node's last.
"""

from __future__ import annotations

from contextvars import ContextVar

from holdfast.handles.store import Store
from holdfast.model.node import Trial


class WaitsError(Exception):
    """A try does not end here: it asked, and was not told the answer. Leaves no block."""


class Tried:
    """One of them, as it was begun last: it begins again where it goes on after it was paused."""

    def __init__(self, store: Store, run: str, node: str, trial: Trial) -> None:
        self.store = store
        self.run = run
        self.node = node
        self.trial = trial


trials: ContextVar[tuple[Tried, ...]] = ContextVar("holdfast_trials", default=())
