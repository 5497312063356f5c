"""LangGraph's checkpoints in Holdfast: the framework's own conformance suite, and what Holdfast promises beyond it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import BASE_CAPABILITIES, Capability, DetectedCapabilities
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import INTERRUPT

import holdfast
import holdfast.sync
from holdfast.adapters.langgraph import HoldfastSaver
from holdfast.backends.memory import MemoryKernel
from holdfast.errors import AlreadyExists, InvalidId, InvalidValue, NotFound, TypeMismatch
from tests.unit.kernel.gated import Gated


@pytest.fixture
async def hold(url: str) -> AsyncIterator[holdfast.Holdfast]:
    async with holdfast.Holdfast.open(url) as opened:
        yield opened


def place(thread: Any = "t", checkpoint: str | None = None, namespace: str = "") -> RunnableConfig:
    named = {"thread_id": thread, "checkpoint_ns": namespace}
    return {"configurable": named if checkpoint is None else {**named, "checkpoint_id": checkpoint}}


class Put(NamedTuple):
    """A checkpoint to be put."""

    checkpoint: Checkpoint
    new: dict[str, str | int | float]


def put(saver: HoldfastSaver, before: Checkpoint | None = None, **values: Any) -> Put:
    """The next checkpoint after one, with these values changed."""
    checkpoint = empty_checkpoint()
    new: dict[str, str | int | float] = {}
    if before is not None:
        checkpoint["channel_values"] = dict(before["channel_values"])
        checkpoint["channel_versions"] = dict(before["channel_versions"])
    for name, value in values.items():
        checkpoint["channel_values"][name] = value
        current = checkpoint["channel_versions"].get(name)
        new[name] = saver.get_next_version(None if current is None else str(current), None)
    checkpoint["channel_versions"].update(new)
    return Put(checkpoint, new)


async def test_it_passes_the_conformance_suite_and_does_what_it_says(url: str) -> None:
    """What is detected is asserted as well: a capability that is not there would pass by not being tried."""

    @checkpointer_test(name="holdfast")
    async def fresh() -> AsyncIterator[HoldfastSaver]:
        async with holdfast.Holdfast.open(url) as opened:
            yield HoldfastSaver(opened)

    report = await validate(fresh)
    assert report.passed_all_base(), {name: one.failures for name, one in report.results.items()}
    assert report.passed_all()
    async with holdfast.Holdfast.open("memory://") as opened:
        detected = DetectedCapabilities.from_instance(HoldfastSaver(opened)).detected
    assert detected == {*BASE_CAPABILITIES, Capability.DELETE_FOR_RUNS, Capability.COPY_THREAD, Capability.PRUNE}
    tried = {name for name, one in report.results.items() if one.tests_passed}
    assert tried == {one.value for one in detected}


async def test_a_put_is_one_commit_and_writes_only_what_changed() -> None:
    """Whatever else the thread holds: one channel and the checkpoint."""
    kernel = Gated(MemoryKernel())
    async with holdfast.Holdfast.over(kernel) as hold:
        saver = HoldfastSaver(hold)
        first = put(saver, messages=["x" * 100] * 1000, step=0)
        config = await saver.aput(place(), first.checkpoint, {"step": -1}, first.new)
        session = await hold.sessions.get("t")
        assert session is not None
        area = session.area("langgraph")
        kernel.batches.clear()
        second = put(saver, first.checkpoint, step=1)
        config = await saver.aput(config, second.checkpoint, {"step": 0}, second.new)
        assert len(kernel.batches) == 1
        assert len((await area.page("b/")).items) == 3
        found = await saver.aget_tuple(place())
        assert found is not None
        assert found.checkpoint == second.checkpoint
        assert found.config == config
        assert found.parent_config == place(checkpoint=first.checkpoint["id"])


async def test_what_is_larger_than_a_cell_or_a_commit_comes_back_whole(url: str) -> None:
    """Values are cut, and the checkpoint that leads to them is committed last."""
    limits = holdfast.Limits(value_bytes_max=1000, operations_max=5, commit_bytes_max=20_000)
    async with holdfast.Holdfast.open(url, config=holdfast.Config(limits=limits)) as hold:
        saver = HoldfastSaver(hold)
        one = put(saver, big="é" * 20_000, **{f"k{n}": n for n in range(20)})
        config = await saver.aput(place(), one.checkpoint, {"note": "y" * 3000}, one.new)  # type: ignore[typeddict-unknown-key]
        await saver.aput_writes(config, [("big", "z" * 5000), *[(f"c{n}", n) for n in range(10)]], "task")
        found = await saver.aget_tuple(place())
        assert found is not None
        assert found.checkpoint == one.checkpoint
        assert found.pending_writes is not None
        assert found.pending_writes[0] == ("task", "big", "z" * 5000)
        assert len(found.pending_writes) == 11
        await saver.acopy_thread("t", "copy")
        copied = await saver.aget_tuple(place("copy"))
        assert copied is not None
        assert (copied.checkpoint, copied.pending_writes) == (found.checkpoint, found.pending_writes)


async def test_of_a_task_and_index_the_first_write_counts_but_an_interrupt_is_replaced(
    hold: holdfast.Holdfast,
) -> None:
    """A repeat, in whole or in part, changes nothing."""
    saver = HoldfastSaver(hold)
    one = put(saver, a=1)
    config = await saver.aput(place(), one.checkpoint, {}, one.new)
    await saver.aput_writes(config, [("a", 1)], "task", "p2")
    await saver.aput_writes(config, [("a", 2), ("b", 3), (INTERRUPT, "first")], "task", "p2")
    await saver.aput_writes(config, [(INTERRUPT, "second")], "task", "p2")
    await saver.aput_writes(config, [("c", 0)], "other", "p1")
    found = await saver.aget_tuple(config)
    assert found is not None
    assert found.pending_writes == [
        ("other", "c", 0),
        ("task", INTERRUPT, "second"),
        ("task", "a", 1),
        ("task", "b", 3),
    ]


async def test_a_late_write_does_not_bring_a_deleted_thread_back(hold: holdfast.Holdfast) -> None:
    """What goes on from a checkpoint belongs to its thread's life; what begins anew begins another one."""
    saver, other = HoldfastSaver(hold), HoldfastSaver(hold)
    one = put(saver, a=1)
    config = await saver.aput(place(), one.checkpoint, {}, one.new)
    await other.adelete_thread("t")
    two = put(saver, one.checkpoint, a=2)
    with pytest.raises(NotFound):
        await saver.aput(config, two.checkpoint, {}, two.new)
    assert await hold.sessions.get("t") is None
    await saver.aput(place(), one.checkpoint, {}, one.new)
    await other.adelete_thread("t")
    with pytest.raises(NotFound):
        await saver.aput_writes(config, [("a", 1)], "task")
    assert await saver.aget_tuple(place()) is None
    await other.aput(place(), one.checkpoint, {}, one.new)
    assert (await saver.aget_tuple(place())) is not None
    await saver.adelete_thread("t")
    await other.aput(place(), one.checkpoint, {}, one.new)
    assert await hold.sessions.get("t") is not None


async def test_a_graph_inside_a_turn_of_its_own_session_is_told_that_no_retry_helps(hold: holdfast.Holdfast) -> None:
    """Busy, and nothing is put; inside a claim it is put under the fence."""
    saver, session = HoldfastSaver(hold), await hold.sessions.create(id="t")
    one = put(saver, a=1)
    async with session.turn(request_id="r"):
        with pytest.raises(holdfast.Busy, match="held already by the turn") as busy:
            await saver.aput(place(), one.checkpoint, {}, one.new)
        with pytest.raises(holdfast.Busy):
            await saver.aput_writes(place("t", one.checkpoint["id"]), [("a", 1)], "task")
        assert not busy.value.retryable
        await saver.aput(place("another"), one.checkpoint, {}, one.new)
    assert await saver.aget_tuple(place()) is None
    async with session.claim():
        await saver.aput(place(), one.checkpoint, {}, one.new)
    assert await saver.aget_tuple(place()) is not None


async def test_two_writers_that_fork_a_thread_keep_both_branches_whole(hold: holdfast.Holdfast) -> None:
    """Versions carry chance: no branch reads the other's values."""
    saver = HoldfastSaver(hold)
    root = put(saver, a=0)
    config = await saver.aput(place(), root.checkpoint, {}, root.new)
    branches = [put(saver, root.checkpoint, a=number) for number in range(8)]
    await asyncio.gather(*(saver.aput(config, one.checkpoint, {}, one.new) for one in branches))
    for one in branches:
        found = await saver.aget_tuple(place(checkpoint=one.checkpoint["id"]))
        assert found is not None
        assert found.checkpoint["channel_values"] == one.checkpoint["channel_values"]


async def test_versions_rise_and_are_never_the_same(hold: holdfast.Holdfast) -> None:
    saver = HoldfastSaver(hold)
    first = saver.get_next_version(None, None)
    assert first < saver.get_next_version(first, None) < saver.get_next_version(f"{9:032}.0", None)
    assert len({saver.get_next_version(first, None) for _ in range(100)}) == 100


async def test_lists_are_newest_first_in_every_form(hold: holdfast.Holdfast) -> None:
    """Of a namespace, of a thread, of all; with `before`, `filter`, `limit` and a checkpoint's id."""
    saver = HoldfastSaver(hold)
    made = [put(saver, a=number) for number in range(30)]
    for number, one in enumerate(made):
        config = place(number % 2, namespace="sub:1" if number >= 20 else "")
        metadata: Any = {"step": number, "even": number % 2 == 0}
        await saver.aput(config, one.checkpoint, metadata, one.new)
    await hold.sessions.create(id="no thread")

    async def steps(config: RunnableConfig | None, **more: Any) -> list[int]:
        return [found.metadata["step"] async for found in saver.alist(config, **more)]

    evens = [*range(18, -1, -2)]
    assert await steps(place("0")) == evens
    assert await steps({"configurable": {"thread_id": "0"}}) == [*range(28, 19, -2), *evens]
    assert sorted(await steps(None)) == [*range(30)]
    assert await steps(None, filter={"even": True}, limit=3) in ([18, 16, 14], [28, 26, 24])
    before = place(checkpoint=made[10].checkpoint["id"])
    assert await steps(place("0"), before=before, limit=2) == [8, 6]
    assert await steps({"configurable": {"thread_id": "0"}}, before=before) == [8, 6, 4, 2, 0]
    assert await steps(place("0", checkpoint=made[4].checkpoint["id"])) == [4]
    assert await steps(place("0"), limit=0) == []


async def test_a_thread_id_is_a_name_and_may_be_a_number(hold: holdfast.Holdfast) -> None:
    """What cannot name a session is refused before anything is stored."""
    saver = HoldfastSaver(hold)
    one = put(saver, a=1)
    config = await saver.aput(place(17), one.checkpoint, {}, one.new)
    assert config["configurable"]["thread_id"] == 17
    assert await hold.sessions.get("17") is not None
    for wrong in ("", "a\nb", "x" * 257):
        with pytest.raises(InvalidId):
            await saver.aput(place(wrong), one.checkpoint, {}, one.new)
    with pytest.raises(InvalidValue):
        await saver.aput_writes(place(), [("a", 1)], "task")


async def test_ids_and_names_of_any_kind_do_not_reach_into_each_other(hold: holdfast.Holdfast) -> None:
    """Slashes, separators and long names are names."""
    saver = HoldfastSaver(hold)
    names = ["", "-", "a/b", "a|b:c", "n" * 1000, "é"]
    for name in names:
        one = put(saver, **{name or "root": name})
        one.checkpoint["id"] = "id/with %"
        config = await saver.aput(place(namespace=name), one.checkpoint, {}, one.new)
        await saver.aput_writes(config, [(name, name)], "task/" + name)
    for name in names:
        found = await saver.aget_tuple(place(namespace=name))
        assert found is not None
        assert found.checkpoint["channel_values"] == {name or "root": name}
        assert found.pending_writes == [("task/" + name, name, name)]


class Stranger:
    """A class that no graph declared."""

    def __init__(self, x: int) -> None:
        self.x = x


async def test_values_are_data_and_pickle_is_refused(hold: holdfast.Holdfast) -> None:
    """Nothing that is read runs code of a class that was not allowed."""
    with pytest.raises(InvalidValue, match="pickle"):
        HoldfastSaver(hold, serde=JsonPlusSerializer(pickle_fallback=True))
    with pytest.raises(TypeError):
        saver = HoldfastSaver(hold)
        one = put(saver, a=Stranger(1))
        await saver.aput(place(), one.checkpoint, {}, one.new)


def test_every_method_is_there_for_threads_too(url: str) -> None:
    """The same store, without `await`."""
    with holdfast.sync.Holdfast.open(url) as hold:
        saver = HoldfastSaver(hold)
        one = put(saver, a=1)
        config = saver.put(place(), one.checkpoint, {"step": 1}, one.new)
        saver.put_writes(config, [("a", 2)], "task")
        found = saver.get_tuple(place())
        assert isinstance(found, CheckpointTuple)
        assert found.pending_writes == [("task", "a", 2)]
        assert [one.config for one in saver.list(place(), limit=1)] == [config]
        saver.copy_thread("t", "copy")
        saver.prune(["copy"])
        saver.delete_for_runs(["none"])
        with pytest.raises(InvalidValue, match="run_ids must be several"):
            saver.delete_for_runs("none")  # not the runs "n", "o" and "e"
        saver.delete_thread("t")
        assert (saver.get_tuple(place()), saver.get(place("copy"))) == (None, one.checkpoint)


def test_without_the_extra_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['langgraph'] = None\n"
        "try:\n    import holdfast.adapters.langgraph\n"
        "except ImportError as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "MissingExtra" in done.stdout
    assert 'pip install "holdfast[langgraph]"' in done.stdout


def test_what_is_no_opened_store_is_refused_at_once() -> None:
    """A saver of anything but an opened store is TypeMismatch when it is made, not at its first put."""
    for wrong in ("x", None, holdfast.Holdfast.open("memory://")):
        with pytest.raises(TypeMismatch, match="needs an opened store"):
            HoldfastSaver(wrong)  # type: ignore[arg-type]


async def test_a_principals_saver_finds_that_users_threads_alone(hold: holdfast.Holdfast) -> None:
    """A thread of another user is not there for a principal, and is not written by it."""
    hers, his = (HoldfastSaver(hold.as_principal(user=user)) for user in ("ada", "bob"))
    await hers.aput(place("t"), empty_checkpoint(), {}, {})
    assert await hers.aget_tuple(place("t")) is not None
    assert await his.aget_tuple(place("t")) is None
    with pytest.raises(AlreadyExists):
        await his.aput(place("t"), empty_checkpoint(), {}, {})
    await his.adelete_thread("t")
    assert await hers.aget_tuple(place("t")) is not None
