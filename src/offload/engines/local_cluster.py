"""A Dask cluster on this machine, in a process of its own.

A cluster inside the user's process would import the user's script again in every worker, which fails for a script
without an ``if __name__ == "__main__"`` guard, and Ctrl-C would hit workers and script alike. So it lives in a child
that ends when its standard input does, which is when the user's process ends, however it ends.

The scheduler listens on loopback, with mutual TLS by a certificate that only these processes know.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future as PlainFuture
from typing import IO, Any

from offload.engines.base import AGAIN
from offload.engines.dask import END_DEADLINE, DaskEngine
from offload.engines.dask_settings import loaded
from offload.errors import EngineLostError, OffloadError
from offload.transport.batch import Batch
from offload.transport.outcome import Outcome
from offload.util.resources import Resources

START_DEADLINE = 120.0
_TAIL = 20
# The child must find this package where this process found it, and then gets the same import path.
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from offload.engines.cluster_process import main; main()"


class LocalCluster(DaskEngine):
    """Workers on this machine: one process for each core, started by the constructor.

    Parameters
    ----------
    workers : int, optional
        Number of processes. The default is the number of cores that this process may use.

    Raises
    ------
    OffloadError
        If the cluster does not come up; the message ends with what it last said.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or _cores()
        self._log: list[str] = []
        super().__init__(None, near=True)  # the client comes when the cluster is up
        self._scratch = tempfile.mkdtemp(prefix="offload-")  # goes with the child, or with its end by force
        reading, writing = os.pipe()
        try:
            self._process = self._spawn(writing)
        finally:
            os.close(writing)
        # What tasks print appears where the user's own output does, also in a notebook.
        self._readers = [
            threading.Thread(target=self._forward, args=(self._process.stdout, "stdout"), daemon=True),
            threading.Thread(target=self._forward, args=(self._process.stderr, "stderr"), daemon=True),
        ]
        for thread in self._readers:
            thread.start()
        try:
            with contextlib.suppress(ImportError):  # then the cluster does not start, either, and says why
                loaded("distributed")  # while the cluster starts
            self._connect(self._contact(reading))
        except BaseException:
            self.kill()
            raise
        threading.Thread(target=self._watch, daemon=True).start()

    def _spawn(self, contact: int) -> subprocess.Popen[bytes]:
        package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        path = json.dumps([os.path.abspath(entry) for entry in sys.path])
        return subprocess.Popen(
            [sys.executable, "-c", _START, package, str(self._workers), str(contact), path, self._scratch],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(contact,),
            start_new_session=True,  # Ctrl-C is for the user's process, which then decides
        )

    def _contact(self, reading: int) -> dict[str, str]:
        timer = threading.Timer(START_DEADLINE, self._process.kill)
        timer.start()
        try:
            with os.fdopen(reading, encoding="utf-8") as pipe:
                text = pipe.read()
        finally:
            timer.cancel()
        if not text:
            raise OffloadError(f"the local Dask cluster did not start: {self._last_words()}")
        contact: dict[str, Any] = json.loads(text)
        if "error" in contact:
            what, hint = contact["error"]
            raise OffloadError(f"the local Dask cluster did not start: {what}", hint)
        return contact

    def _connect(self, contact: dict[str, str]) -> None:
        from distributed import Client
        from distributed.security import Security

        address = contact.pop("address")
        security = Security(require_encryption=True, **contact)
        self._client = Client(address, security=security, set_as_default=False, timeout=START_DEADLINE)
        self._know_deaths()

    def slots(self, resources: Resources = ()) -> int:
        """Return the number of workers: all are this machine, whatever resources it has."""
        return self._workers

    def submit(self, batch: Batch) -> PlainFuture[list[Outcome]]:
        """Send a batch to a worker."""
        if self._process.poll() is not None:
            raise self._lost()
        return super().submit(batch)

    def _watch(self) -> None:
        """When the cluster ends before its time, tell those who wait; Dask's client would go on hoping."""
        self._process.wait()
        self.lose_all(self._lost())

    def _lost(self) -> EngineLostError:
        return EngineLostError(f"the local Dask cluster has ended: {self._last_words()}", AGAIN)

    def close(self) -> None:
        """End the workers and the scheduler, and wait for them."""
        assert self._process.stdin is not None
        self._client.close(timeout=END_DEADLINE)
        self._process.stdin.close()
        try:
            self._process.wait(END_DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
        shutil.rmtree(self._scratch, ignore_errors=True)  # where the child was killed by somebody
        for thread in self._readers:
            thread.join(END_DEADLINE)

    def kill(self) -> None:
        """End everything at once, with the calls that are running."""
        self.ending = True
        if self._client is not None:
            self._client.close(timeout=1)  # first, or it would complain about the loss
        import psutil

        try:  # its workers have sessions of their own
            members = psutil.Process(self._process.pid).children(recursive=True)
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, psutil.NoSuchProcess):
            members = []  # it has ended by itself
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        self._process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)
        assert self._process.stdin is not None
        self._process.stdin.close()
        for thread in self._readers:
            thread.join(1)

    def leave(self) -> None:
        """Let go of the cluster in a child of this process, which has inherited what keeps it alive."""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            os.close(pipe.fileno())

    def _forward(self, pipe: IO[bytes], name: str) -> None:
        with pipe:
            for line in pipe:
                text = line.decode(errors="replace")
                if name == "stderr":
                    self._log.append(text)
                    del self._log[:-_TAIL]
                stream = getattr(sys, name)
                if self._client is not None and stream is not None and not stream.closed:
                    stream.write(text)
                    stream.flush()

    def _last_words(self) -> str:
        self._process.wait()
        self._readers[1].join(1)
        return "".join(self._log[-5:]).strip() or f"exit status {self._process.returncode}"


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS does not tell
        return os.cpu_count() or 1
