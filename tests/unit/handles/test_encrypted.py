"""What the tests of lists and state say of every store, said of an encrypted one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast import Holdfast, KeyRing
from holdfast.errors import InvalidValue
from tests.unit.handles import test_sessions, test_state
from tests.unit.stores import Stores

for module in (test_sessions, test_state):
    noun = module.__name__.rpartition("test_")[2]
    for name, found in vars(module).items():
        if name.startswith("test_"):
            globals()[f"test_{noun}_{name.removeprefix('test_')}"] = found


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    made = Stores("encrypted", tmp_path)
    yield made
    await made.close()


s, state = test_state.s, test_state.state


async def test_who_cannot_be_told_of_progress_is_refused_before_anything_is_encrypted() -> None:
    keys = KeyRing({"k": bytes(32)}, active="k")
    async with Holdfast.open("memory://", keys=keys, background=False) as hold:
        with pytest.raises(InvalidValue):
            await hold.rekey(progress=5)  # type: ignore[arg-type]
