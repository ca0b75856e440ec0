"""A Dask scheduler that someone else started: examined, used, found again, left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest

import offload as api
from offload.api import submit
from offload.api.client import client
from offload.deploy import existing, scaling
from offload.deploy.endpoints import free_port
from offload.deploy.lifecycle import local as launch
from offload.deploy.security import credentials
from offload.errors import OffloadError, UsageError
from offload.jobs.worker.round import run
from offload.registry.deployments import Registry
from offload.registry.shared_files import mark
from offload.runners.batch import LARGE, run_batch
from offload.storage.home import Home
from offload.tasks.own_function import OwnFunction
from offload.transport.batch import Batch
from tests.conftest import Offload
from tests.deploy.test_local import eventually, free_range
from tests.requirements import requires_root

SECONDS = 60.0


class Cluster:
    """``dask scheduler`` and ``dask worker`` as anybody would start them."""

    def __init__(self, directory: Path, keys: str | None) -> None:
        self.directory = directory
        self.port = free_range(1)[0]  # it comes back there
        self.address = f"{'tls' if keys else 'tcp'}://127.0.0.1:{self.port}"
        self.options = [] if keys is None else ["--tls-ca-file", credentials.authority(keys)]
        if keys is not None:
            own = credentials.certificate(keys, credentials.DASK)
            self.options += ["--tls-cert", own.certificate, "--tls-key", own.key]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, what: str, *around: str) -> None:
        where = ["--host", "127.0.0.1", *self.options]
        if what == "scheduler":
            words = ["--port", str(self.port), "--no-dashboard", *where]
        else:
            words = [self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", *where]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OFFLOAD_")}
        with open(self.directory / f"{what}.log", "ab") as log:
            self.processes[what] = subprocess.Popen(
                [*around, sys.executable, "-m", "distributed.cli.dask_" + what.partition("-")[0], *words],
                cwd=self.directory,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def end(self) -> None:
        for process in reversed(self.processes.values()):  # a worker ends at once while its scheduler is there
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(params=["tcp", "tls"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    keys = None
    if request.param == "tls":
        keys = str(tmp_path / "their-keys")
        credentials.create(keys, ["127.0.0.1"])
    cluster = Cluster(tmp_path, keys)
    cluster.start("scheduler")
    yield cluster
    cluster.end()


@api.task
def large(log: str, number: int) -> bytes:
    with open(log, "a") as file:
        file.write(f"{number}\n")
    time.sleep(0.3)
    return bytes([number]) * (2 * LARGE)


@pytest.mark.real
def test_it_is_used_and_left_alone(
    cluster: Cluster, offload: Offload, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    if cluster.options:
        refused = offload("up", cluster.address)
        assert refused.returncode == 2
        assert b"tls-ca" in refused.stderr
        for option, path in zip(("--tls-ca", "--tls-cert", "--tls-key"), cluster.options[1::2], strict=True):
            files += [option, path]
    eventually(lambda: b"Scheduler at" in (tmp_path / "scheduler.log").read_bytes())
    alone = offload("up", cluster.address, *files)
    assert alone.returncode == 1, alone.stderr
    assert b"has no workers" in alone.stderr
    assert json.loads(offload("list", "--json").stdout) == []
    cluster.start("worker")
    eventually(lambda: b"Registered to" in (tmp_path / "worker.log").read_bytes())
    up = offload("up", cluster.address, *files, timeout=SECONDS)
    assert up.returncode == 0, up.stderr
    assert (b"open to everybody" in up.stderr) is not bool(files)
    assert b"1 worker is there" in up.stderr
    place = Registry(str(home)).get(existing.NAME)
    try:
        monkeypatch.setenv("OFFLOAD_DEPLOYMENT", existing.NAME)
        log = str(tmp_path / "log")
        assert large.submit(log, 1).result(SECONDS) == bytes([1]) * (2 * LARGE)
        with client(existing.NAME) as plain:
            assert plain.submit(sum, [1, 2]).result(SECONDS) == 3
        status = launch.status(place)
        assert (status["services"][0]["name"], status["services"][0]["state"]) == ("scheduler", "running")
        (worker,) = status["workers"]
        assert (worker["state"], worker["joined"]) == ("connected", True)
        lines = offload("env").stdout.decode()
        assert f"DASK_SCHEDULER_ADDRESS={cluster.address}\n" in lines
        assert all(path in lines for path in files[1::2])
        with pytest.raises(OffloadError, match="not offload's"):
            scaling.scale(place, 2)
        with pytest.raises(OffloadError, match="not offload's"):
            scaling.adapt(place, 0, 2)
        assert b"not offload's" in offload("dashboard", "--print").stderr
        # It goes away in the middle of work, and comes back.
        futures = large.map([log] * 20, range(20))
        eventually(lambda: sum(f.done() for f in futures) >= 4)
        cluster.processes["scheduler"].kill()
        cluster.processes["scheduler"].wait()
        eventually(lambda: launch.status(place)["services"][0]["state"] == "away")
        told = offload("status", existing.NAME)
        assert told.returncode == 1
        assert b"is away" in told.stderr
        assert b"others have started it" in told.stderr
        cluster.start("scheduler")
        eventually(lambda: cluster.processes["worker"].poll() is not None)  # theirs does not wait for it
        cluster.start("worker")
        assert api.gather(futures, timeout=SECONDS) == [bytes([n]) * (2 * LARGE) for n in range(20)]
    finally:
        submit.shutdown()
        down = offload("down", existing.NAME, timeout=SECONDS)
    assert down.returncode == 0, down.stderr
    assert all(process.poll() is None for process in cluster.processes.values())
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT")
    assert large(log, 1) == bytes([1]) * (2 * LARGE)
    assert (tmp_path / "log").read_text().splitlines().count("1") == 1


@pytest.mark.real
def test_nobody_there(offload: Offload) -> None:
    port = free_port("127.0.0.1", None, None)
    refused = offload("up", f"tcp://127.0.0.1:{port}", timeout=SECONDS)
    assert refused.returncode == 1
    assert b"cannot be reached" in refused.stderr
    assert b"Traceback" not in refused.stderr


def test_plain_tcp_over_a_network_is_refused() -> None:
    with pytest.raises(UsageError, match="plain TCP"):
        existing.choices("tcp://10.0.0.5:8786", None, None, None, know=False)
    assert existing.choices("tcp://10.0.0.5:8786", None, None, None, know=True) == {"scheduler": "tcp://10.0.0.5:8786"}
    with pytest.raises(UsageError, match="no address"):
        existing.choices("tcp://10.0.0.5", None, None, None, know=True)


def test_files_of_dask_s_configuration_are_taken(tmp_path: Path) -> None:
    credentials.create(str(tmp_path), ["127.0.0.1"])
    own = credentials.certificate(str(tmp_path), credentials.DASK)
    settings = {
        "distributed.comm.tls.ca-file": credentials.authority(str(tmp_path)),
        "distributed.comm.tls.client.cert": own.certificate,
        "distributed.comm.tls.client.key": own.key,
    }
    with dask.config.set(settings):
        found = existing.choices("tls://10.0.0.5:8786", None, None, None, know=False)
        assert found["tls_cert"] == own.certificate
        with pytest.raises(UsageError, match="cannot be read"):
            existing.choices("tls://10.0.0.5:8786", str(tmp_path / "nothing"), None, None, know=False)


@pytest.mark.parametrize("words", [["--workers", "2"], ["--no-nanny"], ["--minimum", "0"]])
def test_what_makes_no_sense_there(offload: Offload, words: list[str]) -> None:
    refused = offload("up", "tcp://127.0.0.1:1", *words)
    assert refused.returncode == 2
    assert words[0].encode() in refused.stderr


@pytest.mark.real
def test_commands_go_to_the_worker_that_sees_the_home(home: Path, tmp_path: Path, offload: Offload) -> None:
    requires_root()
    home.mkdir()
    cluster = Cluster(tmp_path, None)
    try:
        cluster.start("scheduler")
        eventually(lambda: b"Scheduler at" in (tmp_path / "scheduler.log").read_bytes())
        hidden = "unshare", "-m", "sh", "-c", f'mount -t tmpfs none {home} && exec "$@"', "sh"
        cluster.start("worker-blind", *hidden)
        eventually(lambda: b"Registered to" in (tmp_path / "worker-blind.log").read_bytes())
        up = offload("up", cluster.address)
        assert up.returncode == 0, up.stderr
        words = "run", "--on", "existing", "--"
        with subprocess.Popen(
            [sys.executable, "-m", "offload", *words, "echo", "waited"], stderr=subprocess.PIPE
        ) as run:
            assert run.stderr is not None
            told = b""
            while b"the worker that is connected does not see" not in told:
                line = run.stderr.readline()
                assert line, told
                told += line
            cluster.start("worker-seeing")
            run.communicate(timeout=SECONDS)
        assert run.returncode == 0
        for number in range(8):
            done = offload(*words, "sh", "-c", f"echo {number}")
            assert done.stdout == b"%d\n" % number, done.stderr
            assert b"does not see" not in done.stderr
    finally:
        offload("down", "existing")
        cluster.end()


def test_a_worker_that_does_not_see_the_deployment_runs_no_commands(tmp_path: Path) -> None:
    with pytest.raises(OffloadError, match="does not see"):
        run(str(tmp_path / "elsewhere"), [1], ("", "", "", ""))


def test_a_worker_that_does_not_see_the_home_keeps_results_in_the_batch(home: Path, tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for file in (here, elsewhere):
        file.write_text(f"{file.name}, like no other")
    marks = [mark(str(here)), mark(str(elsewhere)), mark(str(here))]
    elsewhere.write_text("what another machine has under the same path")
    for number, of in enumerate(marks, 1):
        batch = Batch(
            Home(str(home)), OwnFunction(large.graph(), large.payload()), [((str(tmp_path / "log"), number), {})]
        )
        batch.mark = of
        (outcome,) = run_batch(batch)
        assert outcome.error is None, outcome.error and outcome.error.said
        assert (outcome.buffer is None) is (of == marks[0])
        assert outcome.checksum
