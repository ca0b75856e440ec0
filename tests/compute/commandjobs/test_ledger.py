"""Jobs and their output on disk."""

from __future__ import annotations

import dataclasses
import os
import stat
import string
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offload.errors import NotFoundError
from offload.jobs.commands import journal as module
from offload.jobs.commands.job import Job
from offload.jobs.commands.journal import Ledger
from offload.jobs.commands.output import SpoolGapError, Spools
from offload.jobs.commands.protocol import ENDED, RUNNING, WAITING, Outcome

names = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=16)
paths = st.binary(min_size=1, max_size=20).filter(lambda b: b"\0" not in b).map(os.fsdecode)
jobs = st.builds(
    Job, id=st.just(0), transformation=names, label=st.text(max_size=20).filter(lambda t: t.isprintable()),
    plan=st.binary(max_size=50), directory=paths, path=paths,
    detached=st.booleans(), clients=st.sets(names, max_size=3),
    submitted=st.floats(0, 2e9), state=st.sampled_from([WAITING, RUNNING]), attempt=st.integers(0, 9),
    lost=st.integers(0, 3), worker=names, cancelled=st.booleans(),
)  # fmt: skip
KEPT = [
    "id", "transformation", "label", "plan", "directory", "path", "detached", "clients", "submitted", "state",
    "started", "ended", "attempt", "lost", "worker", "cancelled", "outcome",
]  # fmt: skip


def kept(job: Job) -> dict[str, object]:
    return {name: getattr(job, name) for name in KEPT}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(jobs, max_size=5), st.data())
def test_what_is_kept_comes_back(given_jobs: list[Job], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "jobs.sqlite")
        ledger = Ledger(path)
        ledger.add(given_jobs)
        for job in given_jobs:
            if data.draw(st.booleans()):
                job.attempt, job.started, job.state = job.attempt + 1, 5.0, RUNNING
                job.clients = job.clients | {"new"}
            elif data.draw(st.booleans()):
                job.state, job.ended, job.plan = ENDED, 6.0, b""
                job.outcome = Outcome(error=NotFoundError("gone", "a hint"), exit_code=3, strays=["x"])
            ledger.save(job)
        ledger.close()
        again = Ledger(path)
        found = again.get(job.id for job in given_jobs)
        for job in given_jobs:
            there = found[job.id]
            if job.outcome is not None:
                assert there.outcome is not None
                assert repr(there.outcome.error) == repr(job.outcome.error)
                there.outcome.error = job.outcome.error
            assert kept(there) == kept(job)
        numbers = [job.id for job in given_jobs]
        assert numbers == sorted(set(numbers))
        assert [job.id for job in again.under_way()] == [job.id for job in given_jobs if job.state != ENDED]
        assert [job.id for job in again.ended()] == [job.id for job in given_jobs if job.state == ENDED]
        again.close()


def a_job(**values: object) -> Job:
    return dataclasses.replace(Job(0, "t", "label", b"plan", "/here", "/bin"), **values)  # type: ignore[arg-type]


def test_the_oldest_ended_jobs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(str(tmp_path / "jobs.sqlite"), kept=2)
    old = time.time() - module.KEPT_SECONDS - 10
    several = [a_job(state=ENDED, ended=old) for _ in range(4)]
    recent = [a_job(state=ENDED, ended=time.time()) for _ in range(3)]
    ledger.add([*several, a_job(), *recent])
    assert ledger.sweep() == [2, 1]
    assert [job.id for job in ledger.ended()] == [3, 4, 6, 7, 8]
    new = a_job()
    ledger.add([new])
    assert new.id == 9  # no number is given twice
    ledger.close()


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ledger = Ledger(str(tmp_path / "jobs.sqlite"))
        ledger.add([a_job()])
        spools = Spools(str(tmp_path / "jobs"))
        spools.write(1, 0, 0, b"x")
        found = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
        ledger.close()
    finally:
        os.umask(before)
    assert len(found) >= 3
    assert not any(mode & 0o077 for mode in found.values()), found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200), st.data())
def test_spools_take_pieces_that_come_again(whole: bytes, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        spools = Spools(directory)
        while (size := spools.size(1, 0)) < len(whole):
            start = data.draw(st.integers(0, size))
            stop = data.draw(st.integers(min(size + 40, len(whole)), len(whole)))
            spools.write(1, 0, start, whole[start:stop])
        at, most = data.draw(st.integers(0, 250)), data.draw(st.integers(0, 250))
        assert spools.read(1, 0, at, most) == whole[at : at + most]
        with pytest.raises(SpoolGapError):
            spools.write(1, 0, len(whole) + 1, b"x")
        assert spools.size(1, 1) == 0
        spools.remove(1)
        assert spools.read(1, 0, 0, 10) == b""
