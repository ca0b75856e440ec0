"""Commands on a deployment, asked for as a client does, whatever is killed meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from offload.commands.planning.plan import Plan
from offload.commands.planning.stdin import Stdin
from offload.commands.recall import planner_for
from offload.commands.request import Request
from offload.commands.result import decode_record
from offload.commands.running.session_members import is_alive
from offload.deploy.config.spec import Spec
from offload.deploy.head_client import ask
from offload.deploy.lifecycle import local as launch
from offload.errors import EnvironmentDiffersError, UsageError, WorkerLostError
from offload.jobs.commands.protocol import (
    ENDED,
    RUNNING,
    CommandSubmission,
    JobInfo,
    Leave,
    News,
    Outcome,
    Ticket,
    Watch,
)
from offload.jobs.worker.report import Service
from offload.registry.deployments import Place, Registry
from offload.registry.session import current
from offload.util.liveness import started
from tests.deploy.test_local import connected, contact_of, eventually

pytestmark = pytest.mark.real

SECONDS = 90.0


class Asker:
    """A client of the job service, as bare as can be."""

    def __init__(self, place: Place, name: str) -> None:
        self.place = place
        self.name = name
        self.service = Service(place)
        self.reasons: list[str] = []

    def submit(self, *plans: Plan, detach: bool = False) -> list[Ticket]:
        message = CommandSubmission(self.name, list(plans), os.getcwd(), os.environ["PATH"], detach)
        tickets: list[Ticket] = self.service.ask("/v1/commands", message)
        return tickets

    def watch(self, job: int, had: tuple[int, int] = (0, 0), seconds: float = 10.0) -> News | None:
        found: dict[int, News] = self.service.ask("/v1/commands/watch", Watch(self.name, {job: had}, seconds))
        return found.get(job)

    def follow(self, job: int, until: Callable[[bytes], bool] = lambda out: False) -> tuple[Outcome | None, bytes]:
        """Watch a job until it has ended, or has written what is waited for."""
        out, size, deadline = b"", 0, time.monotonic() + SECONDS
        while not until(out):
            assert time.monotonic() < deadline, (self.reasons, self.info(job))
            news = self.watch(job, (len(out), size))
            if news is None:
                continue
            self.reasons.append(news.reason)
            out, size = out + news.stdout, size + len(news.stderr)
            if news.outcome is not None:
                return news.outcome, out
        return None, out

    def info(self, job: int) -> JobInfo:
        listed: list[JobInfo] = self.service.ask("/v1/commands/list", True)
        return next(info for info in listed if info.job == job)


@pytest.fixture
def place(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A deployment with one worker."""
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT", raising=False)
    registry = Registry(str(home))
    launch.up(registry, Spec(name="test", workers=1), print)
    place = registry.get("test")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    yield place
    launch.down(registry, place, print)


@pytest.fixture
def client(place: Place) -> Iterator[Asker]:
    asker = Asker(place, "client")
    yield asker
    asker.service.close()


def plan(*argv: str, stdin: Stdin | None = None, **options: Any) -> Plan:
    return planner_for(current()).plan([Request(argv, **options)], stdin or Stdin())[0]


def shell(text: str, **options: Any) -> Plan:
    return plan("sh", "-c", text, **options)


def pid_of(place: Place, name: str) -> int:
    return int(next(s for s in launch.status(place)["services"] if s["name"] == name)["pid"] or 0)


def number_in(out: bytes) -> int:
    return int(out.split()[0])


def test_a_command_streams_is_recorded_and_recalled(client: Asker) -> None:
    command = shell(
        "echo one; while [ ! -e /nowhere/$0 ]; do sleep 0.1; i=$((i+1)); [ $i = 8 ] && break; done; echo two"
    )
    (ticket,) = client.submit(command)
    assert not ticket.recorded and not ticket.joined
    assert client.follow(ticket.job, lambda out: out == b"one\n")[0] is None
    assert client.info(ticket.job).state == RUNNING
    outcome, out = client.follow(ticket.job)
    assert out == b"one\ntwo\n"
    assert outcome is not None and outcome.error is None
    assert (outcome.exit_code, outcome.outcome, outcome.entry) == (0, "recorded", None)
    assert outcome.record is not None
    assert current().store.get([decode_record(outcome.record).stdout]) == [out]
    assert client.submit(command)[0].recorded
    (run,) = current().database.runs(transformation=command.transformation)
    assert run.outcome == "recorded"


def test_inputs_outputs_and_stdin_come_from_files_or_from_the_store(client: Asker) -> None:
    Path("words").write_text("b\na\n")
    Path("gone").write_text("c\n")
    store = current().store
    (given,) = store.put([b"d\n"])
    store.put([b"c\n"])
    command = shell(
        "sort words gone - > out/sorted; echo x > out/stray; pwd >&2", inputs=["words", "gone"], outputs=["out/sorted"],
        stdin=Stdin(given, size=2),
    )  # fmt: skip
    Path("gone").unlink()
    outcome, _ = client.follow(client.submit(command)[0].job)
    assert outcome is not None and outcome.error is None and outcome.record is not None
    (output,) = decode_record(outcome.record).outputs
    assert store.get([output.checksum]) == [b"a\nb\nc\nd\n"]
    assert outcome.strays == ["out/stray"]
    assert os.listdir(".") == ["words"]


def test_failures_are_reported_and_not_recorded(client: Asker) -> None:
    command = shell("echo bad >&2; exit 3")
    (ticket,) = client.submit(command)
    outcome, _ = client.follow(ticket.job)
    assert outcome is not None
    assert (outcome.exit_code, outcome.outcome, outcome.record) == (3, "", None)
    assert not client.submit(command)[0].recorded


def test_two_clients_share_one_run_and_the_last_to_leave_ends_it(client: Asker, place: Place) -> None:
    other = Asker(place, "other")
    command = shell("echo $$; sleep 1000")
    (first,), (second,) = client.submit(command), other.submit(command)
    assert (first.job, first.joined, second.joined) == (second.job, False, True)
    group = number_in(client.follow(first.job, lambda out: b"\n" in out)[1])
    assert number_in(other.follow(first.job, lambda out: b"\n" in out)[1]) == group
    client.service.ask("/v1/commands/leave", Leave(client.name, [first.job]))
    time.sleep(1)
    assert client.info(first.job).state == RUNNING
    assert started(group) is not None
    other.service.ask("/v1/commands/leave", Leave(other.name, [first.job]))
    eventually(lambda: client.info(first.job).state == ENDED)
    assert started(group) is None
    outcome = client.info(first.job).outcome
    assert outcome is not None and outcome.cancelled
    other.service.close()


def test_cancelling_what_runs_and_what_waits(client: Asker) -> None:
    (runs,) = client.submit(shell("trap '' INT; echo $$; while true; do sleep 1; done"))
    (waits,) = client.submit(shell("echo later"), detach=True)
    group = number_in(client.follow(runs.job, lambda out: b"\n" in out)[1])
    eventually(lambda: client.info(waits.job).reason == "waiting for a free worker")
    told: list[JobInfo] = client.service.ask("/v1/commands/cancel", None)
    assert [(info.job, info.state) for info in told] == [(runs.job, RUNNING), (waits.job, ENDED)]
    for job in (runs.job, waits.job):
        outcome, _ = client.follow(job)
        assert outcome is not None and outcome.cancelled
    assert started(group) is None


@pytest.mark.parametrize("victim", ["starter", "worker process", "nanny", "scheduler"])
def test_what_was_running_runs_again_and_leaves_no_orphan(client: Asker, place: Place, victim: str) -> None:
    eventually(lambda: connected(place))
    flag = Path("flag").absolute()
    command = shell(f"sleep 1000 & echo $$; while [ ! -e {flag} ]; do sleep 0.1; done; kill $!", detect=False)
    (ticket,) = client.submit(command)
    _, out = client.follow(ticket.job, lambda out: b"\n" in out)
    members = [p for p in psutil.process_iter(["pid"]) if _group(p.pid) == number_in(out)]
    assert len(members) >= 2
    if victim == "scheduler":
        os.kill(pid_of(place, "scheduler"), signal.SIGKILL)
    else:
        nanny = psutil.Process(connected(place)[0]["pid"])
        starter = _parent(psutil.Process(_group(members[0].pid)))
        {"nanny": nanny, "starter": starter, "worker process": _parent(starter)}[victim].kill()
    eventually(lambda: not any(_runs(member) for member in members))
    flag.touch()
    outcome, _ = client.follow(ticket.job)
    assert outcome is not None and outcome.error is None and outcome.exit_code == 0
    assert any("running again" in reason for reason in client.reasons), client.reasons


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and started(process.pid) is not None


def _parent(process: psutil.Process) -> psutil.Process:
    parent = process.parent()
    assert parent is not None
    return parent


def test_jobs_outlive_the_job_service_and_a_client_that_is_killed(client: Asker, place: Place) -> None:
    log, flag = Path("log").absolute(), Path("flag").absolute()
    wait = f"while [ ! -e {flag} ]; do sleep 0.1; done"
    (runs,) = client.submit(shell(f"echo ran >> {log}; echo one; {wait}; echo two", detect=False))
    (waits,) = client.submit(shell("echo later"), detach=True)
    client.follow(runs.job, lambda out: out == b"one\n")
    before = pid_of(place, "jobs")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: pid_of(place, "jobs") not in (0, before))
    assert client.info(runs.job).state == RUNNING
    flag.touch()
    outcome, out = client.follow(runs.job)
    assert outcome is not None and outcome.outcome == "recorded"
    assert out == b"one\ntwo\n"
    assert log.read_text() == "ran\n"
    outcome, out = client.follow(waits.job)
    assert outcome is not None and outcome.outcome == "recorded"
    assert out == b"later\n"


def test_jobs_outlive_the_head(client: Asker, place: Place, home: Path) -> None:
    flag = Path("flag").absolute()
    (runs,) = client.submit(shell(f"echo $$; while [ ! -e {flag} ]; do sleep 0.1; done", detect=False))
    (waits,) = client.submit(shell("echo later"), detach=True)
    group = number_in(client.follow(runs.job, lambda out: b"\n" in out)[1])
    os.kill(contact_of(place).head["pid"], signal.SIGKILL)
    eventually(lambda: not is_alive(group))
    eventually(lambda: launch.state(place) == "dead")
    launch.up(Registry(str(home)), Spec(name="test", workers=1), print)
    flag.touch()
    for job in (runs.job, waits.job):
        outcome, _ = client.follow(job)
        assert outcome is not None and outcome.outcome == "recorded"


@pytest.mark.parametrize("victim", ["starter", "worker"])
def test_a_command_that_ends_its_workers_is_given_up(client: Asker, place: Place, victim: str) -> None:
    eventually(lambda: connected(place))
    who = {"starter": "$PPID", "worker": "$(ps -o ppid= -p $PPID)"}[victim]
    (ticket,) = client.submit(shell(f"echo on; kill -9 {who}; sleep 1000"))
    outcome, _ = client.follow(ticket.job)
    assert outcome is not None and isinstance(outcome.error, WorkerLostError)
    if victim == "worker":
        assert "worker-0 was ended by signal 9 (SIGKILL)" in outcome.error.message
    assert outcome.error.hint == "offload logs --worker worker-0"
    assert "3 times" in outcome.error.message
    assert client.follow(client.submit(shell("echo fine"))[0].job)[1] == b"fine\n"


def test_what_is_not_as_it_was_identified_is_refused_by_name(client: Asker) -> None:
    tools = Path("tools").absolute()
    tools.mkdir()
    (tools / "mine").write_text("#!/bin/sh\necho old\n")
    (tools / "mine").chmod(0o755)
    data = Path("data").absolute()
    data.write_text("old")
    search = f"{tools}:{os.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", search)
        commands = [plan("mine"), shell("mine; true"), plan("cat", str(data))]
        (tools / "mine").write_text("#!/bin/sh\necho new\n")
        data.unlink()
        for command, name in zip(commands, [tools / "mine", tools / "mine", data], strict=True):
            outcome, out = client.follow(client.submit(command)[0].job)
            assert out == b""
            assert outcome is not None and isinstance(outcome.error, EnvironmentDiffersError)
            assert f"{name}: {'nothing' if name == data else ''}" in outcome.error.message
        # PATH is the client's: the worker has never heard of this directory.
        assert client.follow(client.submit(plan("mine"))[0].job)[1] == b"new\n"


def test_an_open_pipe_does_not_travel(client: Asker) -> None:
    with pytest.raises(UsageError, match="stays open"):
        client.submit(plan("cat", stdin=Stdin("open")))


def test_going_down_and_scaling_down_end_commands(client: Asker, place: Place) -> None:
    (ticket,) = client.submit(shell("echo $$; trap '' INT; sleep 1000"))
    group = number_in(client.follow(ticket.job, lambda out: b"\n" in out)[1])
    ask(place, contact_of(place), "POST", "/v1/scale", {"workers": 0})
    eventually(lambda: started(group) is None)
    eventually(lambda: "no workers are connected" in client.info(ticket.job).reason)
    ask(place, contact_of(place), "POST", "/v1/scale", {"workers": 1})

    def again() -> int:
        news = client.watch(ticket.job, seconds=0)
        return number_in(news.stdout) if news is not None and news.stdout.endswith(b"\n") else 0

    eventually(lambda: again() not in (0, group) and started(again()) is not None)
    group = again()
    ask(place, contact_of(place), "POST", "/v1/down", {})
    eventually(lambda: started(group) is None)
