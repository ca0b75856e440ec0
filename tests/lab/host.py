"""One host of the lab: commands in it, its power, its cable, its disk."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import system
from tests.lab.cable import Cable
from tests.lab.machine import SYSTEM_PATH, LabError
from tests.lab.plan import USERS, Place

if TYPE_CHECKING:
    from tests.lab.lab import Lab


@dataclass(frozen=True)
class Process:
    """A process on a host; `pid` is the one that the host knows, `outer` the machine's."""

    pid: int
    outer: int
    user: str
    command: str


class Host:
    """A host; `exec` runs a command in it without ssh, whatever the state of its network."""

    def __init__(self, lab: Lab, place: Place) -> None:
        self.lab, self.place = lab, place
        self.name, self.address = place.name, place.address
        self.cables = [Cable(lab, place.name, nic) for nic in place.nics]
        self._init: int | None = None
        self._booted_again = False
        self._boot: subprocess.Popen[str] | None = None
        self._first: set[int] = set()  # the processes of a host that nobody uses
        self._installed: set[str] | None = None  # the files written by a host that nobody used yet

    def __repr__(self) -> str:
        return f"<host {self.name}>"

    # -- power

    @property
    def up(self) -> bool:
        """Whether the host is on."""
        return self._init is not None and system.started(self._init) is not None

    @property
    def init(self) -> int:
        """The machine's pid of the host's process 1."""
        if self._init is None or not self.up:
            raise LabError(f"{self.name} is off")
        return self._init

    def boot(self) -> None:
        """Switch the host on; when this returns its ssh server listens."""
        if self.up:
            raise LabError(f"{self.name} is on already")
        log = self.lab.directory / f"{self.name}.log"
        command = [
            *self.lab.enter(self.lab.keeper, "net", "mount", "uts", "ipc"),
            *("unshare", "--net", "--uts", "--ipc", "--pid", "--mount", "--fork", "--kill-child"),
            *self.lab.module("hostinit", self.lab.directory, self.name, self.lab.environments.cache),
        ]
        with log.open("a") as errors:
            self._boot = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self._boot.stdout is not None
        word, _, number = self._boot.stdout.readline().partition(" ")
        if word == "pid":
            self._init = int(number)
            for cable in self.cables:
                cable.plug(self._init)
            word = self._boot.stdout.readline()
        self._boot.stdout.close()
        if word != "ready\n":
            self._boot.kill()
            raise LabError(f"{self.name} does not boot: {log.read_text()[-2000:]}")
        if self._booted_again:  # an address that did not answer a moment ago is not asked again for some seconds
            others = [host.init for host in self.lab.hosts.values() if host.up and host is not self]
            for namespace in (None, *others):
                self.lab.ip("neigh flush all", namespace_of=namespace, missing_ok=True)
        self._first = set(self._outer_pids())
        if self._installed is None:
            self._installed = self._written()

    def crash(self) -> None:
        """Power loss: all processes are dead at once, nobody is told; the disk stays, ``/tmp`` and ``/run`` do not."""
        if not self.up:
            raise LabError(f"{self.name} is off already")
        self._power_off()

    def _power_off(self) -> None:
        for cable in self.cables:
            cable.cut()  # first: a dying process must not say goodbye
        if self._init is not None and self.up:
            os.kill(self._init, signal.SIGKILL)
        self.forget()
        self._booted_again = True
        for cable in self.cables:
            cable.unplug()

    def forget(self) -> None:
        """Wait for the end of a host that was killed."""
        if self._boot is not None:
            self._boot.wait(timeout=10)
        self._init = None

    def reinstall(self) -> None:
        """Power off, an empty disk, power on."""
        self._power_off()
        disk = self.lab.disks / self.name
        for name in ("written", "work"):
            shutil.rmtree(disk / name)
            (disk / name).mkdir(mode=0o755)
        self._installed = None
        self.boot()
        self._booted_again = False

    @property
    def touched(self) -> bool:
        """Whether anything is not as after the installation: the power, a process, a file, a cable."""
        if not self.up or self._booted_again or any(cable.altered for cable in self.cables):
            return True
        if set(self._outer_pids()) - self._first or self._written() != self._installed:
            return True
        return any(any(Path(f"/proc/{self.init}/root", name).iterdir()) for name in ("tmp", "dev/shm"))

    def _written(self) -> set[str]:
        """What the host's disk holds above what was installed: also a directory in which something was once changed."""
        written = self.lab.disks / self.name / "written"
        return {str(path.relative_to(written)) for path in written.rglob("*")}

    def own_pids(self) -> set[int]:
        """The processes that belong to the host itself and to its cables, not to who uses it."""
        pumps = {cable.pump for cable in self.cables if cable.pump is not None}
        if self._boot is None or not self.up:
            return pumps
        return pumps | {self._boot.pid, self.init} | self._first

    # -- commands

    def command(
        self,
        command: str | Sequence[str | os.PathLike[str]],
        *,
        user: str = "root",
        env: Mapping[str, str] | None = None,
    ) -> list[str]:
        """The words that run `command` on the host from anywhere on the machine; a string is one for bash."""
        words = ["bash", "-c", command] if isinstance(command, str) else [os.fspath(word) for word in command]
        number, home = (0, "/root") if user == "root" else (USERS[user], f"/home/{user}")
        variables = {
            "HOME": home,
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/bash",
            "PATH": SYSTEM_PATH,
            **(env or {}),
        }
        return [
            *("nsenter", "-t", str(self.init), "-a", "-S", str(number), "-G", str(number)),
            *("setpriv", "--pdeathsig", "KILL"),  # ends with nsenter, which is all that a caller can kill
            *("env", "-i", "-C", home, *(f"{name}={value}" for name, value in variables.items())),
            *words,
        ]

    def exec(
        self,
        command: str | Sequence[str | os.PathLike[str]],
        *,
        user: str = "root",
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host, in the user's home."""
        return self.lab.finish(self.command(command, user=user, env=env), input=input, timeout=timeout, check=check)

    def write(self, path: str, text: str, *, user: str = "root", mode: int = 0o644) -> None:
        """Write a file on the host, with the directories above it."""
        quoted = shlex.quote(path)
        script = f"mkdir -p $(dirname {quoted}) && cat > {quoted} && chmod {mode:o} {quoted}"
        self.exec(script, user=user, input=text)

    def read(self, path: str) -> str:
        """The text of a file on the host."""
        return self.exec(["cat", path]).stdout

    def processes(self, user: str | None = None) -> list[Process]:
        """What runs on the host (of this user), without its process 1 and what this call itself needs."""
        names = {0: "root", **{number: name for name, number in USERS.items()}}
        found = []
        for outer in self._outer_pids():
            try:
                status = Path(f"/proc/{outer}/status").read_text()
                command = Path(f"/proc/{outer}/cmdline").read_bytes()
            except OSError:
                continue
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            number = int(fields["Uid"].split()[0])
            name = names.get(number, str(number))
            pid = int(fields["NSpid"].split()[-1])
            if fields["State"][0] in "ZX" or pid == 1 or (user is not None and name != user):
                continue
            words = command.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
            found.append(Process(pid, outer, name, words or fields["Name"]))
        return sorted(found, key=lambda process: process.pid)

    def _outer_pids(self) -> list[int]:
        mine, found = os.readlink(f"/proc/{self.init}/ns/pid"), []
        for pid in system.pids():
            try:
                if os.readlink(f"/proc/{pid}/ns/pid") == mine:
                    found.append(pid)
            except OSError:
                continue
        return found

    # -- network

    def cut(self) -> None:
        """Pull all cables: nothing arrives, nobody is told."""
        for cable in self.cables:
            cable.cut()

    def heal(self) -> None:
        """Plug all cables in again."""
        for cable in self.cables:
            cable.heal()

    def slow(self, rate: str = "8mbit") -> None:
        """Limit the speed of the first cable, both ways."""
        self.cables[0].slow(rate, self.init)

    def unslow(self) -> None:
        """Full speed again."""
        self.cables[0].unslow(self.init)

    def delay(self, milliseconds: float, *, loss: float = 0.0) -> None:
        """Put the host far away: so much each way on its first cable, with this part of the packets lost."""
        self.cables[0].delay(milliseconds, loss)

    def undelay(self) -> None:
        """Put the host near again."""
        self.cables[0].undelay()

    def drop(self, port: int) -> None:
        """A firewall that silently drops what comes in for this TCP port, also in connections that are open."""
        rules = "add table inet lab\nadd chain inet lab in { type filter hook input priority 0; }\n"
        rules += f'add rule inet lab in iifname "eth*" tcp dport {port} drop\n'
        self.lab.in_network(self.init, ["nft", "-f", "-"], input=rules)
        self.cables[0].altered = True

    def undrop(self) -> None:
        """Remove that firewall."""
        self.lab.in_network(self.init, ["nft", "delete", "table", "inet", "lab"])

    # -- disk and ssh server

    def small_disk(self, path: str, size: str = "1m", *, user: str = "root") -> None:
        """An empty file system of this size at `path`: a scratch directory that is full soon."""
        owner = 0 if user == "root" else USERS[user]
        self.exec(["mkdir", "-p", path])
        self.exec(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755,uid={owner},gid={owner}", "tmpfs", path])

    def sshd(self, *lines: str) -> None:
        """Put these lines first into the ssh server's configuration and let it read it again."""
        self.write("/etc/ssh/sshd_config.d/lab.conf", "".join(f"{line}\n" for line in lines))
        self.restart_sshd()

    def restart_sshd(self) -> None:
        """Let the ssh server read its configuration and its key again; open connections stay."""
        self.exec(["/usr/sbin/sshd", "-t"])
        self.exec("read pid < /run/sshd.pid; rm /run/sshd.pid; kill -HUP $pid")
        deadline = time.monotonic() + 10
        while self.exec("test -s /run/sshd.pid", check=False).returncode:
            if time.monotonic() > deadline:
                raise LabError(f"the ssh server of {self.name} does not start again: {self.read('/var/log/sshd.log')}")
            time.sleep(0.02)

    def new_host_key(self) -> None:
        """Another host key, as after an installation, or of an impostor."""
        path = "/etc/ssh/ssh_host_ed25519_key"
        self.exec(f"rm {path}* && ssh-keygen -q -t ed25519 -N '' -f {path}")
        self.restart_sshd()
