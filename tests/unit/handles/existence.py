"""What a transaction should make of one session that may be missing: the same steps, one after the other, on a dict.

    seen        what each step answered in the transaction, a write that was staged counting as done
    replayed    what each would have answered, had the whole run alone at the moment of the commit

It may commit exactly if both are the same; else it fails, with an error that says why.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from contextvars import Context
from random import Random

from holdfast import AlreadyExists, Conflict, Holdfast, NotFound, Scope
from holdfast.errors import HoldfastError, Unsupported
from holdfast.handles.surface import SessionSurface
from holdfast.handles.transaction import Transaction

Values = dict[str, object]

STEPS = ("get", "set", "mutate", "update", "create", "delete", "get kept", "set kept")
"""By a handle made at that moment, or by one that is kept from the beginning, or from when the session was created."""


class Alone:
    """The steps on a session that nobody else uses."""

    def __init__(self, values: Values | None) -> None:
        self.values = None if values is None else dict(values)
        self._stored = values is not None
        self._dropped = False
        self._life = 0
        self._kept: int | None = None

    def take(self, step: str, n: int) -> object:
        name, _, kept = step.partition(" ")
        if name == "create":
            return self._create()
        if name == "delete":
            there, self._dropped = self.values is not None, self._dropped or (self.values is not None and self._stored)
            self._life += there
            self.values = None
            return there
        ended = self._life > 0 and self.values is None
        if kept and not ended:
            self._kept = self._life if self._kept is None else self._kept
        if self.values is None or (kept and self._kept != self._life):
            return NotFound
        match name:
            case "get":
                return self.values.get("k")
            case "set":
                self.values["k"] = n
            case "mutate":
                self.values["k"] = [self.values.get("k"), n]
            case "update":
                self.values["record"] = n
        return None

    def _create(self) -> object:
        if self.values is not None:
            return AlreadyExists
        if self._dropped:
            return Unsupported
        self.values, self._stored, self._kept = {}, False, self._life
        return None


async def take(tx: Transaction, id: str, step: str, n: int, kept: list[SessionSurface]) -> object:
    """The same step in a transaction."""
    surface = kept[-1] if step.endswith("kept") else tx.session(id)
    match step.split()[0]:
        case "get":
            return await surface.state.get("k")
        case "set":
            await surface.state.set("k", n)
        case "mutate":
            await surface.state.mutate("k", lambda old: [old, n])
        case "update":
            await tx.sessions.update(id, metadata={"record": n})
        case "create":
            kept.append(await tx.sessions.create(id=id))
        case "delete":
            return await tx.sessions.delete(id)
    return None


async def play(hold: Holdfast, rival: Holdfast, id: str, steps: Sequence[str], *, exists: bool, at: int | None) -> None:
    """Take the steps in a transaction; before step `at` somebody else creates the session, or deletes it."""
    if exists:
        await (await hold.sessions.create(id=id)).state.set("k", "old")
    seen: list[object] = []
    outcome: type[HoldfastError] | None = None
    try:
        async with hold.transaction() as tx:
            kept = [tx.session(id)]
            for n, step in enumerate((*steps, None)):
                if n == at:
                    meddle = rival.sessions.delete(id) if exists else rival.sessions.create(id=id)
                    await asyncio.create_task(meddle, context=Context())
                if step is not None:
                    try:
                        seen.append(await take(tx, id, step, n, kept))
                    except (NotFound, AlreadyExists, Unsupported) as refused:
                        seen.append(type(refused))
    except (NotFound, AlreadyExists, Conflict) as failed:
        outcome = type(failed)
    there = exists if at is None else not exists
    before: Values | None = None if not there else {"k": "old"} if exists else {}
    alone = Alone(before)
    replayed = [alone.take(step, n) for n, step in enumerate(steps)]
    case = f"{steps} exists={exists} at={at}: seen {seen}, alone {replayed}, {outcome}"
    assert (outcome is None) == (seen == replayed), case
    if outcome is Conflict:
        assert at is not None, case
    elif outcome is not None:
        assert outcome in [b for a, b in zip(seen, replayed, strict=True) if a is None], case
    expected = alone.values if outcome is None else before
    assert await stored(hold, id) == expected, case


async def stored(hold: Holdfast, id: str) -> Values | None:
    """What there is of a session: its state, and what its record says."""
    session = await hold.sessions.get(id)
    if session is None:
        return None
    return {**(await hold.state(Scope.session(id)).snapshot()).values, **session.metadata}


def short_plays(length_max: int) -> list[tuple[tuple[str, ...], bool, int | None]]:
    """Every play of up to so many steps."""
    return [
        (steps, exists, at)
        for length in range(1, length_max + 1)
        for steps in itertools.product(STEPS, repeat=length)
        for exists in (False, True)
        for at in (None, *range(length + 1))
    ]


def longer_plays(count: int, seed: int) -> list[tuple[tuple[str, ...], bool, int | None]]:
    """Some of three to seven steps."""
    chance = Random(seed)
    plays = []
    for _ in range(count):
        steps = tuple(chance.choices(STEPS, k=chance.randint(3, 7)))
        plays.append((steps, chance.random() < 0.5, chance.choice([None, *range(len(steps) + 1)])))
    return plays
