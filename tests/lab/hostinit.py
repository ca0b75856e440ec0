"""Process 1 of a host: builds its root, starts its ssh server again whenever it ends, reaps orphans.

``python -m tests.lab.hostinit DIRECTORY NAME CACHE``, in new net, mount, uts, ipc and pid namespaces. It prints
``pid N``, its pid outside, at once, and ``ready`` when the ssh server listens.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

from tests.lab import system
from tests.lab.machine import SYSTEM_PATH

DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "fuse", "net/tun")


def build_root(directory: Path, name: str, cache: str) -> None:
    """The host's disk as the root, with everything that a real one mounts there."""
    disk = directory / "disks" / name
    root = disk / "root"
    lower = f"{disk}/installed:{directory}/disks/common:/"
    system.mount("overlay", str(root), "overlay", data=f"lowerdir={lower},upperdir={disk}/written,workdir={disk}/work")
    for kind, target, data in (
        ("proc", "proc", ""),
        ("sysfs", "sys", ""),
        ("tmpfs", "run", "mode=755"),
        ("tmpfs", "tmp", "mode=1777"),
        ("tmpfs", "dev", "mode=755"),
    ):
        system.mount(kind, str(root / target), kind, flags=system.NOSUID, data=data)
    for device in DEVICES:
        if Path("/dev", device).exists():
            node = root / "dev" / device
            node.parent.mkdir(exist_ok=True)
            node.touch()
            system.bind(f"/dev/{device}", str(node))
    for link, aim in {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (root / "dev" / link).symlink_to(f"/proc/self/{aim}")
    (root / "dev/ptmx").symlink_to("pts/ptmx")
    for target, kind, data in (
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=620,gid=5"),
        ("shm", "tmpfs", "mode=1777"),
        ("mqueue", "mqueue", ""),
    ):
        (root / "dev" / target).mkdir()
        system.mount(kind, str(root / "dev" / target), kind, data=data)
    boot = root / "run/boot_id"
    boot.write_text(f"{uuid.uuid4()}\n")
    system.bind(str(boot), str(root / "proc/sys/kernel/random/boot_id"))
    system.bind(str(directory / "shared"), str(root / "shared"))
    system.bind(cache, str(root / "shared/.lab"), writable=False)
    system.change_root(str(root))


def start_sshd() -> int:
    """Start the ssh server; its pid."""
    log = os.open("/var/log/sshd.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open("/dev/null", os.O_RDONLY)
    redirect = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
    environment = {"PATH": SYSTEM_PATH, "HOME": "/root"}
    pid = os.posix_spawn("/usr/sbin/sshd", ["/usr/sbin/sshd", "-D", "-e"], environment, file_actions=redirect)
    os.close(log)
    os.close(null)
    return pid


def wait_for_sshd(within: float = 10.0) -> None:
    """Return when the ssh server accepts connections."""
    deadline = time.monotonic() + within
    while True:
        if os.path.exists("/run/sshd.pid"):  # written when it listens
            return
        if time.monotonic() > deadline:
            raise TimeoutError(Path("/var/log/sshd.log").read_text())
        time.sleep(0.01)


def main() -> None:
    """Boot, then be process 1 until the power goes."""
    directory, name = Path(sys.argv[1]), sys.argv[2]
    print(f"pid {os.readlink('/proc/self')}", flush=True)  # this /proc is still the one of outside
    os.umask(0o022)
    system.mount("none", "/", flags=system.REC | system.PRIVATE)
    system.set_hostname(name)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    build_root(directory, name, sys.argv[3])
    os.makedirs("/run/sshd")
    os.makedirs("/run/lock")
    if os.path.getsize("/etc/fstab"):
        subprocess.run(["mount", "-a"], check=True)
    os.setsid()
    sshd = start_sshd()
    wait_for_sshd()
    print("ready", flush=True)
    with open(os.devnull, "r+b") as null:
        for number in (0, 1, 2):
            os.dup2(null.fileno(), number)
    while True:
        try:
            ended, _ = os.wait()
        except ChildProcessError:
            time.sleep(0.05)
            ended = 0
        if ended == sshd or not ended:
            time.sleep(0.05)
            sshd = start_sshd()


if __name__ == "__main__":
    main()
