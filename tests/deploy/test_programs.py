"""The programs that ``offload up`` starts, started by hand."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import offload as api
from offload.api.client import client
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.deploy.security import client_certificates
from offload.deploy.workers.discovery import whereabouts
from offload.errors import NotFoundError, UsageError
from offload.registry.deployments import Place, Registry
from offload.util.processes import family, wait_until_gone
from tests.conftest import Offload
from tests.deploy.test_local import connected, contact_of, eventually, free_range

SECONDS = 60.0


@api.task
def product(a: int, b: int) -> int:
    return a * b


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(home: Path, command: Path, tmp_path: Path) -> Iterator[Start]:
    """Start the command and leave it running; its output is a pipe, its messages are in a file."""
    started = []

    def begin(*words: str, **environment: str) -> subprocess.Popen[bytes]:
        with open(tmp_path / f"{words[0]}.err", "ab") as errors:
            process = subprocess.Popen(
                [command, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=SECONDS)


@pytest.fixture
def place(home: Path) -> Iterator[Place]:
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", workers=0), print)
    yield registry.get("test")
    launch.down(registry, registry.get("test"), print)


def named(place: Place, name: str) -> list[dict[str, Any]]:
    return [worker for worker in connected(place) if worker["name"] == name]


@pytest.mark.real
@pytest.mark.parametrize("by", ["file", "url"])
def test_a_worker_joins_a_deployment(place: Place, start: Start, tmp_path: Path, by: str) -> None:
    words = [place.contact]
    environment = {}
    if by == "url":
        shutil.copytree(place.keys, tmp_path / "copy")
        words = [contact_of(place).head["url"], "--credentials", str(tmp_path / "copy")]
        environment = {"OFFLOAD_HOME": str(tmp_path / "nowhere")}
    worker = start("worker", "--contact", *words, "--name", "mine", "--threads", "2", **environment)
    (told,) = eventually(lambda: named(place, "mine"))
    assert (told["threads"], told["joined"]) == (2, True)
    members = family(worker.pid)
    with client("test") as dask:
        assert dask.submit(os.getppid).result(SECONDS) in members
    scheduler = next(s for s in launch.status(place)["services"] if s["name"] == "scheduler")
    os.kill(scheduler["pid"], signal.SIGKILL)
    eventually(lambda: launch.status(place)["services"][0]["restarts"] == 1)
    eventually(lambda: named(place, "mine"))
    if by == "file":  # it is told where the next head is
        os.kill(contact_of(place).head["pid"], signal.SIGKILL)
        eventually(lambda: launch.state(place) == "dead")
        launch.up(Registry(place.home), Spec(name="test", workers=0), print)
        eventually(lambda: named(place, "mine"))
        assert worker.poll() is None
    members |= family(worker.pid)
    worker.terminate()
    assert worker.wait(SECONDS) == 0
    assert wait_until_gone(members, 10) == {}
    eventually(lambda: launch.status(place)["workers"] == [])


@pytest.mark.real
@pytest.mark.parametrize("why", ["address", "certificate"])
def test_a_worker_that_the_scheduler_does_not_reach_is_not_taken_on(
    place: Place, start: Start, tmp_path: Path, why: str
) -> None:
    """It got calls, and what they gave could not be fetched: who waited for it waited for ever, without a word."""
    keys, more = Path(shutil.copytree(place.keys, tmp_path / "copy")), []
    if why == "address":
        other = f"tls://127.0.0.1:{free_range(1)[0]}"
        more = ["--no-nanny", "--listen-address", "tls://127.0.0.1:0", "--contact-address", other]
    else:
        key, asked = client_certificates.ask()
        client_certificates.keep(str(keys), key, client_certificates.sign(place.keys, asked, "a guest", None)[0])
    words = ["--tls-ca-file", keys / "ca.pem", "--tls-cert", keys / "dask.pem", "--tls-key", keys / "dask.key"]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", contact_of(place).scheduler, *words, *more]
    with (tmp_path / "plain").open("wb") as log:
        plain = subprocess.Popen(
            [*map(str, command), "--no-dashboard", "--nworkers", "1"], stdout=log, stderr=log, start_new_session=True
        )
    try:
        eventually(lambda: b"the scheduler does not reach this worker at tls://" in (tmp_path / "plain").read_bytes())
        assert launch.status(place)["workers"] == []
    finally:
        plain.terminate()
        plain.wait(SECONDS)
    if why == "certificate":
        with pytest.raises(UsageError, match="it is for giving work, not for workers"):
            whereabouts(contact_of(place).head["url"], str(keys))
    assert "is not taken on: the scheduler does not reach" in Path(place.log("scheduler")).read_text()


@pytest.mark.real
def test_commands_go_to_workers_that_see_the_files(
    place: Place, start: Start, tmp_path: Path, offload: Offload
) -> None:
    """One that has joined from another machine does not: it gets calls, and no commands."""
    keys = Path(shutil.copytree(place.keys, tmp_path / "copy"))
    (keys / "ca.pem").write_text((keys / "ca.pem").read_text() + "\n")  # for this one, the place is another's
    url = contact_of(place).head["url"]
    first, last = free_range(8)
    ports = "--ports", f"{first}-{last}"
    words = "worker", "--contact", url, "--credentials", str(keys), "--threads", "2", "--name", "far", *ports
    start(*words, OFFLOAD_HOME=str(tmp_path / "nowhere"))
    eventually(lambda: named(place, "far"))
    with client("test") as dask:
        assert dask.submit(abs, -42).result(SECONDS) == 42
        (address,) = dask.scheduler_info(n_workers=-1)["workers"]
        assert first <= int(address.rpartition(":")[2]) <= last
    waiting = start("run", "--on", "test", "--", "echo", "waited")
    eventually(lambda: b"the worker that is connected does not see" in (tmp_path / "run.err").read_bytes())
    assert waiting.poll() is None
    start("worker", "--contact", place.contact, "--name", "near")
    assert waiting.wait(SECONDS) == 0
    eventually(lambda: named(place, "near"))
    many = "".join(f"{number}\n" for number in range(30)).encode()
    done = offload("run", "--on", "test", "--each", "-", "--", "echo", "{}", input=many, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert b"does not see" not in done.stderr
    assert len(done.stdout.split()) == 30
    # One by URL that sees the files all the same runs commands.
    own = "worker", "--contact", url, "--credentials", place.keys, "--name", "by-url"
    start(*own)
    told = eventually(lambda: named(place, "by-url"))
    with client("test") as dask:
        found = dask.scheduler_info(n_workers=-1)["workers"].values()
        assert {w["name"]: "offload.commands" in w["resources"] for w in found} == {
            "far": False, "near": True, "by-url": True,
        }  # fmt: skip
    assert told


@pytest.mark.real
def test_parts_of_a_deployment_by_hand(start: Start, home: Path, offload: Offload) -> None:
    scheduler = start("scheduler", "parts")
    assert scheduler.stdout is not None
    address = json.loads(scheduler.stdout.readline())["address"]
    place = Registry(str(home)).get("parts")
    assert contact_of(place).scheduler == address
    jobs = start("serve", "jobs", "parts")
    assert jobs.stdout is not None
    assert json.loads(jobs.stdout.readline())["address"] == contact_of(place).jobs
    worker = start("worker", "--contact", place.contact)
    script = "import tests.deploy.test_programs as t; print(t.product.submit(6, 7).result(60))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent.parent.parent,
        env={**os.environ, "OFFLOAD_DEPLOYMENT": "parts"},
        stdout=subprocess.PIPE,
        timeout=SECONDS,
        check=True,
    )
    assert done.stdout == b"42\n"
    told = offload("status", "parts")
    assert told.returncode == 0, told.stderr
    lines = [line.split()[:2] for line in told.stdout.decode().splitlines() if line]
    assert [line for line in lines if line[0] in ("head", "scheduler", "jobs")] == [
        ["scheduler", "running"],
        ["jobs", "running"],
    ]
    for words in (("scale", "parts", "2"), ("dashboard", "parts")):
        refused = offload(*words)
        assert refused.returncode == 1
        assert b"parts has no head" in refused.stderr
    worker.terminate()
    assert worker.wait(SECONDS) == 0
    jobs.kill()
    jobs.wait(SECONDS)
    told = offload("status", "parts")
    assert told.returncode == 1
    assert b"the jobs of parts is away\n  offload serve jobs parts" in told.stderr
    again = start("serve", "jobs", "parts")
    assert again.stdout is not None
    again.stdout.readline()
    worker = start("worker", "--contact", place.contact)
    eventually(lambda: launch.status(place)["workers"])
    assert offload("down", "parts", timeout=SECONDS).returncode == 0
    for process in (worker, again, scheduler):
        assert process.wait(SECONDS) is not None  # all of it, whoever has started it


@pytest.mark.real
def test_a_head_by_hand(start: Start, home: Path, offload: Offload) -> None:
    head = start("serve", "head", "mine")
    place = Registry(str(home)).place("mine")
    eventually(lambda: launch.state(place) == "running")
    assert contact_of(place).head["pid"] == head.pid
    refused = offload("scheduler", "mine")
    assert refused.returncode == 2
    assert b"is up" in refused.stderr
    members = family(head.pid)
    head.terminate()
    assert head.wait(SECONDS) == 0
    assert wait_until_gone(members, 10) == {}
    assert launch.state(place) == "down"
    again = start("serve", "head", "mine")
    eventually(lambda: launch.state(place) == "running")
    assert offload("down", "mine", timeout=SECONDS).returncode == 0
    assert again.wait(SECONDS) == 0


@pytest.mark.real
def test_one_that_is_only_starting_is_brought_down(start: Start, home: Path, offload: Offload) -> None:
    head = start("serve", "head", "mine")
    place = Registry(str(home)).place("mine")
    eventually(lambda: launch.state(place) == "starting")
    assert offload("down", "mine", timeout=SECONDS).returncode == 0
    assert head.wait(SECONDS) == 0
    assert not os.path.exists(place.path)


def test_two_may_bring_the_same_one_down(home: Path) -> None:
    registry = Registry(str(home))
    place = registry.create("twice", Spec(name="twice").to_json())
    launch.down(registry, place, print)
    launch.down(registry, place, print)
    assert registry.names() == []


def test_what_is_refused(offload: Offload, home: Path, tmp_path: Path) -> None:
    for words, message in (
        (["serve", "jobs", "x", "--port", "1"], b"--port is not for jobs"),
        (["serve", "store", "x"], b"takes no name"),
        (["worker"], b"--contact"),
    ):
        refused = offload(*words)
        assert refused.returncode == 2
        assert message in refused.stderr
    with pytest.raises(UsageError, match="credentials"):
        whereabouts("https://127.0.0.1:1", None)
    with pytest.raises(NotFoundError, match=r"ca\.pem"):
        whereabouts("https://127.0.0.1:1", str(tmp_path))
    with pytest.raises(NotFoundError, match="not the contact file"):
        whereabouts(str(tmp_path / "contact.json"), None)
