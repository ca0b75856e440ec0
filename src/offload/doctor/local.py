"""Checks of this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from offload import errors
from offload.doctor import facts, machine
from offload.doctor.result import Result, failed, passed, warned
from offload.environments.installed import installed
from offload.environments.wanted import OWN
from offload.errors import OffloadError
from offload.hosts.ssh import ssh_command

SSH_SECONDS = 10.0
OLDEST_SSH = (7, 3)  # the first with ProxyJump
NAMED = ("dask", "distributed")


def checks(scratch: str, host: str, ports: tuple[int, int] | None) -> Iterator[Result]:
    """Check all of it."""
    yield python()
    yield versions()
    yield clock()
    request: dict[str, Any] = {"home": "", "scratch": scratch, "host": host or "127.0.0.1", "ports": ports}
    found = {**facts.gather(request), "host": request["host"]}
    yield from machine.checks(found, ports)
    yield ssh()


def python() -> Result:
    """Which Python this is."""
    return passed("Python", f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})")


def versions() -> Result:
    """Whether offload's own requirements are installed, as it asks for them."""
    from packaging.requirements import Requirement

    own = {one.key: one.version for one in installed()}
    wrong = []
    for text in metadata.requires(OWN) or []:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        version = own.get(wanted.name.lower().replace("_", "-"))
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted.name} is {version or 'not installed'}, not {wanted.specifier or 'any'}")
    said = ", ".join(f"{name} {own.get(name, '?')}" for name in (OWN, *NAMED))
    if wrong:
        return failed("versions", f"{said}; {'; '.join(wrong)}", "pip install --upgrade offload")
    return passed("versions", said)


def clock() -> Result:
    """Whether the clock is not before the installation of offload: certificates would not count yet."""
    made = os.stat(errors.__file__).st_mtime
    now = time.time()
    said = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    if now < made - 60:
        return failed("clock", f"{said} is before offload was installed", "set it: timedatectl set-ntp true")
    return passed("clock", said)


def ssh() -> Result:
    """Which OpenSSH there is, for other machines."""
    try:
        done = subprocess.run(
            [*ssh_command(), "-V"], stdin=subprocess.DEVNULL, capture_output=True, timeout=SSH_SECONDS, check=False
        )
    except OffloadError as exc:
        return warned("ssh", f"{exc.message}: other machines are out of reach", exc.hint or "")
    except subprocess.TimeoutExpired:
        return warned("ssh", f"it does not tell its version in {SSH_SECONDS:g} s", "ssh -V")
    said = (done.stderr + done.stdout).decode("utf-8", "replace").strip()
    found = re.search(r"OpenSSH_(?:for_Windows_)?(\d+)\.(\d+)", said)
    if found is None:
        return warned("ssh", f"{said or 'it says nothing'}: not OpenSSH", "install OpenSSH's client")
    if (int(found[1]), int(found[2])) < OLDEST_SSH:
        return warned("ssh", f"{said} is old", "update OpenSSH's client")
    return passed("ssh", said.partition(",")[0])
