"""A deployment on this machine, up and down for real."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from offload.api.client import client
from offload.deploy import scaling
from offload.deploy.config.link import Link
from offload.deploy.config.spec import Spec
from offload.deploy.endpoints import is_free
from offload.deploy.head_client import ask
from offload.deploy.lifecycle import local as launch
from offload.deploy.security import credentials
from offload.errors import OffloadError
from offload.registry.contact import Contact
from offload.registry.deployments import Place, Registry
from offload.util.processes import family, wait_until_gone
from tests.conftest import Offload

pytestmark = pytest.mark.real

SECONDS = 60.0


def eventually(what: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait until `what` gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
    return found


@pytest.fixture
def registry(home: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT", raising=False)
    return Registry(str(home))


def free_range(count: int) -> tuple[int, int]:
    """Return the first and last of so many free ports, which nobody else is likely to take meanwhile.

    They are neither Dask's usual ones, nor those that the system gives out, nor those of tests that run side by side.
    """
    lowest = 20000 + 1000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 12)
    while True:
        first = random.randrange(lowest, lowest + 1000 - count)
        if all(is_free("127.0.0.1", port) for port in range(first, first + count)):
            return first, first + count - 1


@pytest.fixture
def place(registry: Registry) -> Iterator[Place]:
    """A deployment with one worker."""
    launch.up(registry, Spec(name="test", workers=1, port=free_range(1)[0]), print)
    place = registry.get("test")
    yield place
    if os.path.exists(place.spec):
        launch.down(registry, place, print)


def contact_of(place: Place) -> Contact:
    found = Contact.read(place.contact)
    assert found is not None
    return found


def connected(place: Place) -> list[dict[str, Any]]:
    return [w for w in launch.status(place)["workers"] if w["state"] == "connected"]


def test_up_use_down_leaves_nothing(registry: Registry, place: Place) -> None:
    contact = contact_of(place)
    members = family(contact.head["pid"])
    assert launch.up(registry, Spec(name="test"), print)[1] is False  # it is up already
    with client("test") as dask:
        assert dask.submit(sum, [1, 2]).result(SECONDS) == 3
    members |= family(contact.head["pid"])
    assert len(members) >= 4  # head, scheduler, worker's loop, worker
    launch.down(registry, place, print)
    assert wait_until_gone(members, 5) == {}
    assert not os.path.exists(place.path)
    assert not os.path.exists(contact.head["runtime"])
    assert registry.names() == []


def test_a_killed_scheduler_comes_back_where_it_was(place: Place) -> None:
    address = contact_of(place).scheduler
    eventually(lambda: connected(place))
    scheduler = launch.status(place)["services"][0]
    assert scheduler["name"] == "scheduler"
    os.kill(scheduler["pid"], signal.SIGKILL)
    eventually(lambda: launch.status(place)["services"][0]["restarts"] == 1 and connected(place))
    assert contact_of(place).scheduler == address
    with client("test") as dask:
        assert dask.submit(sum, [1, 2]).result(SECONDS) == 3


def test_a_killed_worker_comes_back(place: Place) -> None:
    (worker,) = eventually(lambda: connected(place))
    for process in psutil.Process(worker["pid"]).children(recursive=True):
        process.kill()
    os.kill(worker["pid"], signal.SIGKILL)
    eventually(lambda: [w for w in connected(place) if w["restarts"] == 1])


def test_a_killed_head_takes_all_with_it_and_up_starts_it_again(registry: Registry, place: Place) -> None:
    contact = contact_of(place)
    token = credentials.token(place.keys)
    eventually(lambda: connected(place))
    members = family(contact.head["pid"])
    os.kill(contact.head["pid"], signal.SIGKILL)
    assert wait_until_gone(members, 30) == {}
    assert launch.state(place) == "dead"
    again, started = launch.up(registry, Spec(name="test", workers=1), print)
    assert started
    assert again.head["pid"] != contact.head["pid"]
    assert credentials.token(place.keys) == token  # the same identity
    eventually(lambda: connected(place))


def test_scaling(place: Place) -> None:
    contact = contact_of(place)
    ask(place, contact, "POST", "/v1/scale", {"workers": 2})
    eventually(lambda: len(connected(place)) == 2)
    members = family(contact.head["pid"])
    told = ask(place, contact, "POST", "/v1/scale", {"workers": 0})
    assert told["workers"] == []
    eventually(lambda: len(family(contact.head["pid"])) < len(members) - 2)


def test_the_dashboard_is_there_for_its_owner(place: Place) -> None:
    contact = contact_of(place)
    context = ssl.create_default_context(cafile=credentials.authority(place.keys))
    link = f"{contact.head['url']}/login?token={credentials.token(place.keys)}"
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor()
    )
    with opener.open(link, timeout=30) as page:
        assert page.url.endswith("/status")
        text = page.read()
        assert b"Dask" in text
        assert b"bokeh.min.js" in text  # plots, and not the page that says what they need


def test_the_commands(offload: Offload, registry: Registry) -> None:
    up = offload("up", "--name", "shell", "--workers", "1", "--json", timeout=SECONDS)
    assert up.returncode == 0, up.stderr
    told = json.loads(up.stdout)
    assert told["started"] is True
    try:
        assert b"up already" in offload("up", "--name", "shell").stderr
        (row,) = json.loads(offload("list", "--json").stdout)
        assert (row["name"], row["state"], row["in_use"]) == ("shell", "running", False)
        assert offload("use", "shell").returncode == 0
        assert json.loads(offload("list", "--json").stdout)[0]["in_use"] is True
        lines = offload("env").stdout.decode()
        assert f"export DASK_SCHEDULER_ADDRESS={told['scheduler']}\n" in lines
        assert credentials.token(registry.get("shell").keys) not in lines
        assert b"head: " in offload("logs").stdout
        assert b"is up" in offload("logs", "--worker", "head").stdout
        missing = offload("logs", "--worker", "nobody")
        assert missing.returncode == 1
        assert b"no log of nobody" in missing.stderr
    finally:
        down = offload("down", "shell", timeout=SECONDS)
    assert down.returncode == 0, down.stderr
    assert json.loads(offload("list", "--json").stdout) == []
    gone = offload("down", "shell")
    assert gone.returncode == 0
    assert b"shell is down already" in gone.stderr


def test_every_port_comes_from_the_range(registry: Registry) -> None:
    first, last = free_range(24)
    contact, _ = launch.up(registry, Spec(name="narrow", workers=2, ports=(first, last)), print)
    try:
        place = registry.get("narrow")
        eventually(lambda: len(connected(place)) == 2)
        ports = listening(family(contact.head["pid"]))
        assert len(ports) == 8  # head, scheduler, jobs, storage, two workers and their nannies
        assert ports <= set(range(first, last + 1))
        with pytest.raises(OffloadError, match="too few ports"):
            scaling.scale(place, 20)
        assert len(connected(place)) == 2
    finally:
        launch.down(registry, registry.get("narrow"), print)


def test_a_scheduler_comes_back_to_its_port_in_a_narrow_range(registry: Registry) -> None:
    # It has the first of as many ports as are needed, and is away while workers look for one.
    ports = free_range(8)
    contact, _ = launch.up(registry, Spec(name="narrow", workers=2, port=ports[0], ports=ports), print)
    place = registry.get("narrow")
    head = contact.head["pid"]
    try:
        eventually(lambda: len(connected(place)) == 2)
        told = launch.status(place)
        (scheduler,) = [service["pid"] for service in told["services"] if service["name"] == "scheduler"]
        for worker in told["workers"]:  # the scheduler knows of it before its nanny does
            eventually(lambda worker=worker: "works for" in Path(place.log(worker["name"])).read_text())  # type: ignore[misc]
        os.kill(head, signal.SIGSTOP)
        os.kill(scheduler, signal.SIGKILL)
        for worker in told["workers"]:
            eventually(lambda worker=worker: "has gone away" in Path(place.log(worker["name"])).read_text())  # type: ignore[misc]
            eventually(lambda worker=worker: listening([worker["pid"]]))  # type: ignore[misc]
        os.kill(head, signal.SIGCONT)
        eventually(lambda: len(connected(place)) == 2)
        assert contact_of(place).scheduler == contact.scheduler
    finally:
        os.kill(head, signal.SIGCONT)
        launch.down(registry, place, print)


def listening(pids: Iterable[int]) -> set[int]:
    """Return the ports on which processes listen."""
    connections = [c for pid in pids for c in psutil.Process(pid).net_connections("tcp")]
    return {c.laddr[1] for c in connections if c.status == psutil.CONN_LISTEN}


def test_what_does_not_come_up_says_why(offload: Offload) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        refused = offload("up", "--port", port, timeout=SECONDS)
        assert refused.returncode == 1
        assert f"{port}".encode() in refused.stderr
        assert b"taken" in refused.stderr
        assert offload("list", "--json").stdout.strip() == b"[]"  # it has never been up
        assert os.path.exists(refused.stderr.decode().rpartition("its log: ")[2].strip())
        assert b"Traceback" not in refused.stderr
    few = offload("up", "--ports", "60001-60007", "--workers", "2")
    assert few.returncode == 2
    assert b"60001-60007 are too few ports: up to 8 are needed" in few.stderr


def test_what_is_down_already_is_no_error(offload: Offload, registry: Registry) -> None:
    done = offload("down", "x")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"x is down already: there is no deployment of this name" in done.stderr
    left = Path(registry.create("x", "{}").spec)
    left.unlink()  # as after an `offload up` that has failed
    assert offload("down", "x").returncode == 0
    assert not left.parent.exists()


def test_all_are_brought_down_and_one_that_fails_stops_no_other(
    offload: Offload, registry: Registry, tmp_path: Path
) -> None:
    names = ("a", "b", "c")
    for name in names:
        launch.up(registry, Spec(name=name, storage_only=True), print)
    away = Link("ssh://nobody@127.0.0.1:1", runtime=str(tmp_path), python="/usr/bin/python3")
    registry.create("away", Spec(name="away", link=away).to_json())
    done = offload("down", "--all", timeout=SECONDS)
    said = done.stderr.decode()
    for name in names:
        assert f"offload: {name} is down" in said
    assert done.returncode == 1
    assert "nothing listens for SSH at 127.0.0.1" in said
    assert registry.names() == ["away"], said  # it may still run there


def test_workers_are_as_they_were_asked_for(offload: Offload, registry: Registry, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    choices = ["--workers", "1", "--threads", "2", "--memory-limit", "500MB", "--no-nanny", "--scratch", str(scratch)]
    done = offload("up", "--name", "chosen", *choices, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    try:
        with client("chosen") as dask:
            dask.wait_for_workers(1, timeout=SECONDS)
            (worker,) = dask.scheduler_info()["workers"].values()
        assert (worker["nthreads"], worker["memory_limit"], worker["nanny"]) == (2, 500_000_000, None)
        assert worker["local_directory"].startswith(str(scratch))
    finally:
        assert offload("down", "chosen", timeout=SECONDS).returncode == 0
    assert list(scratch.iterdir()) == []


def test_a_prompt_beside_a_deployment(offload: Offload) -> None:
    typed = b"print(client.submit(sum, [1, 2, 3]).result(), deployment.status()['state'], cluster is deployment)\n"
    done = offload("up", "--name", "prompted", "--workers", "1", "--interactive", input=typed, timeout=SECONDS)
    try:
        assert done.returncode == 0, done.stderr
        assert b"6 running True" in done.stdout
        assert b"prompted stays up; offload down prompted ends it" in done.stderr
        refused = offload("up", "--interactive", "--foreground")
        assert (refused.returncode, b"--interactive goes with neither" in refused.stderr) == (2, True)
    finally:
        assert offload("down", "prompted", timeout=SECONDS).returncode == 0
