"""The side of the other machine: ``python -m offload.deploy.remote.agent VERB``, run over SSH.

It reads a request as JSON from standard input, tells its steps on standard error, and writes one line to standard
output: a mark, which tells it from what a login shell may print, and the answer as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from offload.batch import is_batch_system
from offload.deploy.config.link import DIRECT
from offload.deploy.config.resolve import resolve
from offload.deploy.config.spec import LOCAL, PROCESS, WILDCARD, spec_of
from offload.deploy.endpoints import towards_nodes
from offload.deploy.lifecycle.common import known
from offload.deploy.lifecycle.local import down as bring_down
from offload.deploy.lifecycle.local import state
from offload.deploy.lifecycle.local import up as bring_up
from offload.deploy.logs import said
from offload.deploy.remote.marks import ANSWER, STEP
from offload.deploy.security import credentials
from offload.errors import DiskFullError, NotFoundError, OffloadError
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry
from offload.storage.home import checked_home
from offload.util.files import write_whole

CHOICES = "choices.json"
"""The file in a deployment's place that keeps what it was brought up with."""


def up(registry: Registry, name: str, route: str, choices: dict[str, Any], again: bool = False) -> dict[str, Any]:
    """Bring a deployment up, unless it is, and tell all that is needed to use it.

    Parameters
    ----------
    registry : Registry
        Of this machine.
    name : str
        The deployment.
    route : str
        How it will be reached.
    choices : dict
        Attributes of its spec, as they were asked for.
    again : bool
        Whether it is to be there already: one that somebody has brought down stays down.
    """
    reason = registry.place(name).end_reason()
    if again and (reason is not None or name not in registry.names()):
        raise NotFoundError(f"{name} has ended: {reason}" if reason else f"{name} has been brought down")
    place, asked = registry.place(name), choices
    if _asked_before(place) == asked:
        choices = {}  # it is as it was, with the number of workers that it was given since
    elif route == DIRECT and not {"host", "interface"} & set(choices) and name not in registry.names():
        choices = {**choices, **_listening(_reached_at(), choices)}
    resolved = resolve(registry, "local", name, choices)
    contact, started = bring_up(registry, resolved.spec, _tell)
    if started:
        write_whole(os.path.join(place.path, CHOICES), json.dumps(asked))
    differences = [] if started else resolved.differences(spec_of(place))
    return {
        "started": started,
        "differences": differences,
        "contact": vars(contact),
        "keys": credentials.of_client(place.keys),
        "storage_only": spec_of(place).storage_only,
    }


def _asked_before(place: Place) -> dict[str, Any] | None:
    """Return what a deployment that is there was last brought up with; None where nobody knows."""
    try:
        with open(os.path.join(place.path, CHOICES), encoding="utf-8") as file:
            choices: dict[str, Any] = json.load(file)
            return choices
    except FileNotFoundError:
        return None


def _reached_at() -> str:
    """Return the address of this machine that the SSH connection has come to."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    if len(words) != 4:
        raise OffloadError("the address of the other machine is not known", "give it: --host ADDRESS")
    return words[2]


def _listening(address: str, choices: dict[str, Any]) -> dict[str, str]:
    """Return where a deployment listens that clients reach at an address; nodes may reach only another one."""
    system = choices.get("provider", LOCAL)
    batch = is_batch_system(system) and choices.get("keep", PROCESS) == PROCESS and "workers_host" not in choices
    nodes = towards_nodes(system) if batch else None
    if nodes in (None, address):
        return {"host": address}
    _tell(f"workers reach it at {nodes}")
    return {"host": WILDCARD, "advertise": address, "workers_host": str(nodes)}


def down(registry: Registry, name: str) -> dict[str, Any]:
    """Bring a deployment down, if it is there."""
    if name not in registry.names():
        return {"down": False}
    bring_down(registry, registry.place(name), _tell)
    return {"down": True}


def contact(registry: Registry, name: str) -> dict[str, Any]:
    """Tell how a deployment is, and where."""
    place = registry.place(name)
    if name not in registry.names():
        return {"state": "down", "contact": None, "known": False}
    told: Contact | None = known(place)
    return {"state": state(place), "contact": None if told is None else vars(told)}


def listing(registry: Registry) -> dict[str, Any]:
    """Tell which deployments there are, and how they are."""
    return {"deployments": [_described(registry.place(name)) for name in registry.names()]}


def _described(place: Place) -> dict[str, Any]:
    told = known(place)
    return {
        "name": place.name,
        "state": state(place),
        "scheduler": told.scheduler if told is not None else None,
        "spec": dataclasses.asdict(spec_of(place)),
    }


def logs(
    registry: Registry, name: str, read: dict[str, list[int]] | None, lines: int, only: str | None
) -> dict[str, Any]:
    """Tell what a deployment has said: see :func:`offload.deploy.logs.said`."""
    return said(registry.place(name), read, lines, only)


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "up": up,
    "down": down,
    "contact": contact,
    "list": listing,
    "logs": logs,
}


def _tell(text: str) -> None:
    sys.stderr.write(f"{STEP}{text}\n")
    sys.stderr.flush()


def main(verb: str) -> int:
    """Answer one request."""
    os.chdir(os.path.expanduser("~"))  # relative paths of a user who is elsewhere begin there
    try:
        request = json.load(sys.stdin)
        answer = VERBS[verb](Registry(checked_home()), **request)
    except OffloadError as exc:
        kind = "NotFoundError" if isinstance(exc, NotFoundError) else "OffloadError"
        hint = "free some space there" if isinstance(exc, DiskFullError) else exc.hint
        answer = {"error": exc.message, "hint": hint, "kind": kind}
    sys.stdout.write(f"{ANSWER}{json.dumps(answer)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
