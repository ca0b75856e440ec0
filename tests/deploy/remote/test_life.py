"""What happens to a deployment on another machine when the network, the machine or a process fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.remote.conftest import PYTHON, Mapping, wait_for
from tests.lab.lab import Lab
from tests.lab.variants import answering, two_factor

pytestmark = pytest.mark.real

Start = Callable[[str], Mapping]


def up(lab: Lab, *words: str) -> None:
    done = lab.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "4", *words, timeout=120)
    assert done.returncode == 0, done.stderr


def state(lab: Lab, name: str = "h1") -> str:
    (row,) = (row for row in json.loads(lab.offload("list", "--json").stdout) if row["name"] == name)
    return str(row["state"])


def contact(lab: Lab, name: str = "h1") -> Any:
    return json.loads((lab.home / ".local/share/offload/deployments" / name / "contact.json").read_text())


def test_a_cable_that_is_pulled_for_half_a_minute(ready: Lab, start_map: Start) -> None:
    up(ready)
    running = start_map("h1")
    ready.host("h1").cut()
    time.sleep(30)
    ready.host("h1").heal()
    running.end()
    assert len(running.done()) == 40  # nothing ran twice


def test_a_killed_ssh_master(ready: Lab, start_map: Start) -> None:
    up(ready)
    running = start_map("h1")
    (master,) = ready.run(["pgrep", "-f", f"{contact(ready)['head']['runtime']}/ssh .* -M "]).stdout.split()
    os.kill(int(master), signal.SIGKILL)
    running.end()
    assert len(running.done()) == 40


def test_power_loss_and_restart_of_the_other_machine(ready: Lab, start_map: Start) -> None:
    up(ready)
    running = start_map("h1")
    ready.host("h1").crash()
    before = running.done()
    time.sleep(3)
    ready.host("h1").boot()
    said = running.end(180)
    assert "offload: the job service of h1 is away" in said
    after = running.done()
    assert len(after) <= 40 + 8, "what was recorded ran again"
    assert set(before[:-8]).isdisjoint(after[len(before) :])
    assert state(ready) == "running"


def test_a_head_that_is_killed_is_brought_up_by_who_needs_it(ready: Lab, start_map: Start) -> None:
    up(ready, "--workers", "1")
    assert ready.offload("scale", "h1", "2").returncode == 0
    running = start_map("h1")
    heads = [p.outer for p in ready.host("h1").processes("alice") if "deploy.head" in p.command]
    assert len(heads) == 1
    os.kill(heads[0], signal.SIGKILL)
    running.end()
    assert len(json.loads(ready.offload("status", "h1", "--json").stdout)["workers"]) == 2  # as many as it had


LOOP = """
import offload, sys, time

@offload.task
def tenfold(k, n):
    return 10 * n

futures, end = [], time.monotonic() + 20
while time.monotonic() < end:
    futures.append(tenfold.submit(sys.argv[1], len(futures)))
    time.sleep(0.005)  # some thousands, on any machine
assert offload.gather(futures) == [10 * n for n in range(len(futures))]
print("all there")
"""


def test_services_that_are_told_to_stop_again_and_again(ready: Lab) -> None:
    """They say so over connections that are open, in the middle of anything; programs wait for the next ones."""
    up(ready, "--workers", "1")
    (ready.home / "loop.py").write_text(LOOP)
    pipe, python = subprocess.PIPE, str(ready.laptop_venv / "bin/python")
    programs = [
        ready.start([python, "loop.py", name], env={"OFFLOAD_DEPLOYMENT": "h1"}, stdout=pipe, stderr=pipe, text=True)
        for name in "abc"
    ]
    for number in range(10):
        time.sleep(1.7)
        service = "storage" if number % 3 else "jobs"
        ready.host("h1").exec(f"pkill -TERM -u alice -f offload.deploy.{service}", check=False)
    for program in programs:
        out, err = program.communicate(timeout=200)
        assert out == "all there\n", err


def test_a_killed_keeper_and_a_laptop_that_was_restarted(ready: Lab) -> None:
    up(ready)
    os.kill(contact(ready)["head"]["pid"], signal.SIGKILL)
    wait_for(lambda: state(ready) == "disconnected", "the end of the keeper")
    again = ready.offload("run", "--on", "h1", "hostname")
    assert again.stdout == "h1\n", again.stderr
    assert state(ready) == "running"


@pytest.mark.parametrize("link", ["slow", "far"])
def test_a_bad_line(ready: Lab, link: str) -> None:
    host = ready.host("h1")
    host.slow("8mbit") if link == "slow" else host.delay(200)
    up(ready)
    (ready.home / "numbers").write_bytes(b"1\n" * 500_000)
    done = ready.offload("run", "--on", "h1", "wc", "-l", "numbers", timeout=120)
    assert done.stdout == "500000 numbers\n", done.stderr
    many = ready.offload("run", "--on", "h1", "--each", "-", "--", "echo", "{}", input="a\nb\nc\n", timeout=120)
    assert sorted(many.stdout.split()) == ["a", "b", "c"], many.stderr
    assert ready.offload("down", "h1", timeout=120).returncode == 0


def test_a_machine_that_cannot_be_reached_is_not_forgotten(ready: Lab) -> None:
    up(ready)
    ready.host("h1").crash()
    refused = ready.offload("down", "h1", timeout=120)
    assert refused.returncode == 1
    assert "h1 does not answer" in refused.stderr or "closed" in refused.stderr, refused.stderr
    assert [row["name"] for row in json.loads(ready.offload("list", "--json").stdout)] == ["h1"]
    ready.host("h1").boot()
    again = ready.offload("down", "h1", timeout=120)
    assert again.returncode == 0, again.stderr
    wait_for(lambda: not ready.host("h1").processes("alice"), "the end of all processes there")


def stays_down(lab: Lab) -> None:
    """See that who needs it is told, and brings nothing up."""
    told = lab.offload("run", "--on", "h1", "echo", "hello", timeout=120)
    assert told.returncode != 0
    assert "brought down" in told.stderr, told.stderr
    assert "offload up h1" in told.stderr, told.stderr
    status = lab.offload("status", "h1")
    assert status.returncode == 1
    assert "brought down" in status.stderr
    assert not [one for one in lab.host("h1").processes("alice") if "deploy.head" in one.command]


def keeper(lab: Lab) -> int:
    place = lab.home / ".local/share/offload/deployments/h1/contact.json"
    return int(json.loads(place.read_text())["head"]["pid"])


def test_what_somebody_else_has_brought_down(ready: Lab) -> None:
    up(ready)
    there = "/shared/venv/bin/offload down h1"
    assert ready.ssh("alice@h1", there).returncode == 0
    wait_for(lambda: state(ready) == "down", "the news")
    stays_down(ready)
    assert ready.offload("up", "h1", timeout=120).returncode == 0
    assert ready.offload("run", "--on", "h1", "echo", "hello", timeout=120).stdout == "hello\n"
    # while nobody keeps the connection here, nobody is told
    ready.run(f"kill -9 {keeper(ready)}", check=True)
    assert ready.ssh("alice@h1", there).returncode == 0
    assert state(ready) == "disconnected"
    stays_down(ready)
    assert state(ready) == "down"
    assert ready.offload("down", "h1", timeout=120).returncode == 0


def test_a_full_disk_there(ready: Lab) -> None:
    ready.host("h1").small_disk("/home/alice/.local", "64k", user="alice")
    done = ready.offload("up", "ssh://alice@h1", *PYTHON, timeout=120)
    assert done.returncode == 1
    assert "offload: ssh://alice@h1: no space left where /home/alice" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert ready.offload("list").stdout == ""


def test_another_user_there_gets_nothing(ready: Lab) -> None:
    up(ready)
    assert ready.offload("up", "ssh://bob@h1", "--name", "bobs", *PYTHON, "--workers", "1", timeout=120).returncode == 0
    names = ("alice", "bob")
    heads = {name: [p for p in ready.host("h1").processes(name) if "deploy.head" in p.command] for name in names}
    assert [len(found) for found in heads.values()] == [1, 1]
    ports = ready.host("h1").exec(["sh", "-c", "ss -Htln | awk '{print $4}'"]).stdout.split()
    assert len(ports) > 8
    assert ready.ssh("bob@h1", "cat /home/alice/.local/share/offload/deployments/h1/keys/token", check=False).returncode
    probe = "import ssl,sys,urllib.request as u; c=ssl._create_unverified_context(); t=open(sys.argv[1]).read().strip()"
    probe += "; r=u.Request(sys.argv[2]+'/v1/status', headers={'Authorization': 'Bearer '+t}); u.urlopen(r, context=c)"
    ready.host("h1").write("/home/bob/probe.py", probe, user="bob")
    url = json.loads(ready.host("h1").read("/home/alice/.local/share/offload/deployments/h1/contact.json"))["head"][
        "url"
    ]
    token = "/home/bob/.local/share/offload/deployments/bobs/keys/token"
    refused = ready.ssh("bob@h1", f"/shared/venv/bin/python probe.py {token} {url}", check=False)
    assert "401" in refused.stderr, refused.stderr


def test_a_cut_where_a_second_factor_is_asked_for_waits_for_one_prompt(ready: Lab) -> None:
    two_factor(ready.host("h1"), "alice")
    code = answering(ready, "424242")
    done = ready.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "1", env=code)
    assert done.returncode == 0, done.stderr
    (master,) = ready.run(["pgrep", "-f", f"{contact(ready)['head']['runtime']}/ssh .* -M "]).stdout.split()
    os.kill(int(master), signal.SIGKILL)
    wait_for(lambda: state(ready) == "away", "the loss of the connection")
    pipe = subprocess.PIPE
    words = [str(ready.laptop_venv / "bin/offload"), "run", "--on", "h1", "hostname"]
    waiting = ready.start(words, stdout=pipe, stderr=pipe, text=True)
    assert waiting.stderr is not None
    told = waiting.stderr.readline()
    assert "ssh://alice@h1 wants you to log in: offload up h1; waiting" in told
    again = ready.offload("up", "h1", env=code)
    assert again.returncode == 0, again.stderr
    out, err = waiting.communicate(timeout=60)
    assert out == "h1\n", err
    assert state(ready) == "running"
