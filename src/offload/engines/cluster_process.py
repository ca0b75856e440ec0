"""The process that holds the scheduler and the nannies of a local cluster; see :mod:`offload.engines.local_cluster`.

Dask's HTTP servers know no authentication, and loopback is open to everybody with a shell on the machine. Scheduler,
nannies and workers are therefore made without them: every port that listens asks for a certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
from typing import Any

import dask
import distributed
from distributed.security import Security

from offload.commands.running.stale_scratch import temporary
from offload.engines import dask_settings
from offload.engines.frozen_workers import Silence
from offload.engines.heartbeats import shorten
from offload.engines.nanny import WatchingNanny
from offload.engines.worker_start import StartError, check_memory, plain
from offload.runners import child_processes
from offload.runners.pool import ending_pool_of, pool_of

TLS = ("tls_ca_file", "tls_client_cert", "tls_client_key")

OWN = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.deploy.lost-worker-timeout": "1000 days",
}
"""A call that ends its worker is tried on one more; then it is the call's fault. And a worker that is away stays one of
the cluster's: its nanny starts it again, how often so ever calls end it."""


class _NoHTTP:
    def start_http_server(self, *args: Any, **kwargs: Any) -> None:
        """Dask calls this to listen for HTTP; nothing is started."""


class Scheduler(_NoHTTP, distributed.Scheduler):
    """A scheduler without dashboard, metrics and health pages."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.silence = Silence(self)


class Worker(_NoHTTP, distributed.Worker):
    """A worker without them."""

    _beating: asyncio.Task[None] | None = None

    def __init__(self, *args: Any, nanny: Any = None, **kwargs: Any) -> None:
        if nanny is not None:
            child_processes.allow()
            shorten(tell=False)
        super().__init__(*args, nanny=nanny, **kwargs)
        if nanny is not None:
            pool_of(self)

    async def heartbeat(self) -> None:
        """Tell the scheduler how things are, unless the worker closes meanwhile."""
        beating = self._beating = asyncio.ensure_future(super().heartbeat())
        await asyncio.wait([beating])
        if not beating.cancelled():
            beating.result()

    async def close(self, *args: Any, **kwargs: Any) -> str | None:  # type: ignore[override]  # as Dask's own does
        """Close; a heartbeat under way would fail by that, and Dask would log it with a traceback."""
        if self._beating is not None and self._beating is not asyncio.current_task():
            self._beating.cancel()
        with ending_pool_of(self):
            done: str | None = await super().close(*args, **kwargs)
        return done


def serve(workers: int, contact: int) -> None:
    """Run a cluster until standard input ends.

    Parameters
    ----------
    workers : int
        Number of worker processes.
    contact : int
        The descriptor to write address and certificates to, as JSON.
    """
    # What the workers start inherits standard input, and must not wait for the end of this process in it.
    control = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    dask_settings.apply(OWN)
    security = Security.temporary()
    common = {"host": "127.0.0.1", "port": 0, "security": security}
    options = {**common, "nthreads": 1, "worker_class": Worker, "silence_logs": 40}
    with (
        control,
        distributed.SpecCluster(
            scheduler={"cls": Scheduler, "options": {**common, "dashboard": False}},
            workers={number: {"cls": WatchingNanny, "options": options} for number in range(workers)},
            security=security,
            silence_logs=40,
        ) as cluster,
    ):
        for number, nanny in cluster.workers.items():
            check_memory(f"worker {number}", nanny.pid, nanny.memory_manager.memory_limit, watched=True)
        known = {"address": cluster.scheduler_address, **{name: getattr(security, name) for name in TLS}}
        with os.fdopen(contact, "w") as pipe:
            pipe.write(json.dumps(known))
        control.read()


def main() -> None:
    """Take number of workers, descriptor, import path and a directory for temporary files from the command line."""
    workers, contact, path, scratch = sys.argv[1:]
    sys.path[:] = json.loads(path)  # the workers get this process's
    wanted, _ = dask_settings.temporary_directory()
    own = None if wanted is None else temporary(wanted)
    try:
        with dask.config.set({"temporary-directory": scratch if own is None else own.name}):
            serve(int(workers), int(contact))
    except Exception as exc:
        error = plain("a worker", exc)
        if not isinstance(error, StartError):
            raise
        with contextlib.suppress(OSError), os.fdopen(int(contact), "w") as pipe:  # unless it has begun to serve
            pipe.write(json.dumps({"error": [error.message, error.hint]}))
        sys.exit(1)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if own is not None:
            own.cleanup()
