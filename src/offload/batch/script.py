"""Batch scripts by the ``Job`` classes of dask-jobqueue, with a command of ours; defaults of its configuration."""

from __future__ import annotations

import dataclasses
import importlib
import shlex
import threading
import warnings
from typing import Any

from offload.batch.request import PART, JobRequest, parse_memory, parse_walltime, walltime_text
from offload.engines.dask_settings import loaded
from offload.errors import UsageError

# What a number, and A:B, is as a walltime of each batch system.
_ALONE = {"slurm": "m", "lsf": "m"}
_PAIR = {"lsf": "hm", "oar": "hm"}

# What a section says about the same thing as a request, in other words.
_SHADOWED = {"cores": ("job-cpu", "ncpus"), "memory": ("job-mem", "mem")}
_MEMORY_DIRECTIVE = {"slurm": "#SBATCH --mem=", "lsf": "#BSUB -M "}
_MEMORY_FOR_CLASS = 1 << 30
_lock = threading.Lock()


def section(system: str) -> dict[str, Any]:
    """Return what Dask's configuration says about a batch system, with the defaults of dask-jobqueue."""
    config = loaded()
    import dask_jobqueue.config  # noqa: F401 (adds the defaults)

    return {key.replace("_", "-"): value for key, value in config.get(f"jobqueue.{system}", {}).items()}


def filled(request: JobRequest, system: str) -> JobRequest:
    """Return a request with what a section says where it says nothing.

    Raises
    ------
    UsageError
        If the section cannot be understood.
    """
    said = section(system)

    def lines(*keys: str) -> tuple[str, ...]:
        for key in keys:
            if value := said.get(key):
                return tuple(f"{k} = {v}" for k, v in value.items()) if isinstance(value, dict) else tuple(value)
        return ()

    account = next((said[key] for key in ("account", "project") if said.get(key)), None)
    logs = said.get("log-directory")
    defaults: dict[str, Any] = {
        "cores": said.get("cores") or 1,
        "memory": said.get("memory"),
        "walltime": said.get("walltime"),
        "queue": said.get("queue"),
        "account": account,
        "interface": said.get("interface"),
        "scratch": said.get("local-directory"),
        "log": f"{logs.rstrip('/')}/{request.name}.log" if logs else None,
        "directives": lines("job-extra-directives", "job-extra"),
        "prologue": lines("job-script-prologue", "env-extra"),
    }
    values = {key: value for key, value in defaults.items() if getattr(request, key) is None and value is not None}
    try:
        if "memory" in values:
            values["memory"] = parse_memory(str(values["memory"]))
        if "walltime" in values:
            text, alone = str(values["walltime"]), _ALONE.get(system, "s")
            values["walltime"] = parse_walltime(text, alone=alone, pair=_PAIR.get(system, "ms"))
        return dataclasses.replace(request, **values)
    except UsageError as exc:
        raise UsageError(f"jobqueue.{system} in Dask's configuration: {exc.message}", exc.hint) from None


def written(system: str, request: JobRequest, command: str, *, more: list[str], skip: list[str], **own: Any) -> str:
    """Return a batch script.

    Parameters
    ----------
    system : str
        Name of the batch system.
    request : JobRequest
        As a user made it, not filled.
    command : str
        The line that starts what is to run.
    more : list of str
        Directives for what dask-jobqueue has no words for.
    skip : list of str
        Beginnings of directives that it is not to write.
    **own
        What its class for this batch system takes, beside what all of them take.
    """
    import dask.config

    full, said = filled(request, system), section(system)
    for what, keys in _SHADOWED.items():
        if getattr(request, what) is not None:
            said |= dict.fromkeys((key for key in keys if key in said), None)
    no_memory = full.memory is None and not any(said.get(key) for key in _SHADOWED["memory"])
    if no_memory and system in _MEMORY_DIRECTIVE:
        skip = [*skip, _MEMORY_DIRECTIVE[system]]
    skip = [*skip, *(said.get("job-directives-skip") or said.get("header-skip") or ())]
    # A section of its own: what is not to come from the user's would, wherever a parameter is None.
    quiet = ("log-directory", "env-extra", "job-extra", "extra", "interface", "header-skip", "project", "account")
    said |= dict.fromkeys(quiet, None)
    directives: Any = [*more, *(full.directives or ())]
    if system == "htcondor":
        directives = dict(_pair(line) for line in directives)
    kind = getattr(importlib.import_module(f"dask_jobqueue.{system}"), f"{_CLASSES[system]}Job")
    lines_before = prologue(full)
    options: dict[str, Any] = {
        "scheduler": "tls://none",
        "name": full.name,
        "job_name": full.name,
        "cores": full.cores,
        "processes": 1,
        "memory": full.memory or _MEMORY_FOR_CLASS,
        "job_extra_directives": directives,
        "job_directives_skip": skip,
        "job_script_prologue": lines_before,
        "config_name": "offload",
        **own,
    }
    if system != "htcondor":
        options["queue"] = full.queue
        options.setdefault("walltime", None if full.walltime is None else walltime_text(full.walltime))
        options["account" if system in ("slurm", "pbs", "moab") else "project"] = full.account
    with _lock, dask.config.set({"jobqueue.offload": said}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about memory of OAR, which is ours to say
        job = kind(**options)
        # Where Dask's worker would be started; HTCondor has no other place for the lines before it.
        job._command_template = "; ".join([*lines_before, command]) if system == "htcondor" else command
        return str(job.job_script())


_CLASSES = {name: name.upper() for name in ("slurm", "sge", "pbs", "lsf", "oar")}
_CLASSES |= {"htcondor": "HTCondor", "moab": "Moab"}


def _pair(line: str) -> tuple[str, str]:
    key, equals, value = line.partition("=")
    if not equals:
        raise UsageError(f"{line!r} is no option of HTCondor", "write it as key = value")
    return key.strip(), value.strip()


def prologue(request: JobRequest) -> list[str]:
    """Return the lines of shell before the command of a filled request."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in request.environment.items()]
    if request.scratch is not None:
        lines += [f'export TMPDIR="{request.scratch}"', 'mkdir -p "$TMPDIR"']
    return [*(request.prologue or ()), *lines]


def command_line(words: tuple[str, ...], part: str) -> str:
    """Return a line of shell that becomes a command.

    Parameters
    ----------
    words : tuple of str
        The command.
    part : str
        What `PART` stands for, as the shell writes it.

    Examples
    --------
    >>> print(command_line(("worker", "--name", "my worker %PART%"), '"$RANK"'))
    exec worker --name 'my worker '"$RANK"
    """
    return "exec " + " ".join(
        part.join(shlex.quote(piece) if piece else "" for piece in word.split(PART)) or "''" for word in words
    )
