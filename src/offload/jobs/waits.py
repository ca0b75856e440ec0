"""What calls and commands of a deployment wait for, as the deployment itself knows: in `status`, and for who waits."""

from __future__ import annotations

import json

from offload.engines.worker_states import ENGAGED, SILENT, worker_row
from offload.errors import OffloadError
from offload.notices import counted
from offload.registry.contact import Contact
from offload.util.resources import parse_resources, times
from offload.util.units import size_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from offload.registry.deployments import Place

SECONDS = 10.0
"""In which head and job service have to answer; nobody waits for it."""

FULL = "no worker takes anything on"
"""What is said where all that are connected have nearly no memory left: Dask pauses such workers."""

LONG = 60.0
"""Seconds after which it is a problem that a worker which runs is not connected."""


def reason(place: Place, calls: int) -> str:
    """Return what some calls of this process wait for on a deployment; "" where they run, or nobody can tell.

    Parameters
    ----------
    place : Place
        The deployment.
    calls : int
        So many wait.
    """
    return "; ".join(asked(place, f"{calls} call{'' if calls == 1 else 's'}", calls == 1))


def asked(place: Place, what: str, one: bool) -> list[str]:
    """Return what something waits for on a deployment, one reason after the other; see `waits`."""
    told = _told(place)
    if told is None:
        return []  # who waits for a service that is away is told by other ways
    head, head["jobs"] = told
    settle(head["workers"])
    return waiting(head, what, one)


def has_workers(place: Place) -> bool:
    """Tell whether there are workers of a deployment, or such that are to come, as far as that can be known."""
    told = _told(place)
    return told is not None and bool(told[0]["workers"])


def _told(place: Place) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return what head and job service say; None where they cannot be asked."""
    from offload.http.client import Client

    try:
        contact = Contact.read(place.contact)
        if contact is None or contact.state != "running" or not contact.has_head() or contact.jobs is None:
            return None
        with open(place.token, encoding="ascii") as file:
            token = file.read().strip()
        told: list[dict[str, Any]] = []
        for url in (contact.head["url"], contact.jobs):
            service = Client(url, token, place.authority, connect=SECONDS, idle=SECONDS)
            try:
                told.append(json.loads(service.call("GET", "/v1/status").body))
            finally:
                service.close()
    except (OffloadError, OSError, ValueError):
        return None
    return told[0], told[1]


def settle(workers: list[dict[str, Any]]) -> None:
    """Give each worker the state that users know, and one that is not connected what it ``says``, which may be ""."""
    for worker in workers:
        worker |= worker_row(worker)  # a head that was started before an update may tell less
        if worker["state"] == "running":
            worker["state"] = "connecting"
        if worker["state"] != "connected":
            worker["says"] = worker["reason"]


def waits(told: dict[str, Any]) -> list[str]:
    """Return what waits although something could be done, with the reason.

    Parameters
    ----------
    told : dict
        As :func:`offload.deploy.status.report` gives it.
    """
    jobs = told["jobs"]
    if jobs is None or not jobs["under_way"]:
        return []
    what = counted(jobs["under_way"], "call")
    if sum(jobs["commands"].values()):
        what = counted(jobs["under_way"], "call or command", "calls and commands")
    return waiting(told, what, jobs["under_way"] == 1)


def waiting(told: dict[str, Any], what: str, one: bool) -> list[str]:
    """Return why something waits, with each reason; nothing where there are workers for it."""
    found, verb = [], "waits" if one else "wait"
    for service in told["services"]:
        if service["state"] != "running":
            found.append(f"{what} {verb}: the {service['name']} is {service['state']}{said(service)}")
    workers = told["workers"]
    if any(_is_engaged(worker) or (worker["state"] == "connected" and not worker["paused"]) for worker in workers):
        return found + _waits_for_resources(told)
    if not workers:
        return [*found, f"{what} {verb}: there are no workers{' yet' if is_adaptive(told) else ''}"]
    reasons = "; ".join(not_connected(worker) for worker in workers[:3])
    connected = "no worker answers" if any(one["state"] == SILENT for one in workers) else "no workers are connected"
    connected = FULL if any(one["state"] == "connected" for one in workers) else connected
    return [*found, f"{what} {verb}: {connected}: {reasons}"]


def _is_engaged(worker: dict[str, Any]) -> bool:
    return (worker["state"], worker["says"]) == (SILENT, ENGAGED)


def is_adaptive(told: dict[str, Any]) -> bool:
    """Tell whether workers come as the work asks for."""
    return bool(told.get("adaptive") or any(group["adaptive"] for group in told.get("groups", ())))


def _waits_for_resources(told: dict[str, Any]) -> list[str]:
    """Return which calls and commands need what none of the connected workers has."""
    connected = [worker for worker in told["workers"] if worker["state"] == "connected"]
    jobs = told["jobs"]
    waiting = [("call", text, number) for text, (number, _) in jobs.get("demand", {}).items()]
    waiting += [("command", text, number) for text, number in jobs.get("needed", {}).items()]
    found = []
    for what, text, number in waiting:
        needed = dict(parse_resources(text))
        if not needed or any(times(needed, worker["resources"] or {}, 1) for worker in connected):
            continue
        able = [one["name"] for one in told["groups"] if times(needed, dict(parse_resources(one["resources"])), 1)]
        those = [one for one in told["workers"] if one["group"] in able and one["state"] != "connected"]
        reasons = "; ".join(not_connected(worker) for worker in those[:3]) or "there are none yet"
        verb = f"{what} needs" if number == 1 else f"{what}s need"
        found.append(f"{number} {verb} {text}, which no connected worker has: {reasons}")
    return found


def not_connected(worker: dict[str, Any]) -> str:
    """Return how a worker is that is not connected, or is, and paused."""
    if worker["state"] == "connected":
        used, limit = size_text(worker["memory"] or 0), size_text(worker["memory_limit"] or 0)
        return f"{worker['name']} is paused: it uses {used} of {limit} of memory"
    if worker["state"] == SILENT:
        return f"{worker['name']} has not been heard of for {worker['seconds']:.0f} s{said(worker)}"
    if (worker["missed"] or 0.0) > LONG and not worker["restarts"]:
        return f"{worker['name']} has not connected for {worker['missed']:.0f} s{said(worker)}"
    ended = {0: f"is {worker['state']}", 1: "ended once"}.get(worker["restarts"], f"ended {worker['restarts']} times")
    return f"{worker['name']} {ended}{said(worker)}"


def said(what: dict[str, Any]) -> str:
    """Return what a part has last said, to follow its state."""
    return f": {what['says']}" if what.get("says") else ""
