"""Calls of tasks that use Dask themselves, on own cores and on deployments: they may wait for what they submit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from distributed import default_client, get_client, get_worker

import offload
from offload.api import submit
from offload.runners import dask_client

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SECONDS = 120.0


@pytest.fixture(params=["own cores", "processes", "in-process"])
def there(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Send calls somewhere, where two of them run at once."""
    monkeypatch.delenv("OFFLOAD_DEPLOYMENT", raising=False)
    kind: str = request.param
    up: Any = nullcontext()
    if kind != "own cores":
        up = offload.Deployment(workers=2, in_process=kind == "in-process")
    with up:
        yield kind
    submit.shutdown()


@offload.task(effects="ignore")
def by_a_client(number: int) -> int:
    with offload.client() as client:
        return int(client.submit(pow, number, 2, pure=False).result())


@offload.task(effects="ignore")
def by_dask(number: int) -> int:
    return int(get_client().submit(pow, number, 2, pure=False).result())


@offload.task
def undeclared(number: int) -> int:
    return int(get_client().submit(pow, number, 2, pure=False).result())


@offload.task
def has_none(number: int) -> bool:
    try:
        default_client()
    except ValueError:
        return True
    return False


@offload.task
def asks_for_the_worker() -> str:
    return str(get_worker().id)


@offload.task
def inner(number: int) -> int:
    return number + 1


@offload.task
def outer(number: int) -> int:
    return inner.submit(number).result() + sum(offload.gather(inner.map(range(number))))


def test_many_calls_wait_for_others(there: str) -> None:
    numbers = range(6)
    for task in (by_a_client, by_dask):
        assert offload.gather(task.map(numbers), timeout=SECONDS) == [n * n for n in numbers]
    assert offload.gather(outer.map(numbers), timeout=SECONDS) == [n + 1 + sum(range(1, n + 1)) for n in numbers]
    if there != "in-process":  # where it is that of the program
        assert offload.gather(has_none.map(numbers), timeout=SECONDS) == [True] * 6  # of calls before


def test_what_comes_by_dask_is_no_input(there: str) -> None:
    if there == "in-process":  # its calls run in the worker, which has a client
        assert undeclared.submit(3).result(SECONDS) == 9
        assert asks_for_the_worker.submit().result(SECONDS)
        return
    with pytest.warns(offload.NotRecordedWarning, match="connected to"):
        assert undeclared.submit(3).result(SECONDS) == 9
    with pytest.raises(ValueError, match="No worker found") as caught:
        asks_for_the_worker.submit().result(SECONDS)
    assert dask_client.NOTE in caught.value.__notes__
