"""Moab, above Torque or another resource manager."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar
from xml.etree import ElementTree

from offload.batch.pbs import Pbs, Torque
from offload.batch.request import JobRequest
from offload.batch.state import UNKNOWN, End, JobState, Phase, ended_by
from offload.errors import OffloadError

_SIGNALLED = 256


class Moab(Torque):
    """Moab, by ``msub``, ``showq`` and ``canceljob``."""

    name = "moab"
    section = ""
    title = "Moab"
    lacks: ClassVar = {key: value for key, value in Pbs.lacks.items() if key != "qos"}
    away: ClassVar[str] = (
        r"cannot connect to (client|server)|lost connection to server|communication error|cannot contact|"
        r"Connection refused|no server detected"
    )
    _commands = ("msub", "canceljob")

    def _more(self, request: JobRequest) -> list[str]:
        more = [f"-l qos={request.qos}"] if request.qos is not None else []
        return more + (["-l naccesspolicy=singlejob"] if request.exclusive else [])

    def _id(self, said: str) -> str:
        return said

    def query(self, jobs: Sequence[str]) -> dict[str, JobState]:
        """Return the state of each job: from the queue, and from those that ended of late."""
        if not jobs:
            return {}
        known = {job.get("JobID", ""): _state(queue, job) for queue, job in self._shown()}
        if any(job not in known for job in jobs):
            known |= {job.get("JobID", ""): _state(queue, job) for queue, job in self._shown("-c")}
        return {job: known.get(job, UNKNOWN) for job in jobs}

    def _shown(self, *options: str) -> Iterator[tuple[str, ElementTree.Element]]:
        script = f'exec showq {" ".join(options)} -w user="$(id -un)" --xml'
        text = self.run(["sh", "-c", script], fine="(?!)").text
        try:
            root = ElementTree.fromstring(text[text.index("<Data") :])
        except (ElementTree.ParseError, ValueError):
            raise OffloadError("showq does not answer in XML", "this needs Moab 6 or newer") from None
        for queue in root.iter("queue"):
            for job in queue.iter("job"):
                yield queue.get("option", ""), job

    def cancel(self, jobs: Sequence[str]) -> None:
        """End jobs."""
        if jobs:
            self.run(["canceljob", *jobs], fine="invalid job|cannot locate job|already|not found")

    def mine(self, label: str) -> dict[str, str]:
        """Return this user's jobs whose names begin with a label."""
        named = {job.get("JobID", ""): job.get("JobName", "") for _, job in self._shown()}
        return {job: name for job, name in named.items() if name.startswith(label)}


def _state(queue: str, job: ElementTree.Element) -> JobState:
    word, start = job.get("State", ""), _time(job.get("StartTime"))
    limit = _time(job.get("ReqAWDuration"))
    if queue == "completed":
        end, code = _ended(job.get("CompletionCode", ""))
        return JobState(
            phase=Phase.ENDED,
            word=word,
            nodes=job.get("MasterHost", ""),
            start=start,
            finish=_time(job.get("CompletionTime")),
            end=end,
            exit_code=code,
        )
    if queue == "active":
        finish = start + limit if start is not None and limit is not None else None
        return JobState(Phase.RUNNING, word, nodes=job.get("MasterHost", ""), start=start, finish=finish)
    return JobState(Phase.PENDING, word, reason=job.get("BlockReason", ""), start=_time(job.get("RsvStartTime")))


def _ended(code: str) -> tuple[End | None, int | None]:
    """Return what a completion code says: a number, above 256 a signal, or ``CNCLD`` with more behind it."""
    if code.startswith("CNCLD"):
        return End.CANCELLED, None
    if not code.lstrip("-").isdecimal():
        return None, None
    number = int(code)
    return (None, _SIGNALLED - number) if number > _SIGNALLED else (ended_by(number), number)


def _time(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() and text != "0" else None
