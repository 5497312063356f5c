"""Mutants that answer questions twice, too late, or by nobody who may (D4)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from holdfast.handles import interaction as waiting
from holdfast.handles import interactions
from holdfast.handles.asking import Asked
from holdfast.handles.run_asks import RunAsks
from holdfast.kernel.commit import Check, Unchanged
from holdfast.model import interaction as model
from holdfast.model.interaction import Given, InteractionRecord, InteractionStatus
from holdfast.operations import settle
from holdfast.testing.mutants.mutant import breaks, mistake
from holdfast.testing.mutants.runs import Careless, Real


@mistake("D4", model, "check_answer")
def an_answer_is_taken_whatever_there_is(_real: Real) -> Real:
    """Neither the status nor who answers is looked at: the last answer is the one."""
    return lambda record, given, **_more: True


@mistake("D4", model, "check_answer")
def anybody_may_answer(real: Real) -> Real:
    """Assignees are not looked at."""

    def check(record: InteractionRecord, given: Given, **more: Any) -> bool:
        found: bool = real(replace(record, assignees=()), given, **more)
        return found

    return check


@mistake("D4", interactions, "check_value")
def anything_may_be_answered(_real: Real) -> Real:
    """Options and schemas are not looked at."""

    async def check(*_: object) -> None:
        return

    return check


@breaks("D4")
class AnswersAreOverwritten(Careless):
    """That a question is as it was read is not asked."""

    def leaves_out(self, check: Check) -> bool:
        """Of questions, that they are as they were seen."""
        return isinstance(check, Unchanged) and check.key.startswith("interaction/")


@mistake("D4", waiting, "_timed_out")
def a_timeout_does_not_compare(_real: Real) -> Real:
    """Whose time is over is timed out, though it was answered meanwhile."""
    return lambda record, now_us: record.timed_out(now_us)


@mistake("D4", InteractionRecord, "is_due")
def questions_are_due_a_moment_late(real: Real) -> Real:
    """The microsecond of the due time counts as before it."""
    return lambda self, now_us: real(self, now_us - 1)


@mistake("D4", settle, "_move_on")
def the_run_is_told_nothing(_real: Real) -> Real:
    """An answer leaves the node paused, and its run."""

    async def move_on(*_: object, **_more: object) -> bool:
        return False

    return move_on


@mistake("D4", RunAsks, "_still_open")
def what_waits_is_begun_all_the_same(_real: Real) -> Real:
    """Whether a node waits for an answer is not looked at."""
    return lambda self, node: ()


@mistake("D4", Asked, "identity")
def each_asking_is_another_question(real: Real) -> Real:
    """Who asks again asks anew."""
    asked: list[Asked] = []

    def identity(self: Asked, *place: Any, **again: Any) -> str:
        if all(one is not self for one in asked):
            asked.append(self)
        return f"{real(self, *place, **again)[:24]}{len(asked):08x}"

    return identity


@mistake("D4", InteractionRecord, "cancelled")
def what_is_withdrawn_stays_open(_real: Real) -> Real:
    """Whoever withdraws a question is told so, and it is pending still."""
    return lambda self, at_us: replace(self, status=InteractionStatus.PENDING)
