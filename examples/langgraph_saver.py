"""A LangGraph graph that keeps its checkpoints in Holdfast: it stops for a person, and goes on in another process."""

import asyncio
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from holdfast import Holdfast
from holdfast.adapters.langgraph import HoldfastSaver


class Trip(TypedDict, total=False):
    city: str
    price: int
    approved: bool


def search(state: Trip) -> Trip:
    print(f"  looking for a fare to {state['city']}")
    return {"price": 900}


def ask(state: Trip) -> Trip:
    return {"approved": interrupt(f"Pay {state['price']} € for {state['city']}?") == "yes"}


def planner(hold: Holdfast) -> Any:
    graph = StateGraph(Trip)
    graph.add_node("search", search)
    graph.add_node("ask", ask)
    graph.add_edge(START, "search")
    graph.add_edge("search", "ask")
    graph.add_edge("ask", END)
    return graph.compile(checkpointer=HoldfastSaver(hold))


async def main() -> None:
    config: Any = {"configurable": {"thread_id": "trip-1"}}
    async with Holdfast.open("sqlite:///langgraph.db") as hold:
        await hold.sessions.delete("trip-1")
        print("A first process:")
        stopped = await planner(hold).ainvoke({"city": "Kyoto"}, config)
        print(f"  it asks: {stopped['__interrupt__'][0].value}")

    async with Holdfast.open("sqlite:///langgraph.db") as hold:
        print("Another one, later:")
        done = await planner(hold).ainvoke(Command(resume="yes"), config)
        assert done == {"city": "Kyoto", "price": 900, "approved": True}
        print(f"  approved: {done['approved']}")

        session = await hold.sessions.get("trip-1")  # the thread is a session like any other
        assert session is not None
        await session.state.set("paid", True)
        steps = [found.metadata["step"] async for found in HoldfastSaver(hold).alist(config)]
        print(f"  its checkpoints, newest first: {steps}")


if __name__ == "__main__":
    asyncio.run(main())
