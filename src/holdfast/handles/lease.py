"""Taking a session exclusively: at once where it is free, by waiting in the order of arrival, or from who holds it.

    free, and nobody waits            one read, one commit
    held, busy="queue"                a ticket, then a look whenever the claim or a ticket moves; the first takes it
    held, busy="reject"               Busy
    held, busy="supersede"            taken at once: whatever the older holder still sends is refused
    held by who beats no more         taken, once that was watched for the claim's ttl by this process's own clock, or
                                      at once where the last beat is older than `claim.silent_us` by the wall

Who waits behind a ticket whose process beats no more removes it, by the same rule.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from holdfast.errors import Busy, InvalidValue, shown
from holdfast.handles.fence import lease_lost, why_lost
from holdfast.handles.keeper import Keeper, keeper_of
from holdfast.handles.store import Store
from holdfast.handles.unit import Target, explain
from holdfast.kernel.commit import Cell, Committed, Head, Present, Range, Read, Untouched, stamp
from holdfast.kernel.follower import Follower
from holdfast.kernel.live import Live
from holdfast.kernel.part import missing
from holdfast.kernel.work import Work
from holdfast.model import claim as model
from holdfast.model.claim import ClaimRecord, Ticket
from holdfast.model.duration import Duration, to_seconds
from holdfast.model.moment import to_datetime
from holdfast.services import claim

LOOKS_PER_TTL = 4
"""How often who waits looks after the beat of who is in front, while that one's ttl lasts."""


class Terms(Struct, frozen=True):
    """How a session is to be taken."""

    busy: model.Busy
    wait_s: float | None
    ttl_s: float
    worker: str | None = None
    request: str | None = None


def terms(
    busy: model.Busy, wait: Duration | None, ttl: Duration, *, worker: str | None = None, request: str | None = None
) -> Terms:
    """The terms, checked. Raises InvalidValue."""
    if busy not in model.WAYS:
        raise InvalidValue(f"busy must be one of {', '.join(model.WAYS)}, not {shown(busy)}", path="busy")
    wait_s = None if wait is None else to_seconds(wait, "wait")
    ttl_s = to_seconds(ttl, "ttl")
    if ttl_s < model.TTL_MIN_S:
        raise InvalidValue(f"ttl must be {model.TTL_MIN_S * 1000:g} ms or longer, not {shown(ttl)}", path="ttl")
    return Terms(busy, wait_s, ttl_s, worker, request)


class Lease:
    """A session held. `token` is the version of its claim."""

    def __init__(
        self, keeper: Keeper, store: Store, target: Target, *, cell: str, token: int, ttl_s: float, sent_s: float
    ) -> None:
        self.store = store
        self.scope = target.scope
        self.cell = cell
        self.token = token
        self._target = target
        self._keeper = keeper
        self._ttl_s = ttl_s
        self._sent_s = sent_s
        self._over = ""
        keeper.keep(self, ttl_s, self._keep_alive)

    def check(self) -> None:
        """Raise LeaseLost where it is known to be over: given back, or not renewed for its ttl."""
        if not self._over:
            sent_s, renewed_s = self._sent_s, self._keeper.renewed_s
            since_s = self.store.clock.monotonic_s() - (sent_s if sent_s > renewed_s else renewed_s)
            if since_s <= self._ttl_s:
                return
            self._over = f"it could not be renewed for {since_s:.3g} s, longer than its ttl"
        raise lease_lost(self.scope, self._over, cell=self.cell)

    async def _keep_alive(self) -> None:
        """Let the session live as long as this lease would from now on, and a while longer, if it would expire before.

        So it is not done with every beat, and where one fails there is time for the next.
        """
        store = self.store
        if not self.scope.startswith(store.deadlines.prefix):
            return  # of a run alone: nothing expires
        if not store.deadlines.knows(self.scope):
            await store.work().peek([Read(self.scope)])
        now_us, ttl_us = store.now_us(), round(self._ttl_s * 1_000_000)
        if self._over or not store.deadlines.are_to_move(self.scope, now_us, now_us + ttl_us):
            return
        work = store.work()
        work.ask(self.scope, "must_exist", epoch=self._target.epoch)
        claim.fence(work, self.scope, self.token, cell=self.cell)
        work.touch(self.scope, least_us=claim.kept_to_us(now_us, ttl_us))
        await work.commit()  # refused: it is held no more

    def is_lost(self, why: str) -> None:
        """A write of its holder was refused: so will be every other."""
        self._over = self._over or why

    def end(self) -> None:
        """It was given back, in a commit of its holder's or by `give_back`."""
        self._over = self._over or "it was given back"
        self._keeper.leave(self)

    async def give_back(self) -> str | None:
        """Give it back; why it was not held any more, if so. Done even if this task is cancelled meanwhile."""
        self.end()
        why: str | None = None

        async def clean() -> None:
            nonlocal why
            work = _unit(self.store, self._target)
            claim.fence(work, self.scope, self.token, cell=self.cell)
            claim.give_back(work, self.scope, cell=self.cell)
            outcome = await work.commit()
            if not isinstance(outcome, Committed):
                why = why_lost(outcome) or "its session was deleted"

        await self._keeper.now_or_later(clean)
        return why


class Standing(Struct, frozen=True):
    """How a session stands: who holds it, who waits, and what else was asked for."""

    head: Head
    held: Cell | None
    tickets: tuple[Cell, ...]
    more: tuple[Cell, ...]


class Taking:
    """One attempt to take a session."""

    def __init__(
        self, store: Store, target: Target, terms: Terms, *, cell: str = claim.CELL, more: Range | None = None
    ) -> None:
        self._store = store
        self._target = target
        self._scope = target.scope
        self._terms = terms
        self._cell = cell
        self._more = more
        self._keeper = keeper_of(store)
        self._ticket: str | None = None
        self._follower: Follower | None = None
        self._moved = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._until_s = None if terms.wait_s is None else store.clock.monotonic_s() + terms.wait_s

    async def run(self, *, unless: Callable[[Standing], bool] | None = None) -> tuple[Lease | None, Standing]:
        """Take it, unless what was read says that there is no need. Raises Busy, NotFound."""
        try:
            while True:
                standing = await self._look()
                if unless is not None and unless(standing):
                    return None, standing
                if await self._may_take(standing):
                    lease = await self._take(standing)
                    if lease is not None:
                        return lease, standing
                elif self._terms.busy == "reject":
                    raise self._busy(standing)
                elif self._ticket is None:
                    await self._queue_up()
                elif not await self._remove_dead_in_front(standing):
                    await self._wait(standing)
        finally:
            await self._leave()

    async def _look(self) -> Standing:
        wanted = claim.everything(self._cell)
        ranges = (wanted,) if self._more is None else (wanted, self._more)
        view = (await self._store.work().peek([Read(self._scope, (), ranges)]))[0]
        if not view.head.live or self._target.epoch not in (None, view.head.epoch):
            raise missing(self._scope)
        cells = view.ranges[0]
        held = cells[0] if cells and cells[0].key == self._cell else None
        tickets = cells if held is None else cells[1:]
        return Standing(view.head, held, tickets, view.ranges[1] if self._more is not None else ())

    async def _may_take(self, standing: Standing) -> bool:
        busy, held = self._terms.busy, standing.held
        if busy == "supersede":
            return True
        if busy == "queue" and standing.tickets and standing.tickets[0].key != self._ticket:
            return False
        if held is None:
            return True
        return await self._keeper.is_dead(self._scope, held, claim.decode(held))

    async def _take(self, standing: Standing) -> Lease | None:
        """None if somebody was faster, or changed meanwhile what else was asked for."""
        terms, sent_s = self._terms, self._store.clock.monotonic_s()
        work = _unit(self._store, self._target)
        work.durable = terms.request is None  # the token of a claim may be known outside
        ttl_us = round(terms.ttl_s * 1_000_000)
        supersedes = terms.busy == "supersede" and standing.held is not None
        record = ClaimRecord(self._keeper.holder, work.now_us, ttl_us, terms.worker, terms.request, supersedes)
        claim.take(work, self._scope, record, instead_of=standing.held, ticket=self._ticket, cell=self._cell)
        work.touch(self._scope, least_us=claim.kept_to_us(record.at_us, ttl_us))
        if self._more is not None:
            work.require(self._scope, Untouched(self._more.prefix, standing.head.seq))
        outcome = await self._keeper.surely(work, lambda landed: self._lease(landed, sent_s).give_back())
        if isinstance(outcome, Committed):
            self._ticket = None
            return self._lease(outcome, sent_s)
        if outcome.what in ("need", "epoch"):
            raise explain(outcome)
        return None

    def _lease(self, landed: Committed, sent_s: float) -> Lease:
        token, ttl_s = landed.seqs[self._scope], self._terms.ttl_s
        return Lease(self._keeper, self._store, self._target, cell=self._cell, token=token, ttl_s=ttl_s, sent_s=sent_s)

    # --- waiting ----------------------------------------------------------------------------------

    async def _queue_up(self) -> None:
        self._keeper.keep(self, self._terms.ttl_s)
        self._follower = self._store.feed().follow()
        await self._follower.add(self._scope, after=None)
        self._following = asyncio.ensure_future(self._follow(self._follower))
        work = _unit(self._store, self._target)
        ttl_us = round(self._terms.ttl_s * 1_000_000)
        ticket = Ticket(self._keeper.holder, work.now_us, ttl_us, self._terms.worker)
        claim.queue_up(work, self._scope, ticket, cell=self._cell)
        outcome = await self._keeper.surely(work, lambda landed: self._withdraw(self._ticket_of(landed)))
        if not isinstance(outcome, Committed):
            raise explain(outcome)
        self._ticket = self._ticket_of(outcome)

    def _ticket_of(self, landed: Committed) -> str:
        return claim.queue_of(self._cell) + stamp(landed.seqs[self._scope], 0)

    async def _follow(self, follower: Follower) -> None:
        while True:
            _, record = await follower.next()
            if isinstance(record, Live):
                continue
            if record.op == "drop" or any(key.startswith(self._cell) for key in record.touched):
                self._moved.set()

    async def _wait(self, standing: Standing) -> None:
        """Until the claim or a ticket moved, or it is time to look after a beat. Raises Busy when the wait is over."""
        front = standing.held
        ttl_us = claim.decode(front).ttl_us if front is not None else claim.decode_ticket(standing.tickets[0]).ttl_us
        pause_s = max(ttl_us / 1_000_000 / LOOKS_PER_TTL, self._store.limits.poll_s)
        if self._until_s is not None:
            left_s = self._until_s - self._store.clock.monotonic_s()
            if left_s <= 0:
                raise self._busy(standing)
            pause_s = min(pause_s, left_s)
        if self._following is not None and self._following.done():
            self._following.result()  # raises why it ended
        await self._pause(pause_s)

    async def _pause(self, seconds: float) -> None:
        assert self._following is not None
        sleeping = asyncio.ensure_future(self._store.clock.sleep(seconds))
        moving = asyncio.ensure_future(self._moved.wait())
        try:
            await asyncio.wait([sleeping, moving, self._following], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            moving.cancel()
        self._moved.clear()

    async def _remove_dead_in_front(self, standing: Standing) -> bool:
        """Remove the tickets in front of this one whose processes beat no more; whether there was one.

        Who holds the session is watched in the same while, so that one ttl is enough to get past all of them.
        """
        removed = False
        if standing.held is not None and standing.tickets and standing.tickets[0].key != self._ticket:
            await self._keeper.is_dead(self._scope, standing.held, claim.decode(standing.held))
        for cell in standing.tickets:
            if cell.key == self._ticket:
                break
            if await self._keeper.is_dead(self._scope, cell, claim.decode_ticket(cell)):
                await self._withdraw(cell.key)
                removed = True
        else:
            if standing.tickets and len(standing.tickets) < claim.TICKETS_MAX:
                self._ticket = None  # somebody took this one for dead: to the end of the queue
                await self._unfollow()
                return True
        return removed

    async def _withdraw(self, ticket: str) -> None:
        work = _unit(self._store, self._target)
        work.require(self._scope, Present(ticket))
        work.delete(self._scope, ticket)
        await work.commit()  # refused: it is gone already

    async def _leave(self) -> None:
        self._keeper.leave(self)
        await self._unfollow()
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            await self._keeper.now_or_later(lambda: self._withdraw(ticket))

    async def _unfollow(self) -> None:
        if self._following is not None:
            self._following.cancel()
            self._following = None
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def _busy(self, standing: Standing) -> Busy:
        held = None if standing.held is None else claim.decode(standing.held)
        by = "waited for by others" if held is None else f"held by {claim.whom(held)}"
        waited = "" if self._terms.busy == "reject" else f", and was for all of {self._terms.wait_s:g} s"
        return Busy(
            f"{claim.named(self._scope, self._cell)} is {by}{waited}",
            scope=self._scope,
            worker=None if held is None else held.worker,
            request=None if held is None else held.request,
            since=None if held is None else to_datetime(held.at_us),
        )


def _unit(store: Store, target: Target) -> Work:
    """A unit of work on the session that need not be durable: who holds it and who waits is worth nothing once no
    process is left that could."""
    work = store.work()
    work.durable = False
    work.ask(target.scope, "must_exist", epoch=target.epoch)
    return work
