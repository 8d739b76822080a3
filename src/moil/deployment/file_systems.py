"""On what kind of file system a directory lies: temporary files and locks belong on a disk of the machine's own."""

from __future__ import annotations

import os
from pathlib import Path

NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "fuse.glusterfs"),
    *("fuse.sshfs", "afs", "9p", "pvfs2", "orangefs", "panfs"),
}
"""Types of file systems that other machines can change under us."""


def file_system(path: Path) -> str:
    """The type of the file system that holds `path`, as ``/proc/mounts`` names it; "" where there is no such file."""
    best, kind = "", ""
    real = os.path.realpath(path)
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        _, mount, found, *_ = line.split(" ")
        mount = mount.encode().decode("unicode_escape")
        if (real + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
            best, kind = mount, found
    return kind
