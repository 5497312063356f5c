"""The endpoint of examples/fastapi_turn.py answers each way to go wrong with the code that the how-to names."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import Context
from types import ModuleType
from typing import Any

import httpx
import pytest

from holdfast import Holdfast
from holdfast.testing.clock import ManualClock
from tests.docs.runner import ROOT


@pytest.fixture
def example() -> ModuleType:
    """The program, not run: with the app, and the model that each test may put another one for."""
    spec = importlib.util.spec_from_file_location("fastapi_turn", ROOT / "examples" / "fastapi_turn.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def hold(example: ModuleType, clock: ManualClock) -> AsyncIterator[Holdfast]:
    async with Holdfast.open("memory://", clock=clock) as hold:
        example.app.state.hold = hold
        yield hold


@pytest.fixture
async def client(example: ModuleType, hold: Holdfast) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(example.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat") as client:
        yield client


def send(
    client: httpx.AsyncClient, *, session: str = "s1", key: str | None = "req-1", body: object = None
) -> Coroutine[Any, Any, httpx.Response]:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(f"/sessions/{session}/messages", json=body or {"text": "hello"}, headers=headers)


async def meanwhile(
    example: ModuleType, client: httpx.AsyncClient, happens: Callable[[], Coroutine[Any, Any, object]]
) -> httpx.Response:
    """Send a request; while the model is asked, that happens."""

    async def model(text: str) -> str:
        await asyncio.create_task(happens(), context=Context())  # as if it came with another request
        return text

    example.model = model  # type: ignore[attr-defined]
    return await send(client)


async def test_a_request_is_answered_and_its_repetition_with_the_same(client: httpx.AsyncClient) -> None:
    replies = [await send(client) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 200]
    assert [reply.json() for reply in replies] == [{"answer": "HELLO", "replayed": flag} for flag in (False, True)]


@pytest.mark.parametrize(
    ("request_of", "code"),
    [
        ({"key": None}, 422),
        ({"key": ""}, 422),
        ({"key": "k" * 256}, 200),
        ({"key": "k" * 257}, 422),
        ({"session": "s" * 257}, 422),
        ({"session": "a%00b"}, 422),
        ({"body": {"text": 7}}, 422),
        ({"body": {"words": "hello"}}, 422),
        ({"body": {"text": "x" * 2_000_000}}, 413),
    ],
)
async def test_what_cannot_be_stored_is_the_clients_mistake(
    client: httpx.AsyncClient, hold: Holdfast, request_of: dict[str, object], code: int
) -> None:
    """And nothing of it is."""
    assert (await send(client, **request_of)).status_code == code  # type: ignore[arg-type]
    kept = await hold.sessions.open("s1")
    assert len(await kept.messages.list(limit=10)) == (2 if code == 200 else 0)


async def test_a_lone_surrogate_is_no_text(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "req-1", "Content-Type": "application/json"}
    reply = await client.post("/sessions/s1/messages", content=b'{"text": "\\ud800"}', headers=headers)
    assert reply.status_code == 422


async def test_a_request_that_waited_in_vain_is_to_be_sent_again(
    client: httpx.AsyncClient, hold: Holdfast, clock: ManualClock
) -> None:
    session = await hold.sessions.open("s1")
    async with session.claim(worker="another tab"):
        sending = asyncio.create_task(send(client))
        while not sending.done():
            await clock.elapse(1)
        reply = await sending
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")
    assert (await send(client)).json() == {"answer": "HELLO", "replayed": False}


async def test_a_request_that_was_superseded_is_told_so(
    example: ModuleType, client: httpx.AsyncClient, hold: Holdfast
) -> None:
    async def supersede() -> None:
        session = await hold.sessions.open("s1")
        async with session.turn(request_id="newer", busy="supersede") as turn:
            turn.output = "newer"

    assert (await meanwhile(example, client, supersede)).status_code == 409


async def test_a_session_that_is_deleted_while_it_answers_is_not_found(
    example: ModuleType, client: httpx.AsyncClient, hold: Holdfast
) -> None:
    reply = await meanwhile(example, client, lambda: hold.sessions.delete("s1"))
    assert reply.status_code == 404
    assert await hold.sessions.get("s1") is None
