"""Templates of sessions as people use them: `hold.sessions.templates`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal

from holdfast.errors import AlreadyExists, InvalidValue, NotFound, shown
from holdfast.handles.measured import measured
from holdfast.handles.store import Store
from holdfast.handles.surface import checked_budget
from holdfast.handles.unit import Alone, Target
from holdfast.handles.variables import recorded
from holdfast.kernel import codec
from holdfast.kernel.keys import check_name
from holdfast.kernel.limits import listed
from holdfast.kernel.work import Work
from holdfast.model.budget import Budget
from holdfast.model.duration import Duration, to_seconds
from holdfast.model.scope import Scope
from holdfast.model.template import Template
from holdfast.services import session, template


@measured("templates", store="_store")
class Templates:
    """Keeps templates; every process that opens the space sees them.

    A principal may create sessions from them; to see or change them, `also` must name `Scope.global_("templates")`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unit = Alone(store)

    async def add(
        self,
        name: str,
        *,
        mode: str | None = None,
        app: str | None = None,
        agent: str | None = None,
        channel: str | None = None,
        task: str | None = None,
        ttl: Duration | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        budget: Budget | None = None,
        state: Mapping[str, Any] | None = None,
        variables: Mapping[str, Any] | None = None,
        on_exists: Literal["fail", "replace"] = "fail",
    ) -> Template:
        """Keep a template; returns it as it is kept. Sessions that were created from it before stay as they are.

        If there is one of that name: "fail" raises AlreadyExists, "replace" puts this one in its place. Raises
        InvalidId or InvalidValue for what no session could begin with, TooLarge beyond the limits.
        """
        if on_exists not in ("fail", "replace"):
            raise InvalidValue(f'on_exists must be "fail" or "replace", not {shown(on_exists)}', path="on_exists")
        names = {"mode": mode, "app": app, "agent": agent, "channel": channel}
        made = self._checked(name, names, task, ttl, tags, metadata, checked_budget(budget), state, variables)

        async def stage(work: Work) -> None:
            if on_exists == "fail" and await template.get(work, name) is not None:
                raise AlreadyExists(
                    f"there is a template {name!r} already",
                    remedy='Choose another name, or pass on_exists="replace".',
                    template=name,
                )
            template.put(work, made)

        await self._unit.change(self._target(), stage)
        return made

    async def get(self, name: str) -> Template | None:
        """The template of that name; None if there is none. One read."""
        return await self._unit.read(self._target(), lambda work: template.get(work, name))

    async def list(self) -> list[Template]:
        """Every template, by name."""
        return await self._unit.read(self._target(), template.everything)

    async def remove(self, name: str) -> bool:
        """Keep it no longer; True if it was there."""
        return (await self._unit.change(self._target(), lambda work: template.remove(work, name)))[0]

    async def named(self, name: str) -> Template:
        """The template of that name, for a session that is created from it; raises NotFound."""
        found = await self._unit.read(Target(template.SCOPE, "create"), lambda work: template.get(work, name))
        if found is None:
            raise NotFound(
                f"there is no template {name!r}",
                remedy="`hold.sessions.templates.add` makes one, `.list` names those there are.",
                template=name,
            )
        return found

    def _checked(
        self,
        name: str,
        names: Mapping[str, str | None],
        task: str | None,
        ttl: Duration | None,
        tags: Iterable[str],
        metadata: Mapping[str, Any] | None,
        budget: Budget | None,
        state: Mapping[str, Any] | None,
        variables: Mapping[str, Any] | None,
    ) -> Template:
        limits = self._store.limits
        values = {} if state is None else codec.copied_mapping(state, "state", bytes_max=limits.value_bytes_max)
        named = (
            {} if variables is None else codec.copied_mapping(variables, "variables", bytes_max=limits.value_bytes_max)
        )
        listed([*values, *named], "keys of state and variables", most=limits.operations_max // 2)
        for key in values:
            check_name(key, "a state key")
        for key, value in named.items():
            recorded(self._store, key, value)
        return Template(
            check_name(name, "the name of a template"),
            task=session.checked_text(task, "task", limits.value_bytes_max),
            ttl=None if ttl is None else timedelta(seconds=to_seconds(ttl, "ttl")),
            tags=session.checked_tags(tags),
            metadata={} if metadata is None else session.checked_metadata(metadata, limits.value_bytes_max),
            budget=Budget() if budget is None else budget,
            state=values,
            variables=named,
            **{field: None if value is None else check_name(value, f"the {field} of a session")
               for field, value in names.items()},
        )  # fmt: skip

    def _target(self) -> Target:
        """Where they are kept; NotFound for a principal who may not find it."""
        if self._store.principal is not None:
            self._store.principal.check(Scope.parse(template.SCOPE))
        return Target(template.SCOPE, "create")
