"""Typed usage: mypy agrees with every `assert_type` in usage.py, and refuses what is marked as wrong there."""

from __future__ import annotations

from pathlib import Path

from mypy import api

USAGE = Path(__file__).with_name("usage.py")
BLOCKING_USAGE = Path(__file__).with_name("blocking_usage.py")
ROOT = USAGE.parents[2]


def check(*paths: Path) -> tuple[str, int]:
    """What mypy says, with the settings and so with the cache of `make lint`."""
    folder = str(ROOT / ".mypy_cache")
    found, problems, code = api.run(
        ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", folder, *map(str, paths)]
    )
    return found + problems, code


def test_the_types_of_the_public_surface_are_what_its_users_count_on() -> None:
    found, code = check(USAGE)
    assert code == 0, found


def test_the_check_notices_a_type_that_is_not_what_it_was_said_to_be(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from typing import assert_type\nfrom holdfast import State\n\n\nasync def read(state: State) -> None:\n"
        "    assert_type(await state.get('k', int), str)\n"
    )
    found, code = check(wrong)
    assert code == 1
    assert "assert-type" in found


def test_the_types_of_the_blocking_face_are_what_its_users_count_on() -> None:
    found, code = check(BLOCKING_USAGE)
    assert code == 0, found
