"""Two users of one server: each request gets a face that finds only what its user owns."""

import asyncio

from holdfast import Holdfast, NotFound, Scope
from holdfast.handles.face import Principal


async def handle(own: Principal, session_id: str | None, text: str) -> str:
    """What a request handler does. It cannot reach another's session, whatever id it is sent."""
    s = await own.sessions.get(session_id) if session_id else await own.sessions.create()
    if s is None:
        return "404"
    await s.messages.add("user", text)
    return s.id


async def main() -> None:
    async with Holdfast.open("memory://") as hold:
        ada, bo = hold.as_principal(user="ada"), hold.as_principal(user="bo")
        adas = await handle(ada, None, "Plan a trip")
        print(f"ada has {adas}")
        assert await handle(ada, adas, "to Kyoto") == adas
        assert await handle(bo, adas, "let me in") == "404"
        assert [s.id async for s in bo.sessions.iterate()] == []
        try:
            await bo.state(Scope.session(adas)).set("note", "mine")
        except NotFound as missing:
            print(f"bo is told: {missing}")
        s = await ada.sessions.get(adas)
        assert s is not None
        assert [message.content for message in await s.messages.list()] == ["Plan a trip", "to Kyoto"]


asyncio.run(main())
