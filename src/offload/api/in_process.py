"""A deployment within this process, for tests: scheduler and workers are threads, and nothing listens."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from typing import Any

from offload.api.backend import Cluster
from offload.deploy.config.spec import LOCAL, WORKER, Spec
from offload.engines.base import Engine
from offload.engines.dask import DaskEngine
from offload.engines.worker_states import service_row, worker_row
from offload.errors import UsageError
from offload.storage.home import Home

CHOICES = {"name", "workers", "threads", "memory_limit", "minimum", "maximum"}
WAIT_SECONDS = 60.0


class InProcess(Cluster):
    """Dask's scheduler and workers in threads of this process, which talk in memory.

    Results are recorded in the user's home, as with any other deployment.

    Parameters
    ----------
    spec : Spec
        How many workers, of how many threads.
    """

    here = True

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.name)
        self._spec = spec
        self._cluster: Any = None
        self._scratch = ""
        self._since = 0.0

    def start(self) -> None:
        """Start the threads."""
        from offload.engines.dask_settings import loaded, own_settings

        config, spec_cluster = loaded(), loaded("distributed").SpecCluster
        from offload.engines.cluster_process import Scheduler, Worker

        self.owned = True
        home = Home().path
        self._scratch = tempfile.mkdtemp(prefix="scratch-", dir=home)
        self._since = time.time()
        worker = {
            "cls": Worker,
            "options": {
                "nthreads": self._spec.threads,
                # The memory of this process is not the workers' alone: by default they do not watch it.
                "memory_limit": 0 if self._spec.memory_limit == "auto" else self._spec.memory_limit,
                "local_directory": self._scratch,
                "protocol": "inproc",
            },
        }
        count = self._spec.workers if self._spec.maximum is None else self._spec.minimum
        try:
            with config.set(own_settings()[0]):  # the scheduler and these workers read it as they are made
                self._cluster = spec_cluster(
                    workers=dict.fromkeys(range(count), worker),
                    scheduler={"cls": Scheduler, "options": {"protocol": "inproc", "dashboard": False}},
                    worker=worker,
                    silence_logs="warning",
                    name=self.name,
                )
            if self._spec.maximum is not None:
                self.adapt(self._spec.minimum, self._spec.maximum)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the threads."""
        from offload.engines.heartbeats import STREAMS, TASKS, shorten

        shorten(tell=False, loggers=(STREAMS, TASKS))  # Dask logs again what it likes before all of it is closed
        if self._cluster is not None:
            self._cluster.close(timeout=WAIT_SECONDS)
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def scheduler_address(self) -> str | None:
        """Return an address that only this process can use."""
        address: str = self._cluster.scheduler_address
        return address

    def dashboard_link(self) -> None:
        """Return None: a dashboard would have to listen."""

    def status(self) -> dict[str, Any]:
        """Return the same as of any deployment, as far as it has it."""
        with self.client(set_as_default=False) as client:
            known = client.scheduler_info(n_workers=-1)["workers"]
        return {
            "name": self.name,
            "state": "running",
            "since": self._since,
            "scheduler": self.scheduler_address(),
            "problems": [],
            "services": [
                service_row(
                    {
                        "name": "scheduler",
                        "state": "running",
                        "pid": os.getpid(),
                        "restarts": 0,
                        "address": self.scheduler_address(),
                        "since": self._since,
                    }
                )
            ],
            "workers": [
                worker_row(
                    {
                        "name": f"worker-{worker['name']}",
                        "group": WORKER,
                        "provider": LOCAL,
                        "state": "connected",
                        "pid": os.getpid(),
                        "address": address,
                        "threads": worker["nthreads"],
                        "memory": worker["metrics"].get("memory"),
                        "memory_limit": worker["memory_limit"],
                        "resources": worker["resources"],
                        "executing": worker["metrics"].get("task_counts", {}).get("executing", 0),
                        "paused": worker.get("status") == "paused",
                    }
                )
                for address, worker in known.items()
            ],
        }

    def scale(self, workers: int, group: str = WORKER) -> None:
        """Have so many workers; those that go hand over what they hold."""
        _check(group)
        if workers < 0:
            raise UsageError(f"{workers} workers are not possible", "give 0 or more")
        self._cluster.scale(workers)

    def adapt(self, minimum: int, maximum: int, group: str = WORKER) -> None:
        """Let Dask decide."""
        _check(group)
        if not 0 <= minimum <= maximum:
            raise UsageError(f"from {minimum} to {maximum} workers is not possible", "0 <= minimum <= maximum")
        self._cluster.adapt(minimum=minimum, maximum=maximum)

    def logs(self) -> dict[str, str]:
        """Return what Dask has kept in memory."""
        known = {
            address: f"worker-{worker['name']}" for address, worker in self._cluster.scheduler_info["workers"].items()
        }
        said = self._cluster.get_logs(cluster=False)
        return {known.get(who, who.lower()): str(text) for who, text in said.items()}

    def client(self, **options: Any) -> Any:
        """Return a client that shares this process's memory with them."""
        from offload.api.dask_client import DeploymentClient

        to = self.scheduler_address() if options.get("asynchronous") else self._cluster
        return DeploymentClient(None, to, **options)

    def engine(self) -> Engine:
        """Return an engine on it."""
        return DaskEngine(self.client(set_as_default=False))


def _check(group: str) -> None:
    if group != WORKER:
        raise UsageError("a deployment in this process has no groups of workers", "describe one in offload.toml")
