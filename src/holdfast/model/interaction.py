"""Interactions: a question that a run puts to a person, and what became of it.

    pending     may be answered, until it is due
      ↓ answered     once, by whoever may
      ↓ timed_out    nobody did in time: what `on_timeout` says counts as the answer
      ↓ cancelled    withdrawn, or its run ended

Each move is made once and is the last: of an answer, a timeout and a withdrawal that race one is made, and the others
are judged by it. A question that escalates stays pending, and belongs to somebody else.

Its id follows from its place in the run and from its `key` or, without one, from all that is asked. So asking again,
after a restart say, finds the same question. Part of it is a secret of the run, lest the id confirm a guess of what was
asked to whoever reads an encrypted store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, get_args

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from holdfast.errors import (
    AlreadyAnswered,
    Conflict,
    InteractionCancelled,
    InteractionExpired,
    InvalidValue,
    NotAssignee,
    shown,
)
from holdfast.model.moment import to_datetime

NULL = Raw(b"null")

InteractionKind = Literal["approval", "confirmation", "choice", "input", "form", "edit"]
"""What is asked for: a yes or no (approval, confirmation), one of some options, any value, a form, or a yes that may
change what was proposed (edit)."""

Decision = Literal["approved", "rejected", "answered"]
"""What a person may say."""

OnTimeout = Literal["reject", "approve", "default", "fail", "escalate"]
"""What becomes of a question that nobody answers in time."""

KINDS: tuple[InteractionKind, ...] = get_args(InteractionKind)
YES_OR_NO = frozenset({"approval", "confirmation", "edit"})
"""The kinds that are approved or rejected; the others are answered with a value."""

TIMEOUTS: tuple[OnTimeout, ...] = get_args(OnTimeout)

ASSIGNEES_MAX = 32
"""People to whom one question may be assigned at most."""


class InteractionStatus(StrEnum):
    """What became of a question so far."""

    PENDING = "pending"
    ANSWERED = "answered"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"

    @classmethod
    def _missing_(cls, value: object) -> InteractionStatus:
        raise InvalidValue(f"{shown(value)} is no status of a question; there are {', '.join(cls)}", path="status")


_PENDING = InteractionStatus.PENDING


class Given(Struct, frozen=True, omit_defaults=True):
    """An answer as it is kept. `decision` is "failed" where a timeout lets the node fail."""

    decision: Literal["approved", "rejected", "answered", "failed"]
    at_us: int
    value: Raw = NULL
    by: str | None = None
    note: str = ""
    metadata: Raw = NULL
    key: str | None = None

    def is_same(self, other: Given) -> bool:
        """Whether the other is this one once more: it has the same idempotency key, or says the same."""
        if self.key is not None and self.key == other.key:
            return True
        mine = (self.decision, bytes(self.value), self.by)
        return mine == (other.decision, bytes(other.value), other.by)


class Question(Struct, frozen=True, omit_defaults=True):
    """What is asked, encoded, as it was checked."""

    prompt: str
    kind: InteractionKind = "approval"
    options: Raw = NULL
    schema: Raw = NULL
    payload: Raw = NULL

    @property
    def digest(self) -> str:
        """The digest of everything that whoever answers is shown."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


class InteractionRecord(Struct, frozen=True, omit_defaults=True):
    """A question as the store keeps it.

    number      of the questions of its run the how manieth, from 1
    round       of its node, when it was asked
    user        of its session or run
    due_us      until when it may be answered; `timeout_us` after it was asked, or escalated
    required    whether the node waits for the answer
    optional    whether its run goes on without the node
    decides     it is asked what becomes of a node that failed: "retry", "skip" or "fail"
    given       the answer, or what counts as one
    """

    id: str
    run: str
    question: Question
    digest: str
    status: InteractionStatus
    asked_us: int
    number: int = 1
    session: str | None = None
    user: str | None = None
    node: str | None = None
    round: int = 1
    default: Raw = NULL
    metadata: Raw = NULL
    assignees: tuple[str, ...] = ()
    due_us: int | None = None
    timeout_us: int | None = None
    on_timeout: OnTimeout = "reject"
    escalate_to: tuple[str, ...] = ()
    required: bool = True
    optional: bool = False
    decides: bool = False
    closed_us: int | None = None
    given: Given | None = None

    @property
    def is_pending(self) -> bool:
        """Whether it may be answered yet."""
        return self.status is _PENDING

    def is_due(self, now_us: int) -> bool:
        """Whether it is pending and its time is over."""
        return self.is_pending and self.due_us is not None and self.due_us <= now_us

    def answered(self, given: Given) -> InteractionRecord:
        """The record with that answer, which was checked."""
        return replace(self, status=InteractionStatus.ANSWERED, closed_us=given.at_us, given=given)

    def timed_out(self, at_us: int) -> InteractionRecord:
        """The record once its time is over: with what then counts as the answer, or in the hands of somebody else.

        A question that was escalated and is not answered then either ends as its kind does by itself.
        """
        if self.on_timeout == "escalate":
            due_us = None if self.timeout_us is None else at_us + self.timeout_us
            after = default_timeout(self.question.kind, has_default=self.has_default, required=self.required)
            return replace(self, assignees=self.escalate_to, due_us=due_us, on_timeout=after)
        given = self._fallback(at_us)
        return replace(self, status=InteractionStatus.TIMED_OUT, closed_us=at_us, given=given)

    def outcomes(self) -> list[InteractionRecord]:
        """The records that it may become without anybody's having to say more than yes or no, or which option: the
        largest of each kind."""
        late = self.timed_out(self.asked_us)
        ends = [late, late.timed_out(self.asked_us) if late.is_pending else late, self.cancelled(self.asked_us)]
        values = [self.question.payload] if self.question.kind == "edit" else []
        if self.question.kind == "choice":
            values = msgspec.json.decode(self.question.options, type=list[Raw])
        return ends + [self.answered(Given("approved", self.asked_us, value)) for value in values]

    def cancelled(self, at_us: int) -> InteractionRecord:
        """The record once it is withdrawn."""
        return replace(self, status=InteractionStatus.CANCELLED, closed_us=at_us)

    def met(self, ended_us: int | None) -> InteractionRecord:
        """The record as it counts where its run ended then (None: it goes on): withdrawn, written already or not."""
        return self if ended_us is None or not self.is_pending else self.cancelled(ended_us)

    def reassigned(self, to: tuple[str, ...]) -> InteractionRecord:
        """The record in the hands of others."""
        return replace(self, assignees=to)

    @property
    def has_default(self) -> bool:
        """Whether a default was given."""
        return bytes(self.default) != b"null"

    def _fallback(self, at_us: int) -> Given:
        if self.on_timeout == "fail":
            return Given("failed", at_us)
        if self.on_timeout == "default":
            return self.by_default(at_us)
        decision: Decision = "approved" if self.on_timeout == "approve" else "rejected"
        return Given(decision, at_us, self._value_of(decision))

    def by_default(self, at_us: int) -> Given:
        """What counts while, or if, nobody answers a question that need not be."""
        if self.question.kind not in YES_OR_NO:
            return Given("answered", at_us, self.default)
        approved = bytes(self.default) == b'"approved"'
        return Given("approved" if approved else "rejected", at_us, self._value_of("approved") if approved else NULL)

    def _value_of(self, decision: str) -> Raw:
        """What is approved of an edit that nobody changed."""
        return self.question.payload if self.question.kind == "edit" and decision == "approved" else NULL

    @property
    def lets(self) -> Literal["go_on", "retry", "skip", "fail"]:
        """What the answer makes of the node that waits for it, once there is one."""
        if self.given is None:
            return "go_on"
        if self.given.decision == "failed":
            return "fail"
        if self.decides:
            word = msgspec.json.decode(self.given.value)
            return word if word in ("retry", "skip", "fail") else "fail"
        return "go_on"


def identity(salt: str, run: str, node: str | None, round: int, key: str) -> str:
    """The id of a question in that place of a run."""
    place = msgspec.json.encode([salt, run, node, round, key])
    return hashlib.sha256(place).hexdigest()[:32]


def default_timeout(kind: InteractionKind, *, has_default: bool, required: bool) -> OnTimeout:
    """What becomes of a question that nobody answers in time, where nothing is said: what counted until then still
    counts, of one that need not be answered."""
    if not required:
        return "default"
    if kind in YES_OR_NO:
        return "reject"
    return "default" if has_default else "fail"


def check_answer(
    record: InteractionRecord,
    given: Given,
    *,
    digest: str | None,
    now_us: int,
    speaker: str | None = None,
    wrong: InvalidValue | None = None,
) -> bool:
    """Whether the question is to get this answer now; False if it has it already.

    Judged in this order, so that nobody mends an answer that would be refused all the same: its status
    (AlreadyAnswered, InteractionCancelled), its time (InteractionExpired), who answers (NotAssignee; a `speaker`
    answers for nobody else), what was shown (Conflict), and what is `wrong` with the answer itself.
    """
    speaks = speaker is None or given.by == speaker
    if record.status is InteractionStatus.ANSWERED:
        assert record.given is not None
        if speaks and record.given.is_same(given):
            return False
        raise already_answered(record.id, record.given)
    if record.status is InteractionStatus.CANCELLED:
        raise withdrawn(record.id)
    if record.status is InteractionStatus.TIMED_OUT or record.is_due(now_us):
        raise expired(record)
    if not speaks:
        raise NotAssignee(
            f"{speaker} answers in their own name, not in that of {shown(given.by)}",
            remedy="Leave `by` out.",
            interaction=record.id,
            assignees=record.assignees,
        )
    check_assigned(record, given.by, speaker=speaker)
    if digest is not None and digest != record.digest:
        raise Conflict(
            f"what was shown is not what the question {record.id} asks",
            remedy="Show what it asks now, `await hold.interactions.get(id)`, and answer that.",
            interaction=record.id,
            expected=digest,
            found=record.digest,
        )
    if wrong is not None:
        raise wrong
    return True


def check_assigned(record: InteractionRecord, by: str | None, *, speaker: str | None) -> None:
    """Raise NotAssignee unless they may answer it: nobody was named, or they were."""
    if record.assignees and by not in record.assignees:
        who = "nobody" if by is None else shown(by)
        others = "Leave it to its assignees: they, or the operator, may give it to somebody else."
        raise NotAssignee(
            f"the question {record.id} is for {', '.join(record.assignees)} to answer, not for {who}",
            remedy=None if speaker is None else others,
            interaction=record.id,
            assignees=record.assignees,
        )


def check_asker(record: InteractionRecord, by: str) -> None:
    """Raise NotAssignee unless they may withdraw it: it is their run that asks."""
    if record.user != by:
        raise NotAssignee(
            f"the question {record.id} is {shown(by)}'s to answer, not to withdraw: the run that asks is not theirs",
            remedy="Answer it, or `reassign` it to somebody who can; `hold.interactions.cancel` of the whole store "
            "withdraws any.",
            interaction=record.id,
            assignees=record.assignees,
        )


def check_open(record: InteractionRecord) -> None:
    """Raise AlreadyAnswered or InteractionExpired for a question that has an answer, or what counts as one."""
    if record.given is not None and not record.is_pending:
        if record.status is InteractionStatus.TIMED_OUT:
            raise expired(record)
        raise already_answered(record.id, record.given)


def already_answered(id: str, given: Given) -> AlreadyAnswered:
    """The error that says that a question has an answer."""
    by = "" if given.by is None else f" by {given.by}"
    return AlreadyAnswered(
        f"the question {id} was answered already{by}: {given.decision}",
        interaction=id,
        answer=given.decision,
        by=given.by,
    )


def withdrawn(id: str, why: str = "it was cancelled, or its run has ended") -> InteractionCancelled:
    """The error that says that a question is not asked any more."""
    return InteractionCancelled(f"the question {id} was withdrawn: {why}", interaction=id)


def expired(record: InteractionRecord) -> InteractionExpired:
    """The error that says that a question could be answered until a time that is past."""
    due = "" if record.due_us is None else f" until {to_datetime(record.due_us).isoformat(timespec='seconds')}"
    return InteractionExpired(f"the question {record.id} could be answered{due}", interaction=record.id)


def check_decision(record: InteractionRecord, decision: object) -> Decision:
    """What a person says, if that kind of question may be answered so. Raises InvalidValue."""
    allowed: tuple[Decision, ...] = ("approved", "rejected") if record.question.kind in YES_OR_NO else ("answered",)
    for word in allowed:
        if decision == word:
            return word
    said = " or ".join(f'"{word}"' for word in allowed) + ("" if len(allowed) > 1 else " with a value")
    raise InvalidValue(
        f"the decision on the {record.question.kind} {record.id} must be {said}, not {shown(decision)}", path="decision"
    )


class Answer(Struct, frozen=True):
    """What came of a question.

    status      "answered", "timed_out", or "pending" for one that need not be answered and was not yet
    decision    "approved", "rejected" or "answered"; "failed" where the timeout lets the node fail
    value       the option, value or form that was given; of an edit what was approved
    by, note    who said so, and what else
    metadata    whatever was given with it
    at          when
    """

    id: str
    status: InteractionStatus
    decision: str
    value: Any
    by: str | None
    note: str
    metadata: Mapping[str, Any]
    at: datetime

    @property
    def approved(self) -> bool:
        """Whether the answer is a yes."""
        return self.decision == "approved"
