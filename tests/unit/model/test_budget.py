"""Budgets: exact amounts, and the arithmetic of reserving and settling."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Context, Decimal, localcontext
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import BudgetExceeded, InvalidValue
from holdfast.model import budget
from holdfast.model.budget import (
    AMOUNT_MAX,
    CALLING,
    DEFAULT,
    EMPTY,
    ITERATING,
    NOTHING,
    OTHER_PHASE,
    PHASES_MAX,
    Account,
    Amounts,
    Bounds,
    Budget,
    Usage,
    amounts_of,
    bounds_of,
    progress_of,
    reserve,
    settle,
)

COSTS = st.decimals(min_value=0, max_value=10**6, places=12)
AMOUNTS = st.builds(
    Amounts,
    iterations=st.just(1),
    tokens=st.integers(0, 10_000),
    cost=COSTS,
    tool_calls=st.integers(0, 10),
    wall_us=st.integers(0, 10**9),
)
SPENT = st.builds(Amounts, tokens=st.integers(0, 10_000), cost=COSTS, wall_us=st.integers(0, 10**9))
LIMITS = st.builds(
    Bounds,
    iterations=st.none() | st.integers(0, 30),
    tokens=st.none() | st.integers(0, 100_000),
    cost=st.none() | COSTS,
    tool_calls=st.none() | st.integers(0, 50),
    wall_us=st.none() | st.integers(0, 10**10),
)


def one_iteration(**more: Any) -> Amounts:
    return Amounts(iterations=1, **more)


# --- amounts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        (0.1, "0.1"),
        ("0.10", "0.1"),
        (Decimal("1E+3"), "1000"),
        (3, "3"),
        (0, "0"),
        (1e-7, "1E-7"),
        (0.1 + 0.2, "0.3"),
        ("0.000000000001", "1E-12"),
        (10**15, "1000000000000000"),
    ],
)
def test_a_cost_is_the_decimal_it_was_written_as(written: Any, exact: str) -> None:
    """A float is taken as it prints, rounded to twelve places, and has no zeros at its end."""
    assert str(Usage(cost=written).cost) == exact


@pytest.mark.parametrize(
    "refused",
    [-1, -0.5, "nan", "inf", float("nan"), float("inf"), True, None, "much", "1" * 65, b"1",
     Decimal("0.0000000000001"), "0.0000000000001", 10**15 + 1],
)  # fmt: skip
def test_a_cost_that_is_no_amount_is_refused(refused: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        Usage(cost=refused)
    assert caught.value.path == "cost"


@pytest.mark.parametrize("name", ["iterations", "tokens", "tool_calls"])
@pytest.mark.parametrize("refused", [-1, 1.0, True, "1", AMOUNT_MAX + 1])
def test_a_count_is_a_whole_number_within_reach(name: str, refused: Any) -> None:
    assert getattr(Usage(**{name: AMOUNT_MAX}), name) == AMOUNT_MAX
    for kind in (Usage, Budget):
        with pytest.raises(InvalidValue) as caught:
            kind(**{name: refused})
        assert caught.value.path == name


def test_a_wall_time_is_any_duration_and_may_be_nothing() -> None:
    assert Usage(wall_time="1m").wall_time == Budget(wall_time=60).wall_time == timedelta(minutes=1)
    assert Usage(wall_time=0).wall_time == Budget(wall_time=timedelta(0)).wall_time == timedelta(0)
    for refused in (-1, "soon", True):
        with pytest.raises(InvalidValue):
            Budget(wall_time=refused)


def test_what_a_budget_leaves_out_is_taken_from_the_next_that_says_something() -> None:
    """None is said: no limit. Left out is not."""
    merged = Budget(tokens=5).over(Budget(iterations=None, tokens=9), None, DEFAULT)
    assert merged == Budget(iterations=None, tokens=5, cost=None, tool_calls=None, wall_time=None)
    assert Budget().over(DEFAULT) == DEFAULT


def test_a_budget_and_a_usage_come_back_from_what_is_stored_of_them() -> None:
    limits = Budget(iterations=3, tokens=None, cost="1.50", tool_calls=0, wall_time="90s")
    stored = msgspec.json.decode(msgspec.json.encode(bounds_of(limits)), type=Bounds)
    assert stored.budget == limits
    used = Usage(iterations=3, tokens=7, cost="0.07", tool_calls=1, wall_time=0.000_001)
    account = Account(amounts_of(used), NOTHING, {"search": 5})
    assert msgspec.json.decode(msgspec.json.encode(account), type=Account) == account
    assert account.used.usage == used


@given(st.lists(COSTS, max_size=50))
def test_costs_add_up_exactly_whatever_the_thread_rounds_to(costs: list[Decimal]) -> None:
    """No drift: the sum is that of whole units of the last place."""
    total = NOTHING
    with localcontext(Context(prec=3)):
        for cost in costs:
            total = total.plus(Amounts(cost=cost))
    assert total.cost * 10**12 == sum(int(cost * 10**12) for cost in costs)


def test_a_count_stays_at_the_greatest_and_never_falls_below_nothing() -> None:
    full = Amounts(AMOUNT_MAX, AMOUNT_MAX, Decimal(AMOUNT_MAX), AMOUNT_MAX, AMOUNT_MAX)
    assert full.plus(full) == full
    assert NOTHING.minus(full) == NOTHING


# --- reserving and settling -----------------------------------------------------------------------


def test_the_hundredth_iteration_is_let_in_and_the_next_is_not() -> None:
    bounds, account = bounds_of(DEFAULT), EMPTY
    for _ in range(100):
        account = reserve(account, bounds, one_iteration(), needs=ITERATING)
    with pytest.raises(BudgetExceeded) as caught:
        reserve(account, bounds, one_iteration(), needs=ITERATING)
    assert caught.value.facts == {"budget": "iterations", "limit": 100, "used": 100, "asked": 1}


def test_what_is_reserved_counts_until_it_is_settled_and_then_what_was_spent_does() -> None:
    bounds = Bounds(tokens=5000)
    account = reserve(EMPTY, bounds, one_iteration(tokens=4000), needs=ITERATING)
    with pytest.raises(BudgetExceeded):
        reserve(account, bounds, one_iteration(tokens=1001), needs=ITERATING)
    reserve(account, bounds, one_iteration(tokens=1000), needs=ITERATING)
    account = settle(account, Amounts(tokens=4000), Amounts(tokens=3120))
    assert (account.used.tokens, account.reserved.tokens, account.used.iterations) == (3120, 0, 1)
    reserve(account, bounds, one_iteration(tokens=1880), needs=ITERATING)


@pytest.mark.parametrize("bounds", [Bounds(tokens=5), Bounds(cost=Decimal(5)), Bounds(wall_us=5)])
def test_an_iteration_that_reserves_nothing_begins_only_while_something_is_left(bounds: Bounds) -> None:
    """Overspending is possible without a reservation, and is counted; but it is the last time."""
    account = EMPTY
    for spent in (4, 2):
        account = reserve(account, bounds, one_iteration(), needs=ITERATING)
        account = settle(account, NOTHING, Amounts(tokens=spent, cost=Decimal(spent), wall_us=spent))
    with pytest.raises(BudgetExceeded, match="nothing is left"):
        reserve(account, bounds, one_iteration(), needs=ITERATING)


def test_iterations_and_tool_calls_do_not_hold_each_other_up() -> None:
    bounds = Bounds(iterations=1, tool_calls=1)
    account = reserve(EMPTY, bounds, Amounts(tool_calls=1), needs=CALLING)
    account = reserve(account, bounds, one_iteration(), needs=ITERATING)
    for ask, needs in ((Amounts(tool_calls=1), CALLING), (one_iteration(), ITERATING)):
        with pytest.raises(BudgetExceeded):
            reserve(account, bounds, ask, needs=needs)


@given(LIMITS, st.lists(st.tuples(AMOUNTS, st.booleans(), SPENT), max_size=40))
def test_no_limit_is_passed_by_work_that_spends_no_more_than_it_reserved(bounds: Bounds, work: list[Any]) -> None:
    """Whatever is under way at once, and however much of it never settles, used and reserved stay within the limits;
    what is left when all has settled is what was spent."""
    account, spent_altogether, open_work = EMPTY, NOTHING, NOTHING
    for ask, settles, spent in work:
        try:
            account = reserve(account, bounds, ask, needs=ITERATING)
        except BudgetExceeded:
            continue
        counted = Amounts(iterations=ask.iterations, tool_calls=ask.tool_calls)
        spent_altogether = spent_altogether.plus(counted)
        held = ask.minus(counted)
        if settles:
            used = Amounts(
                tokens=min(spent.tokens, held.tokens), cost=min(spent.cost, held.cost),
                wall_us=min(spent.wall_us, held.wall_us),
            )  # fmt: skip
            account = settle(account, held, used)
            spent_altogether = spent_altogether.plus(used)
        else:
            open_work = open_work.plus(held)
        for name in Amounts.__struct_fields__:
            limit = getattr(bounds, name)
            assert limit is None or getattr(account.used.plus(account.reserved), name) <= limit
    assert account.used == spent_altogether
    assert account.reserved == open_work


@given(st.lists(st.tuples(AMOUNTS, SPENT), min_size=1, max_size=10), st.randoms())
def test_the_order_in_which_work_settles_does_not_matter(work: list[Any], chance: Any) -> None:
    account = EMPTY
    for ask, _ in work:
        account = reserve(account, Bounds(), ask, needs=ITERATING)
    ends = []
    for _ in range(2):
        ended = account
        for ask, spent in work:
            held = ask.minus(Amounts(iterations=ask.iterations, tool_calls=ask.tool_calls))
            ended = settle(ended, held, spent)
        ends.append(ended)
        chance.shuffle(work)
    assert ends[0] == ends[1]
    assert ends[0].reserved == NOTHING


def test_time_is_told_by_phase_and_beyond_so_many_phases_as_others() -> None:
    account = EMPTY
    for n in range(PHASES_MAX + 3):
        account = settle(account, NOTHING, Amounts(wall_us=10), phase=f"phase {n}")
    account = settle(account, NOTHING, Amounts(wall_us=5), phase="phase 0")
    account = settle(account, NOTHING, Amounts(wall_us=7))
    assert len(account.phases_us) == PHASES_MAX
    assert account.phases_us["phase 0"] == 15
    assert account.phases_us[OTHER_PHASE] == 40


# --- progress -------------------------------------------------------------------------------------


def test_progress_is_that_of_the_budget_nearest_to_its_end() -> None:
    account = Account(Amounts(iterations=3, tokens=200, cost=Decimal("0.25"), wall_us=1), Amounts(tokens=300))
    progress = progress_of(account, Bounds(iterations=10, tokens=1000, cost=Decimal(1), tool_calls=0))
    assert progress.per_budget == {"iterations": 30.0, "tokens": 50.0, "cost": 25.0, "tool_calls": 100.0}
    assert progress.percent == 100.0
    assert (progress.used.tokens, progress.reserved.tokens, progress.limit.wall_time) == (200, 300, None)
    assert progress_of(account, Bounds()).percent == 0.0


def test_the_exact_context_is_shared_by_no_thread_in_the_middle_of_a_sum() -> None:
    """Sums of several threads at once are those of one after the other."""
    sums: list[Decimal] = []

    def add() -> None:
        total = NOTHING
        for _ in range(500):
            total = total.plus(Amounts(cost=Decimal("0.000000000001")))
        sums.append(total.cost)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [Decimal("0.0000000005")] * 4
    assert budget.to_cost("0.5") == Decimal("0.5")
