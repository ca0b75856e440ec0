"""What the lab needs of the machine: Linux, root, a few programs. They are installed where that disturbs nobody."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

PACKAGES = {
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "mount": "mount",
}
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NotHere(Exception):
    """This machine does not allow the lab; a test that needs it is skipped with this reason."""


class LabError(Exception):
    """The lab itself is broken; a test that needs it fails."""


def where(program: str) -> str | None:
    """Path of the program, also of one that only root has on the path."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")


@cache
def prepare() -> None:
    """Look whether the lab can be brought up at all, and install what is missing."""
    if sys.platform != "linux":
        raise NotHere("the lab needs Linux")
    if os.geteuid() != 0:
        raise NotHere("the lab needs root")
    install(PACKAGES)


def install(packages: dict[str, str]) -> bool:
    """Install the packages of the programs that are missing; whether there were any.

    Packages of servers start them where an init system runs; there, nothing is installed unless ``CI`` is set.
    """
    missing = sorted({package for program, package in packages.items() if where(program) is None})
    if not missing:
        return False
    line = f"apt-get install {' '.join(missing)}"
    if where("apt-get") is None:
        raise NotHere(f"the lab needs {' '.join(missing)}")
    if Path("/run/systemd/system").exists() and not os.environ.get("CI"):
        raise NotHere(f"the lab needs more programs: {line} (or set CI=true: it is done for you)")
    with Path("/tmp/offload-lab.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if all(where(program) for program in packages):
            return True
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        tail: list[str] = []
        for words in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *missing]):
            done = subprocess.run(
                ["apt-get", "-o", "DPkg::Lock::Timeout=120", *words],
                capture_output=True,
                text=True,
                env=environment,
                stdin=subprocess.DEVNULL,
                timeout=600,
                check=False,
            )
            tail += done.stderr.strip().splitlines()[-3:]
    still = sorted(program for program in packages if where(program) is None)
    if still:
        raise NotHere(
            f"the lab needs {', '.join(still)}; {line} did not bring them: {' / '.join(tail) or 'no reason given'}"
        )
    return True
