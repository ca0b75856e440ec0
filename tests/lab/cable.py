"""The cable between one card of a host and the switch: pulled out, slow or long."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.machine import LabError
from tests.lab.plan import Nic
from tests.requirements import requires

if TYPE_CHECKING:
    from tests.lab.lab import Lab


class Cable:
    """One card of one host. On the switch's side the cable ends in ``<host>.<card number>``."""

    def __init__(self, lab: Lab, host: str, nic: Nic) -> None:
        self.lab, self.nic = lab, nic
        self.end = f"{host}.{nic.name[-1]}"
        self.altered = False  # not as it was when plugged in
        self._pump: subprocess.Popen[str] | None = None

    @property
    def pump(self) -> int | None:
        """The process that makes the line long."""
        return None if self._pump is None else self._pump.pid

    def plug(self, init: int) -> None:
        """A new card in the host whose process 1 is `init`, connected to its switch."""
        self.lab.ip(
            f"link add {self.end} type veth peer name {self.nic.name} address {self.nic.mac} netns {init}",
            f"link set {self.end} master {self.nic.bridge} up",
        )
        self.lab.ip(
            f"addr add {self.nic.address}/24 dev {self.nic.name}", f"link set {self.nic.name} up", namespace_of=init
        )
        self.altered = False

    def cut(self) -> None:
        """Pull the cable: nothing arrives, nobody is told; addresses and routes stay."""
        self.lab.ip(f"link set {self.end} down", missing_ok=True)  # no cable where the host is off
        self.altered = True

    def heal(self) -> None:
        """Plug the cable in again."""
        self.lab.ip(f"link set {self.end} up")

    def unplug(self) -> None:
        """Remove the card for good (the host is off)."""
        self.undelay()
        self.lab.ip(f"link del {self.end}", missing_ok=True)
        self.altered = False

    def slow(self, rate: str, init: int) -> None:
        """Limit the speed in both directions."""
        for process, device in ((self.lab.keeper, self.end), (init, self.nic.name)):
            limit = ["tbf", "rate", rate, "burst", "32k", "latency", "400ms"]
            self.lab.in_network(process, ["tc", "qdisc", "replace", "dev", device, "root", *limit])
        self.altered = True

    def unslow(self, init: int) -> None:
        """Full speed again."""
        for process, device in ((self.lab.keeper, self.end), (init, self.nic.name)):
            self.lab.in_network(process, ["tc", "qdisc", "del", "dev", device, "root"])

    def delay(self, milliseconds: float, loss: float) -> None:
        """Make the line long: so much later each way, and with this part of the frames lost."""
        requires(Path("/dev/net/tun").exists(), "a delay needs /dev/net/tun")
        self.undelay()
        near, far, bridge = f"{self.end}.n", f"{self.end}.f", f"{self.end}.b"
        command = [*self.lab.enter(self.lab.keeper, "net"), *self.lab.module("pump", near, far, milliseconds, loss)]
        self._pump = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self._pump.stdout is not None
        if self._pump.stdout.readline() != "ready\n":
            raise LabError(f"the long line of {self.end} does not start")
        self.lab.ip(
            f"link add {bridge} type bridge",
            f"link set {self.end} master {bridge}",
            f"link set {near} master {bridge} up",
            f"link set {far} master {self.nic.bridge} up",
            f"link set {bridge} up",
        )
        self.altered = True

    def undelay(self) -> None:
        """A short line again."""
        if self._pump is None:
            return
        self.lab.ip(f"link set {self.end} master {self.nic.bridge}", missing_ok=True)
        self.lab.ip(f"link del {self.end}.b")
        self._pump.kill()
        self._pump.communicate()
        self._pump = None
