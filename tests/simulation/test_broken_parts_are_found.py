"""The simulation finds bugs: with one deliberately broken part in it, a handful of seeds is enough to fail.

Each part below is the real one with one mistake that somebody has made somewhere.
"""

import asyncio

import pytest
from msgspec.structs import replace

from holdfast.errors import Indeterminate
from holdfast.handles.store import Store
from holdfast.hold import Holdfast
from holdfast.kernel.commit import Committed, ScopeCommit, View
from holdfast.kernel.feed import Feed, Follower
from holdfast.kernel.writer import Lane, Writer
from holdfast.opening import framed
from holdfast.testing.simulation import Scenario, SimulationFailed, Weather, simulate
from holdfast.wrappers.around import Around
from holdfast.wrappers.stack import Stack

SEEDS = range(1, 9)
SILENT = Weather(hint_lost=1.0)


def says(opener, *sought: str, **more) -> bool:
    """Whether what the failing seeds say has all of it in it; no more seeds are tried than that takes."""
    said = ""
    for seed in SEEDS:
        try:
            simulate(seed, Scenario(opener=opener, **more))
        except SimulationFailed as failure:
            said += f"{failure}\n"
            if all(word in said for word in sought):
                return True
    return False


def test_a_failing_seed_is_named_and_says_how_to_see_it_again():
    with pytest.raises(
        SimulationFailed, match=r"^seed 3: .*\n(.*\n)*again with: python -m holdfast.testing.simulation 3$"
    ):
        simulate(3, Scenario(opener=on(Unconditional)))


def on(kernel_of):
    """Open the store with a broken kernel around the connection."""
    return lambda kernel, clock, ids, config: Holdfast.over(kernel_of(kernel), clock=clock, ids=ids, config=config)


def with_store(store_of):
    """Open the store with a broken part of its own."""

    def opened(kernel, clock, ids, config):
        kept = framed(kernel, config)
        return Holdfast(store_of(Stack(kept, None, None), clock=clock, ids=ids, config=config), kept)

    return opened


# --- writers ----------------------------------------------------------------------------------------


class ImpatientLane(Lane):
    """Sends what is unknown again under a new id, as if it surely had not been executed."""

    async def _try(self, commits):
        self._number(commits)
        return await super()._try(commits)


class ImpatientWriter(Writer):
    def _open_lane(self, loop):
        lane = ImpatientLane(self.kernel, self.clock, self._ids, loop, self._waiting_max)
        self._lanes[loop] = lane
        return lane


class ImpatientStore(Store):
    def __init__(self, stack, *, clock, ids, config):
        super().__init__(stack, clock=clock, ids=ids, config=config)
        self.writer = ImpatientWriter(self.kernel, clock=clock, ids=ids)


def test_a_writer_that_sends_an_unknown_commit_again_under_a_new_id_is_found():
    assert says(with_store(ImpatientStore), "doubled")


class HopefulLane(Lane):
    """Takes a lost reply for success."""

    async def _try(self, commits):
        outcomes = await super()._try(commits)
        return [Committed({}) if isinstance(outcome, Indeterminate) else outcome for outcome in outcomes]


class HopefulWriter(Writer):
    def _open_lane(self, loop):
        lane = HopefulLane(self.kernel, self.clock, self._ids, loop, self._waiting_max)
        self._lanes[loop] = lane
        return lane


class HopefulStore(Store):
    def __init__(self, stack, *, clock, ids, config):
        super().__init__(stack, clock=clock, ids=ids, config=config)
        self.writer = HopefulWriter(self.kernel, clock=clock, ids=ids)


def test_a_writer_that_takes_a_lost_reply_for_success_is_found():
    assert says(with_store(HopefulStore), "lost")


# --- feeds ------------------------------------------------------------------------------------------


class TrustingFeed(Feed):
    """Looks only when it is told that something moved."""

    async def _tick(self):
        return


class TrustingStore(Store):
    feed_class = TrustingFeed

    def feed(self):
        loop = asyncio.get_running_loop()
        return self._feeds.setdefault(loop, self.feed_class(self.kernel, clock=self.clock, ids=self.ids))


def test_a_feed_that_trusts_hints_is_found():
    """Hints get lost; the log is the truth. A follower that waits for a lost hint waits for ever."""
    assert says(with_store(TrustingStore), "never heard", weather=SILENT)


def turned_into(kind, follower):
    follower.__class__ = kind
    return follower


class ForgetfulFollower(Follower):
    """Drops what does not fit into its queue instead of reading it from the log."""

    def rouse(self, scope):
        self._wake()


class ForgetfulFeed(Feed):
    def follow(self, **options):
        return turned_into(ForgetfulFollower, super().follow(**options | {"queue_max": 1}))


class ForgetfulStore(TrustingStore):
    feed_class = ForgetfulFeed


def test_a_follower_that_drops_what_it_has_no_room_for_is_found():
    assert says(with_store(ForgetfulStore), "never heard")


class DoublingFollower(Follower):
    """After a cut it is handed the record at its cursor as if it were new."""

    async def add(self, scope, *, after, **options):
        await super().add(scope, after=after if after in (None, 0) else max(0, after.seq - 2), **options)


class DoublingFeed(Feed):
    def follow(self, **options):
        return turned_into(DoublingFollower, super().follow(**options))


class DoublingStore(TrustingStore):
    feed_class = DoublingFeed


def test_a_follower_that_resumes_before_its_cursor_is_found():
    assert says(with_store(DoublingStore), "stream")


# --- kernels ----------------------------------------------------------------------------------------


class Unconditional(Around):
    """Does not judge what was read."""

    async def commit(self, commits):
        blind = [
            replace(commit, scopes=tuple(replace(part, checks=()) for part in commit.scopes)) for commit in commits
        ]
        for commit, original in zip(blind, commits, strict=True):
            commit.id = original.id
        return await self.inside.commit(blind)


def test_a_kernel_that_skips_the_conditions_is_found():
    assert says(on(Unconditional), "read", "of one moment make")


class Halving(Around):
    """Commits to two scopes by two commits."""

    async def commit(self, commits):
        outcomes = await self.inside.commit([replace(commit, scopes=commit.scopes[:1]) for commit in commits])
        for commit, outcome in zip(commits, outcomes, strict=True):
            if len(commit.scopes) > 1 and isinstance(outcome, Committed):
                rest = replace(commit, scopes=commit.scopes[1:], id=commit.id._replace(writer=commit.id.writer[::-1]))
                (second,) = await self.inside.commit([rest])
                if isinstance(second, Committed):
                    outcome.seqs.update(second.seqs)
        return outcomes


def test_a_kernel_that_commits_two_scopes_one_after_the_other_is_found():
    assert says(on(Halving), "half")


class Resurrecting(Around):
    """Makes a scope that a write needs."""

    async def commit(self, commits):
        def eager(part: ScopeCommit) -> ScopeCommit:
            return replace(
                part, need="create" if part.need == "must_exist" and not part.drop else part.need, epoch=None
            )

        return await self.inside.commit(
            [replace(commit, scopes=tuple(map(eager, commit.scopes))) for commit in commits]
        )


def test_a_kernel_that_brings_deleted_sessions_back_is_found():
    assert says(on(Resurrecting), "life")


class Stale(Around):
    """Answers a read from a cache that nobody invalidates."""

    def __init__(self, inside):
        super().__init__(inside)
        self._kept: dict[str, View] = {}
        self._reads = 0

    async def read(self, reads, *, now_us):
        self._reads += 1
        if len(reads) == 1 and self._reads % 3 and (kept := self._kept.get(repr(reads[0]))) is not None:
            return [kept]
        views = await self.inside.read(reads, now_us=now_us)
        self._kept.update((repr(read), view) for read, view in zip(reads, views, strict=True))
        return views


def test_a_kernel_that_answers_from_a_stale_cache_is_found():
    assert says(on(Stale), "order") or says(on(Stale), "read")


@pytest.mark.parametrize("world", [{}, {"trims": 3}, {"weather": SILENT}], ids=str)
def test_with_the_real_parts_the_same_seeds_pass(world):
    for seed in SEEDS:
        simulate(seed, Scenario(**world))
