"""The n-th call of the file system fails, for every n and every kind of call: no space, or an error of the disk.

Then: a clear error or none; nothing acknowledged is lost, nothing is half, nothing that was refused is there; and the
store goes on, or has closed itself and says so. Opened anew, with the disk mended, it has everything.
"""

import shutil
import time
from pathlib import Path
from random import Random

import pytest

from holdfast import Config, Holdfast
from holdfast.backends.sqlite import SqliteKernel, checkpoint
from holdfast.errors import Closed, HoldfastError, Indeterminate, StoreFull, StoreLocked, Unavailable
from holdfast.model.config import ChangesConfig
from holdfast.testing.clock import LeapingClock
from holdfast.testing.place import place_in_one_bucket
from holdfast.testing.recording import Recorder
from holdfast.testing.workload import Client
from tests.crash.aftermath import Aftermath
from tests.faults.failing_files import FULL, FailingVfs

# SQLite does without some of what fails (a checkpoint at the end, an unlock); apsw then has an exception for nobody.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PLACE = place_in_one_bucket(sessions=1, accounts=2)
CONFIG = Config(changes=ChangesConfig(retention_age=None))
CLEAR = (Closed, Indeterminate, StoreFull, StoreLocked, Unavailable)
"""What a disk that fails may be called. Corrupt is not among them: nothing is damaged."""

ONCE, FOR_GOOD = 1, 10**9
EVERY = [
    (call, reason, times)
    for call in ("write", "sync", "truncate", "lock", "read", "size", "delete", "open")
    for reason in ("broken", "full")
    for times in (ONCE, FOR_GOOD)
    if reason == "broken" or call in FULL
]


@pytest.fixture(autouse=True)
def small_log(monkeypatch):
    """Checkpoints come often, so that calls fail in some."""
    monkeypatch.setattr(checkpoint, "PAGES", 12)
    monkeypatch.setattr(checkpoint, "AGAIN", 4)
    monkeypatch.setattr(checkpoint, "REST", 2)


class Life:
    """One small life of a store on a disk that fails."""

    def __init__(self, folder: Path) -> None:
        self.vfs = FailingVfs()
        self.path = folder / "store.db"
        self.notes = folder / "notes.jsonl"
        self.errors: list[HoldfastError] = []
        self.lines = self.notes.read_bytes().splitlines(keepends=True) if self.notes.exists() else []

    async def open(self) -> Holdfast:
        kernel = await SqliteKernel.open(self.path, vfs=self.vfs.name, busy_timeout_s=0.05)
        return Holdfast.over(kernel, config=CONFIG, clock=LeapingClock())  # pauses between tries take no time

    def client(self, hold: Holdfast, place: int) -> Client:
        recorder = Recorder(time.monotonic_ns, place=place, sink=self.lines.append)
        return Client("c", hold, PLACE, recorder, Random(5))

    async def begin(self) -> None:
        """Open and found; whatever fails is noted."""
        async with self.noting(), await self.open() as hold:
            await self.client(hold, 1).found()

    async def go_on(self) -> None:
        """A few operations on a founded store, a sweep and an orderly end; whatever fails is noted."""
        async with self.noting(), await self.open() as hold:
            client = self.client(hold, 2)
            for act in (client.put, client.transfer, client.say_after_reading, client.audit, client.look, client.end,
                        client.revive, client.both):  # fmt: skip
                async with self.noting():
                    await client.attempt(act)
            async with self.noting():
                await hold.sweep()

    def noting(self):
        return _Noting(self.errors)

    async def judge(self) -> None:
        """The disk is mended and the store opened anew: nothing is wrong, and every error was clear."""
        self.vfs.disarm()
        self.notes.write_bytes(b"".join(self.lines))
        unclear = [problem for problem in self.errors if not isinstance(problem, CLEAR)]
        assert unclear == []
        assert await Aftermath(self.path, PLACE, self.notes).examine() == []


class _Noting:
    def __init__(self, errors: list[HoldfastError]) -> None:
        self._errors = errors

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind, error, trace) -> bool:
        if isinstance(error, HoldfastError):
            self._errors.append(error)
            return True
        return False


async def founded(folder: Path) -> Path:
    """A store that was founded in peace, to be copied."""
    folder.mkdir()
    life = Life(folder)
    await life.begin()
    await life.judge()
    return folder


async def fail_every(tmp_path: Path, call, reason, times, *, what, like: Path | None, step: int) -> int:
    """Let the n-th call fail, for every `step`-th n; how many calls there are."""
    n = 1
    while True:
        folder = tmp_path / f"{n}"
        if like is None:
            folder.mkdir()
        else:
            shutil.copytree(like, folder)
        life = Life(folder)
        life.vfs.arm(call, n, times=times, reason=reason)
        await what(life)
        try:
            await life.judge()
        except AssertionError as problem:
            raise AssertionError(f"{call} {n} ({reason}, {times} times): {problem}") from problem
        shutil.rmtree(folder)
        if not life.vfs.failed:
            return n
        n += step


STEPS = {"write": 11, "read": 11, "size": 7, "sync": 3, "lock": 5, "open": 2}
"""In the quick run, of most calls only every so many-th fails; the soak leaves none out."""


@pytest.mark.parametrize(("call", "reason", "times"), EVERY)
async def test_a_failing_call_makes_a_clear_error_and_loses_nothing_acknowledged(call, reason, times, tmp_path):
    like = await founded(tmp_path / "like")
    n = await fail_every(tmp_path, call, reason, times, what=Life.go_on, like=like, step=STEPS.get(call, 1))
    assert n > 1, f"{call} is never called"


@pytest.mark.parametrize(("call", "reason", "times"), EVERY)
async def test_a_call_that_fails_while_a_store_is_made_leaves_one_that_can_be_opened(call, reason, times, tmp_path):
    n = await fail_every(tmp_path, call, reason, times, what=Life.begin, like=None, step=STEPS.get(call, 1))
    assert n > 1, f"{call} is never called"


@pytest.mark.soak
@pytest.mark.parametrize(("call", "reason", "times"), EVERY)
async def test_every_single_call(call, reason, times, tmp_path):
    like = await founded(tmp_path / "like")
    await fail_every(tmp_path, call, reason, times, what=Life.go_on, like=like, step=1)
    (tmp_path / "new").mkdir()
    await fail_every(tmp_path / "new", call, reason, times, what=Life.begin, like=None, step=1)
