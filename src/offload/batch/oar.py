"""OAR."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any, ClassVar

from offload.batch.base import BatchSystem
from offload.batch.request import JobRequest
from offload.batch.script import command_line, section, written
from offload.batch.state import UNKNOWN, End, JobState, Phase, ended_by

_PENDING = {"Waiting", "Hold", "toLaunch", "toAckReservation", "Launching"}
_ENDED = {"Terminated", "Error", "toError"}
# Kinds of events, in the order in which they count.
_EVENTS = {"WALLTIME": End.TIMEOUT, "FRAG_JOB_REQUEST": End.CANCELLED, "BESTEFFORT_KILL": End.PREEMPTED}


class Oar(BatchSystem):
    """OAR 2.5, by ``oarsub``, ``oarstat`` and ``oardel``.

    Memory is asked for by the property that ``memory-per-core-property-name`` names in Dask's configuration.
    """

    name = "oar"
    title = "OAR"
    lacks: ClassVar = {
        "qos": "OAR has projects and queues",
        "nodes": "ask for one job for each node",
        "array": "submit the jobs one by one",
        "requeue": "put -t idempotent into the directives",
    }
    away: ClassVar[str] = r"DB connection error|Cannot connect to (executor|database|oar)|DBI connect|Is OAR started"

    def _script(self, request: JobRequest) -> str:
        full, said = self.filled(request), section(self.name)
        more = [f"-{letter} {shlex.quote(full.log)}" for letter in "OE"] if full.log is not None else []
        more += [f"-p {shlex.quote(request.constraint)}"] if request.constraint is not None else []
        asked = request.cores is not None or request.gpus is not None or request.exclusive
        spec = None
        if asked or not said.get("resource-spec"):
            part = "" if request.exclusive else f"/gpu={request.gpus}" if request.gpus else f"/core={full.cores}"
            spec = f"/nodes=1{part}"
        memory = said.get("memory-per-core-property-name") if full.memory is not None else None
        return written(
            self.name,
            request,
            command_line(request.command, "0"),
            more=more,
            skip=[],
            resource_spec=spec,
            memory_per_core_property_name=memory or "not_applicable",
        )

    def submit(self, script: str) -> str:
        """Submit a script; return the job's id.

        The script goes along as the command: a file would have to be there still when the job starts.
        """
        lines = script.splitlines()
        options = [word for line in lines if line.startswith("#OAR ") for word in shlex.split(line[5:])]
        body = "\n".join(line for line in lines if not line.startswith("#")).strip()
        done = self.run(["sh", "-c", 'body=$(cat); exec oarsub "$@" "$body"', "sh", *options], body)
        return self._submitted(done, r"OAR_JOB_ID=([0-9]+)", script)

    def query(self, jobs: Sequence[str]) -> dict[str, JobState]:
        """Return the state of each job."""
        if not jobs:
            return {}
        known = self._jobs(*(word for job in jobs for word in ("-j", job)))
        return {job: _state(known[job]) if job in known else UNKNOWN for job in jobs}

    def _jobs(self, *options: str) -> dict[str, dict[str, Any]]:
        text = self.run(["oarstat", "-J", *options], fine="[Nn]o job|not exist|not found").text.strip()
        found: dict[str, dict[str, Any]] = json.loads(text) if text.startswith("{") else {}
        return found

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs."""
        if jobs:
            self.run(["oardel", *jobs], fine="already|not a valid job|terminated|does not exist")

    def mine(self, label: str) -> dict[str, str]:
        """Return this user's jobs whose names begin with a label."""
        named = {job: values.get("name") or "" for job, values in self._jobs("-u").items()}
        return {job: name for job, name in named.items() if name.startswith(label)}


def _state(values: dict[str, Any]) -> JobState:
    word = values.get("state", "")
    phase = Phase.PENDING if word in _PENDING else Phase.ENDED if word in _ENDED else Phase.RUNNING
    start, scheduled = int(values.get("startTime") or 0), int(values.get("scheduledStart") or 0)
    finish, walltime = int(values.get("stopTime") or 0), int(values.get("walltime") or 0)
    if phase is Phase.RUNNING:
        finish = start + walltime if start and walltime else 0
    status = values.get("exit_code")
    code = None
    if phase is Phase.ENDED and status is not None:
        code = -(int(status) & 0x7F) if int(status) & 0x7F else int(status) >> 8
    kinds = {event.get("type") for event in values.get("events") or () if isinstance(event, dict)}
    end = None
    if phase is Phase.ENDED:
        end = next((end for kind, end in _EVENTS.items() if kind in kinds), ended_by(code))
    return JobState(
        phase=phase,
        word=word,
        reason=values.get("message") or "" if phase is not Phase.RUNNING else "",
        nodes=" ".join(dict.fromkeys(values.get("assigned_network_address") or ())),
        start=float(scheduled if phase is Phase.PENDING else start) or None,
        finish=float(finish) or None,
        end=end,
        exit_code=code if end in (End.COMPLETED, End.FAILED) else None,
    )
