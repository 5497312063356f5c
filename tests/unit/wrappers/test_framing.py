"""What passes the frames as it is, and within which limits."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from holdfast.backends.memory import MemoryKernel
from holdfast.backends.memory.kernel import TRAITS
from holdfast.errors import TooLarge
from holdfast.kernel.commit import Commit, CommitId, Committed, Put, ScopeCommit
from holdfast.wrappers.framing import Framing


@pytest.mark.parametrize(("size", "kept"), [(3_999, True), (4_000, False)])
async def test_short_values_are_held_to_the_limits_that_are_told(size: int, kept: bool) -> None:
    """G19: also where a kernel's own limits are smaller than what is called short."""
    kernel = Framing(MemoryKernel(traits=replace(TRAITS, value_bytes_max=4_000)))
    assert kernel.traits.value_bytes_max == 3_999
    part = ScopeCommit("user/a", "create", puts=(Put("k", b"1" * size),))
    [outcome] = await kernel.commit([Commit((part,), 1, id=CommitId("w", 1))])
    assert isinstance(outcome, Committed if kept else TooLarge)
