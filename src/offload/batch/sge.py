"""Grid Engine."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import ClassVar
from xml.etree import ElementTree

from offload.batch.base import BatchSystem
from offload.batch.request import JobRequest
from offload.batch.script import command_line, written
from offload.batch.state import UNKNOWN, End, JobState, Phase, ended_by

_TIME = "%Y-%m-%dT%H:%M:%S"
_MOST_REASONS = 3


class Sge(BatchSystem):
    """Grid Engine of any kind, by ``qsub``, ``qstat``, ``qdel`` and ``qacct``.

    Cores become slots of the parallel environment ``smp``, unless a directive names another (``-pe mpi 8``). Memory has
    no name that all sites share: a directive asks for it (``-l h_vmem=4G``).
    """

    name = "sge"
    title = "Grid Engine"
    lacks: ClassVar = {
        "qos": "put what your site has instead into the directives",
        "nodes": "ask for one job for each node",
        "array": "submit the jobs one by one",
    }
    away: ClassVar[str] = (
        r"unable to (send message to|contact) qmaster|commlib error|got no response|failed receiving gdi request|"
        r"can't (reach|connect to) qmaster|unable to send|qmaster is not running"
    )

    def _script(self, request: JobRequest) -> str:
        full = self.filled(request)
        more = ["-S /bin/bash"]
        more += [f'-o "{full.log}"'] if full.log is not None else []
        cores = full.cores or 1
        if cores > 1 and not any(line.startswith("-pe ") for line in full.directives or ()):
            more.append(f"-pe smp {cores}")
        more += [f"-l {request.constraint}"] if request.constraint is not None else []
        more += [f"-l gpu={request.gpus}"] if request.gpus is not None else []
        more += ["-l exclusive=true"] if request.exclusive else []
        more += [f"-r {'y' if request.requeue else 'n'}"] if request.requeue is not None else []
        return written(self.name, request, command_line(request.command, "0"), more=more, skip=[])

    def submit(self, script: str) -> str:
        """Submit a script; return the job's id."""
        done = self.run(["qsub", "-terse"], script)
        return self._submitted(done, r"^([0-9]+)[ \t\r]*$", script)

    def query(self, jobs: Sequence[str]) -> dict[str, JobState]:
        """Return the state of each job: of those that are over from accounting, why one waits from the scheduler."""
        if not jobs:
            return {}
        known = dict(self._states())
        waiting = [job for job in jobs if job in known and known[job].phase is Phase.PENDING]
        if waiting:
            known |= self._reasons(waiting, known)
        if any(job not in known for job in jobs):
            known |= self._accounted()
        return {job: known.get(job, UNKNOWN) for job in jobs}

    def _listed(self) -> Iterator[ElementTree.Element]:
        done = self.run(["sh", "-c", 'exec qstat -xml -r -u "$(id -un)"'], fine="(?!)")
        return ElementTree.fromstring(done.text).iter("job_list")

    def _states(self) -> Iterator[tuple[str, JobState]]:
        for job in self._listed():
            word = job.findtext("state", "")
            start = job.findtext("JAT_start_time")
            waits = "q" in word
            state = JobState(
                phase=Phase.PENDING if waits else Phase.RUNNING,
                word=word,
                nodes="" if waits else job.findtext("queue_name", "").partition("@")[2],
                start=time.mktime(time.strptime(start[:19], _TIME)) if start and not waits else None,
                restarts=int("R" in word),
            )
            yield job.findtext("JB_job_number", ""), state

    def _reasons(self, jobs: Sequence[str], known: dict[str, JobState]) -> dict[str, JobState]:
        done = self.run(["qstat", "-xml", "-j", ",".join(jobs)])
        reasons: dict[str, list[str]] = {job: [] for job in jobs}
        try:
            root = ElementTree.fromstring(done.text)
        except ElementTree.ParseError:  # one of them has just ended
            return {}
        for message in root.iter():
            text = message.findtext("MES_message")
            for number in message.findall("MES_job_number_list//ULNG_value") if text else ():
                reasons.get(number.text or "", []).append(text or "")
        return {
            job: JobState(**{**vars(known[job]), "reason": "; ".join(dict.fromkeys(said[:_MOST_REASONS]))})
            for job, said in reasons.items()
        }

    def _accounted(self) -> dict[str, JobState]:
        """Return all of this user's jobs that are over; one by one would read the whole file for each of them."""
        done = self.run(["sh", "-c", 'exec qacct -o "$(id -un)" -j'])
        if done.code:
            return {}  # nothing is in it, or it is for administrators
        blocks = re.split(r"^=+$", done.text, flags=re.MULTILINE)[1:]
        found = {}
        for block in blocks:
            values = dict(re.findall(r"^(\w+) +(\S.*?) *$", block, re.MULTILINE))
            if "jobnumber" in values:
                found[values["jobnumber"]] = _over(values)
        return found

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs."""
        if jobs:
            self.run(["qdel", *jobs], fine="does not exist|already in deletion|has registered")

    def nodes(self) -> list[str]:
        """Return the names of some nodes."""
        done = self.run(["qhost"])
        lines = done.text.splitlines()[2:] if done.code == 0 else []  # below a header and a line
        return [line.split()[0] for line in lines if line.strip() and not line.startswith("global")][:5]

    def mine(self, label: str) -> dict[str, str]:
        """Return this user's jobs whose names begin with a label."""
        named = [(job.findtext("JB_job_number", ""), job.findtext("full_job_name", "")) for job in self._listed()]
        return {number: name for number, name in named if name.startswith(label)}


def _over(values: dict[str, str]) -> JobState:
    """Return the state of a job by its entry in accounting."""
    failed, status = values.get("failed", "0"), int(values.get("exit_status", "0").split()[0])
    number = failed.split()[0]
    end: End | None
    code: int | None = status - 256 if status > 255 else 128 - status if number != "0" and status > 128 else status
    if number == "37":
        end = End.TIMEOUT
    elif number != "0":
        end = None if code is not None and code < 0 else End.FAILED  # was it cancelled, or over its time? nobody tells
    else:
        end = ended_by(code)
    reason = failed.partition(":")[2].strip()
    return JobState(
        phase=Phase.ENDED,
        word="finished",
        reason=reason,
        nodes=values.get("hostname", ""),
        start=_written_time(values.get("start_time", "")),
        finish=_written_time(values.get("end_time", "")),
        end=end,
        exit_code=code,
    )


def _written_time(text: str) -> float | None:
    try:
        return time.mktime(time.strptime(text.split(".")[0], "%a %b %d %H:%M:%S %Y"))
    except ValueError:
        return None
