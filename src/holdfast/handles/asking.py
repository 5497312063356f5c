"""What a run asks people: building a question, and what asking makes of the node and the run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from holdfast.errors import Disabled, HoldfastError, InvalidValue, LimitReached, TooLarge, shown
from holdfast.handles.store import Store
from holdfast.kernel import codec
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import listed
from holdfast.model import form
from holdfast.model import interaction as model
from holdfast.model.config import InteractionsConfig
from holdfast.model.duration import Duration, to_us
from holdfast.model.interaction import (
    ASSIGNEES_MAX,
    YES_OR_NO,
    InteractionKind,
    InteractionRecord,
    InteractionStatus,
    OnTimeout,
    Question,
)
from holdfast.model.node import NodeRecord
from holdfast.model.node_spec import Ask
from holdfast.model.run import RunRecord
from holdfast.services import interaction, session

ANSWER_SHARE = 16
"""Of what a value may have at most, so much is left for who answered, beside what is known of the answer beforehand."""


class Asked(Struct, frozen=True):
    """A question, checked, before it has a place in a run."""

    question: Question
    key: str | None = None
    default: Raw = model.NULL
    metadata: Raw = model.NULL
    assignees: tuple[str, ...] = ()
    timeout_us: int | None = None
    on_timeout: OnTimeout = "reject"
    escalate_to: tuple[str, ...] = ()
    required: bool = True
    decides: bool = False

    def identity(self, run: RunRecord, node: str | None, round: int, *, withdrawn: int = 0) -> str:
        """Its id in that place of a run, where it was asked and withdrawn so often before."""
        key = f"digest/{self.question.digest}" if self.key is None else f"key/{self.key}"
        return model.identity(run.salt, run.id, node, round, f"{withdrawn}/{key}" if withdrawn else key)

    def record(
        self, id: str, run: RunRecord, node: str | None, round: int, *, optional: bool, at_us: int
    ) -> InteractionRecord:
        """The record of the question of that id, asked now."""
        return InteractionRecord(
            id,
            run.id,
            self.question,
            self.question.digest,
            InteractionStatus.PENDING,
            at_us,
            run.asked + 1,
            session=run.session,
            user=run.user,
            node=node,
            round=round,
            default=self.default,
            metadata=self.metadata,
            assignees=self.assignees,
            due_us=None if self.timeout_us is None else at_us + self.timeout_us,
            timeout_us=self.timeout_us,
            on_timeout=self.on_timeout,
            escalate_to=self.escalate_to,
            required=self.required,
            optional=optional,
            decides=self.decides,
        )


async def asked(
    store: Store,
    prompt: str,
    *,
    kind: InteractionKind,
    key: str | None,
    options: Iterable[Any] | None,
    schema: Any,
    default: Any,
    timeout: Duration | None,
    on_timeout: OnTimeout | None,
    escalate_to: str | Iterable[str],
    assignees: str | Iterable[str],
    required: bool,
    payload: Any,
    metadata: Mapping[str, Any] | None,
) -> Asked:
    """A question, checked. Raises InvalidValue, InvalidId, TooLarge, MissingExtra, and Disabled where none is asked."""
    config, limit = store.config.interactions, store.limits.value_bytes_max
    check_enabled(config)
    text = session.checked_text(prompt, "prompt", limit)
    if not text:
        raise InvalidValue("prompt must say what is asked", path="prompt")
    if kind not in model.KINDS:
        raise InvalidValue(f"kind must be one of {', '.join(model.KINDS)}, not {shown(kind)}", path="kind")
    if not isinstance(required, bool):
        raise InvalidValue(f"required must be True or False, not {shown(required)}", path="required")

    def encoded(value: Any, what: str) -> Raw:
        return Raw(codec.encode(value, bytes_max=limit, what=what, path=what))

    question = Question(
        text, kind, _options(kind, options, encoded), await _schema(kind, schema, encoded), encoded(payload, "payload")
    )
    told = {} if metadata is None else session.checked_metadata(metadata, limit)
    given = encoded(default, "default")
    await check_default(question, default, given)
    to = names(escalate_to, "escalate_to")
    return Asked(
        question,
        None if key is None else check_name(key, "the key of a question"),
        given,
        encoded(told, "metadata") if told else model.NULL,
        names(assignees, "assignees"),
        _timeout_us(config, timeout),
        _on_timeout(question, on_timeout, default, to, required=required),
        to,
        required,
    )


def _options(kind: str, options: Any, encoded: Any) -> Raw:
    if kind != "choice":
        if options is not None:
            raise InvalidValue(f"options are for a choice, not for {kind}", path="options")
        return model.NULL
    if options is None or isinstance(options, (str, bytes, Mapping)):
        raise InvalidValue(f"a choice has options, a list, not {shown(options)}", path="options")
    offered = listed(options, "options")
    if not offered:
        raise InvalidValue("a choice has options: there are none", path="options")
    return encoded(offered, "options")  # type: ignore[no-any-return]


async def _schema(kind: str, schema: Any, encoded: Any) -> Raw:
    if schema is None:
        if kind == "form":
            raise InvalidValue("a form has a schema: `schema={…}`, a JSON Schema", path="schema")
        return model.NULL
    if kind not in ("form", "input", "edit"):
        raise InvalidValue(f"a schema is for a form, an input or an edit, not for {kind}", path="schema")
    await asyncio.to_thread(form.check_schema, schema)
    return encoded(schema, "schema")  # type: ignore[no-any-return]


async def check_value(question: Question, decision: str, value: Any, given: Raw) -> None:
    """Raise InvalidValue unless that value may be answered: one of the options, what fits the schema, or none."""
    kind = question.kind
    if kind == "choice":
        options = codec.decode(bytes(question.options))
        if bytes(given) not in [codec.encode(option) for option in options]:
            offered = ", ".join(shown(option) for option in options[:20])
            raise InvalidValue(f"{shown(value)} is none of the options: {offered}", path="value")
    elif kind in YES_OR_NO and (kind != "edit" or decision != "approved"):
        if value is not None:
            raise InvalidValue(f"what is {decision} of {kind} comes without a value", path="value")
    elif bytes(question.schema) != b"null" and not (kind == "edit" and value is None):
        await asyncio.to_thread(form.check_fits, codec.decode(bytes(question.schema)), value)


async def check_default(question: Question, default: Any, given: Raw) -> None:
    """Raise InvalidValue unless that may count where nobody answers."""
    if default is None:
        return
    if question.kind in YES_OR_NO:
        if default not in ("approved", "rejected"):
            raise InvalidValue(
                f'the default of {question.kind} is "approved" or "rejected", not {shown(default)}', path="default"
            )
        return
    await check_value(question, "answered", default, given)


def _timeout_us(config: InteractionsConfig, timeout: Duration | None) -> int | None:
    wanted = config.default_timeout if timeout is None else timeout
    return None if wanted is None else to_us(wanted, "timeout")


def _on_timeout(
    question: Question, wanted: OnTimeout | None, default: Any, to: tuple[str, ...], *, required: bool
) -> OnTimeout:
    if wanted is None:
        return model.default_timeout(question.kind, has_default=default is not None, required=required)
    if wanted not in model.TIMEOUTS:
        raise InvalidValue(
            f"on_timeout must be one of {', '.join(model.TIMEOUTS)}, not {shown(wanted)}", path="on_timeout"
        )
    if not required and wanted not in ("default", "escalate"):
        raise InvalidValue(
            f"with required=False the run goes on with the default, which a timeout does not change: on_timeout is "
            f'"default" or "escalate", not {shown(wanted)}',
            path="on_timeout",
        )
    if wanted in ("reject", "approve") and question.kind not in YES_OR_NO:
        raise InvalidValue(
            f'{question.kind} is neither approved nor rejected: on_timeout is "default", "fail" or "escalate"',
            path="on_timeout",
        )
    if wanted == "escalate" and not to:
        raise InvalidValue('on_timeout="escalate" needs escalate_to: who answers then', path="escalate_to")
    return wanted


def names(given: str | Iterable[str], what: str) -> tuple[str, ...]:
    """Names of people, each once; one by itself counts as one. Raises InvalidId, TooLarge, InvalidValue."""
    people = [given] if isinstance(given, str) else listed(given, what, most=ASSIGNEES_MAX)
    return tuple(dict.fromkeys(check_name(name, what) for name in people))


def failure_question(config: InteractionsConfig, ask: Ask, run: RunRecord, node: str, failed: NodeRecord) -> Asked:
    """The question what becomes of a node that has no tries left."""
    payload = {"node": node, "error": codec.decode(bytes(failed.error)), "attempts": failed.attempt}
    question = Question(
        ask.prompt or f"The node {node} failed. Try again?",
        "choice",
        Raw(codec.encode(["retry", "skip", "fail"])),
        payload=Raw(codec.encode(payload)),
    )
    return Asked(
        question,
        f"failure/{run.asked}",
        Raw(codec.encode(ask.on_timeout)),
        assignees=names(ask.assignees, "assignees"),
        timeout_us=_timeout_us(config, ask.timeout),
        on_timeout="default",
        decides=True,
    )


def unasked(failed: NodeRecord, why: HoldfastError) -> NodeRecord:
    """What is kept of a node that fails for good since nobody could be asked: its error says so too."""
    error = codec.decode(bytes(failed.error))
    told = error if isinstance(error, Mapping) else {"message": error}
    return replace(failed, error=Raw(codec.encode({**told, "unasked": str(why)})))


def check_enabled(config: InteractionsConfig) -> None:
    """Raise Disabled where nobody is asked."""
    if not config.enabled:
        raise Disabled("questions to people are turned off (interactions.enabled)", switch="interactions.enabled")


def check_room(config: InteractionsConfig, pending: int, run: str) -> None:
    """Raise LimitReached if so many questions of a run are open that there may be no other."""
    if pending >= config.concurrent_max:
        raise LimitReached(
            f"{pending} questions of the run {run!r} are open; interactions.concurrent_max is {config.concurrent_max}",
            limit=config.concurrent_max,
            run=run,
        )


def check_closable(store: Store, record: InteractionRecord) -> InteractionRecord:
    """A question, if it may be kept with whatever closes it: what is approved of an edit, a default or an option is
    kept beside it once more, and who answered. Raises TooLarge: it would be asked for ever."""
    limit = store.limits.value_bytes_max
    size = max(interaction.size_of(closed) for closed in record.outcomes()) + limit // ANSWER_SHARE
    if size > limit:
        raise TooLarge(
            f"the question and its answer take {size} bytes together; the limit is {limit} (value_bytes_max): what is "
            "approved of an edit, a default or an option is kept with the answer once more",
            remedy="Keep what is large as state, and name its key in the payload; ask for a short value.",
            what="question",
            run=record.run,
            size=size,
            limit=limit,
        )
    return record


def counted(record: RunRecord) -> RunRecord:
    """The record of a run that has asked one more question."""
    return replace(record, asked=record.asked + 1)
