"""``offload logs`` of a deployment on another machine: what its processes say there, and the connection here."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.deploy.remote.conftest import PYTHON, wait_for
from tests.lab.lab import Lab

pytestmark = pytest.mark.real

PLACE = "/home/alice/.local/share/offload/deployments/h1"

PROGRAM = """
import offload
with offload.connect("h1") as deployment:
    print(*sorted(deployment.logs()))
"""


def head(lab: Lab) -> int:
    """Return the machine's id of the head's process on h1."""
    (found,) = [one.outer for one in lab.host("h1").processes("alice") if "offload.deploy.head" in one.command]
    return found


def who(text: str) -> set[str]:
    """Return whose lines a text shows."""
    return {line.partition(": ")[0] for line in text.splitlines()}


def test_of_all_that_runs_there_also_of_a_worker_that_never_connects(ready: Lab) -> None:
    lab = ready
    assert lab.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "1").returncode == 0
    lab.host("h1").exec(["chmod", "0", f"{PLACE}/keys/dask.key"])
    assert lab.offload("scale", "h1", "2").returncode == 0
    wait_for(lambda: "worker-1" in who(lab.offload("logs").stdout), "the log of the second worker")
    lab.host("h1").exec(["chmod", "600", f"{PLACE}/keys/dask.key"])
    done = lab.offload("logs", "h1", "-n", "100")
    assert done.returncode == 0, done.stderr
    assert who(done.stdout) >= {"head", "scheduler", "link", "worker-0", "worker-1"}
    assert "h1 is running" in done.stdout  # of the connection here
    assert who(lab.offload("logs", "h1", "--worker", "worker-1").stdout) == {"worker-1"}
    assert "Permission denied" in lab.offload("logs", "h1", "--worker", "worker-1", "-n", "100").stdout
    missing = lab.offload("logs", "h1", "--worker", "worker-9")
    assert missing.returncode == 1
    assert "h1 has no log of worker-9" in missing.stderr
    assert "head, jobs, link, scheduler, storage, worker-0, worker-1" in missing.stderr
    (lab.home / "program.py").write_text(PROGRAM)
    told = lab.run([lab.laptop_venv / "bin/python", "program.py"])
    assert told.stdout.split() == ["head", "jobs", "link", "scheduler", "storage", "worker-0", "worker-1"], told.stderr


def test_of_a_head_that_has_died_and_as_they_grow(ready: Lab) -> None:
    lab = ready
    assert lab.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "1").returncode == 0
    shown = lab.home / "shown"
    with shown.open("w") as output:
        following = lab.start(
            [lab.laptop_venv / "bin/offload", "logs", "h1", "-f"], stdout=output, stderr=subprocess.STDOUT
        )
    wait_for(lambda: "scheduler: " in shown.read_text(), "the logs")
    lab.host("h1").exec(f"echo a line of a new log > {PLACE}/logs/worker-7.log", user="alice")
    wait_for(lambda: "worker-7: a line of a new log" in shown.read_text(), "what is added")
    os.kill(head(lab), signal.SIGKILL)
    wait_for(lambda: "dead" in lab.offload("list").stdout, "the news")
    lab.host("h1").exec(f"echo a line without a head >> {PLACE}/logs/worker-7.log", user="alice")
    wait_for(lambda: "worker-7: a line without a head" in shown.read_text(), "what is added, over SSH")
    done = lab.offload("logs", "h1", "-n", "2")
    assert done.returncode == 0, done.stderr
    assert {"head", "worker-7", "link"} <= who(done.stdout)
    assert lab.offload("down", "h1").returncode == 0
    assert following.wait(60) == 0
    text = shown.read_text()
    assert "offload: h1 has been brought down" in text
    assert text.count("worker-7: a line of a new log") == text.count("worker-7: a line without a head") == 1


def test_of_a_machine_that_is_away(ready: Lab) -> None:
    lab = ready
    assert lab.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "1").returncode == 0
    lab.host("h1").crash()
    wait_for(lambda: "away" in lab.offload("list").stdout, "the news")
    done = lab.offload("logs", "h1", timeout=120.0)
    assert done.returncode == 1
    assert who(done.stdout) == {"link"}
    assert "h1 does not answer" in done.stderr
    # how it is, is told at once: nobody waits for its storage
    status = lab.offload("status", "h1", timeout=120.0)
    assert status.returncode == 1
    assert "state: away\n" in status.stdout
    assert "offload: h1 is away: h1 does not answer" in status.stderr
    assert "offload doctor h1" in status.stderr
    assert "waiting" not in status.stderr
