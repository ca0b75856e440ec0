"""What users choose of jobs: those that are workers, and the one that is the head."""

from __future__ import annotations

from typing import Any

from offload.batch import JobRequest, is_batch_system, parse_memory, parse_walltime
from offload.errors import UsageError

OF_JOB: dict[str, type] = {
    "cores": int,
    "memory": str,
    "walltime": str,
    "queue": str,
    "account": str,
    "qos": str,
    "constraint": str,
    "gpus": str,
    "exclusive": bool,
    "nodes": int,
    "directives": list,
    "prologue": list,
    "log_directory": str,
}
"""What can be chosen of a job, and the type of each choice."""

HEAD = "head_"
"""Begins the name of a choice that is about the head's job."""


def split_target(target: str) -> tuple[str, str | None] | None:
    """Return the batch system that a target names, and the machine of its login node, None for this one.

    Examples
    --------
    >>> split_target("slurm://me@login"), split_target("sge://"), split_target("ssh://me@login")
    (('slurm', 'ssh://me@login'), ('sge', None), None)
    """
    system, separator, login = target.partition("://")
    if not separator or not is_batch_system(system):
        return None
    return system, f"ssh://{login}" if login.strip("/") else None


def gather(values: dict[str, Any]) -> None:
    """Put choices of jobs where a spec has them.

    Parameters
    ----------
    values : dict
        Is changed.

    Raises
    ------
    UsageError
        If there are no such jobs.
    """
    for key, prefix, system in (("job", "", "provider"), ("head_job", HEAD, "keep")):
        found = {name: values.pop(prefix + name) for name in OF_JOB if prefix + name in values}
        if not found:
            continue
        if values.get(system, "local") in ("local", "process"):
            names = ", ".join(f"--{(prefix + name).replace('_', '-')}" for name in found)
            hint = "--provider slurm, or offload up slurm://" if system == "provider" else "--keep slurm"
            raise UsageError(f"{names} is for jobs of a batch system", hint)
        JobRequest("offload", ("true",), **request_values(found))  # what cannot be is told before anything is started
        values[key] = found
    if values.get("head_job", {}).get("nodes", 1) > 1 and values.get("provider", "local") != "local":
        raise UsageError("the nodes of a head's job are for workers beside it", "--provider local, or leave them out")
    cores = values.get("job", {}).get("cores")
    if cores is not None:
        values.setdefault("threads", cores)
    if "memory" in values.get("job", {}):
        values.setdefault("memory_limit", values["job"]["memory"])


def request_values(choices: dict[str, Any]) -> dict[str, Any]:
    """Return choices in the form in which a request for a job has them.

    Raises
    ------
    UsageError
        If an amount is none.
    """
    values = {key: value for key, value in choices.items() if key != "log_directory"}
    for key, parse in (("memory", parse_memory), ("walltime", parse_walltime)):
        if isinstance(values.get(key), str):
            values[key] = parse(values[key])
    for key in ("directives", "prologue"):
        if key in values:
            values[key] = tuple(values[key])
    return values
