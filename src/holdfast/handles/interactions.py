"""Questions to people, as those who answer them have them: `hold.interactions`, and `run.interactions`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Raw

from holdfast.errors import InvalidValue, shown
from holdfast.handles.asking import check_value, names
from holdfast.handles.interaction import Interaction, answer_of, settled
from holdfast.handles.measured import measured
from holdfast.handles.store import Store
from holdfast.handles.unit import Alone, Target
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Found, View
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import check_limit
from holdfast.kernel.work import Work
from holdfast.model import cause
from holdfast.model import interaction as model
from holdfast.model.interaction import Answer, Decision, Given, InteractionRecord
from holdfast.model.moment import to_us
from holdfast.model.page import Page
from holdfast.operations import interactions_page, run_place
from holdfast.services import interaction, run
from holdfast.services import session as sessions


class RunInteractions:
    """The questions of one run, as it was last seen: `await run.refresh()` brings what others did."""

    def __init__(self, store: Store, target: Target, run: str, records: Iterable[InteractionRecord]) -> None:
        self._store = store
        self._target = target
        self._run = run
        self._records = sorted(records, key=_asked)

    def __repr__(self) -> str:
        return f"<RunInteractions of run {self._run!r} in {self._target.scope}: {self.pending_count} pending>"

    @property
    def pending(self) -> list[Interaction]:
        """Those that may be answered, the oldest first."""
        return [Interaction(self._store, self._target, record) for record in self._records if record.is_pending]

    @property
    def current(self) -> Interaction | None:
        """The oldest of those that may be answered; None if none is open."""
        return next(iter(self.pending), None)

    @property
    def pending_count(self) -> int:
        """How many may be answered."""
        return len(self.pending)

    async def history(self) -> list[Interaction]:
        """All of them with what came of each, the oldest first, as they are now. One read for each ten thousand.
        Raises NotFound if the run's session is gone."""
        scope, wanted = self._target.scope, interaction.all_of(self._run)
        own = run.end_keys(self._run)

        async def look(work: Work) -> list[InteractionRecord]:
            cells: Sequence[Cell] = await work.range(scope, wanted, along=own)
            if len(cells) >= wanted.limit:
                cells = await work.all(scope, wanted.prefix)
            ended_us = run.ended_us(await work.get_many(scope, own), self._run)
            return [interaction.decode(cell).met(ended_us) for cell in cells]

        records = sorted(await Alone(self._store).read(self._target, look), key=_asked)
        return [Interaction(self._store, self._target, record) for record in records]


def _asked(record: InteractionRecord) -> tuple[int, str]:
    return record.number, record.id


async def answer_to(
    store: Store,
    target: Target,
    asked: InteractionRecord,
    decision: str,
    *,
    value: Any,
    by: str | None,
    note: str,
    metadata: Mapping[str, Any] | None,
    idempotency_key: str | None,
    digest: str | None,
    speaker: str | None,
) -> Answer:
    """Answer a question of that scope, as it was seen; see `Interactions.answer`. A `speaker` answers for nobody else,
    and in their own name where none is said."""
    by = speaker if by is None else by
    limit = store.limits.value_bytes_max
    raw = Raw(codec.encode(value, bytes_max=limit, what="the answer", path="value"))
    said = sessions.checked_text(note, "note", limit) or ""
    more = model.NULL if not metadata else Raw(codec.encode(sessions.checked_metadata(metadata, limit)))
    if by is not None:
        check_name(by, "who answers")
    if idempotency_key is not None:
        check_name(idempotency_key, "an idempotency key")
    if digest is not None and not isinstance(digest, str):
        raise InvalidValue(f"digest must be the text that was shown, not {shown(digest)}", path="digest")

    question = asked.question  # which never changes
    word: Decision | Literal["failed"] = "failed"
    wrong: InvalidValue | None = None
    try:
        word = model.check_decision(asked, decision)
        await check_value(question, word, value, raw)
    except InvalidValue as problem:  # told where nothing else refuses the answer
        wrong = problem
    if question.kind == "edit" and word == "approved" and value is None:
        raw = question.payload

    def judge(record: InteractionRecord, now_us: int) -> InteractionRecord:
        if record.is_due(now_us):
            record = record.timed_out(now_us)
            if not record.is_pending:  # said to whoever answers only once it is kept
                return record
        given = Given(word, now_us, raw, by, said, more, idempotency_key)
        is_new = model.check_answer(record, given, digest=digest, now_us=now_us, speaker=speaker, wrong=wrong)
        return record.answered(given) if is_new else record

    record = await _settled(store, target, asked, judge, by=by)
    if record.status is not model.InteractionStatus.ANSWERED or record.given is None:
        raise model.expired(record)
    return answer_of(record, record.given)


async def _settled(
    store: Store,
    target: Target,
    asked: InteractionRecord,
    judge: Callable[[InteractionRecord, int], InteractionRecord],
    *,
    by: str | None = None,
) -> InteractionRecord:
    """What a question becomes, committed with what follows from that, in the name of whoever answers."""
    key = interaction.key_of(asked.run, asked.id)
    why = {"answer": asked.id}
    if by is not None and store.why().by is None:
        why["by"] = by
    with cause.acting(**why):
        return (await settled(store, target, key, judge, node=asked.node)).record


@measured("interactions", store="_store")
class Interactions:
    """The questions of a store to people, in whichever session or run."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._whole = store.limited(None)

    def __repr__(self) -> str:
        return f"<Interactions of {self._store!r}>"

    async def answer(
        self,
        id: str,
        decision: str,
        *,
        value: Any = None,
        by: str | None = None,
        note: str = "",
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        digest: str | None = None,
    ) -> Answer:
        """Answer a question: "approved" or "rejected" for an approval, confirmation or edit, "answered" with a `value`
        for the others; an edit may be approved with a changed `value`.

        One commit: the answer, its node ready, its run pending if it waited, and the entry in the event log. It is
        answered once: the same answer again (decision, value and `by`, or the same `idempotency_key`) returns the
        first, another one raises AlreadyAnswered. Judged at the moment of the commit, in this order: NotFound for an
        unknown one; AlreadyAnswered or InteractionCancelled; InteractionExpired once it is due (what then counts has
        been recorded when this is raised); NotAssignee; Conflict, with the `digest` of what was shown, if that is not
        what is asked; InvalidValue for what is none of the options or does not fit the schema. A principal answers in
        their own name.
        """
        target, record = await self._found(id)
        return await answer_to(
            self._whole, target, record, decision, value=value, by=by, note=note, metadata=metadata,
            idempotency_key=idempotency_key, digest=digest, speaker=self._store.speaker,
        )  # fmt: skip

    async def get(self, id: str) -> Interaction | None:
        """The question of that id; None if there is none, or no longer."""
        found = await self._find(id)
        return None if found is None else Interaction(self._whole, *found)

    async def cancel(self, id: str) -> Interaction:
        """Withdraw a question: its node may go on, and whoever waits for the answer gets InteractionCancelled.

        May be called again. Raises AlreadyAnswered, InteractionExpired where it has timed out, NotFound, and
        NotAssignee for a principal who is only asked: the question is withdrawn by whose run asks it.
        """
        speaker = self._store.speaker

        def judge(record: InteractionRecord, now_us: int) -> InteractionRecord:
            if speaker is not None:
                model.check_asker(record, speaker)
            if record.status is model.InteractionStatus.CANCELLED:
                return record
            model.check_open(record)
            return record.cancelled(now_us)

        return await self._changed(id, judge)

    async def reassign(self, id: str, to: str | Iterable[str]) -> Interaction:
        """Give a question to others to answer, instead of whoever had it. Raises as `cancel` does,
        InteractionCancelled, and NotAssignee for a principal who may not answer it: none makes themself one who may."""
        people, speaker = names(to, "to"), self._store.speaker

        def judge(record: InteractionRecord, now_us: int) -> InteractionRecord:
            if record.status is model.InteractionStatus.CANCELLED:
                raise model.withdrawn(record.id)
            model.check_open(record)
            if speaker is not None:
                model.check_assigned(record, speaker, speaker=speaker)
            return record if record.assignees == people else record.reassigned(people)

        return await self._changed(id, judge)

    async def _changed(self, id: str, judge: Callable[[InteractionRecord, int], InteractionRecord]) -> Interaction:
        target, record = await self._found(id)
        return Interaction(self._whole, target, await _settled(self._whole, target, record, judge))

    async def pending(
        self,
        *,
        assignee: str | None = None,
        session_user: str | None = None,
        session: str | None = None,
        run: str | None = None,
        kind: str | None = None,
        due_before: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Interaction]:
        """A page of the questions that may be answered and pass every filter given, the oldest first; continue with
        `cursor=page.next` (None at the end).

        `session_user` is whose session, or run without one, it is; `due_before` leaves those that time out before then.
        Raises Conflict if several sessions have a run of the id `run`: then name the session too.
        """
        check_limit(limit)
        if kind is not None and kind not in model.KINDS:
            raise InvalidValue(f"kind must be one of {', '.join(model.KINDS)}, not {shown(kind)}", path="kind")
        due_us = None if due_before is None else to_us(due_before, "due_before")
        given = {"assignee": assignee, "user": session_user, "session": session, "run": run, "kind": kind}
        wanted = {
            field: check_name(name, f"the {field} of a question") for field, name in given.items() if name is not None
        }
        after = None if cursor is None else interactions_page.parse_cursor(cursor)
        if run is not None and session is None:
            await self._one_scope(run)
        rights = self._store.principal
        rows, following = await interactions_page.page(
            self._whole.work(),
            wanted,
            of=None if rights is None else rights.user,
            due_us=due_us,
            limit=limit,
            after=after,
        )
        return Page(tuple([self._one(view.scope, view.head.epoch, record) for view, record in rows]), following)

    def _one(self, scope: str, epoch: int, record: InteractionRecord) -> Interaction:
        return Interaction(self._whole, Target(scope, "must_exist", epoch), record)

    async def history(self, run_id: str, *, session: str | None = None) -> list[Interaction]:
        """Every question of a run with what came of it, the oldest first, as long as the run is kept. Raises Conflict
        if several sessions have a run of that id: then name the session."""
        check_name(run_id, "a run id")
        scope = await self._one_scope(run_id) if session is None else sessions.scope_of(session)
        if scope is None:
            return []

        async def look(work: Work) -> tuple[View, list[InteractionRecord]]:
            return await interactions_page.history(work, scope, run_id)

        view, records = await Alone(self._whole).look(look)
        return [self._one(scope, view.head.epoch, record) for record in records if self._may_see(record)]

    # --- finding ----------------------------------------------------------------------------------

    async def _found(self, id: str) -> tuple[Target, InteractionRecord]:
        found = await self._find(id)
        if found is None:
            raise interaction.missing(id)
        return found

    async def _find(self, id: str) -> tuple[Target, InteractionRecord] | None:
        """A question that this face may find, and where it is."""
        work = self._whole.work()
        places: Sequence[Found] = await work.find(interaction.ID, interaction.check_id(id), limit=1)
        for view, record in await interactions_page.records(work, places):
            if self._may_see(record):
                return Target(view.scope, "must_exist", view.head.epoch), record
        return None

    async def _one_scope(self, run: str) -> str | None:
        """Where the run of that id is, if this face may find anything of it. Raises Conflict if there are several."""
        work, speaker = self._whole.work(), self._store.speaker
        place = await run_place.place_of(work, run, user=speaker)
        scopes = set() if place is None else {place.scope}
        if speaker is not None:  # and what others ask them
            scopes |= await interactions_page.scopes_asking(work, run, speaker)
        if len(scopes) > 1:
            raise run_place.ambiguous(run)
        return next(iter(scopes), None)

    def _may_see(self, record: InteractionRecord) -> bool:
        rights = self._store.principal
        return rights is None or record.user == rights.user or rights.user in record.assignees
