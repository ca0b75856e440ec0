"""Programs that only the machine of a deployment has: they are looked for there, and count by what they are there.

What they find there counts, too, as far as that is known: the machine, its environment, and the lines (such as
``module load``) that come before each worker.
"""

from __future__ import annotations

import os

from offload.commands.planning.programs import CommandNotFoundError, is_for_shells, resolve
from offload.errors import OffloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from offload.commands.request import Asking, Request
    from offload.registry.deployments import Place

RUNNER = "env"
"""What runs such a program; it looks for it where it is itself run."""

_OWN = ("OFFLOAD_", "DASK_", "DISTRIBUTED_", "LC_")
_GIVEN = frozenset(("HOME", "LANG", "PATH", "PWD", "PYTHONDONTWRITEBYTECODE", "TMPDIR"))
"""What every command is given, in its own way."""


def look_there(requests: Sequence[Request], place: Place, everything: bool, asking: Callable[[], Asking]) -> None:
    """Have programs that are not here looked for where the workers of a deployment are.

    Parameters
    ----------
    requests : sequence of Request
        Are changed: such a program is run by ``env``.
    place : Place
        The deployment's.
    everything : bool
        Whether the programs that these start are to be looked for there, too, whatever is found here.
    asking : callable
        Gives who knows the programs there, if there is anything to ask.

    Raises
    ------
    CommandNotFoundError
        For a program that is nowhere, as far as that is known.
    """
    knows: Asking | None = None
    where: dict[str, Any] | None = None
    for request in requests:
        name = request.argv[0]
        absent = request.environment is None and not _is_here(name)
        if not (absent or everything):
            continue
        if where is None and (where := described(place)) is None:
            if absent and not everything:
                return  # the plan will say that there is no such command
            raise CommandNotFoundError(
                f"{place.name} has the programs of this machine, and no others",
                "a --prologue of `offload up` says what to do before workers start",
            )
        knows = knows or asking()
        request.there, request.asking = dict(where), knows
        if (absent or "/" not in name) and name != RUNNER:
            request.argv = [RUNNER, *request.argv]


def described(place: Place) -> dict[str, Any] | None:
    """Return what is known here of the machine of a deployment; None where its programs are those of this one."""
    import json

    with open(place.spec, encoding="utf-8") as file:
        spec = json.load(file)
    link = spec.get("link")
    if link is not None:
        own = [link["choices"], *link["choices"].get("groups", {}).values()]
        machine, environment = link.get("site") or place.name, link.get("environment")
    else:
        own = [spec.get("job", {}), *(group.get("job", {}) for group in spec.get("groups", {}).values())]
        machine, environment = "", spec.get("environment")
    lines = [line for one in own for line in one.get("prologue", ())]
    if link is None and not lines:
        return None
    return {"machine": machine, "environment": environment or "", "prologue": lines}


def around() -> dict[str, str]:
    """Return what a program that only this machine has finds around it: what the worker itself was started with."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OWN) and name not in _GIVEN}


def _is_here(name: str) -> bool:
    """Tell whether a command's first word stands for a program of this machine, or cannot for one elsewhere."""
    if ("/" in name and not name.startswith("/")) or "=" in name or is_for_shells(name):
        return True
    try:
        resolve(name)
    except CommandNotFoundError:
        return os.path.isfile(name)  # written without ./
    except OffloadError:
        return True
    return True
