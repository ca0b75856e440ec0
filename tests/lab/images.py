"""Images for podman, made of this machine's own files, and podman as it works on machines like those of the lab."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.machine import SYSTEM_PATH

if TYPE_CHECKING:
    from tests.lab.host import Host

IMAGE = "localhost/analysis:2"
MARK = "/etc/image"
"""A file of the image, which no host has."""

PROGRAMS = ("sh", "cat", "sort", "env", "sleep", "hostname")
LIBRARIES = ("pthread.so.0", "dl.so.2", "rt.so.1", "util.so.1", "m.so.6", "gcc_s.so.1", "stdc++.so.6", "z.so.1")
_ASK = """
import json, os, sys, sysconfig
print(json.dumps([os.path.realpath(sys.executable), sysconfig.get_path("stdlib"), "%d.%d" % sys.version_info[:2]]))
"""


def make_image(python: str | Path, tar: Path, name: str = "analysis") -> None:
    """Make the tar of a file system that has a Python, a shell and a few programs.

    Parameters
    ----------
    python : str or Path
        The Python that is copied; it has another path there.
    tar : Path
        The file to make.
    name : str
        What `MARK` says in it.
    """
    root = tar.with_suffix(".root")
    asked = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, text=True, check=True)
    program, library, version = json.loads(asked.stdout)
    for directory in ("usr/bin", "usr/lib", "usr/lib64", "etc", "tmp", "proc", "sys", "dev", "opt/python/bin"):
        (root / directory).mkdir(parents=True)
    for link in ("bin", "lib", "lib64"):
        (root / link).symlink_to(f"usr/{link}")
    binary = root / f"opt/python/bin/python{version}"
    shutil.copy(program, binary)
    for link in (f"python{version}", "python3"):
        (root / "usr/bin" / link).symlink_to(f"/opt/python/bin/python{version}")
    binary.chmod(0o755)
    ignore = shutil.ignore_patterns("site-packages", "dist-packages", "test", "idlelib", "__pycache__", "config-*")
    shutil.copytree(library, root / f"opt/python/lib/python{version}", symlinks=True, ignore=ignore)
    needing = [program, *Path(library, "lib-dynload").glob("*.so")]
    for each in PROGRAMS:
        path = shutil.which(each, path=SYSTEM_PATH)
        assert path is not None, each
        shutil.copy(os.path.realpath(path), root / "usr/bin" / each)
        needing.append(os.path.realpath(path))
    listed = subprocess.run(["ldd", *needing], capture_output=True, text=True, check=False).stdout.split()
    cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout.splitlines()
    more = [line.split()[-1] for line in cache if line.strip().startswith(tuple(f"lib{name} " for name in LIBRARIES))]
    for path in {word for word in (*listed, *more) if word.startswith("/") and not word.endswith(":")}:
        target = root / path.lstrip("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(path), target)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / MARK.lstrip("/")).write_text(f"{name}\n")
    subprocess.run(["tar", "-C", root, "-cf", tar, "."], check=True)
    shutil.rmtree(root)


def configuration(own: Path | None = None) -> str:
    """What podman needs on a machine without systemd, and with groups of processes of two kinds.

    With a directory of its `own`, it shares nothing with other podmans of the same user.
    """
    runtime = "runc" if shutil.which("runc", path=SYSTEM_PATH) else "crun"
    # Without them podman asks for more than it gets.
    hard = {name: resource.getrlimit(number)[1] for name, number in _LIMITS.items()}
    limits = [f"{name}={least}:{least}" for name, most in hard.items() for least in [min(most % 2**63, 20_000)]]
    alone = f'lock_type="file"\ntmp_dir="{own}"\n' if own is not None else ""
    return (
        f'[engine]\n{alone}cgroup_manager="cgroupfs"\nevents_logger="file"\nruntime="{runtime}"\n'
        f"[containers]\ndefault_ulimits={json.dumps(limits)}\n"
    )


_LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}

_CGROUPS = """
mountpoint -q /sys/fs/cgroup && exit
grep -q '^cpu[[:space:]]' /proc/cgroups || exec mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /sys/fs/cgroup
for name in cpu cpuacct cpuset memory devices freezer blkio pids; do
    mkdir /sys/fs/cgroup/$name && mount -t cgroup -o $name none /sys/fs/cgroup/$name
done
mkdir /sys/fs/cgroup/systemd && mount -t cgroup -o none,name=systemd none /sys/fs/cgroup/systemd
"""


def install(host: Host, tar: Path, user: str = "alice", image: str = IMAGE) -> str:
    """Have podman on a host, with an image that a user has; "" or why it does not run there."""
    host.exec(_CGROUPS)
    host.exec(f"for file in /etc/subuid /etc/subgid; do echo {user}:100000:65536 >> $file; done")
    host.write("/etc/containers/containers.conf", configuration())
    host.write("/etc/containers/policy.json", '{"default":[{"type":"insecureAcceptAnything"}]}\n')
    folder = "/root" if user == "root" else f"/home/{user}"
    host.write(f"{folder}/.config/containers/storage.conf", '[storage]\ndriver="vfs"\n', user=user)
    shared = host.lab.shared / tar.name
    if not shared.exists():
        shutil.copy(tar, shared)
    host.lab.ssh(f"{user}@{host.name}", f"podman import /shared/{tar.name} {image}")
    words = f"podman run --rm --network host --pid host {image} cat {MARK}"
    tried = host.lab.ssh(f"{user}@{host.name}", words, check=False)
    return "" if tried.returncode == 0 else tried.stderr.strip()


def own_python() -> str:
    """The Python that the environment of the tests was made with."""
    return str(getattr(sys, "_base_executable", sys.executable))
