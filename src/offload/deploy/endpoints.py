"""Where services listen and how they are reached; the only place that chooses ports and builds addresses."""

from __future__ import annotations

import dataclasses
import errno
import random
import socket
from collections.abc import Iterable

from offload.deploy.config.spec import WILDCARD, Spec
from offload.errors import OffloadError, UsageError

LOOPBACK = "127.0.0.1"


def machine_address() -> str:
    """Return the address of this machine by which others most likely reach it.

    Raises
    ------
    UsageError
        If it has none.
    """
    import psutil

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: this only asks which way it would go
            return str(probe.getsockname()[0])
        except OSError:
            pass  # no way leads out: then any address will do
    every = [one for known in psutil.net_if_addrs().values() for one in known if one.family == socket.AF_INET]
    found = [one.address for one in every if not one.address.startswith("127.")]
    if not found:
        raise UsageError("this machine has no address but loopback", "give --contact ADDRESS")
    return found[0]


def address(scheme: str, spec: Spec, port: int) -> str:
    """Return the address under which others reach a port that a deployment listens on."""
    host = spec.advertise or spec.host
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def address_of(interface: str) -> str:
    """Return the address of a network interface of this machine.

    Raises
    ------
    UsageError
        If there is no such interface, or it has no address.
    """
    import psutil

    known = psutil.net_if_addrs()
    found = [one.address for one in known.get(interface, []) if one.family == socket.AF_INET]
    if not found:
        raise UsageError(f"there is no network interface {interface} with an address", f"there are: {', '.join(known)}")
    return found[0]


def listening_address(spec: Spec, head_host: str) -> str:
    """Return the address at which a worker on this machine listens.

    Parameters
    ----------
    spec : Spec
        Of the deployment.
    head_host : str
        The name of the machine that the head is on; on this one, workers listen where services do, but not on all.
    """
    if head_host != socket.gethostname():
        return address_of(spec.interface) if spec.interface is not None else _among_nodes(spec)
    spec = located(spec)
    return spec.workers_host or spec.advertise or spec.host if spec.host == WILDCARD else spec.host


def address_here(interface: str | None = None) -> str:
    """Return an address of this machine that others reach: of an interface, or else the one that its name stands for.

    Where the name stands for loopback, as on Debian, it is `machine_address`.
    """
    if interface is not None:
        return address_of(interface)
    try:
        named = socket.gethostbyname(socket.gethostname())
    except OSError:
        named = LOOPBACK
    return machine_address() if named.startswith("127.") else named


def known_as(spec: Spec) -> list[str]:
    """Return the names and addresses under which a deployment is reached, which its certificate is good for.

    Those of loopback are among them: they are where tunnels end.
    """
    import psutil

    own = [one.address for known in psutil.net_if_addrs().values() for one in known if one.family == socket.AF_INET]
    names = [spec.host, spec.advertise, spec.workers_host, socket.gethostname(), "localhost", "127.0.0.1", *own]
    return list(dict.fromkeys(name for name in names if name))


def located(spec: Spec) -> Spec:
    """Return a spec whose `host` is an address of this machine: that of the interface that was chosen, or, where
    workers are jobs of a batch system and nothing was chosen, one that other machines reach.
    """
    if spec.interface is not None:
        return dataclasses.replace(spec, host=address_of(spec.interface))
    if spec.host == LOOPBACK and (spec.systems() or spec.keep != "process"):
        return dataclasses.replace(spec, host=_among_nodes(spec))
    return spec


def _among_nodes(spec: Spec) -> str:
    """Return the address of this machine from which nodes of the deployment's batch system are reached."""
    system = next((name for name in (*spec.systems(), spec.keep) if name != "process"), None)
    return (towards_nodes(system) if system is not None else None) or address_here()


def towards_nodes(system: str) -> str | None:
    """Return the address of this machine from which nodes of a batch system are reached; None where nobody tells."""
    from offload.batch import batch_system

    try:
        nodes = batch_system(system).nodes()
    except OffloadError:  # its commands are not on this machine, or it does not answer
        nodes = []
    for node in nodes:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((node, 9))  # sends nothing: the system only chooses a way
                found = str(probe.getsockname()[0])
        except OSError:
            continue
        if not found.startswith("127."):
            return found
    return None


class PortsExhaustedError(OffloadError):
    """No port of the allowed range is free."""


def is_free(host: str, port: int) -> bool:
    """Tell whether a port can be listened on now.

    Raises
    ------
    OffloadError
        If the host is no address of this machine.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            if exc.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise OffloadError(f"{host} is no address of this machine: {exc.strerror}", "give another --host") from exc
        return True


def _any_port(host: str) -> int:
    is_free(host, 0)  # tells when the host is no address of this machine
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def free_port(
    host: str, wanted: int | None, allowed: tuple[int, int] | None, preferred: int = 0, *, but: int | None = None
) -> int:
    """Return a port to listen on.

    Parameters
    ----------
    host : str
        The address to listen on.
    wanted : int, optional
        The one port that was asked for.
    allowed : (int, int), optional
        The first and last of those that may be used.
    preferred : int
        Taken where it is free and nothing else was asked for; 0 for any.
    but : int, optional
        One that is left to another service, which was given it.

    Raises
    ------
    PortsExhaustedError
        If the wanted port, or every allowed one, is taken.
    """
    if wanted is not None:
        if is_free(host, wanted):
            return wanted
        raise PortsExhaustedError(f"port {wanted} on {host} is taken", "give another one, or leave it to offload")
    if allowed is not None:
        # In random order: two deployments that start at once should not race for the same one.
        ports = list(range(allowed[0], allowed[1] + 1))
        random.shuffle(ports)
        for port in ports:
            if port != but and is_free(host, port):
                return port
        raise PortsExhaustedError(f"every port from {allowed[0]} to {allowed[1]} on {host} is taken", "widen --ports")
    if preferred not in (0, but) and is_free(host, preferred):
        return preferred
    return _any_port(host)


def ports_for_workers(allowed: tuple[int, int], services: Iterable[str]) -> list[int]:
    """Return the allowed ports in random order, without those to which a service comes back when it has died.

    Parameters
    ----------
    allowed : (int, int)
        The first and last of those that may be used.
    services : iterable of str
        The services' addresses.
    """
    taken = {int(address.rpartition(":")[2]) for address in services}
    ports = [port for port in range(allowed[0], allowed[1] + 1) if port not in taken]
    random.shuffle(ports)
    return ports
