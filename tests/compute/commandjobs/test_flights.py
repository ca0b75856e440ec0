"""What is on its way to workers, when the service ends."""

from __future__ import annotations

import threading

from offload.jobs.commands.dispatch import Flights
from tests.compute.commandjobs.conftest import FakeCarrier


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "offload-commands"]


def test_a_job_that_comes_while_it_ends_starts_nothing() -> None:
    flights = Flights(FakeCarrier, lambda job, how, said: None)
    flights.launch([1])
    assert len(threads()) == 1
    flights.close()
    flights.launch([2])
    assert threads() == []
