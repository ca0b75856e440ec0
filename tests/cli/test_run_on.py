"""``offload run`` where a deployment is active: what is not recorded runs there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import offload
from offload.api import submit
from offload.deploy.lifecycle import local as launch
from offload.registry.contact import Contact
from offload.registry.session import close_sessions
from tests.cli.deployed import NAME, Deployed, eventually, impatient, is_alive, line, told

pytestmark = pytest.mark.real

COUNTING = "i=0; while [ $i -lt 40 ]; do echo $i; echo e$i >&2; i=$((i+1)); sleep 0.1; done"


def report(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    found = json.loads(done.stderr.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def waiting(demo: Deployed) -> int:
    return sum(job["state"] == "waiting" for job in json.loads(demo("jobs", "--json").stdout))


def fill(demo: Deployed) -> list[str]:
    """Give every worker something to do; return the numbers of these jobs."""
    done = demo("run", "-q", "-d", "--", "sh", "-c", "echo {} > started; sleep 300", ":::", str(time.time()), "b")
    numbers = done.stdout.decode().split()
    eventually(lambda: not waiting(demo))
    return numbers


def test_it_is_computed_there_and_recalled_without_it(demo: Deployed) -> None:
    words = ("run", "--", "sh", "-c", "echo out; echo err >&2")
    first = demo(*words)
    assert (first.returncode, first.stdout) == (0, b"out\n")
    said = impatient(first.stderr)
    assert said.startswith(b"err\noffload: computed in ")
    assert b" on worker-" in said
    assert said.endswith(b" of demo, recorded\n")
    for recalled in (demo(*words), demo("run", "--on", "none", *words[1:])):
        assert (recalled.returncode, recalled.stdout) == (0, b"out\n")
        assert recalled.stderr.startswith(b"err\noffload: recalled (computed ")


def test_what_was_computed_here_is_recalled_there(demo: Deployed) -> None:
    assert b" on worker-" not in demo("run", "--on", "none", "--", "echo", "embedded").stderr
    assert b"recalled" in demo("run", "--", "echo", "embedded").stderr


def test_a_recalled_command_needs_no_deployment_that_is_up(demo: Deployed) -> None:
    demo("run", "--", "echo", "kept")
    down = demo.place.path + "/../down"
    os.makedirs(down, exist_ok=True)
    Path(down, "spec.json").write_text("{}")
    try:
        assert b"recalled" in demo("run", "--on", "down", "--", "echo", "kept").stderr
        refused = demo("run", "--on", "down", "--", "echo", "not kept")
        assert refused.returncode == 125
        assert b"the deployment down is not up" in refused.stderr
        assert b"would be computed" in demo("run", "--on", "down", "--dry-run", "--", "echo", "not kept").stdout
    finally:
        os.unlink(down + "/spec.json")
        os.rmdir(down)


def test_the_report_says_where_it_ran(demo: Deployed) -> None:
    found = report(demo("run", "--json", "--", "echo", "reported"))
    assert found["deployment"] == NAME
    assert found["worker"] in ("worker-0", "worker-1")
    assert found["job"] > 0
    assert (found["recorded"], found["outcome"], found["exit_code"]) == (True, "recorded", 0)
    assert report(demo("run", "--json", "--", "echo", "reported"))["recalled"] is True


def test_options_are_as_ever(demo: Deployed) -> None:
    assert demo("run", "-q", "--", "sh", "-c", "echo q >&2").stderr == b"q\n"
    assert b"computed in" in demo("run", "--fresh", "--", "sh", "-c", "echo q >&2").stderr
    assert b"would be computed" in demo("run", "--why", "--", "echo", "why").stderr
    assert demo("run", "--var", "A=1", "--", "sh", "-c", "echo $A").stdout == b"1\n"


def test_a_failure(demo: Deployed) -> None:
    Path("helper.txt").write_text("x")
    for _ in range(2):
        done = demo("run", "--", "python3", "-c", "import sys; print(1); open('helper' + '.txt')")
        assert (done.returncode, done.stdout) == (1, b"1\n")
        assert b"offload: exit code 1 after " in done.stderr
        assert b" of demo; not recorded\n" in done.stderr
        assert b"helper.txt exists here but is not an input: add --input helper.txt" in done.stderr
    assert demo("run", "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_what_cannot_be_run(demo: Deployed) -> None:
    assert demo("run", "--", "no-such-command").returncode == 127
    Path("script").write_text("#!/no/such/interpreter\n")
    os.chmod("script", 0o755)
    done = demo("run", "--", "./script")
    assert done.returncode == 126
    assert b"what its first line names is missing" in done.stderr
    done = demo("run", "-o", "never", "--", "true")
    assert done.returncode == 125
    assert b"its declared output never is not there" in done.stderr


def test_relative_inputs_and_outputs(demo: Deployed) -> None:
    os.makedirs("data/deep")
    os.makedirs("here")
    Path("data/deep/a").write_text("A")
    Path("tool.sh").write_text("#!/bin/sh\ncat ../data/deep/a plain > ../made; mkdir -p out/x; cp plain out/x; echo $0")
    os.chmod("tool.sh", 0o755)
    Path("here/plain").write_text("plain")
    words = ("run", "-i", "../data", "-i", "plain", "-o", "../made", "-o", "out", "--", "../tool.sh")
    for _ in range(2):
        done = demo(*words, cwd="here")
        assert (done.returncode, done.stdout) == (0, b"../tool.sh\n"), done.stderr
        assert Path("made").read_text() == "Aplain"
        assert Path("here/out/x/plain").read_text() == "plain"
        Path("made").unlink()


def test_standard_input(demo: Deployed) -> None:
    Path("text").write_text("from a file\n")
    assert demo("run", "--", "cat", input=b"through a pipe\n").stdout == b"through a pipe\n"
    assert demo("run", "--stdin", "text", "--", "cat").stdout == b"from a file\n"
    large = os.urandom(1024) * 3000
    assert (
        demo("run", "-q", "--", "sha256sum", input=large).stdout == demo("run", "--", "sha256sum", input=large).stdout
    )
    assert b"recalled" in demo("run", "--on", "none", "--", "sha256sum", input=large).stderr


def test_an_open_silent_pipe_is_none(demo: Deployed) -> None:
    for how in (b"computed", b"recalled"):
        process = demo.start("run", "--", "sh", "-c", "cat; echo silent", stdin=subprocess.PIPE)
        assert process.wait(60) == 0
        assert line(process) == b"silent"
        assert how in told(process)
    assert b"recalled" in demo("run", "--stdin", "none", "--", "sh", "-c", "cat; echo silent").stderr


def test_output_comes_while_the_command_runs(demo: Deployed) -> None:
    process = demo.start("run", "--", "sh", "-c", "echo one; sleep 300")
    assert line(process) == b"one"
    assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_cancels_the_job(demo: Deployed, number: signal.Signals) -> None:
    script = "sh -c 'sleep 300 & echo $!; wait' & echo $!; trap 'echo bye; exit 1' INT; wait; wait"
    process = demo.start("run", "--", "sh", "-c", f"{script} # {number}")
    pids = [int(line(process)), int(line(process))]
    process.send_signal(number)
    assert line(process) == b"bye"
    assert process.wait(60) == 130
    assert told(process) == b"offload: interrupted; not recorded\n"
    eventually(lambda: not [pid for pid in pids if is_alive(pid)])
    assert json.loads(demo("jobs", "--all", "--json").stdout)[-1]["cancelled"] is True


def test_an_interruption_while_it_waits(demo: Deployed) -> None:
    fill(demo)
    process = demo.start("run", "--", "echo", "never")
    eventually(lambda: waiting(demo))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert waiting(demo) == 0


def test_why_it_waits_is_told(demo: Deployed) -> None:
    blockers = fill(demo)
    process = demo.start("run", "--", "echo", "patient")
    time.sleep(3)
    demo("cancel", *blockers)
    assert process.wait(60) == 0
    assert process.stderr is not None
    assert b": waiting for a free worker\n" in process.stderr.read()


def test_a_reader_that_goes_away(demo: Deployed) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{demo.command} run -- yes | head -n 1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=demo.environment,
        timeout=60,
        check=True,
    )
    assert done.stdout == b"y\n"
    assert b"Traceback" not in done.stderr
    eventually(lambda: demo("jobs", "--json").stdout == b"[]\n")


def test_large_and_binary_output(demo: Deployed) -> None:
    size = 50_000_000
    done = demo("run", "--", "sh", "-c", f"yes | head -c {size}")
    assert done.stdout == b"y\n" * (size // 2)
    text = "import sys; b = bytes(range(256)); sys.stdout.buffer.write(b * 999); sys.stderr.buffer.write(b[::-1])"
    for _ in range(2):
        done = demo("run", "-q", "--", sys.executable, "-c", text)
        assert done.stdout == bytes(range(256)) * 999
        assert done.stderr == bytes(range(255, -1, -1))


def test_a_killed_job_service_interrupts_nothing(demo: Deployed) -> None:
    process = demo.start("run", "--", "sh", "-c", COUNTING)
    assert line(process) == b"0"
    service = next(one for one in launch.status(demo.place)["services"] if one["name"] == "jobs")
    os.kill(service["pid"], signal.SIGKILL)
    assert [int(line(process)) for _ in range(39)] == list(range(1, 40))
    assert process.wait(60) == 0
    assert told(process).startswith(b"".join(b"e%d\n" % n for n in range(40)))
    assert b"recalled" in demo("run", "--", "sh", "-c", COUNTING).stderr


def test_a_killed_head_takes_no_job_with_it(demo: Deployed) -> None:
    process = demo.start("run", "--", "sh", "-c", f"{COUNTING} # head")
    assert line(process) == b"0"
    contact = Contact.read(demo.place.contact)
    assert contact is not None
    os.kill(contact.head["pid"], signal.SIGKILL)
    # The client brings the head back; the command runs again, and what was written before is not written again.
    assert [int(line(process)) for _ in range(39)] == list(range(1, 40))
    assert process.wait(60) == 0


def test_one_run_for_two_clients_and_one_of_them_leaves(demo: Deployed) -> None:
    text = "echo $$; while [ ! -e $GO ]; do sleep 0.1; done; echo done"
    words = ("run", "--var", f"GO={Path('go').absolute()}", "--", "sh", "-c", text)
    first, second = demo.start(*words), demo.start(*words)
    assert line(first) == line(second)
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130
    assert b"goes on: somebody else waits for it" in told(first)
    Path("go").touch()
    assert line(second) == b"done"
    assert second.wait(60) == 0
    assert b", recorded" in told(second)


def test_a_program_that_changes_while_the_job_waits_is_refused(demo: Deployed) -> None:
    tool = Path("bin/tool").absolute()
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho before\n")
    tool.chmod(0o755)
    blockers = fill(demo)
    process = demo.start("run", "--", str(tool))
    eventually(lambda: waiting(demo))
    tool.write_text("#!/bin/sh\necho after\n")
    demo("cancel", *blockers)
    assert process.wait(60) == 125
    said = told(process)
    assert os.fsencode(tool) in said
    assert b"does not have what the command was identified with" in said


def test_many_with_some_that_fail(demo: Deployed) -> None:
    words = ("run", "--json", "--", "sh", "-c", "echo $1; [ $(($1 % 10)) != 3 ]", "_", ":::", *map(str, range(50)))
    for computed in (45, 0):
        done = demo(*words)
        assert done.returncode == 1
        assert done.stdout == b"".join(b"%d\n" % n for n in range(50))
        found = report(done)
        assert (found["computed"], found["recalled"], found["failed"]) == (computed, 45 - computed, 5)
        assert found["deployment"] == NAME
        assert [failure["number"] for failure in found["failures"]] == [4, 14, 24, 34, 44]


def test_so_many_at_once(demo: Deployed) -> None:
    # Each waits for the other: one at a time, they would never end.
    text = "touch $PLACE/$1; until [ -e $PLACE/a ] && [ -e $PLACE/b ]; do sleep 0.02; done"
    place = f"PLACE={os.getcwd()}"
    assert demo("run", "-j", "2", "--var", place, "--", "sh", "-c", text, "_", ":::", "a", "b").returncode == 0
    text = "mkdir $PLACE/lock && sleep 0.3 && rmdir $PLACE/lock && echo $1"
    done = demo("run", "-j", "1", "--var", place, "--", "sh", "-c", text, "_", ":::", "1", "2", "3")
    assert (done.returncode, done.stdout) == (0, b"1\n2\n3\n")


def test_the_first_failure_ends_the_others(demo: Deployed) -> None:
    text = "[ $1 = 0 ] && exit 7; sleep 300"
    done = demo("run", "--fail-fast", "--", "sh", "-c", text, "_", ":::", "1", "0", "2", "3")
    assert done.returncode == 1
    assert b"failed (exit code 7): 0" in done.stderr
    eventually(lambda: demo("jobs", "--json").stdout == b"[]\n")


def test_many_are_interrupted(demo: Deployed) -> None:
    text = "[ $1 = 0 ] && echo done && exit; sleep 300"
    process = demo.start("run", "--", "sh", "-c", text, "_", ":::", "0", "1", "2", "3")
    assert line(process) == b"done"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    eventually(lambda: demo("jobs", "--json").stdout == b"[]\n")
    assert b"recalled" in demo("run", "--", "sh", "-c", text, "_", "0").stderr


def test_many_with_outputs_and_equal_ones(demo: Deployed) -> None:
    done = demo("run", "-o", "{}.d/", "--", "sh", "-c", "echo {} | tee {}.d/file", ":::", "a", "b", "a")
    assert done.stdout == b"a\nb\na\n", done.stderr
    assert Path("a.d/file").read_text() == "a\n"
    assert Path("b.d/file").read_text() == "b\n"
    assert b"3 of 3: 3 computed" in done.stderr


def test_one_of_many_that_is_cancelled_by_others_has_failed(demo: Deployed) -> None:
    process = demo.start("run", "--", "sh", "-c", "echo {}; sleep {}", ":::", "0", "300")
    assert line(process) == b"0"
    demo("cancel", "--all")
    assert process.wait(60) == 1
    assert b"was cancelled" in told(process)


@pytest.fixture
def api(demo: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process has the home of the deployment, which is not active."""
    monkeypatch.setenv("OFFLOAD_HOME", demo.place.home)
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT", raising=False)
    yield
    submit.shutdown()
    close_sessions()


def test_from_python(api: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("in.txt").write_text("from python")
    there = offload.run(["sh", "-c", "cat in.txt; echo e >&2; echo x > out"], output=["out"], on=NAME)
    assert (there.stdout, there.stderr, there.exit_code) == (b"from python", b"e\n", 0)
    assert there.worker in ("worker-0", "worker-1")
    assert there.job
    assert (there.recalled, there.recorded) == (False, True)
    assert Path("out").read_text() == "x\n"
    again = offload.run(["sh", "-c", "cat in.txt; echo e >&2; echo x > out"], output=["out"])
    assert (again.recalled, again.worker, again.job) == (True, None, None)
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", NAME)
    assert offload.run(["cat"], stdin=b"given").worker is not None
    assert offload.run(["echo", "here"], on="none").worker is None
    with offload.connect(None):
        assert offload.run(["echo", "here, too"]).worker is None
    with pytest.raises(offload.CommandError, match=r"(?s)exit code 3.*oops"):
        offload.run(["sh", "-c", "echo oops >&2; exit 3"])
    with pytest.raises(offload.NotFoundError, match="there is no deployment missing"):
        offload.run(["true"], on="missing")


@offload.task
def nested(number: int) -> tuple[str, str | None]:
    result = offload.run(["echo", str(number)])
    return result.text, result.worker


def test_a_task_on_a_worker_runs_its_commands_there(api: None, monkeypatch: pytest.MonkeyPatch) -> None:
    # More calls than workers: waiting for other workers, they would wait for ever.
    monkeypatch.setenv("OFFLOAD_DEPLOYMENT", NAME)
    assert offload.gather(nested.map(range(4)), timeout=60) == [(f"{n}\n", None) for n in range(4)]


def test_limits_of_time_and_retries(demo: Deployed, tmp_path: Path) -> None:
    done = demo("run", "--timeout", "1s", "--", "sh", "-c", "echo begun; sleep 300")
    assert (done.returncode, done.stdout) == (124, b"begun\n")
    assert b"timed out after" in done.stderr
    text = "echo x >> $P/$1; echo try $(wc -l < $P/$1); [ $(wc -l < $P/$1) -ge $1 ]"
    words = ["--var", f"P={tmp_path}", "--no-detect", "--", "sh", "-c", text, "_", ":::", "1", "2", "3", "4"]
    done = demo("run", "--retries", "2", "--joblog", "log", *words)
    assert done.stdout == b"try 1\ntry 2\ntry 3\ntry 3\n"
    assert b"3 computed, 1 failed" in done.stderr
    assert [line.split("\t")[1] for line in Path("log").read_text().splitlines()] == ["Host", *[NAME] * 4]
    failed = json.loads(demo("history", "--failed", "--json", "-n", "7").stdout)
    assert [one["exit_code"] for one in failed].count(124) == 1
    assert all(one["worker"] for one in failed if one["exit_code"] == 124)
