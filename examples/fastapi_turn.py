"""A chat endpoint that answers every request once: a client retries, and two tabs race.

Here the clients are part of the program. As a server: `pip install fastapi httpx uvicorn`,
then `uvicorn fastapi_turn:app` in this folder, and the store is HOLDFAST_URL.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Header, HTTPException, Request
from pydantic import BaseModel

from holdfast import Busy, Conflict, Holdfast, LeaseLost, NotFound
from holdfast.errors import InvalidId, InvalidValue, TooLarge

asked: list[str] = []


async def model(text: str) -> str:
    """What is slow and costs money: it is to be asked once for each request."""
    asked.append(text)
    await asyncio.sleep(0.05)
    return text.upper()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Holdfast.open(os.environ.get("HOLDFAST_URL", "memory://")) as hold:
        app.state.hold = hold
        yield


app = FastAPI(lifespan=lifespan)


class Message(BaseModel):
    text: str


@app.post("/sessions/{session_id}/messages")
async def chat(
    session_id: str, message: Message, request: Request, idempotency_key: str = Header()
) -> dict[str, object]:
    """The client names each request by a header, and sends the same name when it sends it again."""
    try:
        session = await request.app.state.hold.sessions.open(session_id)
        async with session.turn(request_id=idempotency_key, ttl="8s", wait="10s") as turn:
            if not turn.replayed:
                await turn.messages.add("user", message.text)
                answer = await turn.step("answer", model, message.text)
                await turn.messages.add("assistant", answer)
                turn.output = answer
    except (Busy, Conflict) as later:
        raise HTTPException(503, str(later), headers={"Retry-After": "1"}) from later
    except LeaseLost as lost:
        raise HTTPException(409, str(lost)) from lost
    except NotFound as gone:  # the session was deleted meanwhile
        raise HTTPException(404, str(gone)) from gone
    except TooLarge as large:
        raise HTTPException(413, str(large)) from large
    except (InvalidId, InvalidValue) as wrong:
        raise HTTPException(422, str(wrong)) from wrong
    return {"answer": turn.output, "replayed": turn.replayed}


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HOLDFAST_URL"] = f"sqlite:///{folder}/chats.db"
        transport = httpx.ASGITransport(app)
        async with lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://chat") as client:

            async def send(key: str, text: str) -> dict[str, object]:
                reply = await client.post(
                    "/sessions/s1/messages", json={"text": text}, headers={"Idempotency-Key": key}
                )
                reply.raise_for_status()
                answer: dict[str, object] = reply.json()
                return answer

            first = await send("req-1", "hello")
            again = await send("req-1", "hello")  # the answer was lost on its way, so the client asks again
            print("a retry:", first["answer"], again["answer"], "asked", len(asked), "time")

            tabs = await asyncio.gather(send("req-2", "from one tab"), send("req-3", "from the other"))
            print("two tabs:", *sorted(str(tab["answer"]) for tab in tabs))

            twice = await asyncio.gather(send("req-4", "impatient"), send("req-4", "impatient"))  # a double click
            print(
                "a double click: replayed", sorted(bool(one["replayed"]) for one in twice), "asked", len(asked), "times"
            )

            session = await app.state.hold.sessions.get("s1")
            said = [one.role for one in await session.messages.list(limit=20)]
            print("every question stands before its answer:", said == ["user", "assistant"] * 4)


if __name__ == "__main__":
    asyncio.run(main())
