"""HTCondor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from offload.batch.base import BatchSystem
from offload.batch.request import JobRequest
from offload.batch.script import command_line, section, written
from offload.batch.state import UNKNOWN, End, JobState, Phase, ended_by

_ATTRIBUTES = (
    "ClusterId,ProcId,JobStatus,JobBatchName,HoldReason,LastRejMatchReason,RemoveReason,RemoteHost,LastRemoteHost,"
    "JobCurrentStartDate,CompletionDate,EnteredCurrentStatus,ExitCode,ExitBySignal,ExitSignal,NumJobStarts,"
    "LastJobStatus"
)
_WORDS = {1: "Idle", 2: "Running", 3: "Removed", 4: "Completed", 5: "Held", 6: "Transferring Output", 7: "Suspended"}
_PENDING, _ENDED = (1, 5), (3, 4)
_DISK = "1GB"


class HTCondor(BatchSystem):
    """HTCondor, by ``condor_submit``, ``condor_q``, ``condor_rm`` and ``condor_history``.

    It has no walltime: a job is removed when it has run for so long.
    """

    name = "htcondor"
    title = "HTCondor"
    lacks: ClassVar = {
        "queue": "put requirements into the directives",
        "account": "put accounting_group = NAME into the directives",
        "qos": "put what your site has instead into the directives",
        "exclusive": "ask for as many cores as a machine has",
        "nodes": "ask for one job for each machine",
        "array": "submit the jobs one by one",
    }
    away: ClassVar[str] = (
        r"Failed to (fetch ads|connect to|end classad|send)|Can't find address|CEDAR:\d+|Extra Info: You probably saw|"
        r"[Cc]an't connect to|Failed to connect"
    )
    dropped = "_CONDOR_JOB_*"

    def _script(self, request: JobRequest) -> str:
        full = self.filled(request)
        more = []
        if full.log is not None:
            more += [f"Output = {full.log}", f"Error = {full.log}", "Stream_Output = True", "Stream_Error = True"]
        over = []
        if full.walltime is not None:
            over.append(f"(JobStatus == 2 && time() - JobCurrentStartDate > {full.walltime})")
        if request.requeue is False:
            over.append("(JobStatus == 1 && NumJobStarts > 0)")
        more += [f"periodic_remove = {' || '.join(over)}"] if over else []
        more += [f"requirements = {request.constraint}"] if request.constraint is not None else []
        if request.gpus is not None:
            kind, _, number = request.gpus.rpartition(":")
            more.append(f"request_GPUs = {number}")
            more += [f'require_gpus = regexp("{kind}", DeviceName, "i")'] if kind else []
        skip = ["RequestMemory", "MY.DaskWorkerMemory"] if full.memory is None else []
        # "$(" would begin a macro of HTCondor's
        command = command_line(request.command, "0").replace("$(", "$(DOLLAR)(")
        disk = section(self.name).get("disk") or _DISK
        return written(self.name, request, command, more=more, skip=skip, disk=disk)

    def submit(self, script: str) -> str:
        """Submit a script; return the job's id."""
        done = self.run(["condor_submit"], script)
        return f"{self._submitted(done, r'submitted to cluster ([0-9]+)', script)}.0"

    def query(self, jobs: Sequence[str]) -> dict[str, JobState]:
        """Return the state of each job: from the queue, and from the history for those that have left it."""
        if not jobs:
            return {}
        known = dict(self._states("condor_q", *jobs))
        missing = [job for job in jobs if job not in known]
        if missing:
            known |= dict(self._states("condor_history", "-limit", str(len(missing)), *missing))
        return {job: known.get(job, UNKNOWN) for job in jobs}

    def _states(self, *words: str) -> Iterator[tuple[str, JobState]]:
        for job in self._ads(*words):
            yield _id(job), _state(job)

    def _ads(self, program: str, *options: str) -> list[dict[str, Any]]:
        text = self.run([program, *options, "-json", "-attributes", _ATTRIBUTES], fine="(?!)").text.strip()
        found: list[dict[str, Any]] = json.loads(text) if text else []
        return found

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs."""
        if jobs:
            self.run(["condor_rm", *jobs], fine="not found|Couldn't find|already|marked for removal")

    def mine(self, label: str) -> dict[str, str]:
        """Return this user's jobs whose names begin with a label."""
        live = (job for job in self._ads("condor_q") if job.get("JobStatus") not in _ENDED)
        named = {_id(job): str(job.get("JobBatchName", "")) for job in live}
        return {job: name for job, name in named.items() if name.startswith(label)}


def _id(job: dict[str, Any]) -> str:
    return f"{job['ClusterId']}.{job['ProcId']}"


def _state(job: dict[str, Any]) -> JobState:
    number = job.get("JobStatus", 0)
    phase = Phase.PENDING if number in _PENDING else Phase.ENDED if number in _ENDED else Phase.RUNNING
    code = -job["ExitSignal"] if job.get("ExitBySignal") and "ExitSignal" in job else job.get("ExitCode")
    removed = str(job.get("RemoveReason", ""))
    end = None
    if number == 3 and "PeriodicRemove" in removed:
        # By the two reasons that a script gives for it: an idle job was driven out, a running one was over its time.
        end = End.PREEMPTED if job.get("LastJobStatus") == 1 else End.TIMEOUT
    elif number == 3:
        end = End.CANCELLED
    elif number == 4:
        end = ended_by(code)
    waits = str(job.get("HoldReason" if number == 5 else "LastRejMatchReason", "")).strip()
    host = str(job.get("RemoteHost") or job.get("LastRemoteHost") or "")
    return JobState(
        phase=phase,
        word=_WORDS.get(number, str(number)),
        reason=waits if phase is Phase.PENDING else removed,
        nodes=host.rpartition("@")[2] if phase is not Phase.PENDING else "",
        start=_time(job.get("JobCurrentStartDate")) if phase is not Phase.PENDING else None,
        finish=_time(job.get("CompletionDate") or job.get("EnteredCurrentStatus")) if phase is Phase.ENDED else None,
        end=end,
        exit_code=code if number == 4 else None,
        restarts=max(0, int(job.get("NumJobStarts", 0)) - 1),
    )


def _time(value: Any) -> float | None:
    return float(value) if value else None
