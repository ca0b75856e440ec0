"""The few system calls that Python does not offer before 3.12, and what is asked of ``/proc``."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

RDONLY, NOSUID, NODEV, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    words = [word.encode() for word in (source, target, kind)]
    _checked(
        _libc.mount(*words, ctypes.c_ulong(flags), data.encode()),
        f"mount {kind or 'bind'} on {target} ({data or source})",
    )


def bind(source: str, target: str, *, writable: bool = True) -> None:
    """Show the file or directory `source` at `target` too."""
    mount(source, target, flags=BIND | REC)
    if not writable:
        mount("", target, flags=BIND | REMOUNT | RDONLY)


def unmount(target: str) -> None:
    """Take the mount away now; what still uses it keeps it until then."""
    _checked(_libc.umount2(target.encode(), DETACH), f"umount {target}")


def change_root(path: str) -> None:
    """Make `path`, a mount, the root of this mount namespace, and drop the old one."""
    os.chdir(path)
    _checked(_libc.syscall(_PIVOT_ROOT[os.uname().machine], b".", b"."), f"pivot_root {path}")
    unmount(".")  # pivot_root(".", ".") stacks the old root on top of the new one
    os.chdir("/")


def set_hostname(name: str) -> None:
    """sethostname(2)."""
    _checked(_libc.sethostname(name.encode(), ctypes.c_size_t(len(name))), "sethostname")


def started(pid: int) -> int | None:
    """When the process started (clock ticks since boot), with its pid a name for ever; None: it is not there."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else int(words[19])


def pids() -> list[int]:
    """All processes that this one sees."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def inside(directory: Path) -> list[int]:
    """The processes that have something of `directory` mounted: those in the namespaces of the lab that lives there."""
    marker, found = f"{directory}/", []
    for pid in pids():
        try:
            if marker in Path(f"/proc/{pid}/mountinfo").read_text():
                found.append(pid)
        except OSError:
            continue  # gone, or a zombie
    return found
