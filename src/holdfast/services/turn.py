"""Turns: the answer that a request was given, and what its finished steps came to.

    turn/<request id>/answer            {"at_us": …, "output": …}
    turn/<request id>/step/<number>     {"name": "price", "identity": <digest>, "at_us": …, "result": …}

All of one request stands under one prefix, so that one read tells whether it was answered, and what is left of an
attempt that crashed. The answer's commit removes the steps. Nothing of this shows in the change stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, overload

import msgspec
from msgspec import Raw

from holdfast.errors import Corrupt
from holdfast.kernel import codec
from holdfast.kernel.commit import Cell, Range
from holdfast.kernel.keys import check_name, escaped
from holdfast.kernel.work import Work
from holdfast.model.turn import AnswerRecord, StepRecord

READ_AT_ONCE = 64
"""Of what is kept of a request so much is read before it is known whether there is more."""

_answers = msgspec.json.Decoder(AnswerRecord)
_steps = msgspec.json.Decoder(StepRecord)


def prefix_of(request: str) -> str:
    """What the keys of all that is kept of a request start with. Raises InvalidId."""
    return f"turn/{escaped(check_name(request, 'a request id'))}/"


def beginning(request: str) -> Range:
    """What is kept of a request, the answer first: all, where that is less than `READ_AT_ONCE`."""
    return Range(prefix_of(request), READ_AT_ONCE)


def answer_in(cells: Iterable[Cell]) -> bytes | None:
    """The output of the answer, if it is among these; JSON text."""
    for cell in cells:
        if cell.key.endswith("/answer"):
            return bytes(_decoded(_answers, cell).output)
    return None


class Finished(NamedTuple):
    """A step that finished: the key of its cell, and what it came to, JSON text."""

    key: str
    result: bytes


def steps_in(cells: Iterable[Cell]) -> dict[str, Finished]:
    """The finished steps among these, by their identities."""
    steps = {}
    for cell in cells:
        if not cell.key.endswith("/answer"):
            record = _decoded(_steps, cell)
            steps[record.identity] = Finished(cell.key, bytes(record.result))
    return steps


def answer(work: Work, scope: str, request: str, output: bytes, *, ttl_us: int | None) -> None:
    """Stage the answer of a request."""
    record = AnswerRecord(work.now_us, Raw(output))
    work.put(scope, prefix_of(request) + "answer", msgspec.json.encode(record), ttl_us=ttl_us)


def next_step(request: str, taken: Iterable[str]) -> str:
    """The key for one more step of a request, after those that are taken."""
    prefix = f"{prefix_of(request)}step/"
    last = max((int(key.removeprefix(prefix)) for key in taken), default=0)
    return f"{prefix}{last + 1:08d}"


def step(work: Work, scope: str, key: str, *, name: str, identity: str, result: bytes, ttl_us: int | None) -> None:
    """Stage what a step came to."""
    record = StepRecord(name, identity, work.now_us, Raw(result))
    work.put(scope, key, msgspec.json.encode(record), ttl_us=ttl_us)


@overload
def _decoded(decoder: msgspec.json.Decoder[AnswerRecord], cell: Cell) -> AnswerRecord: ...
@overload
def _decoded(decoder: msgspec.json.Decoder[StepRecord], cell: Cell) -> StepRecord: ...
def _decoded(decoder: Any, cell: Cell) -> Any:
    try:
        return decoder.decode(cell.value)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"what is kept of a request cannot be read: {problem}", key=cell.key) from problem
