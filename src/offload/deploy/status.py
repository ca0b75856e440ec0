"""All that can be said of a deployment, also of one whose head is gone: what runs, what waits, and what is wrong."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

import psutil

from offload.deploy.allocation_counts import LOSSES, counted_jobs
from offload.deploy.lifecycle import common
from offload.deploy.lifecycle import local as launch
from offload.engines.worker_states import SILENT, STOPPED_SERVICE, ServiceRow, service_row
from offload.errors import OffloadError, StorageError
from offload.http.client import Client
from offload.jobs.waits import LONG, is_adaptive, not_connected, said, settle, waits
from offload.registry.contact import AWAY, ELSEWHERE, REFUSED, Contact
from offload.registry.deployments import Place
from offload.util.processes import last_words
from offload.util.quantities import duration_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from offload.storage.database import Database
    from offload.storage.store import Store

JOBS_SECONDS = 10.0
_NOT_KNOWN: dict[str, Any] = {
    "since": None, "scheduler": None, "storage": None, "adaptive": None, "groups": [], "desired": 0, "overtime": [],
    "gone": None,
}  # fmt: skip
"""What is told of a deployment that cannot be asked."""

_NEXT = {
    "down": ("is down", "bring it up: offload up {name}"),
    "dead": ("has lost its head, and with it all that ran", "start it again, as it was: offload up {name}"),
    "starting": ("is still starting", "wait a little; offload logs {name} shows how far it is"),
    "stopping": ("is being brought down", "wait a little"),
    ELSEWHERE: (
        "runs in another container of this machine, and is not reached from here",
        "use it there, or with that container's network; to end it from here: offload down {name}",
    ),
}


def report(place: Place) -> dict[str, Any]:
    """Return how a deployment is, as plain values.

    Parameters
    ----------
    place : Place
        The deployment.

    Returns
    -------
    dict
        What :func:`offload.deploy.lifecycle.local.status` gives, with ``services`` that begin with the head and tell
        ``address`` and ``since`` (without a head, if there is none); ``jobs``, what is under way;
        ``worker_jobs``, see :func:`offload.deploy.allocation_counts.counted_jobs`; ``waits``, what waits and why;
        ``problems``, each with ``message`` and ``hint``. What is not running has ``says``, the last line of its log.
    """
    contact = common.known(place)
    told = {**_NOT_KNOWN, **launch.status(place)}
    own = told.pop("head", None) or {}
    told["jobs"] = _jobs(place, contact) if told["state"] == "running" else None
    has_head = contact is None or contact.has_head()
    told["dashboard"] = contact.head["url"] if contact is not None and has_head and told["state"] == "running" else None
    services = [_head(contact, told, own), *told["services"]] if has_head else told["services"]
    if told["state"] == "running" and contact is not None and contact.jobs is not None and told["jobs"] is None:
        for service in services:
            if service["name"] == "jobs" and service["state"] == "running":
                service |= {"state": SILENT, "reason": STOPPED_SERVICE}
    told["services"] = [_service(place, contact, service) for service in services]
    settle(told["workers"])
    for worker in told["workers"]:
        if worker["state"] not in ("connected", SILENT):
            worker["says"] = worker["says"] or _last_line(place, worker["name"])
    told["worker_jobs"] = counted_jobs(told["workers"], told["desired"])
    told["waits"] = waits(told)
    more = f"offload scale {place.name} N" if has_head else f"offload worker --contact {place.contact}"
    told["problems"] = [{"message": error.message, "hint": error.hint} for error in _problems(told, more)]
    told["waits"] += _overtime(told)
    return told


def _head(contact: Contact | None, told: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return how the head is; of one on another machine, the process id is that of the head there."""
    alive = contact is not None and contact.head_lives() and not contact.head.get("node")
    return {
        "name": "head",
        "state": told["state"],
        "pid": own.get("pid", contact.head["pid"] if contact is not None and alive else None),
        "since": told.get("since"),
        "restarts": None,  # whoever needs it starts it again, and nobody counts that
    }


def _service(place: Place, contact: Contact | None, service: dict[str, Any]) -> ServiceRow:
    name, pid = service["name"], service["pid"]
    is_here = contact is None or contact.head.get("host") in (None, os.uname().nodename)
    addresses = {} if contact is None else {**vars(contact), "head": contact.head["url"]}
    since = service.get("since") or (_since(pid) if is_here else None)
    found = service_row({**service, "address": addresses.get(name), "since": since})
    if found["state"] != "running":
        found["says"] = found["reason"] or _last_line(place, name)
    return found


def _since(pid: int | None) -> float | None:
    """Return when a process was started, in Unix seconds."""
    try:
        return psutil.Process(pid).create_time() if pid else None
    except psutil.NoSuchProcess:
        return None


def _last_line(place: Place, who: str) -> str | None:
    return last_words(place.log(who)) or None


def _jobs(place: Place, contact: Contact | None) -> dict[str, Any] | None:
    """Return what the job service says, or None where there is none that answers."""
    if contact is None or contact.jobs is None:
        return None
    try:
        with open(place.token, encoding="ascii") as file:
            service = Client(contact.jobs, file.read().strip(), place.authority)
        try:
            told: dict[str, Any] = json.loads(service.call("GET", "/v1/status", idle=JOBS_SECONDS).body)
        finally:
            service.close()
    except (StorageError, OSError):
        return None  # its state is told among the services
    return told


def _overtime(told: dict[str, Any]) -> list[str]:
    """Return what runs again because the walltime of its worker was over."""
    return [
        f"a call or command had run for {duration_text(round(ran))} when the walltime of its worker, "
        f"{duration_text(round(whole))}, was over; it runs again, and fails when that happens {LOSSES} times"
        for ran, whole in told.get("overtime", ())
    ]


def _problems(told: dict[str, Any], more: str) -> list[OffloadError]:
    name, state = told["name"], told["state"]
    if told.get("hint"):  # what is wrong is known, and not on the way
        return [OffloadError(told["reason"], told["hint"])]
    if state == "silent" and told.get("site"):
        what = f"{told['reason']}; it may be just the connection to {told['site']} that was cut"
        return [OffloadError(what, f"then it is made again, and all goes on; else: offload doctor {name}")]
    if state == "silent":
        return [
            OffloadError(told["reason"], f"its log: offload logs {name}; if it does not come back: offload up {name}")
        ]
    if state == AWAY:
        return [OffloadError(f"{name} is away: {told['reason']}", f"what stands in the way: offload doctor {name}")]
    if state == REFUSED:
        return [OffloadError(f"{name}: {told['reason']}", f"then: offload join; or: offload leave {name}")]
    if state != "running":
        what, hint = _NEXT.get(state, (f"has {state}", _NEXT["down"][1]))
        if state.startswith("pending"):  # its head, in the words of the batch system
            what, hint = f"is {state}", "wait for it: offload up {name}; or take it back: offload down {name}"
        words = f": {told['reason']}" if told.get("reason") else ""
        words = words or (said(told["services"][0]) if state == "dead" else "")
        return [OffloadError(f"the deployment {name} {what}{words}", hint.format(name=name))]
    logs = f"offload logs {name} --worker"
    found = []
    if told.get("gone"):
        found.append(
            OffloadError(
                f"the environment {told['gone']} that {name} runs on is gone: nothing new can be started",
                f"offload down {name}, then offload up {name}",
            )
        )
    found += [
        OffloadError(
            f"the {service['name']} of {name} is {service['state']}{said(service)}",
            service["hint"] or _look_at(service) or f"{logs} {service['name']}",
        )
        for service in told["services"]
        if service["state"] != "running"
    ]
    found += [
        OffloadError(not_connected(worker), f"{logs} {worker['name']}")
        for worker in told["workers"]
        if worker["state"] in ("lost", SILENT)
        or (worker["state"] != "connected" and worker["restarts"])
        or (worker["missed"] or 0.0) > LONG
    ]
    found += [
        OffloadError(
            f"a process for calls of {worker['name']} has been stopped for {seconds:.0f} s, as by a debugger",
            f"let it go on: kill -CONT {pid}; else it is replaced after a minute, and its call runs again",
        )
        for worker in told["workers"]
        for pid, seconds in worker["stopped"]
    ]
    if told["jobs"] is not None and told["jobs"].get("trouble"):
        found.append(OffloadError(f"the job service of {name} failed: {told['jobs']['trouble']}", f"{logs} jobs"))
    if told["waits"] and not told["workers"] and not is_adaptive(told):
        found.append(OffloadError(told["waits"][-1], more))
    return found


def _look_at(service: dict[str, Any]) -> str:
    """Return what to do about a service whose process does not answer; "" for others."""
    pid = service["pid"]
    if service["state"] != SILENT or pid is None:
        return ""
    return f"has somebody stopped it? kill -CONT {pid}; after a minute another one is started in its place"


def storage(place: Place, state: str) -> dict[str, Any] | None:
    """Return where a deployment keeps results, and how much there is; None where its machine is not reached now.

    Parameters
    ----------
    place : Place
        The deployment.
    state : str
        How it is, as `report` tells.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    from offload.deploy.config.spec import spec_of

    if spec_of(place).link is not None:
        return _storage_elsewhere(place) if state == "running" else None
    return _storage_here(place)


def _storage_here(place: Place) -> dict[str, Any]:
    from offload.deploy.config.spec import spec_of
    from offload.registry.session import Session

    session = Session(spec_of(place).home(place.home))
    try:
        return _kept(session.home.store, session.store, session.home.database, session.database)
    finally:
        session.close()


def _storage_elsewhere(place: Place) -> dict[str, Any]:
    # Not as work does, which waits for it: who asks how it is wants to know now.
    from offload.registry import connect
    from offload.storage.home import DEPLOYMENT

    address = f"{DEPLOYMENT}{place.name}"
    with (
        contextlib.closing(connect.store(place.home, place.name)) as store,
        contextlib.closing(connect.database(place.home, place.name)) as database,
    ):
        return _kept(address, store, address, database)


def _kept(store_at: str, store: Store, database_at: str, database: Database) -> dict[str, Any]:
    usage, counts = store.usage(), database.statistics()
    return {
        "store": {"path": store_at, "buffers": usage.buffers, "bytes": usage.bytes},
        "database": {"path": database_at, "results": counts["complete"], "runs": counts["runs"]},
    }
