"""The blocking face: the same names and promises, without `await`, and nothing left out."""

from __future__ import annotations

import ast
import contextlib
import inspect
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import holdfast
import holdfast.sync
from holdfast.errors import AlreadyExists, Closed, Conflict, InvalidValue, UseTransaction
from holdfast.handles.messages import Messages
from holdfast.sync import Holdfast, Scope, timeout
from holdfast.sync.face import OWN_USE, RENAMED, Entered, Items, face_of, faced, is_handle
from holdfast.sync.portal import portal
from tests.architecture.tree import SRC, parse


@pytest.fixture(params=["memory", "sqlite"])
def hold(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Holdfast]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'store.db'}"
    with Holdfast.open(url) as opened:
        yield opened


def test_what_is_set_is_there_and_a_handle_comes_as_its_blocking_class(hold: Holdfast) -> None:
    """Values are values; sessions, in pages, lists and streams too, are `holdfast.sync.Session`."""
    s = hold.sessions.open("trip", user="ada")
    version = s.state.set("cart", ["milk"])
    assert (s.state.get("cart", list[str]), s.state.snapshot().version) == (["milk"], version)
    assert s.messages.add("user", "hello").content == s.messages.last(1)[0].content
    assert s.user_state.set("theme", "dark") == 1
    found = [hold.sessions.get("trip"), hold.sessions.list(user="ada").items[0], *hold.sessions.iterate()]
    assert [type(one) for one in found] == [holdfast.sync.Session] * 3
    assert hold.sessions.get("other") is None
    assert isinstance(s, holdfast.sync.SessionSurface)
    assert s.state is s.state
    assert repr(s) == f"<Session 'trip' active version={s.version}>"


def test_a_block_commits_as_one_and_an_exception_or_a_rollback_writes_nothing(hold: Holdfast) -> None:
    """A transaction spans calls, each of which is a task of its own."""
    s = hold.sessions.create(id="s")
    with s.transaction() as tx:
        tx.state.set("a", 1)
        tx.messages.add("assistant", "added")
        assert (tx.state.get("a"), s.state.get("a")) == (1, None)
    with contextlib.suppress(ZeroDivisionError), s.transaction() as tx:
        tx.state.set("a", 2)
        raise ZeroDivisionError
    with s.transaction() as tx:
        tx.state.set("a", 3)
        tx.rollback()
    with hold.transaction() as many:
        many.state(Scope.session("s")).set("b", 1)
        assert isinstance(many.session("s"), holdfast.sync.SessionSurface)
    assert (s.state.get("a"), s.state.get("b"), len(s.messages.list())) == (1, 1, 1)
    with pytest.raises(Closed):
        tx.state.set("a", 4)


def test_a_conflict_comes_out_of_the_block_and_writing_past_it_is_refused(hold: Holdfast) -> None:
    """Serialisable; `UseTransaction` also where the block was entered by an earlier call."""
    s = hold.sessions.create(id="s")
    with pytest.raises(Conflict), s.transaction() as tx:
        tx.state.get("n")
        tx.state.set("n", 1)
        with pytest.raises(UseTransaction):
            s.state.set("n", 2)
        rival = threading.Thread(target=lambda: hold.state(Scope.session("s")).set("n", 3))
        rival.start()  # a thread of its own is not inside the block
        rival.join()
    assert s.state.set("n", 4) == s.state.snapshot().version


def test_transact_runs_a_plain_function_in_the_thread_that_called_it(hold: Holdfast) -> None:
    """`fn` may block and make calls; it runs again on Conflict, and an async one is refused."""
    s = hold.sessions.create(id="s")
    seen: list[int] = []

    def count(tx: holdfast.sync.SessionTransaction) -> int:
        seen.append(threading.get_ident())
        number = tx.state.get("n", int, default=0)
        if len(seen) == 1:
            threading.Thread(target=lambda: hold.state(Scope.session("s")).set("n", 10)).start()
            while s.state.get("n") != 10:
                pass
        tx.state.set("n", number + 1)
        return number + 1

    async def wrong(tx: object) -> None: ...

    assert s.transact(count) == 11
    assert seen == [threading.get_ident()] * 2
    with pytest.raises(InvalidValue):
        hold.transact(wrong)
    with pytest.raises(ZeroDivisionError):
        hold.transact(lambda tx: 1 // 0)
    with pytest.raises(RuntimeError):
        hold.transact(lambda tx: next(iter([])))


def test_an_error_keeps_its_type_and_its_traceback_tells_both_sides(hold: Holdfast) -> None:
    """The line that called, and the line that refused, stand in one traceback."""
    hold.sessions.create(id="s")
    try:
        hold.sessions.create(id="s")
    except AlreadyExists as error:
        lines = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert lines[0] == "test_an_error_keeps_its_type_and_its_traceback_tells_both_sides"
        assert lines[-1] == "write"
        assert "create" in lines


def test_a_step_runs_a_plain_function_in_the_thread_that_called_it(hold: Holdfast) -> None:
    """A model that answers slowly holds up its own thread, and not the one that serves all others."""
    s = hold.sessions.create(id="s")
    seen: list[int] = []

    def ask(city: str) -> str:
        seen.append(threading.get_ident())
        return f"{city} of {s.state.get('of', default='Japan')}"  # it may make calls of its own

    async def wrong() -> None:
        """Not for blocking calls."""

    with s.turn(request_id="req-1") as turn:
        assert turn.step("ask", ask, "Nara") == turn.step("ask", ask, "Nara", returns=str) == "Nara of Japan"
        with pytest.raises(InvalidValue, match="plain function"):
            turn.step("wrong", wrong)
    assert seen == [threading.get_ident()]


def test_the_cause_of_the_calling_thread_is_recorded(hold: Holdfast) -> None:
    """`acting` holds for the calls of its block and its thread."""
    s = hold.sessions.create(id="s")
    with hold.acting(by="ada"):
        s.state.set("a", 1)
        assert s.state.snapshot().updated_by == "ada"
    s.state.set("a", 2)
    assert s.state.snapshot().updated_by is None


def test_a_stream_is_iterated_goes_on_after_a_timeout_and_is_closed_by_another_thread(hold: Holdfast) -> None:
    """Every change once, in order, also around a call that ran out of time."""
    s = hold.sessions.create(id="s")
    with s.changes(after="now") as changes:
        with pytest.raises(TimeoutError), timeout("1ms"):
            next(changes)
        s.state.set("a", 1)
        s.state.set("b", 2)
        assert [next(changes).key, next(changes).key] == ["a", "b"]
        closing = threading.Timer(0.01, changes.close)
        closing.start()
        assert list(changes) == []


def test_the_next_that_runs_out_of_time_is_cancelled_and_the_earlier_end_counts(hold: Holdfast) -> None:
    """A block in which time ran out is left in good order: its transaction wrote nothing, and has ended."""
    s = hold.sessions.create(id="s")
    changes = s.changes()
    tx = s.transaction().__enter__()
    tx.state.set("a", 1)
    with pytest.raises(TimeoutError), timeout("1ms"), contextlib.ExitStack() as leaving:
        leaving.push(tx)
        with timeout("1h"):
            next(changes)
    assert not tx.is_open
    assert s.state.get("a") is None
    changes.close()


def test_an_opening_without_a_block_is_a_store_until_it_is_closed(tmp_path: Path) -> None:
    """Who opens, closes."""
    opened = Holdfast.open(f"sqlite:///{tmp_path / 'store.db'}")
    assert opened.sessions.create(id="s").id == "s"
    opened.close()
    with pytest.raises(Closed):
        opened.sessions.get("s")


# --- what a block sets, and what is awaited -------------------------------------------------------


@contextlib.asynccontextmanager
async def tripled(number: int) -> AsyncIterator[int]:
    yield number * 3


async def counted() -> AsyncIterator[int]:
    for number in range(3):
        yield number


def test_blocks_and_generators_of_any_async_function_have_a_face() -> None:
    """Also those that are no class of ours: what `@asynccontextmanager` and `yield` make."""
    with faced(tripled(2), portal()) as six:
        assert six == 6
    items = faced(counted(), portal())
    assert isinstance(items, Items)
    assert (next(items), next(items)) == (0, 1)
    items.close()
    assert list(items) == []


# --- completeness ---------------------------------------------------------------------------------


def handles() -> dict[str, type]:
    """Every class with a face that stands in the sources of the handles."""
    found = {}
    for path in [SRC / "hold.py", *sorted((SRC / "handles").glob("[!_]*.py"))]:
        module = inspect.importlib.import_module(  # type: ignore[attr-defined]
            ".".join(["holdfast", *path.relative_to(SRC).with_suffix("").parts])
        )
        for node in parse(path).body:
            if isinstance(node, ast.ClassDef) and is_handle(kind := getattr(module, node.name)):
                found[node.name] = kind
    return found


@pytest.mark.parametrize("name", handles())
def test_a_face_has_every_public_member_of_its_handle(name: str) -> None:
    """By construction: what a handle can do its face can do, and says in the same words."""
    kind = handles()[name]
    face = face_of(kind)
    for member in dir(kind):
        if member in OWN_USE or (member.startswith("_") and member not in RENAMED):
            continue
        assert hasattr(face, RENAMED.get(member, member)), member
        shown = inspect.getattr_static(face, RENAMED.get(member, member))
        assert not inspect.iscoroutinefunction(shown)
        assert bool(inspect.getdoc(shown)) >= bool(inspect.getdoc(getattr(kind, member)))


def test_every_name_of_the_package_is_here_and_what_awaits_is_a_face() -> None:
    """`from holdfast.sync import …` takes any name that `from holdfast import …` takes."""
    for name in holdfast.__all__:
        found, here = getattr(holdfast, name), getattr(holdfast.sync, name)
        assert here is (face_of(found) if isinstance(found, type) and is_handle(found) else found)
    assert set(holdfast.sync.__all__) <= set(dir(holdfast.sync))
    with pytest.raises(AttributeError, match="no attribute 'Holdfats'"):
        _ = holdfast.sync.Holdfats


def test_docstrings_read_without_await() -> None:
    """What help() shows can be typed as it stands."""
    assert "async with" in (holdfast.Session.transaction.__doc__ or "")
    assert "`with s.transaction() as tx`" in (holdfast.sync.Session.transaction.__doc__ or "")
    assert issubclass(holdfast.sync.Transaction, Entered)
    assert "list" in dir(face_of(Messages))
