"""Specifications of nodes as they are kept: many to a cell, so short, and with their times in microseconds."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from holdfast.model.duration import to_us
from holdfast.model.node import Ask, NodeSpec, Retry


class SpecRecord(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """The same as it is kept: times in microseconds; of a retry its times, delay, factor and longest delay."""

    name: str
    after: tuple[str, ...] = ()
    join: Literal["all", "any"] | int = "all"
    retry: tuple[int, int, float, int] | None = None
    timeout_us: int | None = None
    optional: bool = False
    on_failure: tuple[str, int | None, Literal["retry", "skip", "fail"], tuple[str, ...]] | None = None


def spec_record(name: str, spec: NodeSpec) -> SpecRecord:
    """What is kept of a specification that was checked."""
    retry, ask = spec.retry, spec.on_failure
    return SpecRecord(
        name,
        spec.after,
        spec.join,
        None
        if retry is None
        else (retry.times, to_us(retry.delay, "delay"), float(retry.factor), to_us(retry.delay_max, "delay_max")),
        None if spec.timeout is None else to_us(spec.timeout, "timeout"),
        spec.optional,
        None
        if ask is None
        else (
            ask.prompt,
            None if ask.timeout is None else to_us(ask.timeout, "timeout"),
            ask.on_timeout,
            tuple(ask.assignees),
        ),
    )


def spec_of(record: SpecRecord) -> NodeSpec:
    """The specification that was kept, with its times in seconds."""
    retry = ask = None
    if record.retry is not None:
        times, delay_us, factor, delay_max_us = record.retry
        retry = Retry(times, delay_us / 1_000_000, factor, delay_max_us / 1_000_000)
    if record.on_failure is not None:
        prompt, timeout_us, on_timeout, assignees = record.on_failure
        ask = Ask(prompt, None if timeout_us is None else timeout_us / 1_000_000, on_timeout, assignees)
    timeout = None if record.timeout_us is None else record.timeout_us / 1_000_000
    return NodeSpec(record.after, record.join, retry, timeout, record.optional, ask)
