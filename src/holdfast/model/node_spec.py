"""Specifications of nodes: what each waits for, how it is tried again, and who decides when it has failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import force_setattr

from holdfast.errors import InvalidValue, shown
from holdfast.model.duration import Duration, to_us
from holdfast.model.interaction import ASSIGNEES_MAX

TRIES_MAX = 1_000
"""How often a node may be tried again at most."""


class Retry(Struct, frozen=True):
    """How often a node that fails is tried again, and after which pause.

    times       how often, after the first try
    delay       the pause before the first repetition
    factor      each further pause is so many times as long as the one before
    delay_max   but no longer than this
    """

    times: int = 3
    delay: Duration = "1s"
    factor: float = 2.0
    delay_max: Duration = "5m"

    def __post_init__(self) -> None:
        if type(self.times) is not int or not 0 <= self.times <= TRIES_MAX:
            raise InvalidValue(
                f"times must be a whole number from 0 to {TRIES_MAX}, not {shown(self.times)}", path="times"
            )
        if type(self.factor) not in (int, float) or not 1 <= self.factor <= 1_000:
            raise InvalidValue(f"factor must be a number from 1 to 1000, not {shown(self.factor)}", path="factor")
        to_us(self.delay, "delay")
        to_us(self.delay_max, "delay_max")

    def pause_us(self, attempt: int) -> int:
        """The pause after the failure of that try, the first being 1."""
        longest = to_us(self.delay_max, "delay_max")
        factor = float(self.factor) ** min(attempt - 1, 64)
        return min(round(min(to_us(self.delay, "delay") * factor, float(longest))), longest)


class Ask(Struct, frozen=True):
    """A question to a person that decides what becomes of a node without tries left: retry, skip or fail.

    prompt      what is asked; the node and its error are shown with it
    timeout     until when it may be answered (None: as long as the run is there)
    on_timeout  what then counts as the answer
    assignees   who may answer; nobody named: anybody
    """

    prompt: str = ""
    timeout: Duration | None = None
    on_timeout: Literal["retry", "skip", "fail"] = "fail"
    assignees: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str):
            raise InvalidValue(f"prompt must be text, not {shown(self.prompt)}", path="prompt")
        if self.on_timeout not in ("retry", "skip", "fail"):
            raise InvalidValue(
                f"on_timeout must be retry, skip or fail, not {shown(self.on_timeout)}", path="on_timeout"
            )
        if self.timeout is not None:
            to_us(self.timeout, "timeout")
        force_setattr(self, "assignees", _people(self.assignees))


def _people(given: Any) -> tuple[str, ...]:
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise InvalidValue(f"assignees must be several names, not {shown(given)}", path="assignees")
    people = tuple(islice(given, ASSIGNEES_MAX + 1))
    if len(people) > ASSIGNEES_MAX:
        raise InvalidValue(f"more than {ASSIGNEES_MAX} assignees", path="assignees")
    for name in people:
        if not isinstance(name, str) or not name:
            raise InvalidValue(f"each of the assignees is a name, not {shown(name)}", path="assignees")
    return people


def ask(
    prompt: str = "",
    *,
    timeout: Duration | None = None,
    on_timeout: Literal["retry", "skip", "fail"] = "fail",
    assignees: Iterable[str] = (),
) -> Ask:
    """Let a person decide what becomes of a node without tries left: `NodeSpec(on_failure=ask("Try again?"))`.

    Raises InvalidValue for what cannot be asked so.
    """
    return Ask(prompt, timeout, on_timeout, assignees)  # type: ignore[arg-type]


class NodeSpec(Struct, frozen=True, gc=False):
    """What a node depends on, and what happens when it fails.

    after       the nodes it waits for
    join        "all" of them are to be completed, "any" one, or so many
    retry       how it is tried again; None: not at all
    timeout     how long one try may take; None: as long as it takes
    optional    whether the run goes on without it when it fails for good; what depends on it is skipped
    on_failure  a question that decides instead: `holdfast.ask(...)`
    """

    after: tuple[str, ...] = ()
    join: Literal["all", "any"] | int = "all"
    retry: Retry | None = None
    timeout: Duration | None = None
    optional: bool = False
    on_failure: Ask | None = None

    def __post_init__(self) -> None:
        if self.timeout is not None:
            to_us(self.timeout, "timeout")
        if self.retry is not None and not isinstance(self.retry, Retry):
            raise InvalidValue(f"retry must be a Retry, not {shown(self.retry)}", path="retry")
        if self.optional is not True and self.optional is not False:
            raise InvalidValue(f"optional must be True or False, not {shown(self.optional)}", path="optional")
        if self.on_failure is not None and not isinstance(self.on_failure, Ask):
            raise InvalidValue(
                f'on_failure is a question, ask("Try again?"), not {shown(self.on_failure)}', path="on_failure"
            )
        if self.join != "all" and self.join != "any" and (type(self.join) is not int or self.join < 1):
            raise InvalidValue(f'join must be "all", "any" or a number, not {shown(self.join)}', path="join")

    @property
    def needed(self) -> int:
        """How many of those it waits for are to be completed."""
        if self.join == "all":
            return len(self.after)
        return min(1, len(self.after)) if self.join == "any" else int(self.join)


class SpecRecord(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """The same as it is kept: times in microseconds; of a retry its times, delay, factor and longest delay."""

    name: str
    after: tuple[str, ...] = ()
    join: Literal["all", "any"] | int = "all"
    retry: tuple[int, int, float, int] | None = None
    timeout_us: int | None = None
    optional: bool = False
    on_failure: tuple[str, int | None, Literal["retry", "skip", "fail"], tuple[str, ...]] | None = None


def spec_record(name: str, spec: NodeSpec) -> SpecRecord:
    """What is kept of a specification that was checked."""
    retry, ask = spec.retry, spec.on_failure
    return SpecRecord(
        name,
        spec.after,
        spec.join,
        None
        if retry is None
        else (retry.times, to_us(retry.delay, "delay"), float(retry.factor), to_us(retry.delay_max, "delay_max")),
        None if spec.timeout is None else to_us(spec.timeout, "timeout"),
        spec.optional,
        None
        if ask is None
        else (
            ask.prompt,
            None if ask.timeout is None else to_us(ask.timeout, "timeout"),
            ask.on_timeout,
            tuple(ask.assignees),
        ),
    )


def spec_of(record: SpecRecord) -> NodeSpec:
    """The specification that was kept, with its times in seconds."""
    retry = ask = None
    if record.retry is not None:
        times, delay_us, factor, delay_max_us = record.retry
        retry = Retry(times, delay_us / 1_000_000, factor, delay_max_us / 1_000_000)
    if record.on_failure is not None:
        prompt, timeout_us, on_timeout, assignees = record.on_failure
        ask = Ask(prompt, None if timeout_us is None else timeout_us / 1_000_000, on_timeout, assignees)
    timeout = None if record.timeout_us is None else record.timeout_us / 1_000_000
    return NodeSpec(record.after, record.join, retry, timeout, record.optional, ask)
