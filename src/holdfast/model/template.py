"""A template: what new sessions of one sort begin with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec import UNSET, Struct

from holdfast.model.budget import FIELDS, Budget


class Template(Struct, frozen=True):
    """What a session begins with that is created from it, where the caller says nothing else.

    name                              by which it is named
    mode, app, agent, channel, task   as in `sessions.create`
    ttl                               how long it lives; None: as the configuration says
    tags                              for a session that is given none
    metadata                          under what the session is given, key by key
    budget                            its limits, for those that are not given
    state                             values that stand in the session's state from the beginning
    variables                         variables of the session from the beginning
    """

    name: str
    mode: str | None = None
    app: str | None = None
    agent: str | None = None
    channel: str | None = None
    task: str | None = None
    ttl: timedelta | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    budget: Budget = Budget()
    state: dict[str, Any] = {}
    variables: dict[str, Any] = {}


_KEPT_AS_THEY_ARE = ("name", "mode", "app", "agent", "channel", "task", "tags", "metadata", "state", "variables")
_MICROSECOND = timedelta(microseconds=1)


class TemplateRecord(Struct, frozen=True, omit_defaults=True):
    """A template as the store keeps it. `budget` has the limits that it names, times in microseconds; null is none."""

    name: str
    mode: str | None = None
    app: str | None = None
    agent: str | None = None
    channel: str | None = None
    task: str | None = None
    ttl_us: int | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    budget: dict[str, int | str | None] = {}
    state: dict[str, Any] = {}
    variables: dict[str, Any] = {}


def record_of(template: Template) -> TemplateRecord:
    """What is stored of a template."""
    fields = {name: getattr(template, name) for name in _KEPT_AS_THEY_ARE}
    ttl_us = None if template.ttl is None else template.ttl // _MICROSECOND
    return TemplateRecord(**fields, ttl_us=ttl_us, budget=limits_of(template.budget))


def template_of(record: TemplateRecord) -> Template:
    """The inverse of `record_of`."""
    fields = {name: getattr(record, name) for name in _KEPT_AS_THEY_ARE}
    ttl = None if record.ttl_us is None else record.ttl_us * _MICROSECOND
    return Template(**fields, ttl=ttl, budget=budget_of(record.budget))


def limits_of(budget: Budget) -> dict[str, int | str | None]:
    """What is stored of a budget that leaves some limits open."""
    limits: dict[str, int | str | None] = {}
    for name in FIELDS:
        limit = getattr(budget, name)
        if isinstance(limit, timedelta):
            limit = limit // _MICROSECOND
        if limit is not UNSET:
            limits[name] = limit if limit is None or isinstance(limit, int) else str(limit)
    return limits


def budget_of(limits: dict[str, int | str | None]) -> Budget:
    """The inverse of `limits_of`."""
    given: dict[str, Any] = {name: limit for name, limit in limits.items() if name in FIELDS}
    if given.get("wall_time") is not None:
        given["wall_time"] *= _MICROSECOND
    return Budget(**given)
