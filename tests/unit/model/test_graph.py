"""Graphs: what is ready, what waits and what is skipped follows from what the nodes did."""

from __future__ import annotations

import random

import pytest

from holdfast.errors import InvalidValue
from holdfast.model.graph import NODES_MAX, Board, specs_of
from holdfast.model.node import NodeRecord, NodeStatus
from holdfast.model.node_spec import NodeSpec, Retry

DONE = NodeRecord(NodeStatus.COMPLETED, 1)
FAILED = NodeRecord(NodeStatus.FAILED, 1)
RUNNING = NodeRecord(NodeStatus.RUNNING, 1)


def board(nodes: dict[str, object], **records: NodeRecord) -> Board:
    return Board(specs_of(nodes), records)


DIAMOND: dict[str, object] = {"top": [], "left": ["top"], "right": ["top"], "end": ["left", "right"]}


def test_the_frontier_is_what_has_all_it_depends_on() -> None:
    """A node is ready once all it waits for are completed, and not before."""
    assert board(DIAMOND).ready(0) == ["top"]
    assert board(DIAMOND, top=DONE).ready(0) == ["left", "right"]
    assert board(DIAMOND, top=DONE, left=DONE).ready(0) == ["right"]
    assert board(DIAMOND, top=DONE, left=DONE, right=DONE).ready(0) == ["end"]
    assert board(DIAMOND, top=DONE, left=DONE, right=DONE, end=DONE).is_done


@pytest.mark.parametrize(
    ("join", "left", "right", "then"),
    [
        ("all", DONE, FAILED, NodeStatus.SKIPPED),
        ("all", DONE, RUNNING, NodeStatus.WAITING),
        ("any", DONE, FAILED, NodeStatus.READY),
        ("any", FAILED, RUNNING, NodeStatus.WAITING),
        ("any", FAILED, FAILED, NodeStatus.SKIPPED),
        (1, DONE, RUNNING, NodeStatus.READY),
        (2, DONE, FAILED, NodeStatus.SKIPPED),
    ],
)
def test_a_join_says_how_many_are_enough(join: object, left: NodeRecord, right: NodeRecord, then: NodeStatus) -> None:
    """All, any, or so many: it waits while that can still be, and is skipped once it cannot."""
    nodes = {"left": [], "right": [], "end": NodeSpec(after=("left", "right"), join=join)}  # type: ignore[arg-type]
    assert board(nodes, left=left, right=right).statuses["end"] is then


def test_what_depends_on_a_skipped_node_is_skipped_however_far_behind() -> None:
    """It follows, and is written nowhere."""
    seen = board({"a": [], "b": ["a"], "c": ["b"], "d": ["c"], "free": []}, a=FAILED)
    assert [name for name, status in seen.statuses.items() if status is NodeStatus.SKIPPED] == ["b", "c", "d"]
    assert seen.ready(0) == ["free"]


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ({"a": ["b"], "b": ["c"], "c": ["a"]}, "wait for each other: "),
        ({"a": ["a"]}, "wait for each other: a → a"),
        ({"a": ["nobody"]}, "waits for 'nobody', which is not there"),
        ({"a": "b", "b": []}, "is a list of names"),
        ({"": []}, "1 to 200 bytes"),
        ({"a": NodeSpec(after=(), join=1)}, "join must be"),
        ({"a": [["x"]]}, "is a list of names; a list is none"),
        ([["a"]], "the name of a node is text"),
        (3, "must be a mapping"),
    ],
)
def test_a_graph_that_cannot_be_gone_through_is_refused(nodes: dict[str, object], told: str) -> None:
    """A cycle, a dependency that is not there, and what is no specification at all."""
    with pytest.raises(InvalidValue, match=told):
        specs_of(nodes)


def test_a_run_has_so_many_nodes_and_no_more() -> None:
    """The limit, and one beyond."""
    many = {str(number): () for number in range(NODES_MAX)}
    assert len(specs_of(many)) == NODES_MAX
    with pytest.raises(InvalidValue, match="at most 10000"):
        specs_of({**many, "one more": ()})


def test_a_node_that_is_to_be_tried_again_is_ready_when_its_pause_is_over() -> None:
    """Not before; and the board tells when the next is due."""
    spec = NodeSpec(retry=Retry(2, delay="10s", factor=3))
    first = NodeRecord(NodeStatus.READY).begun(at_us=0, token=0, input=None).failed(spec, at_us=5, error=b'"no"')
    seen = Board({"a": spec}, {"a": first})
    assert (seen.ready(10_000_004), seen.next_us, seen.ready(10_000_005)) == ([], 10_000_005, ["a"])
    second = first.begun(at_us=20, token=0, input=None).failed(spec, at_us=20, error=b"1")
    assert second.next_us == 30_000_020
    third = second.begun(at_us=40, token=0, input=None).failed(spec, at_us=40, error=b"1")
    assert (third.status, third.attempt, third.next_us) == (NodeStatus.FAILED, 3, None)


def test_another_round_of_a_node_makes_all_behind_it_wait_again() -> None:
    """A loop is one write; what is behind begins its next round when its turn comes, with the rounds it was seen in."""
    seen = board(DIAMOND, top=DONE, left=DONE, right=DONE, end=DONE)
    seen.put("left", seen.record("left").again())
    assert seen.ready(0) == ["left"]
    assert seen.statuses["end"] is NodeStatus.WAITING
    assert seen.statuses["right"] is NodeStatus.COMPLETED
    seen.put("left", seen.record("left").completed(at_us=1, output=None))
    assert seen.ready(0) == ["end"]
    begun = seen.record("end").begun(at_us=2, token=0, input=None)
    assert (begun.round, begun.seen) == (2, {"left": 2})
    seen.put("end", begun.completed(at_us=3, output=None))
    assert seen.is_done


def test_what_ran_under_an_older_claim_was_interrupted_and_is_ready() -> None:
    """Who takes a run over begins it again; who holds it still does not."""
    running = NodeRecord(NodeStatus.READY).begun(at_us=1, token=7, input=None)
    seen = Board({"a": NodeSpec()}, {"a": running}, token=7)
    assert seen.ready(1) == []
    seen.hold(9)
    assert seen.ready(1) == ["a"]


@pytest.mark.parametrize("seed", range(20))
def test_a_board_that_was_told_step_by_step_is_as_one_that_was_read(seed: int) -> None:
    """What follows is kept up with each write, and is the same as judged anew from all that is kept."""
    chance = random.Random(seed)
    names = [f"n{number}" for number in range(12)]
    nodes: dict[str, object] = {
        name: NodeSpec(after=tuple(after), join=chance.choice(["all", "any"]) if after else "all")
        for place, name in enumerate(names)
        for after in [chance.sample(names[:place], k=min(place, chance.randrange(4)))]
    }
    seen = board(nodes)
    for moment in range(60):
        name = chance.choice(names)
        record, status = seen.record(name), seen.statuses[name]
        if status is NodeStatus.READY:
            record = record.begun(at_us=moment, token=0, input=None)
        elif status is NodeStatus.RUNNING:
            ends = [record.completed(at_us=moment, output=None), record.failed(NodeSpec(), at_us=moment, error=b"1")]
            record = chance.choice(ends)
        elif status in (NodeStatus.COMPLETED, NodeStatus.FAILED):
            record = record.again()
        else:
            continue
        seen.put(name, record)
        anew = Board(seen.specs, seen.records)
        assert (seen.statuses, seen.ready(moment)) == (anew.statuses, anew.ready(moment))
