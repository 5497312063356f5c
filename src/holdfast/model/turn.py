"""A turn: the answer of a request, and the steps that one finished."""

from __future__ import annotations

from msgspec import Raw, Struct


class AnswerRecord(Struct, frozen=True):
    """What a request was answered with, as its cell keeps it; `output` is JSON text."""

    at_us: int
    output: Raw


class StepRecord(Struct, frozen=True):
    """What a step of a request came to; `result` is JSON text."""

    name: str
    at_us: int
    result: Raw
