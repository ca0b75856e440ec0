"""Short commands that travel together: recorded together, and each for itself whatever happens to the others."""

from __future__ import annotations

import pytest

from offload.errors import WorkerLostError
from offload.jobs.commands.protocol import RUNNING, Begin, Outcome, Report
from offload.registry.session import current
from offload.storage.records import Entry
from tests.compute.commandjobs.conftest import Deployed, Play, plan_of, until
from tests.compute.commandjobs.test_service import done


async def known_to_be_short(it: Deployed) -> None:
    """Have a command end in no time, so that those like it travel together."""
    await it.submit(plan_of("first", fresh=True))
    await it.carried(1)
    it.begin(1)
    await it.report(1, 1, outcome=Outcome(exit_code=1))


def test_short_commands_travel_together_once_they_are_known_to_be_short(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await it.submit(*(plan_of(f"echo {number}", fresh=True) for number in range(20)))
        await it.carried(8)  # nobody knows yet how long they take
        assert it.carrier.groups == [[number] for number in range(1, 9)]
        it.begin(1)
        assert await it.report(1, 1, outcome=Outcome(exit_code=1))
        await it.carried(16)
        assert it.carrier.groups[8:] == [list(range(9, 17))]
        it.begin(2)
        assert await it.report(2, 1, outcome=Outcome(exit_code=1))
        await it.carried(20)
        assert it.carrier.groups[9:] == [[17, 18, 19, 20]]
        begun = it.service.begin(Begin((9, 10, 11), "w", "host", 1))
        assert [one.job for one in begun] == [9, 10, 11]
        assert {it.service.jobs[job].state for job in (9, 10, 11)} == {RUNNING}

    play(scenario)


def test_commands_that_take_long_travel_alone(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await it.submit(*(plan_of(f"sleep {number}", fresh=True) for number in range(20)))
        await it.carried(8)
        it.begin(1)
        assert await it.report(1, 1, outcome=Outcome(exit_code=0, seconds=3.0))
        await it.carried(20)
        assert it.carrier.groups == [[number] for number in range(1, 21)]

    play(scenario)


def test_many_outcomes_are_recorded_together_and_each_for_itself(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(it: Deployed) -> None:
        await known_to_be_short(it)
        plans = [plan_of(f"echo {number}") for number in range(4)]
        await it.submit(*plans)
        await it.carried(5)
        jobs = it.carrier.groups[1]
        assert jobs == [2, 3, 4, 5]
        it.service.begin(Begin(tuple(jobs), "w", "host", 1))
        recorded: list[int] = []
        record = it.service.session.record

        def counting(entries: list[Entry]) -> list[str]:
            recorded.append(len(entries))
            return record(entries)

        monkeypatch.setattr(it.service.session, "record", counting)
        outcomes = [done(plans[0]), Outcome(exit_code=7), done(plans[2]), None]
        reports = [Report(job, 1, 0, 0, b"out", outcome=one) for job, one in zip(jobs, outcomes, strict=True)]
        assert await it.service.report(reports) == [True] * 4
        assert recorded == [2]
        assert set(it.service.jobs) == {5}
        found = [await it.news(job) for job in jobs[:3]]
        assert [news and news.outcome and news.outcome.exit_code for news in found] == [0, 7, 0]
        lookup = current().database.lookup([plan.transformation for plan in plans])
        assert [result is not None for result in lookup] == [True, False, True, False]
        assert await it.report(5, 1, 3, b"", Outcome(exit_code=1))
        await until(lambda: it.carrier.dropped == [1, *jobs])  # the task goes when the last of them has ended

    play(scenario)


def test_a_worker_lost_with_several_jobs_is_laid_to_the_one_that_loses_the_next_ones(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await known_to_be_short(it)
        await it.submit(*(plan_of(f"echo {number}") for number in range(3)))
        await it.carried(4)
        jobs = it.carrier.groups[1]
        assert jobs == [2, 3, 4]
        it.service.begin(Begin(tuple(jobs), "w", "host", 1))
        await it.report(2, 1, outcome=Outcome(exit_code=1))
        it.carrier.futures[3].set_exception(WorkerLostError("it ended"))
        await it.carried(6)
        assert sorted(it.carrier.groups[2:]) == [[3], [4]]  # each for itself
        assert {it.service.jobs[job].lost for job in (3, 4)} == {0}
        assert it.begin(4).attempt == 2
        assert await it.report(4, 2, outcome=Outcome(exit_code=1))  # it was not the one
        for attempt in (2, 3):
            assert it.begin(3).attempt == attempt
            it.carrier.futures[3].set_exception(WorkerLostError("it ended"))
            if attempt == 2:
                await it.carried(7)
        await until(lambda: not it.service.jobs)
        news = await it.news(3, None)
        assert news is not None and news.outcome is not None
        assert isinstance(news.outcome.error, WorkerLostError)
        assert "3 times" in news.outcome.error.message

    play(scenario)


def test_jobs_that_another_worker_begins_again_are_taken_apart(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await known_to_be_short(it)
        await it.submit(*(plan_of(f"echo {number}") for number in range(3)))
        await it.carried(4)
        it.service.begin(Begin((2, 3, 4), "w", "host", 1))
        assert it.service.begin(Begin((2, 3, 4), "other", "host", 2)) == []  # Dask runs the task again by itself
        await it.carried(7)
        assert sorted(it.carrier.groups[2:]) == [[2], [3], [4]]
        await until(lambda: len(it.carrier.dropped) > 1)  # the task of all three

    play(scenario)


def test_what_is_given_back_goes_elsewhere_at_once(play: Play) -> None:
    async def scenario(it: Deployed) -> None:
        await known_to_be_short(it)
        await it.submit(*(plan_of(f"echo {number}") for number in range(4)))
        await it.carried(5)
        it.service.begin(Begin((2, 3, 4, 5), "w", "host", 1))
        back = [Report(job, 1, 0, 0, given_back=True) for job in (5, 4, 3)]
        assert await it.service.report(back) == [False] * 3
        await it.carried(8)
        assert it.carrier.groups[2:] == [[3], [4], [5]]
        await until(lambda: it.carrier.dropped == [1])  # the one that takes long goes on
        assert {it.service.jobs[job].lost for job in (3, 4, 5)} == {0}
        assert await it.report(2, 1, 0, b"on")
        it.service.cancel([4])
        assert it.begin(3).attempt == 2
        assert await it.report(2, 1, 2, outcome=Outcome(exit_code=0, seconds=9.0))

    play(scenario)
