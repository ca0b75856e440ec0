"""Output while it comes, ends that come early, and processes that stay behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Offload

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def start(home: Path, command: Path, work: Path) -> Iterator[Start]:
    """Start ``offload run``."""
    started: list[Process] = []

    def run(*words: str) -> Process:
        process = subprocess.Popen(
            [command, "run", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return stream.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except FileNotFoundError:
        return False


def eventually(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lines(process: Process, count: int) -> list[bytes]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def test_output_comes_while_the_command_runs(start: Start) -> None:
    process = start("--", "sh", "-c", "echo one; sleep 30")
    assert lines(process, 1) == [b"one"]
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_the_whole_group(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    process = start("--", "sh", "-c", "sh -c 'sleep 300 & echo $!; wait' & echo $!; wait")
    pids = [int(line) for line in lines(process, 2)]
    process.send_signal(number)
    assert process.wait(30) == 130
    assert not [pid for pid in pids if is_alive(pid)]
    assert process.stderr is not None
    assert process.stderr.read() == b"offload: interrupted; not recorded\n"
    assert list((tmp_path / "scratch").iterdir()) == []


# What a command starts: a child, one of a child, one that `timeout` gives a group of its own.
FAMILY = """
sleep 300 & echo $!
sh -c 'sleep 300 & echo $!; wait' & timeout 300 sh -c 'echo $$; exec sleep 300' &
echo $$; wait
"""


@pytest.mark.parametrize("words", [["-q"], ["--each", "list", "-j", "2"]])
def test_commands_end_with_a_run_that_is_killed(start: Start, work: Path, words: list[str]) -> None:
    (work / "list").write_text("1\n2\n")
    many = "--each" in words
    process = start(*words, "--", "sh", "-c", f"({FAMILY}) | tee {work}/pids.$1", "_", *([] if many else ["1"]))
    files = [work / f"pids.{number}" for number in ("12" if many else "1")]
    eventually(lambda: all(file.exists() and len(file.read_text().split()) == 4 for file in files))
    pids = [int(word) for file in files for word in file.read_text().split()]
    assert all(map(is_alive, pids))
    process.kill()
    process.wait()
    eventually(lambda: not any(map(is_alive, pids)))


def test_groups_of_their_own_end_with_an_interrupted_command(start: Start) -> None:
    process = start("--", "sh", "-c", "timeout 300 sh -c 'echo $$; exec sleep 300' & wait")
    (pid,) = map(int, lines(process, 1))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert not is_alive(pid)


def test_groups_of_their_own_that_are_left_running(offload: Offload, work: Path) -> None:
    done = offload("run", "--", "sh", "-c", "timeout 300 sleep 300 > /dev/null 2>&1 & echo $!")
    assert b"not recorded: processes that it left running" in done.stderr
    assert not is_alive(int(done.stdout))


@pytest.mark.real
def test_a_command_that_ignores_signals_is_killed(start: Start) -> None:
    process = start("--", "sh", "-c", "trap '' INT TERM; echo $$; while :; do sleep 0.1; done")
    pid = int(lines(process, 1)[0])
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not is_alive(pid)


def test_a_quiet_interruption(start: Start) -> None:
    process = start("-q", "--", "sh", "-c", "echo ready; sleep 30")
    assert lines(process, 1) == [b"ready"]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_a_second_interruption_kills_at_once(start: Start) -> None:
    process = start("--", "sh", "-c", "trap 'echo asked' INT; trap '' TERM; echo $$; while :; do sleep 0.1; done")
    pid = int(lines(process, 1)[0])
    process.send_signal(signal.SIGINT)
    assert lines(process, 1) == [b"asked"]
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not is_alive(pid)


def test_last_words_are_heard(start: Start) -> None:
    process = start("--", "sh", "-c", "trap 'echo bye; exit 1' INT; echo ready; while :; do sleep 0.1; done")
    assert lines(process, 1) == [b"ready"]
    process.send_signal(signal.SIGINT)
    assert lines(process, 1) == [b"bye"]
    assert process.wait(30) == 130


def test_an_interrupted_command_is_not_recorded(start: Start, offload: Offload, work: Path) -> None:
    process = start("--", "sh", "-c", "trap 'exit 0' INT; echo ready; while :; do sleep 0.1; done")
    lines(process, 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    report = offload("run", "--dry-run", "--", "sh", "-c", "trap 'exit 0' INT; echo ready; while :; do sleep 0.1; done")
    assert b"would be computed: no earlier run" in report.stdout


def test_interruption_while_hashing_is_quiet(start: Start, work: Path) -> None:
    os.truncate(os.open(work / "big", os.O_CREAT | os.O_WRONLY), 20 * 2**30)
    process = start("--", "wc", "-c", "big")
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_processes_that_keep_the_output_open_are_ended(start: Start) -> None:
    process = start("--", "sh", "-c", "sleep 300 & echo $!")
    pid = int(lines(process, 1)[0])
    assert process.wait(30) == 0
    assert not is_alive(pid)
    assert process.stderr is not None
    told = process.stderr.read()
    assert b"waiting 2 s for processes that it left running" in told
    assert b"not recorded: processes that it left running in the background were ended" in told


def test_processes_that_end_by_themselves_are_waited_for(start: Start) -> None:
    process = start("--", "sh", "-c", "(sleep 0.5; echo late) & echo early")
    assert lines(process, 2) == [b"early", b"late"]
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert b"recorded" in process.stderr.read().splitlines()[-1]


def test_hidden_background_processes_are_ended(start: Start) -> None:
    process = start("--", "sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!")
    pid = int(lines(process, 1)[0])
    assert process.wait(30) == 0
    assert not is_alive(pid)


@pytest.mark.parametrize("text", ["yes", "seq 1000000"])
def test_a_reader_that_goes_away(command: Path, home: Path, work: Path, text: str) -> None:
    for _ in range(2):
        done = subprocess.run(
            ["sh", "-c", f"{command} run -- {text} | head -n 1"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert done.stdout in (b"y\n", b"1\n")
        assert b"Traceback" not in done.stderr
        assert b"Broken" not in done.stderr


def test_a_reader_of_a_recalled_command_that_goes_away(offload: Offload, command: Path, work: Path) -> None:
    offload("run", "--", "seq", "1000000")
    done = subprocess.run(
        ["sh", "-c", f"{command} run -q -- seq 1000000 | head -n 1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"1\n", b"")


def test_output_that_cannot_be_written_is_an_error(command: Path, home: Path, work: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [command, "run", "--", "echo", "x"],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 125
    assert done.stderr == b"offload: cannot write the command's output: No space left on device\n"


def test_a_terminal_is_not_needed_and_not_given(offload: Offload, work: Path) -> None:
    done = offload("run", "-q", "--", sys.executable, "-c", "import os; print(os.getpid() == os.getsid(0))")
    assert done.stdout == b"True\n"
