"""Holdfast: the session and state layer for AI agents and workflows.

The errors are in `holdfast.errors`; those that a caller usually meets are here too.
"""

from holdfast.errors import AlreadyExists, BudgetExceeded, Busy, Conflict, HoldfastError, LeaseLost, NotFound
from holdfast.handles.atomic_step import AtomicStep
from holdfast.handles.changes import Changes
from holdfast.handles.claim import Claim
from holdfast.handles.interaction import Interaction
from holdfast.handles.run import Run
from holdfast.handles.run_claim import RunClaim
from holdfast.handles.run_node import RunNode
from holdfast.handles.session import Session
from holdfast.handles.state import State
from holdfast.handles.surface import SessionSurface
from holdfast.handles.transaction import SessionTransaction, Transaction
from holdfast.handles.turn import Turn
from holdfast.handles.variables import Variables
from holdfast.hold import Holdfast
from holdfast.model.budget import Budget, Progress, Usage
from holdfast.model.cause import Cause
from holdfast.model.change import UNSET, Change
from holdfast.model.config import (
    CacheConfig,
    ChangesConfig,
    Config,
    InteractionsConfig,
    Limits,
    MessagesConfig,
    RetentionConfig,
    RunsConfig,
    RuntimeConfig,
    SessionConfig,
    StateConfig,
    SweepConfig,
    TelemetryConfig,
    TurnsConfig,
    VariablesConfig,
)
from holdfast.model.context import Context
from holdfast.model.event import Event
from holdfast.model.health import Health
from holdfast.model.interaction import Answer
from holdfast.model.keyring import KeyRing
from holdfast.model.message import Message
from holdfast.model.node import Node, NodeStatus
from holdfast.model.node_spec import NodeSpec, Retry, ask
from holdfast.model.page import Page
from holdfast.model.run import RunStatus
from holdfast.model.runtime import Buffered
from holdfast.model.scope import Scope
from holdfast.model.session_stats import SessionStats
from holdfast.model.state import Diff, Difference, History, PastValue, Snapshot, Why
from holdfast.model.stats import Stats
from holdfast.model.status import SessionStatus
from holdfast.model.template import Template
from holdfast.model.variable import Variable

__all__ = [
    "UNSET",
    "AlreadyExists",
    "Answer",
    "AtomicStep",
    "Budget",
    "BudgetExceeded",
    "Buffered",
    "Busy",
    "CacheConfig",
    "Cause",
    "Change",
    "Changes",
    "ChangesConfig",
    "Claim",
    "Config",
    "Conflict",
    "Context",
    "Diff",
    "Difference",
    "Event",
    "Health",
    "History",
    "Holdfast",
    "HoldfastError",
    "Interaction",
    "InteractionsConfig",
    "KeyRing",
    "LeaseLost",
    "Limits",
    "Message",
    "MessagesConfig",
    "Node",
    "NodeSpec",
    "NodeStatus",
    "NotFound",
    "Page",
    "PastValue",
    "Progress",
    "RetentionConfig",
    "Retry",
    "Run",
    "RunClaim",
    "RunNode",
    "RunStatus",
    "RunsConfig",
    "RuntimeConfig",
    "Scope",
    "Session",
    "SessionConfig",
    "SessionStats",
    "SessionStatus",
    "SessionSurface",
    "SessionTransaction",
    "Snapshot",
    "State",
    "StateConfig",
    "Stats",
    "SweepConfig",
    "TelemetryConfig",
    "Template",
    "Transaction",
    "Turn",
    "TurnsConfig",
    "Usage",
    "Variable",
    "Variables",
    "VariablesConfig",
    "Why",
    "ask",
]
