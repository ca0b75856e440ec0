"""Checks of a machine, each of its facts: what is there, whether that is enough, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from offload.doctor.result import Result, failed, passed, warned
from offload.util.filesystems import file_system, is_network

MEGA, GIGA = 1_000_000, 1_000_000_000
LITTLE, MUCH_TOO_LITTLE = 2 * GIGA, 100 * MEGA
SLOW, SMALL_SHM = 50 * MEGA, 64 * MEGA
FEW_FILES, FEWEST_FILES, FEW_PROCESSES = 4096, 256, 512
ELSEWHERE = "set OFFLOAD_HOME to a directory that can be written"

Facts = dict[str, Any]


def checks(facts: Facts, ports: tuple[int, int] | None, needed: int = 1) -> Iterator[Result]:
    """Check all of it.

    Parameters
    ----------
    facts : dict
        What :func:`offload.doctor.facts.gather` gave.
    ports : (int, int), optional
        The range that was looked at.
    needed : int
        How many ports of it have to be free.
    """
    yield home(facts)
    yield space(facts)
    yield scratch(facts)
    if facts["shm"] is not None:
        yield shared_memory(facts)
    yield open_files(facts)
    yield processes(facts)
    if ports is not None:
        yield free_ports(facts, ports, needed)


def home(facts: Facts) -> Result:
    """Whether offload can keep files in its home."""
    found = facts["home"]
    if found["error"] is not None:
        return failed("home", f"{found['path']} cannot be written: {found['error']}", ELSEWHERE)
    kind = file_system(found["at"], facts["mounts"])
    if is_network(kind):
        return warned(
            "home",
            f"{found['path']} is on a network file system ({kind}): it works, but is slow",
            "set OFFLOAD_HOME to a local disk, if results need not be seen by other machines",
        )
    return passed("home", f"{found['path']}{f' ({kind})' if kind else ''}")


def space(facts: Facts) -> Result:
    """Whether there is room for results."""
    free = facts["home"]["free"]
    found = f"{_size(free)} free where {facts['home']['path']} lies"
    hint = "free some: offload gc --max-size SIZE; or set OFFLOAD_HOME to a place with room"
    if free < MUCH_TOO_LITTLE:
        return failed("disk space", found, hint)
    return warned("disk space", found, hint) if free < LITTLE else passed("disk space", found)


def scratch(facts: Facts) -> Result:
    """Whether temporary files of workers can be kept, and how fast."""
    found, rate = facts["scratch"], facts["scratch"]["rate"]
    if found["error"] is not None or rate is None:
        reason = found["error"] or f"it is not there, or is full ({_size(found['free'])} free)"
        return failed("scratch", f"{found['path']} cannot be used: {reason}", "give another one: --scratch DIR")
    said = f"{found['path']}: {_size(found['free'])} free, written with {_size(rate)}/s"
    if found["free"] < LITTLE:
        return warned("scratch", said, "free some, or give another one: --scratch DIR")
    return warned("scratch", said, "give a faster one: --scratch DIR") if rate < SLOW else passed("scratch", said)


def shared_memory(facts: Facts) -> Result:
    """Whether there is memory that processes can share."""
    found = facts["shm"]
    if found["error"] is not None or found["at"] != "/dev/shm":
        return warned("/dev/shm", f"it cannot be used: {found['error'] or 'it is not there'}", "mount a tmpfs there")
    said = f"{_size(found['free'])} free"
    if found["free"] < SMALL_SHM:
        return warned("/dev/shm", said, "make it larger: mount -o remount,size=1g /dev/shm; docker run --shm-size 1g")
    return passed("/dev/shm", said)


def open_files(facts: Facts) -> Result:
    """Whether a process may have enough files and connections open."""
    limit = facts["limits"]["files"]
    if limit is None or limit >= FEW_FILES:
        return passed("open files", "no limit" if limit is None else f"up to {limit} for each process")
    make = failed if limit < FEWEST_FILES else warned
    return make("open files", f"only {limit} for each process", "ulimit -n 65536, or raise nofile in limits.conf")


def processes(facts: Facts) -> Result:
    """Whether enough processes and threads may run."""
    limit = facts["limits"]["processes"]
    if limit is None or limit >= FEW_PROCESSES:
        return passed("processes", "no limit" if limit is None else f"up to {limit}")
    return warned("processes", f"only {limit}, threads included", "ulimit -u 4096, or fewer --workers")


def logout(facts: Facts) -> Result:
    """Whether processes go on when their user logs out."""
    found = facts["logout"]
    if not found["kills"]:
        return passed("after logout", "processes go on")
    if found["lingers"]:
        return passed("after logout", "processes go on, as this user lingers")
    return failed(
        "after logout",
        "systemd ends all processes of a user who logs out (KillUserProcesses)",
        "type there: loginctl enable-linger",
    )


def free_ports(facts: Facts, ports: tuple[int, int], needed: int) -> Result:
    """Whether enough ports of a range are free."""
    found, of = facts["ports"], ports[1] - ports[0] + 1
    if found["error"] is not None:
        return failed("ports", f"{facts['host']} is no address of this machine: {found['error']}", "--host ADDRESS")
    said = f"{found['free']} of {ports[0]}-{ports[1]} are free"
    if found["free"] < min(needed, of):
        return failed("ports", f"{said}; {min(needed, of)} are needed", "give another range: --ports A-B")
    return passed("ports", said)


def _size(number: float) -> str:
    for unit, name in ((1e12, "TB"), (GIGA, "GB"), (MEGA, "MB")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return f"{number / 1000:.3g} kB"
