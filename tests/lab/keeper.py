"""The process that holds a lab: it lives in the outer namespaces, makes the networks and disks, and ends everything.

``python -m tests.lab.keeper DIRECTORY FRONT BEHIND``, in new net, mount, uts and ipc namespaces. It prints
``ready``, or ``refused: REASON`` where the machine does not allow something. When its standard input ends (the
session closed it, or died) all processes in the lab are killed and the directory is removed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab import layers, leftovers, system
from tests.lab.plan import BACK, FRONT, LAPTOP, Place, hosts_file, places

NETWORK = f"""\
link set lo up
link add {FRONT} type bridge
link add {BACK} type bridge
addr add {LAPTOP}/24 dev {FRONT}
link set {FRONT} up
link set {BACK} up
"""


def set_up(directory: Path, members: list[Place]) -> None:
    """Bridges, the laptop's own files, and an empty disk and installed layers for every host."""
    system.mount("none", "/", flags=system.REC | system.PRIVATE)
    system.set_hostname("laptop")
    # The back network exists on this side only as a switch: no address, not even a link-local one.
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
    subprocess.run(["ip", "-batch", "-"], input=NETWORK, text=True, check=True)
    (directory / "hosts").write_text(hosts_file(members, "laptop"))
    (directory / "resolv.conf").touch()
    system.bind(str(directory / "hosts"), "/etc/hosts")
    if Path("/etc/resolv.conf").exists():
        system.bind(str(directory / "resolv.conf"), "/etc/resolv.conf")
    # ssh looks into the home of the password database, not into $HOME: both are this one.
    keys = Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".ssh"
    keys.mkdir(mode=0o700, exist_ok=True)
    system.bind(str(directory / "home/.ssh"), str(keys))
    disks = directory / "disks"
    system.mount("tmpfs", str(disks), "tmpfs", data="mode=755")
    layers.common(disks / "common", directory, members)
    for place in members:
        layers.own(disks / place.name / "installed", directory, place, members)
        for name in ("written", "work", "root"):
            (disks / place.name / name).mkdir()
        (disks / place.name / "written").chmod(0o755)


def main() -> None:
    """Set up, wait for the end of the session, clear up."""
    directory = Path(sys.argv[1])
    members = places(int(sys.argv[2]), int(sys.argv[3]))
    os.umask(0o022)
    try:
        set_up(directory, members)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"refused: {error}", flush=True)
        raise
    print("ready", flush=True)
    sys.stdin.read()
    leftovers.end_all(directory)
    system.unmount(str(directory / "disks"))
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
