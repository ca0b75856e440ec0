"""What is known here of a deployment on another machine: where it is, and how it is reached."""

from __future__ import annotations

import dataclasses
from typing import Any

from offload.errors import UsageError

TUNNEL, DIRECT = "tunnel", "direct"
ROUTES = (TUNNEL, DIRECT)


@dataclasses.dataclass(frozen=True)
class Link:
    """How a deployment on another machine is reached.

    Attributes
    ----------
    site : str or None
        Where it is, such as ``ssh://me@login``; None where it was joined and can be reached without SSH.
    route : str
        ``"tunnel"``: all goes through one SSH connection; ``"direct"``: its addresses are reached from here.
    environment : str
        The software environment there: ``"sync"``, ``"check"``, ``"conda:NAME"``, ``"python:PATH"``, ...
    local_ports : (int, int) or None
        The ports of this machine that lead there come from this range, in order.
    ssh : str
        The command line to use instead of ``ssh``.
    runtime : str
        The directory for the connection's socket.
    python : str
        The interpreter there that has offload; "" where it is not known.
    head : str
        The address of the head, as it is reached from the site.
    grant, owner : str
        Of one that was joined: what the owner knows the grant by, and whom to ask; "" for one's own.
    choices : dict
        What was asked for of the deployment itself: attributes of a spec.
    """

    site: str | None
    route: str = TUNNEL
    environment: str = "sync"
    local_ports: tuple[int, int] | None = None
    ssh: str = ""
    runtime: str = ""
    python: str = ""
    head: str = ""
    grant: str = ""
    owner: str = ""
    choices: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.route not in ROUTES:
            raise UsageError(f"{self.route!r} is no route", f"there are: {', '.join(ROUTES)}")
        if self.site is None and self.route == TUNNEL:
            raise UsageError("a tunnel needs a machine to lead to", "give --ssh user@host")
        if self.local_ports is not None and self.route != TUNNEL:
            raise UsageError("only a tunnel has ports of its own on this machine", "leave out --local-ports")
        if self.local_ports is not None and self.local_ports[1] - self.local_ports[0] < 3:
            raise UsageError("4 local ports are needed", "write --local-ports 60001-60004")

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Link:
        """Return the link whose values were read from a file."""
        ports = values["local_ports"]
        return cls(**{**values, "local_ports": None if ports is None else tuple(ports)})
