"""`offload up ssh://... --environment container:IMAGE`: a user's own podman on another machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.deploy.remote.conftest import wait_for
from tests.lab import images, machine
from tests.lab.images import IMAGE
from tests.lab.lab import Lab
from tests.requirements import requires

pytestmark = [pytest.mark.real, pytest.mark.timeout(500)]

UP = ["up", "ssh://alice@h1", "--environment", f"container:{IMAGE}", "--workers", "1"]
HELPER = "import threading\nLOCK = threading.Lock()\nclass Place(str):\n    __slots__ = ()\n"
TASK = """
import os
import offload
from helper import LOCK, Place

@offload.task(effects="ignore")
def where(number):
    with LOCK:  # which goes nowhere by value
        return found()

def found():
    image = open("/etc/image").read().strip()
    return Place(image), os.uname().nodename, os.getuid() == os.stat(os.environ["HOME"]).st_uid

if __name__ == "__main__":
    future = where.submit(3)
    assert type(future.result()[0]) is Place
    print(*future.result(), future.recalled)
"""


@pytest.fixture
def contained(lab: Lab, tmp_path: Path) -> Lab:
    """A lab whose host h1 has podman, with an image that alice has."""
    try:
        machine.install({"podman": "podman", "newuidmap": "uidmap", "runc": "runc"})
    except machine.NotHere as error:
        requires(False, str(error))
    assert lab.laptop_venv
    images.make_image(lab.python, tmp_path / "image.tar")
    trouble = images.install(lab.host("h1"), tmp_path / "image.tar")
    requires(not trouble, f"needs a podman that runs containers of a user: {trouble}")
    (lab.home / "task.py").write_text(TASK)
    (lab.home / "helper.py").write_text(HELPER)
    return lab


def task(lab: Lab) -> str:
    done = lab.run(
        [lab.laptop_venv / "bin/python", "task.py"], cwd=lab.home, env={"OFFLOAD_DEPLOYMENT": "h1"}, check=False
    )
    return done.stdout or done.stderr


def containers(lab: Lab) -> list[str]:
    return lab.ssh("alice@h1", "podman ps --all --format '{{.Names}}'").stdout.split()


def test_a_deployment_in_a_container_of_another_machine(contained: Lab) -> None:
    lab = contained
    absent = lab.offload("up", "ssh://alice@h1", "--environment", "container:localhost/absent")
    assert (absent.returncode, absent.stdout) == (1, "")
    assert "does not have the image localhost/absent" in absent.stderr and "podman load" in absent.stderr
    up = lab.offload(*UP, timeout=300)
    assert up.returncode == 0, up.stderr
    assert f"container:{IMAGE} lacks" in up.stderr
    assert task(lab) == "analysis h1 True False\n"
    assert task(lab) == "analysis h1 True True\n"
    done = lab.offload("run", "--on", "h1", "--", "cat", images.MARK)
    assert done.stdout == "analysis\n", done.stderr
    assert [name.startswith("offload-h1-") for name in containers(lab)] == [True]
    doctor = lab.offload("doctor", "h1", timeout=120).stdout
    assert f"has {IMAGE}, with Python as here: /usr/bin/python3" in doctor, doctor
    # files are the user's
    assert lab.host("h1").exec("find /home/alice/.local/share/offload ! -user alice").stdout == ""
    # whoever kills the container, the next that needs it has another one
    lab.ssh("alice@h1", "podman kill $(podman ps --quiet)")
    wait_for(lambda: json.loads(lab.offload("list", "--json").stdout)[0]["state"] == "dead", "the end of the head")
    again = lab.offload("up", "h1", timeout=200)
    assert again.returncode == 0, again.stderr
    assert "the environment is ready" in again.stderr
    assert task(lab) == "analysis h1 True True\n"
    down = lab.offload("down", "h1", timeout=120)
    assert down.returncode == 0, down.stderr
    assert containers(lab) == []
    assert [one for one in lab.host("h1").processes("alice") if "offload" in one.command] == []


def test_one_that_was_brought_down_there(contained: Lab) -> None:
    lab = contained
    assert lab.offload(*UP, timeout=300).returncode == 0
    other = {"OFFLOAD_HOME": str(lab.home / "other")}
    done = lab.offload("down", "ssh://alice@h1", "h1", env=other, timeout=120)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: json.loads(lab.offload("list", "--json").stdout)[0]["state"] == "down", "what became of it")
    wait_for(lambda: containers(lab) == [], "the end of the container")
    down = lab.offload("down", "h1", timeout=120)
    assert down.returncode == 0, down.stderr
    assert containers(lab) == []
