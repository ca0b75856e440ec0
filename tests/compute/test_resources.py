"""Resources: how they are written, what has them, and what is said where nothing has."""

from __future__ import annotations

from typing import Any

import pytest

import offload
from offload.errors import UsageError
from offload.util.resources import Supply, parse_resources, resources_text

GPU = parse_resources({"GPU": 1})


def worker(threads: int, **resources: float) -> dict[str, Any]:
    return {"nthreads": threads, "resources": resources}


@pytest.mark.parametrize("given", ["GPU", "GPU=x", "GPU=0", "GPU=-1", "=1", "plain=1", "GPU=inf", {"GPU": "many"}, 7])
def test_what_is_none_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="no resources"):
        parse_resources(given)


def test_written_and_read_again() -> None:
    found = parse_resources("big=2.5, GPU=1")
    assert found == (("GPU", 1.0), ("big", 2.5))
    assert parse_resources(resources_text(found)) == found


def test_slots_are_bound_by_threads_and_by_amounts() -> None:
    assert Supply().slots(GPU, [worker(8, GPU=2), worker(1, GPU=4), worker(8), worker(8, GPU=0.5)]) == 3
    both = parse_resources("GPU=1 memory=10")
    assert Supply().slots(both, [worker(8, GPU=4, memory=25), worker(8, GPU=4)]) == 2


def test_reserved_workers_are_only_for_those_that_ask() -> None:
    supply = Supply(reserved=True)
    assert supply.asked(()) == {"plain": 0.0}
    assert supply.asked(GPU) == {"GPU": 1.0}
    assert supply.slots((), [worker(4, plain=1), worker(8, GPU=1)]) == 4


def test_what_nobody_has_is_told_and_what_may_come_is_waited_for() -> None:
    assert Supply().lacking((), []) is None
    assert Supply(lambda: [GPU]).lacking(GPU, []) is None
    assert Supply().lacking(GPU, [worker(1, GPU=1)]) is None
    error = Supply(lambda: [parse_resources("big=1")]).lacking(GPU, [worker(1, plain=1)])
    assert error is not None
    assert error.message == "no worker has GPU=1: there are workers with big=1"
    assert "offload up --resources" in (error.hint or "")


def test_a_task_says_what_is_wrong_at_once() -> None:
    with pytest.raises(UsageError, match="no resources"):
        offload.task(resources={"GPU": 0})(len)
