"""What simulated, concurrent and killed clients do: operations on the public surface, each noted for the checker.

A `Place` names what they share: sessions (deleted and made again), and accounts whose sum never changes. Each
operation is a method of `Client`; `step` does one at random. Values written are unique, as the checker asks for.

What a call may answer under faults (a conflict, a deleted session, an unavailable store, an unknown outcome) ends the
operation and is noted; anything else is raised, for it is a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, TypeVar

from holdfast.errors import AlreadyExists, Conflict, Indeterminate, NotFound, Unavailable
from holdfast.handles.session import Session
from holdfast.handles.state import State
from holdfast.handles.transaction import SessionTransaction, Transaction
from holdfast.hold import Holdfast
from holdfast.model.scope import Scope
from holdfast.testing.history import Effect
from holdfast.testing.place import Place
from holdfast.testing.recording import Recorder, Recording

B = TypeVar("B", Transaction, SessionTransaction)

EXPECTED = (AlreadyExists, Conflict, Indeterminate, NotFound, Unavailable)
"""Answers that a call may give when others write the same, or the store is hard to reach."""

BALANCE = 100
"""What each account has in the beginning."""


class Client:
    """One client: does one operation after the other on one opened store."""

    def __init__(self, name: str, hold: Holdfast, place: Place, recorder: Recorder, random: Random) -> None:
        self.name = name
        self.hold = hold
        self.place = place
        self.done: Counter[str] = Counter()
        """How often each operation was acknowledged."""
        self.refused: Counter[str] = Counter()
        """How often an operation ended with each error."""
        self._recorder = recorder
        self._random = random
        self._handles: dict[str, Session] = {}
        self._own: dict[str, tuple[int, Any]] = {}  # session -> version and value of what this client last set there
        self._menu: Sequence[Callable[[], Awaitable[None]]] = (
            self.count, self.count, self.put, self.put_expected, self.say, self.say, self.say_after_reading,
            self.note, self.run, self.transfer, self.transfer, self.audit, self.look, self.snapshot,
            self.remove, self.describe, self.end, self.revive, self.both,
        )  # fmt: skip

    async def step(self) -> None:
        """One operation, chosen at random."""
        await self.attempt(self._random.choice(self._menu))

    async def attempt(self, operation: Callable[[], Awaitable[None]]) -> bool:
        """One operation; True if it was acknowledged."""
        try:
            await operation()
        except EXPECTED as answer:
            self.refused[type(answer).__name__] += 1
            if isinstance(answer, NotFound):
                self._handles.clear()
            return False
        self.done[operation.__name__] += 1
        return True

    # --- the beginning ----------------------------------------------------------------------------

    async def found(self) -> None:
        """Make the accounts and sessions, where there are none."""
        for user in self.place.accounts:
            await self._insist(lambda user=user: self._open_account(user))  # type: ignore[misc]
        for id in self.place.sessions:
            await self._insist(lambda id=id: self._create(id))  # type: ignore[misc]

    async def _insist(self, make: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await make()
            except (AlreadyExists, Conflict):
                return
            except (Indeterminate, Unavailable):
                continue

    async def _open_account(self, user: str) -> None:
        scope = Scope.user(user)
        with self._operation() as operation:
            value = [BALANCE, operation.id]
            operation.attempt(
                reads={str(scope): {_key("balance"): None}}, writes={str(scope): [_set("balance", value)]}
            )
            seq = await self.hold.state(scope).set("balance", value, if_version=0)
            operation.acknowledged({str(scope): seq})

    async def _create(self, id: str) -> None:
        scope = f"session/{id}"
        with self._operation() as operation:
            metadata = {"op": operation.id, "life": operation.id}
            begun = [Effect("set", "session", metadata), Effect("append", "event", "start")]
            operation.attempt(reads={scope: {"session": None}}, writes={scope: begun})
            made = await self.hold.sessions.create(id=id, user=self._random.choice(["ada", "bo"]), metadata=metadata)
            operation.acknowledged({scope: made.version})

    # --- one key of one session -------------------------------------------------------------------

    async def count(self) -> None:
        """Add one to a shared counter: read, change, write."""
        session, scope = await self._session()
        with self._operation() as operation:

            def add(old: Any) -> Any:
                new = [old[0] + 1 if old else 1, operation.id]
                operation.attempt(
                    reads={scope: {_key("count"): old, **_life(session)}}, writes={scope: [_set("count", new)]}
                )
                return new

            await session.state.mutate("count", add)

    async def put(self) -> None:
        """Set a key without a read."""
        session, scope = await self._session()
        with self._operation() as operation:
            operation.attempt(reads={scope: _life(session)}, writes={scope: [_set("put", operation.id)]})
            version = await session.state.set("put", operation.id)
            operation.acknowledged({scope: version})
        self._own[scope] = version, operation.id

    async def put_expected(self) -> None:
        """Set a key only if nobody has since this client did."""
        session, scope = await self._session()
        version, value = self._own.get(scope, (0, None))
        with self._operation() as operation:
            reads = {_key("put"): value, **_life(session)}
            operation.attempt(reads={scope: reads}, writes={scope: [_set("put", operation.id)]})
            version = await session.state.set("put", operation.id, if_version=version)
            operation.acknowledged({scope: version})
        self._own[scope] = version, operation.id

    async def remove(self) -> None:
        """Delete a key if it is there."""
        session, scope = await self._session()

        async def body(tx: SessionTransaction, operation: Recording) -> None:
            value = await tx.state.get("put")
            operation.attempt(
                reads={scope: {_key("put"): value, **(_life(session) if value else {})}},
                writes={scope: [Effect("delete", _key("put"))]} if value else {},
            )
            await tx.state.delete("put")

        await self._transact(session.transact, (scope,), body)

    async def run(self) -> None:
        """Set a key of the runtime state."""
        session, scope = await self._session()
        with self._operation() as operation:
            operation.attempt(
                reads={scope: _life(session)}, writes={scope: [Effect("set", "runtime/step", operation.id)]}
            )
            operation.acknowledged({scope: await session.runtime.set("step", operation.id)})

    # --- appends ----------------------------------------------------------------------------------

    async def say(self) -> None:
        """Append one or two messages, in one commit."""
        session, scope = await self._session()
        with self._operation() as operation:
            contents = [f"{operation.id}/{n}" for n in range(self._random.choice([1, 1, 2]))]
            operation.attempt(
                reads={scope: _life(session)},
                writes={scope: [Effect("append", "message", content) for content in contents]},
            )
            added = await session.messages.add_many([{"role": "user", "content": content} for content in contents])
            operation.acknowledged({scope: int(str(added[0].cursor).partition(".")[0])})

    async def say_after_reading(self) -> None:
        """Append a message that depends on all that were there."""
        session, scope = await self._session()

        async def body(tx: SessionTransaction, operation: Recording) -> None:
            before = [message.content for message in await tx.messages.list(limit=10_000)]
            operation.attempt(
                reads={scope: {"message": before, **_life(session)}},
                writes={scope: [Effect("append", "message", operation.id)]},
            )
            await tx.messages.add("assistant", operation.id)

        await self._transact(session.transact, (scope,), body)

    async def note(self) -> None:
        """Append to the session's event log."""
        session, scope = await self._session()
        with self._operation() as operation:
            operation.attempt(reads={scope: _life(session)}, writes={scope: [Effect("append", "event", operation.id)]})
            event = await session.log("noted", operation.id)
            operation.acknowledged({scope: int(str(event.cursor).partition(".")[0])})

    # --- several scopes ---------------------------------------------------------------------------

    async def transfer(self) -> None:
        """Move an amount between two accounts."""
        giver, taker = (Scope.user(user) for user in self._random.sample(self.place.accounts, 2))
        amount = self._random.randint(1, 20)

        async def body(tx: Transaction, operation: Recording) -> None:
            given = await tx.state(giver).get("balance")
            taken = await tx.state(taker).get("balance")
            less, more = [given[0] - amount, operation.id], [taken[0] + amount, operation.id]
            operation.attempt(
                reads={str(giver): {_key("balance"): given}, str(taker): {_key("balance"): taken}},
                writes={str(giver): [_set("balance", less)], str(taker): [_set("balance", more)]},
            )
            await tx.state(giver).set("balance", less)
            await tx.state(taker).set("balance", more)

        await self._across((str(giver), str(taker)), body)

    async def both(self) -> None:
        """Append to a session and count in an account's scope, in one commit."""
        user, id = Scope.user(self._random.choice(self.place.accounts)), self._random.choice(self.place.sessions)
        scope = f"session/{id}"

        async def body(tx: Transaction, operation: Recording) -> None:
            old = await tx.state(user).get("count")
            new = [old[0] + 1 if old else 1, operation.id]
            operation.attempt(
                reads={str(user): {_key("count"): old}},
                writes={str(user): [_set("count", new)], scope: [Effect("append", "message", operation.id)]},
            )
            await tx.state(user).set("count", new)
            await tx.session(id).messages.add("user", operation.id)

        await self._across((str(user), scope), body)

    async def audit(self) -> None:
        """Read all accounts as of one moment. Their sum never changes."""
        scopes = [Scope.user(user) for user in self.place.accounts]
        with self._operation() as operation:
            if self.place.one_cut:
                values = await self.hold.state_many(scopes)
                balances = [values[scope]["balance"] for scope in scopes]
            else:
                balances = await self.hold.transact(
                    lambda tx: _read_in_turn([tx.state(scope) for scope in scopes], "balance"), attempts=5
                )
            seen = zip(scopes, balances, strict=True)
            operation.attempt(reads={str(scope): {_key("balance"): balance} for scope, balance in seen})
        total = sum(balance for balance, _ in balances)
        if total != BALANCE * len(scopes):
            raise AssertionError(f"the accounts {balances} of one moment make {total}")

    # --- looking ----------------------------------------------------------------------------------

    async def look(self) -> None:
        """Read one thing of a session."""
        session, scope = await self._session()
        with self._operation() as operation:
            match self._random.randrange(3):
                case 0:
                    operation.attempt(reads={scope: {_key("count"): await session.state.get("count")}})
                case 1:
                    contents = [message.content for message in await session.messages.list(limit=10_000)]
                    operation.attempt(reads={scope: {"message": contents}})
                case _:
                    operation.attempt(reads={scope: {"runtime/step": await session.runtime.get("step")}})

    async def snapshot(self) -> None:
        """Read all state of a session, as of the version it names."""
        session, scope = await self._session()
        with self._operation() as operation:
            snap = await session.state.snapshot()
            seen = {_key(key): snap.values.get(key) for key in ("count", "put")}
            operation.attempt(reads={scope: seen}, at_seq={scope: snap.version})

    # --- the life of sessions ---------------------------------------------------------------------

    async def describe(self) -> None:
        """Change a session's record."""
        session, scope = await self._session()
        with self._operation() as operation:
            metadata = {"op": operation.id, **_life(session)}
            operation.attempt(reads={scope: _life(session)}, writes={scope: [Effect("set", "session", metadata)]})
            updated = await session.update(metadata={"op": operation.id})
            operation.acknowledged({scope: updated.version})

    async def end(self) -> None:
        """Delete a session, now and then, with everything in it."""
        id = self._random.choice(self.place.sessions)
        if self._random.random() < 0.3:
            with self._operation() as operation:
                operation.attempt(writes={f"session/{id}": [Effect("drop", "")]})
                if not await self.hold.sessions.delete(id):
                    operation.attempt()

    async def revive(self) -> None:
        """Make a session again if it was deleted."""
        id = self._random.choice(self.place.sessions)
        with self._operation() as operation:
            found = await self.hold.sessions.get(id)
            operation.attempt(reads={f"session/{id}": {"session": None if found is None else found.metadata}})
        if found is None:
            await self._create(id)

    # --- the frame of an operation ----------------------------------------------------------------

    @contextmanager
    def _operation(self) -> Iterator[Recording]:
        """Note the block as one operation, and mark its commits as caused by it."""
        noted = self._recorder.operation(self.name)
        with noted as operation, self.hold.acting(by=self.name, trace_id=operation.id):
            yield operation

    async def _session(self) -> tuple[Session, str]:
        """A session, often by a handle kept from earlier: it must not reach what was made since under the same id."""
        id = self._random.choice(self.place.sessions)
        kept = self._handles.get(id)
        if kept is not None and self._random.random() < 0.5:
            return kept, f"session/{id}"
        found = await self.hold.sessions.get(id)
        if found is None:
            raise NotFound(f"session {id} is deleted at present", scope=f"session/{id}")
        self._handles[id] = found
        return found, f"session/{id}"

    async def _across(self, scopes: Sequence[str], body: Callable[[Transaction, Recording], Awaitable[None]]) -> None:
        await self._transact(self.hold.transact, scopes, body)

    async def _transact(
        self,
        transact: Callable[..., Awaitable[Any]],
        scopes: Sequence[str],
        body: Callable[[B, Recording], Awaitable[None]],
    ) -> None:
        last: list[B] = []
        with self._operation() as operation:

            async def run(tx: B) -> None:
                last[:] = [tx]
                await body(tx, operation)

            await transact(run, attempts=5)
            operation.acknowledged(_versions(last[0], scopes))


async def _read_in_turn(places: Sequence[State], key: str) -> list[Any]:
    return [await state.get(key) for state in places]


def _versions(tx: Transaction | SessionTransaction, scopes: Sequence[str]) -> dict[str, int]:
    found = {scope: tx.version(Scope.parse(scope)) for scope in scopes}
    return {scope: version for scope, version in found.items() if version is not None}


def _life(session: Session) -> dict[str, Any]:
    """The claim to write to the session that this handle was fetched from, not to another of the same id."""
    return {"life": session.metadata["life"]}


def _key(name: str) -> str:
    return f"state//{name}"


def _set(name: str, value: Any) -> Effect:
    return Effect("set", _key(name), value)


__all__ = ["BALANCE", "EXPECTED", "Client"]
