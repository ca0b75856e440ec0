"""What `offload doctor` is to look at."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Options:
    """What is to be looked at.

    Attributes
    ----------
    route, ports, host, scratch : str, or (int, int)
        How a deployment is to be reached, where it is to listen, and where it keeps temporary files.
    workers_host : str
        The address under which workers reach it, where that is another one.
    python : str
        A Python of the machine.
    image : str
        The image that a deployment runs in a container of.
    system : str
        The batch system that is used from there.
    job : dict
        What jobs will ask for.
    trial : bool
        Whether one is to be sent.
    """

    route: str = ""
    ports: tuple[int, int] | None = None
    host: str = ""
    scratch: str = ""
    python: str = ""
    image: str = ""
    system: str = ""
    job: dict[str, Any] = dataclasses.field(default_factory=dict)
    trial: bool = False
    workers_host: str = ""
