"""A session for the length of a block: `async with hold.sessions.work("Fix the bug") as s`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType

from holdfast.errors import Closed, HoldfastError, InvalidTransition
from holdfast.handles.background import to_its_end
from holdfast.handles.measured import measured
from holdfast.handles.session import Session
from holdfast.handles.store import Store
from holdfast.model.status import SessionStatus


@measured("work", store="_store", block=True)
class Working:
    """Creates the session at the block's start, and moves it on at its end."""

    def __init__(self, store: Store, create: Callable[[], Awaitable[Session]]) -> None:
        self._store = store
        self._create: Callable[[], Awaitable[Session]] | None = create
        self._session: Session | None = None

    async def __aenter__(self) -> Session:
        if self._create is None:
            raise Closed("a block of work is used once; call `work` for another")
        create, self._create = self._create, None
        self._session = await create()
        return self._session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._session
        assert session is not None
        try:
            await to_its_end(_move_on(session, error))
        except HoldfastError as problem:
            if error is None:
                raise
            error.add_note(f"the session stays {session.status}: {problem}")


async def _move_on(session: Session, error: BaseException | None) -> None:
    """Complete, fail or pause it, unless it was moved already, by the block or by somebody else."""
    if session.status is not SessionStatus.ACTIVE:
        return
    try:
        if error is None:
            await session.complete()
        elif isinstance(error, Exception):
            await session.fail(error)
        else:
            await session.pause("cancelled")
    except InvalidTransition:
        await session.refresh()
