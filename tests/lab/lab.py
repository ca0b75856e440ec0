"""A lab: the laptop (the outer network, where tests' commands run) and real hosts around it, on one Linux machine.

Nothing in it can leave the machine: no network in it has a route out. Nothing of it stays: when its session ends in
any way, the keeper ends everything; if the keeper was killed too, the next session does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.lab import layers, leftovers, machine
from tests.lab.environments import Environments
from tests.lab.host import Host
from tests.lab.machine import SYSTEM_PATH, LabError, NotHere
from tests.lab.plan import places

REPOSITORY = Path(__file__).resolve().parents[2]
Words = str | Sequence[str | os.PathLike[str]]


class Lab:
    """Hosts ``login``, ``h1``, ... in front, ``c1``, ... behind ``login``; made by `Lab.up`, ended by `down`."""

    def __init__(self, front: int, behind: int) -> None:
        self.places = places(front, behind)
        self.directory = leftovers.new_directory()
        self.home = self.directory / "home"  # the laptop's user's, wiped by `reset`
        self.shared = self.directory / "shared"  # what the hosts see as /shared
        self.ssh_config = self.home / ".ssh/config"
        self.hosts = {place.name: Host(self, place) for place in self.places}
        self.environments = Environments(REPOSITORY)
        self._keeper = self._start_keeper(front, behind)
        self.keeper = self._keeper.pid
        self.disks = Path(f"/proc/{self.keeper}/root{self.directory}/disks")
        self._each(Host.boot, list(self.hosts.values()))

    @classmethod
    def up(cls, front: int = 2, behind: int = 2) -> Lab:
        """Bring a lab up; raises `NotHere` where the machine does not allow it."""
        machine.prepare()
        leftovers.sweep()
        return cls(front, behind)

    def _start_keeper(self, front: int, behind: int) -> subprocess.Popen[str]:
        for name in ("disks", "shared/.lab", "home/.ssh"):
            (self.directory / name).mkdir(parents=True)
        self.shared.chmod(0o1777)
        layers.new_key(self.directory / "cluster/id_ed25519", "cluster")
        for place in self.places:
            layers.new_key(self.directory / "keys" / place.name / "ssh_host_ed25519_key", f"root@{place.name}")
        layers.new_key(self.directory / "laptop/id_ed25519", "laptop")
        self._fill_home()
        with (self.directory / "keeper.log").open("w") as log:
            keeper = subprocess.Popen(
                [
                    *("unshare", "--net", "--mount", "--uts", "--ipc"),
                    *self.module("keeper", self.directory, front, behind),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the session, which then ends the lab
            )
        assert keeper.stdout is not None
        answer = keeper.stdout.readline()
        if answer != "ready\n":
            keeper.communicate()
            reason = answer.removeprefix("refused: ").strip() or (self.directory / "keeper.log").read_text().strip()
            shutil.rmtree(self.directory, ignore_errors=True)
            raise NotHere(f"this machine does not allow a lab: {reason[-500:]}")
        return keeper

    def down(self) -> None:
        """End everything that runs in the lab, and see that it is gone."""
        self._keeper.communicate(timeout=30)
        leftovers.end_all(self.directory)
        for host in self.hosts.values():
            host.forget()
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._keeper.returncode != 0 or self.directory.exists():
            raise LabError(f"the lab {self.directory} did not end well (status {self._keeper.returncode})")

    def host(self, name: str) -> Host:
        """The host of this name."""
        return self.hosts[name]

    def _each(self, action: Callable[[Host], None], hosts: list[Host]) -> None:
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(action, hosts))

    def reset(self) -> None:
        """Put everything back: no process of a test runs, and every host that was touched is as newly installed."""
        own = {self.keeper, *(pid for host in self.hosts.values() for pid in host.own_pids())}
        leftovers.end_all(self.directory, but=frozenset(own))
        self._each(Host.reinstall, [host for host in self.hosts.values() if host.touched])
        # .ssh and .lab are mounted elsewhere: they must stay the same directories
        for path in (*self.home.iterdir(), *self.shared.iterdir(), *(self.home / ".ssh").iterdir()):
            if path.is_dir() and not path.is_symlink():
                if path.name not in (".ssh", ".lab"):
                    shutil.rmtree(path)
            elif path.parent != self.shared or path.name not in ("venv", "wheels"):
                path.unlink()
        self._fill_home()

    def _fill_home(self) -> None:
        keys = self.home / ".ssh"
        keys.chmod(0o700)
        for name in ("id_ed25519", "id_ed25519.pub"):
            shutil.copy(self.directory / "laptop" / name, keys / name)
        (keys / "known_hosts").write_text(layers.known_hosts(self.directory, self.places))
        lines = ["Host *", f"  IdentityFile {keys}/id_ed25519", "  IdentitiesOnly yes"]
        lines += [f"  UserKnownHostsFile {keys}/known_hosts", "  StrictHostKeyChecking yes", "  ConnectTimeout 10"]
        for place in self.places:
            lines += [f"Host {place.name}", f"  HostName {place.address}"]
            lines += ["  ProxyJump login"] if place.behind else []
        self.ssh_config.write_text("\n".join(lines) + "\n")
        self.ssh_config.chmod(0o600)

    # -- commands on the laptop

    def command(
        self, command: Words, *, env: Mapping[str, str] | None = None, cwd: str | os.PathLike[str] | None = None
    ) -> list[str]:
        """The words that run `command` on the laptop from anywhere on the machine; a string is one for bash."""
        words = ["bash", "-c", command] if isinstance(command, str) else [os.fspath(word) for word in command]
        drop = [word for name in ("OFFLOAD_HOME", "SSH_AUTH_SOCK") for word in ("-u", name)]
        variables = {"HOME": str(self.home), "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}", **(env or {})}
        settings = [f"{name}={value}" for name, value in variables.items()]
        where = os.fspath(cwd) if cwd is not None else str(self.home)
        return [*self.enter(self.keeper, "net", "mount", "uts", "ipc"), "env", *drop, "-C", where, *settings, *words]

    def run(
        self,
        command: Words,
        *,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float = 60.0,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the laptop, in its home unless `cwd` says otherwise; ``env`` adds to the environment."""
        return self.finish(self.command(command, env=env, cwd=cwd), input=input, timeout=timeout, check=check)

    def start(
        self,
        command: Words,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Start a command on the laptop; `options` are those of `subprocess.Popen`. `reset` kills it at the latest."""
        return subprocess.Popen(self.command(command, env=env, cwd=cwd), **options)

    def ssh(
        self, host: str, command: str, *, timeout: float = 60.0, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host (``alice@h1``) by ssh from the laptop."""
        return self.run(
            ["ssh", "-F", self.ssh_config, "-o", "BatchMode=yes", host, command], timeout=timeout, check=check
        )

    def offload(self, *arguments: str | os.PathLike[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the laptop's ``offload``, of the same versions as `offload_venv`; `options` are those of `run`."""
        return self.run([self.laptop_venv / "bin/offload", *arguments], **options)

    # -- Python

    @property
    def python(self) -> Path:
        """A Python (3.11 or newer) that every user can run, on the laptop and on the hosts."""
        return self.environments.python

    @property
    def laptop_venv(self) -> Path:
        """An environment with offload as it is in the checkout, for the laptop."""
        return self.environments.laptop

    @property
    def offload_venv(self) -> Path:
        """The same environment for the hosts, read only, at the path where they see it."""
        self._publish()
        return Path("/shared/venv")

    @property
    def wheels(self) -> Path:
        """Wheels of offload and all that it needs, where the hosts see them: for ``pip install --no-index -f``."""
        self._publish()
        return Path("/shared/wheels")

    def _publish(self) -> None:
        made = self.environments.prepare().relative_to(self.environments.cache)
        for name, part in (("venv", "hosts"), ("wheels", "wheels")):
            if not (self.shared / name).is_symlink():
                (self.shared / name).symlink_to(Path("/shared/.lab") / made / part)

    # -- for the parts of the lab

    def enter(self, process: int, *kinds: str) -> list[str]:
        """The words that run what follows them in these namespaces of a process."""
        return ["nsenter", "-t", str(process), *(f"--{kind}" for kind in kinds)]

    def module(self, name: str, *arguments: object) -> list[str]:
        """The words that run a module of this package."""
        python = [sys.executable, "-S", "-m", f"tests.lab.{name}"]
        return ["env", "-C", str(REPOSITORY), *python, *map(str, arguments)]

    def in_network(self, process: int, command: list[str], *, input: str | None = None) -> None:
        """Run one of the machine's own commands in the network of a process."""
        self.finish([*self.enter(process, "net"), *command], input=input, timeout=10, check=True)

    def ip(self, *commands: str, namespace_of: int | None = None, missing_ok: bool = False) -> None:
        """Run commands of ``ip`` in the outer network, or that of a process."""
        words = [*self.enter(namespace_of or self.keeper, "net"), "ip", "-batch", "-"]
        self.finish(words, input="\n".join(commands) + "\n", timeout=10, check=not missing_ok)

    def finish(
        self, words: list[str], *, input: str | None, timeout: float, check: bool
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; with `check`, a failure says what it wrote."""
        done = subprocess.run(
            words,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"},
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise LabError(f"status {done.returncode} of {words}\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}")
        return done
