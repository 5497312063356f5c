"""Blocking classes, made of the async ones by looking at them.

A handle (a class of `holdfast.hold` or `holdfast.handles` that is no plain data) gets a face: a class of the same name
and the same public members, each of which blocks where the other awaits. Nothing is listed here, so what a handle can
do tomorrow its face can do as soon. What a type checker sees, `sync/__init__.pyi`, is generated from the same sources.

    async def            blocks and returns what awaiting returns; handles in it come as faces
    plain method, property, attribute   as it is, made for the portal's loop in the calling thread
    async with           with; `async for`  for;  `aclose`  close
    what is awaited and also entered    awaited at once where that gives what is entered; else `wait()` awaits it
    an async function as an argument    a plain function, run in the calling thread
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextvars import Context, Token, copy_context
from types import MemberDescriptorType, TracebackType
from typing import Any, Self, get_args, get_overloads, get_type_hints

import msgspec
from msgspec.structs import replace

from holdfast.model.page import Page
from holdfast.sync.portal import Call, Portal, adopt, blocking_words, portal

RENAMED = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "__await__": "wait",
    "aclose": "close",
}
"""What the members of a handle are called on its face, where that differs."""

OWN_USE = frozenset({"covers", "place"})
"""Public members of handles that are for the library itself, and not on their faces."""

_ASYNC_FUNCTION = re.compile(r"Callable\[.*(Awaitable|Coroutine)")
_PLAIN = (msgspec.Struct, tuple, BaseException, str, int, dict)


class Face:
    """What every blocking class is: a handle, seen from threads. Equal to any other face of the same handle."""

    __slots__ = ("_context", "_faces", "_handle", "_portal", "_tokens")
    _handle: Any
    _context: Context | None
    _tokens: Sequence[Token[Any]]

    def __init__(self, handle: Any, portal: Portal) -> None:
        put = object.__setattr__
        put(self, "_handle", handle)
        put(self, "_portal", portal)
        put(self, "_context", None)
        put(self, "_faces", {})
        put(self, "_tokens", ())

    def __getattr__(self, name: str) -> Any:
        # Attributes that the handle was given when it was made.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        handle: Any = self._handle
        return self._keep(name, self._portal.here(getattr, handle, name))

    def __setattr__(self, name: str, value: Any) -> None:
        self._portal.here(setattr, self._handle, name, bare(value))

    def _keep(self, name: str, value: Any) -> Any:
        """The face of an attribute's value: the same one as long as it is the same value."""
        kind: type = type(value)
        if not is_handle(kind):
            return value
        face = self._faces.get(name)
        if face is None or face._handle is not value:
            face = self._faces[name] = faced(value, self._portal)
        return face

    def __repr__(self) -> str:
        return repr(self._handle)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Face) and bool(self._handle == other._handle)

    def __hash__(self) -> int:
        return hash(self._handle)

    def __dir__(self) -> list[str]:
        shown = [name for name in dir(self._handle) if not name.startswith("_")]
        return sorted({*super().__dir__(), *shown} - {*RENAMED})


class Entered(Face):
    """A block: entered and left by calls of their own, in one context, which holds what the block set."""

    __slots__ = ()

    def __enter__(self) -> Any:
        """Enter the block."""
        context = copy_context()
        put = object.__setattr__
        put(self, "_context", context)
        try:
            entered = self._portal.call(self._handle.__aenter__, context=context)
        finally:
            put(self, "_tokens", adopt(context))
        return self if entered is self._handle else faced(entered, self._portal)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Leave the block."""
        context = self._context if self._context is not None else copy_context()
        context.run(adopt, copy_context())  # what was set in the block
        leave = self._handle.__aexit__
        try:
            return bool(self._portal.call(leave, kind, error, trace, context=context, timed=error is None))
        finally:
            adopt(context)
            for token in self._tokens:
                if token.var not in context:  # it was reset to what was before it was ever set
                    with contextlib.suppress(ValueError):  # the block was entered in another thread
                        token.var.reset(token)


class Iterated(Face):
    """A stream: the next of it is waited for. Another thread may close it, which ends the iteration."""

    __slots__ = ()

    def __iter__(self) -> Self:
        """The stream itself."""
        return self

    def __next__(self) -> Any:
        """Wait for the next one."""
        try:
            return faced(self._portal.call(self._handle.__anext__), self._portal)
        except StopAsyncIteration:
            raise StopIteration from None


class Items(Iterated):
    """What an async generator yields, one after the other."""

    __slots__ = ()

    def close(self) -> None:
        """End the iteration."""
        self._portal.call(self._handle.aclose)


class Awaited(Face):
    """What can be awaited besides being entered."""

    __slots__ = ()

    def wait(self) -> Any:
        """What `await` is."""
        return faced(self._portal.call(_awaited, self._handle), self._portal)


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


@functools.cache
def is_handle(kind: type) -> bool:
    """Whether values of that class are used by methods that await, and so come with a face."""
    if issubclass(kind, (AsyncGenerator, contextlib.AbstractAsyncContextManager)):
        return True
    ours = kind.__module__ == "holdfast.hold" or kind.__module__.startswith("holdfast.handles.")
    return ours and not issubclass(kind, _PLAIN) and not getattr(kind, "_is_protocol", False)


@functools.cache
def face_of(kind: type) -> type[Face]:
    """The blocking class of a handle's class."""
    if issubclass(kind, AsyncGenerator):
        return Items
    bases = [face_of(base) for base in kind.__bases__ if base is not object and is_handle(base)]
    traits = [trait for verb, trait in _TRAITS.items() if hasattr(kind, verb)]
    traits = [trait for trait in traits if not any(issubclass(base, trait) for base in bases)]
    members: dict[str, Any] = {"__slots__": (), "__module__": "holdfast.sync", "__doc__": _told(kind.__doc__)}
    for name, member in vars(kind).items():
        if not name.startswith("_") and name not in OWN_USE and (shown := _blocking(name, member)) is not None:
            members[RENAMED.get(name, name)] = shown
    return type(kind.__name__, (*bases, *traits) or (Face,), members)


_TRAITS: dict[str, type[Face]] = {"__aenter__": Entered, "__anext__": Iterated, "__await__": Awaited}


def _blocking(name: str, member: Any) -> Any:
    """The face's member for one of the handle's; None for what is found on each handle by itself."""
    if isinstance(member, (property, functools.cached_property, MemberDescriptorType)):
        return property(functools.partial(_got, name), doc=_told(member.__doc__))
    if isinstance(member, (classmethod, staticmethod)):
        return staticmethod(_made(name, member))
    if inspect.isfunction(member):
        return _awaiting(member) if inspect.iscoroutinefunction(member) else _plain(member)
    return None


def _got(name: str, face: Face) -> Any:
    return face._keep(name, face._portal.here(getattr, face._handle, name))


def _awaiting(method: Callable[..., Any]) -> Callable[..., Any]:
    visiting = _functions_in(method)

    @functools.wraps(method)
    def blocking(self: Face, *args: Any, **kwargs: Any) -> Any:
        at = self._portal
        given = [bare(one) for one in args]
        named = {key: bare(one) for key, one in kwargs.items()} if kwargs else kwargs
        visits = functools.partial(_send_home, visiting, method, at) if visiting else None
        return faced(at.call(method, self._handle, *given, visits=visits, **named), at)

    blocking.__doc__ = _told(method.__doc__)
    return blocking


def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def plain(self: Face, *args: Any, **kwargs: Any) -> Any:
        given = [bare(one) for one in args]
        named = {key: bare(one) for key, one in kwargs.items()}
        return faced(self._portal.here(method, self._handle, *given, **named), self._portal)

    plain.__doc__ = _told(method.__doc__)
    return plain


def _made(name: str, member: Any) -> Callable[..., Any]:
    """A function of the class: `Holdfast.open`. Nothing of the store's own runs in the background, where it can be
    asked for: what a blocking program does it does itself."""
    function = member.__func__
    has_background = "background" in inspect.signature(function).parameters

    @functools.wraps(function)
    def made(*args: Any, **kwargs: Any) -> Any:
        if has_background:
            kwargs.setdefault("background", False)
        at = portal()
        return faced(at.here(member.__get__(None, _home(member)), *args, **kwargs), at)

    made.__doc__ = _told(function.__doc__)
    return made


def _home(member: Any) -> type:
    """The class that a classmethod stands in."""
    function = member.__func__
    owner: Any = inspect.getmodule(function)
    for part in function.__qualname__.split(".")[:-1]:
        owner = getattr(owner, part)
    assert isinstance(owner, type)
    return owner


def _functions_in(method: Callable[..., Any]) -> frozenset[str]:
    """The parameters of a method that take async functions: also where only an overload says so, as of `step`."""
    told = [pair for one in (method, *get_overloads(method)) for pair in inspect.get_annotations(one).items()]
    return frozenset(name for name, annotation in told if name != "return" and _ASYNC_FUNCTION.search(str(annotation)))


def _send_home(names: frozenset[str], method: Callable[..., Any], at: Portal, call: Call) -> None:
    """Let the functions that a call was given run in the thread that made it."""
    bound = inspect.signature(method).bind(*call.args, **call.kwargs)
    for name in names & bound.arguments.keys():
        if callable(fn := bound.arguments[name]):
            bound.arguments[name] = call.visit(_with_faces(fn, at))
    call.args, call.kwargs = bound.args, bound.kwargs


def _with_faces(fn: Callable[..., Any], at: Portal) -> Callable[..., Any]:
    def with_faces(*args: Any, **kwargs: Any) -> Any:
        return bare(fn(*[faced(one, at) for one in args], **{key: faced(one, at) for key, one in kwargs.items()}))

    return with_faces


# --- values on their way in and out ---------------------------------------------------------------


def bare(value: Any) -> Any:
    """The handle behind a face; anything else as it is."""
    return value._handle if isinstance(value, Face) else value


def faced(value: Any, at: Portal) -> Any:
    """A handle's face; the same for those in a list, a tuple, a mapping's values or a page; anything else as it is."""
    kind: type = type(value)
    return _how(kind)(value, at)


@functools.cache
def _how(kind: type) -> Callable[[Any, Portal], Any]:
    if kind is Page:
        return lambda page, at: replace(page, items=_each(page.items, at)) if _has_handle(page.items) else page
    if kind in (list, tuple):
        return lambda several, at: _each(several, at) if _has_handle(several) else several
    if kind is dict:
        return _faced_values
    if not is_handle(kind):
        return lambda value, at: value
    if _is_opened_at_once(kind):
        return lambda handle, at: faced(at.call(_awaited, handle), at)
    face = face_of(kind)
    return lambda handle, at: face(handle, at)


def _has_handle(several: Iterable[Any]) -> bool:
    """Whether the first of them is a handle: then all are."""
    for one in several:
        kind: type = type(one)
        return is_handle(kind)
    return False


def _each(several: Sequence[Any], at: Portal) -> Any:
    return type(several)(faced(one, at) for one in several)  # type: ignore[call-arg]


def _faced_values(several: dict[Any, Any], at: Portal) -> dict[Any, Any]:
    return {key: faced(one, at) for key, one in several.items()} if _has_handle(several.values()) else several


def _is_opened_at_once(kind: type) -> bool:
    """Whether awaiting gives what entering gives, as of `Holdfast.open`: something to be entered and left itself."""
    if not hasattr(kind, "__await__"):
        return False
    if not hasattr(kind, "__aenter__"):
        return True
    result = get_args(get_type_hints(kind.__await__)["return"])[-1]
    return isinstance(result, type) and hasattr(result, "__aenter__")


def _told(doc: str | None) -> str | None:
    """A docstring as it reads where nothing is awaited."""
    if doc is None:
        return None
    return blocking_words(doc)
