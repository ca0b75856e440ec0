"""The head's children: started, watched, started again when they die, ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from offload.deploy.workers.base import Member
from offload.errors import DiskFullError, OffloadError, StorageError
from offload.util.filesystems import translated
from offload.util.processes import family, kill, last_words

START_SECONDS = 60.0
END_SECONDS = 8.0
FIRST_PAUSE, LONGEST_PAUSE, CALM = 0.2, 30.0, 60.0
FIRST_ATTEMPTS, INTERVAL = 3, 0.02


class Child(Member):
    """A process that runs until it is told to end.

    It is told by the end of its standard input, so it also ends when the head is killed. A child that dies is started
    again, at once the first time, and later after growing pauses.

    Parameters
    ----------
    name : str
        What it is called, and its log.
    command : callable
        Gives the command to start it with.
    log : str
        The file that gets what it writes to standard error.
    announces : bool
        Whether it writes a line of JSON to standard output when it is ready.
    announced : callable, optional
        Gets that.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], list[str]],
        log: str,
        announces: bool = False,
        announced: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.state = "starting"
        self.restarts = 0
        self.last_words = ""  # when it last ended
        self.pid: int | None = None
        self.since: float | None = None
        self._command = command
        self._announces = announces
        self._announced = announced
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._trouble: StorageError | None = None
        self.ready = asyncio.Event()

    def described(self) -> dict[str, Any]:
        """Return how it is, as plain values."""
        told = {"name": self.name, "state": self.state, "pid": self.pid, "restarts": self.restarts}
        return {**told, "reason": self.last_words} if self.last_words else told

    def each(self) -> list[dict[str, Any]]:
        """Return how the one worker is that it may be."""
        return [self.described()]

    def says(self) -> str:
        """Return the last words in its log."""
        return last_words(self.log)

    def start(self, after: float = 0.0) -> None:
        """Begin to keep it alive, after some seconds."""
        self._task = asyncio.create_task(self._keep_alive(after), name=self.name)

    async def first_ready(self) -> None:
        """Wait until it is up for the first time.

        Raises
        ------
        OffloadError
            If it has ended too often by then; the message is its last line.
        """
        while not self.ready.is_set():
            if isinstance(self._trouble, DiskFullError):
                raise self._trouble
            if self.restarts >= FIRST_ATTEMPTS:
                reason = str(self._trouble or last_words(self.log) or "it said nothing")
                raise OffloadError(f"its part {self.name} does not come up: {reason}")
            await asyncio.sleep(INTERVAL)

    async def end(self) -> None:
        """End it and wait for it; by force when it takes too long."""
        self.state = "ending"
        if self._task is not None:
            while not self._task.done():  # `wait_for` loses a cancellation that comes together with its result
                self._task.cancel()
                await asyncio.wait([self._task], timeout=INTERVAL)
            await asyncio.gather(self._task, return_exceptions=True)
        process = self._process
        if process is not None and process.returncode is None:
            await self._end_process(process)
        self.state = "ended"

    def kill(self) -> None:
        """End it by force, with its worker; it is started again."""
        if self.pid is not None:
            _kill(self.pid)

    async def _end_process(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), END_SECONDS)
        except TimeoutError:
            _kill(process.pid)
            await process.wait()

    async def _keep_alive(self, after: float) -> None:
        await asyncio.sleep(after)
        pause = 0.0
        while True:
            began = time.monotonic()
            try:
                await self._run_once()
                self._trouble = None
            except (OSError, StorageError) as exc:  # of the head: nobody else would see it
                self._trouble = translated(exc, self.log) if isinstance(exc, OSError) else exc
                if self._process is not None and self._process.returncode is None:
                    await self._end_process(self._process)
            self.last_words = last_words(self.log)
            self.ready.clear()
            self.state = "restarting"
            self.restarts += 1
            pause = FIRST_PAUSE if time.monotonic() - began > CALM else min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _run_once(self) -> None:
        with open(self.log, "ab") as log:
            self._process = process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE if self._announces else log,
                stderr=log,
                start_new_session=True,
            )
        self.pid, self.since = process.pid, time.time()
        if self._announces:
            assert process.stdout is not None
            try:
                line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
            except TimeoutError:
                await self._end_process(process)
                return
            if not line:
                await process.wait()
                return
            if self._announced is not None:
                self._announced(json.loads(line))
        self.state = "running"
        self.ready.set()
        await process.wait()
        self.pid = None


def _kill(pid: int) -> None:
    """End a process with all that descends from it, such as a nanny's worker, which has a session of its own."""
    members = family(pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    kill(members, signal.SIGKILL)
