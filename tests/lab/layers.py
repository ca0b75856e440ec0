"""What is installed on a host: layers of files above the machine's own root, below what the host writes itself."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import uuid
from pathlib import Path

from tests.lab.plan import PASSWORD_HASH, USERS, Place, hosts_file

# Top-level directories that make a system; all others (the checkout's, say) are not there on a host.
SYSTEM = set("bin boot dev etc lib lib32 lib64 libx32 opt proc root run sbin sys tmp usr var home".split())
EMPTY = ("home", "root", "etc/ssh", "var/tmp", "var/log", "var/mail", "var/spool", "srv")

SSHD = """\
Include /etc/ssh/sshd_config.d/*.conf
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
PermitRootLogin prohibit-password
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
MaxStartups 100
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
"""
SSH = """\
Host *
  StrictHostKeyChecking yes
  ConnectTimeout 10
"""


def common(layer: Path, directory: Path, members: list[Place]) -> None:
    """The layer that all hosts share: users, their homes and keys, the ssh server's configuration."""
    for name in EMPTY:
        (layer / name).mkdir(parents=True, exist_ok=True)
        os.setxattr(layer / name, "trusted.overlay.opaque", b"y")
    for name in os.listdir("/"):
        if name not in SYSTEM and name not in EMPTY:
            os.mknod(layer / name, stat.S_IFCHR, os.makedev(0, 0))  # an overlay's sign for: not here
    for name in ("shared", "srv"):
        if (layer / name).exists() and not (layer / name).is_dir():
            (layer / name).unlink()
        (layer / name).mkdir(exist_ok=True)
    (layer / "var/tmp").chmod(0o1777)
    (layer / "etc/resolv.conf").touch()
    (layer / "etc/motd").touch()
    (layer / "etc/fstab").touch()
    _accounts(layer / "etc")
    _ssh(layer / "etc/ssh", directory, members)
    for user, number in {"root": 0, **USERS}.items():
        home = layer / ("root" if user == "root" else f"home/{user}")
        shutil.copytree("/etc/skel", home, dirs_exist_ok=True)
        keys = home / ".ssh"
        keys.mkdir()
        for key in ("id_ed25519", "id_ed25519.pub"):
            shutil.copy(directory / "cluster" / key, keys / key)
        public = [(path / "id_ed25519.pub").read_text() for path in (directory / "cluster", directory / "home/.ssh")]
        (keys / "authorized_keys").write_text("".join(public))
        for path in (home, keys):
            path.chmod(0o700)
        for path in (home, *home.rglob("*")):
            os.chown(path, number, number)
        (keys / "id_ed25519").chmod(0o600)


def own(layer: Path, directory: Path, place: Place, members: list[Place]) -> None:
    """The layer of one host: its name and its keys."""
    (layer / "etc/ssh").mkdir(parents=True)
    (layer / "etc/hostname").write_text(f"{place.name}\n")
    (layer / "etc/hosts").write_text(hosts_file(members, place.name))
    (layer / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
    for name in ("ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"):
        shutil.copy(directory / "keys" / place.name / name, layer / "etc/ssh" / name)


def new_key(path: Path, comment: str) -> None:
    """A new key pair at `path` and `path`.pub."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path], check=True)


def _accounts(etc: Path) -> None:
    """The machine's system accounts, ours, and nobody else's."""
    for name, column, ours in (
        ("passwd", 2, [f"{user}:x:{n}:{n}::/home/{user}:/bin/bash" for user, n in USERS.items()]),
        ("group", 2, [f"{user}:x:{n}:" for user, n in USERS.items()]),
        ("shadow", 0, [f"{user}:{PASSWORD_HASH}:19000:0:99999:7:::" for user in USERS]),
        ("gshadow", 0, [f"{user}:!::" for user in USERS]),
    ):
        source = Path("/etc") / name
        lines = [line.split(":") for line in source.read_text().splitlines()] if source.exists() else []
        kept = [words for words in lines if words[0] not in USERS and words[0] != "root"]
        if column:
            kept = [words for words in kept if int(words[column]) < 1000 or words[0] in ("nobody", "nogroup")]
        root = {
            "passwd": "root:x:0:0:root:/root:/bin/bash",
            "group": "root:x:0:",
            "shadow": "root:*:19000:0:99999:7:::",
        }
        text = "\n".join([root.get(name, "root:*::"), *map(":".join, kept), *ours]) + "\n"
        (etc / name).write_text(text)
        (etc / name).chmod(0o640 if name.endswith("shadow") else 0o644)


def _ssh(etc: Path, directory: Path, members: list[Place]) -> None:
    (etc / "sshd_config.d").mkdir()
    (etc / "sshd_config").write_text(SSHD)
    (etc / "ssh_config").write_text(SSH)
    moduli = Path("/etc/ssh/moduli")
    if moduli.exists():
        shutil.copy(moduli, etc / "moduli")
    (etc / "ssh_known_hosts").write_text(known_hosts(directory, members))


def known_hosts(directory: Path, members: list[Place]) -> str:
    """Lines for ``known_hosts``: every host by its name and all its addresses."""
    lines = []
    for place in members:
        kind, key = (directory / "keys" / place.name / "ssh_host_ed25519_key.pub").read_text().split()[:2]
        lines.append(f"{','.join([place.name, *(nic.address for nic in place.nics)])} {kind} {key}\n")
    return "".join(lines)
