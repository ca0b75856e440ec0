"""``offload logs``: what every process of a deployment has said, and goes on saying."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from offload.deploy.lifecycle.local import state
from offload.deploy.log_reader import LogReader
from offload.deploy.logs import BLOCK, KEPT, LARGEST, MOST, last_lines, said, shorten
from offload.registry.deployments import Place, Registry
from offload.storage.home import Home
from tests.cli.conftest import Inside
from tests.deploy.test_local import connected, contact_of, eventually, place, registry

__all__ = ["place", "registry"]

SECONDS = 60.0


@pytest.fixture
def quiet(home: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A deployment that is not up, with two logs."""
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT", raising=False)
    Home(str(home))
    place = Registry(str(home)).create("big", "{}")
    Path(place.log("head")).write_text("2026-01-01 10:00:01 begins\n2026-01-01 10:00:03 ends\n")
    Path(place.log("worker-0")).write_text("early\n2026-01-01 10:00:02,500 - Error\nTraceback\n\x1b[31mred\n")
    return place


def test_lines_come_in_the_order_of_time(inside: Inside, quiet: Place) -> None:
    assert inside("logs", "big").stdout.decode().splitlines() == [
        "worker-0: early",
        "head: 2026-01-01 10:00:01 begins",
        "worker-0: 2026-01-01 10:00:02,500 - Error",
        "worker-0: Traceback",
        "worker-0: \\x1b[31mred",
        "head: 2026-01-01 10:00:03 ends",
    ]
    assert inside("logs", "-n", "1", "--worker", "head").stdout == b"head: 2026-01-01 10:00:03 ends\n"
    assert inside("logs", "-n", "0").stdout == b""


def test_the_last_lines_of_a_long_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(BLOCK)))
    assert last_lines(str(path), 3) == [b"%d" % number for number in range(BLOCK - 3, BLOCK)]
    assert len(last_lines(str(path), 50_000)) == 50_000
    assert len(last_lines(str(path), 10 * BLOCK)) == BLOCK
    assert last_lines(str(tmp_path / "none"), 3) == []


def test_a_log_that_grows_without_end_is_shortened(quiet: Place) -> None:
    path = Path(quiet.log("worker-0"))
    line = b"x" * 99 + b"\n"
    shorten(quiet)
    assert path.read_bytes().startswith(b"early\n")
    with path.open("ab") as file:
        for _ in range(LARGEST // (len(line) * 1000) + 1):
            file.write(line * 1000)
        file.flush()
        shorten(quiet)
        file.write(b"the writer goes on\n")
    data = path.read_bytes()
    assert KEPT * 0.9 < len(data) < KEPT * 1.1
    lines = data.splitlines()
    assert lines[0].startswith(b"... the lines before this one were dropped")
    assert set(lines[1:-1]) == {line[:-1]}
    assert lines[-1] == b"the writer goes on"


def test_following(quiet: Place) -> None:
    log = Path(quiet.log("head"))
    with log.open("a") as file:
        file.write("half a ")
    follower = LogReader(quiet)
    assert follower.last(0) == {"head": [], "worker-0": []}
    assert follower.added() == []
    with log.open("a") as file:
        file.write("line\n")
    assert follower.added() == [("head", "half a line")]
    Path(quiet.log("worker-1")).write_text("new\n")
    assert follower.added() == [("worker-1", "new")]
    log.write_text("emptied\n")
    assert follower.added() == [("head", "emptied")]
    (log.parent / "other").write_text("made anew, and longer than it was\n")
    (log.parent / "other").rename(log)
    assert follower.added() == [("head", "made anew, and longer than it was")]
    os.unlink(quiet.log("worker-0"))
    assert follower.added() == []
    assert not follower.is_over()
    Registry(quiet.home).remove("big")
    assert (follower.added(), follower.is_over()) == ([], True)


def test_following_one(quiet: Place) -> None:
    follower = LogReader(quiet, "worker-0")
    assert follower.last(1) == {"worker-0": ["\x1b[31mred"]}
    for who in ("head", "worker-0", "worker-00"):
        with open(quiet.log(who), "a") as file:
            file.write("x\n")
    assert follower.added() == [("worker-0", "x")]


def test_much_is_given_piece_by_piece(quiet: Place) -> None:
    read = said(quiet)["read"]
    line = b"x" * 1023 + b"\n"
    with open(quiet.log("head"), "ab") as file:
        file.write(line * 2500 + b"y" * (2 * MOST) + b"\nend\n")
    pieces: list[list[str]] = []
    while not pieces or pieces[-1]:
        answer = said(quiet, read)
        read = answer["read"]
        pieces.append(answer["said"]["head"])
    assert "".join(text for piece in pieces for text in piece) == "x" * 1023 * 2500 + "y" * 2 * MOST + "end"


def test_a_log_that_is_not_there(inside: Inside, quiet: Place) -> None:
    done = inside("logs", "big", "--worker", "worker-7")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().splitlines() == [
        "offload: big has no log of worker-7",
        "  there are: head, worker-0",
    ]


@pytest.fixture
def lines(place: Place, command: Path) -> Iterator[SimpleQueue[str]]:
    """What ``offload logs -f`` prints."""
    found: SimpleQueue[str] = SimpleQueue()
    with subprocess.Popen(
        [command, "logs", "test", "-f"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        stdout = process.stdout
        assert stdout is not None

        def read() -> None:
            for line in stdout:
                found.put(line)

        reader = threading.Thread(target=read)
        reader.start()
        yield found
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(SECONDS)
        reader.join()


def wait_for(lines: SimpleQueue[str], text: str) -> None:
    try:
        while text not in lines.get(timeout=SECONDS):
            pass
    except Empty:
        raise AssertionError(f"{text!r} was not shown") from None


@pytest.mark.real
def test_of_a_deployment_that_changes_loses_its_head_and_goes(
    inside: Inside, place: Place, lines: SimpleQueue[str]
) -> None:
    eventually(lambda: connected(place))
    wait_for(lines, "head: ")
    assert inside("scale", "test", "2").returncode == 0
    wait_for(lines, "worker-1: ")
    os.kill(contact_of(place).head["pid"], signal.SIGKILL)
    eventually(lambda: state(place) == "dead")
    shown = inside("logs", "test").stdout.decode()
    for who in ("head", "scheduler", "worker-0", "worker-1"):
        assert f"{who}: " in shown
    assert inside("down", "test").returncode == 0
    wait_for(lines, "test has been brought down")
