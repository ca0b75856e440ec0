"""Calls that start processes of their own: they may, and none of these outlives the worker."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

import offload
from offload.api import submit
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.errors import WorkerLostError
from offload.registry.deployments import Place, Registry
from offload.runners import child_processes
from tests.deploy.test_local import eventually

pytestmark = pytest.mark.timeout(300)

SECONDS = 120.0


def square(number: int) -> int:
    return number * number


@offload.task(effects="ignore")
def squares(how: str, count: int) -> list[int]:
    """Square numbers in other processes."""
    if how == "executor":
        with ProcessPoolExecutor(2) as executor:
            return list(executor.map(square, range(count)))
    with multiprocessing.get_context(how).Pool(2) as pool:
        return pool.map(square, range(count))


@offload.task(effects="ignore")
def leave_behind(file: str, end: bool) -> int:
    """Start processes that go on, tell their ids, and end the worker where that is asked for."""
    forked = multiprocessing.Process(target=time.sleep, args=(1000,))
    forked.start()
    other = subprocess.Popen(["sleep", "1000"], process_group=0)
    other.returncode = 0  # nobody is to wait for it
    with open(file, "w") as output:
        output.write(f"{forked.pid} {other.pid} {os.getpid()} {os.getppid()}")
    if end:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


@offload.task(effects="ignore")
def hold(file: str) -> None:
    """Tell the ids of the worker and its nanny, and hold Python's lock."""
    with open(file, "w") as output:
        output.write(f"{os.getpid()} {os.getppid()}")
    ctypes.PyDLL(None).sleep(1000)


def ids(file: Path) -> list[int]:
    found: list[int] = eventually(
        lambda: [int(pid) for pid in file.read_text().split()] if file.exists() else [], SECONDS
    )
    return found


def are_gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


@pytest.fixture(params=["own", "deployment"])
def workers(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Workers of this process's own cluster, and of a deployment."""
    kind: str = request.param
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "none" if kind == "own" else "test")
    registry = Registry(str(home))
    if kind == "deployment":
        launch.up(registry, Spec(name="test", workers=1), print)
    yield kind
    submit.shutdown()
    if kind == "deployment":
        launch.down(registry, Place(str(home / "deployments/test")), print)


@pytest.mark.real
def test_they_may_have_them_and_these_end_with_the_worker(workers: str, tmp_path: Path) -> None:
    for how in ("fork", "spawn", "executor"):
        assert squares.submit(how, 5).result(SECONDS) == [0, 1, 4, 9, 16]
    killed, ended = tmp_path / "killed", tmp_path / "ended"
    with pytest.raises(WorkerLostError):
        leave_behind.submit(str(killed), True).result(SECONDS)
    eventually(lambda: are_gone(ids(killed)[:3]), SECONDS)
    assert leave_behind.submit(str(ended), False).result(SECONDS) == 1
    left = ids(ended)[:3]
    assert not are_gone(left)
    submit.shutdown()
    if workers == "deployment":
        os.kill(ids(ended)[3], signal.SIGKILL)  # the parent of its process
    eventually(lambda: are_gone(left), SECONDS)


@pytest.mark.real
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such a worker is ended with its deployment only")
@pytest.mark.parametrize("workers", ["deployment"], indirect=True)
def test_a_worker_whose_code_holds_the_lock_ends_with_its_nanny(workers: str, tmp_path: Path) -> None:
    file = tmp_path / "ids"
    future = hold.submit(str(file))
    worker, nanny = ids(file)
    os.kill(nanny, signal.SIGKILL)
    eventually(lambda: are_gone([worker]))
    future.cancel()


def test_what_a_module_has_goes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {"__name__": "of_a_user"}
    exec("class Theirs: pass\ndef own(): return Theirs", made)
    assert child_processes._by_value(None, square) is NotImplemented
    assert child_processes._by_value(None, Path) is NotImplemented
    assert child_processes._by_value(None, 3) is NotImplemented
    for value in (made["own"], made["Theirs"]):
        with pytest.raises((pickle.PicklingError, AttributeError)):
            pickle.dumps(value)
        load, arguments = child_processes._by_value(None, value)
        assert load(*arguments).__name__ == value.__name__
