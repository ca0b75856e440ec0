"""Jobs are submitted: many at once where the batch system has arrays, and none twice."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import Callable, Sequence

from offload.batch.base import ARRIVES_SECONDS, BatchAwayError, BatchSystem
from offload.batch.request import PART, JobRequest
from offload.batch.state import JobState, Phase
from offload.deploy.workers.allocation import Allocation
from offload.errors import OffloadError

HIGHEST = 1000
"""The highest number of a job in an array: Slurm's, where nobody has changed its MaxArraySize."""


class Submitting:
    """Submits jobs.

    Parameters
    ----------
    system : BatchSystem
        Theirs.
    request : callable
        Gives the request for a job of a name.
    taken : callable
        Gets jobs that have just been submitted.
    fail : callable
        Gets a job that was not taken, and why.
    """

    def __init__(
        self,
        system: BatchSystem,
        request: Callable[[str], JobRequest],
        taken: Callable[[Sequence[Allocation]], None],
        fail: Callable[[Allocation, str], None],
    ) -> None:
        self._system = system
        self._request = request
        self._taken = taken
        self._fail = fail

    async def submit(self, jobs: Sequence[Allocation]) -> None:
        """Submit jobs.

        Raises
        ------
        BatchAwayError
            If the batch system does not answer: those that may have arrived are `unsure`, and are not submitted again
            before they have been looked for.
        """
        unsure = [job for job in jobs if job.unsure]
        await self.find(unsure)
        self._taken([job for job in unsure if job.id is not None])
        for several in self._arrays([job for job in jobs if job.id is None and not job.unsure]):
            if len(several) > 1 and await self._submit_array(several):
                continue
            for number, job in enumerate(several):
                refused = await self._submit_one(job)
                if refused is not None:
                    for other in several[number:]:  # what is true of one is true of the others
                        self._fail(other, refused)
                    break

    async def find(self, jobs: Sequence[Allocation]) -> None:
        """Find out which of these submissions have arrived that had no clear answer.

        A batch system may show a job some seconds late: one that is not found stays `unsure` until it has been looked
        for as long.

        Raises
        ------
        BatchAwayError
            If the batch system does not answer now either.
        """
        if not jobs:
            return
        label = self._request(jobs[0].name).name.removesuffix(jobs[0].name)
        mine = await asyncio.to_thread(self._system.mine, label)
        for job in jobs:
            for number, called in mine.items():
                if called == job.asked and self._system.part(number) in (None, _number(job)):
                    job.id = number
            job.sought = job.sought or time.monotonic()
            if job.id is not None or time.monotonic() - job.sought > ARRIVES_SECONDS:
                job.unsure, job.sought = False, 0.0
            else:
                job.state = JobState(Phase.PENDING, reason="its submission had no clear answer; looking for it")

    def _arrays(self, jobs: Sequence[Allocation]) -> list[list[Allocation]]:
        """Return jobs in pieces, each of which may be an array: their names differ by a number that counts on."""
        found: list[list[Allocation]] = []
        for job in jobs:
            before = found[-1][-1] if found else None
            if before is not None and "array" not in self._system.lacks and _follows(before, job):
                found[-1].append(job)
            else:
                found.append([job])
        return found

    async def _submit_array(self, jobs: Sequence[Allocation]) -> bool:
        """Submit jobs with one request; tell whether it was taken."""
        first, last = jobs[0], jobs[-1]
        request, prefix = self._request(first.name), first.name.rpartition("-")[0]
        log = request.log
        if log is not None:  # the batch system adds the number
            directory, name = os.path.split(log)
            log = os.path.join(directory, name.replace(first.name, prefix, 1))
        request = dataclasses.replace(
            request,
            name=f"{request.name}-{_number(last)}",
            command=tuple(f"{prefix}-{PART}" if word == first.name else word for word in request.command),
            array=len(jobs),
            first=_number(first),
            log=log,
        )
        for job in jobs:
            job.asked = request.name
        try:
            number = await asyncio.to_thread(self._system.submit, self._system.script(request))
        except BatchAwayError:
            for job in jobs:
                job.unsure = True
            raise
        except OffloadError:  # too many for a limit, perhaps: one by one, as far as it goes
            return False
        for job, part in zip(jobs, self._system.parts(number, request), strict=True):
            job.id = part
        self._taken(jobs)
        return True

    async def _submit_one(self, job: Allocation) -> str | None:
        """Submit a job; return why it was refused."""
        request = self._request(job.name)
        job.asked = request.name
        try:
            job.id = await asyncio.to_thread(self._system.submit, self._system.script(request))
        except BatchAwayError:
            job.unsure = True
            raise
        except OffloadError as exc:  # the batch system's own words
            return exc.message
        self._taken([job])
        return None


def _number(job: Allocation) -> int:
    return int(job.name.rpartition("-")[2])


def _follows(before: Allocation, job: Allocation) -> bool:
    prefix, _, number = job.name.rpartition("-")
    single = len(job.names) == 1 and len(before.names) == 1
    return single and before.name == f"{prefix}-{int(number) - 1}" and int(number) <= HIGHEST
