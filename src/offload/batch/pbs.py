"""PBS (OpenPBS, PBS Professional) and Torque."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from typing import ClassVar

from offload.batch.base import BatchSystem
from offload.batch.request import JobRequest, parse_walltime
from offload.batch.script import command_line, section, written
from offload.batch.state import UNKNOWN, End, JobState, Phase, ended_by

_PENDING, _ENDED = set("QHWTM"), set("FXC")
_BY_SIGNAL = 256
# What the exit status says when it was PBS that ended a job.
_STATUS = {-29: End.TIMEOUT, -11: End.TIMEOUT, -24: End.NODE_FAILED, -25: End.NODE_FAILED, -28: End.OUT_OF_MEMORY}
_KEYS = ("Job_Name", "job_state", "comment", "exec_host", "stime", "start_time", "mtime", "comp_time", "run_count",
         "Exit_status", "exit_status", "Resource_List.walltime", "resources_used.walltime")  # fmt: skip


class Pbs(BatchSystem):
    """OpenPBS and PBS Professional, by ``qsub``, ``qstat``, ``qselect`` and ``qdel``.

    The output of ``qstat -f`` is read as text: its JSON is broken by what some variables of jobs hold.
    """

    name = "pbs"
    title = "PBS"
    lacks: ClassVar = {
        "qos": "put what your site has instead into the directives",
        "nodes": "ask for one job for each node",
        "array": "submit the jobs one by one",
    }
    away: ClassVar[str] = (
        r"[Cc]annot connect to (specified )?(default )?server|Connection refused|Communication failure|"
        r"No Permission\. qstat|End of File|Server shutting down|Unable to communicate with|cannot connect to server"
    )
    dropped = "PBS_JOB*|PBS_NODE*|PBS_O_*|PBS_ARRAY*|PBS_DPREFIX|PBS_ENVIRONMENT|PBS_QUEUE"
    history: ClassVar[tuple[str, ...]] = ("-x",)

    def _resources(self, request: JobRequest) -> str:
        chunk = [f"select=1:ncpus={request.cores}"]
        chunk += [f"mem={_megabytes(request.memory)}"] if request.memory is not None else []
        chunk += [f"ngpus={request.gpus}"] if request.gpus is not None else []
        chunk += [request.constraint] if request.constraint is not None else []
        return ":".join(chunk)

    def _more(self, request: JobRequest) -> list[str]:
        """Return the directives that not all kinds of PBS have."""
        return ["-l place=excl"] if request.exclusive else []

    def _script(self, request: JobRequest) -> str:
        full, configured = self.filled(request), self.section or self.name
        more = ["-S /bin/bash", "-j oe"]
        more += [f"-o {full.log}"] if full.log is not None else []
        more += [f"-r {'y' if request.requeue else 'n'}"] if request.requeue is not None else []
        asked = any(value is not None for value in (request.cores, request.memory, request.gpus, request.constraint))
        spec = None if section(configured).get("resource-spec") and not asked else self._resources(full)
        command = command_line(request.command, "0")
        return written(configured, request, command, more=[*more, *self._more(request)], skip=[], resource_spec=spec)

    def submit(self, script: str) -> str:
        """Submit a script; return the job's id."""
        done = self.run([self._commands[0]], script)
        return self._id(self._submitted(done, r"^[ \t]*([\w.-]*[0-9][\w.\[\]-]*)[ \t\r]*$", script))

    _commands: ClassVar[tuple[str, str]] = ("qsub", "qdel")

    def _id(self, said: str) -> str:
        """Return the id of a job as all other methods take it."""
        return _number(said)

    def query(self, jobs: Sequence[str]) -> dict[str, JobState]:
        """Return the state of each job."""
        if not jobs:
            return {}
        done = self.run(["qstat", *self.history, "-f", *jobs], fine="Unknown Job|has finished|history")
        known = {_number(job): _state(values) for job, values in jobs_in(done.text).items()}
        return {job: known.get(_number(job), UNKNOWN) for job in jobs}

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs."""
        if jobs:
            self.run([self._commands[1], *jobs], fine="Unknown Job|has finished|invalid state|already")

    def mine(self, label: str) -> dict[str, str]:
        """Return this user's jobs whose names begin with a label."""
        done = self.run(["sh", "-c", 'exec qselect -u "$(id -un)" -s HQRSTWE'], fine="(?!)")
        if not (ids := done.text.split()):
            return {}
        text = self.run(["qstat", "-f", *ids], fine="Unknown Job|has finished").text
        named = {_number(job): values.get("Job_Name", "") for job, values in jobs_in(text).items()}
        return {job: name for job, name in named.items() if name.startswith(label)}


class Torque(Pbs):
    """Torque, which has the commands of PBS, and its own words for nodes."""

    name = "torque"
    section = "pbs"
    title = "Torque"
    lacks: ClassVar = {**Pbs.lacks, "exclusive": "ask for as many cores as a node has"}
    history = ()

    def _resources(self, request: JobRequest) -> str:
        node = [f"nodes=1:ppn={request.cores}"]
        node += [f"gpus={request.gpus}"] if request.gpus is not None else []
        node += [request.constraint] if request.constraint is not None else []
        memory = f",mem={_megabytes(request.memory)}" if request.memory is not None else ""
        return ":".join(node) + memory


def jobs_in(text: str) -> dict[str, dict[str, str]]:
    r"""Return what ``qstat -f`` says: the attributes of each job.

    Examples
    --------
    >>> jobs_in("Job Id: 7.head\n    Job_Name = a\n    comment = Not Running: too\n\t few nodes\n")
    {'7.head': {'Job_Name': 'a', 'comment': 'Not Running: too few nodes'}}
    """
    found: dict[str, dict[str, str]] = {}
    for block in re.split(r"^Job Id: *", text, flags=re.MULTILINE)[1:]:
        job, _, rest = block.partition("\n")
        rest = rest.replace("\n\t", "")  # a long line goes on behind a tabulator
        pairs = (line.strip().partition(" = ") for line in rest.splitlines())
        found[job.strip()] = {key: value for key, _, value in pairs if key in _KEYS}
    return found


def _state(values: dict[str, str]) -> JobState:
    word = values.get("job_state", "")
    phase = Phase.PENDING if word in _PENDING else Phase.ENDED if word in _ENDED else Phase.RUNNING
    status = values.get("Exit_status", values.get("exit_status"))
    end, code = _ended(values, int(status)) if phase is Phase.ENDED and status is not None else (None, None)
    if word == "X" or (phase is Phase.ENDED and status is None):
        end = End.CANCELLED  # before it ran
    start = _time(values.get("stime", values.get("start_time", ""))) if phase is not Phase.PENDING else None
    limit = values.get("Resource_List.walltime")
    finish = start + parse_walltime(limit, alone="s", pair="ms") if start is not None and limit else None
    if phase is Phase.ENDED:
        finish = _time(values.get("comp_time", values.get("mtime", "")))
    return JobState(
        phase=phase,
        word=word,
        reason=values.get("comment", "") if phase is not Phase.RUNNING else "",
        nodes="+".join(dict.fromkeys(host.partition("/")[0] for host in values.get("exec_host", "").split("+"))),
        start=start,
        finish=finish,
        end=end,
        exit_code=code,
        restarts=max(0, int(values.get("run_count", "1")) - 1),
    )


def _ended(values: dict[str, str], status: int) -> tuple[End | None, int | None]:
    """Return how a job ended: a status above 256 is a signal, which PBS sends at the end of the walltime too."""
    if status < 0:
        return _STATUS.get(status, End.FAILED), None
    if status <= _BY_SIGNAL:
        return ended_by(status), status
    used, limit = values.get("resources_used.walltime"), values.get("Resource_List.walltime")
    if used and limit and _seconds(used) >= _seconds(limit):
        return End.TIMEOUT, None
    return (End.CANCELLED if status - _BY_SIGNAL in (9, 15) else End.FAILED), _BY_SIGNAL - status


def _seconds(text: str) -> int:
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return 3600 * hours + 60 * minutes + seconds


def _number(job: str) -> str:
    """Return an id without the name of the server, which not all commands write in the same way."""
    return job.partition(".")[0]


def _time(text: str) -> float | None:
    if text.isdecimal():
        return float(text)
    try:
        return time.mktime(time.strptime(text, "%a %b %d %H:%M:%S %Y"))
    except ValueError:
        return None


def _megabytes(memory: int) -> str:
    return f"{math.ceil(memory / (1 << 20))}mb"
