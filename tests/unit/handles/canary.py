"""Text that is to be found nowhere any more: written wherever a user's text can go, and looked for where it is kept."""

from __future__ import annotations

import gc
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from holdfast import Holdfast, Scope, Session, Usage
from holdfast.backends.postgres import Settings
from holdfast.backends.postgres.connections import connect
from tests.unit.handles.canary_work import work

CANARY = "canary-9e4c"


async def fill(
    hold: Holdfast,
    user: str,
    *,
    id: str | None = None,
    text: str = CANARY,
    names: str = CANARY,
    secret: str | None = None,
) -> Session:
    """A session of that user with a text in every place, short and long, written, overwritten and deleted; and in the
    user's scope. `names` is what keys, namespaces, areas and ids of requests are made of; the `secret` stands in a
    variable of each level."""
    c = text
    with hold.acting(by=f"{c}-by", trace_id=f"{c}-trace"):
        s = await hold.sessions.create(
            id=id, user=user, app=f"{c}-app", agent=f"{c}-agent", mode=f"{c}-mode", channel=f"{c}-channel",
            task=f"{c} task", tags=[f"{c}-tag"], metadata={f"{c}-field": c}, ttl="2h",
        )  # fmt: skip
        for area in (s.state, s.temp, s.user_state):
            await area.set(f"{names}-key", f"{c} short")
            await area.set("long", [f"{c} {n}" for n in range(300)])
            await area.set("long", "overwritten")
            await area.delete(f"{names}-key")
            await area.set("stays", c)
        await s.runtime.set(f"{names}-key", c)
        await s.variables.set(f"{names}-name", [f"{c} {n}" for n in range(300)], level="run", run=f"{names}-run")
        await hold.variables(Scope.user(user)).set(f"{names}-name", c)
        await hold.state(Scope.user(user), f"{names}-namespace").set(f"{names}-key", c)
        await s.messages.add("user", f"{c} says", metadata={"m": c})
        await s.log(f"{c}-type", {"what": c})
        await s.log_tool_call(f"{c}-tool", arguments={"in": c}, result=c)
        await s.log_learning(c, source=c)
        await s.emit(f"{c}-token", c)
        await s.area(f"{names}-area").write({f"{names}-key": c.encode()})
        async with s.iterate(data=c, reserve=Usage(tokens=5)):
            pass
        async with s.turn(request_id=f"{names}-request") as turn:
            await turn.step(f"{c}-step", _answer, c)
            await turn.state.set("in a turn", c)
            turn.output = {"said": c}
        await work(hold, s, text=c, names=names)
        if secret is not None:
            await _hide(s, secret, names)
        async with s.claim(worker=f"{c}-worker"):
            pass
        await s.pause(f"{c} reason")
        await s.resume()
        await s.update(metadata={"later": c}, tags=[f"{c}-later"])
        await s.complete({"result": c})
    return s


async def _hide(s: Session, secret: str, names: str) -> None:
    for level in ("session", "user", "global"):
        await s.variables.set(f"{names}-secret", f"{secret} {level}", secret=True, level=level)
    for level in ("run", "workflow", "node"):
        await s.variables.set(
            f"{names}-secret", f"{secret} {level}", secret=True, level=level, run=f"{names}-run-{s.id}",
            workflow=f"{names}-workflow", node=f"{names}-a",
        )  # fmt: skip


async def _answer(text: str) -> str:
    return text


def in_files(folder: Path, text: str = CANARY) -> list[str]:
    """The files of a folder in which the text stands."""
    forms = (text.encode(), text.encode("utf-16-le"), text.encode().hex().encode())
    return sorted(path.name for path in folder.iterdir() if any(form in path.read_bytes() for form in forms))


async def in_tables(settings: Settings, text: str = CANARY) -> list[str]:
    """The tables of a schema in which the text stands."""
    connection = await connect(settings, "a test", None)
    found = []
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", settings.schema)
        for (table,) in sorted(tables):
            rows = await connection.fetch(f"SELECT t::text FROM {settings.schema}.{table} t")
            if any(text.encode().hex() in row[0] or text in row[0] for row in rows):
                found.append(table)
    finally:
        await connection.close(timeout=1)
    return found


def in_memory(root: object, text: str = CANARY) -> list[Any]:
    """What is reachable from an object, but for code, and has the text in it."""
    raw = text.encode()
    seen: set[int] = set()
    found: list[Any] = []
    waiting: list[Any] = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType, FunctionType)):
            continue
        seen.add(id(one))
        if (isinstance(one, str) and text in one) or (isinstance(one, bytes | bytearray) and raw in one):
            found.append(one)
        waiting += gc.get_referents(one)
        if not gc.is_tracked(one):  # structs that the collector does not know of
            waiting += [getattr(one, name) for name in getattr(one, "__struct_fields__", ())]
    return found
