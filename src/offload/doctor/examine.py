"""From what ``offload doctor`` was asked about to its checks."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator

from offload.batch.options import OF_JOB, split_target
from offload.deploy.config.link import DIRECT, Link
from offload.deploy.config.resolve_remote import is_site
from offload.deploy.config.spec import LOCAL, PROCESS, spec_of
from offload.deploy.lifecycle import common
from offload.deploy.lifecycle import local as launch
from offload.deploy.remote import rpc
from offload.deploy.remote.discover import reached
from offload.doctor import cluster, containers, ports, remote
from offload.doctor import local as here
from offload.doctor.options import Options
from offload.doctor.result import Result, failed, passed
from offload.environments.choice import is_image
from offload.errors import OffloadError, UsageError
from offload.hosts.local import Here
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry
from offload.util.quantities import parse_ports


def examine(registry: Registry, target: str | None, asked: Options) -> Iterator[Result]:
    """Return what is found, as it is found.

    Parameters
    ----------
    registry : Registry
        Of this machine.
    target : str or None
        None for this machine, ``ssh://user@host``, ``slurm://user@login``, or the name of a deployment.
    asked : Options
        What is to be looked at. For a deployment, its own choices count before that.
    """
    cluster_of = split_target(target) if target is not None else None
    if cluster_of is not None:
        asked = dataclasses.replace(asked, system=cluster_of[0])
        target = cluster_of[1]
    elif asked.job or asked.trial:
        raise UsageError("--trial and what a job asks for are for clusters", "offload doctor slurm://user@login")
    if target is None:
        if asked.route or asked.python:
            raise UsageError("--route and --python are for other machines", "offload doctor ssh://user@host")
        yield from here.checks(asked.scratch, asked.host, asked.ports)
        if asked.system:
            yield from cluster.checks(Here(), sys.executable, registry.home, asked)
    elif is_site(target):
        yield here.ssh()
        yield from remote.checks(registry, target, asked)
    else:
        yield from _of_deployment(registry.get(target), registry, asked)


def _of_deployment(place: Place, registry: Registry, asked: Options) -> Iterator[Result]:
    link = common.link_of(place)
    if link is None:
        spec = spec_of(place)
        yield from here.checks(asked.scratch or spec.scratch or "", spec.host, None)
        if spec.environment is not None:
            yield containers.image(Here(), spec.environment)
        system = next((name for name in (*spec.systems(), spec.keep) if name != PROCESS), "")
        if system:
            asked = dataclasses.replace(asked, system=system, job=spec.job, scratch=spec.scratch or "")
            asked = dataclasses.replace(asked, workers_host=asked.workers_host or spec.workers_host or "")
            yield from cluster.checks(Here(), sys.executable, registry.home, asked)
    elif link.site is not None:
        yield here.ssh()
        yield from remote.checks(registry, link.site, _asked(link, asked))
    yield state(place)
    contact = common.known(place)
    if contact is not None and not contact.head.get("url") and link is not None and link.route == DIRECT:
        contact = _told_there(place, link, registry)  # it has never been reached: its addresses are not known here
    if contact is not None:
        yield from ports.of_deployment(place, contact)
    yield from problems(place)


def _told_there(place: Place, link: Link, registry: Registry) -> Contact | None:
    """Return where the services are, as their machine tells over SSH; None where it does not."""
    if link.site is None or not link.python:
        return None
    try:
        with reached(registry, link.site) as site:
            told = rpc.ask(site, link.python, "contact", {"name": place.name})["contact"]
    except OffloadError:
        return None  # what stands in the way of SSH has been told
    return None if told is None else Contact(**told)


def _asked(link: Link, asked: Options) -> Options:
    """Return what a deployment on another machine was brought up with, and what else was asked for."""
    chosen = link.choices
    system = next((chosen[key] for key in ("provider", "keep") if chosen.get(key, LOCAL) not in (LOCAL, PROCESS)), "")
    job = {key: chosen[key] for key in OF_JOB if key in chosen}
    ports = parse_ports(chosen["ports"]) if chosen.get("ports") else asked.ports
    host, scratch = chosen.get("host") or asked.host, chosen.get("scratch") or asked.scratch
    image = link.environment if is_image(link.environment) else ""
    asked = dataclasses.replace(asked, route=link.route, ports=ports, host=host, scratch=scratch)
    workers_host = chosen.get("workers_host") or asked.workers_host
    return dataclasses.replace(asked, system=system, job=job, image=image, workers_host=workers_host)


def state(place: Place) -> Result:
    """How a deployment is."""
    now = launch.state(place)
    contact = common.known(place)
    reason = f": {contact.reason}" if contact is not None and contact.reason else ""
    if now in ("running", "starting", "stopping"):
        return passed("deployment", f"{place.name} is {now}{reason}")
    return failed("deployment", f"{place.name} is {now}{reason}", f"offload up {place.name}")


def problems(place: Place) -> Iterator[Result]:
    """What ``offload status`` says is wrong with a deployment that runs."""
    from offload.deploy.status import report

    if launch.state(place) != "running":
        return
    try:
        told = report(place)["problems"]
    except OffloadError as exc:
        yield failed("status", exc.message, exc.hint)
        return
    for problem in told:
        yield failed("status", problem["message"], problem["hint"])
    if not told:
        yield passed("status", "its services and workers run")
