"""``offload status`` of a deployment: what it says when something is wrong, and the next step."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import offload as package
from offload.api import submit
from offload.deploy.config.link import Link
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.deploy.security import credentials
from offload.deploy.status import report
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry
from offload.storage.home import Home
from offload.util.liveness import started
from offload.util.processes import wait_until_gone
from tests.cli.conftest import Inside
from tests.deploy.test_local import connected, contact_of, eventually, place, registry

__all__ = ["place", "registry"]

SECONDS = 60.0


@pytest.fixture
def broken(home: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A deployment that is not up."""
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT", raising=False)
    Home(str(home))
    return Registry(str(home)).create("big", Spec(name="big").to_json())


def test_one_that_is_down(inside: Inside, broken: Place) -> None:
    done = inside("status", "big")
    assert done.returncode == 1
    assert b"state: down" in done.stdout
    assert done.stderr.decode() == "offload: the deployment big is down\n  bring it up: offload up big\n"
    told = json.loads(inside("status", "big", "--json").stdout)
    assert (told["state"], len(told["problems"]), told["kept"]["store"]["buffers"]) == ("down", 1, 0)


def test_one_that_has_ended_by_itself(inside: Inside, broken: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Place, "end_reason", lambda place: "nothing was under way for 2 h")
    done = inside("status", "big")
    assert done.returncode == 1
    assert b"the deployment big has ended: nothing was under way for 2 h" in done.stderr
    assert b"offload up big" in done.stderr


def test_one_that_has_lost_its_head(inside: Inside, broken: Place) -> None:
    Contact("running", {"pid": 2**22 + 1, "started": "1", "url": "https://127.0.0.1:1"}).write(broken.contact)
    Path(broken.log("head")).write_text("one\nMemoryError\n")
    done = inside("status", "big")
    assert done.returncode == 1
    assert b"big has lost its head, and with it all that ran: MemoryError" in done.stderr
    assert b"offload up big" in done.stderr


def test_a_head_that_does_not_answer(inside: Inside, broken: Place) -> None:
    credentials.create(broken.keys, ["127.0.0.1"])
    me = {"pid": os.getpid(), "started": started(os.getpid()), "url": "https://127.0.0.1:1"}
    Contact("running", me).write(broken.contact)
    done = inside("status", "big")
    assert done.returncode == 1
    assert b"the head of big does not answer at https://127.0.0.1:1" in done.stderr
    assert b"offload logs big" in done.stderr


def test_one_that_is_not_there(inside: Inside, broken: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    done = inside("status", "small")
    assert (done.returncode, b"there is no deployment small" in done.stderr) == (1, True)
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "small")
    done = inside("status")
    assert (done.returncode, b"there is no deployment small" in done.stderr) == (1, True)
    assert b"home: " in done.stdout


def test_the_active_one_is_shown_with_the_home(inside: Inside, broken: Place) -> None:
    assert inside("status").returncode == 0
    assert json.loads(inside("status", "--json").stdout)["deployment"] is None
    assert inside("use", "big").returncode == 0
    done = inside("status")
    assert done.returncode == 1
    assert b"home: " in done.stdout
    assert b"deployment: big\nstate: down\n" in done.stdout
    assert json.loads(inside("status", "--json").stdout)["deployment"]["name"] == "big"


def worker(state: str, restarts: int) -> dict[str, Any]:
    return {"name": "worker-0", "state": state, "pid": None, "restarts": restarts}


@pytest.mark.parametrize(
    ("workers", "adaptive", "waits", "problem"),
    [
        ([worker("connected", 0)], None, [], None),
        ([worker("connected", 2)], None, [], None),
        ([worker("running", 0)], None, ["no workers are connected: worker-0 is connecting: No disk"], None),
        (
            [worker("restarting", 3)],
            None,
            ["no workers are connected: worker-0 ended 3 times: No disk"],
            "worker-0 ended 3 times: No disk",
        ),
        ([], None, ["there are no workers"], "12 calls wait: there are no workers"),
        ([], {"minimum": 0, "maximum": 4}, ["there are no workers yet"], None),
    ],
)
def test_what_waits_and_why(
    broken: Place,
    monkeypatch: pytest.MonkeyPatch,
    workers: list[dict[str, Any]],
    adaptive: object,
    waits: list[str],
    problem: str | None,
) -> None:
    head = {"pid": os.getpid(), "started": started(os.getpid()), "url": "https://127.0.0.1:1"}
    Contact("running", head).write(broken.contact)
    Path(broken.log("worker-0")).write_text("Traceback\nNo disk\n")
    told = {"name": "big", "state": "running", "services": [], "workers": workers, "adaptive": adaptive}
    monkeypatch.setattr(launch, "status", lambda place: told)
    monkeypatch.setattr(
        "offload.deploy.status._jobs", lambda place, contact: {"under_way": 12, "calls": {"f": 12}, "commands": {}}
    )
    found = report(broken)
    assert found["waits"] == [f"12 calls wait: {text}" for text in waits]
    assert [item["message"] for item in found["problems"]] == ([problem] if problem else [])


@pytest.mark.real
def test_one_that_runs(inside: Inside, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    eventually(lambda: connected(place))
    contact = contact_of(place)
    done = inside("status", "test")
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert "under way: nothing\n" in text
    assert "health: good\n" in text
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    for name, address in (("head", contact.head["url"]), ("scheduler", contact.scheduler), ("jobs", contact.jobs)):
        assert rows[name].endswith(str(address))
    assert "tls://127.0.0.1" in rows["worker-0"]
    told = json.loads(inside("status", "test", "--json").stdout)
    assert [service["state"] for service in told["services"]] == ["running"] * 4
    assert all(service["since"] <= told["since"] + SECONDS for service in told["services"])
    assert told["kept"]["store"]["path"] == f"{place.home}/store"

    @package.task
    def call(number: int) -> int:
        return number

    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "test")
    assert inside("scale", "test", "0").returncode == 0
    futures = call.map(range(3))
    eventually(lambda: report(place)["jobs"]["under_way"] == 3)
    done = inside("status", "test")
    assert done.returncode == 1
    assert b"waits: 3 calls wait: there are no workers\n" in done.stdout
    assert b"under way: 3 calls (" in done.stdout
    assert b"<locals>.call 3)" in done.stdout
    assert b"offload scale test N" in done.stderr
    assert inside("scale", "test", "1").returncode == 0
    assert package.gather(futures, timeout=SECONDS) == [0, 1, 2]
    submit.shutdown()

    victim = next(s for s in report(place)["services"] if s["name"] == "jobs")
    os.kill(victim["pid"], signal.SIGKILL)
    eventually(lambda: [s["restarts"] for s in report(place)["services"] if s["name"] == "jobs"] == [1])
    eventually(lambda: inside("status", "test").returncode == 0)

    os.kill(contact.head["pid"], signal.SIGKILL)
    assert not wait_until_gone({contact.head["pid"]: contact.head["started"]}, SECONDS)
    assert b"test has lost its head" in inside("status", "test").stderr


def test_commands_that_wait_for_a_group_say_why_it_does_not_come(
    broken: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = {"pid": os.getpid(), "started": started(os.getpid()), "url": "https://127.0.0.1:1"}
    Contact("running", head).write(broken.contact)
    pending = {**worker("pending", 0), "name": "fat-0", "group": "fat", "reason": "PartitionDown"}
    groups = [{"name": "fat", "resources": "fat=1", "adaptive": {"minimum": 0, "maximum": 2}}]
    workers = [{**worker("connected", 0), "resources": {}}, pending]
    told = {"name": "big", "state": "running", "services": [], "workers": workers, "groups": groups}
    jobs = {"under_way": 3, "calls": {}, "commands": {"waiting": 3}, "needed": {"": 1, "fat=1": 2}}
    monkeypatch.setattr(launch, "status", lambda place: told)
    monkeypatch.setattr("offload.deploy.status._jobs", lambda place, contact: jobs)
    assert report(broken)["waits"] == [
        "2 commands need fat=1, which no connected worker has: fat-0 is pending: PartitionDown"
    ]


def test_a_head_that_is_pending(broken: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"name": "big", "state": "pending: Priority", "services": [], "workers": []}
    monkeypatch.setattr(launch, "status", lambda place: told)
    (problem,) = report(broken)["problems"]
    assert problem["message"] == "the deployment big is pending: Priority"
    assert problem["hint"] == "wait for it: offload up big; or take it back: offload down big"


def test_a_head_on_another_machine_that_does_not_answer(inside: Inside, broken: Place, tmp_path: Path) -> None:
    link = Link("ssh://me@server", runtime=str(tmp_path), python="/usr/bin/python3")
    Path(broken.spec).write_text(Spec(name="big", link=link).to_json())
    credentials.create(broken.keys, ["127.0.0.1"])
    keeper = {"pid": os.getpid(), "started": started(os.getpid()), "node": os.uname().nodename, "host": "server"}
    Contact("running", {**keeper, "url": "https://127.0.0.1:1"}).write(broken.contact)
    done = inside("status", "big")
    assert done.returncode == 1
    assert b"it may be just the connection to ssh://me@server that was cut" in done.stderr
    assert b"offload doctor big" in done.stderr
    assert b"offload down" not in done.stderr and b"offload up" not in done.stderr
    told = json.loads(inside("status", "big", "--json").stdout)
    assert told["services"][0]["pid"] is None  # the process here is not the head
