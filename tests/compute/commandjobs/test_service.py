"""How jobs go on, whatever clients and workers do; with a carrier that does what the test says."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

import offload
from offload.commands.planning.plan import Plan
from offload.commands.planning.stdin import Stdin
from offload.commands.result import CommandRecord
from offload.commands.running.one import details
from offload.errors import EngineLostError, NotFoundError, OffloadError, StorageError, UsageError, WorkerLostError
from offload.identity.values.encode import encode
from offload.jobs.commands import output, watch
from offload.jobs.commands import service as module
from offload.jobs.commands.job import Job
from offload.jobs.commands.overview import clients, counts, needed, reasons
from offload.jobs.commands.protocol import ENDED, RUNNING, WAITING, Begin, Leave, Outcome, Ticket
from offload.registry.session import current
from offload.storage.records import Entry
from offload.util import filesystems
from offload.util.resources import parse_resources
from tests.compute.commandjobs.conftest import Deployed, Play, plan_of, until


def done(plan: Plan) -> Outcome:
    """Return the outcome of a command that ended well without output, with all of it stored."""
    store = current().store
    (empty,) = store.put([b""])
    record = CommandRecord(empty, empty, []).encode()
    (result,) = store.put([record])
    entry = Entry(
        plan.transformation, "command", plan.request.label, None, plan.data, result, details=encode(details(plan))
    )
    return Outcome(0, 1.0, 2.0, record, entry)


def test_a_job_from_its_submission_to_its_record(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        plan = plan_of("true")
        assert await it.submit(plan) == [Ticket(1)]
        await it.carried(1)
        begun = it.begin(1)
        assert (begun.attempt, begun.directory, begun.path) == (1, "/here", "/bin")
        assert await it.report(1, 1, 0, b"some ")
        news = await it.news(1)
        assert news is not None and (news.state, news.worker, news.stdout) == (RUNNING, "w on host", b"some ")
        assert await it.report(1, 1, 5, b"output", done(plan))
        news = await it.news(1, (5, 0))
        assert news is not None and news.stdout == b"output"
        assert news.outcome is not None and (news.outcome.outcome, news.outcome.entry) == ("recorded", None)
        assert current().database.lookup([plan.transformation]) != [None]
        assert await it.submit(plan) == [Ticket(0, recorded=True)]
        fresh = plan_of("true", fresh=True)
        assert await it.submit(fresh) == [Ticket(2)]
        assert counts(it.service.jobs.values()) == {"waiting": 1, "running": 0}
        assert clients(it.service.jobs.values()) == {"me"}

    play(scenario)


def test_what_is_reported_twice_is_taken_once(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        plan = plan_of("true")
        await it.submit(plan)
        assert it.begin(1).attempt == it.begin(1).attempt == 1  # the answer was lost
        for _ in range(2):
            assert await it.report(1, 1, 0, b"abc")
        outcome = done(plan)
        assert all(await asyncio.gather(it.report(1, 1, 3, b"d", outcome), it.report(1, 1, 3, b"d", outcome)))
        assert not await it.report(1, 1, 3, b"d", outcome)
        news = await it.news(1)
        assert news is not None and news.stdout == b"abcd"
        assert len(current().database.runs(transformation=plan.transformation)) == 1

    play(scenario)


def test_the_same_command_is_joined(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        plan, other = plan_of("true"), plan_of("false")
        assert await it.submit(plan, plan, other) == [Ticket(1), Ticket(1), Ticket(2)]
        assert await it.submit(plan) == [Ticket(1)]  # the answer was lost
        assert await it.submit(plan, client="you", detach=True) == [Ticket(1, joined=True)]
        assert [info.detached for info in it.service.listed(False)] == [True, False]

    play(scenario)


def test_what_is_recorded_while_it_is_looked_up_is_not_run_again(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        plan = plan_of("true")
        await it.submit(plan)
        it.begin(1)
        meanwhile = it.service.looking_up()
        await it.report(1, 1, outcome=done(plan))
        assert meanwhile == {plan.transformation}

    play(scenario)


def test_what_is_recorded_by_others_while_it_waits_is_not_run(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        text = "echo one; echo two >&2"
        await it.submit(plan_of(text), plan_of("echo other", fresh=True), plan_of("echo third"))
        for words in (text, "echo other"):
            assert offload.run(["sh", "-c", words], stdin=None).recorded
        await it.service.recall([1, 2, 3])
        assert set(it.service.jobs) == {2, 3}  # the second was asked for anew
        assert it.service.begin(Begin((1,), "w", "host", 1)) == []
        news = await it.news(1)
        assert news is not None and (news.stdout, news.stderr) == (b"one\n", b"two\n")
        assert news.outcome is not None and (news.outcome.exit_code, news.outcome.outcome) == (0, "same")
        assert news.outcome.record is not None

    play(scenario)


def test_who_leaves_last_cancels_unless_it_is_detached(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await it.submit(plan_of("a"), plan_of("b"))
        await it.submit(plan_of("a"), client="you")
        await it.submit(plan_of("c"), detach=True)
        it.service.leave(Leave("me", [1, 2, 3, 99]))
        assert [info.job for info in it.service.listed(False)] == [1, 3]
        it.service.leave(Leave("stranger", [1]))
        assert await it.news(1, client="watcher") is not None  # who watches waits, too
        it.service.leave(Leave("you", [1]))
        assert [info.job for info in it.service.listed(False)] == [1, 3]
        it.service.leave(Leave("watcher", [1]))
        assert [info.job for info in it.service.listed(False)] == [3]
        await until(lambda: set(it.carrier.dropped) >= {1, 2} or set(it.carrier.carried) <= {3})

    play(scenario)


def test_a_cancelled_job_is_told_so_to_its_worker(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await it.submit(plan_of("a"), plan_of("b"))
        it.begin(1)
        told = it.service.cancel(None)
        assert [(info.job, info.state, info.reason) for info in told] == [
            (1, RUNNING, "being cancelled"),
            (2, ENDED, ""),
        ]
        assert it.service.begin(Begin((2,), "w", "host", 1)) == []
        assert not await it.report(1, 1, 0, b"bye")
        assert await it.report(1, 1, 3, outcome=Outcome(cancelled=True))
        for job, out in ((1, b"bye"), (2, b"")):
            news = await it.news(job)
            assert news is not None and news.outcome is not None and news.outcome.cancelled
            assert news.stdout == out
        assert [info.job for info in it.service.cancel([1, 7])] == [1]

    play(scenario)


def test_output_without_end_is_bounded_and_told(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "MOST", 10)

    async def scenario(it: Deployed) -> None:
        await it.submit(plan_of("yes"))
        it.begin(1)
        assert await it.report(1, 1, 0, b"y\n" * 5)
        assert not await it.report(1, 1, 10, b"y\n")  # its worker ends it
        news = await it.news(1)
        assert news is not None and news.state == ENDED and news.outcome is not None
        assert isinstance(news.outcome.error, OffloadError)
        assert news.outcome.error.message.startswith("it writes more than ")
        assert "write what is large to a file" in str(news.outcome.error.hint)
        assert os.listdir(os.path.dirname(it.service.spools.path(1, 0))) == []

    play(scenario)


def test_output_leaves_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LOOK_EVERY", 10)
    kept = output.Spools(str(tmp_path))
    kept.write(1, 0, 0, b"y" * 20)
    room = os.statvfs(tmp_path)
    monkeypatch.setattr(filesystems, "RESERVE", room.f_blocks * room.f_frsize)
    monkeypatch.setattr(filesystems, "SHARE", 1)
    kept.write(2, 0, 0, b"y" * 5)  # little output is nobody's trouble
    with pytest.raises(output.TooMuchOutputError, match=f"fills the disk of {tmp_path}"):
        kept.write(1, 0, 20, b"y")


def test_what_a_cancelled_command_has_written_goes_with_who_waited_for_it(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await it.submit(plan_of("yes"))
        it.begin(1)
        assert await it.report(1, 1, 0, b"y\n" * 5)
        it.service.leave(Leave("me", [1]))
        assert not await it.report(1, 1, 10, b"y\n")
        assert it.service.spools.size(1, 0) == 12
        watched = await it.news(1, (0, 0))  # its last words
        assert watched is not None and len(watched.stdout) == 12
        assert await it.report(1, 1, 12, b"bye", Outcome(cancelled=True))
        assert it.service.spools.size(1, 0) == 15
        last = await it.news(1, (12, 0))
        assert last is not None and last.state == ENDED and last.stdout == b"bye"
        assert it.service.spools.size(1, 0) == 0
        again = await it.news(1, (12, 0))  # the answer was lost
        assert again is not None and again.state == ENDED

    play(scenario)


def test_a_lost_worker_voids_its_attempt_and_the_third_ends_the_job(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await it.submit(plan_of("a"))
        await it.carried(1)
        it.begin(1)
        await it.report(1, 1, 0, b"abc")
        assert it.begin(1, "other").attempt == 2  # Dask runs it again by itself
        news = await it.news(1, (3, 0))
        assert news is not None and (news.reason, news.stdout) == ("its worker ended; running again", b"")
        assert not await it.report(1, 1, 3, b"d")
        await it.report(1, 2, 0, b"abcdef")
        news = await it.news(1, (3, 0))
        assert news is not None and news.stdout == b"def"
        it.carrier.futures[1].set_exception(WorkerLostError("it ended"))
        await it.carried(2)
        assert it.service.jobs[1].state == WAITING
        assert it.begin(1, "third").attempt == 3
        it.carrier.futures[1].set_exception(WorkerLostError("it ended"))
        await until(lambda: not it.service.jobs)
        news = await it.news(1, None)
        assert news is not None and news.outcome is not None
        assert isinstance(news.outcome.error, WorkerLostError)
        assert "3 times" in news.outcome.error.message and "memory" in news.outcome.error.message

    play(scenario)


def test_workers_that_die_before_they_begin_are_not_tried_without_end(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await it.submit(plan_of("a"))
        for attempt in range(1, 4):
            await it.carried(attempt)
            it.carrier.futures[1].set_exception(WorkerLostError("it ended"))
        await until(lambda: not it.service.jobs)

    play(scenario)


def test_workers_that_cannot_reach_the_service_are_told_of(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await it.submit(plan_of("a"))
        await it.carried(1)
        it.carrier.futures[1].set_result(None)
        await it.carried(2)
        assert (
            reasons(it.service.jobs.values(), it.service.flights)[1]
            == "a worker could not reach the job service; waiting for a free worker"
        )
        assert it.begin(1).attempt == 1

    play(scenario)


def test_workers_that_are_told_to_end_do_not_count(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await it.submit(plan_of("a"))
        for attempt in range(1, 6):
            await it.carried(attempt)
            assert it.begin(1).attempt == attempt
            assert not await it.report(1, attempt, given_up=True)
            it.carrier.futures[1].set_result("given up")
        assert it.service.jobs[1].lost == 0

    play(scenario)


def test_a_lost_scheduler_is_waited_for(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await it.submit(plan_of("a"), plan_of("b"))
        await it.carried(2)
        it.begin(1)
        it.carrier.futures[1].set_exception(EngineLostError("gone"))
        await until(lambda: not it.service.jobs[1].flying)
        await it.carried(3)
        assert it.carrier.carried[2:] == [2]  # what ran may go on
        assert await it.report(1, 1, 0, b"still here")
        assert not await it.report(1, 1, given_up=True)
        await until(lambda: it.carrier.carried[2:] == [2, 1])
        assert it.begin(1).attempt == 2
        assert it.service.jobs[1].lost == 0

    play(scenario)


def test_silence_is_the_loss_of_a_worker(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE", 0.1)
    monkeypatch.setattr(module, "TICK", 0.05)

    async def scenario(it: Deployed) -> None:
        await it.submit(plan_of("a"))
        await it.carried(1)
        it.begin(1)
        await it.carried(2)
        assert it.carrier.dropped == [1]
        assert not await it.report(1, 1)
        assert it.service.jobs[1].lost == 1

    play(scenario)


def test_the_next_service_adopts_what_runs_and_submits_what_waits(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ADOPTION", 0.3)
    monkeypatch.setattr(module, "TICK", 0.05)

    async def scenario(it: Deployed) -> None:
        plan = plan_of("a")
        await it.submit(plan, plan_of("b"), plan_of("c"))
        await it.carried(3)
        it.begin(1)
        it.begin(2)
        await it.report(1, 1, 0, b"abc")
        it.carrier.carried.clear()
        later = it.again()
        await later.service.start()
        try:
            assert {job.state for job in later.service.jobs.values()} == {RUNNING, WAITING}
            until_then = time.monotonic() + 1
            while time.monotonic() < until_then:
                assert await later.report(1, 1, 3, b"d")
                await asyncio.sleep(0.05)
            assert later.carrier.carried == [3, 2]  # nobody reports on the second
            assert await later.report(1, 1, 4, b"e", done(plan))
            news = await later.news(1)
            assert news is not None and news.stdout == b"abcde"
            assert later.begin(2).attempt == 2
            # Who waited before the restart still counts.
            later.service.leave(Leave("me", [3]))
            assert set(later.service.jobs) == {2}
        finally:
            await later.service.stop()

    play(scenario)


def test_reasons_are_what_is_waited_for(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_FLIGHT", 2)

    async def scenario(it: Deployed) -> None:
        it.carrier.threads = 0
        await it.submit(*(plan_of(f"echo {number}") for number in range(4)))
        await it.carried(2)
        assert set(reasons(it.service.jobs.values(), it.service.flights).values()) == {"no workers are connected"}
        it.carrier.threads = 1
        await until(lambda: it.service.flights.workers)
        assert reasons(it.service.jobs.values(), it.service.flights) == {
            1: "waiting for a free worker", 2: "1 job before it", 3: "2 jobs before it", 4: "3 jobs before it",
        }  # fmt: skip
        assert it.carrier.carried == [1, 2]
        it.service.jobs[1].resources = parse_resources("GPU=1")  # nobody else waits for that
        assert reasons(it.service.jobs.values(), it.service.flights)[2] == "waiting for a free worker"
        assert needed(it.service.jobs.values()) == {"GPU=1": 1, "": 3}
        it.service.jobs[1].resources = ()
        it.begin(1)
        assert reasons(it.service.jobs.values(), it.service.flights)[3] == "1 job before it"
        await it.report(1, 1, outcome=Outcome(exit_code=1))
        await it.carried(3)

    play(scenario)


def test_what_cannot_be_recorded_says_so(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(it: Deployed) -> None:
        plan = plan_of("true")
        await it.submit(plan)
        it.begin(1)

        def fail(entries: list[Entry]) -> list[str]:
            raise StorageError("no room")

        monkeypatch.setattr(it.service.session, "record", fail)
        await it.report(1, 1, outcome=done(plan))
        news = await it.news(1)
        assert news is not None and news.outcome is not None
        assert (news.outcome.unrecorded, news.outcome.exit_code) == ("no room", 0)
        assert isinstance(news.outcome.error, StorageError)

    play(scenario)


def test_a_ledger_that_cannot_be_written_for_a_moment_loses_nothing(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(it: Deployed) -> None:
        plan = plan_of("true")
        await it.submit(plan)
        await it.carried(1)
        it.begin(1)
        save = it.service.ledger.save

        def fail(job: Job) -> None:
            raise StorageError("no room")

        monkeypatch.setattr(it.service.ledger, "save", fail)
        with pytest.raises(StorageError, match="no room"):
            await it.report(1, 1, outcome=done(plan))
        assert it.service.jobs[1].state == RUNNING
        monkeypatch.setattr(it.service.ledger, "save", save)
        assert await it.report(1, 1, outcome=done(plan))
        news = await it.news(1)
        assert news is not None and news.outcome is not None and news.outcome.outcome == "same"

    play(scenario)


def test_a_worker_that_fails_by_a_fault_of_ours_ends_the_job(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await it.submit(plan_of("true"))
        await it.carried(1)
        it.carrier.futures[1].set_exception(TypeError("a fault"))
        await until(lambda: not it.service.jobs)
        news = await it.news(1)
        assert news is not None and news.outcome is not None
        assert "TypeError: a fault" in str(news.outcome.error)

    play(scenario)


def test_watching(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PIECE", 4)

    async def scenario(it: Deployed) -> None:
        await it.submit(plan_of("true"))
        it.begin(1)
        first = await it.news(1)
        assert first is not None and first.state == RUNNING
        assert await it.news(1) is None  # nothing new
        await it.report(1, 1, 0, b"abcdef", Outcome(exit_code=1))
        piece = await it.news(1, (0, 0))
        assert piece is not None and (piece.stdout, piece.outcome) == (b"abcd", None)
        last = await it.news(1, (4, 0))
        assert last is not None and last.stdout == b"ef" and last.outcome is not None
        only_the_end = await it.news(1, None)
        assert only_the_end is not None and only_the_end.stdout == b"" and only_the_end.outcome is not None
        nobody = await it.news(99)
        assert nobody is not None and nobody.outcome is not None
        assert isinstance(nobody.outcome.error, NotFoundError)

    play(scenario)


def test_an_open_pipe_is_refused(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        plan = plan_of("true")
        plan.stdin = Stdin("open")
        with pytest.raises(UsageError, match="stays open"):
            await it.submit(plan)

    play(scenario)
