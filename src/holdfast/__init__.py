"""Holdfast: the session and state layer for AI agents and workflows.

The errors are in `holdfast.errors`; those that a caller usually meets are here too.

A name is imported from where it lives when it is first asked for: importing a part, as the command line does for
`--version`, does not bring the whole. What a type checker sees is `__init__.pyi`; a test holds the two together.
"""

import importlib

_HOMES = {
    "UNSET": "model.change",
    "AlreadyExists": "errors",
    "Answer": "model.interaction",
    "AtomicStep": "handles.atomic_step",
    "Budget": "model.budget",
    "BudgetExceeded": "errors",
    "Buffered": "model.runtime",
    "Busy": "errors",
    "CacheConfig": "model.config",
    "Cause": "model.cause",
    "Change": "model.change",
    "Changes": "handles.changes",
    "ChangesConfig": "model.config",
    "Claim": "handles.claim",
    "Config": "model.config",
    "Conflict": "errors",
    "Context": "model.context",
    "Diff": "model.state",
    "Difference": "model.state",
    "Event": "model.event",
    "Health": "model.health",
    "History": "model.state",
    "Holdfast": "hold",
    "HoldfastError": "errors",
    "Interaction": "handles.interaction",
    "InteractionsConfig": "model.config",
    "KeyRing": "model.keyring",
    "LeaseLost": "errors",
    "Limits": "model.config",
    "Message": "model.message",
    "MessagesConfig": "model.config",
    "Node": "model.node",
    "NodeSpec": "model.node_spec",
    "NodeStatus": "model.node",
    "NotFound": "errors",
    "Page": "model.page",
    "PastValue": "model.state",
    "Progress": "model.budget",
    "RetentionConfig": "model.config",
    "Retry": "model.node_spec",
    "Run": "handles.run",
    "RunClaim": "handles.run_claim",
    "RunNode": "handles.run_node",
    "RunStatus": "model.run",
    "RunsConfig": "model.config",
    "RuntimeConfig": "model.config",
    "Scope": "model.scope",
    "Session": "handles.session",
    "SessionConfig": "model.config",
    "SessionStats": "model.session_stats",
    "SessionStatus": "model.status",
    "SessionSurface": "handles.surface",
    "SessionTransaction": "handles.transaction",
    "Snapshot": "model.state",
    "State": "handles.state",
    "StateConfig": "model.config",
    "Stats": "model.stats",
    "SweepConfig": "model.config",
    "TelemetryConfig": "model.config",
    "Template": "model.template",
    "Transaction": "handles.transaction",
    "Turn": "handles.turn",
    "TurnsConfig": "model.config",
    "Usage": "model.budget",
    "Variable": "model.variable",
    "Variables": "handles.variables",
    "VariablesConfig": "model.config",
    "Why": "model.state",
    "ask": "model.node_spec",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"holdfast.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
