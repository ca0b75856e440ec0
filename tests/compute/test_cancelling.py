"""Cancelled calls stop, on cores of one's own: their process ends with what it has started, and others go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import psutil
import pytest

import offload
from offload.api import submit
from offload.errors import OffloadError
from tests.deploy.test_local import eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SECONDS = 120.0


@pytest.fixture(autouse=True)
def own(home: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster of this process's own, ended afterwards."""
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "none")
    yield
    submit.give_up(None, OffloadError("the test is over"))


@offload.task(effects="ignore")
def waits(directory: str, number: int, seconds: float) -> int:
    """Tell its process, and wait."""
    Path(directory, f"{number}.new").write_text(str(os.getpid()))
    os.rename(Path(directory, f"{number}.new"), Path(directory, str(number)))
    time.sleep(seconds)
    return number


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Where calls tell their processes."""
    (tmp_path / "told").mkdir()
    return tmp_path / "told"


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def began(directory: Path) -> dict[int, int]:
    """Return the processes of the calls that have begun."""
    return {int(file.name): int(file.read_text()) for file in directory.iterdir() if not file.suffix}


def test_running_calls_end_and_others_take_their_place(told: Path) -> None:
    futures = waits.map([str(told)] * 40, range(40), [1000.0] * 40)
    eventually(lambda: began(told))
    assert [future.cancel() for future in futures] == [True] * len(futures)
    processes = began(told).values()
    eventually(lambda: not any(map(lives, processes)), SECONDS)
    assert waits.submit(str(told), 100, 0.0).result(SECONDS) == 100
    assert len(began(told)) < 20  # most have not begun
    with pytest.raises(CancelledError):
        futures[0].result()


def test_one_call_of_a_batch_ends(told: Path) -> None:
    quick = waits.map([str(told)] * 300, range(300), [0.0] * 300)
    offload.gather(quick, timeout=SECONDS)  # so that those which follow travel together
    futures = waits.map([str(told)] * 300, range(300, 600), [1000.0 if n == 400 else 0.0 for n in range(300, 600)])
    eventually(lambda: 400 in began(told), SECONDS)
    assert futures[100].cancel()
    others = [future for future in futures if not future.cancelled()]
    assert offload.gather(others, timeout=SECONDS) == [n for n in range(300, 600) if n != 400]


def test_ctrl_c_ends_what_runs(tmp_path: Path, told: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, offload\n"
        "from tests.compute.test_cancelling import waits\n"
        "try:\n"
        "    offload.gather(waits.map([sys.argv[1]] * 2, range(2), [1000.0] * 2))\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', waits.submit(sys.argv[1], 7, 0.0).result(), flush=True)\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    client = subprocess.Popen(
        [sys.executable, script, told], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    )
    eventually(lambda: began(told), SECONDS)
    processes = [*began(told).values()]
    client.send_signal(signal.SIGINT)
    output, _ = client.communicate(timeout=SECONDS)
    assert output == b"interrupted 7\n"
    assert not any(map(lives, processes))
