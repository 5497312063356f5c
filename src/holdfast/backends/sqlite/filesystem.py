"""File systems that cannot keep what SQLite needs, and how to tell them.

WAL needs POSIX locks that work between processes and memory that all of them share. On a network or host-shared
file system locks may be advisory in name only and the shared memory is per machine: two machines would write over
each other without an error. So such a file is refused rather than lost.
"""

from __future__ import annotations

from pathlib import Path

from holdfast.errors import UnsafeFilesystem

MOUNTS = Path("/proc/self/mounts")
"""Where Linux lists what is mounted. Elsewhere nothing is known, and nothing refused."""

_NAMES = """
    nfs nfs3 nfs4 cifs smb smb2 smb3 smbfs 9p afs coda ncpfs ceph glusterfs lustre gpfs beegfs orangefs pvfs2 ocfs2
    gfs2 davfs virtiofs vboxsf vmhgfs prl_fs fuse.sshfs fuse.glusterfs fuse.s3fs fuse.gcsfuse fuse.rclone fuse.ceph
    fuse.davfs fuse.curlftpfs fuse.smbnetfs fuse.vmhgfs-fuse fuse.grpcfuse fuse.osxfs fuse.mount-s3 fuse.goofys
    fuse.blobfuse fuse.juicefs
"""

UNSAFE = frozenset(_NAMES.split())
"""Types, as the kernel names them, on which a store is refused."""


def check_filesystem(path: Path, *, mounts: str | None = None) -> None:
    """Refuse a path on a file system known to be unsafe: raises UnsafeFilesystem with `filesystem` and `mount`.

    `mounts` is the text of /proc/self/mounts; it is read when not given.
    """
    if mounts is None:
        mounts = _read_mounts()
    mount, kind = filesystem_of(path, mounts)
    if kind in UNSAFE:
        raise UnsafeFilesystem(
            f"{path} is on {mount}, a file system of type {kind}: its locks and shared memory are not safe for SQLite",
            path=str(path),
            filesystem=kind,
            mount=mount,
        )


def filesystem_of(path: Path, mounts: str) -> tuple[str, str]:
    """The mount point that holds `path` and its type; ("", "") if the text names none."""
    parts = path.parts
    best: tuple[str, str] = ("", "")
    length = 0
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_unescaped(fields[1])).parts
        if len(point) >= length and parts[: len(point)] == point:  # of two on one point the later one covers
            best, length = (_unescaped(fields[1]), fields[2]), len(point)
    return best


def _read_mounts() -> str:
    try:
        return MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _unescaped(field: str) -> str:
    """The kernel writes blanks, tabs, newlines and backslashes in octal."""
    for octal, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(octal, char)
    return field
