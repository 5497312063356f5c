"""The kit as pytest tests, in one line: `test_conforms = conformance_tests(open_in)`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from holdfast.testing.conformance.bench import Capability, Open, Subject
from holdfast.testing.conformance.run import CHECKS, DEADLINE_S, run_check


def conformance_tests(
    store: Callable[[Path], Open], *, without: Iterable[Capability] = (), deadline_s: float = DEADLINE_S
) -> Callable[..., None]:
    """A test function with one case for each check of the kit, to be bound to a name that pytest collects.

    `store` is called once for each case with an empty folder and returns what opens a kernel on a space of a store in
    it. Checks that need a capability the kernel is `without` become no cases.
    """
    import pytest

    lacking = frozenset(without)
    owed = [check for check in CHECKS if not check.needs & lacking]

    @pytest.mark.parametrize("check", owed, ids=[check.name for check in owed])
    def test_conforms(check: Any, tmp_path: Path) -> None:
        subject = Subject(store(tmp_path), lacking)
        asyncio.run(run_check(check, subject, seed=1, deadline_s=deadline_s))

    bound: Callable[..., None] = test_conforms
    return bound
