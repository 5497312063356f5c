"""One demo of a folder at a time in a store, and no lock that outlives its holders."""

import os
import subprocess
from pathlib import Path

import pytest

from holdfast.cli.demo.lock import AtWork, alone, lock_of

ROOT = b"/some/folder"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the lock of `demo.db` is."""
    return lock_of(tmp_path / "demo.db", "default", ROOT)


async def test_it_is_held_by_one_and_free_again_without_a_trace(tmp_path: Path) -> None:
    store = tmp_path / "demo.db"
    async with alone(store, "default", ROOT):
        for _ in range(2):
            with pytest.raises(AtWork, match=f"process {os.getpid()}"):
                async with alone(store, "default", ROOT, patience_s=0):
                    pass
    assert list(tmp_path.iterdir()) == []
    async with alone(store, "default", ROOT, patience_s=0):
        pass


async def test_another_folder_space_or_store_has_a_lock_of_its_own(tmp_path: Path) -> None:
    store = tmp_path / "demo.db"
    async with (
        alone(store, "default", ROOT),
        alone(store, "default", b"/another", patience_s=0),
        alone(store, "other", ROOT, patience_s=0),
        alone(tmp_path / "b.db", "default", ROOT, patience_s=0),
    ):
        pass


async def test_a_link_to_the_store_is_the_same_store(tmp_path: Path) -> None:
    (tmp_path / "demo.db").touch()
    (tmp_path / "link.db").symlink_to("demo.db")
    async with alone(tmp_path / "demo.db", "default", ROOT):
        with pytest.raises(AtWork):
            async with alone(tmp_path / "link.db", "default", ROOT, patience_s=0):
                pass


async def test_a_process_that_inherited_it_holds_it_until_it_ends(tmp_path: Path, file: Path) -> None:
    """So a demo begins only when the processes of one that was killed are gone too."""
    store = tmp_path / "demo.db"
    async with alone(store, "default", ROOT) as handle:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(handle,))
        # What a SIGKILL leaves: the file, and a process that has the lock.
        os.link(file, tmp_path / "kept")
    os.rename(tmp_path / "kept", file)
    with pytest.raises(AtWork):
        async with alone(store, "default", ROOT, patience_s=0):
            pass
    child.communicate()
    async with alone(store, "default", ROOT, patience_s=0):
        pass
    assert list(tmp_path.iterdir()) == []


async def test_a_file_without_a_holder_is_no_lock(tmp_path: Path, file: Path) -> None:
    store = tmp_path / "demo.db"
    file.write_text("99999999")
    async with alone(store, "default", ROOT, patience_s=0):
        pass
