"""Environments on real hosts, over SSH: as another user, without a way to any index, with whatever shell."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest

from tests.lab import variants
from tests.lab.lab import Lab
from tests.lab.machine import NotHere
from tests.requirements import requires

pytestmark = pytest.mark.real


def build(lab: Lab, target: str, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return lab.offload("environment", "build", target, "--json", *options, check=check, timeout=280)


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_software_of_the_laptop_on_a_host(lab: Lab) -> None:
    """Also behind a jump host, and with an old Python first on the path."""
    variants.old_python(lab.host("c1"))
    done = build(lab, "ssh://alice@c1")
    first = report(done)
    assert first["built"] and first["sent"] == first["distributions"], first
    assert first["python"].startswith("/home/alice/.local/share/offload/environments/")
    program = "import offload, distributed, numpy; print(numpy.__version__)"
    there = lab.ssh("alice@c1", f'{first["python"]} -c "{program}"').stdout
    assert there == lab.run([lab.laptop_venv / "bin/python", "-c", program]).stdout
    again = build(lab, "ssh://alice@c1")
    assert (report(again)["python"], report(again)["built"]) == (first["python"], False)
    assert "the environment is ready" in again.stderr
    diff = lab.offload("environment", "diff", "ssh://alice@c1", "--environment", first["python"])
    assert (diff.returncode, diff.stdout) == (0, "")
    assert lab.ssh("alice@c1", "umask 077; ls -ld .local/share/offload").stdout.startswith("drwx------")


def test_a_connection_that_breaks_while_wheels_are_sent(lab: Lab) -> None:
    """What has arrived is kept, and not sent again."""
    host = lab.host("h1")
    assert lab.laptop_venv
    host.slow("30mbit")
    words = [str(lab.laptop_venv / "bin/offload"), "environment", "build", "ssh://alice@h1", "--json"]
    process = lab.start(words)
    wheels = "/home/alice/.local/share/offload/environments/wheels"
    deadline = time.monotonic() + 60
    while int(host.exec(f"ls {wheels} 2>/dev/null | wc -l").stdout) < 3:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    host.cut()
    process.wait(60)
    host.heal()
    host.unslow()
    again = report(build(lab, "ssh://alice@h1"))
    assert again["built"] and again["cached"] >= 3
    assert again["cached"] + again["sent"] == again["distributions"]


@pytest.mark.parametrize("shell", ["csh", "fish", "zsh"])
def test_login_shells_that_talk(lab: Lab, shell: str) -> None:
    try:
        variants.login_shell(lab.host("h1"), "alice", shell)
    except NotHere as error:
        requires(False, str(error))
    options = ("--environment", f"check:{lab.offload_venv}/bin/python")
    assert report(build(lab, "ssh://alice@h1", *options))["python"] == f"{lab.offload_venv}/bin/python"


def test_no_python_on_the_path(lab: Lab) -> None:
    variants.path_without_python(lab.host("h1"))
    done = lab.offload("environment", "diff", "ssh://alice@h1", check=False)
    assert "/python3" in done.stderr
    assert "offload" in done.stdout
    assert done.returncode == 1


def test_a_disk_without_room(lab: Lab) -> None:
    lab.host("h1").small_disk("/scratch", "5m", user="alice")
    done = build(lab, "ssh://alice@h1", "--directory", "/scratch/environments", check=False)
    assert done.returncode == 3
    assert "/scratch/environments on ssh://alice@h1 has " in done.stderr
    assert "OFFLOAD_HOME" in done.stderr


def test_a_home_that_cannot_be_written(lab: Lab) -> None:
    done = build(lab, "ssh://alice@h1", "--directory", "/root/environments", check=False)
    assert done.returncode == 3
    assert "on ssh://alice@h1 cannot be written: Permission denied" in done.stderr
