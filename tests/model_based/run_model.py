"""A run in plain Python: what is kept of each node, and everything else worked out anew from that at every question."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.model.node_spec import NodeSpec, Retry

DONE = ("completed", "failed", "skipped")
ENDS = ("completed", "failed", "cancelled")

ALLOWED = {
    "waiting": ("skipped", "paused"),
    "ready": ("running", "completed", "failed", "skipped", "paused"),
    "running": ("ready", "running", "completed", "failed", "skipped", "paused"),
    "paused": ("ready", "running", "completed", "failed", "skipped"),
    **dict.fromkeys(DONE, ("ready",)),
}

DELAY_S, DELAY_MAX_S = 10, 15
"""Of every retry here: the first pause and the longest."""


class Refused(Exception):
    """A move that there is not."""


def spec(
    after: tuple[str, ...] = (), join: Any = "all", tries: int | None = None, *, optional: bool = False
) -> NodeSpec:
    """A node that is tried again so often."""
    retry = None if tries is None else Retry(tries, delay=DELAY_S, factor=2, delay_max=DELAY_MAX_S)
    return NodeSpec(after, join, retry, optional=optional)


@dataclass
class Fact:
    """What is known of a node; `seen` has the rounds of all it depends on, as they were then."""

    status: str
    round: int
    seen: dict[str, int]
    attempt: int = 0
    in_try: bool = False
    due_us: int | None = None
    input: Any = None
    output: Any = None
    error: Any = None


@dataclass
class Told:
    """One thing that is told of a node."""

    node: str
    status: str
    value: Any = None


@dataclass
class RunModel:
    """A run, and what may be done with it."""

    specs: dict[str, NodeSpec]
    status: str = "pending"
    reason: str | None = None
    at: str | None = None
    output: Any = None
    error: Any = None
    facts: dict[str, Fact] = field(default_factory=dict)

    # --- what follows from what is known ------------------------------------------------------------

    def round(self, node: str) -> int:
        """How often it is gone through."""
        fact = self.facts.get(node)
        return 1 if fact is None else fact.round + self.is_over(node)

    def is_over(self, node: str) -> bool:
        """Whether what is known of it was overtaken by another round of what it depends on."""
        fact = self.facts.get(node)
        return fact is not None and any(self.round(other) != fact.seen[other] for other in self.specs[node].after)

    def fact(self, node: str) -> Fact:
        """What holds of it, a copy."""
        if node in self.facts and not self.is_over(node):
            return deepcopy(self.facts[node])
        return Fact("ready", self.round(node), self.rounds_before(node))

    def rounds_before(self, node: str) -> dict[str, int]:
        """The rounds of those it depends on."""
        return {other: self.round(other) for other in self.specs[node].after}

    def status_of(self, node: str) -> str:
        """Where it is."""
        fact = self.fact(node)
        return self.derived(node) if fact.status == "ready" else fact.status

    def derived(self, node: str) -> str:
        """What those make it that it depends on."""
        after, join = self.specs[node].after, self.specs[node].join
        wanted = len(after) if join == "all" else min(1, len(after)) if join == "any" else int(join)
        before = [self.status_of(other) for other in after]
        if before.count("completed") >= wanted:
            return "ready"
        hopeful = [status for status in before if status not in ("failed", "skipped")]
        return "waiting" if len(hopeful) >= wanted else "skipped"

    def ready(self, now_us: int) -> set[str]:
        """The frontier."""
        if self.status not in ("pending", "running"):
            return set()
        return {
            name for name in self.specs if self.status_of(name) == "ready" and (self.fact(name).due_us or 0) <= now_us
        }

    def next_us(self) -> int | None:
        """When the next that pauses may begin."""
        ready = [name for name in self.specs if self.status_of(name) == "ready"]
        return min([due for name in ready if (due := self.fact(name).due_us) is not None], default=None)

    def shown(self, node: str) -> tuple[Any, ...]:
        """What a handle shows of it."""
        fact = self.fact(node)
        status = "paused" if self.at == node and self.is_before(node) else self.status_of(node)
        return status, fact.attempt, fact.round, fact.input, fact.output, fact.error

    def is_before(self, node: str) -> bool:
        """Whether something is left to do of it."""
        return self.status_of(node) not in DONE

    def outlives(self, node: str) -> bool:
        """Whether the run goes on if the present try, or the next, of that node fails."""
        retry, fact = self.specs[node].retry, self.fact(node)
        return self.specs[node].optional or (retry is not None and fact.attempt + (not fact.in_try) <= retry.times)

    # --- moves ----------------------------------------------------------------------------------------

    def tell(self, told: list[Told], now_us: int) -> RunModel:
        """The run after all of that; raises Refused."""
        after = deepcopy(self)
        for one in told:
            after._tell(one, now_us)
        return after

    def _tell(self, told: Told, now_us: int) -> None:
        was = self.status_of(told.node)
        ends = self.fact(told.node).in_try and told.status in ("completed", "failed")
        ends = ends or (was == "running" and told.status == "ready")
        if self.status in ENDS or (self.status == "paused" and not ends) or told.status not in ALLOWED[was]:
            raise Refused
        if told.status == "ready" and was in DONE and self.derived(told.node) == "skipped":
            raise Refused
        self.status = "running" if self.status == "pending" else self.status
        fact = self.fact(told.node)
        begins = told.status == "running" or (told.status in ("completed", "failed") and not fact.in_try)
        if begins:
            same = fact.in_try and fact.status != "running"
            fact.attempt += 0 if same else 1
            fact.in_try, fact.due_us, fact.output = True, None, None
        match told.status:
            case "running":
                fact.status, fact.input = "running", told.value if told.value is not None else fact.input
            case "completed":
                fact.status, fact.in_try, fact.due_us, fact.output, fact.error = (
                    "completed",
                    False,
                    None,
                    told.value,
                    None,
                )
            case "failed":
                self._fail(told, fact, now_us)
            case "ready" if was == "running":  # given back: this try counts for nothing
                fact.status, fact.attempt, fact.in_try = "ready", fact.attempt - 1, False
            case "ready" if was in DONE:
                fact = Fact("ready", fact.round + 1, fact.seen)
            case "skipped":
                fact.status, fact.in_try, fact.due_us = "skipped", False, None
            case _:
                fact.status, fact.due_us = told.status, None
        self.facts[told.node] = fact

    def _fail(self, told: Told, fact: Fact, now_us: int) -> None:
        retry = self.specs[told.node].retry
        fact.error, fact.in_try = told.value, False
        if retry is not None and fact.attempt <= retry.times:
            pause_s = min(DELAY_S * 2 ** (fact.attempt - 1), DELAY_MAX_S)
            fact.status, fact.due_us = "ready", now_us + pause_s * 1_000_000
            return
        fact.status, fact.due_us = "failed", None
        if not self.specs[told.node].optional:
            self.status, self.reason, self.at = "failed", None, None
            self.error = {"node": told.node, "error": told.value}

    def may_be_paused(self, node: str | None) -> bool:
        """Whether it may be paused, and that node is before it."""
        return self.status in ("pending", "running") and (node is None or self.is_before(node))

    def paused(self, reason: str | None, node: str | None) -> RunModel:
        """The run after a pause: of its nodes nothing changes."""
        if not self.may_be_paused(node):
            raise Refused
        after = deepcopy(self)
        after.status, after.reason, after.at = "paused", reason, node
        return after

    def is_paused(self, node: str | None) -> bool:
        """Whether it is paused, or one of its nodes; or at that node."""
        if self.status in ENDS:
            return False
        if node is None:
            return self.status == "paused" or any(self.status_of(name) == "paused" for name in self.specs)
        return node == self.at or self.status_of(node) == "paused"

    def resumed(self) -> RunModel:
        """The run after a pause is over."""
        if not self.is_paused(None):
            raise Refused
        after = deepcopy(self)
        if self.status == "paused":
            after.status, after.reason, after.at = "pending", None, None
        for name in self.specs:
            if self.status_of(name) == "paused":
                fact = self.fact(name)
                fact.status, fact.due_us = "ready", None
                after.facts[name] = fact
        return after

    def ended(self, verb: str, value: Any) -> RunModel:
        """The run after its end."""
        if self.status in ENDS:
            raise Refused
        after = deepcopy(self)
        after.at = None
        after.status, after.reason = {"complete": "completed", "fail": "failed", "cancel": "cancelled"}[verb], None
        if verb == "complete":
            after.output = value
        if verb == "fail":
            after.error = value
        return after

    def grown(self, specs: Mapping[str, NodeSpec]) -> RunModel:
        """The run with more nodes."""
        if self.status in ENDS:
            raise Refused
        return replace(self, specs={**self.specs, **specs}, facts=deepcopy(self.facts))
