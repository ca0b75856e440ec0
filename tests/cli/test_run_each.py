"""``offload run`` of one command line for many arguments."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offload.cli.main import main
from offload.commands.planning.stdin import Stdin
from offload.commands.request import Request
from offload.commands.running.executor import Job
from offload.commands.running.local import HereExecutor
from offload.commands.running.many import ManyCommands
from offload.errors import DiskFullError
from offload.registry.session import close_sessions, current

if TYPE_CHECKING:
    from tests.conftest import Offload


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.chdir(path)
    return path


def summary(done: subprocess.CompletedProcess[bytes]) -> dict[str, object]:
    report = json.loads(done.stderr.splitlines()[-1])
    assert isinstance(report, dict)
    return report


def test_arguments_in_order_computed_then_recalled(offload: Offload, work: Path) -> None:
    command = (
        "run",
        "--json",
        "-j",
        "4",
        "--",
        "sh",
        "-c",
        "sleep 0.$1; echo $1; echo e$1 >&2",
        "_",
        ":::",
        "3",
        "1",
        "2",
    )
    first = offload(*command)
    assert first.stdout == b"3\n1\n2\n"
    assert first.stderr.startswith(b"e3\ne1\ne2\n")
    assert summary(first)["computed"] == 3
    second = offload(*command)
    assert second.stdout == b"3\n1\n2\n"
    assert second.stderr.startswith(b"e3\ne1\ne2\n")
    assert summary(second)["recalled"] == 3
    assert b"recalled" in offload("run", "--", *command[5:9], "2").stderr


def test_lines_of_a_file(offload: Offload, work: Path) -> None:
    (work / "list").write_bytes(b"one\n\n two words \r\n  \nlast")
    done = offload("run", "--each", "list", "--", "printf", "[%s]\\n")
    assert done.stdout == b"[one]\n[ two words ]\n[last]\n"
    done = offload("run", "--each", "-", "--", "printf", "[%s]\\n", input=b"one\nnew\n")
    assert done.stdout == b"[one]\n[new]\n"
    assert b"2 of 2: 1 recalled, 1 computed" in done.stderr


def test_placeholders_everywhere(offload: Offload, work: Path) -> None:
    (work / "in").mkdir()
    for name in ("a", "b"):
        (work / "in" / f"{name}.txt").write_text(name)
        (work / f"{name}.extra").write_text(name.upper())
    options = ("-i", "{/.}.extra", "-o", "out/{#}-{/.}.res", "--var", "NAME={/}")
    for _ in range(2):
        done = offload(
            "run",
            *options,
            "--",
            "sh",
            "-c",
            "cat {} {/.}.extra > out/{#}-{/.}.res; echo $NAME",
            ":::",
            "in/a.txt",
            "in/b.txt",
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == b"a.txt\nb.txt\n"
        assert (work / "out" / "1-a.res").read_text() == "aA"
        assert (work / "out" / "2-b.res").read_text() == "bB"
        (work / "out" / "2-b.res").unlink()


def test_failures_are_listed_and_the_others_go_on(offload: Offload, work: Path) -> None:
    command = ("run", "--", "sh", "-c", 'echo "$1"; exit $1', "_", ":::", "0", "3", "0 ", "4")
    done = offload(*command)
    assert done.returncode == 1
    assert done.stdout == b"0\n3\n0 \n4\n"
    lines = done.stderr.splitlines()
    assert b"4 of 4: 2 computed, 2 failed" in lines[-3]
    assert lines[-2:] == [b"offload: failed (exit code 3): 3", b"offload: failed (exit code 4): 4"]
    again = offload(*command)
    assert b"2 recalled, 2 failed" in again.stderr


def test_fail_fast_stops(offload: Offload, work: Path) -> None:
    done = offload(
        "run", "--fail-fast", "-j", "2", "--", "sh", "-c", "[ $1 = 0 ] && exit 7; sleep 60", "_", ":::", "1", "0", "2"
    )
    assert done.returncode == 1
    assert b"failed (exit code 7): 0" in done.stderr


def test_offloads_own_errors_are_failures_of_one(offload: Offload, work: Path) -> None:
    done = offload("run", "-o", "{}", "--", "sh", "-c", "[ {} = a ] && touch a; true", ":::", "a", "b")
    assert done.returncode == 1
    assert b"its declared output b is not there" in done.stderr
    assert b"1 computed, 1 failed" in done.stderr
    assert (work / "a").exists()
    assert not (work / "b").exists()


def test_equal_commands_run_once(offload: Offload, work: Path) -> None:
    done = offload("run", "-q", "--", "sh", "-c", "date +%N # $1", "_", ":::", "a", "b", "a")
    first, second, third = done.stdout.splitlines()
    assert first == third != second


def test_no_arguments_is_nothing_to_do(offload: Offload, work: Path) -> None:
    (work / "empty").touch()
    done = offload("run", "--each", "empty", "--", "echo")
    assert (done.returncode, done.stdout) == (0, b"")


def test_large_output_of_many(offload: Offload, work: Path) -> None:
    for _ in range(2):
        done = offload("run", "-q", "--", "sh", "-c", "seq {}00000", ":::", "1", "2")
        assert done.stdout == b"".join(b"%d\n" % n for count in (100_000, 200_000) for n in range(1, count + 1))


def test_standard_input_is_no_input(offload: Offload, work: Path) -> None:
    (work / "text").write_text("x\n")
    assert offload("run", "--", "sh", "-c", "cat; echo {}", ":::", "a", input=b"ignored").stdout == b"a\n"
    done = offload("run", "--stdin", "text", "--", "sh", "-c", "cat; echo {}", ":::", "a", "b")
    assert done.stdout == b"x\na\nx\nb\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--each", "missing", "--", "echo"],
        ["-j", "0", "--", "echo", ":::", "a"],
        ["-j", "x", "--", "echo", ":::", "a"],
        ["--why", "--", "echo", ":::", "a"],
        ["--stdin", "-", "--", "echo", ":::", "a"],
        ["-i", "missing", "--", "echo", ":::", "a"],
        ["--", ":::", "a"],
    ],
)
def test_usage_errors(offload: Offload, work: Path, words: list[str]) -> None:
    done = offload("run", *words)
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr.startswith(b"offload: ")
    assert b"internal" not in done.stderr


def test_dry_run(offload: Offload, work: Path) -> None:
    offload("run", "--", "echo", "a")
    done = offload("run", "--dry-run", "--", "echo", ":::", "a", "b c")
    assert done.stdout == b"recall   echo a\ncompute  echo 'b c'\n"
    report = json.loads(offload("run", "--dry-run", "--json", "--", "echo", ":::", "a", "b c").stdout)
    assert [item["recalled"] for item in report["commands"]] == [True, False]


def test_hundreds_are_recalled_in_one_go(offload: Offload, work: Path) -> None:
    count = 200
    (work / "list").write_text("".join(f"{n}\n" for n in range(count)))
    expected = b"".join(b"%d\n" % n for n in range(count))
    first = offload("run", "--json", "--each", "list", "--", "echo")
    assert first.stdout == expected
    second = offload("run", "--json", "--each", "list", "--", "echo")
    assert second.stdout == expected
    assert summary(second)["recalled"] == count


def test_lost_output_is_computed_again(offload: Offload, work: Path, home: Path) -> None:
    command = ("run", "--json", "--", "seq", ":::", "20000", "30000")
    first = offload(*command)
    for path in (home / "store" / "buffers").rglob("[!.]*"):
        if path.is_file():
            path.unlink()
    second = offload(*command)
    assert second.stdout == first.stdout
    assert summary(second)["computed"] == 2
    assert summary(offload(*command))["recalled"] == 2


def test_interruption_ends_all_and_keeps_what_is_done(
    offload: Offload, command: Path, work: Path, tmp_path: Path
) -> None:
    text = "[ $1 = 0 ] && echo done && exit; echo $$ > $PLACE/$1; sleep 300"
    words = ["--var", f"PLACE={tmp_path}", "--", "sh", "-c", text, "_", ":::", "0", "1", "2"]
    process = subprocess.Popen(
        [command, "run", "-j", "3", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"done\n"
    deadline = time.monotonic() + 30
    while not all((tmp_path / name).exists() and (tmp_path / name).read_text().strip() for name in "12"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    told = process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    assert b"Traceback" not in told
    for name in "12":
        pid = int((tmp_path / name).read_text())
        assert not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()
    assert list((tmp_path / "scratch").iterdir()) == []
    report = json.loads(offload("run", "--dry-run", "--json", *words).stdout)
    assert [item["recalled"] for item in report["commands"]] == [True, False, False]


def test_so_many_run_at_once(offload: Offload, work: Path, tmp_path: Path) -> None:
    # Each waits for the other: one at a time, they would never end.
    text = "touch $PLACE/$1; until [ -e $PLACE/a ] && [ -e $PLACE/b ]; do sleep 0.02; done"
    done = offload("run", "-j", "2", "--var", f"PLACE={tmp_path}", "--", "sh", "-c", text, "_", ":::", "a", "b")
    assert done.returncode == 0


def test_errors_in_threads_are_heard_of(
    work: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("what now")

    monkeypatch.setattr("offload.commands.running.scratch.Scratch.prepare", fail)
    (work / "a").touch()
    assert main(["run", "--", "cat", ":::", "a"]) == 1
    close_sessions()
    assert "cat a: internal error: ZeroDivisionError: what now" in capfd.readouterr().err


def numbers_of(done: subprocess.CompletedProcess[bytes]) -> list[int]:
    return [int(line) for line in done.stdout.split()]


def test_long_lists_are_gone_through_by_the_window(offload: Offload, work: Path) -> None:
    (work / "list").write_text("".join(f"{number}\n" for number in range(1200)))
    words = ["--json", "--each", "list", "--", "sh", "-c", "[ $1 != 3 ] && echo $1", "_"]
    done = offload("run", *words)
    assert (done.returncode, numbers_of(done)) == (1, [number for number in range(1200) if number != 3])
    assert [summary(done)[name] for name in ("computed", "failed", "recalled")] == [1199, 1, 0]
    done = offload("run", *words)
    assert [summary(done)[name] for name in ("computed", "failed", "recalled")] == [0, 1, 1199]
    assert numbers_of(done) == [number for number in range(1200) if number != 3]
    done = offload("run", "--fail-fast", "-j1", *words)
    assert sum(int(str(summary(done)[name])) for name in ("failed", "recalled", "cancelled")) == 1200


def test_equal_commands_of_a_long_list_run_once(offload: Offload, work: Path, tmp_path: Path) -> None:
    (work / "list").write_text("".join(f"{number % 600}\n" for number in range(1200)))
    words = ["--var", f"LOG={tmp_path}/log", "--each", "list", "--", "sh", "-c", "echo $1; echo $1 >> $LOG", "_"]
    assert numbers_of(offload("run", *words)) == [number % 600 for number in range(1200)]
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == list(range(600))


def test_only_some_commands_of_a_long_list_are_held(work: Path, home: Path) -> None:
    session = current()
    requests = [Request(["echo", str(number)]) for number in range(1600)]
    most = written = 0

    def tick() -> None:
        nonlocal most
        if written % 100 == 0:
            most = max(most, sum(type(one) is Job for one in gc.get_objects()))

    commands = ManyCommands(requests, session, Stdin(), lambda: HereExecutor(session, 2))
    for job in commands.run(lambda text: None, tick):
        assert job.execution is not None
        assert job.execution.stdout.read() == f"{written}\n".encode()
        written += 1
    assert written == commands.counts["computed"] == 1600
    assert 0 < most < 1100
    close_sessions()


def test_the_others_go_on_when_the_starter_is_killed(offload: Offload, work: Path, tmp_path: Path) -> None:
    text = "echo $1; [ $1 = 3 ] || exit 0; [ -e $PLACE/3 ] || { touch $PLACE/3; kill -9 $PPID; sleep 300; }"
    words = ["--var", f"PLACE={tmp_path}", "-j", "1", "--", "sh", "-c", text, "_", ":::", *map(str, range(8))]
    done = offload("run", *words)
    assert done.returncode == 1
    assert done.stdout.split() == [b"0", b"1", b"2", b"4", b"5", b"6", b"7"]
    assert b"the process that had started it was killed" in done.stderr
    assert list((tmp_path / "scratch").iterdir()) == []
    again = offload("run", *words)
    assert (again.returncode, again.stdout.split()) == (0, [str(number).encode() for number in range(8)])


def test_what_a_command_wrote_to_stderr_by_its_name_is_kept(offload: Offload, work: Path) -> None:
    words = ["--", "sh", "-c", "echo a >&2; echo b > /dev/stderr; echo $1", "_", ":::"]
    assert offload("run", *words, "1").stderr.startswith(b"a\nb\n")


def test_results_that_cannot_be_recorded_are_an_error(
    work: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> list[str]:
        raise DiskFullError("no space is left")

    monkeypatch.setattr("offload.registry.session.Session.record", fail)
    assert main(["run", "--", "echo", ":::", "a", "b"]) == 125
    close_sessions()
    out, err = capfd.readouterr()
    assert out == "a\nb\n"
    assert err.splitlines()[-1] == "offload: 2 not recorded: no space is left"


def test_what_does_not_come_back_is_named(offload: Offload, work: Path, tmp_path: Path) -> None:
    command = ("--", "sh", "-c", "touch same $1", "_", ":::", "a", "b")
    assert offload("run", *command).stderr.splitlines()[-1] == (
        b"offload: made a, b, same, which does not come back: --output a"
    )
    assert summary(offload("run", "--fresh", "--json", *command))["strays"] == ["a", "b", "same"]
    assert b"come back" not in offload("run", "-o", "{}", "--", "touch", ":::", "c", "d").stderr
    target = tmp_path / "written"
    assert os.fsencode(f"wrote {target}, which is not recorded") in offload("run", "--", "touch", ":::", target).stderr
