"""Statuses: every move that there is and every one that there is not, and the words that others use."""

from __future__ import annotations

import itertools

import pytest

from holdfast.errors import InvalidTransition, InvalidValue
from holdfast.model.session import SessionRecord, failure
from holdfast.model.status import MOVES, OUTSIDE, SessionStatus, allowed, check_move

ENDED = ("completed", "failed", "cancelled", "timed_out")
THERE_ARE = {
    *itertools.product(["initializing"], ["active", "failed", "cancelled", "cleanup"]),
    *itertools.product(["active", "paused"], [*ENDED, "cleanup"]),
    *itertools.product(ENDED, ["cleanup"]),
    ("active", "paused"),
    ("paused", "active"),
}


def record(status: SessionStatus) -> SessionRecord:
    return SessionRecord("s", status, 1_000, 2_000)


@pytest.mark.parametrize(("before", "after"), [*itertools.product(SessionStatus, SessionStatus)])
def test_a_move_is_made_if_it_is_in_the_table_and_else_refused_with_those_that_are(
    before: SessionStatus, after: SessionStatus
) -> None:
    if (before, after) in THERE_ARE:
        assert record(before).moved(after, at_us=3_000).status is after
        return
    with pytest.raises(InvalidTransition) as raised:
        record(before).moved(after, at_us=3_000)
    moves = {to for at, to in THERE_ARE if at == before}
    assert (raised.value.status, raised.value.to, {*raised.value.allowed}) == (before, after, moves)
    assert all(to in str(raised.value) for to in moves)


def test_the_table_names_every_status_once() -> None:
    assert {*MOVES} == {*SessionStatus}
    assert all(len({*moves}) == len(moves) for moves in MOVES.values())


def test_what_timed_out_is_active_again_only_with_a_raised_budget() -> None:
    with pytest.raises(InvalidTransition) as raised:
        check_move(SessionStatus.TIMED_OUT, SessionStatus.ACTIVE)
    assert "budget" in raised.value.remedy
    again = record(SessionStatus.ACTIVE).moved(SessionStatus.TIMED_OUT, at_us=3_000, reason="iterations")
    again = again.moved(SessionStatus.ACTIVE, at_us=4_000, budget_raised=True)
    assert (again.status, again.ended_us, again.ended_reason) == ("active", None, None)


@pytest.mark.parametrize("status", [status for status in SessionStatus if status is not SessionStatus.TIMED_OUT])
def test_a_raised_budget_allows_nothing_else(status: SessionStatus) -> None:
    assert allowed(status, budget_raised=True) == allowed(status)


def test_a_record_tells_of_its_pause_only_while_it_is_paused() -> None:
    paused = record(SessionStatus.ACTIVE).moved(SessionStatus.PAUSED, at_us=3_000, reason="waiting for Bo")
    assert (paused.pause_reason, paused.updated_us, paused.ended_us) == ("waiting for Bo", 3_000, None)
    assert paused.moved(SessionStatus.ACTIVE, at_us=4_000).pause_reason is None
    assert paused.moved(SessionStatus.COMPLETED, at_us=4_000).pause_reason is None


def test_cleaning_up_keeps_what_is_known_of_the_end() -> None:
    failed = record(SessionStatus.ACTIVE).moved(SessionStatus.FAILED, at_us=3_000, error={"code": 7})
    cleaned = failed.moved(SessionStatus.CLEANUP, at_us=9_000)
    assert (cleaned.ended_us, cleaned.error, cleaned.updated_us) == (3_000, {"code": 7}, 9_000)
    assert record(SessionStatus.ACTIVE).moved(SessionStatus.CLEANUP, at_us=9_000).ended_us == 9_000


def test_a_session_lasts_to_its_end_or_to_now_and_never_less_than_nothing() -> None:
    active = record(SessionStatus.ACTIVE)
    assert [active.duration_us(now_us) for now_us in (500, 1_000, 7_000)] == [0, 0, 6_000]
    assert active.moved(SessionStatus.CANCELLED, at_us=3_000).duration_us(7_000) == 2_000


def test_the_words_of_others_have_one_meaning_each() -> None:
    assert {word: str(status) for word, status in OUTSIDE.items()} == {
        "disconnected": "failed", "error": "failed", "connecting": "initializing", "pending": "initializing",
        "connected": "active", "in_progress": "active", "running": "active", "rate_limited": "paused",
        "skipped": "cancelled", "timeout": "timed_out",
    }  # fmt: skip
    assert all(SessionStatus(word) is status for word, status in OUTSIDE.items())
    assert all(SessionStatus(str(status)) is status for status in SessionStatus)


@pytest.mark.parametrize("word", ["", "Active", "done", "RUNNING", None, 3, ["active"], b"active"])
def test_any_other_word_is_refused_with_those_there_are(word: object) -> None:
    with pytest.raises(InvalidValue, match=r"timed_out.*in_progress"):
        SessionStatus(word)  # type: ignore[arg-type]


class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (ValueError("no such town"), {"type": "ValueError", "message": "no such town"}),
        (KeyError(), {"type": "KeyError", "message": ""}),
        (ValueError("\ud800"), {"type": "ValueError", "message": "?"}),
        (ValueError("x" * 2001), {"type": "ValueError", "message": "x" * 2000}),
        (Rude(), {"type": "Rude", "message": ""}),
        (KeyboardInterrupt(), {"type": "KeyboardInterrupt", "message": ""}),
    ],
)
def test_of_an_exception_its_type_and_the_beginning_of_its_message_are_kept(
    error: BaseException, kept: dict[str, str]
) -> None:
    assert failure(error) == kept
