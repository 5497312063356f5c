"""Steps of runs, remembered: a cell for each that is done, in the scope of its run.

    step/<run>/<identity>       {"name": "price", "at_us": …, "result": …}

It is put on the condition that there is none, by whoever did the step: so of several that did the same one is kept, and
the effects that commit with it are there once. Nothing of this shows in the change stream.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from holdfast.errors import Corrupt
from holdfast.kernel import codec
from holdfast.kernel.commit import Absent, Cell
from holdfast.kernel.keys import escaped
from holdfast.kernel.work import Work
from holdfast.model.step import StepRecord

AREA = "step/"
"""What the keys of all steps start with."""

_steps = msgspec.json.Decoder(StepRecord)
_encode = msgspec.json.Encoder().encode


def prefix_of(run: str) -> str:
    """What the keys of the steps of a run start with."""
    return f"{AREA}{escaped(run)}/"


def key_of(run: str, identity: str) -> str:
    """The key of a step."""
    return prefix_of(run) + identity


def put(work: Work, scope: str, key: str, *, name: str, result: bytes) -> None:
    """Stage what a step came to, on the condition that it was not done before."""
    work.require(scope, Absent(key))
    work.put(scope, key, _encode(StepRecord(name, work.now_us, Raw(result))))


def result_in(cell: Cell) -> bytes:
    """What a step came to; JSON text."""
    try:
        return bytes(_steps.decode(cell.value).result)
    except codec.UNREADABLE as problem:
        raise Corrupt(f"what is kept of a step cannot be read: {problem}", key=cell.key) from problem
