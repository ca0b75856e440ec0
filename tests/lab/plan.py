"""Who is in a lab: names, addresses, users. Every lab has the same ones, for each is in a network of its own."""

from __future__ import annotations

from dataclasses import dataclass

LAPTOP = "10.77.0.1"
FRONT, BACK = "front", "back"  # two bridges; the laptop has an address on the first one only
USERS = {"alice": 1500, "bob": 1501}
PASSWORD = "correct-horse"
# of PASSWORD: openssl passwd -6 -salt offloadlab
PASSWORD_HASH = "$6$offloadlab$bB/HWS5J94HPpba.559B4NEJ.JDGVGvvmIw7Qduk8mgqOB6rtF03GsxIVCTtDf8byGORy1PvL35QI.5VtVx1O."


@dataclass(frozen=True)
class Nic:
    """A network card of a host and the bridge that it is plugged into."""

    name: str
    address: str
    bridge: str

    @property
    def mac(self) -> str:
        """The same after every boot, as a real card's."""
        return "02:00:" + ":".join(f"{int(part):02x}" for part in self.address.split("."))


@dataclass(frozen=True)
class Place:
    """A host as it is planned."""

    name: str
    nics: tuple[Nic, ...]

    @property
    def address(self) -> str:
        """Where its ssh server is reached."""
        return self.nics[0].address

    @property
    def behind(self) -> bool:
        """Whether it is reached only through ``login``."""
        return self.nics[0].bridge == BACK


def places(front: int, behind: int) -> list[Place]:
    """``login`` with a card in both networks, `front` hosts beside it, `behind` hosts behind it."""
    login = Place("login", (Nic("eth0", "10.77.0.10", FRONT), Nic("eth1", "10.78.0.10", BACK)))
    return [
        login,
        *(Place(f"h{n}", (Nic("eth0", f"10.77.0.{10 + n}", FRONT),)) for n in range(1, front + 1)),
        *(Place(f"c{n}", (Nic("eth0", f"10.78.0.{10 + n}", BACK),)) for n in range(1, behind + 1)),
    ]


def hosts_file(members: list[Place], name: str) -> str:
    """``/etc/hosts`` as `name` sees it: a host behind is a name without an address for those in front."""
    own = next((place for place in members if place.name == name), None)
    bridges = {nic.bridge for nic in own.nics} if own else {FRONT}
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    lines += [f"{LAPTOP} laptop"] if FRONT in bridges else []
    for place in members:
        near = [nic.address for nic in place.nics if nic.bridge in bridges]
        lines += [f"{address} {place.name}" for address in near]
    return "\n".join(lines) + "\n"
