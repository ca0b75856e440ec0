"""`Deployment` objects whose processes are their own: who ends them, and when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import offload
from offload.api.deployment import _spec
from offload.deploy.lifecycle import common
from offload.deploy.lifecycle import local as launch
from offload.errors import UsageError
from offload.registry.deployments import Place, Registry
from offload.util.liveness import started
from offload.util.processes import family, wait_until_gone
from tests.deploy.test_jobs import place, work
from tests.deploy.test_local import contact_of, eventually

pytestmark = pytest.mark.real

__all__ = ["place"]

SECONDS = 90.0

SCRIPT = """
import sys, time, offload
from offload.registry.contact import Contact
deployment = offload.Deployment(workers=1).start()
print(Contact.read(deployment._cluster.place.contact).head["pid"], flush=True)
{then}
"""


def head_of(script: subprocess.Popen[str]) -> dict[int, str]:
    """Return the processes of the deployment that a script has started."""
    assert script.stdout is not None
    pid = int(script.stdout.readline())
    eventually(lambda: len(family(pid)) > 3)
    return family(pid)


@pytest.mark.parametrize(
    ("then", "how"),
    [
        ("time.sleep(3)", "forgotten"),
        ("time.sleep(3); raise ValueError('x')", "error"),
        ("time.sleep(100)", "interrupted"),
        ("time.sleep(100)", "killed"),
        ("deployment.get_client(); time.sleep(3)", "client left open"),
    ],
)
def test_none_is_left_when_the_program_ends(home: Path, then: str, how: str) -> None:
    command = [sys.executable, "-c", SCRIPT.format(then=then)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as script:
        members = head_of(script)
        if how == "interrupted":
            script.send_signal(signal.SIGINT)
        if how == "killed":
            script.kill()
        script.communicate(timeout=SECONDS)
    assert wait_until_gone(members, SECONDS if how == "killed" else 5) == {}
    if how != "killed":  # there is nobody to remove its files then
        assert Registry(str(home)).names() == []


def test_a_forked_child_leaves_its_parents_deployment_alone(home: Path) -> None:
    then = "import os\nif os.fork() == 0:\n    sys.exit()\nos.wait()\nprint(deployment.status()['state'])"
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT.format(then=then)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    assert done.stdout.split()[1:] == ["running"]
    assert Registry(str(home)).names() == []


def test_one_that_was_up_already_is_left_up(place: Place) -> None:
    with offload.Deployment(name="test", workers=5) as deployment:
        assert deployment.name == "test"
        assert work.submit(os.devnull, 1).result(SECONDS) == 2
    assert launch.state(place) == "running"


def test_choices_may_be_written_as_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OFFLOAD_DATABASE", "~/db")
    for choices in ({"ports": "60001-60100", "idle": "2h"}, {"ports": (60001, 60100), "idle": 7200.0}):
        spec = _spec("x", {**choices, "buffers": "store", "minimum": 0, "maximum": 3, "threads": None})
        assert (spec.ports, spec.idle, spec.threads, spec.maximum) == ((60001, 60100), 7200.0, 1, 3)
        assert (spec.buffers, spec.database) == (str(tmp_path / "store"), str(Path("~/db").expanduser()))
    with pytest.raises(UsageError, match="give a number of workers, or minimum and maximum"):
        offload.Deployment(workers=2, maximum=3)


def test_connecting_gives_an_object(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT")
    log = tmp_path / "log"
    with offload.connect("test") as connection:
        assert connection.status()["state"] == "running"
        assert connection.scheduler_address == contact_of(place).scheduler
        assert work.submit(str(log), 1).result(SECONDS) == 2
    assert int(log.read_text().split()[1]) in family(contact_of(place).head["pid"])
    assert launch.state(place) == "running"


def test_ctrl_c_while_it_comes_up_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def interrupted(place: Place, pid: int, say: common.Say, own: bool) -> None:
        begun.append(pid)
        eventually(lambda: len(family(pid)) > 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "_wait_for", interrupted)
    with pytest.raises(KeyboardInterrupt):
        offload.Deployment(workers=1).start()
    eventually(lambda: started(begun[0]) is None)
    assert Registry(str(home)).names() == []
