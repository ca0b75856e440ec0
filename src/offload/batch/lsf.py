"""LSF."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from offload.batch.base import BatchSystem
from offload.batch.request import JobRequest
from offload.batch.script import command_line, written
from offload.batch.state import UNKNOWN, End, JobState, Phase, ended_by

_FIELDS = "jobid job_name stat exit_code exit_reason pend_reason exec_host run_time time_left"
_PENDING, _ENDED = {"PEND", "PSUSP", "WAIT"}, {"DONE", "EXIT"}
_NONE = "No (unfinished |matching )?job found|is not found"
# The codes of LSF before its own words for how a job ended.
_REASONS = {
    "TERM_OWNER": End.CANCELLED,
    "TERM_ADMIN": End.CANCELLED,
    "TERM_FORCE_OWNER": End.CANCELLED,
    "TERM_FORCE_ADMIN": End.CANCELLED,
    "TERM_REQUEUE_OWNER": End.CANCELLED,
    "TERM_RUNLIMIT": End.TIMEOUT,
    "TERM_DEADLINE": End.TIMEOUT,
    "TERM_PREEMPT": End.PREEMPTED,
    "TERM_MEMLIMIT": End.OUT_OF_MEMORY,
    "TERM_SWAP": End.OUT_OF_MEMORY,
    "TERM_ZOMBIE": End.NODE_FAILED,
    "TERM_UNKNOWN_HOST": End.NODE_FAILED,
}


class Lsf(BatchSystem):
    """LSF 10.1, by ``bsub``, ``bjobs`` and ``bkill``."""

    name = "lsf"
    title = "LSF"
    lacks: ClassVar = {
        "qos": "put -sla NAME into the directives, where your site has it",
        "nodes": "ask for one job for each node",
        "array": "submit the jobs one by one",
    }
    away: ClassVar[str] = (
        r"LSF is down|daemon not responding|LIM is (down|not responding)|Failed in (an )?LSF library call|"
        r"Cannot connect to LSF|still trying|Communication time out|is not responding"
    )
    dropped = "LSB_JOB*|LSB_BATCH_JID|LSB_SUB_*|LSB_HOSTS|BSUB_*"

    def _script(self, request: JobRequest) -> str:
        full = self.filled(request)
        more = [f'-o "{full.log}"'] if full.log is not None else []
        more += [f'-R "select[{request.constraint}]"'] if request.constraint is not None else []
        if request.gpus is not None:
            kind, _, number = request.gpus.rpartition(":")
            more.append(f'-gpu "num={number}{f":gmodel={kind}" if kind else ""}"')
        more += ["-x"] if request.exclusive else []
        more += ["-r" if request.requeue else "-rn"] if request.requeue is not None else []
        minutes = math.ceil((full.walltime or 0) / 60)
        walltime = f"{minutes // 60}:{minutes % 60:02}" if full.walltime is not None else None
        return written(self.name, request, command_line(request.command, "0"), more=more, skip=[], walltime=walltime)

    def submit(self, script: str) -> str:
        """Submit a script; return the job's id."""
        done = self.run(["bsub"], script)
        return self._submitted(done, r"Job <([0-9]+)>", script)

    def query(self, jobs: Sequence[str]) -> dict[str, JobState]:
        """Return the state of each job."""
        if not jobs:
            return {}
        now = time.time()
        known = {str(record.get("JOBID", "")): _state(record, now) for record in self._records("-a")}
        return {job: known.get(job, UNKNOWN) for job in jobs}

    def _records(self, *options: str) -> Iterator[dict[str, Any]]:
        done = self.run(["bjobs", *options, "-json", "-o", _FIELDS], fine=_NONE)
        start = done.text.find("{")
        if start >= 0:
            yield from json.loads(done.text[start:]).get("RECORDS", [])

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs."""
        if jobs:
            self.run(["bkill", *jobs], fine="No matching job found|already finished|being terminated|is being signaled")

    def mine(self, label: str) -> dict[str, str]:
        """Return this user's jobs whose names begin with a label."""
        named = {str(record.get("JOBID", "")): record.get("JOB_NAME", "") for record in self._records()}
        return {job: name for job, name in named.items() if name.startswith(label)}


def _state(record: dict[str, Any], now: float) -> JobState:
    word = record.get("STAT", "")
    phase = Phase.PENDING if word in _PENDING else Phase.ENDED if word in _ENDED else Phase.RUNNING
    reason = record.get("EXIT_REASON" if phase is Phase.ENDED else "PEND_REASON", "") or ""
    code = int(record["EXIT_CODE"]) if str(record.get("EXIT_CODE", "")).isdecimal() else None
    if phase is Phase.ENDED and word == "DONE":
        code = 0
    ran, left = re.match(r"[0-9]+", str(record.get("RUN_TIME", ""))), _left(record.get("TIME_LEFT", ""))
    hosts = (re.sub(r"^[0-9]+\*", "", host) for host in record.get("EXEC_HOST", "").split(":"))  # "4*n1:n2"
    running = phase is Phase.RUNNING
    end = _REASONS.get(reason.partition(":")[0].strip(), ended_by(code)) if phase is Phase.ENDED else None
    return JobState(
        phase=phase,
        word=word,
        reason="" if running else reason.strip(" ;"),
        nodes=" ".join(dict.fromkeys(host for host in hosts if host)),
        start=now - int(ran[0]) if running and ran else None,
        finish=now + left if running and left is not None else None,
        end=end,
        exit_code=code if end in (End.COMPLETED, End.FAILED) else None,
    )


def _left(text: str) -> int | None:
    """Return the seconds of ``H:MM L`` or ``H:MM E``."""
    found = re.match(r"([0-9]+):([0-9]+)", text)
    return 3600 * int(found[1]) + 60 * int(found[2]) if found else None
