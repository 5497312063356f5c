"""A LangGraph graph that books a trip, and the process that is killed in the middle of it.

    python -m tests.adapters.graphs URL FOLDER

What a node did stands in a file of the folder, so that a node which ran twice is seen.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from holdfast import Holdfast
from holdfast.adapters.langgraph import HoldfastSaver

CONFIG: Any = {"configurable": {"thread_id": "trip"}}


class Trip(TypedDict, total=False):
    """What the graph's nodes change."""

    city: str
    price: int
    done: Annotated[list[str], add]


def booking(saver: BaseCheckpointSaver[Any], folder: Path, *, in_car: Callable[[], None] | None = None) -> Any:
    """search, then hotel and car side by side, then ask a person, then pay.

    A file "kill" in the folder ends the process in `pay`; `in_car` is called in `car`.
    """

    def ran(node: str) -> None:
        with open(folder / "ran", "a") as file:
            file.write(node + "\n")

    def search(state: Trip) -> Trip:
        ran("search")
        return {"price": 900, "done": ["search"]}

    def hotel(state: Trip) -> Trip:
        ran("hotel")
        return {"done": ["hotel"]}

    def car(state: Trip) -> Trip:
        ran("car")
        if in_car is not None:
            in_car()
        return {"done": ["car"]}

    def ask(state: Trip) -> Trip:
        answer = interrupt(f"Pay {state['price']} € for {state['city']}?")
        ran("ask")
        return {"done": [str(answer)]}

    def pay(state: Trip) -> Trip:
        if (folder / "kill").exists():
            os.kill(os.getpid(), 9)
        ran("pay")
        return {"done": ["pay"]}

    graph = StateGraph(Trip)
    for node in (search, hotel, car, ask, pay):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "search")
    graph.add_edge("search", "hotel")
    graph.add_edge("search", "car")
    graph.add_edge(["hotel", "car"], "ask")
    graph.add_edge("ask", "pay")
    graph.add_edge("pay", END)
    return graph.compile(checkpointer=saver)


def ran(folder: Path) -> list[str]:
    """The nodes that ran, in order."""
    path = folder / "ran"
    return path.read_text().split() if path.exists() else []


async def main(url: str, folder: Path) -> None:
    """Answer the person's question, and be killed while paying."""
    async with Holdfast.open(url) as hold:
        await booking(HoldfastSaver(hold), folder).ainvoke(Command(resume="yes"), CONFIG, durability="sync")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
