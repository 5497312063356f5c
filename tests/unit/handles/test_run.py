"""Runs: nodes with dependencies, progress that is kept after every node, pauses, and lists."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import AlreadyExists, CacheConfig, Config, Holdfast, Scope, Session
from holdfast.errors import InvalidTransition, InvalidValue, NotFound, TooLarge
from holdfast.model.config import RunsConfig
from holdfast.model.node import NodeStatus
from holdfast.model.node_spec import NodeSpec, Retry, ask
from holdfast.model.run import RunStatus
from holdfast.testing.clock import ManualClock
from tests.unit.stores import Stores

TRIP = {"search": [], "pay": ["search"], "tell": ["pay"]}


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s", user="ada")


async def test_a_run_shows_what_its_nodes_did_to_whoever_looks(hold: Holdfast, s: Session) -> None:
    """Kept after every node: another process sees the same run."""
    run = await s.runs.start("trip", nodes=TRIP, input={"to": "KIX"})
    assert (run.status, run.ready_nodes(), run.session, run.user) == (RunStatus.PENDING, ["search"], "s", "ada")
    await run.progress("search", "running", input="KIX")
    assert (run.status, run.current_node, run.ready_nodes()) == (RunStatus.RUNNING, "search", [])
    await run.progress("search", "completed", output={"price": 900})
    seen = await hold.runs.get(run.id)
    assert seen is not None
    assert (seen.input, seen.ready_nodes(), seen.version) == ({"to": "KIX"}, ["pay"], run.version)
    search = seen.nodes["search"]
    assert (search.status, search.attempt, search.output) == (NodeStatus.COMPLETED, 1, {"price": 900})
    assert seen.nodes["tell"].status is NodeStatus.WAITING


async def test_a_run_may_be_alone(hold: Holdfast) -> None:
    """In a scope of its own, found by its id, ended like any other."""
    run = await hold.runs.start("nightly", id="r1", nodes=["a", "b"], user="ada")
    await run.progress({"a": "completed", "b": {"status": "completed", "output": 2}})
    await run.complete("done")
    seen = await hold.runs.get("r1")
    assert seen is not None
    assert (seen.session, seen.user, seen.status, seen.output) == (None, "ada", RunStatus.COMPLETED, "done")


async def test_a_node_that_fails_is_tried_again_then_fails_the_run(s: Session, clock: ManualClock) -> None:
    """Its tries, its pause and its error are kept; without tries left the run has failed, and says of which node."""
    run = await s.runs.start("trip", nodes={"pay": NodeSpec(retry=Retry(1, delay="10s"))})
    await run.progress("pay", "running")
    await run.progress("pay", "failed", error=ValueError("no money"))
    pay = run.nodes["pay"]
    assert (pay.status, pay.attempt, pay.error) == (
        NodeStatus.READY, 1, {"type": "ValueError", "message": "no money"}
    )  # fmt: skip
    assert run.ready_nodes() == []
    assert run.next_at is not None
    clock.advance(10)
    assert run.ready_nodes() == ["pay"]
    await run.progress({"pay": "running"})
    await run.progress("pay", "failed", error="again")
    assert (run.status, run.error) == (RunStatus.FAILED, {"node": "pay", "error": "again"})


async def test_an_optional_node_fails_alone_and_what_depends_on_it_is_skipped(s: Session) -> None:
    """The run goes on."""
    run = await s.runs.start("trip", nodes={"hotel": NodeSpec(optional=True), "spa": ["hotel"], "fly": []})
    await run.progress("hotel", "failed", error="full")
    assert (run.status, run.nodes["spa"].status, run.ready_nodes()) == (RunStatus.RUNNING, NodeStatus.SKIPPED, ["fly"])


async def test_nothing_begins_while_a_run_is_paused_and_what_runs_may_end(s: Session) -> None:
    """A pause has a reason, and loses no work; resumed, it waits for whoever takes it up."""
    run = await s.runs.start("trip", nodes={"a": [], "b": []})
    await run.progress("a", "running")
    await run.pause("by Bo", node="b")
    assert (run.status, run.pause_reason, run.ready_nodes()) == (RunStatus.PAUSED, "by Bo", [])
    await run.progress("a", "completed", output=1)
    with pytest.raises(InvalidTransition, match="paused: by Bo"):
        await run.progress("b", "running")
    await run.resume()
    assert (run.status, run.pause_reason, run.ready_nodes()) == (RunStatus.PENDING, None, ["b"])


async def test_a_handle_that_is_behind_looks_again_before_it_refuses(hold: Holdfast, s: Session) -> None:
    """What it last saw decides nothing: neither a refusal nor a move."""
    run = await s.runs.start("trip", nodes=TRIP)
    other = await hold.runs.get(run.id)
    assert other is not None
    await other.progress("search", "completed")
    await run.progress("pay", "completed")
    await other.cancel()
    with pytest.raises(InvalidTransition, match="is cancelled"):
        await run.progress("tell", "completed")


async def test_another_round_begins_with_one_node_and_keeps_its_place(hold: Holdfast, s: Session) -> None:
    """A loop: the round is counted, and another process sees where it is."""
    run = await s.runs.start("draft", nodes={"write": [], "check": ["write"]})
    await run.progress({"write": "completed", "check": "completed"})
    await run.progress("write", "ready")
    await run.progress("write", "completed")
    seen = await hold.runs.get(run.id)
    assert seen is not None
    assert (seen.nodes["write"].round, seen.ready_nodes(), seen.nodes["check"].round) == (2, ["check"], 2)


async def test_a_node_that_others_rule_out_begins_no_other_round(s: Session) -> None:
    """It would be skipped all the same: refused, naming what is to be done first, and nothing is counted."""
    nodes = {"hotel": NodeSpec(optional=True), "spa": ["hotel"], "walk": []}
    run = await s.runs.start("trip", nodes=nodes)
    await run.progress({"hotel": {"status": "failed", "error": "full"}, "walk": "skipped"})
    with pytest.raises(InvalidTransition, match="'spa' is skipped as long as hotel cannot be completed") as refused:
        await run.progress("spa", "ready")
    assert "run.progress('hotel', \"ready\")" in refused.value.remedy
    assert (run.nodes["spa"].status, run.nodes["spa"].round) == (NodeStatus.SKIPPED, 1)
    await run.progress({"hotel": "ready", "walk": "ready"})
    assert (run.nodes["spa"].status, run.ready_nodes()) == (NodeStatus.WAITING, ["hotel", "walk"])


async def test_moves_that_there_are_not_are_refused_and_change_nothing(s: Session) -> None:
    """Each with what may be done instead; of several at once none is kept."""
    run = await s.runs.start("trip", nodes=TRIP)
    with pytest.raises(InvalidTransition, match="waiting and cannot become running"):
        await run.progress({"search": "completed", "tell": "running"})
    with pytest.raises(NotFound, match="has no node 'nobody'; it has search, pay, tell"):
        await run.progress("nobody", "running")
    with pytest.raises(InvalidValue, match="is no status of a node"):
        await run.progress("search", "done")
    assert (await run.refresh()).ready_nodes() == ["search"]


@pytest.mark.parametrize(
    ("nodes", "path"),
    [
        ({"\ud800": []}, "nodes"),
        ({"a\0b": []}, "nodes"),
        ({"a": NodeSpec(on_failure=ask(assignees=["\ud800"]))}, "nodes.a.on_failure.assignees"),
        ({"a": NodeSpec(on_failure=ask("\ud800"))}, "nodes.a.on_failure.prompt"),
    ],
)
async def test_what_could_not_be_kept_of_a_node_later_is_refused_at_the_start(
    s: Session, nodes: dict[str, object], path: str
) -> None:
    """Nothing is started or added whose nodes could not be told of, or could never fail."""
    run = await s.runs.start("trip", nodes=TRIP)
    for begin in (s.runs.start("trip", nodes=nodes), run.add_nodes(nodes)):
        with pytest.raises(InvalidValue) as refused:
            await begin
        assert refused.value.path.startswith(path)
    assert [one.id for one in (await s.runs.list()).items] == [run.id]
    with pytest.raises(TooLarge):
        await s.runs.start("trip", nodes={"a": NodeSpec(on_failure=ask("x" * 200_000))})


async def test_nodes_may_be_added_to_those_there_are(hold: Holdfast, s: Session) -> None:
    """They may wait for any of them, and are there for every process."""
    run = await s.runs.start("grow", nodes=["a"])
    await run.progress("a", "completed")
    await run.add_nodes({"b": ["a"], "c": ["b"]})
    seen = await hold.runs.get(run.id)
    assert seen is not None
    assert (seen.ready_nodes(), run.ready_nodes(), [*seen.nodes]) == (["b"], ["b"], ["a", "b", "c"])
    with pytest.raises(InvalidValue, match="has a node 'a' already"):
        await run.add_nodes(["a"])


async def test_a_run_and_what_its_nodes_do_commit_with_a_transaction(s: Session) -> None:
    """All of it, or nothing."""
    async with s.transaction() as tx:
        run = await tx.runs.start("trip", id="kept", nodes=TRIP)
        await run.progress("search", "completed")
        await run.progress("pay", "completed", output=900)
        await tx.state.set("paid", 900)
    kept = await s.runs.get("kept")
    assert kept is not None
    assert kept.nodes["pay"].output == 900
    async with s.transaction() as tx:
        again = await tx.runs.get("kept")
        assert again is not None
        await again.progress("tell", "completed")
        tx.rollback()
    assert (await kept.refresh()).ready_nodes() == ["tell"]


async def test_an_id_is_taken_once(s: Session) -> None:
    """A second start is refused, or returns the run that is there."""
    first = await s.runs.start("trip", id="r", nodes=TRIP)
    await first.progress("search", "completed")
    with pytest.raises(AlreadyExists, match="a run 'r' already"):
        await s.runs.start("trip", id="r")
    same = await s.runs.start("trip", id="r", on_exists="return")
    assert same.ready_nodes() == ["pay"]


async def test_runs_are_listed_newest_first_by_what_they_are(hold: Holdfast, s: Session, clock: ManualClock) -> None:
    """By session, user, workflow and status, page by page, also where several began in one moment."""
    other = await hold.sessions.create(id="other", user="bo")
    for number in range(5):
        await s.runs.start("trip" if number % 2 else "shop", id=f"r{number}")
    clock.advance(1)
    last = await other.runs.start("trip", id="last")
    await last.complete()
    page = await hold.runs.list(limit=4)
    assert [run.id for run in page.items] == ["last", "r4", "r3", "r2"]
    rest = await hold.runs.list(limit=4, cursor=page.next)
    assert ([run.id for run in rest.items], rest.next) == (["r1", "r0"], None)
    assert [run.id for run in (await hold.runs.list(session="s", workflow="trip")).items] == ["r3", "r1"]
    assert [run.id for run in (await hold.runs.list(user="bo", status="completed")).items] == ["last"]
    assert [run.id for run in (await s.runs.list(workflow="shop")).items] == ["r4", "r2", "r0"]
    await hold.sessions.delete("other")
    assert [run.id for run in (await hold.runs.list(workflow="trip")).items] == ["r3", "r1"]


async def test_without_tracking_nodes_are_told_and_not_kept(stores: Stores) -> None:
    """`runs.track_nodes` off: who follows hears of them, and the store knows nothing."""
    hold = await stores.open(config=Config(runs=RunsConfig(track_nodes=False)))
    s = await hold.sessions.create(id="s")
    run = await s.runs.start("trip", nodes=TRIP)
    async with s.changes(kinds={"run"}) as told:
        arriving = asyncio.ensure_future(anext(told))
        while not arriving.done():  # any signal may be lost
            await run.progress("search", "completed", output=3)
            await asyncio.wait([arriving], timeout=0.01)
        change = await arriving
    assert (change.op, change.key, change.value["output"]) == ("emit", "search", 3)
    assert (await run.refresh()).ready_nodes() == ["search"]


async def test_without_outputs_nodes_are_kept_and_what_they_came_to_is_not(stores: Stores) -> None:
    """`runs.keep_outputs` off."""
    hold = await stores.open(config=Config(runs=RunsConfig(keep_outputs=False)))
    run = await (await hold.sessions.create(id="s")).runs.start("trip", nodes=TRIP)
    await run.progress("search", "running", input="secret")
    await run.progress("search", "completed", output="secret")
    search = (await run.refresh()).nodes["search"]
    assert (search.status, search.input, search.output) == (NodeStatus.COMPLETED, None, None)


async def test_a_run_is_looked_at_again_only_where_something_was_written_since(
    stores: Stores, hold: Holdfast, s: Session
) -> None:
    """Resumed or claimed, it shows what others did meanwhile, however little of it this handle saw."""
    run = await s.runs.start("trip", id="r", nodes=TRIP)
    other = await (await stores.open()).runs.get("r")
    assert other is not None
    await other.progress("search", "completed")
    async with run.claim():
        assert run.ready_nodes() == other.ready_nodes() != ["search"]
    await run.pause()
    await other.refresh()
    await other.add_nodes({"late": []})
    await run.resume()
    assert "late" in run.ready_nodes()
    await s.state.set("plan", "written beside it")
    async with run.claim():
        assert run.ready_nodes() == (await run.refresh()).ready_nodes()


async def test_a_cache_that_may_be_late_keeps_no_run_from_being_looked_at(stores: Stores) -> None:
    """What others did is seen by whoever resumes it, though its scope was read a moment ago."""
    late = Config(cache=CacheConfig(ttl="1h"))
    here, there = await stores.open(config=late), await stores.open(config=late)
    run = await here.runs.start("trip", id="alone", nodes={"search": [], "pay": ["search"]})
    await run.progress("search", "running")
    await run.pause()
    other = await there.runs.get("alone")
    assert other is not None
    await here.state(Scope.run("alone")).get("key", default=None)
    await other.progress("search", "completed")
    await run.resume()
    assert run.ready_nodes() == ["pay"]


async def test_a_run_that_is_not_resumable_ends_where_it_was_paused(stores: Stores) -> None:
    """`runs.resumable` off: paused, it may only end."""
    hold = await stores.open(config=Config(runs=RunsConfig(resumable=False)))
    run = await (await hold.sessions.create(id="s")).runs.start("trip", nodes=TRIP)
    await run.pause()
    assert not run.resumable
    with pytest.raises(InvalidTransition, match="it may become completed, failed, cancelled"):
        await run.resume()
    assert (await run.cancel()).status is RunStatus.CANCELLED


def test_the_settings_of_runs_are_checked() -> None:
    """Like all others."""
    with pytest.raises(InvalidValue, match=r"runs\.history_max"):
        Config(runs=RunsConfig(history_max=0))


async def test_tries_are_counted_by_what_failed_whoever_tells_of_it(s: Session, clock: ManualClock) -> None:
    """A pause takes none, and one that was never told to begin is one all the same."""
    run = await s.runs.start("trip", nodes={"pay": NodeSpec(retry=Retry(1, delay="1s"), optional=True)})
    await run.progress("pay", "paused")
    await run.progress("pay", "ready")
    await run.progress("pay", "running")
    await run.progress("pay", "paused")
    await run.progress("pay", "running")
    assert run.nodes["pay"].attempt == 1
    await run.progress("pay", "failed")
    await run.progress("pay", "failed")
    assert (run.nodes["pay"].status, run.nodes["pay"].attempt) == (NodeStatus.FAILED, 2)


async def test_only_a_paused_run_is_resumed(s: Session) -> None:
    """One that runs is not taken back to where nobody has it."""
    run = await s.runs.start("trip", nodes=TRIP)
    await run.progress("search", "running")
    with pytest.raises(InvalidTransition, match="is running; only one that is paused, or has nodes"):
        await run.resume()
    assert run.status is RunStatus.RUNNING


async def test_rounds_count_once_each_also_in_the_midst_of_other_loops(s: Session) -> None:
    """A node that goes through another round by itself keeps in mind in which round those before it are."""
    run = await s.runs.start(
        "draft", nodes={"write": [], "aside": [], "check": NodeSpec(("write", "aside"), join="any")}
    )
    await run.progress({"write": "completed", "aside": "completed"})
    await run.progress("aside", "ready")
    await run.progress("check", "running")
    assert run.nodes["check"].status is NodeStatus.RUNNING
    await run.progress("check", "completed")
    await run.progress("check", "ready")
    assert (run.nodes["check"].round, run.nodes["check"].status) == (2, NodeStatus.READY)
