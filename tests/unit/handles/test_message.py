"""Messages: a conversation in the order of its commits."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Config, Holdfast, Message, Session
from holdfast.backends.memory import MemoryKernel
from holdfast.errors import HoldfastError, InvalidId, InvalidValue, TooLarge
from holdfast.kernel.commit import stamp
from holdfast.model.config import Limits, MessagesConfig
from holdfast.testing.clock import ManualClock, SeededIds
from tests.unit.stores import Stores


@pytest.fixture
async def s(hold: Holdfast) -> Session:
    return await hold.sessions.create(id="s")


async def test_a_message_comes_back_as_it_was_added(s: Session, clock: ManualClock) -> None:
    clock.advance(1)
    added = await s.messages.add("user", "hello\x00 \U0001f680", metadata={"api_calls": 1, "free": [None, 1.5]})
    assert await s.messages.list() == [added]
    assert (added.role, added.content, added.metadata) == (
        "user",
        "hello\x00 \U0001f680",
        {"api_calls": 1, "free": [None, 1.5]},
    )
    assert added.at - s.created_at == timedelta(seconds=1)
    assert added.cursor is not None
    assert len(added.id) == 36


async def test_many_added_together_stand_together_in_one_commit(s: Session) -> None:
    before = (await s.state.snapshot()).version
    added = await s.messages.add_many(
        [{"role": "user", "content": "1"}, {"role": "tool", "content": "2", "metadata": {"a": 1}}]
    )
    assert (await s.state.snapshot()).version == before + 1
    assert await s.messages.list() == added
    assert await s.messages.add_many([]) == []
    assert (await s.state.snapshot()).version == before + 1


async def test_messages_added_at_once_from_everywhere_are_all_kept_in_one_order(stores: Stores) -> None:
    holds = [await stores.open() for _ in range(3)]
    await holds[0].sessions.create(id="s")
    sessions = [await hold.sessions.open("s") for hold in holds]
    await asyncio.gather(*[sessions[n % 3].messages.add("user", str(n)) for n in range(60)])
    listed = [await session.messages.list(limit=100) for session in sessions]
    assert listed[0] == listed[1] == listed[2]
    assert sorted(int(message.content) for message in listed[0]) == list(range(60))
    for n in range(3):
        own = [int(message.content) for message in listed[0] if int(message.content) % 3 == n]
        assert own == sorted(own)


async def test_last_is_the_newest_in_reading_order(s: Session) -> None:
    for n in range(5):
        await s.messages.add("user", str(n))
    assert [m.content for m in await s.messages.last(2)] == ["3", "4"]
    assert [m.content for m in await s.messages.last(99)] == ["0", "1", "2", "3", "4"]


@settings(max_examples=100)
@given(
    sizes=st.lists(st.integers(1, 3), max_size=6),
    limit=st.integers(1, 20),
    before=st.none() | st.integers(0, 17),
    after=st.none() | st.integers(0, 17),
    newest=st.booleans(),
)
def test_a_list_is_the_slice_of_the_conversation_between_two_places(
    sizes: list[int], limit: int, before: int | None, after: int | None, newest: bool
) -> None:
    async def main() -> None:
        async with Holdfast.over(MemoryKernel(), clock=ManualClock(), ids=SeededIds()) as hold:
            s = await hold.sessions.create(id="s")
            everything: list[Message] = []
            for size in sizes:
                everything += await s.messages.add_many([{"role": "user", "content": str(n)} for n in range(size)])
            inside = [
                message
                for place, message in enumerate(everything)
                if (before is None or before >= len(everything) or place < before)
                and (after is None or after >= len(everything) or place > after)
            ]
            bounds: dict[str, Any] = {}
            if before is not None and before < len(everything):
                bounds["before"] = everything[before]
            if after is not None and after < len(everything):
                bounds["after"] = everything[after].cursor
            found = await s.messages.list(limit=limit, order="newest" if newest else "oldest", **bounds)
            assert found == (inside[::-1] if newest else inside)[:limit]

    asyncio.run(main())


@pytest.mark.parametrize(
    "given_fields",
    [
        {"role": "", "content": "x"}, {"role": 3, "content": "x"}, {"role": "user", "content": 3},
        {"role": "user", "content": None}, {"role": "user", "content": b"x"}, {"role": "user", "content": "\ud800"},
        {"role": "user", "content": "x", "metadata": []}, {"role": "user", "content": "x", "metadata": ""},
        {"role": "user", "content": "x", "metadata": [("a", 1)]},
        {"role": "user", "content": "x", "metadata": {"a": {1}}}, {"role": "user", "content": "x", "metadata": {1: 1}},
    ],
)  # fmt: skip
async def test_what_cannot_be_stored_is_refused_whole(s: Session, given_fields: dict[str, Any]) -> None:
    extra = {key: value for key, value in given_fields.items() if key == "metadata"}
    with pytest.raises((InvalidValue, InvalidId)):
        await s.messages.add(given_fields["role"], given_fields["content"], **extra)
    with pytest.raises((InvalidValue, InvalidId)):
        await s.messages.add_many([{"role": "user", "content": "fine"}, given_fields])
    assert await s.messages.list() == []


@pytest.mark.parametrize(
    "many", ["ab", [3], [None], [{}], [{"role": "user"}], [{"role": "u", "content": "x", "id": "1"}], [["role"]]]
)
async def test_what_is_not_a_message_is_refused(s: Session, many: Any) -> None:
    with pytest.raises(HoldfastError):
        await s.messages.add_many(many)
    assert await s.messages.list() == []


@pytest.mark.parametrize("place", ["", "x", "zzz", "1.0", stamp(1, 0)[:-1], 3, b"x", object(), ["x"], True])
async def test_what_is_no_cursor_is_refused(s: Session, place: Any) -> None:
    for bounds in ({"before": place}, {"after": place}):
        with pytest.raises(InvalidValue):
            await s.messages.list(**bounds)


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "3", None, 10**9])
async def test_a_list_has_a_sensible_limit(s: Session, limit: Any) -> None:
    for call in (s.messages.list(limit=limit), s.messages.last(limit)):
        with pytest.raises(InvalidValue, match="limit"):
            await call


async def test_a_message_at_its_limit_is_kept_and_one_byte_more_refused(stores: Stores) -> None:
    hold = await stores.open(config=Config(messages=MessagesConfig(value_bytes_max=400)))
    s = await hold.sessions.create(id="s")
    size = 100
    while True:
        try:
            await s.messages.add("user", "x" * size)
        except TooLarge:
            break
        size += 1
    assert 250 < size < 400
    assert len(await s.messages.list(limit=1000)) == size - 100
    with pytest.raises(TooLarge):
        await s.messages.add("user", "x", metadata={"a": "x" * 400})


async def test_as_many_as_a_commit_may_hold_are_added_and_one_more_refused_also_from_an_endless_source(
    stores: Stores,
) -> None:
    def endless() -> Any:
        while True:
            yield {"role": "user", "content": "x"}

    hold = await stores.open(config=Config(limits=Limits(operations_max=5)))
    s = await hold.sessions.create(id="s")
    await s.messages.add_many([{"role": "user", "content": "x"}] * 5)
    for many in ([{"role": "user", "content": "x"}] * 6, endless()):
        with pytest.raises(TooLarge):
            await s.messages.add_many(many)
    assert len(await s.messages.list()) == 5


@pytest.mark.parametrize("messages", [5, None, "text", b"text", {"role": "user", "content": "x"}])
async def test_what_is_not_several_messages_is_refused(hold: Holdfast, messages: Any) -> None:
    s = await hold.sessions.create()
    with pytest.raises(InvalidValue) as refused:
        await s.messages.add_many(messages)
    assert refused.value.path == "messages"
