"""Dask's settings in what offload starts: the user's count, but not those that would stop the service.

A user's Dask configuration is made for clusters that live for an afternoon: it lets schedulers end when they are idle,
and workers after an hour. It is also where a mistake keeps every worker from starting.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from offload.errors import OffloadError

CONNECT_AT_LEAST, CONNECT = 10.0, "30s"
FAILURES = 3

FIXED: dict[str, Any] = {
    "distributed.scheduler.idle-timeout": None,
    "distributed.scheduler.no-workers-timeout": None,
    "distributed.scheduler.worker-ttl": None,  # see offload.engines.frozen_workers
    "distributed.scheduler.contact-address": None,
    "distributed.scheduler.blocked-handlers": [],
    "distributed.scheduler.pickle": True,
    "distributed.worker.blocked-handlers": [],
    "distributed.worker.lifetime.duration": None,
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.worker.daemon": False,  # calls may have processes of their own
    "distributed.client.direct-to-workers": None,
    "distributed.client.preload": [],
}
"""What the user's configuration has no say in: how long all of this lives, and how its parts talk to each other."""

DEFAULTS: dict[str, Any] = {"distributed.scheduler.worker-ttl": "5 minutes", "distributed.worker.daemon": True}
"""What Dask itself says of these, where that is something else: it is nothing to remark."""


class DaskConfigurationError(OffloadError):
    """A file of the user's Dask configuration cannot be read."""


def loaded(module: str = "dask.config") -> Any:
    """Return a module of Dask's, which reads the user's configuration as it is imported.

    Raises
    ------
    DaskConfigurationError
        If a file of that is no YAML.
    """
    try:
        return importlib.import_module(module)
    except ValueError as exc:
        error = _told(exc)
        if error is None:
            raise
        raise error from None


def _told(error: ValueError) -> DaskConfigurationError | None:
    """Return what Dask says about a file, in one line; None where it is about something else."""
    _, before, rest = str(error).partition("config file at '")
    path, found, said = rest.rpartition("' is malformed")
    if not before or not found:
        return None
    cause: Any = error.__context__  # what the YAML parser has raised
    mark = getattr(cause, "problem_mark", None)
    if mark is not None:
        what = f"{path} is no YAML: line {mark.line + 1}, column {mark.column + 1}: {cause.problem}"
    else:
        what = f"{path} is no configuration of Dask: {' '.join(str(cause or said).strip(' -').split())}"
    return DaskConfigurationError(what, "correct that file, or move it away: Dask reads all that end in .yaml there")


def _seconds(value: Any) -> float:
    from dask.utils import parse_timedelta

    return float(parse_timedelta(value))


def _is_fraction(value: Any) -> bool:
    return value is False or (type(value) in (int, float) and 0 < value <= 1)


def _is_patient(value: Any) -> bool:
    return _seconds(value) >= CONNECT_AT_LEAST


def _is_interval(value: Any) -> bool:
    return 0.001 <= _seconds(value) <= 60.0


def _is_size(value: Any) -> bool:
    from dask.utils import parse_bytes

    return value is False or int(parse_bytes(value)) > 0


def _is_enough(value: Any) -> bool:
    return type(value) is int and value >= FAILURES


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


CHECKED: dict[str, tuple[Callable[[Any], bool], Any]] = {
    "distributed.scheduler.allowed-failures": (_is_enough, FAILURES),
    "distributed.worker.memory.target": (_is_fraction, 0.6),
    "distributed.worker.memory.spill": (_is_fraction, 0.7),
    "distributed.worker.memory.pause": (_is_fraction, 0.8),
    "distributed.worker.memory.terminate": (_is_fraction, 0.95),
    "distributed.worker.memory.max-spill": (_is_size, False),
    "distributed.worker.memory.monitor-interval": (_is_interval, "100ms"),
    "distributed.worker.connections.outgoing": (_is_count, 50),
    "distributed.worker.connections.incoming": (_is_count, 10),
    "distributed.comm.timeouts.connect": (_is_patient, CONNECT),
    "distributed.comm.timeouts.tcp": (_is_patient, CONNECT),
}
"""What the user may choose as long as workers can work with it; else Dask's own default counts."""


def own_settings() -> tuple[dict[str, Any], list[str]]:
    """Return the settings of what offload starts, and a line for each of the user's that does not count.

    Everything else is as the user has it.
    """
    import dask.config

    settings, remarks = dict(FIXED), []
    for name, value in FIXED.items():
        given = dask.config.get(name, value)
        if given not in (value, DEFAULTS.get(name, value)):
            remarks.append(f"Dask's setting {name}: {given} does not count here")
    for name, (works, default) in CHECKED.items():
        given = dask.config.get(name, None)
        if given is None:
            settings[name] = default
            continue
        try:
            fine = works(given)
        except (ValueError, TypeError, KeyError, IndexError):
            fine = False
        if not fine:
            settings[name] = default
            remarks.append(f"Dask's setting {name}: {given} cannot work here; it is {default}")
    return settings, remarks


def apply(more: Mapping[str, Any] | None = None) -> list[str]:
    """Take these settings on in this process, and in the workers that it starts; return the lines about others.

    Parameters
    ----------
    more : mapping, optional
        Others that count, too.
    """
    import dask.config

    settings, remarks = own_settings()
    dask.config.set({**settings, **(more or {})})
    return remarks


def temporary_directory() -> tuple[str | None, list[str]]:
    """Return where the user wants Dask's temporary files, if anywhere; and a line where that cannot be written."""
    import tempfile

    given = loaded().get("temporary-directory", None)
    if given is None:
        return None, []
    try:
        path = os.path.abspath(os.path.expanduser(given))
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path, []
    except (OSError, TypeError) as exc:
        other = tempfile.gettempdir()
        return None, [f"Dask's setting temporary-directory: {given} cannot work here ({exc}); it is {other}"]
