"""``offload list ssh://...`` and ``offload down ssh://... NAME``: deployments that somebody else has started."""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest

from tests.deploy.remote.conftest import PYTHON, wait_for
from tests.lab import variants
from tests.lab.lab import Lab

pytestmark = pytest.mark.real


def test_they_are_found_used_and_ended_from_a_laptop_that_did_not_start_them(ready: Lab) -> None:
    lab = ready
    none = lab.offload("list", "ssh://alice@h1")
    assert (none.returncode, none.stdout) == (0, "")
    assert none.stderr == "offload: there are no deployments on ssh://alice@h1; offload up ssh://alice@h1 starts one\n"
    for name in ("one", "two"):
        assert lab.offload("up", "ssh://alice@h1", "--name", name, *PYTHON, "--workers", "1").returncode == 0
    known = lab.offload("list", "ssh://alice@h1").stdout.splitlines()
    assert [line.split()[0] for line in known[1:]] == ["one", "two"]
    assert all(line.endswith("yes") for line in known[1:])

    other = {"OFFLOAD_HOME": str(lab.home / "other")}
    found = json.loads(lab.offload("list", "ssh://alice@h1", "--json", env=other).stdout)
    assert [(one["name"], one["state"], one["known"]) for one in found] == [
        ("one", "running", False),
        ("two", "running", False),
    ]
    # known by connecting to it, it can be used, and ended
    assert lab.offload("up", "ssh://alice@h1", "--name", "one", *PYTHON, env=other).returncode == 0
    assert lab.offload("run", "--on", "one", "--", "hostname", env=other).stdout == "h1\n"
    assert lab.offload("down", "one", env=other).returncode == 0
    # or ended as it is
    several = lab.offload("down", "ssh://alice@h1", "three", env=other)
    assert (several.returncode, several.stderr.splitlines()[-1]) == (1, "  there are: two")
    done = lab.offload("down", "ssh://alice@h1", "two", env=other)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("offload: two is down\n")
    there = lab.host("h1")
    wait_for(lambda: not any("offload" in one.command for one in there.processes("alice")), "the end of all there")
    # the laptop that had started them finds out, and lets go of what it knew
    assert lab.offload("down", "--all").returncode == 0
    assert lab.offload("list").stdout == ""


def test_after_the_client_is_gone_and_with_a_shell_that_talks(ready: Lab) -> None:
    lab = ready
    variants.login_shell(lab.host("h1"), "alice", "csh")
    assert lab.offload("up", "ssh://alice@h1", *PYTHON, "--workers", "1").returncode == 0
    home = lab.home / ".local/share/offload"
    os.kill(json.loads((home / "deployments/h1/contact.json").read_text())["head"]["pid"], signal.SIGKILL)
    shutil.rmtree(home)
    (head,) = [one.outer for one in lab.host("h1").processes("alice") if "offload.deploy.head" in one.command]
    os.kill(head, signal.SIGKILL)
    # without a head, nothing there tells where offload is
    lost = lab.offload("list", "ssh://alice@h1")
    assert (lost.returncode, lost.stderr.splitlines()[-1]) == (1, "  name it: --python /path/of/python")
    python = ["--python", "/shared/venv/bin/python"]
    assert "dead" in lab.offload("list", "ssh://alice@h1", *python).stdout
    assert lab.offload("down", "ssh://alice@h1", *python).stderr.endswith("offload: h1 is down\n")
    assert [one.command for one in lab.host("h1").processes("alice") if "offload" in one.command] == []
    nothing = lab.offload("down", "ssh://alice@h1")
    assert "there are no deployments on ssh://alice@h1" in nothing.stderr
