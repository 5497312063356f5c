"""Steps of runs: what a piece of work came to, remembered once it is done."""

from __future__ import annotations

from msgspec import Raw, Struct


class StepRecord(Struct, frozen=True, omit_defaults=True):
    """What a step of a run came to; `result` is JSON text."""

    name: str
    at_us: int
    result: Raw
