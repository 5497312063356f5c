"""Budgets: what a session may use in all, what it has used, and the pure steps from one to the other.

An account has two columns. What work is about to use is *reserved* before it begins; when it ends, the reservation goes
and what it really used is added to *used*. New work is let in by both columns together, so that however many begin at
once, none is let in on what another one has reserved. Iterations and tool calls are counted as used when they begin,
for nothing about them is to be settled.

Work that was cut by a crash never settles: its reservation stands, and counts. That is on purpose. What it used nobody
knows, and a provider may well have charged for it; forgetting it could spend a budget twice.

Costs are exact decimals: a float is taken as it is written (0.1 is a tenth), and nothing is ever added up in binary.
A count that reaches AMOUNT_MAX stays there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import force_setattr, replace

from holdfast.errors import BudgetExceeded, InvalidValue, shown
from holdfast.model.duration import Duration, to_seconds

AMOUNT_MAX = 10**15
"""The greatest count of anything, in its unit (of time: a microsecond)."""

COST_PLACES = 12
"""Decimal places of a cost."""

PHASES_MAX = 16
"""Phases that are told apart in one session; the time of further ones is added to OTHER_PHASE."""

OTHER_PHASE = "other"

Cost = Decimal | float | int | str
"""A cost in whatever currency the application counts in: an exact decimal, or what can be read as one."""

_NONE = Decimal(0)
EXACT = Context(prec=64, rounding=ROUND_HALF_EVEN)
"""How costs are reckoned: no sum of them needs as many digits."""

_STEP = Decimal(1).scaleb(-COST_PLACES)


def to_cost(cost: Cost, what: str = "cost") -> Decimal:
    """The cost as an exact decimal; a float is rounded to twelve places. Raises InvalidValue, naming `what`, unless it
    is from 0 to AMOUNT_MAX and, other than a float, has at most twelve places."""
    if isinstance(cost, bool) or not isinstance(cost, (Decimal, int, float, str)):
        raise InvalidValue(f"{what} must be a Decimal, a number or a text of one, not {shown(cost)}", path=what)
    if isinstance(cost, str) and len(cost) > 64:
        raise InvalidValue(f"{what} must be a decimal number, not {shown(cost)}", path=what)
    try:
        exact = Decimal(repr(float(cost))) if isinstance(cost, float) else Decimal(cost)
    except InvalidOperation:
        raise InvalidValue(f"{what} must be a decimal number, not {shown(cost)}", path=what) from None
    if not exact.is_finite() or not 0 <= exact <= AMOUNT_MAX:
        raise InvalidValue(f"{what} must be from 0 to {AMOUNT_MAX:,}, not {shown(str(exact))}", path=what)
    rounded = exact.quantize(_STEP, context=EXACT)
    if rounded != exact and not isinstance(cost, float):
        raise InvalidValue(f"{what} has more than {COST_PLACES} decimal places: {shown(str(exact))}", path=what)
    return _plain(rounded)


def _plain(cost: Decimal) -> Decimal:
    """Without zeros at its end, and without an exponent above 0: 30, neither 30.00 nor 3E+1."""
    short = cost.normalize(EXACT)
    return short if short.as_tuple().exponent <= 0 else short.quantize(Decimal(1), context=EXACT)  # type: ignore[operator]


def _count(count: int, what: str) -> int:
    if type(count) is not int or not 0 <= count <= AMOUNT_MAX:
        raise InvalidValue(f"{what} must be a whole number from 0 to {AMOUNT_MAX:,}, not {shown(count)}", path=what)
    return count


def _time(duration: Duration, what: str) -> timedelta:
    is_nothing = not isinstance(duration, (str, bool)) and duration in (0, timedelta(0))
    return timedelta(0) if is_nothing else timedelta(microseconds=round(to_seconds(duration, what) * 1_000_000))


class Usage(Struct, frozen=True, kw_only=True):
    """What some work uses, or has used. What is left out is nothing.

    iterations  rounds of the agent's loop
    tokens      of a model, in and out
    cost        in the application's currency; given as Decimal, int, text or float, it is a Decimal
    tool_calls  calls of tools
    wall_time   time inside iterations; given as a duration, it is a timedelta

    Raises InvalidValue for what is negative or no number.
    """

    iterations: int = 0
    tokens: int = 0
    cost: Cost = _NONE
    tool_calls: int = 0
    wall_time: Duration = timedelta(0)

    def __post_init__(self) -> None:
        for name in ("iterations", "tokens", "tool_calls"):
            _count(getattr(self, name), name)
        force_setattr(self, "cost", to_cost(self.cost))
        force_setattr(self, "wall_time", _time(self.wall_time, "wall_time"))


class Budget(Struct, frozen=True, kw_only=True):
    """What a session may use in all, over its whole life and every process. None: without limit.

    What is left out is what the template says, or else `Config.budget`; in an update, it stays as it is. Fields and
    units are those of `Usage`. Raises InvalidValue for a limit that is negative or no number.
    """

    iterations: int | UnsetType | None = UNSET
    tokens: int | UnsetType | None = UNSET
    cost: Cost | UnsetType | None = UNSET
    tool_calls: int | UnsetType | None = UNSET
    wall_time: Duration | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        for name in ("iterations", "tokens", "tool_calls"):
            if not isinstance(limit := getattr(self, name), (UnsetType, type(None))):
                _count(limit, name)
        if not isinstance(self.cost, (UnsetType, type(None))):
            force_setattr(self, "cost", to_cost(self.cost))
        if not isinstance(self.wall_time, (UnsetType, type(None))):
            force_setattr(self, "wall_time", _time(self.wall_time, "wall_time"))

    def __repr__(self) -> str:
        said = [f"{name}={value!r}" for name in FIELDS if (value := getattr(self, name)) is not UNSET]
        return f"Budget({', '.join(said)})"

    def over(self, *others: Budget | None) -> Budget:
        """This budget, with what it leaves out taken from the others, the first first."""
        merged = self
        for other in others:
            if other is not None:
                left_out = [name for name in FIELDS if getattr(merged, name) is UNSET]
                merged = replace(merged, **{name: getattr(other, name) for name in left_out})
        return merged


FIELDS = ("iterations", "tokens", "cost", "tool_calls", "wall_time")
"""What is budgeted, by the names of `Budget` and `Usage`."""

DEFAULT = Budget(iterations=100, tokens=None, cost=None, tool_calls=None, wall_time=None)
"""What holds where neither argument, template nor configuration says anything."""


class Progress(Struct, frozen=True):
    """How much of its budget a session has used.

    used        what was used, as far as it is settled
    reserved    what iterations under way have reserved, and those that a crash cut
    limit       the budget; None where there is no limit
    percent     of the limit that is nearest to its end, used and reserved together; 0.0 without any limit
    per_budget  the same for every limit there is: {"iterations": 12.0, "tokens": 61.5}
    """

    used: Usage
    reserved: Usage
    limit: Budget
    percent: float
    per_budget: dict[str, float]


# --- as the store keeps it ------------------------------------------------------------------------


class Amounts(Struct, frozen=True, omit_defaults=True):
    """A `Usage` as the store keeps it."""

    iterations: int = 0
    tokens: int = 0
    cost: Decimal = _NONE
    tool_calls: int = 0
    wall_us: int = 0

    def plus(self, other: Amounts) -> Amounts:
        """Both together; nothing grows beyond AMOUNT_MAX."""
        return Amounts(
            min(self.iterations + other.iterations, AMOUNT_MAX),
            min(self.tokens + other.tokens, AMOUNT_MAX),
            _plain(min(EXACT.add(self.cost, other.cost), Decimal(AMOUNT_MAX))),
            min(self.tool_calls + other.tool_calls, AMOUNT_MAX),
            min(self.wall_us + other.wall_us, AMOUNT_MAX),
        )

    def minus(self, other: Amounts) -> Amounts:
        """What is left without the other; nothing falls below 0."""
        return Amounts(
            max(self.iterations - other.iterations, 0),
            max(self.tokens - other.tokens, 0),
            _plain(max(EXACT.subtract(self.cost, other.cost), _NONE)),
            max(self.tool_calls - other.tool_calls, 0),
            max(self.wall_us - other.wall_us, 0),
        )

    @property
    def usage(self) -> Usage:
        """The public form."""
        return Usage(
            iterations=self.iterations,
            tokens=self.tokens,
            cost=self.cost,
            tool_calls=self.tool_calls,
            wall_time=timedelta(microseconds=self.wall_us),
        )


NOTHING = Amounts()


class Bounds(Struct, frozen=True, omit_defaults=True):
    """A `Budget` as the store keeps it: None is without limit."""

    iterations: int | None = None
    tokens: int | None = None
    cost: Decimal | None = None
    tool_calls: int | None = None
    wall_us: int | None = None

    @property
    def budget(self) -> Budget:
        """The public form."""
        return Budget(
            iterations=self.iterations,
            tokens=self.tokens,
            cost=self.cost,
            tool_calls=self.tool_calls,
            wall_time=None if self.wall_us is None else timedelta(microseconds=self.wall_us),
        )


class Account(Struct, frozen=True, omit_defaults=True):
    """What one session has used and reserved, and the time of its iterations by phase, in microseconds."""

    used: Amounts = NOTHING
    reserved: Amounts = NOTHING
    phases_us: dict[str, int] = {}


EMPTY = Account()


def amounts_of(usage: Usage) -> Amounts:
    """What is stored of a usage."""
    cost, wall_time = usage.cost, usage.wall_time
    assert isinstance(cost, Decimal)  # as its construction leaves it, and the next
    assert isinstance(wall_time, timedelta)
    return Amounts(usage.iterations, usage.tokens, cost, usage.tool_calls, wall_time // timedelta(microseconds=1))


def bounds_of(budget: Budget) -> Bounds:
    """What is stored of a budget; what it leaves out is without limit."""
    limits: dict[str, Any] = {name: getattr(budget, name) for name in FIELDS}
    given = {name: limit for name, limit in limits.items() if limit is not UNSET and limit is not None}
    if "wall_time" in given:
        given["wall_us"] = given.pop("wall_time") // timedelta(microseconds=1)
    return Bounds(**given)


def resolved(*budgets: Budget | None) -> Bounds:
    """What holds of these: of each limit what the first says that says anything, at last DEFAULT."""
    return bounds_of(Budget().over(*budgets, DEFAULT))


def is_raised(before: Bounds, after: Bounds) -> bool:
    """Whether any limit is higher than it was, or gone."""
    for name in Amounts.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if old is not None and (new is None or new > old):
            return True
    return False


# --- the steps ------------------------------------------------------------------------------------

ITERATING = ("iterations", "tokens", "cost", "wall_us")
"""What an iteration needs something left of. Tool calls count by themselves."""

CALLING = ("tool_calls",)
"""What a tool call needs something left of."""


def reserve(account: Account, bounds: Bounds, ask: Amounts, *, needs: tuple[str, ...]) -> Account:
    """The account once this work is let in: its iterations and tool calls counted, the rest reserved.

    Raises BudgetExceeded if anything asked for goes over its limit, or if nothing is left of what it needs.
    """
    taken = account.used.plus(account.reserved)
    for name in Amounts.__struct_fields__:
        limit = getattr(bounds, name)
        if limit is None:
            continue
        before, asked = getattr(taken, name), getattr(ask, name)
        if before + asked > limit if asked else (name in needs and before >= limit):
            raise _exceeded(name, before=before, asked=asked, limit=limit)
    counted = Amounts(iterations=ask.iterations, tool_calls=ask.tool_calls)
    return replace(account, used=account.used.plus(counted), reserved=account.reserved.plus(ask.minus(counted)))


def settle(account: Account, reserved: Amounts, spent: Amounts, *, phase: str | None = None) -> Account:
    """The account once that work has ended: what it had reserved is free again, what it spent is used.

    Both are without the iterations and tool calls that were counted when it began. Never raises: what was spent was
    spent, over the limit or not.
    """
    return Account(
        account.used.plus(spent),
        account.reserved.minus(reserved),
        _with_phase(account.phases_us, phase, spent.wall_us),
    )


def _with_phase(phases_us: Mapping[str, int], phase: str | None, time_us: int) -> dict[str, int]:
    times = dict(phases_us)
    if phase is not None and time_us:
        name = phase if phase in times or len(times) < PHASES_MAX - 1 else OTHER_PHASE
        times[name] = min(times.get(name, 0) + time_us, AMOUNT_MAX)
    return times


def progress_of(account: Account, bounds: Bounds) -> Progress:
    """How far the account has come."""
    taken = account.used.plus(account.reserved)
    per_budget: dict[str, float] = {}
    for name in Amounts.__struct_fields__:
        limit = getattr(bounds, name)
        if limit is not None:
            percent = 100.0 if not limit else float(getattr(taken, name) * 100 / limit)
            per_budget["wall_time" if name == "wall_us" else name] = percent
    percent = max(per_budget.values(), default=0.0)
    return Progress(account.used.usage, account.reserved.usage, bounds.budget, percent, per_budget)


def _exceeded(name: str, *, before: Any, asked: Any, limit: Any) -> BudgetExceeded:
    if name == "wall_us":
        before, asked, limit = (timedelta(microseconds=us) for us in (before, asked, limit))
        name = "wall_time"
    what = f"{asked} more would go over it" if asked else "nothing is left for more"
    return BudgetExceeded(
        f"the budget of {name.replace('_', ' ')} is {limit}, {before} of it used or reserved: {what}",
        budget=name,
        limit=limit,
        used=before,
        asked=asked,
    )
