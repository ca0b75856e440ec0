"""A head that is a job hands over to another one before its walltime is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from offload.batch import BatchAwayError
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import batch_job
from offload.errors import OffloadError
from offload.registry.deployments import Place

PART, LEAST, MOST = 0.1, 20.0, 600.0
"""How long before its end a head submits the one that takes over: a part of its time, within limits, in seconds."""

LAST = 10.0  # seconds before its end at which it goes
EVERY, TELL_SECONDS = 5.0, 3600.0


class TakeOver:
    """Waits until it is time for another head, and submits it.

    Parameters
    ----------
    place : Place
        The deployment.
    job : str
        The job that this head is.
    say : callable
        Gets lines for the head's log.
    """

    def __init__(self, place: Place, job: str, say: Callable[[str], None]) -> None:
        self._place = place
        self._job = job
        self._say = say

    async def wait(self, spec: Spec) -> float:
        """Wait until another head has been submitted; return the Unix time at which this one has to go.

        Raises
        ------
        OffloadError
            If the batch system does not take it.
        """
        finish = await self._finish()
        begun = time.time()
        margin = min(max(PART * (finish - begun), LEAST), MOST, (finish - begun) / 2)
        await asyncio.sleep(max(0.0, finish - margin - begun))
        while True:
            try:
                await asyncio.to_thread(batch_job.submit, self._place, spec, self._job)
                return max(time.time(), finish - LAST)
            except BatchAwayError:
                if time.time() > finish - LAST:
                    raise
            await asyncio.sleep(EVERY)

    async def _finish(self) -> float:
        """Return when the walltime of this job is over.

        Raises
        ------
        OffloadError
            If the batch system does not tell.
        """
        deadline, told = time.monotonic() + TELL_SECONDS, ""
        while time.monotonic() < deadline:
            reason = "it does not say"
            try:
                found = await asyncio.to_thread(batch_job.look, self._place)
                if found is not None and found.finish is not None:
                    return found.finish
            except OffloadError as exc:
                reason = exc.message
            if reason != told:
                self._say(f"when job {self._job} ends is not known yet: {reason}")
                told = reason
            await asyncio.sleep(EVERY)
        raise OffloadError(f"when job {self._job} ends is not to be had: {told}")
