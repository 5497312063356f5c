"""The public surface does what a model of dicts and lists does, whatever is done in whatever order.

Sessions with every filter, state in every scope and namespace, temporary state and passing time, messages, events,
runtime state, transactions with rivals, turns and claims, deletions and re-creations, handles that are kept too long,
sweeps, and the change stream: on memory, on the weakest traits, and on SQLite opened twice.
"""

import asyncio
import contextvars
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from holdfast import Config, Holdfast, Scope
from holdfast.backends.memory import MemoryKernel, MemoryStore
from holdfast.backends.sqlite import SqliteKernel
from holdfast.errors import AlreadyExists, Conflict, NotFound, Unsupported
from holdfast.kernel.keys import bucket
from holdfast.model.config import ChangesConfig, StateConfig
from holdfast.model.moment import to_datetime
from holdfast.testing.clock import ManualClock, SeededIds
from holdfast.wrappers.weakest import Weakened
from tests.model_based.surface_model import ScopeModel
from tests.model_based.turn_rules import TurnRules

IDS = ("s1", "s2", "Ü/3")
USERS = ("ada", "bo")
TAGS = ("x", "y", "z")
KEYS = ("a", "b", "c/d", "\U0001f600")
SPACES = ("", "n", "n/m")
OTHERS = (Scope.user("ada"), Scope.agent("bot"), Scope.global_("flags"), Scope.run("r"))
TEMP_TTL_S = 60
CONFIG = Config(state=StateConfig(temp_ttl=TEMP_TTL_S), changes=ChangesConfig(retention_age=None))

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=4),
)  # fmt: skip
values = st.recursive(leaves, lambda inner: st.one_of(
    st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["p", "q", "\0"]), inner, max_size=2)), max_leaves=4,
)  # fmt: skip
metadata = st.dictionaries(st.sampled_from(["k", "l"]), leaves, max_size=2)
names = st.sampled_from([None, *USERS])
three = st.integers(0, 2)
tags = st.lists(st.sampled_from(TAGS), max_size=2, unique=True)


class TempReads:
    """What a transaction read and wrote of temporary state, while time passes in its block."""

    def __init__(self, model: ScopeModel, clock: ManualClock) -> None:
        self.model = model
        self.clock = clock
        self.read = {}
        self.written = {}

    @property
    def have_expired(self) -> bool:
        """Whether something that was read as present is no longer."""
        return any(found is not None and found.expires_us <= self.clock.now_us() for found in self.read.values())

    async def step(self, tx, what, key, value):
        """Set, get (what was read once stays as it was), or let time pass."""
        if what == 6:
            await tx.temp.set(key, value)
            self.written[key] = value
            return [("set", ("temp", "", key), value)]
        if what <= 8:
            if key in self.written:
                expected = self.written[key]
            else:
                found = self.read.setdefault(key, self.model.get(("temp", "", key), self.clock.now_us()))
                expected = found.value if found else "none"
            assert await tx.temp.get(key, default="none") == expected
        else:
            self.clock.advance(TEMP_TTL_S / 2)
        return []


class SurfaceMachine(TurnRules, RuleBasedStateMachine):
    """An opened store beside the model. Subclasses open the kernels."""

    spans_store = True
    transaction_steps = st.tuples(st.integers(0, 5), st.sampled_from(KEYS), values)

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.scopes: dict[str, ScopeModel] = {}
        self.kept = {}  # session id -> (handle, life)
        self.lives = dict.fromkeys(IDS, 0)
        self.turn = 0
        self.holds = [
            Holdfast.over(kernel, clock=self.clock, ids=SeededIds(n), config=CONFIG)
            for n, kernel in enumerate(self.run(self.open()))
        ]

    async def open(self):
        raise NotImplementedError

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    @property
    def hold(self) -> Holdfast:
        self.turn += 1
        return self.holds[self.turn * 7 % 11 % len(self.holds)]

    @property
    def now_us(self) -> int:
        return self.clock.now_us()

    def scope(self, scope: Scope | str) -> ScopeModel:
        return self.scopes.setdefault(str(scope), ScopeModel())

    def teardown(self) -> None:
        for hold in self.holds:
            self.run(hold.close())
        self.loop.close()

    # --- sessions ---------------------------------------------------------------------------------

    def alive(self, id: str) -> bool:
        return self.scope(Scope.session(id)).record is not None

    @rule(
        id=st.sampled_from(IDS), user=names, app=names, mode=names, tags=tags, metadata=metadata, way=st.integers(0, 2)
    )
    def create(self, id, user, app, mode, tags, metadata, way):
        """Create, create or return, or open: one session of an id at a time."""
        model = self.scope(Scope.session(id))
        fields = {"user": user, "app": app, "mode": mode, "tags": tags, "metadata": metadata}
        made = model.record is None
        try:
            if way == 2:
                session = self.run(self.hold.sessions.open(id, **fields))
            else:
                session = self.run(self.hold.sessions.create(id=id, **fields, on_exists=["fail", "return"][way]))
        except AlreadyExists:
            assert not made
            assert way == 0 or user not in (None, model.record["user"])
            return
        if made:
            record = {**fields, "id": id, "tags": tuple(tags), "created_us": self.now_us}
            model.commit(("put_record", record), ("event", "start", None))
            self.lives[id] += 1
        assert session.version == model.record["version"]
        self.kept[id] = session, self.lives[id]
        self.compare(session, model)

    def compare(self, session, model) -> None:
        record = model.record
        shown = {name: getattr(session, name) for name in ("id", "user", "app", "mode", "tags", "metadata", "version")}
        assert shown == {name: record[name] for name in shown}
        assert session.created_at == to_datetime(record["created_us"])

    @rule(id=st.sampled_from(IDS))
    def get(self, id):
        session = self.run(self.hold.sessions.get(id))
        assert (session is not None) == self.alive(id)
        if session is not None:
            self.compare(session, self.scope(Scope.session(id)))
            self.kept[id] = session, self.lives[id]

    @rule(id=st.sampled_from(IDS))
    def delete(self, id):
        assert self.run(self.hold.sessions.delete(id)) == self.alive(id)
        if self.alive(id):
            self.scope(Scope.session(id)).commit(("drop", id))

    @rule(id=st.sampled_from(IDS), metadata=st.none() | metadata, tags=st.none() | tags, late=st.integers(-1, 2))
    def update(self, id, metadata, tags, late):
        """Metadata merges by key, tags replace; with if_version, nobody wrote the record after it."""
        model = self.scope(Scope.session(id))
        version = model.record["version"] - late if model.record and late < 2 else None
        refusal = NotFound if model.record is None else Conflict if version is not None and late == 1 else None
        if version == 0:
            refusal = Conflict
        call = self.hold.sessions.update(id, metadata=metadata, tags=tags, if_version=version)
        if refusal is not None:
            with pytest.raises(refusal):
                self.run(call)
            return
        session = self.run(call)
        record = dict(model.record)
        record["metadata"] = {**record["metadata"], **(metadata or {})}
        record["tags"] = record["tags"] if tags is None else tuple(tags)
        model.commit(("put_record", record))
        self.compare(session, model)

    @rule(
        user=names, app=names, mode=names, tag=st.sampled_from([None, *TAGS]), limit=st.integers(1, 3),
        order=st.sampled_from(["newest", "oldest"]), since=st.none() | three, until=st.none() | three,
    )  # fmt: skip
    def list(self, user, app, mode, tag, order, limit, since, until):
        """Every filter, page by page: the same sessions in the same order, none twice."""
        times = sorted({model.record["created_us"] for model in self.scopes.values() if model.record} | {self.now_us})
        after = None if since is None else times[since % len(times)]
        before = None if until is None else times[until % len(times)]
        wanted = {"user": user, "app": app, "mode": mode}
        found = [
            (model.record["created_us"], name, model.record["id"])
            for name, model in self.scopes.items()
            if model.record
            and all(value is None or model.record[field] == value for field, value in wanted.items())
            and (tag is None or tag in model.record["tags"])
            and (after is None or model.record["created_us"] > after)
            and (before is None or model.record["created_us"] < before)
        ]
        found.sort(reverse=order == "newest")
        filters = {**wanted, "tag": tag, "order": order, "limit": limit}
        filters |= {"created_after": None if after is None else to_datetime(after)}
        filters |= {"created_before": None if before is None else to_datetime(before)}
        listed, cursor = [], None
        while True:
            page = self.run(self.hold.sessions.list(**filters, cursor=cursor))
            assert len(page.items) <= limit
            listed += [session.id for session in page.items]
            if (cursor := page.next) is None:
                break
        assert listed == [id for _, _, id in found]

    # --- state ------------------------------------------------------------------------------------

    @rule(data=st.data(), key=st.sampled_from(KEYS), value=values, what=st.sampled_from([6, 7, 0, 2, 3, 4, 5, 0]))
    def change_state(self, data, key, value, what):
        """Set, set on a version, mutate, update, merge, delete, clear: one commit each, or none and an error."""
        places = [(scope, space) for scope in (*map(Scope.session, IDS), *OTHERS) for space in SPACES]
        held = [place for place in places if self.scope(place[0]).all("state", place[1], self.now_us)]
        scope, namespace = data.draw(st.sampled_from(held if held and data.draw(st.booleans()) else places))
        state, model = self.hold.state(scope, namespace), self.scope(scope)
        if scope.kind == "session" and not self.alive(scope.id):
            with pytest.raises(NotFound):
                self.run(state.set(key, value))
            return
        at = ("state", namespace, key)
        there = model.get(at, self.now_us)
        if what <= 1:
            assert self.run(state.set(key, value)) == model.commit(("set", at, value))
        elif what == 2:
            version = data.draw(st.sampled_from([0, there.version if there else 0, model.seq]))
            holds = there is not None and there.version <= version if version else there is None
            if not holds:
                with pytest.raises(Conflict):
                    self.run(state.set(key, value, if_version=version))
            else:
                assert self.run(state.set(key, value, if_version=version)) == model.commit(("set", at, value))
        elif what == 3:
            new = [there.value if there else "none", 1]
            assert self.run(state.mutate(key, lambda old: [old, 1], default="none")) == new
            model.commit(("set", at, new))
        elif what == 4:
            both = {key: value, "b": 1}
            steps = [("set", ("state", namespace, name), each) for name, each in both.items()]
            assert self.run(state.update(both)) == model.commit(*steps)
        elif what == 5 and (there is None or isinstance(there.value, dict)):
            new = {**(there.value if there else {}), "p": value}
            assert self.run(state.merge(key, {"p": value})) == new
            model.commit(("set", at, new))
        elif what == 6:
            present = [name for name in dict.fromkeys((key, "a")) if model.get(("state", namespace, name), self.now_us)]
            assert self.run(state.delete(key, "a")) == len(present)
            if present:
                model.commit(*(("delete", ("state", namespace, name)) for name in present))
        elif what == 7:
            count = len(model.all("state", namespace, self.now_us))
            assert self.run(state.clear()) == count
            if count:
                model.commit(("clear", "state", namespace))
        self.compare_state(state, scope, namespace)

    def compare_state(self, state, scope, namespace) -> None:
        model = self.scope(scope)
        expected = model.all("state", namespace, self.now_us)
        assert self.run(state.keys()) == [*expected]
        snapshot = self.run(state.snapshot())
        assert (snapshot.values, snapshot.version) == (expected, model.seq)
        assert repr(snapshot.values) == repr(expected), "1 is not 1.0, and 0.0 is not -0.0"

    @rule(data=st.data(), key=st.sampled_from(KEYS), limit=st.integers(1, 4))
    def look_at_state(self, data, key, limit):
        scope = data.draw(st.sampled_from([*(Scope.session(id) for id in IDS if self.alive(id)), *OTHERS]))
        namespace = data.draw(st.sampled_from(SPACES))
        state, model = self.hold.state(scope, namespace), self.scope(scope)
        found = model.get(("state", namespace, key), self.now_us)
        assert self.run(state.get(key, default="none")) == (found.value if found else "none")
        assert self.run(state.has(key)) == (found is not None)
        history = self.run(state.history(key, limit=limit))
        past = model.history(namespace, key)
        assert [(item.value, item.version, item.deleted) for item in history.items] == past[:limit]
        assert history.complete == (len(past) <= limit)

    @rule(value=values)
    def write_many(self, value):
        """Several scopes in one commit, where the backend spans them; else it is refused and nothing is written."""
        entries = {Scope.user("ada"): {"a": value}, Scope.global_("flags"): {"a": value, "b": 2}}
        together = self.spans_store or len({bucket(str(scope)) for scope in entries}) == 1
        if not together:
            with pytest.raises(Unsupported):
                self.run(self.hold.set_many(entries))
        else:
            versions = self.run(self.hold.set_many(entries))
            for scope, written in entries.items():
                steps = [("set", ("state", "", key), each) for key, each in written.items()]
                assert versions[scope] == self.scope(scope).commit(*steps)
        many = self.run(self.hold.state_many(list(entries)))
        assert many == {scope: self.scope(scope).all("state", "", self.now_us) for scope in entries}

    # --- what a session holds -----------------------------------------------------------------------

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), key=st.sampled_from(KEYS), value=values, what=st.integers(0, 7), text=st.text(max_size=3))
    def use_session(self, data, key, value, what, text):
        """Through a handle that may have been kept too long: then NotFound, also when another has the id now."""
        id = data.draw(st.sampled_from(sorted(self.kept)))
        session, life = self.kept[id]
        model = self.scope(Scope.session(id))
        text = text.encode("utf-8", "ignore").decode()
        if not self.alive(id) or life != self.lives[id]:
            with pytest.raises(NotFound):
                self.run(session.state.set("a", 1) if what % 2 else session.messages.add("user", "late"))
            with pytest.raises(NotFound):
                self.run(session.refresh())
            del self.kept[id]
            return
        expires_us = self.now_us + TEMP_TTL_S * 1_000_000
        if what == 0:
            version = self.run(session.temp.set(key, value))
            assert version == model.commit(("set", ("temp", "", key), value, expires_us))
        elif what == 1:
            assert self.run(session.runtime.set(key, value)) == model.commit(("set", ("runtime", "", key), value))
        elif what == 2:
            count = len(model.all("runtime", "", self.now_us))
            assert self.run(session.runtime.clear()) == count
            if count:
                model.commit(("clear", "runtime", ""))
        elif what == 3:
            self.run(session.log("kind", value))
            model.commit(("event", "kind", value))
        elif what <= 6:
            count = data.draw(st.integers(1, 3))
            batch = [{"role": "user", "content": f"{text}{n}", "metadata": {"n": n}} for n in range(count)]
            self.run(session.messages.add_many(batch))
            model.commit(*(("message", each["role"], each["content"], each["metadata"]) for each in batch))
        elif what == 7:
            self.run(session.update(metadata={"k": text}))
            model.commit(("put_record", {**model.record, "metadata": {**model.record["metadata"], "k": text}}))
        self.compare_session(session, model, data)

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), text=st.text(max_size=3), what=st.sampled_from([3, 5]))
    def converse(self, data, text, what):
        """Messages and events, which the other rule draws too seldom."""
        self.use_session(data, "a", text.encode("utf-8", "ignore").decode(), what, text)

    def compare_session(self, session, model, data) -> None:
        self.compare(self.run(session.refresh()), model)
        assert self.run(session.temp.snapshot()).values == model.all("temp", "", self.now_us)
        assert self.run(session.runtime.all()) == model.all("runtime", "", self.now_us)
        whole = self.run(session.messages.list(limit=1000))
        assert [(m.role, m.content, m.metadata) for m in whole] == model.messages
        if whole:
            first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(whole) - 1)] * 2)))
            limit = data.draw(st.integers(1, 4))
            between = whole[first + 1 : last]
            asked = {"after": whole[first], "before": whole[last].cursor, "limit": limit}
            assert self.run(session.messages.list(**asked)) == between[:limit]
            assert self.run(session.messages.list(**asked, order="newest")) == between[::-1][:limit]
            assert self.run(session.messages.last(limit)) == whole[-limit:]
        events = self.run(session.events(limit=1000)).items
        assert [(event.type, event.data) for event in events] == model.events

    # --- transactions -----------------------------------------------------------------------------

    @precondition(lambda self: any(map(self.alive, IDS)))
    @rule(data=st.data(), end=st.sampled_from(["commit", "commit", "commit", "rollback", "error"]))
    def transaction(self, data, end):
        """Reads see the writes before; a rival's write makes a Conflict exactly where it was read."""
        id = data.draw(st.sampled_from([id for id in IDS if self.alive(id)]))
        session = self.run(self.hold.sessions.get(id))
        rival = self.run(self.hold.sessions.get(id)) if data.draw(st.booleans()) else None
        steps = data.draw(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(KEYS), values), min_size=1, max_size=6))
        touched = data.draw(st.sampled_from(KEYS))
        self.run(self._transact(session, rival, steps, touched, end))
        self.compare_session(self.run(self.hold.sessions.get(id)), self.scope(Scope.session(id)), data)

    async def _transact(self, session, rival, steps, touched, end):
        model = self.scope(Scope.session(session.id))
        overlay = model.all("state", "", self.now_us)
        reads: set[str] = set()
        staged = []
        written: set[str] = set()
        temp = TempReads(model, self.clock)
        conflict = False
        try:
            async with session.transaction() as tx:
                for what, key, value in steps:
                    if what <= 5:
                        staged += await self._step(tx, what, key, value, overlay, reads, written)
                    else:
                        staged += await temp.step(tx, what, key, value)
                if rival is not None:
                    task = asyncio.create_task(rival.state.set(touched, "rival"), context=contextvars.Context())
                    conflict = touched in reads or "*" in reads or temp.have_expired
                    assert await task == model.commit(("set", ("state", "", touched), "rival"))
                conflict = conflict or temp.have_expired
                if end == "rollback":
                    tx.rollback()
                if end == "error":
                    raise ZeroDivisionError
        except Conflict:
            assert conflict
            return
        except ZeroDivisionError:
            assert end == "error"
            return
        assert end == "rollback" or not conflict, "a rival wrote what was read, and nobody noticed"
        if end == "commit" and staged:
            assert tx.version(Scope.session(session.id)) == model.seq + 1
            expires_us = self.now_us + TEMP_TTL_S * 1_000_000  # counted from the commit
            model.commit(
                *((*step, expires_us) if step[0] == "set" and step[1][0] == "temp" else step for step in staged)
            )

    async def _step(self, tx, what, key, value, overlay, reads, written):
        at = ("state", "", key)
        if what <= 1:
            await tx.state.set(key, value)
            overlay[key] = value
            written.add(key)
            return [("set", at, value)]
        if what == 2:
            assert await tx.state.get(key, default="none") == overlay.get(key, "none")
            reads.update({key} - written)
            return []
        if what == 3:
            assert await tx.state.keys() == sorted(overlay)
            reads.add("*")
            return []
        if what == 4:
            assert await tx.state.delete(key) == (key in overlay)
            reads.update({key} - written)
            if key in overlay:
                del overlay[key]
                written.add(key)
                return [("delete", at)]
            return []
        await tx.messages.add("user", key)
        return [("message", "user", key, {})]

    # --- time, sweeps, streams --------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.000001, 1, TEMP_TTL_S / 2, TEMP_TTL_S]))
    def pass_time(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def sweep(self):
        """Shows in nothing."""
        self.run(self.hold.sweep())

    @rule(data=st.data())
    def follow(self, data):
        """The stream from the beginning, or from the cursor of any change, is every change in order."""
        scope = data.draw(st.sampled_from([*(Scope.session(id) for id in IDS), *OTHERS]))
        model = self.scope(scope)
        if model.changes:
            seen = self.run(self._read_stream(scope, "beginning", len(model.changes)))
            assert [self.told(change) for change in seen] == model.changes
            place = data.draw(st.integers(0, len(seen) - 1))
            if place + 1 < len(seen):
                rest = self.run(self._read_stream(scope, seen[place].cursor, len(seen) - place - 1))
                assert rest == seen[place + 1 :]

    def told(self, change):
        value = change.value
        if change.kind == "session" and change.op == "set":
            value = value.get("metadata", {})
        elif change.op == "append":
            value = value.get("content") if change.kind == "message" else value.get("data")
        return change.seq, change.kind, change.op, change.key, value, change.namespace

    async def _read_stream(self, scope, after, count):
        seen = []
        async with self.hold.changes([scope], after={scope: after}) as changes:
            while len(seen) < count:
                seen.append(await asyncio.wait_for(anext(changes), timeout=10))
        return seen

    @invariant()
    def sessions_are_those_of_the_model(self):
        alive = {id for id in IDS if self.alive(id)}
        assert {session.id for session in self.run(self.hold.sessions.list(limit=100)).items} == alive


class MemorySurface(SurfaceMachine):
    async def open(self):
        return [MemoryKernel()]


class WeakestSurface(SurfaceMachine):
    """One bucket at a time."""

    spans_store = False

    async def open(self):
        store = MemoryStore()
        return [Weakened(MemoryKernel(store), random=random.Random(n)) for n in range(2)]


class SqliteSurface(SurfaceMachine):
    """Two stores on one file."""

    async def open(self):
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-surface-"))
        return [await SqliteKernel.open(self.folder / "a.db", durability="process") for _ in range(2)]

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


quick = settings(
    derandomize=True,
    deadline=None,
    database=None,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

TestMemorySurface = MemorySurface.TestCase
TestMemorySurface.settings = settings(quick, max_examples=60)
TestWeakestSurface = WeakestSurface.TestCase
TestWeakestSurface.settings = settings(quick, max_examples=30)
TestSqliteSurface = SqliteSurface.TestCase
TestSqliteSurface.settings = settings(quick, max_examples=20)


@pytest.mark.soak
@pytest.mark.parametrize("machine", [MemorySurface, WeakestSurface, SqliteSurface])
def test_thousands_of_random_lives_show_as_in_the_model(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(quick, derandomize=False, max_examples=800, stateful_step_count=60, print_blob=True),
    )
