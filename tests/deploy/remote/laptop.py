"""A laptop that joins deployments which were brought up by hand on another machine."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable

from tests.lab.lab import Lab

OFFLOAD = "/shared/venv/bin/offload"
UP = f"{OFFLOAD} up --name hpc --workers 1 --ports 60001-60020"
SECONDS = 120.0
TASK = """
import socket
import offload

@offload.task(effects="ignore")
def where(number):
    return socket.gethostname(), number

if __name__ == "__main__":
    found = offload.gather(where.map(range(20)))
    print(*sorted({host for host, _ in found}))
"""
TYPE = """
import os, pty, sys

typed = sys.stdin.readline()
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
shown = b""
try:
    while more := os.read(terminal, 1024):
        shown += more
        if typed and b"(not shown): " in shown:
            os.write(terminal, typed.encode())
            typed = ""
except OSError:
    pass
os.waitpid(child, 0)
print(shown.decode())
"""
PLAIN = "from distributed import Client; print(Client().submit(__import__('socket').gethostname).result())"


def up(lab: Lab, *options: str, user: str = "alice") -> str:
    """Bring up a deployment by hand; return what is printed."""
    return lab.ssh(f"{user}@h1", f"{UP} {shlex.join(options)}", timeout=150).stdout


def blocks(printed: str) -> list[str]:
    """The blocks to paste, in order."""
    return re.findall(r"^offload join.*?^END$", printed, re.MULTILINE | re.DOTALL)


def string(printed: str) -> str:
    return str(re.findall(r"^offload-join-\S+$", printed, re.MULTILINE)[-1])


def invite(lab: Lab, *options: str) -> str:
    return string(lab.ssh("alice@h1", f"{OFFLOAD} invite hpc {shlex.join(options)}").stdout)


def grants(lab: Lab) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(lab.ssh("alice@h1", f"{OFFLOAD} invite hpc --list --json").stdout)
    return found


class Laptop:
    """A laptop with a home of offload of its own."""

    def __init__(self, lab: Lab, name: str = "laptop") -> None:
        self.lab = lab
        self.home = lab.home / name
        self.variables = {
            "OFFLOAD_HOME": str(self.home),
            "PATH": f"{lab.laptop_venv}/bin:{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin",
        }

    def run(self, command: str, **options: object) -> subprocess.CompletedProcess[str]:
        return self.lab.run(command, env=self.variables, timeout=150, **options)  # type: ignore[arg-type]

    def join(self, text: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run(f"offload join {shlex.join(options)}", input=text)

    def uses(self, name: str = "hpc") -> None:
        """Commands, tasks and plain Dask run there."""
        done = self.run(f"offload run --on {name} --fresh -- hostname")
        assert (done.returncode, done.stdout) == (0, "h1\n"), done.stderr
        (self.lab.home / "task.py").write_text(TASK)
        done = self.run(f"OFFLOAD_DEPLOYMENT={name} python task.py")
        assert done.stdout == "h1\n", done.stderr
        done = self.run(f'eval "$(offload env {name})" && python -c "{PLAIN}"')
        assert done.stdout == "h1\n", done.stderr

    def state(self, name: str = "hpc") -> str:
        listed = json.loads(self.run("offload list --json").stdout)
        return next((one["state"] for one in listed if one["name"] == name), "unknown")


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.2)
