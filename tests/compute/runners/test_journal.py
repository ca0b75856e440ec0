"""What is written down of calls is there in their order, whatever became of the process that wrote it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from offload.runners.journal import Journal, journal
from offload.transport.outcome import Outcome

WRITES = """
import os, signal, sys
from offload.transport.outcome import Outcome
from offload.runners.journal import Journal
written = Journal(int(sys.argv[1]))
written.begin()
for number in range(3):
    written.add(Outcome(float(number)))
os.pwrite(int(sys.argv[1]), b"\\xff\\0\\0\\0cut", written._end)
os.kill(os.getpid(), signal.SIGKILL)
"""


def outcome(started: float, **told: object) -> Outcome:
    made = Outcome(started)
    for name, value in told.items():
        setattr(made, name, value)
    return made


def test_order_and_what_was_sent() -> None:
    ours, descriptor = journal()
    theirs = Journal(descriptor)
    for one in (outcome(1.0), None, outcome(3.0), None):
        theirs.add(one)
    assert [one.started for one in ours.outcomes([outcome(2.0), outcome(4.0)])] == [1.0, 2.0, 3.0, 4.0]
    ours.empty()
    theirs.begin()
    assert ours.outcomes([]) == []
    theirs.add(outcome(5.0))
    assert [one.started for one in ours.outcomes([])] == [5.0]
    ours.close()
    theirs.close()


def test_nothing_is_lost_with_the_process_but_what_it_had_not_written_to_its_end() -> None:
    ours, descriptor = journal()
    child = subprocess.run([sys.executable, "-c", WRITES, str(descriptor)], pass_fds=[descriptor], check=False)
    os.close(descriptor)
    assert child.returncode == -signal.SIGKILL
    assert [one.started for one in ours.outcomes([])] == [0.0, 1.0, 2.0]
    ours.close()


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"checksum": "aa", "buffer": b"", "seconds": 2.5, "cpu_seconds": 0.0, "peak_memory_bytes": 5},
        {"changed": "it", "changes": (["x"], "bb"), "on_copies": True, "difference": "d", "unrecorded": "u"},
    ],
)
def test_an_outcome_arrives_whole(told: dict[str, object]) -> None:
    ours, descriptor = journal()
    theirs = Journal(descriptor)
    sent = outcome(1.5, **told)
    theirs.add(sent)
    (arrived,) = ours.outcomes([])
    assert {name: getattr(arrived, name) for name in Outcome.__slots__} == {
        name: getattr(sent, name) for name in Outcome.__slots__
    }
    ours.close()
    theirs.close()
