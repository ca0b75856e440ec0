"""What a machine is like. Needs nothing but Python 3.7: the text of this file is sent to machines without offload."""

from __future__ import annotations

import errno
import glob
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BEGIN, END, PORT = "@@offload begin@@", "@@offload end@@", "@@offload port@@"
BLOCK, BLOCKS, RATE_SECONDS = 4 << 20, 16, 2.0
LISTEN_SECONDS = 15.0


def gather(request: dict[str, Any]) -> dict[str, Any]:
    """Return the facts.

    Parameters
    ----------
    request : dict
        ``home`` and ``scratch``, directories; "" for the usual ones. ``ports``, the first and last, or None; ``host``,
        the address to listen on.
    """
    home = request["home"] or _home()
    scratch = os.path.expanduser(request["scratch"]) or tempfile.gettempdir()
    return {
        "python": sys.executable,
        "version": ".".join(map(str, sys.version_info[:3])),
        "time": time.time(),
        "home": {"path": home, **_directory(home)},
        "scratch": {"path": scratch, **_directory(scratch), "rate": _rate(scratch)},
        "shm": _directory("/dev/shm") if sys.platform.startswith("linux") else None,
        "mounts": _text("/proc/self/mountinfo"),
        "limits": _limits(),
        "logout": _logout(),
        "ports": _ports(request["host"], request["ports"]),
    }


def _home() -> str:
    """Return where offload keeps things; as offload.storage.home has it."""
    given = os.environ.get("OFFLOAD_HOME")
    if given:
        return os.path.abspath(os.path.expanduser(given))
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support/offload")
    data = os.environ.get("XDG_DATA_HOME", "")
    return os.path.join(data if data.startswith("/") else os.path.expanduser("~/.local/share"), "offload")


def _directory(path: str) -> dict[str, Any]:
    """Return whether files can be kept in a directory, or where it would be made, and how much room there is."""
    at = path
    while not os.path.isdir(at) and at != os.path.dirname(at):
        at = os.path.dirname(at)
    try:
        with tempfile.NamedTemporaryFile(dir=at) as file:
            file.write(b"x" * 65536)
            file.flush()
        error = None
    except OSError as exc:
        error = exc.strerror or str(exc)
    try:
        room = os.statvfs(at)
    except OSError as exc:
        return {"at": at, "error": error or exc.strerror, "free": 0}
    return {"at": at, "error": error, "free": room.f_bavail * room.f_frsize}


def _rate(path: str) -> float | None:
    """Return how many bytes a second can be written, down to the disk; None where that cannot be told."""
    block = os.urandom(BLOCK)
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            before = time.monotonic()
            written = 0
            while written < BLOCKS and time.monotonic() - before < RATE_SECONDS:
                file.write(block)
                file.flush()
                os.fsync(file.fileno())
                written += 1
            return written * BLOCK / max(time.monotonic() - before, 1e-6)
    except OSError:
        return None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _limits() -> dict[str, int | None]:
    """Return how many files and processes are allowed; None for no limit."""
    import resource

    found: dict[str, int | None] = {}
    for name, kind in (("files", resource.RLIMIT_NOFILE), ("processes", resource.RLIMIT_NPROC)):
        soft = resource.getrlimit(kind)[0]
        found[name] = None if soft in (resource.RLIM_INFINITY, -1) else soft
    return found


def _logout() -> dict[str, Any]:
    """Return whether systemd ends processes at the end of a session, and whether it makes an exception of this user."""
    import pwd

    if not os.path.isdir("/run/systemd/system"):
        return {"systemd": False, "kills": False, "lingers": False}
    user = pwd.getpwuid(os.getuid()).pw_name
    return {"systemd": True, "kills": _kills(), "lingers": os.path.exists("/var/lib/systemd/linger/" + user)}


def _kills() -> bool:
    bus = ["org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "KillUserProcesses"]
    try:
        said = subprocess.run(
            ["busctl", "get-property", *bus], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=5, check=False
        ).stdout.decode()
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    if said.strip() in ("b true", "b false"):
        return said.strip() == "b true"
    files = ["/usr/lib/systemd/logind.conf", "/etc/systemd/logind.conf"]
    for directory in ("/usr/lib", "/run", "/etc"):
        files += sorted(glob.glob(directory + "/systemd/logind.conf.d/*.conf"))
    found = [re.findall(r"^\s*KillUserProcesses\s*=\s*(\S+)", _text(path), re.MULTILINE) for path in files]
    values = [value for values in found for value in values]
    return bool(values) and values[-1].lower() in ("yes", "true", "on", "1")


def _ports(host: str, ports: list[int] | None) -> dict[str, Any] | None:
    """Return how many ports of a range are free, and the error where the address is not this machine's."""
    if ports is None:
        return None
    free = 0
    for port in range(ports[0], ports[1] + 1):
        try:
            _bound(host, port).close()
            free += 1
        except OSError as exc:
            if exc.errno not in (errno.EADDRINUSE, errno.EACCES):
                return {"free": 0, "error": exc.strerror}
    return {"free": free, "error": None}


def _bound(host: str, port: int) -> socket.socket:
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
    except BaseException:
        probe.close()
        raise
    return probe


def listen(host: str, ports: list[int]) -> dict[str, Any]:
    """Listen on a free port of a range, tell which on standard error, and wait a while for one connection."""
    choices = list(range(ports[0], ports[1] + 1))
    random.shuffle(choices)
    for port in choices:
        try:
            server = _bound(host, port)
        except OSError:
            continue
        with server:
            server.listen()
            server.settimeout(LISTEN_SECONDS)
            sys.stderr.write(f"{PORT}{port}\n")
            sys.stderr.flush()
            try:
                server.accept()[0].close()
            except OSError:
                return {"port": port, "reached": False}
            return {"port": port, "reached": True}
    return {"port": None, "reached": False}


def main() -> None:
    """Answer one request, which stands in standard input."""
    request = json.loads(sys.stdin.readline())
    # The address at which this machine was reached, where no other is asked for.
    words = os.environ.get("SSH_CONNECTION", "").split()
    request["host"] = request["host"] or (words[2] if len(words) == 4 else "127.0.0.1")
    answer = listen(request["host"], request["ports"]) if request["do"] == "listen" else gather(request)
    text = json.dumps({**answer, "host": request["host"]})
    sys.stdout.write(f"\n{BEGIN}{text}{END}\n")
