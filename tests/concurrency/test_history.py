"""The checker is checked: it accepts what can have happened, and refuses each way in which a store can go wrong.

Each broken history below is the true one with one fault put in, as a faulty store would have produced it.
"""

import itertools
import random

import pytest

from holdfast.testing.history import Effect, Entry, Operation, stream_violations, violations

X, Y = "session/x", "session/y"


def write(name, span, writes, *, reads=None, outcome="ok", seqs=None):
    """An operation that sets keys: {scope: {key: value}}."""
    meant = {scope: [Effect("set", key, value) for key, value in keys.items()] for scope, keys in writes.items()}
    began, ended = span
    return Operation(name, "c", began, ended, outcome, reads or {}, meant, seqs or {})


def read(name, span, reads):
    return Operation(name, "c", *span, outcome="ok", reads=reads)


def entry(seq, operation, **values):
    return Entry(seq, operation, tuple(Effect("set", key, value) for key, value in values.items()))


def rules(operations, logs):
    return {violation.rule for violation in violations(operations, logs)}


def test_operations_one_after_the_other_are_accepted():
    operations = [
        write("a", (1, 2), {X: {"n": 1}}, reads={X: {"n": None}}, seqs={X: 1}),
        write("b", (3, 4), {X: {"n": 2}}, reads={X: {"n": 1}}, seqs={X: 2}),
        read("c", (5, 6), {X: {"n": 2}}),
    ]
    assert violations(operations, {X: [entry(1, "a", n=1), entry(2, "b", n=2)]}) == []


def test_operations_that_overlap_may_take_effect_in_either_order():
    a, b = write("a", (1, 9), {X: {"n": "a"}}), write("b", (2, 8), {X: {"n": "b"}})
    assert violations([a, b], {X: [entry(1, "a", n="a"), entry(2, "b", n="b")]}) == []
    assert violations([a, b], {X: [entry(1, "b", n="b"), entry(2, "a", n="a")]}) == []


def test_an_operation_whose_end_is_not_known_may_be_there_or_not_and_may_land_late():
    a = write("a", (1, 2), {X: {"n": 1}}, outcome="unknown")
    b = write("b", (3, 4), {X: {"n": 2}})
    assert violations([a, b], {X: [entry(1, "b", n=2)]}) == []
    assert violations([a, b], {X: [entry(1, "b", n=2), entry(2, "a", n=1)]}) == []


def test_a_lost_update_is_refused():
    """Both read the same value; whichever came second overwrote the other."""
    operations = [
        write("a", (1, 8), {X: {"n": "a"}}, reads={X: {"n": None}}),
        write("b", (2, 9), {X: {"n": "b"}}, reads={X: {"n": None}}),
    ]
    assert rules(operations, {X: [entry(1, "a", n="a"), entry(2, "b", n="b")]}) == {"read"}


def test_an_acknowledged_write_that_is_not_in_the_log_is_refused():
    assert rules([write("a", (1, 2), {X: {"n": 1}})], {X: []}) == {"lost"}


def test_a_write_acknowledged_at_another_seq_is_refused():
    assert rules([write("a", (1, 2), {X: {"n": 1}}, seqs={X: 7})], {X: [entry(1, "a", n=1)]}) == {"lost"}


def test_a_stale_read_is_refused():
    """The write was acknowledged before the read began, and the read did not see it."""
    operations = [write("a", (1, 2), {X: {"n": 1}}), read("b", (3, 4), {X: {"n": None}})]
    assert rules(operations, {X: [entry(1, "a", n=1)]}) == {"order"}


def test_two_reads_that_go_back_in_time_are_refused():
    operations = [
        write("a", (1, 20), {X: {"n": 1}}),
        read("b", (2, 3), {X: {"n": 1}}),
        read("c", (4, 5), {X: {"n": None}}),
    ]
    assert rules(operations, {X: [entry(1, "a", n=1)]}) == {"order"}


def test_a_value_that_nobody_wrote_is_refused():
    assert rules([read("b", (3, 4), {X: {"n": 5}})], {X: []}) == {"invented"}


def test_a_value_read_before_its_writer_began_is_refused():
    operations = [read("b", (1, 2), {X: {"n": 1}}), write("a", (3, 4), {X: {"n": 1}})]
    assert rules(operations, {X: [entry(1, "a", n=1)]}) == {"order"}


def test_a_record_that_no_operation_made_is_refused():
    assert rules([], {X: [entry(1, "a", n=1)]}) == {"invented"}


def test_a_commit_that_was_applied_twice_is_refused():
    operations = [write("a", (1, 2), {X: {"n": 1}}, seqs={X: 1})]
    assert rules(operations, {X: [entry(1, "a", n=1), entry(2, "a", n=1)]}) == {"doubled"}


def test_a_commit_that_was_refused_and_applied_all_the_same_is_refused():
    operations = [write("a", (1, 2), {X: {"n": 1}}, outcome="refused")]
    assert rules(operations, {X: [entry(1, "a", n=1)]}) == {"refused"}


def test_a_record_that_says_something_else_than_was_meant_is_refused():
    assert rules([write("a", (1, 2), {X: {"n": 1, "m": 2}})], {X: [entry(1, "a", n=1)]}) == {"altered"}


@pytest.mark.parametrize("outcome", ["ok", "unknown"])
def test_a_commit_to_two_scopes_of_which_one_is_missing_is_refused(outcome):
    operations = [write("a", (1, 2), {X: {"n": 1}, Y: {"n": 1}}, outcome=outcome)]
    assert rules(operations, {X: [entry(1, "a", n=1)], Y: []}) == {"half"}


def test_a_gap_in_the_log_is_refused():
    operations = [write("a", (1, 2), {X: {"n": 1}}), write("b", (3, 4), {X: {"n": 2}})]
    assert rules(operations, {X: [entry(1, "a", n=1), entry(3, "b", n=2)]}) == {"gap"}


def test_a_log_whose_order_contradicts_time_is_refused():
    """b began after a was acknowledged, and stands before it."""
    operations = [write("a", (1, 2), {X: {"n": 1}}), write("b", (3, 4), {X: {"n": 2}})]
    assert rules(operations, {X: [entry(1, "b", n=2), entry(2, "a", n=1)]}) == {"order"}


def test_a_read_of_two_scopes_that_no_single_cut_shows_is_refused():
    """a moved something from x to y in one commit; the reader saw the taking and not the giving."""
    operations = [
        write("0", (1, 2), {X: {"n": 10}, Y: {"n": 0}}),
        write("a", (3, 20), {X: {"n": 7}, Y: {"n": 3}}, reads={X: {"n": 10}, Y: {"n": 0}}),
        read("r", (4, 19), {X: {"n": 7}, Y: {"n": 0}}),
    ]
    logs = {X: [entry(1, "0", n=10), entry(2, "a", n=7)], Y: [entry(1, "0", n=0), entry(2, "a", n=3)]}
    assert rules(operations, logs) == {"order"}


def test_write_skew_is_refused():
    """Each read what the other was about to change, and changed something else: no order explains both."""
    operations = [
        write("a", (1, 9), {X: {"n": 1}}, reads={X: {"n": None}, Y: {"n": None}}),
        write("b", (2, 8), {Y: {"n": 1}}, reads={X: {"n": None}, Y: {"n": None}}),
    ]
    assert rules(operations, {X: [entry(1, "a", n=1)], Y: [entry(1, "b", n=1)]}) == {"order"}


def test_a_read_as_of_a_seq_that_shows_another_prefix_is_refused():
    """A snapshot names the version it was taken at."""
    operations = [write("a", (1, 2), {X: {"n": 1}}), write("b", (3, 4), {X: {"n": 2}})]
    log = {X: [entry(1, "a", n=1), entry(2, "b", n=2)]}

    def snapshot(value, seq, span=(5, 6)):
        reader = read("r", span, {X: {"n": value}})
        reader.at_seq = {X: seq}
        return rules([*operations, reader], log)

    assert snapshot(2, 2) == set()
    assert snapshot(1, 2) == {"read"}
    assert snapshot(2, 1) == {"read", "order"}
    assert snapshot(1, 1) == {"order"}, "true once, but no longer when it was read"
    assert snapshot(2, 3) == {"invented"}


def test_a_stream_is_the_log_and_nothing_else():
    log = {X: [entry(1, "a", n=1, m=1), entry(2, "b", n=2)]}
    whole = [(entry.seq, effect) for entry in log[X] for effect in entry.effects]
    assert stream_violations({X: whole}, log) == []
    broken = {
        "missed": whole[:1] + whole[2:],
        "doubled": whole[:2] + whole[1:],
        "swapped": [whole[0], whole[2], whole[1]],
        "cut off": whole[:2],
        "invented": [*whole, (3, Effect("set", "n", 3))],
        "nothing": [],
    }
    assert [name for name, stream in broken.items() if not stream_violations({X: stream}, log)] == []


def appended(name, span, *values, reads=None):
    return Operation(name, "c", *span, "ok", reads or {}, {X: [Effect("append", "list", value) for value in values]})


def log_of_appends(*operations):
    return {X: [Entry(n, op.id, tuple(op.writes[X])) for n, op in enumerate(operations, start=1)]}


def test_lists_that_grow_in_the_order_of_the_log_are_accepted():
    a = appended("a", (1, 2), 1, 2, reads={X: {"list": []}})
    b = appended("b", (3, 9), 3)
    reads = [read("r", (4, 5), {X: {"list": [1, 2]}}), read("s", (6, 7), {X: {"list": [1, 2, 3]}})]
    assert violations([a, b, *reads], log_of_appends(a, b)) == []


@pytest.mark.parametrize("seen", [[1], [2], [2, 1], [1, 3], [1, 2, 3], []], ids=str)
def test_a_list_that_lost_doubled_or_reordered_what_was_appended_is_refused(seen):
    """Both were acknowledged before the read began."""
    a, b = appended("a", (1, 2), 1), appended("b", (3, 4), 2)
    assert rules([a, b, read("r", (5, 6), {X: {"list": seen}})], log_of_appends(a, b)) != set()
    assert rules([a, b, read("r", (5, 6), {X: {"list": [1, 2]}})], log_of_appends(a, b)) == set()


def test_half_of_what_one_commit_appended_is_refused():
    a = appended("a", (1, 9), 1, 2)
    assert rules([a, read("r", (2, 8), {X: {"list": [1]}})], log_of_appends(a)) == {"invented"}


def test_a_dropped_scope_holds_nothing_and_begins_again():
    a = write("a", (1, 2), {X: {"n": 1}})
    b = Operation("b", "c", 3, 4, "ok", {}, {X: [Effect("drop", "")]})
    c = write("c", (7, 8), {X: {"n": 2}}, reads={X: {"n": None}})
    log = {X: [entry(1, "a", n=1), Entry(2, "b", (Effect("drop", ""),)), entry(3, "c", n=2)]}
    assert violations([a, b, c, read("r", (5, 6), {X: {"n": None}})], log) == []
    assert rules([a, b, c, read("r", (5, 6), {X: {"n": 1}})], log) == {"order"}, "a write survived the drop"
    assert rules([a, b, c, read("r", (9, 10), {X: {"n": None}})], log) == {"order"}, "the second life is not seen"


def perfect_history(seed, *, operations=60):
    """What a perfect store would have shown to four clients: operations take effect at one moment within their span."""
    chance = random.Random(seed)
    moments = itertools.count(1)
    values = {X: None, Y: None}
    logs = {X: [], Y: []}
    done, running = [], []
    for n in range(operations):
        running.append(Operation(f"o{n}", "c", next(moments)))
        if len(running) == 4:
            operation = running.pop(chance.randrange(4))
            chosen = chance.sample([X, Y], chance.choice([1, 2]))
            operation.reads = {scope: {"n": values[scope]} for scope in chance.sample([X, Y], chance.choice([0, 1, 2]))}
            if chance.random() < 0.7:
                for scope in chosen:
                    values[scope] = operation.id
                    effect = Effect("set", "n", operation.id)
                    operation.writes[scope] = [effect]
                    logs[scope].append(Entry(len(logs[scope]) + 1, operation.id, (effect,)))
                    operation.seqs[scope] = len(logs[scope])
            operation.outcome, operation.ended = "ok", next(moments)
            done.append(operation)
    return done, logs


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_perfect_store_shows_is_accepted(seed):
    assert violations(*perfect_history(seed)) == []


@pytest.mark.parametrize("seed", range(20))
def test_one_read_of_an_overwritten_value_in_a_long_history_is_found(seed):
    operations, logs = perfect_history(seed)
    first = next(op for op in operations if op.writes.get(X))
    late = next(
        op for op in reversed(operations) if X in op.reads and op.began > first.ended and op.reads[X]["n"] != first.id
    )
    assert any(entry.operation != first.id for entry in logs[X])
    late.reads[X]["n"] = first.id
    overwritten = logs[X][first.seqs[X]].operation
    seen_as_own_past = late.id == overwritten  # then the value it now claims to have read is the right one
    assert (violations(operations, logs) == []) == seen_as_own_past
