"""Real graphs over the saver: stopped for a person, broken and killed, they go on where they were."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

import holdfast
import holdfast.sync
from holdfast.adapters.langgraph import HoldfastSaver
from holdfast.errors import InvalidValue
from tests.adapters.graphs import CONFIG, booking, ran


@pytest.fixture
async def hold() -> AsyncIterator[holdfast.Holdfast]:
    async with holdfast.Holdfast.open("memory://") as opened:
        yield opened


BOOKED = {"city": "Kyoto", "price": 900}


async def test_a_graph_waits_for_a_person_and_survives_a_kill_between_two_steps(lasting: str, tmp_path: Path) -> None:
    """Three processes take part: one asks, one is killed after the answer, one finishes; no node runs twice."""
    async with holdfast.Holdfast.open(lasting) as hold:
        stopped = await booking(HoldfastSaver(hold), tmp_path).ainvoke({"city": "Kyoto"}, CONFIG)
    assert stopped["__interrupt__"][0].value == "Pay 900 € for Kyoto?"
    (tmp_path / "kill").touch()
    program = [sys.executable, "-m", "tests.adapters.graphs", lasting, str(tmp_path)]
    killed = subprocess.run(program, capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    (tmp_path / "kill").unlink()
    async with holdfast.Holdfast.open(lasting) as hold:
        graph = booking(HoldfastSaver(hold), tmp_path)
        assert (await graph.aget_state(CONFIG)).next == ("pay",)
        ended = await graph.ainvoke(None, CONFIG)
    assert ended == {**BOOKED, "done": [*sorted(["search", "hotel", "car"], key=ended["done"].index), "yes", "pay"]}
    assert sorted(ran(tmp_path)) == ["ask", "car", "hotel", "pay", "search"]


def test_a_broken_node_is_tried_again_and_its_finished_neighbour_is_not(url: str, tmp_path: Path) -> None:
    """What a node wrote is kept beside the checkpoint until the step is done; the graph is run without await."""
    with holdfast.sync.Holdfast.open(url) as hold:
        saver = HoldfastSaver(hold)

        def break_once_the_hotel_is_kept() -> None:
            while (found := saver.get_tuple(CONFIG)) is None or ["hotel"] not in [
                w[2] for w in found.pending_writes or ()
            ]:
                pass
            raise RuntimeError("no car")

        with pytest.raises(RuntimeError, match="no car"):
            booking(saver, tmp_path, in_car=break_once_the_hotel_is_kept).invoke({"city": "Kyoto"}, CONFIG)
        graph = booking(HoldfastSaver(hold), tmp_path)
        graph.invoke(None, CONFIG)
        ended = graph.invoke(Command(resume="no"), CONFIG)
        history = [state.metadata["step"] for state in graph.get_state_history(CONFIG)]
    assert ended["done"][-2:] == ["no", "pay"]
    assert [ran(tmp_path).count(node) for node in ("search", "hotel", "car", "ask", "pay")] == [1, 1, 2, 1, 1]
    assert history == [*range(4, -2, -1)]


async def test_a_past_checkpoint_is_a_place_to_fork_from(url: str, tmp_path: Path) -> None:
    """The branch has the past of its checkpoint and its own values; the other one stays as it was."""
    async with holdfast.Holdfast.open(url) as hold:
        graph = booking(HoldfastSaver(hold), tmp_path)
        await graph.ainvoke({"city": "Kyoto"}, CONFIG)
        past = [state async for state in graph.aget_state_history(CONFIG)][-2]
        fork = await graph.aupdate_state(past.config, {"city": "Nara"})
        assert (await graph.aget_state(fork)).values["city"] == "Nara"
        assert (await graph.ainvoke(None, fork))["__interrupt__"][0].value == "Pay 900 € for Nara?"
        assert {state.values.get("city") async for state in graph.aget_state_history(CONFIG)} >= {"Kyoto", "Nara"}


# --- pruning --------------------------------------------------------------------------------------


class Log(TypedDict):
    """One value kept whole, one as its writes."""

    n: int
    lines: Annotated[list[str], DeltaChannel(lambda lines, writes: sum(writes, lines), list, snapshot_frequency=3)]
    kept: Annotated[list[str], add]


def counting(saver: HoldfastSaver) -> Any:
    graph = StateGraph(Log)
    graph.add_node("more", lambda state: {"n": state["n"] + 1, "lines": [f"l{state['n']}"], "kept": ["x" * 900]})
    graph.add_edge(START, "more")
    graph.add_edge("more", END)
    return graph.compile(checkpointer=saver)


async def cells_of(hold: holdfast.Holdfast, prefix: str) -> int:
    session = await hold.sessions.get("trip")
    assert session is not None
    return len((await session.area("langgraph").page(prefix, limit=1000)).items)


async def test_pruning_keeps_the_latest_and_what_it_is_rebuilt_from(url: str) -> None:
    """A channel that is kept as its writes reads the same afterwards, and what the latest does not need is gone."""
    limits = holdfast.Limits(value_bytes_max=1000)
    async with holdfast.Holdfast.open(url, config=holdfast.Config(limits=limits)) as hold:
        saver = HoldfastSaver(hold)
        graph = counting(saver)
        state: Any = {"n": 0, "lines": [], "kept": []}
        for _ in range(4):
            state = await graph.ainvoke({"n": state["n"]}, CONFIG)
        values = (await graph.aget_state(CONFIG)).values
        assert values["lines"] == ["l0", "l1", "l2", "l3"]
        before = {prefix: await cells_of(hold, prefix) for prefix in ("b/", "p/")}
        await saver.aprune(["trip", "no such thread"])
        assert (await graph.aget_state(CONFIG)).values == values
        assert await cells_of(hold, "b/") < before["b/"]
        assert await cells_of(hold, "p/") < before["p/"]
        assert (await graph.ainvoke({"n": 4}, CONFIG))["lines"] == ["l0", "l1", "l2", "l3", "l4"]


async def test_deleting_a_run_takes_what_it_made_and_leaves_what_others_need(
    hold: holdfast.Holdfast,
) -> None:
    """The latest run's checkpoints go with their values, and the thread is where it was before; an earlier run's stay
    as far as a later one's channel is kept as its writes."""
    saver = HoldfastSaver(hold)
    graph = counting(saver)
    seen: list[Any] = []
    for n in range(3):
        await graph.ainvoke({"n": n}, {**CONFIG, "metadata": {"run_id": f"r{n}"}})
        seen.append((await graph.aget_state(CONFIG)).values)
    blobs = await cells_of(hold, "b/")
    await saver.adelete_for_runs(["r2", "none"])
    assert (await graph.aget_state(CONFIG)).values == seen[1]
    assert await cells_of(hold, "b/") < blobs
    assert {found.metadata["run_id"] async for found in saver.alist(CONFIG)} == {"r0", "r1"}
    await saver.adelete_for_runs(["r0"])
    assert (await graph.aget_state(CONFIG)).values == seen[1]
    await saver.adelete_for_runs(["r0", "r1"])
    assert await cells_of(hold, "") == 0


async def test_pruning_everything_leaves_the_session_and_no_cell(hold: holdfast.Holdfast) -> None:
    """The thread's session stays, with what else it holds; an unknown strategy is refused."""
    saver = HoldfastSaver(hold)
    await counting(saver).ainvoke({"n": 0}, CONFIG)
    session = await hold.sessions.get("trip")
    assert session is not None
    await session.state.set("owner", "ada")
    await saver.aprune(["trip"], strategy="delete")
    assert await saver.aget_tuple(CONFIG) is None
    assert await cells_of(hold, "") == 0
    assert await session.state.get("owner") == "ada"
    with pytest.raises(InvalidValue, match="keep_latest"):
        await saver.aprune(["trip"], strategy="all")
