"""Standard input: what counts, and what must not wait."""

from __future__ import annotations

import os
import subprocess
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
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def start(home: Path, command: Path, work: Path) -> Iterator[Start]:
    """Start ``offload run`` with a pipe as its standard input that nothing closes."""
    started: list[Process] = []

    def run(*words: str) -> Process:
        process = subprocess.Popen(
            [command, "run", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def output(process: Process) -> tuple[bytes, bytes]:
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = process.stdout.read(), process.stderr.read()
    assert process.wait(60) == 0
    return out, err


def test_a_piped_input_counts(offload: Offload, work: Path) -> None:
    assert offload("run", "--", "wc", "-c", input=b"hello").stdout == b"5\n"
    assert b"recalled" in offload("run", "--", "wc", "-c", input=b"hello").stderr
    assert offload("run", "--", "wc", "-c", input=b"hello!").stdout == b"6\n"
    assert b"computed" in offload("run", "--", "wc", "-c", input=b"").stderr
    assert b"recalled" in offload("run", "--", "wc", "-c", input=b"").stderr


def test_a_large_piped_input(offload: Offload, work: Path) -> None:
    data = os.urandom(5_000_000)
    for word in (b"computed", b"recalled"):
        done = offload("run", "--", "cat", input=data)
        assert done.stdout == data
        assert word in done.stderr


def test_a_file_counts_from_where_it_stands(command: Path, home: Path, work: Path) -> None:
    (work / "data").write_text("12345")

    def run(offset: int) -> tuple[bytes, bytes]:
        with open(work / "data", "rb", buffering=0) as stream:
            stream.seek(offset)
            done = subprocess.run([command, "run", "--", "cat"], stdin=stream, capture_output=True, check=True)
            assert stream.tell() == offset
        return done.stdout, done.stderr

    assert run(0)[0] == b"12345"
    assert run(3)[0] == b"45"
    assert b"recalled" in run(0)[1]
    assert b"recalled" in run(3)[1]


def test_the_way_it_comes_does_not_count(offload: Offload, command: Path, work: Path) -> None:
    (work / "data").write_text("12345")
    offload("run", "--", "cat", input=b"12345")
    with open(work / "data", "rb") as stream:
        done = subprocess.run([command, "run", "--", "cat"], stdin=stream, capture_output=True, check=True)
    assert b"recalled" in done.stderr
    assert b"recalled" in offload("run", "--stdin", "data", "--", "cat").stderr


def test_an_empty_one_counts_as_none(offload: Offload, command: Path, work: Path) -> None:
    """Programs such as make give their commands now an ended pipe, now /dev/null."""
    offload("run", "--", "wc", "-c")
    assert b"recalled" in offload("run", "--", "wc", "-c", input=b"").stderr
    (work / "empty").touch()
    with open("empty", "rb") as stream:
        done = subprocess.run([command, "run", "--", "wc", "-c"], stdin=stream, capture_output=True, check=False)
    assert (done.stdout, b"recalled" in done.stderr) == (b"0\n", True)


def test_none(offload: Offload, work: Path) -> None:
    offload("run", "--", "cat")
    done = offload("run", "--stdin", "none", "--", "cat", input=b"ignored")
    assert done.stdout == b""
    assert b"recalled" in done.stderr


def test_a_missing_file(offload: Offload, work: Path) -> None:
    done = offload("run", "--stdin", "missing", "--", "cat")
    assert done.returncode == 125
    assert b"--stdin missing: No such file" in done.stderr


def test_closed(command: Path, home: Path, work: Path) -> None:
    done = subprocess.run(["sh", "-c", f"{command} run -q -- cat <&-"], capture_output=True, check=True)
    assert done.stdout == b""


def test_an_open_silent_pipe_does_not_hang(start: Start) -> None:
    assert b"computed" in output(start("--", "echo", "hello"))[1]
    out, err = output(start("--", "echo", "hello"))
    assert out == b"hello\n"
    assert err.startswith(b"offload: recalled")


def test_an_open_pipe_is_another_input_than_none(offload: Offload, start: Start) -> None:
    offload("run", "--", "echo", "hello")
    assert b"computed" in output(start("--", "echo", "hello"))[1]


def test_what_arrives_late_is_passed_on_and_recorded_under_its_content(offload: Offload, start: Start) -> None:
    process = start("--", "sh", "-c", "echo ready; cat")
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdin.write(b"late\n")
    process.stdin.close()
    out, err = output(process)
    assert out == b"late\n"
    assert b"recorded" in err
    assert b"not recorded" not in err
    done = offload("run", "--", "sh", "-c", "echo ready; cat", input=b"late\n")
    assert done.stdout == b"ready\nlate\n"
    assert b"recalled" in done.stderr


def test_part_of_an_open_pipe_is_not_recorded(start: Start) -> None:
    process = start("--", "sh", "-c", "echo ready; head -n 1")
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdin.write(b"one\n")
    process.stdin.flush()
    out, err = output(process)
    assert out == b"one\n"
    assert b"not recorded: it read part of a standard input that stays open: --stdin - waits for its end" in err


def test_a_dash_waits_for_the_end(start: Start) -> None:
    process = start("--stdin", "-", "--", "cat")
    assert process.stderr is not None
    assert process.stdin is not None
    assert process.stderr.readline() == b"offload: reading standard input (0 MB so far)\n"
    process.stdin.write(b"slow\n")
    process.stdin.close()
    out, err = output(process)
    assert out == b"slow\n"
    assert b"computed" in err


def test_a_pipe_that_does_not_fit_on_the_disk(home: Path, command: Path, work: Path) -> None:
    script = f"ulimit -f 4096; yes | {command} run -- head -2"  # blocks of 512 or 1024 bytes, by shell
    done = subprocess.run(["sh", "-c", script], capture_output=True, timeout=60, check=False)
    assert done.returncode == 125
    assert b"stdin: File too large" in done.stderr
    assert b"internal error" not in done.stderr


def test_a_pipe_without_end(home: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from offload.commands.planning import stdin
    from offload.commands.running.scratch import Scratch
    from offload.errors import UsageError
    from offload.registry.session import current

    monkeypatch.setattr(stdin, "MOST", 3 * 10**6)
    before = os.dup(0)
    scratch = Scratch()
    try:
        with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
            assert endless.stdout is not None
            os.dup2(endless.stdout.fileno(), 0)
            with pytest.raises(UsageError, match="--stdin none"):
                stdin.find("auto", current().files, scratch, print)
            endless.kill()
    finally:
        os.dup2(before, 0)
        os.close(before)
        scratch.remove()


def test_what_is_put_aside_leaves_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from offload.commands.running import spool
    from offload.errors import DiskFullError
    from offload.util import filesystems

    monkeypatch.setattr(spool, "LOOK_EVERY", 10**6)
    one = spool.Spool(lambda: str(tmp_path / "stdin"))
    one.write(bytes(2 * 10**6))
    monkeypatch.setattr(filesystems, "RESERVE", 10**18)
    monkeypatch.setattr(filesystems, "SHARE", 1)
    with pytest.raises(DiskFullError, match="TMPDIR"):
        one.write(bytes(2 * 10**6))
    one.close()
