"""Which file system a path is on, by the text of /proc/self/mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.backends.sqlite.filesystem import UNSAFE, check_filesystem, filesystem_of
from holdfast.errors import UnsafeFilesystem

MOUNTS = r"""
/dev/vda / ext4 rw 0 0
server:/export /srv/share nfs4 rw 0 0
tmpfs /srv/share/fast tmpfs rw 0 0
//nas/my\040files /mnt/my\040files cifs rw 0 0
me@host:/ /media/me/remote fuse.sshfs rw 0 0
/dev/vdb /data ext4 rw 0 0
pool /data 9p rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "mount", "kind"),
    [
        ("/var/lib/app.db", "/", "ext4"),
        ("/srv/share/app.db", "/srv/share", "nfs4"),
        ("/srv/shared/app.db", "/", "ext4"),
        ("/srv/share/fast/app.db", "/srv/share/fast", "tmpfs"),
        ("/mnt/my files/app.db", "/mnt/my files", "cifs"),
        ("/media/me/remote/x/app.db", "/media/me/remote", "fuse.sshfs"),
        ("/data/app.db", "/data", "9p"),
    ],
)
def test_the_longest_and_latest_mount_point_counts(path: str, mount: str, kind: str) -> None:
    assert filesystem_of(Path(path), MOUNTS) == (mount, kind)


def test_every_unsafe_type_is_refused_with_its_facts() -> None:
    for kind in UNSAFE:
        with pytest.raises(UnsafeFilesystem) as refusal:
            check_filesystem(Path("/m/app.db"), mounts=f"x /m {kind} rw 0 0\n")
        assert (refusal.value.filesystem, refusal.value.mount) == (kind, "/m")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", "fuseblk"])
def test_a_local_file_system_is_accepted(kind: str) -> None:
    check_filesystem(Path("/m/app.db"), mounts=f"x /m {kind} rw 0 0\n")
    assert filesystem_of(Path("/m/app.db"), f"x /m {kind} rw 0 0\n") == ("/m", kind)


def test_where_nothing_is_known_nothing_is_refused() -> None:
    check_filesystem(Path("/m/app.db"), mounts="")
    assert filesystem_of(Path("/m/app.db"), "garbage\n\n") == ("", "")
