"""Deployments on another machine, over SSH: brought up, used, and brought down from here."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.deploy.remote.conftest import PYTHON
from tests.lab.lab import Lab

pytestmark = pytest.mark.real

DIRECT = ["--route", "direct", "--ports", "60001-60020"]

TASK = """
import socket
import offload

@offload.task(effects="ignore")
def where(number):
    return socket.gethostname(), number

if __name__ == "__main__":
    futures = where.map(range(20))
    found = offload.gather(futures)
    assert [number for _, number in found] == list(range(20))
    print(*sorted({host for host, _ in found}), sum(bool(future.recalled) for future in futures))
"""


@pytest.mark.parametrize("route", [[], DIRECT], ids=["tunnel", "direct"])
def test_everything_works_as_on_a_deployment_of_this_machine(ready: Lab, route: list[str]) -> None:
    lab = ready
    up = lab.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "2", *route)
    assert up.returncode == 0, up.stderr
    assert "h1 is up, after" in up.stderr
    assert lab.offload("up", "ssh://alice@h1").stderr == "offload: h1 is up already\n"
    # commands, with their inputs and outputs
    (lab.home / "words.txt").write_text("pear\nfig\n")
    words = ["run", "--on", "h1", "--output", "sorted.txt", "--", "sh", "-c", "hostname; sort words.txt > sorted.txt"]
    first = lab.offload(*words, cwd=lab.home)
    assert (first.returncode, first.stdout) == (0, "h1\n"), first.stderr
    assert (lab.home / "sorted.txt").read_text() == "fig\npear\n"
    again = lab.offload(*words, cwd=lab.home)
    assert "offload: recalled" in again.stderr
    assert again.stdout == "h1\n"
    piped = lab.run(f"seq 1000000 | {lab.laptop_venv}/bin/offload run --on h1 -- wc -l")
    assert piped.stdout == "1000000\n", piped.stderr
    # tasks
    (lab.home / "task.py").write_text(TASK)
    python = str(lab.laptop_venv / "bin/python")
    environment = {"OFFLOAD_DEPLOYMENT": "h1"}
    done = lab.run([python, "task.py"], cwd=lab.home, env=environment)
    assert done.stdout == "h1 0\n", done.stderr
    assert lab.run([python, "task.py"], cwd=lab.home, env=environment).stdout == "h1 20\n"
    # plain Dask, in any terminal
    plain = "from distributed import Client; print(Client().submit(__import__('socket').gethostname).result())"
    dask = lab.run(f'eval "$({lab.laptop_venv}/bin/offload env h1)" && {python} -c "{plain}"')
    assert dask.stdout == "h1\n", dask.stderr
    # looking at it
    status = json.loads(lab.offload("status", "h1", "--json").stdout)
    assert {worker["state"] for worker in status["workers"]} == {"connected"}
    assert status["kept"]["database"]["results"] == 22
    assert lab.offload("scale", "h1", "1").returncode == 0
    # the end of it
    assert lab.offload("down", "h1").returncode == 0
    assert lab.host("h1").processes("alice") == []
    assert lab.offload("list").stdout == ""
    # what was recorded there stays there
    assert lab.offload("up", "ssh://alice@h1", *PYTHON, *route).returncode == 0
    assert "offload: recalled" in lab.offload(*words, cwd=lab.home).stderr


FILES = """
import os
import offload

WEIGHTS = offload.File("weights.txt")

@offload.task
def total(numbers, folder):
    lines = [*open(numbers), *open(os.path.join(folder, "more/a.txt")), *open(WEIGHTS)]
    return sum(map(int, lines)), numbers.name

if __name__ == "__main__":
    future = total.submit(offload.File("numbers.txt"), offload.Directory("folder"))
    print(*future.result(), future.recalled)
"""


def test_files_travel_with_calls(ready: Lab) -> None:
    lab, environment = ready, {"OFFLOAD_DEPLOYMENT": "h1"}
    assert lab.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "1").returncode == 0
    (lab.home / "folder/more").mkdir(parents=True)
    for name, text in (("numbers.txt", "1\n2\n"), ("folder/more/a.txt", "10\n"), ("weights.txt", "100\n")):
        (lab.home / name).write_text(text)
    (lab.home / "files.py").write_text(FILES)
    # the same path holds something else there, which is never read
    lab.host("h1").write(str(lab.home / "numbers.txt"), "666\n")
    command = [str(lab.laptop_venv / "bin/python"), "files.py"]
    first = lab.run(command, env=environment)
    assert first.stdout == "113 numbers.txt False\n", first.stderr
    assert lab.run(command, env=environment).stdout == "113 numbers.txt True\n"
    for name, text, expected in (("folder/more/a.txt", "20\n", 123), ("weights.txt", "200\n", 223)):
        (lab.home / name).write_text(text)
        done = lab.run(command, env=environment)
        assert done.stdout == f"{expected} numbers.txt False\n", done.stderr


CHANGING = """
import os
import offload

@offload.task
def change(files):
    os.chmod(files["some"][0], 0o644)
    with open(files["some"][0], "a") as file:
        file.write("and more")
    return "done"

if __name__ == "__main__":
    for _ in range(2):
        future = change.submit({"some": [offload.File("in.txt")]})
        print(future.result(), bool(future.recalled), future.unrecorded)
"""


def test_a_call_that_changes_the_copy_of_its_input_is_told_and_made_again(ready: Lab) -> None:
    lab = ready
    assert lab.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "1").returncode == 0
    (lab.home / "in.txt").write_text("some ")
    (lab.home / "changing.py").write_text(CHANGING)
    done = lab.run([str(lab.laptop_venv / "bin/python"), "changing.py"], env={"OFFLOAD_DEPLOYMENT": "h1"})
    told = f"the worker's copy of offload.File('{lab.home}/in.txt') changed while it was used"
    line = f"done False __main__:change: not recorded: {told}\n"
    assert done.stdout == line * 2, done.stderr
    assert f"NotRecordedWarning: __main__:change: not recorded: {told}\n" in done.stderr
    assert (lab.home / "in.txt").read_text() == "some "  # it is the copy that was changed


def test_a_direct_port_that_is_blocked_is_named_with_what_to_do(ready: Lab) -> None:
    ready.host("h1").drop("60001-60020")  # type: ignore[arg-type]
    up = ready.offload("up", "ssh://alice@h1", *PYTHON, *DIRECT, "--workers", "1", timeout=120)
    assert (up.returncode, up.stdout) == (1, "")
    assert "trying https://10.77.0.11:60" in up.stderr
    assert "h1 is up, but nothing answers at https://10.77.0.11:60" in up.stderr
    assert "offload doctor h1; or use SSH: offload down h1, then offload up ssh://alice@h1" in up.stderr
    assert ready.offload("down", "h1").returncode == 0
    assert ready.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "1", timeout=120).returncode == 0


@pytest.mark.parametrize("route", [[], DIRECT], ids=["tunnel", "direct"])
def test_status_says_what_it_waits_for_when_the_connection_was_cut(ready: Lab, route: list[str]) -> None:
    assert ready.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "1", *route).returncode == 0
    services = json.loads(ready.offload("status", "h1", "--json").stdout)["services"]
    there = {one.pid for one in ready.host("h1").processes("alice")}
    assert {one["pid"] for one in services} <= there, services  # none of this machine's
    assert all(one["since"] for one in services)
    ready.host("h1").cut()
    status = ready.offload("status", "h1", "--json", timeout=120)
    assert status.returncode == 1
    assert "waiting for an answer from the head of h1 at https://" in status.stderr
    assert json.loads(status.stdout)["state"] in ("away", "silent")


@pytest.mark.parametrize("route", [[], DIRECT], ids=["tunnel", "direct"])
def test_jobs_are_listed_awaited_cancelled_and_given_while_the_connection_is_cut(ready: Lab, route: list[str]) -> None:
    """Each waits, says for what, and does it once the connection is there again."""
    assert ready.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "2", *route).returncode == 0
    on = ("--on", "h1")
    short = ready.offload("run", "--detach", *on, "--", "sh", "-c", "sleep 3; echo done").stdout.strip()
    long = ready.offload("run", "--detach", *on, "--", "sleep", "600").stdout.strip()
    host, pipe = ready.host("h1"), subprocess.PIPE
    host.cut()
    waiting = [
        ready.start([ready.laptop_venv / "bin/offload", *words, *on], stdout=pipe, stderr=pipe, text=True)
        for words in (["jobs"], ["wait", short], ["cancel", long])
    ]
    new = ["run", "--detach", *on, "--", "echo", "new"]
    waiting.append(ready.start([ready.laptop_venv / "bin/offload", *new], stdout=pipe, stderr=pipe, text=True))
    first = []
    for one in waiting:
        assert one.stderr is not None
        first.append(one.stderr.readline())
    assert all("of h1 has not answered yet" in line or "of h1 is away" in line for line in first), first
    host.heal()
    done = [one.communicate(timeout=150) for one in waiting]
    assert [one.returncode for one in waiting] == [0, 0, 0, 0], done
    assert long in done[0][0] and done[1][0] == "done\n"
    number = done[3][0].strip()
    assert ready.offload("wait", number, *on, timeout=120).stdout == "new\n"
    left = json.loads(ready.offload("jobs", "--all", "--json", *on).stdout)
    assert len(left) == 3, left
