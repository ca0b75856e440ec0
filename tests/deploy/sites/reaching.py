"""Machines of the lab as sites of the test's own process, which is outside of the lab's network."""

from __future__ import annotations

import shlex

from offload.hosts.address import SshAddress
from offload.hosts.ssh import Ssh
from tests.lab.lab import Lab


def ssh_of(lab: Lab, target: str, socket: str, *options: str) -> Ssh:
    """A machine as the laptop's ``ssh`` reaches it, with options of ``ssh``."""
    return Ssh(SshAddress.parse(target), socket, ask=False, program=shlex.join(lab.command(["ssh", *options])))
