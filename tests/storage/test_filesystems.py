from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from offload.errors import DiskFullError, NotWritableError, StorageError
from offload.util import filesystems
from offload.util.filesystems import file_system, is_network, on_network, translated

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
25 22 0:23 / /proc rw - proc proc rw
31 22 0:40 / /home rw,relatime shared:2 master:1 - nfs4 server:/home rw,vers=4.2
32 31 8:2 / /home/local rw - xfs /dev/sdb1 rw
33 22 0:41 / /mnt/with\040space rw - cifs //server/share rw
34 22 0:42 / /scratch rw - lustre 10.0.0.1@tcp:/scratch rw
35 22 0:43 / /home/me/remote rw - fuse.sshfs me@server: rw
36 22 8:3 / /data rw - ext4 /dev/sdc1 rw
37 36 0:44 / /data rw - beegfs beegfs_nodev rw
a line that means nothing
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/tmp/home", "ext4"),
        ("/home", "nfs4"),
        ("/home/me", "nfs4"),
        ("/homework", "ext4"),
        ("/home/local/me", "xfs"),
        ("/home/me/remote/x", "fuse.sshfs"),
        ("/mnt/with space/x", "cifs"),
        ("/scratch/me", "lustre"),
        ("/data/x", "beegfs"),
    ],
)
def test_the_longest_mount_point_counts(path: str, kind: str) -> None:
    assert file_system(path, MOUNTS) == kind


def test_no_mounts_no_file_system() -> None:
    assert file_system("/home", "") == ""
    assert not is_network("")


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs"])
def test_network_file_systems(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuse.ntfs-3g", "apfs"])
def test_local_file_systems(kind: str) -> None:
    assert not is_network(kind)


def test_this_machine_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_network("/proc") is False
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:2 / {tmp_path} rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(filesystems, "MOUNTS", str(table))
    assert on_network(str(tmp_path / "below")) is True
    assert on_network("/elsewhere") is False
    (tmp_path / "link").symlink_to("/elsewhere")
    assert on_network(str(tmp_path / "link")) is False
    monkeypatch.setattr(filesystems, "MOUNTS", str(tmp_path / "missing"))
    assert on_network(str(tmp_path)) is False


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFullError),
        (errno.EDQUOT, DiskFullError),
        (errno.EACCES, NotWritableError),
        (errno.EROFS, NotWritableError),
        (errno.EIO, StorageError),
    ],
)
def test_errors_of_the_system(number: int, kind: type[StorageError]) -> None:
    error = translated(OSError(number, os.strerror(number)), "/the/store")
    assert type(error) is kind
    assert "/the/store" in error.message
