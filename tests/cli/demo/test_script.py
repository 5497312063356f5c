"""When the demo kills: drawn at random, and so that whoever is killed is at work."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli.demo.script import BURST, Moment, allowance, draw, postponed


@given(st.integers(), st.integers(0, 5000), st.integers(1, 5000))
def test_there_are_two_kills_and_a_cut_while_work_is_left_and_a_resumption_after_the_cut(
    seed: int, done: int, left: int
) -> None:
    files = done + left
    moments = draw(Random(seed), done=done, files=files)
    assert sorted(moment.what for moment in moments) == ["cut", "kill", "kill", "resume"]
    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)
    assert all(done <= moment.at < files for moment in moments if moment.what != "resume")
    places = {moment.what: moment.at for moment in moments}
    assert places["cut"] < places["resume"] <= files
    assert [moment.what for moment in moments].index("cut") < [moment.what for moment in moments].index("resume")


@given(st.integers(), st.integers(1, 200))
def test_the_worker_may_always_reach_the_next_moment_and_never_the_last_file_before_the_last_kill(
    seed: int, files: int
) -> None:
    moments = draw(Random(seed), done=0, files=files)
    while moments:
        allowed = allowance(moments, files=files)
        assert allowed >= moments[0].at
        if any(moment.what != "resume" for moment in moments):
            assert allowed < files
        moments.pop(0)
    assert allowance(moments, files=files) == files


def test_the_worker_is_let_run_a_little_beyond_the_place_of_its_end() -> None:
    moments = [Moment(10, "cut"), Moment(40, "kill"), Moment(90, "kill")]
    assert allowance(moments, files=1000) == 40 + BURST


def test_two_kills_fall_on_different_files_where_there_are_two() -> None:
    for seed in range(50):
        kills = [moment.at for moment in draw(Random(seed), done=0, files=2) if moment.what == "kill"]
        assert kills == [0, 1]


def test_one_seed_is_one_script() -> None:
    assert draw(Random(7), done=3, files=900) == draw(Random(7), done=3, files=900)
    assert draw(Random(7), done=3, files=900) != draw(Random(8), done=3, files=900)


@pytest.mark.parametrize("files", [0, 12])
def test_nobody_is_killed_when_nothing_is_left_to_do(files: int) -> None:
    assert draw(Random(1), done=files, files=files) == []


def test_a_resumption_is_put_off_until_something_was_missed() -> None:
    moments = [Moment(5, "resume"), Moment(6, "kill")]
    assert postponed(moments, 9) == [Moment(6, "kill"), Moment(9, "resume")]
    assert postponed(moments, 2) == moments
