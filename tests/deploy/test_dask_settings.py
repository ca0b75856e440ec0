"""A user's Dask configuration, in a deployment and in the cluster of a script: what counts, and what is told."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.config
import psutil
import pytest

from offload.api.client import client
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.deploy.status import report
from offload.engines import dask_settings, worker_start
from offload.engines.local_cluster import LocalCluster
from offload.engines.worker_start import StartError
from offload.errors import OffloadError
from offload.registry.deployments import Place, Registry
from offload.util.processes import last_words
from tests.conftest import Offload
from tests.deploy.test_local import eventually


@pytest.mark.parametrize(
    ("name", "given", "counts"),
    [
        ("scheduler.idle-timeout", "8s", None),
        ("scheduler.no-workers-timeout", "1m", None),
        ("scheduler.worker-ttl", "10s", None),
        ("worker.lifetime.duration", "1h", None),
        ("worker.multiprocessing-method", "fork", "spawn"),
        ("scheduler.pickle", False, True),
        ("scheduler.allowed-failures", 0, 3),
        ("scheduler.allowed-failures", 9, 9),
        ("comm.timeouts.connect", "bad", "30s"),
        ("comm.timeouts.connect", "1ms", "30s"),
        ("comm.timeouts.connect", "2m", "2m"),
        ("worker.memory.terminate", False, False),
        ("worker.memory.terminate", 0, 0.95),
        ("worker.memory.spill", 0.5, 0.5),
        ("worker.memory.spill", "half", 0.7),
        ("worker.memory.monitor-interval", "5s", "5s"),
        ("worker.memory.max-spill", "2 GB", "2 GB"),
        ("worker.memory.max-spill", "much", False),
    ],
)
def test_what_of_the_users_counts(name: str, given: Any, counts: Any) -> None:
    name = f"distributed.{name}"
    with dask.config.set({name: given}):
        settings, remarks = dask_settings.own_settings()
        with dask.config.set(settings):
            assert dask.config.get(name) == counts
    assert [name in remark for remark in remarks] == ([] if given == counts else [True])


def test_the_defaults_give_no_remarks() -> None:
    import distributed  # noqa: F401 - brings them along

    assert dask_settings.own_settings()[1] == []


@pytest.mark.real
def test_temporary_files_lie_where_the_user_wants_them(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted = tmp_path / "not there yet"
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(wanted))
    up(place)
    eventually(lambda: [w for w in report(place)["workers"] if w["state"] == "connected"])
    with client("test") as dask_client:
        (directory,) = dask_client.run(lambda dask_worker: dask_worker.local_directory).values()
    assert directory.startswith(f"{wanted}/offload-")
    launch.down(Registry(place.home), place, print)
    assert os.listdir(wanted) == []


@pytest.mark.real
def test_temporary_files_of_a_script_lie_there_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = tmp_path / "not there yet"
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(wanted))
    cluster = LocalCluster(workers=1)
    try:
        (directory,) = cluster._client.run(lambda dask_worker: dask_worker.local_directory).values()
    finally:
        cluster.close()
    assert directory.startswith(f"{wanted}/offload-")
    assert os.listdir(wanted) == []


def test_a_directory_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for given in (str(file / "directory"), 7):
        with dask.config.set({"temporary-directory": given}):
            wanted, (remark,) = dask_settings.temporary_directory()
        assert wanted is None
        assert remark.startswith(f"Dask's setting temporary-directory: {given} cannot work here (")


def test_a_start_that_fails_on_the_way_is_no_failure_of_its_own() -> None:
    assert isinstance(worker_start.plain("w", ConnectionRefusedError("no")), OSError)
    assert isinstance(worker_start.plain("w", ValueError("Unexpected response from register: name taken")), OSError)
    late = TimeoutError("Nanny start timed out")
    late.__cause__ = asyncio.CancelledError()
    assert str(worker_start.plain("w", late)) == "TimeoutError: Nanny start timed out"
    refuses = AssertionError("Status.starting")
    refuses.__context__ = late
    assert str(worker_start.plain("w", refuses)).startswith("w cannot start: its process was not ready in time")
    wrapped = RuntimeError("Nanny failed to start.")
    wrapped.__cause__ = ModuleNotFoundError("No module named 'x'")
    found = worker_start.plain("w", wrapped)
    assert isinstance(found, StartError)
    assert found.message == "w cannot start: ModuleNotFoundError: No module named 'x'"


@pytest.mark.parametrize(("setting", "watched"), [("terminate", True), ("pause", True), ("pause", False)])
def test_less_memory_than_a_worker_needs_is_told(setting: str, watched: bool) -> None:
    used = psutil.Process().memory_info().rss
    name = f"distributed.worker.memory.{setting}"
    with dask.config.set({name: 0.25}):
        with pytest.raises(StartError, match=name):
            worker_start.check_memory("w", os.getpid(), 2 * used, watched)
        worker_start.check_memory("w", os.getpid(), 10 * used, watched)
    worker_start.check_memory("w", os.getpid(), None, watched)


def test_a_worker_without_a_nanny_is_not_terminated() -> None:
    used = psutil.Process().memory_info().rss
    with dask.config.set({"distributed.worker.memory.terminate": 0.01, "distributed.worker.memory.pause": False}):
        worker_start.check_memory("w", os.getpid(), used, False)


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The place of a deployment that a test brings up, in an environment of its own."""
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT", raising=False)
    registry = Registry(str(home))
    place = registry.place("test")
    yield place
    if os.path.exists(place.path):
        launch.down(registry, place, print)


def up(place: Place) -> None:
    launch.up(Registry(place.home), Spec(name="test", workers=1), print)


@pytest.mark.real
def test_a_scheduler_neither_ends_when_it_is_idle_nor_stays_closed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__IDLE_TIMEOUT", "100ms")
    up(place)
    eventually(lambda: [w for w in report(place)["workers"] if w["state"] == "connected"])
    with client("test") as dask_client:
        assert dask_client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.idle_timeout) is None
        dask_client.shutdown()  # as a user's notebook may do

    def is_back() -> bool:
        told = report(place)
        (scheduler,) = (one for one in told["services"] if one["name"] == "scheduler")
        there = [one for one in told["workers"] if one["state"] == "connected"]
        print(scheduler, told["workers"])  # shown where it does not come back
        return scheduler["restarts"] >= 1 and scheduler["state"] == "running" and bool(there)

    eventually(is_back)
    with client("test") as dask_client:
        assert dask_client.submit(sum, [1, 2]).result(timeout=60) == 3


@pytest.mark.real
@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("WORKER__PRELOAD", '["no_such_module_xyz"]', "ModuleNotFoundError: No module named 'no_such_module_xyz'"),
        ("WORKER__MEMORY__TERMINATE", "0.0001", "distributed.worker.memory.terminate 0.0001"),
    ],
)
def test_workers_that_cannot_start_are_a_problem_with_its_reason(
    place: Place, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"DASK_DISTRIBUTED__{variable}", value)
    up(place)
    problems = eventually(lambda: report(place)["problems"])
    assert problems[0]["message"].startswith("worker-0 ended")
    assert words in problems[0]["message"]
    assert words in report(place)["workers"][0]["says"]


@pytest.mark.real
@pytest.mark.usefixtures("home")
def test_the_cluster_of_a_script_says_why_its_workers_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__IDLE_TIMEOUT", "100ms")
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", '["no_such_module_xyz"]')
    with pytest.raises(OffloadError, match="ModuleNotFoundError: No module named 'no_such_module_xyz'"):
        LocalCluster(workers=1)
    monkeypatch.delenv("DASK_DISTRIBUTED__WORKER__PRELOAD")
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE", "0.0001")
    with pytest.raises(OffloadError, match=r"worker 0 cannot work: .*memory\.pause 0\.0001"):
        LocalCluster(workers=1)
    monkeypatch.delenv("DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE")
    cluster = LocalCluster(workers=1)
    try:
        assert cluster._client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.idle_timeout) is None
    finally:
        cluster.close()


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a user's Dask configuration, in a home of this user's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "none")
    directory = tmp_path / ".config/dask"
    directory.mkdir(parents=True)
    return directory


SQUARE = """
import offload

@offload.task
def square(number):
    return number * number

if __name__ == "__main__":
    square.submit(3).result()
"""
LOCAL = "import offload; offload.Deployment(workers=1, in_process=True).start()"


@pytest.mark.real
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"distributed:\n  worker: [unclosed\n", "is no YAML: line 3, column 1: expected ',' or ']'"),
        (b"- a list\n", "is no configuration of Dask: config files must have a dict"),
        (b"a: \xff\n", "is no configuration of Dask: 'utf-8' codec can't decode byte"),
    ],
)
def test_a_file_that_is_no_yaml_is_named(offload: Offload, user: Path, text: bytes, words: str) -> None:
    file = user / "mine.yaml"
    file.write_bytes(text)
    done = offload("up", "--name", "test", "--workers", "1")
    assert done.returncode == 1
    assert f"offload: {file} {words}" in done.stderr.decode()
    assert b"correct that file" in done.stderr
    assert offload("list", "--json").stdout.strip() == b"[]"


@pytest.mark.real
@pytest.mark.parametrize("program", [SQUARE, LOCAL])
def test_programs_say_so_too(home: Path, tmp_path: Path, user: Path, program: str) -> None:
    (user / "mine.yaml").write_text("distributed:\n  worker: [unclosed\n")
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"DaskConfigurationError: {user}/mine.yaml is no YAML: line 3, column 1" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-29 12:00:00 head: begins\nhello\n", "hello"),
        ("Traceback (most recent call last):\n  File x\nValueError: it is\n\n  so\n    ^\n", "ValueError: it is so ^"),
        ("Traceback (most recent call last):\n  File x\nOSError: no\n2026-11-29 12:00:00 goes on\n  more\n", "  more"),
        (
            "2026-11-29 12:00:00,123 - distributed.nanny - INFO -    Start Nanny at: 'tls://x'\n",
            "Start Nanny at: 'tls://x'",
        ),
        ("2026-11-29 12:00:00 offload worker: ends\n", "offload worker: ends"),
        ("", ""),
    ],
)
def test_the_last_words_of_a_log_are_an_error_in_whole(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "log").write_text(text)
    assert last_words(str(tmp_path / "log")) == words
