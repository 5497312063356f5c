"""What a session begins with: what was given for it, a template under that, and the configuration under both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.handles.store import Store
from holdfast.handles.surface import checked_budget
from holdfast.handles.templates import Templates
from holdfast.handles.variables import recorded
from holdfast.kernel import codec
from holdfast.model.budget import Budget, resolved
from holdfast.model.duration import Duration
from holdfast.model.session import SessionRecord
from holdfast.model.template import Template
from holdfast.operations.begin import Values
from holdfast.services import session

_NO_TEMPLATE = Template("")


async def new_session(
    store: Store,
    id: str | None,
    names: Mapping[str, str | None],
    *,
    task: str | None,
    ttl: Duration | None,
    tags: Iterable[str],
    metadata: Mapping[str, Any] | None,
    budget: Budget | None,
    template: str | None,
) -> tuple[SessionRecord, Values]:
    """The record of a new session and the values it begins with. One read with a template, none without.

    Raises NotFound if there is no such template, InvalidId or InvalidValue for what may not be stored.
    """
    begins = _NO_TEMPLATE if template is None else await Templates(store).named(template)
    names = {field: getattr(begins, field, None) if name is None else name for field, name in names.items()}
    if store.principal is not None:
        names = {**names, "user": store.principal.owner(names["user"])}
    ttl = begins.ttl if ttl is None else ttl
    budget = (checked_budget(budget) or Budget()).over(begins.budget)
    now_us = store.now_us()
    record = session.new_record(
        store.ids.uuid7(now_us) if id is None else id,
        at_us=now_us,
        names=names,
        task=begins.task if task is None else task,
        tags=begins.tags if tags == () else tags,
        metadata=_merged(begins.metadata, metadata),
        life=store.life_of(ttl),
        budget=resolved(budget, store.config.budget),
        bytes_max=store.limits.value_bytes_max,
    )
    state = {key: codec.encode(value) for key, value in begins.state.items()}
    return record, Values(state, {name: recorded(store, name, value) for name, value in begins.variables.items()})


def _merged(under: Mapping[str, Any], metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The metadata with those of a template under them."""
    if not under:
        return metadata
    return {**under, **codec.mapping({} if metadata is None else metadata, "metadata")}
