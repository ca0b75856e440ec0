"""Jobs of a deployment that outlive whoever gave them: ``run --detach``, ``jobs``, ``wait``, ``cancel``."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from offload.deploy.lifecycle import local as launch
from tests.cli.deployed import NAME, Deployed, eventually, line, told

if TYPE_CHECKING:
    from tests.conftest import Offload

real = pytest.mark.real
UNTIL = "while [ ! -e $GO ]; do sleep 0.1; done"


def jobs(demo: Deployed, *words: str) -> list[dict[str, Any]]:
    found = json.loads(demo("jobs", "--json", *words).stdout)
    assert isinstance(found, list)
    return found


def detach(demo: Deployed, *words: str) -> list[str]:
    done = demo("run", "-d", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().split()


def go() -> str:
    """Return an option that tells a command which file it waits for; nothing is an input because of it."""
    return f"GO={Path('go').absolute()}"


@real
def test_detached_and_waited_for_from_elsewhere(demo: Deployed, tmp_path: Path) -> None:
    text = f"echo begun; {UNTIL}; echo done >&2; echo file > made; mkdir -p d; cp made d; exit 0"
    begun = time.monotonic()
    (job,) = detach(demo, "--var", go(), "-o", "made", "-o", "d", "--", "sh", "-c", text)
    assert time.monotonic() - begun < 60
    assert not Path("made").exists()
    process = demo.start("wait", job)
    assert line(process) == b"begun"
    Path("go").touch()
    assert process.wait(60) == 0
    said = told(process)
    assert said.startswith(b"done\noffload: computed in ")
    assert said.endswith(b" of demo, recorded\n")
    assert Path("made").read_text() == "file\n"
    Path("made").unlink()
    again = demo("wait", job, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, b"begun\n")
    assert Path("made").read_text() == "file\n"
    assert not (tmp_path / "made").exists()
    assert Path("d/made").read_text() == "file\n"
    assert b"recalled" in demo("run", "--var", go(), "-o", "made", "-o", "d", "--", "sh", "-c", text).stderr


@real
def test_inputs_are_those_of_the_moment(demo: Deployed) -> None:
    Path("input").write_text("before")
    blockers = detach(demo, "--var", go(), "--", "sh", "-c", f"{UNTIL}; echo {{}}", ":::", "a", "b")
    (job,) = detach(demo, "--", "cat", "input")
    Path("input").write_text("after")
    Path("go").touch()
    assert demo("wait", job).stdout == b"before"
    assert demo("wait", *blockers).stdout == b"a\nb\n"


@real
def test_a_number_for_each(demo: Deployed) -> None:
    demo("run", "--", "sh", "-c", "echo {}", ":::", "b")
    done = demo("run", "-d", "--", "sh", "-c", "echo {}", ":::", "a", "b", "c", "a")
    numbers = done.stdout.decode().split()
    assert len(numbers) == 4
    assert numbers[1] == "0"
    assert numbers[0] == numbers[3] != numbers[2]
    assert b"0 stands for a command whose result is recorded" in done.stderr
    waited = demo("wait", *numbers)
    assert (waited.returncode, waited.stdout) == (0, b"a\nc\n")
    report = json.loads(demo("run", "-d", "--json", "--", "sh", "-c", "echo new").stdout)
    assert report["deployment"] == "demo"
    assert (report["job"], report["recorded"]) == (int(numbers[2]) + 1, False)
    assert json.loads(demo("run", "-d", "--json", "--", "echo", "a").stdout)["job"]
    assert demo("run", "-d", "--fresh", "--", "sh", "-c", "echo b").stdout != b"0\n"


@real
def test_exit_codes_of_wait(demo: Deployed) -> None:
    good, bad, worse = detach(demo, "--", "sh", "-c", "echo {}; exit {}", ":::", "0", "3", "4")
    done = demo("wait", good, bad, worse)
    assert (done.returncode, done.stdout) == (3, b"0\n3\n4\n")
    assert b"exit code 3 after" in done.stderr
    quiet = demo("wait", "-q", worse)
    assert (quiet.returncode, quiet.stderr) == (4, b"")
    report = json.loads(demo("wait", "--json", bad).stderr)
    assert (report["job"], report["exit_code"], report["recorded"]) == (int(bad), 3, False)
    unknown = demo("wait", good, "987654")
    assert (unknown.returncode, unknown.stdout) == (1, b"")
    assert b"there is no job 987654" in unknown.stderr


@real
def test_wait_has_an_end(demo: Deployed) -> None:
    (job,) = detach(demo, "--", "sh", "-c", "echo begun; sleep 300")
    eventually(lambda: jobs(demo)[0]["state"] == "running")
    for seconds in ("1", "0"):
        done = demo("wait", "--timeout", seconds, job)
        assert done.returncode == 124
        assert f"job {job} has not ended yet".encode() in done.stderr
    process = demo.start("wait", job)
    assert line(process) == b"begun"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert f"not waiting for job {job} any longer".encode() in told(process)
    assert [one["job"] for one in jobs(demo)] == [int(job)]


@real
def test_the_list(demo: Deployed) -> None:
    assert b"demo has no jobs under way" in demo("jobs").stderr
    numbers = detach(demo, "--var", go(), "--", "sh", "-c", f"{UNTIL}; exit {{}}", ":::", "0", "1", "2")
    eventually(lambda: [one["state"] for one in jobs(demo)] == ["running", "running", "waiting"])
    found = jobs(demo, "demo")
    assert [str(one["job"]) for one in found] == numbers
    assert {one["worker"] for one in found} == {"worker-0", "worker-1", None}
    assert found[2]["reason"] == "waiting for a free worker"
    assert found[0]["directory"] == os.getcwd()
    assert all(one["detached"] for one in found)
    table = demo("jobs").stdout.decode().splitlines()
    assert table[0].split() == ["JOB", "STATE", "SINCE", "WORKER", "REASON", "COMMAND"]
    assert len(table) == 4
    Path("go").touch()
    demo("wait", *numbers)
    ended = jobs(demo, "--all")[-3:]
    assert [one["exit_code"] for one in ended] == [0, 1, 2]
    assert ended[0]["reason"].startswith("done in ")
    assert ended[1]["reason"].startswith("exit code 1 after ")


@real
def test_cancelling(demo: Deployed) -> None:
    numbers = detach(demo, "--", "sh", "-c", "echo {}; sleep 300", ":::", "0", "1", "2")
    eventually(lambda: [one["state"] for one in jobs(demo)] == ["running", "running", "waiting"])
    waiter = demo.start("wait", numbers[0])
    assert line(waiter) == b"0"
    done = demo("cancel", numbers[2], numbers[0])
    assert done.returncode == 0
    assert done.stderr.decode().splitlines() == [
        f"offload: job {numbers[2]} is cancelled",
        f"offload: job {numbers[0]} is being cancelled",
    ]
    assert waiter.wait(60) == 130
    assert f"job {numbers[0]} was cancelled".encode() in told(waiter)
    assert demo("wait", numbers[2]).returncode == 130
    unknown = demo("cancel", "987654")
    assert unknown.returncode == 1
    assert b"there is no job 987654" in unknown.stderr
    assert demo("cancel", "--all").returncode == 0
    eventually(lambda: jobs(demo) == [])
    assert b"demo has no jobs under way" in demo("cancel", "--all").stderr


@real
def test_many_are_cancelled_in_a_line(demo: Deployed) -> None:
    numbers = detach(demo, "--", "sleep", ":::", *(str(300 + n) for n in range(30)))
    done = demo("cancel", *numbers)
    assert (done.returncode, done.stderr) == (0, b"offload: 30 jobs are cancelled, or being cancelled\n")
    eventually(lambda: jobs(demo) == [])


@real
def test_what_has_ended_cannot_be_cancelled(demo: Deployed) -> None:
    (job,) = detach(demo, "--", "echo", "at once")
    demo("wait", job)
    done = demo("cancel", job)
    assert done.returncode == 1
    assert f"job {job} had ended: done in ".encode() in done.stderr


@real
def test_jobs_outlive_the_job_service(demo: Deployed) -> None:
    numbers = detach(demo, "--var", go(), "--", "sh", "-c", f"echo {{}}; {UNTIL}", ":::", "a", "b", "c")
    eventually(lambda: [one["state"] for one in jobs(demo)] == ["running", "running", "waiting"])
    service = next(one for one in launch.status(demo.place)["services"] if one["name"] == "jobs")
    os.kill(service["pid"], signal.SIGKILL)
    assert [str(one["job"]) for one in jobs(demo)] == numbers
    Path("go").touch()
    done = demo("wait", *numbers)
    assert (done.returncode, done.stdout) == (0, b"a\nb\nc\n")


@real
def test_outputs_whose_place_is_gone(demo: Deployed) -> None:
    Path("there").mkdir()
    (job,) = demo("run", "-d", "-o", "x", "--", "touch", "x", cwd="there").stdout.decode().split()
    Path("there").rmdir()
    done = demo("wait", job)
    assert done.returncode == 125
    assert b"there, where the outputs belong, is not there" in done.stderr


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("run", "-d", "--", "true"), b"offload up, then --on NAME", 125),
        (("run", "-d", "--", "true", ":::", "a"), b"--detach needs a deployment", 125),
        (("run", "--on", "missing", "--", "true"), b"there is no deployment missing", 125),
        (("run", "--on", "Not A Name", "--", "true"), b"cannot be the name of a deployment", 125),
        (("jobs",), b"there is no deployment", 1),
        (("jobs", "missing"), b"there is no deployment missing", 1),
        (("wait", "1"), b"there is no deployment", 1),
        (("wait", "one"), b"'one' is not a valid integer", 2),
        (("wait",), b"Missing argument", 2),
        (("wait", "--timeout", "-1", "1"), b"--timeout is a number of seconds", 2),
        (("cancel",), b"give the numbers of jobs, or --all", 2),
        (("cancel", "--all", "1"), b"give the numbers of jobs, or --all", 2),
    ],
)
def test_usage_errors(offload: Offload, words: tuple[str, ...], said: bytes, code: int) -> None:
    done = offload(*words, env={"OFFLOAD_DEPLOYMENT": ""})
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.startswith(b"offload: ")


@real
def test_a_limit_is_for_those_who_wait(demo: Deployed) -> None:
    done = demo("run", "-d", "-j", "2", "--", "echo", ":::", "a")
    assert done.returncode == 125
    assert b"-j is for commands that are waited for" in done.stderr


def test_a_page_explains_each_key_of_status(demo: Deployed) -> None:
    page = (Path(__file__).parents[2] / "docs" / "status.md").read_text()
    detach(demo, "--", "sleep", "300")

    def keys(found: object) -> set[str]:
        if isinstance(found, dict):
            return set(found).union(*map(keys, found.values()))
        return set().union(*map(keys, found)) if isinstance(found, list) else set()

    state = json.loads(demo("status", NAME, "--json").stdout)
    state["jobs"].update(needed={}, calls={}, demand={})  # whose keys are the user's names
    missing = {key for key in keys(state) | keys(json.loads(demo("status", "--json").stdout)) if f"`{key}`" not in page}
    assert not missing


def test_what_is_up_is_named_where_a_deployment_is_missing(demo: Deployed) -> None:
    done = demo("run", "--on", "none", "--detach", "--", "true")
    assert done.returncode == 125
    assert f"--on {NAME} for this one, offload use {NAME} for all that follow".encode() in done.stderr
