"""From what a user says to a spec: options, a table of a configuration file, variables, defaults, in this order."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from offload.batch import is_batch_system, system_names
from offload.batch.options import OF_JOB, gather, split_target
from offload.deploy import existing
from offload.deploy.config import toml
from offload.deploy.config.link import Link
from offload.deploy.config.resolve_remote import OF_LINK, default_name, differences, differing, is_site, link_of
from offload.deploy.config.spec import PROCESS, WILDCARD, Spec, cores, spec_of
from offload.deploy.endpoints import address_of, machine_address, towards_nodes
from offload.environments.choice import is_image
from offload.environments.locks import project_of
from offload.errors import NotTrustedError, UsageError
from offload.registry.deployments import Registry, check_name
from offload.storage.home import DEPLOYMENT
from offload.util.quantities import parse_duration, parse_ports
from offload.util.resources import parse_resources

LOCAL, OPTIONS, DEFAULT = "local", "command line", "default"
NOT_EXISTING = (
    "workers", "minimum", "maximum", "threads", "memory_limit", "nanny", "port", "scratch", "storage_only", "resources",
    "groups",
)  # fmt: skip
OF_WORKERS = tuple(key for key in NOT_EXISTING if key != "storage_only")
INHERITED = ("provider", "threads", "memory_limit", "nanny", "scratch", *(key for key in OF_JOB if key != "gpus"))
OF_GROUP = (
    "workers", "minimum", "maximum", "threads", "memory_limit", "nanny", "scratch", "provider", "job", "resources"
)  # fmt: skip
ONLY_EXISTING = ("tls_ca", "tls_cert", "tls_key", "i_know")


@dataclasses.dataclass
class Resolved:
    """A spec, and where its values come from.

    Attributes
    ----------
    spec : Spec
        What the deployment is to be.
    sources : dict
        For each attribute that somebody has chosen, who; the others have their defaults.
    refused : list
        Why configuration files are passed over.
    """

    spec: Spec
    sources: dict[str, str]
    refused: list[NotTrustedError] = dataclasses.field(default_factory=list)

    def files(self) -> list[str]:
        """Return the configuration files that something was taken from."""
        return sorted({source for source in self.sources.values() if os.path.isabs(source)})

    def source(self, attribute: str) -> str:
        """Return where a value comes from."""
        return self.sources.get(attribute, DEFAULT)

    def differences(self, kept: Spec) -> list[tuple[str, Any, Any]]:
        """Return the choices in which a deployment that is up differs: attribute, what it has, what was asked for."""
        if self.spec.link is not None:
            if kept.link is None:
                return [("site", "this machine", self.spec.link.site)]
            return differences(kept.link, self.spec.link) if "link" in self.sources else []
        asked = {name: getattr(self.spec, name) for name in self.sources if name != "name"}
        if "workers" in asked and kept.maximum is not None:
            return [("workers", f"{kept.minimum} to {kept.maximum}", asked["workers"])]
        return differing((name, getattr(kept, name), value) for name, value in asked.items())


def resolve(registry: Registry, target: str, name: str | None, options: dict[str, Any]) -> Resolved:
    """Return what a deployment is to be.

    Parameters
    ----------
    registry : Registry
        Knows those that there are: without any choice, one stays as it was.
    target : str
        ``local``, the address of a scheduler, or the name of a table or of a deployment that there is.
    name : str, optional
        What it is to be called.
    options : dict
        What was given for just this.

    Raises
    ------
    UsageError, NotFoundError
        If a choice cannot be, or does not go with another.
    """
    refused: list[NotTrustedError] = []
    resolved = _resolved(registry, target, name, options, refused)
    resolved.refused = refused
    return resolved


def _resolved(
    registry: Registry, target: str, name: str | None, options: dict[str, Any], refused: list[NotTrustedError]
) -> Resolved:
    values, sources = dict(options), dict.fromkeys(options, OPTIONS)
    address = target if existing.is_address(target) else None
    site = target if is_site(target) else None
    cluster = split_target(target)
    if cluster is not None:
        values["provider"] = values.get("provider", cluster[0])
        sources["provider"] = OPTIONS
        site = cluster[1]
    if address is None and site is None and cluster is None:
        known = target == LOCAL or target in registry.names()
        found = toml.find(target, refused) if known else toml.get(target, refused)
        if found is not None:
            table, path = found
            address, site = table.pop("scheduler", None), table.pop("site", None)
            if {"workers", "minimum", "maximum"} & set(options):
                table = {key: value for key, value in table.items() if key not in ("workers", "minimum", "maximum")}
            values = {**table, **options}
            sources = {**dict.fromkeys(table, path), **sources}
    given = name is not None or target != LOCAL
    if name is not None:
        check_name(name)
    if site is not None:
        name = name or (default_name(site) if target == site or cluster is not None else target)
        return _on(registry, site, name, values, sources)
    name = name or (existing.NAME if target == address else cluster[0] if cluster is not None else target)
    if not values and name in registry.names():
        return Resolved(spec_of(registry.place(name)), sources | ({"name": OPTIONS} if given else {}))  # as it was
    _check_target(target, address is not None, values, sources)
    if address is not None:
        files = [values.pop(key, None) for key in ONLY_EXISTING]
        chosen = existing.choices(address, *files)
        sources |= {key: sources.get(key, OPTIONS if target == address else "Dask's configuration") for key in chosen}
        values |= chosen
        sources.pop("i_know", None)
    sources |= {"name": OPTIONS} if given else {}
    understand(values, sources)
    if values.get("keep", PROCESS) != PROCESS:  # the home's own are used on this machine, and the head is on another
        folder = os.path.join(registry.home, "storage", name)
        values.setdefault("buffers", os.path.join(folder, "buffers"))
        values.setdefault("database", os.path.join(folder, "results.sqlite"))
    return Resolved(Spec(name=name, **values), sources)


def spec_there(name: str, link: Link) -> Spec:
    """Return what a deployment on another machine will be there, as far as that is known here."""
    understood = dict(link.choices)
    understand(understood, {}, here=False)
    spec = Spec(name=name, **understood)
    if is_image(link.environment):
        spec.check_image(link.environment)
    return spec


def _on(registry: Registry, site: str, name: str, values: dict[str, Any], sources: dict[str, str]) -> Resolved:
    """Return what a deployment on another machine is to be."""
    known = spec_of(registry.place(name)).link if name in registry.names() else None
    link = link_of(site, values)
    if known is not None and known.site == link.site and not values:
        return Resolved(spec_of(registry.place(name)), {"name": OPTIONS})  # as it was
    spec_there(name, link)  # what is wrong with it is to be known before anything is started
    return Resolved(Spec(name=name, link=link), {"name": OPTIONS, "link": OPTIONS, "site": OPTIONS, **sources})


def _check_target(target: str, is_existing: bool, values: dict[str, Any], sources: dict[str, str]) -> None:
    unfit = (*NOT_EXISTING, *OF_LINK) if is_existing else (*ONLY_EXISTING, *(k for k in OF_LINK if k != "environment"))
    wrong = [key for key in unfit if key in values]
    beside = target
    if not wrong and values.get("storage_only"):  # a table may say both: then one option chooses
        wrong, beside = [key for key in OF_WORKERS if sources.get(key) == OPTIONS], "--storage-only"
    if wrong:
        where = {sources[key] for key in wrong} - {OPTIONS}
        names = ", ".join("--no-nanny" if key == "nanny" else f"--{key.replace('_', '-')}" for key in wrong)
        raise UsageError(f"{names} cannot be given for {beside}", ", ".join(where) or "offload up --help")


def understand(values: dict[str, Any], sources: dict[str, str], here: bool = True) -> None:
    """Turn texts into what a spec holds, and add what follows from other values.

    Parameters
    ----------
    values : dict
        Is changed.
    sources : dict
        Gets where added values come from.
    here : bool
        Whether it is for this machine: else paths are another one's, and its variables, interfaces and cores count.
    """
    if "interface" in values:
        if "host" in values:
            raise UsageError("give --host or --interface, not both")
        if here and values.get("keep", PROCESS) == PROCESS:
            address_of(values["interface"])
    if here and values.get("host") == WILDCARD and "advertise" not in values:
        values["advertise"] = machine_address()
        sources["advertise"] = "an address of this machine"
    _two_networks(values, sources, here)
    if "also" in values:
        names = values["also"].split(",") if isinstance(values["also"], str) else values["also"]
        values["also"] = tuple(check_name(name.strip()) for name in names)
    for key in ("provider", "keep"):
        chosen = values.get(key, LOCAL)
        if chosen not in (LOCAL, PROCESS) and not is_batch_system(chosen):
            raise UsageError(f"{key} is {chosen!r}", f"there are: {', '.join(system_names())}")
    if "groups" in values:
        values["groups"] = {name: _group(values, own, here) for name, own in values["groups"].items()}
    gather(values)
    _count_resources(values)
    if values.get("provider", LOCAL) != LOCAL and not {"workers", "minimum", "maximum"} & set(values):
        values["workers"], sources["workers"] = 1, DEFAULT
    if "idle" in values:
        values["idle"] = parse_duration(values["idle"])
    if "ports" in values:
        values["ports"] = parse_ports(values["ports"])
    for key in ("buffers", "database", "scratch"):
        variable = f"OFFLOAD_{key.upper()}"
        if here and key != "scratch" and key not in values and os.environ.get(variable):
            values[key], sources[key] = os.environ[variable], variable
        if key in values and not values[key].startswith(DEPLOYMENT):
            values[key] = os.path.abspath(os.path.expanduser(values[key]))
    if "mounts" in values:
        if here and values.get("environment") is None:
            raise UsageError("--mount is for what runs in a container", "add --environment container:IMAGE")
        values["mounts"] = tuple(os.path.abspath(os.path.expanduser(path)) for path in values["mounts"])
    elif here and values.get("environment") is not None:
        values["mounts"] = (project_of(os.getcwd()),)
    if {"minimum", "maximum"} & set(values):
        if "workers" in values:
            raise UsageError("give a number of workers, or minimum and maximum", "offload up --minimum 0 --maximum 8")
        if "maximum" not in values:
            values["maximum"], sources["maximum"] = max(cores(), values["minimum"]), "number of cores"


def _two_networks(values: dict[str, Any], sources: dict[str, str], here: bool) -> None:
    """Have workers on nodes use the address at which these reach it, and all of it listen where either come in."""
    system = values.get("provider", LOCAL)
    if here and values.get("host") == WILDCARD and is_batch_system(system) and values.get("keep", PROCESS) == PROCESS:
        found = values.get("workers_host") or towards_nodes(system)
        if found not in (None, values["advertise"]) and "workers_host" not in values:
            values["workers_host"], sources["workers_host"] = found, f"the way to the nodes of {system}"
    if "workers_host" not in values:
        return
    if "interface" in values:
        raise UsageError("--interface is where all of it listens", "with --workers-host, give --host ADDRESS")
    host = values.setdefault("host", values["workers_host"])
    if host not in (WILDCARD, values["workers_host"]):
        values.setdefault("advertise", host)
        values["host"], sources["host"] = WILDCARD, "for clients and workers"


def _group(values: dict[str, Any], own: dict[str, Any], here: bool) -> dict[str, Any]:
    """Return the attributes of a group of workers: what it does not say is as for the others of the deployment."""
    inherited = {key: values[key] for key in INHERITED if key in values}
    if own.get("provider", inherited.get("provider", LOCAL)) == LOCAL:
        inherited = {key: value for key, value in inherited.items() if key not in OF_JOB}
    for key, own_size in (("threads", "cores"), ("memory_limit", "memory")):
        if own_size in own:  # workers of other jobs are as large as these
            inherited.pop(key, None)
    found = {"workers": 1, **inherited, **own} if not {"minimum", "maximum"} & set(own) else {**inherited, **own}
    understand(found, {}, here)
    usual = Spec()
    return {key: found.get(key, getattr(usual, key)) for key in OF_GROUP}


def _count_resources(values: dict[str, Any]) -> None:
    """Have the resources of workers as Dask takes them; GPUs of their jobs are among them."""
    found = dict(parse_resources(values.get("resources")))
    if gpus := values.get("job", {}).get("gpus"):
        found.setdefault("GPU", float(str(gpus).rpartition(":")[2]))
    if found:
        values["resources"] = found
