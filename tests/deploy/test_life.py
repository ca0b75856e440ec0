"""What deployments survive, and what is left of them: nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import offload
from offload.api import submit
from offload.deploy.config.spec import Spec
from offload.deploy.lifecycle import local as launch
from offload.registry.deployments import Place, Registry
from offload.storage.home import Home
from offload.util.liveness import started
from offload.util.processes import family, of_place, wait_until_gone
from tests.conftest import Offload
from tests.deploy.test_local import connected, contact_of, eventually
from tests.storage.test_real import in_own_mounts

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

SECONDS = 180.0
CALLS, WORKERS, THREADS = 200, 2, 6


@offload.task(effects="ignore")  # the log is for the test
def work(log: str, number: int, seconds: float = 0.5) -> int:
    """Append to a log, and wait."""
    with open(log, "a") as file:
        file.write(f"{number}\n")
    time.sleep(seconds)
    return 2 * number


@pytest.fixture
def registry(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry in a home, and a directory for temporary files, of its own."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", "test")
    return Registry(str(home))


@pytest.fixture
def place(registry: Registry, tmp_path: Path) -> Iterator[Place]:
    """A deployment that leaves nothing when it has been brought down, whatever the test does to it."""
    launch.up(registry, Spec(name="test", workers=WORKERS, threads=THREADS), print)
    place = registry.get("test")
    eventually(lambda: len(connected(place)) == WORKERS)
    yield place
    submit.shutdown()
    if os.path.exists(place.path):
        launch.down(registry, place, print)
    assert left_over(registry, tmp_path) == []


def left_over(registry: Registry, tmp_path: Path) -> list[str]:
    """Return what is left of the deployments of a home: processes, entries, locks, and temporary files."""
    found = [f"process {pid}: {words}" for pid, words in processes(registry.home).items()]
    found += [f"entry {name}" for name in os.listdir(os.path.join(registry.home, "deployments"))]
    return found + [f"temporary file {name}" for name in os.listdir(tmp_path / "tmp")]


def processes(home: str) -> dict[int, list[str]]:
    """Return the processes that work for a home, which their environment names; this one is none."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        try:
            if process.pid != os.getpid() and process.environ().get("OFFLOAD_HOME") == home:
                found[process.pid] = process.info["cmdline"]
        except psutil.Error:
            continue
    return found


def pid_of(place: Place, victim: str) -> int:
    if victim == "head":
        return int(contact_of(place).head["pid"])
    status = launch.status(place)
    if victim.startswith("worker"):
        loop = int(status["workers"][0]["pid"])
        if victim == "worker loop":  # the nanny is in there, too
            return loop
        (worker,) = [p.pid for p in psutil.Process(loop).children() if "spawn_main" in " ".join(p.cmdline())]
        return worker
    return int(next(s for s in status["services"] if s["name"] == victim)["pid"])


VICTIMS = ["scheduler", "jobs", "storage", "worker process", "worker loop", "head"]


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_map_completes_whatever_is_killed(place: Place, tmp_path: Path, victim: str) -> None:
    log = tmp_path / "log"
    futures = work.map([str(log)] * CALLS, range(CALLS))
    eventually(lambda: sum(future.done() for future in futures) >= CALLS // 4)
    doomed = pid_of(place, victim)
    done = {number for number, future in enumerate(futures) if future.done()}
    ran = len(log.read_text().split())
    os.kill(doomed, signal.SIGKILL)
    assert offload.gather(futures, timeout=SECONDS) == [2 * number for number in range(CALLS)]
    again = {int(number) for number in log.read_text().split()[ran:]}
    assert not done & again  # what was recorded is not computed again
    assert started(doomed) is None


def test_a_map_completes_when_one_after_the_other_is_killed(place: Place, tmp_path: Path) -> None:
    log = tmp_path / "log"
    futures = work.map([str(log)] * CALLS, range(CALLS))
    for count, victim in enumerate(VICTIMS, 1):
        eventually(lambda least=count * 10: sum(future.done() for future in futures) >= least, SECONDS)  # type: ignore[misc]
        doomed = eventually(lambda victim=victim: alive(place, victim))  # type: ignore[misc]
        os.kill(doomed, signal.SIGKILL)
    assert offload.gather(futures, timeout=SECONDS) == [2 * number for number in range(CALLS)]
    ran = Counter(int(number) for number in log.read_text().split())
    assert set(ran) == set(range(CALLS))
    assert all(future.recalled for future in work.map([str(log)] * CALLS, range(CALLS)))


def alive(place: Place, victim: str) -> int | None:
    """Return the victim's process, or None while it is not there (again)."""
    try:
        return pid_of(place, victim)
    except (ValueError, TypeError, IndexError, StopIteration, psutil.Error):
        return None


def kill_all(place: Place) -> None:
    """Do what a power failure does: everything ends at once, and all files stay."""
    members = family(contact_of(place).head["pid"])
    for pid in members:
        os.kill(pid, signal.SIGSTOP)
    for pid in members:
        os.kill(pid, signal.SIGKILL)
    assert wait_until_gone(members, SECONDS) == {}


@pytest.mark.parametrize("pid", ["of nobody", "of another process", "of another boot"])
def test_a_reboot_is_survived(registry: Registry, place: Place, tmp_path: Path, offload: Offload, pid: str) -> None:
    log = tmp_path / "log"
    assert work.submit(str(log), 1, 0.0).result(SECONDS) == 2
    submit.shutdown()
    kill_all(place)
    contact = contact_of(place)
    if pid != "of nobody":
        contact.head["pid"] = os.getpid()
    if pid == "of another boot":  # where a process happens to have the same id and start time
        ticks, _, boot = (started(os.getpid()) or "").partition(" after boot ")
        assert boot
        contact.head["started"] = f"{ticks} after boot 00000000-0000-0000-0000-000000000000"
    contact.write(place.contact)
    assert launch.state(place) == "dead"
    assert b"dead" in offload("list").stdout
    assert offload("run", "--", "echo", "hello", env={"OFFLOAD_DEPLOYMENT": "none"}).stdout == b"hello\n"
    _, fresh = launch.up(registry, Spec(name="test", workers=1), print)
    assert fresh
    assert work.submit(str(log), 1, 0.0).recalled
    assert work.submit(str(log), 2, 0.0).result(SECONDS) == 4


@pytest.mark.parametrize("damage", [b"", b'{"version": 1, "state": "running", "head": {}}'])
def test_a_damaged_entry_is_in_nobodys_way(registry: Registry, offload: Offload, tmp_path: Path, damage: bytes) -> None:
    Home(registry.home)
    place = registry.create("test", Spec(name="test", workers=0).to_json())
    for path in (place.contact, place.spec):
        Path(path).write_bytes(damage)
        (row,) = json.loads(offload("list", "--json").stdout)
        assert row["state"] == "dead"
        status = offload("status")
        assert (status.returncode, b"offload up test" in status.stderr) == (1, True), status.stderr
        assert offload("run", "--", "echo", "hello", env={"OFFLOAD_DEPLOYMENT": "none"}).stdout == b"hello\n"
        for command in ("env", "scale", "dashboard"):
            told = offload(command, "test", *(["2"] if command == "scale" else []))
            assert told.returncode in (1, 3)
            assert b"Traceback" not in told.stderr
    up = offload("up", "--name", "test", "--workers", "0", timeout=SECONDS)
    assert up.returncode == 0, up.stderr
    Path(place.contact).write_bytes(damage)  # under a head that lives
    again = offload("up", "--name", "test", "--workers", "0", timeout=SECONDS)
    assert again.returncode == 0, again.stderr
    down = offload("down", "test", timeout=SECONDS)
    assert down.returncode == 0, down.stderr
    assert left_over(registry, tmp_path) == []


def test_two_that_bring_up_the_same_get_one(registry: Registry, tmp_path: Path, command: Path) -> None:
    line = [str(command), "up", "--name", "test", "--workers", "1", "--json"]
    both = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    told = []
    for one in both:
        output, errors = one.communicate(timeout=SECONDS)
        assert one.returncode == 0, errors
        told.append(json.loads(output))
    assert len({answer["head"]["pid"] for answer in told}) == 1
    assert sorted(answer["started"] for answer in told) == [False, False, True]
    place = registry.get("test")
    assert sum("offload.deploy.head" in psutil.Process(pid).cmdline() for pid in of_place(place.path)) == 1
    launch.down(registry, place, print)
    assert left_over(registry, tmp_path) == []


@pytest.mark.parametrize("moment", ["the head", "the storage"])
def test_an_interrupted_up_leaves_nothing(registry: Registry, tmp_path: Path, command: Path, moment: str) -> None:
    up = subprocess.Popen([command, "up", "--name", "test"], stderr=subprocess.PIPE, text=True)
    assert up.stderr is not None
    while moment not in (line := up.stderr.readline()):
        assert line, "it ended"
    up.send_signal(signal.SIGINT)
    _, errors = up.communicate(timeout=SECONDS)
    assert up.returncode == 130, errors
    assert "Traceback" not in errors
    assert left_over(registry, tmp_path) == []


DISK = """
mount -t tmpfs -o size=3m tmpfs "$1"
export OFFLOAD_HOME="$1/home"
"$2" run -q -- true
mkdir "$OFFLOAD_HOME/deployments"
mount --bind "$OFFLOAD_HOME/deployments" "$OFFLOAD_HOME/deployments"
mount -o remount,bind,ro "$OFFLOAD_HOME/deployments"
"$2" up --name test || echo "read-only: $?"
umount "$OFFLOAD_HOME/deployments"
dd if=/dev/zero of="$1/fill" bs=4k 2>/dev/null || "$2" up --name test || echo "full: $?"
rm "$1/fill"
"$2" up --name test --workers 0 >/dev/null 2>&1
dd if=/dev/zero of="$1/fill" bs=4k 2>/dev/null || "$2" down test
echo "down: $?"
ls "$OFFLOAD_HOME/deployments"
"""


def test_a_disk_that_is_full_or_read_only_is_told(tmp_path: Path, command: Path) -> None:
    (tmp_path / "disk").mkdir()
    ended = in_own_mounts(DISK, tmp_path / "disk", command)
    assert ended.stdout.splitlines() == ["read-only: 3", "full: 3", "down: 0"], ended.stderr
    assert "Read-only file system" in ended.stderr
    assert "no space left" in ended.stderr
    assert "did not end" not in ended.stderr  # every process ends as ever
    assert "Traceback" not in ended.stderr


NEARLY = """
mount -t tmpfs -o size=2m tmpfs "$1"
export OFFLOAD_HOME="$1/home"
"$2" run -q -- true
dd if=/dev/zero of="$1/fill" bs=4k 2>/dev/null || truncate -s -300k "$1/fill"
"$2" up --name test || echo "nearly full: $?"
"$2" list --json
ls "$OFFLOAD_HOME/deployments" 2>/dev/null || :
"""


def test_a_disk_that_is_nearly_full_is_told_at_once_and_nothing_stays(tmp_path: Path, command: Path) -> None:
    (tmp_path / "disk").mkdir()
    ended = in_own_mounts(NEARLY, tmp_path / "disk", command)
    assert ended.stdout.splitlines() == ["nearly full: 3", "[]"], ended.stderr
    assert f"no space left where {tmp_path}/disk/home lies: less than 1000 kB" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_nothing_is_left_of_many_deployments(registry: Registry, tmp_path: Path) -> None:
    for _ in range(6):
        launch.up(registry, Spec(name="test", workers=1), print)
        launch.down(registry, registry.get("test"), print)
        assert left_over(registry, tmp_path) == []  # no process: no port either
