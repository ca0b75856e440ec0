"""A Dask ``LocalCluster`` in a process of its own.

A cluster inside the user's process would import the user's script again in every worker, which fails for a script
without an ``if __name__ == "__main__"`` guard, and Ctrl-C would hit workers and script alike. So it lives in a child
that ends when its standard input does, which is when the user's process ends, however it ends.

The scheduler listens on loopback, with mutual TLS by a certificate that only these processes know.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import Future as PlainFuture
from typing import Any

from offload.compute.engine import Engine
from offload.compute.worker import Batch, Outcome, run_batch
from offload.errors import OffloadError

START_DEADLINE = 120.0
END_DEADLINE = 10.0
_TLS = ("tls_ca_file", "tls_client_cert", "tls_client_key")


class LocalCluster(Engine):
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
        from distributed import Client
        from distributed.security import Security

        self._workers = workers or len(os.sched_getaffinity(0))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "offload.compute.localcluster", str(self._workers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the user's process, which then decides
        )
        self._log: list[bytes] = []
        threading.Thread(target=self._read_log, daemon=True).start()
        contact = self._contact()
        security = Security(require_encryption=True, **{name: contact[name] for name in _TLS})
        self._client = Client(contact["address"], security=security, set_as_default=False, timeout=START_DEADLINE)

    @property
    def slots(self) -> int:
        """The number of workers."""
        return self._workers

    def submit(self, batch: Batch) -> PlainFuture[list[Outcome]]:
        """Send a batch to a worker."""
        # An identity of its own for each batch: what has been computed before was recalled already.
        remote = self._client.submit(run_batch, batch, pure=False, retries=2)
        future: PlainFuture[list[Outcome]] = PlainFuture()

        def finish(done: Any) -> None:
            try:
                future.set_result(done.result())
            except BaseException as exc:
                future.set_exception(exc)

        remote.add_done_callback(finish)
        return future

    def close(self) -> None:
        """End the workers and the scheduler, and wait for them."""
        self._client.close(timeout=END_DEADLINE)
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._log.append(line)
            del self._log[:-200]

    def _contact(self) -> dict[str, str]:
        assert self._process.stdout is not None
        timer = threading.Timer(START_DEADLINE, self._process.kill)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            self._process.wait()
            tail = b"".join(self._log[-5:]).decode(errors="replace").strip()
            raise OffloadError(f"the local Dask cluster did not start: {tail or 'it said nothing'}")
        contact: dict[str, str] = json.loads(line)
        return contact


def serve(workers: int) -> None:
    """Run a cluster until standard input ends; used in the child process."""
    import distributed
    from distributed.security import Security

    security = Security.temporary()
    with distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        worker_dashboard_address=None,
        security=security,
        silence_logs=40,
    ) as cluster:
        contact = {"address": cluster.scheduler_address, **{name: getattr(security, name) for name in _TLS}}
        sys.stdout.write(json.dumps(contact) + "\n")
        sys.stdout.flush()
        sys.stdin.buffer.read()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
