"""From what a user says to a spec: options, a table of a configuration file, variables, defaults, in this order."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from offload.compute.places import Registry
from offload.deploy import existing, tables
from offload.deploy.spec import Spec, cores, parse_duration, parse_ports, spec_of
from offload.errors import UsageError

LOCAL, OPTIONS, DEFAULT = "local", "command line", "default"
NOT_EXISTING = (
    "workers", "minimum", "maximum", "threads", "memory_limit", "nanny", "port", "scratch", "storage_only"
)  # fmt: skip
OF_WORKERS = tuple(key for key in NOT_EXISTING if key != "storage_only")
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
    """

    spec: Spec
    sources: dict[str, str]

    def source(self, attribute: str) -> str:
        """Return where a value comes from."""
        return self.sources.get(attribute, DEFAULT)

    def differences(self, kept: Spec) -> list[tuple[str, Any, Any]]:
        """Return the choices in which a deployment that is up differs: attribute, what it has, what was asked for."""
        asked = {name: getattr(self.spec, name) for name in self.sources if name != "name"}
        if "workers" in asked and kept.maximum is not None:
            return [("workers", f"{kept.minimum} to {kept.maximum}", asked["workers"])]
        return [(name, getattr(kept, name), value) for name, value in asked.items() if getattr(kept, name) != value]


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
    values, sources = dict(options), dict.fromkeys(options, OPTIONS)
    address = target if existing.is_address(target) else None
    if address is None:
        known = target == LOCAL or target in registry.names()
        found = tables.find(target) if known else tables.get(target)
        if found is not None:
            table, path = found
            address = table.pop("scheduler", None)
            if {"workers", "minimum", "maximum"} & set(options):
                table = {key: value for key, value in table.items() if key not in ("workers", "minimum", "maximum")}
            values = {**table, **options}
            sources = {**dict.fromkeys(table, path), **sources}
    given = name is not None or target != LOCAL
    name = name or (existing.NAME if target == address else target)
    _check_target(target, address is not None, values, sources)
    if address is not None:
        files = [values.pop(key, None) for key in ONLY_EXISTING]
        chosen = existing.choices(address, *files)
        sources |= {key: sources.get(key, OPTIONS if target == address else "Dask's configuration") for key in chosen}
        values |= chosen
        sources.pop("i_know", None)
    sources |= {"name": OPTIONS} if given else {}
    if not values and name in registry.names():
        return Resolved(spec_of(registry.place(name)), sources)  # as it was
    understand(values, sources)
    return Resolved(Spec(name=name, **values), sources)


def _check_target(target: str, is_existing: bool, values: dict[str, Any], sources: dict[str, str]) -> None:
    wrong = [key for key in (NOT_EXISTING if is_existing else ONLY_EXISTING) if key in values]
    beside = target
    if not wrong and values.get("storage_only"):  # a table may say both: then one option chooses
        wrong, beside = [key for key in OF_WORKERS if sources.get(key) == OPTIONS], "--storage-only"
    if wrong:
        where = {sources[key] for key in wrong} - {OPTIONS}
        names = ", ".join("--no-nanny" if key == "nanny" else f"--{key.replace('_', '-')}" for key in wrong)
        raise UsageError(f"{names} cannot be given for {beside}", ", ".join(where) or "offload up --help")


def understand(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Turn texts into what a spec holds, and add what follows from other values."""
    if "idle" in values:
        values["idle"] = parse_duration(values["idle"])
    if "ports" in values:
        values["ports"] = parse_ports(values["ports"])
    for key in ("buffers", "database", "scratch"):
        variable = f"OFFLOAD_{key.upper()}"
        if key != "scratch" and key not in values and os.environ.get(variable):
            values[key], sources[key] = os.environ[variable], variable
        if key in values:
            values[key] = os.path.abspath(os.path.expanduser(values[key]))
    if {"minimum", "maximum"} & set(values):
        if "workers" in values:
            raise UsageError("give a number of workers, or minimum and maximum", "offload up --minimum 0 --maximum 8")
        if "maximum" not in values:
            values["maximum"], sources["maximum"] = max(cores(), values["minimum"]), "number of cores"
