"""A turn: the answer of a request, and the steps that one finished."""

from __future__ import annotations

from msgspec import Raw, Struct


class AnswerRecord(Struct, frozen=True):
    """What a request was answered with, as its cell keeps it; `output` is JSON text."""

    at_us: int
    output: Raw


class StepRecord(Struct, frozen=True):
    """What a step of a request came to; `result` is JSON text.

    `identity` is a digest of name, arguments and version. It stands in the value, which is encrypted where there are
    keys, and not in the cell's key, which is not: who knows what the arguments may be could try them all.
    """

    name: str
    identity: str
    at_us: int
    result: Raw
